//! `disable`, `enable`, `destroy`: twice is once, absent is success, and another generation's role is left alone.

use super::server::{Role as Here, Server, awake, holding, one, turns};
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

const LOGIN: &str = "login as password(user=app_a password=password#1):";

fn previous() -> Target<Settings> {
    turns().with(1, Role::Previous, Some("app_a"), &["password"]).with(2, Role::Current, Some("app_b"), &["password"])
}

/// The fact that an earlier call left.
fn switched(mut subject: Target<Settings>, how: &str) -> Target<Settings> {
    subject.generations[0].facts.push(("switched".to_owned(), how.to_owned()));
    subject
}

#[test]
fn a_role_is_switched_off_and_on_again() {
    let server = Server::default().with("app_a", holding(1)).with("app_b", holding(2));
    for (step, expected, can_login) in [
        ("disable", &["role as admin: app_a", LOGIN, "forbid-login as admin: app_a"][..], false),
        ("disable", &["role as admin: app_a"], false),
        ("enable", &["role as admin: app_a", "allow-login as admin: app_a"], true),
        ("enable", &["role as admin: app_a"], true),
    ] {
        let (facts, transcript) = call(&server, step, &previous());
        let off_or_on = if can_login { "on" } else { "off" };
        assert_eq!(facts.unwrap(), [("switched".to_owned(), off_or_on.to_owned())], "{step}");
        assert_eq!(transcript, expected, "{step}");
        assert_eq!(server.role("app_a").unwrap().can_login, can_login, "{step}");
    }
}

#[test]
fn destroying_ends_the_password_and_then_its_sessions() {
    let server = Server::default().with("app_a", Here { sessions: 2, ..holding(1) });
    let (facts, transcript) = call(&server, "destroy", &previous());
    assert_eq!(facts.unwrap()[0], ("ended-sessions".to_owned(), "2".to_owned()));
    assert_eq!(
        transcript,
        [
            "role as admin: app_a",
            LOGIN,
            "erase-verifier as admin: app_a",
            "role as admin: app_a",
            "end-sessions as admin: app_a"
        ]
    );
    let (again, _) = call(&server, "destroy", &previous());
    assert_eq!(again.unwrap()[0], ("ended-sessions".to_owned(), "0".to_owned()));
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
    let server = Server::default().with("app", holding(1));
    let (facts, _) = call(&server, "destroy", &one().with(1, Role::Current, None, &["password"]));
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

#[test]
fn what_cannot_be_told_to_be_ours_is_left_alone() {
    let never_in = || turns().with(1, Role::Pending, Some("app_a"), &["password"]);
    let unknown = || turns().with(1, Role::Previous, Some("app_a"), &[]);
    let other = Here { taken_for: Some("somebody"), ..holding(1) };
    for (sentence, role, subject, steps) in [
        ("a password set by hand", awake(), previous(), &["disable", "destroy"][..]),
        ("a rollback of what never got in", awake(), never_in(), &["disable", "destroy"]),
        ("a value that nobody holds", awake(), unknown(), &["disable", "destroy"]),
        ("a login that is taken for another's", other, previous(), &["disable", "destroy"]),
        ("a login that somebody gave back", holding(1), switched(previous(), "off"), &["destroy"]),
    ] {
        for step in steps {
            let server = Server::default().with("app_a", Here { sessions: 3, ..role.clone() });
            let (facts, transcript) = call(&server, step, &subject);
            let failure = facts.expect_err(sentence);
            assert_eq!(failure.code(), "postgres.not-ours", "{sentence}, {step}");
            assert_eq!(failure.class(), FailureClass::Permanent, "{sentence}, {step}");
            let after = server.role("app_a").unwrap();
            assert_eq!((after.can_login, after.sessions), (role.can_login, 3), "{sentence}, {step}: {transcript:?}");
            assert_eq!(after.password, role.password, "{sentence}, {step}");
        }
    }
}

#[test]
fn what_keybaton_switched_off_is_destroyed_without_a_login() {
    let asleep = Here { password: "password#1".to_owned(), sessions: 1, ..Here::default() };
    let server = Server::default().with("app_a", asleep);
    let (facts, transcript) = call(&server, "destroy", &switched(previous(), "off"));
    assert_eq!(facts.unwrap()[0], ("ended-sessions".to_owned(), "1".to_owned()));
    assert!(!transcript.iter().any(|line| line.starts_with("login")), "{transcript:?}");
}

/// An install that was lost leaves the role as it was: nobody can log in to it, and nothing of ours is in it.
#[test]
fn a_sleeping_role_that_it_never_was_in_is_left_alone() {
    let asleep = Here { password: "somebody's".to_owned(), sessions: 3, ..Here::default() };
    let never_in = turns().with(1, Role::Pending, Some("app_a"), &["password"]);
    for step in ["disable", "destroy"] {
        let server = Server::default().with("app_a", asleep.clone());
        let (facts, transcript) = call(&server, step, &never_in);
        assert_eq!(facts.unwrap(), [("absent".to_owned(), "app_a".to_owned())], "{step}");
        assert_eq!(transcript, ["role as admin: app_a"], "{step}");
    }
}
