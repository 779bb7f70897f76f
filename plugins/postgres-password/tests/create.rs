//! `create`: the host makes the password, and nobody else's role is taken.

use super::server::{Role as Here, Server, awake, one, settings, turns};
use crate::PostgresPassword;
use keybaton_rotator::testing::{context, label, target};
use keybaton_rotator::{Role, Rotator};

#[test]
fn the_password_is_the_hosts_and_the_user_name_goes_with_it() {
    let server = Server::default().with("app_a", awake());
    let subject = turns().with(1, Role::Current, Some("app_a"), &[]).with(2, Role::Pending, Some("app_b"), &[]);
    let (created, transcript) = server.host().run("create", || PostgresPassword::create(&context(2), &subject, &[]));
    let created = created.unwrap();
    assert_eq!(created.generation.id.as_deref(), Some("app_b#2"));
    assert_eq!(created.generation.slot.as_deref(), Some("app_b"));
    assert_eq!(created.generation.attribute("username"), Some("app_b"));
    assert_eq!(
        created.secrets.iter().map(|(name, secret)| (name.as_str(), label(secret))).collect::<Vec<_>>(),
        [("password", "new-1")]
    );
    assert_eq!(transcript, ["role as admin: app_b", "generate password of 32"]);
}

#[test]
fn a_role_that_somebody_else_uses_is_not_taken() {
    let sleeping = Here::default();
    for (sentence, role, json, known, taken) in [
        ("a role that does not exist", None, r#"{ "connection": "db", "role": "app" }"#, false, true),
        ("one that cannot log in", Some(sleeping), r#"{ "connection": "db", "role": "app" }"#, false, true),
        ("one that can", Some(awake()), r#"{ "connection": "db", "role": "app" }"#, false, false),
        ("one that was imported", Some(awake()), r#"{ "connection": "db", "role": "app" }"#, true, true),
        (
            "one that the settings give away",
            Some(awake()),
            r#"{ "connection": "db", "role": "app", "existing": "replace" }"#,
            false,
            true,
        ),
        (
            "the same in the older word",
            Some(awake()),
            r#"{ "connection": "db", "role": "app", "existing": "take-over" }"#,
            false,
            true,
        ),
    ] {
        let server = role.into_iter().fold(Server::default(), |server, role| server.with("app", role));
        let mut subject = target(settings(json));
        if known {
            subject = subject.with(1, Role::Current, None, &[]);
        }
        let subject = subject.with(2, Role::Pending, None, &[]);
        let (created, _) = server.host().run("create", || PostgresPassword::create(&context(2), &subject, &[]));
        match created {
            Ok(_) => assert!(taken, "{sentence}"),
            Err(failure) => {
                assert!(!taken, "{sentence}: {failure}");
                assert_eq!(failure.code(), "postgres.role-in-use", "{sentence}");
            }
        }
    }
}

#[test]
fn what_was_begun_and_never_got_into_the_role_does_not_make_it_ours() {
    let server = Server::default().with("app", awake());
    let subject = one().with(1, Role::Pending, None, &["password"]).with(2, Role::Pending, None, &[]);
    let (created, _) = server.host().run("create", || PostgresPassword::create(&context(2), &subject, &[]));
    assert_eq!(created.unwrap_err().code(), "postgres.role-in-use");
}

#[test]
fn a_slot_that_is_no_role_of_the_settings_is_refused() {
    let subject = turns().with(2, Role::Pending, Some("app_c"), &[]);
    let server = Server::default();
    let (created, transcript) = server.host().run("create", || PostgresPassword::create(&context(2), &subject, &[]));
    assert_eq!(created.unwrap_err().code(), "postgres.role-not-declared");
    assert!(transcript.is_empty());
    let nowhere = one().with(2, Role::Pending, None, &[]);
    let (created, _) = Server::default().host().run("create", || PostgresPassword::create(&context(2), &nowhere, &[]));
    assert_eq!(created.unwrap().generation.slot, None, "with one role there are no slots");
}
