//! Settings: which parse, what is found in them, and what the profile makes of them.

use crate::PostgresPassword;
use crate::settings::Settings;
use keybaton_rotator::testing::check_about;
use keybaton_rotator::{Overlap, Rotator};

#[test]
fn the_plugin_says_of_itself_what_its_manifest_says() {
    check_about(&PostgresPassword::ABOUT, include_str!("../plugin.toml"));
}

#[test]
fn settings_are_one_role_or_two_with_a_group() {
    for (sentence, json, expected) in [
        ("one role", r#"{ "connection": "db", "role": "app" }"#, None),
        ("two roles and a group", r#"{ "connection": "db", "roles": ["a", "b"], "group": "g" }"#, None),
        ("two roles alone", r#"{ "connection": "db", "roles": ["a", "b"] }"#, Some("needs the `group`")),
        ("a group alone", r#"{ "connection": "db", "group": "g" }"#, Some("either `role`")),
        ("both at once", r#"{ "connection": "db", "role": "a", "roles": ["a", "b"], "group": "g" }"#, Some("either")),
        ("neither", r#"{ "connection": "db" }"#, Some("either `role`")),
        ("three roles", r#"{ "connection": "db", "roles": ["a", "b", "c"], "group": "g" }"#, Some("trailing")),
        ("a word it does not know", r#"{ "connection": "db", "role": "a", "rolle": "b" }"#, Some("rolle")),
    ] {
        match (serde_json::from_str::<Settings>(json), expected) {
            (Ok(_), None) => {}
            (Err(error), Some(words)) => assert!(error.to_string().contains(words), "{sentence}: {error}"),
            (got, _) => panic!("{sentence}: {got:?}"),
        }
    }
}

#[test]
fn names_that_postgresql_would_not_take_are_found_by_path() {
    let long = "x".repeat(64);
    for (sentence, roles, group, expected) in [
        ("good names", ["app_a", "app_b"], "app_owner", None),
        ("the same role twice", ["app", "app"], "app_owner", Some("/roles/1")),
        ("the group is one of the roles", ["app_a", "app_b"], "app_a", Some("/group")),
        ("a name with a space", ["app a", "app_b"], "app owner", Some("/roles/0")),
        ("a reserved name", ["pg_monitor", "app_b"], "app_owner", Some("/roles/0")),
        ("a reserved word", ["app_a", "public"], "app_owner", Some("/roles/1")),
        ("a name that would be cut", ["app_a", &long], "app_owner", Some("/roles/1")),
        ("an empty group", ["app_a", "app_b"], "", Some("/group")),
    ] {
        let json = serde_json::json!({ "connection": "db", "roles": roles, "group": group });
        let settings: Settings = serde_json::from_value(json).expect(sentence);
        let paths: Vec<_> = PostgresPassword::validate(&settings).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, expected.into_iter().collect::<Vec<_>>(), "{sentence}");
    }
}

#[test]
fn what_the_server_can_do_and_what_is_claimed_of_it_follows_from_the_settings() {
    let role = |name: &str| format!("role:{name}");
    let one = PostgresPassword::profile(&super::server::one().settings).unwrap();
    assert_eq!(one.overlap, Overlap::None);
    assert!(!one.soft_disable, "switching off what was overwritten means nothing");
    assert!(one.usage.is_none(), "sessions of one role cannot be told apart by password");

    let turns = PostgresPassword::profile(&super::server::turns().settings).unwrap();
    let slots = vec!["app_a".to_owned(), "app_b".to_owned()];
    assert_eq!(turns.overlap, Overlap::Alternate { slots });
    assert_eq!((one.claims, turns.claims.clone()), (vec!["role:app".to_owned()], vec![role("app_a"), role("app_b")]));
    assert!(!one.replaces);
    for (word, replaces) in [("refuse", false), ("replace", true), ("take-over", true)] {
        let json = serde_json::json!({ "connection": "db", "role": "app", "existing": word });
        let settings: Settings = serde_json::from_value(json).expect(word);
        assert_eq!(PostgresPassword::profile(&settings).unwrap().replaces, replaces, "{word}");
    }
    assert!(turns.soft_disable && turns.reinstall && turns.usage.is_some());
}
