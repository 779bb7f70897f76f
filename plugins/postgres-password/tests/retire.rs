//! `disable`, `enable`, `destroy`: twice is once, absent is success, and another generation's role is left alone.

use super::server::{Role as Here, Server, awake, one, turns};
use crate::PostgresPassword;
use crate::settings::Settings;
use keybaton_rotator::testing::context;
use keybaton_rotator::{Facts, FailureClass, Result, Role, Rotator, Target};

fn call(server: &Server, step: &str, subject: &Target<Settings>) -> (Result<Facts>, Vec<String>) {
    server.host().run(step, || match step {
        "disable" => PostgresPassword::disable(&context(1), subject),
        "enable" => PostgresPassword::enable(&context(1), subject),
        _ => PostgresPassword::destroy(&context(1), subject),
    })
}

fn previous() -> Target<Settings> {
    turns().with(1, Role::Previous, Some("app_a"), &[]).with(2, Role::Current, Some("app_b"), &[])
}

#[test]
fn a_role_is_switched_off_and_on_again() {
    let server = Server::default().with("app_a", awake()).with("app_b", awake());
    for (step, expected, can_login) in [
        ("disable", &["role as admin: app_a", "forbid-login as admin: app_a"][..], false),
        ("disable", &["role as admin: app_a"], false),
        ("enable", &["role as admin: app_a", "allow-login as admin: app_a"], true),
        ("enable", &["role as admin: app_a"], true),
    ] {
        let (facts, transcript) = call(&server, step, &previous());
        facts.unwrap();
        assert_eq!(transcript, expected, "{step}");
        assert_eq!(server.role("app_a").unwrap().can_login, can_login, "{step}");
    }
}

#[test]
fn destroying_ends_the_password_and_then_its_sessions() {
    let role = Here { sessions: 2, password: "set".to_owned(), ..awake() };
    let server = Server::default().with("app_a", role);
    let (facts, transcript) = call(&server, "destroy", &previous());
    assert_eq!(facts.unwrap(), [("ended-sessions".to_owned(), "2".to_owned())]);
    assert_eq!(
        transcript,
        [
            "role as admin: app_a",
            "erase-verifier as admin: app_a",
            "role as admin: app_a",
            "end-sessions as admin: app_a"
        ]
    );
    let (again, _) = call(&server, "destroy", &previous());
    assert_eq!(again.unwrap(), [("ended-sessions".to_owned(), "0".to_owned())]);
    assert!(server.role("app_a").unwrap().password.is_empty());
}

#[test]
fn what_is_absent_is_success_to_end_and_a_failure_to_enable() {
    for (step, expected) in [("disable", None), ("destroy", None), ("enable", Some("postgres.role-missing"))] {
        let (facts, _) = call(&Server::default(), step, &previous());
        match expected {
            None => assert_eq!(facts.unwrap()[0].0, "absent", "{step}"),
            Some(code) => assert_eq!(facts.unwrap_err().code(), code, "{step}"),
        }
    }
}

#[test]
fn a_role_that_another_generation_is_in_is_left_alone() {
    let rolled_back = one().with(1, Role::Pending, None, &[]).with(3, Role::Current, None, &[]);
    let overwritten = one().with(1, Role::Previous, None, &[]).with(3, Role::Current, None, &[]);
    for (sentence, subject) in [("pending, given back", rolled_back), ("previous, overwritten", overwritten)] {
        let server = Server::default().with("app", awake());
        let (facts, transcript) = call(&server, "destroy", &subject);
        assert_eq!(facts.unwrap(), [("superseded-by".to_owned(), "3".to_owned())], "{sentence}");
        assert!(transcript.is_empty(), "{sentence}: {transcript:?}");
    }
}

#[test]
fn one_role_is_destroyed_when_its_secret_ends() {
    let server = Server::default().with("app", awake());
    let (facts, _) = call(&server, "destroy", &one().with(1, Role::Current, None, &[]));
    facts.unwrap();
    assert!(!server.role("app").unwrap().can_login);
}

#[test]
fn with_one_role_there_is_nothing_to_switch_off() {
    for step in ["disable", "enable"] {
        let (facts, transcript) = call(&Server::default().with("app", awake()), step, &one());
        assert_eq!(facts.unwrap_err().class(), FailureClass::Unsupported, "{step}");
        assert!(transcript.is_empty(), "{step}");
    }
}
