//! `install`: a verifier, and before it the group. A second time changes nothing more.

use super::server::{Role as Here, Server, awake, holding, one, settings, turns};
use crate::PostgresPassword;
use keybaton_rotator::testing::{context, target};
use keybaton_rotator::{Role, Rotator};

#[test]
fn the_clear_password_is_in_no_statement() {
    let server = Server::default().with("app", holding(1));
    let subject = one().with(1, Role::Current, None, &["password"]).with(2, Role::Pending, None, &["password"]);
    let (facts, transcript) = server.host().run("install", || PostgresPassword::install(&context(2), &subject));
    assert_eq!(facts.unwrap(), [("installed".to_owned(), "app".to_owned())]);
    assert_eq!(transcript, ["role as admin: app", "set-verifier as admin: app scram-sha-256(password#2)"]);
}

#[test]
fn an_existing_role_comes_into_the_group_before_its_objects_do() {
    let server = Server::default().with("app_a", Here { owns: 3, ..awake() }).with("app_owner", Here::default());
    let subject =
        turns().with(1, Role::Current, Some("app_a"), &[]).with(2, Role::Pending, Some("app_b"), &["password"]);
    let (facts, transcript) = server.host().run("install", || PostgresPassword::install(&context(2), &subject));
    facts.unwrap();
    assert_eq!(
        transcript,
        [
            "role as admin: app_b",
            "role as admin: app_owner",
            "create-role as admin: app_b",
            "membership as admin: app_b app_owner",
            "grant-group as admin: app_owner app_b",
            "owned as admin: app_b",
            "membership as admin: app_a app_owner",
            "grant-group as admin: app_owner app_a",
            "owned as admin: app_a",
            "give-to-group as admin: app_a app_owner",
            "act-as-group as admin: app_b app_owner",
            "act-as-group as admin: app_a app_owner",
            "set-verifier as admin: app_b scram-sha-256(password#2)",
        ]
    );
    let (again, transcript) = server.host().run("install", || PostgresPassword::install(&context(2), &subject));
    again.unwrap();
    let changes = ["create-role", "grant-group", "act-as-group", "give-to-group"];
    let changed = transcript.iter().any(|line| changes.iter().any(|change| line.starts_with(change)));
    assert!(!changed, "a second time: {transcript:?}");
    assert!(server.role("app_b").unwrap().can_login);
}

#[test]
fn without_the_group_no_password_is_set() {
    let server = Server::default().with("app_a", Here::default());
    let subject = turns().with(2, Role::Pending, Some("app_a"), &["password"]);
    let (facts, transcript) = server.host().run("install", || PostgresPassword::install(&context(2), &subject));
    assert_eq!(facts.unwrap_err().code(), "postgres.group-missing");
    assert_eq!(transcript, ["role as admin: app_a", "role as admin: app_owner"]);
    assert!(server.role("app_a").unwrap().password.is_empty());
}

/// Somebody made the role, or gave it a password, after `create` had looked.
#[test]
fn a_password_that_somebody_set_meanwhile_is_not_overwritten() {
    for (sentence, role, json, known, installs) in [
        ("somebody's", awake(), r#"{ "connection": "db", "role": "app" }"#, false, false),
        ("our own, its answer was lost", holding(2), r#"{ "connection": "db", "role": "app" }"#, false, true),
        ("given away", awake(), r#"{ "connection": "db", "role": "app", "existing": "replace" }"#, false, true),
        ("a generation's of ours", holding(1), r#"{ "connection": "db", "role": "app" }"#, true, true),
        ("one without a login", Here::default(), r#"{ "connection": "db", "role": "app" }"#, false, true),
    ] {
        let before = role.password.clone();
        let server = Server::default().with("app", role);
        let mut subject = target(settings(json));
        if known {
            subject = subject.with(1, Role::Current, None, &["password"]);
        }
        let subject = subject.with(2, Role::Pending, None, &["password"]);
        let (facts, _) = server.host().run("install", || PostgresPassword::install(&context(2), &subject));
        match facts {
            Ok(_) => assert!(installs, "{sentence}"),
            Err(failure) => {
                assert!(!installs, "{sentence}: {failure}");
                assert_eq!(failure.code(), "postgres.role-in-use", "{sentence}");
                assert_eq!(server.role("app").unwrap().password, before, "{sentence}");
            }
        }
    }
}

#[test]
fn without_its_handle_nothing_is_asked_of_the_server() {
    let server = Server::default().with("app", awake());
    let subject = one().with(1, Role::Current, None, &["password"]).with(2, Role::Pending, None, &[]);
    let (facts, transcript) = server.host().run("install", || PostgresPassword::install(&context(2), &subject));
    assert_eq!(facts.unwrap_err().code(), "call.secret-missing");
    assert!(transcript.is_empty());
}
