//! `install`: a verifier, and before it the group. A second time changes nothing more.

use super::server::{Role as Here, Server, awake, one, turns};
use crate::PostgresPassword;
use keybaton_rotator::testing::context;
use keybaton_rotator::{Role, Rotator};

#[test]
fn the_clear_password_is_in_no_statement() {
    let server = Server::default().with("app", awake());
    let subject = one().with(2, Role::Pending, None, &["password"]);
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
            "create-role as admin: app_b",
            "membership as admin: app_a app_owner",
            "grant-group as admin: app_owner app_a",
            "act-as-group as admin: app_a app_owner",
            "owned as admin: app_a",
            "give-to-group as admin: app_a app_owner",
            "membership as admin: app_b app_owner",
            "grant-group as admin: app_owner app_b",
            "act-as-group as admin: app_b app_owner",
            "owned as admin: app_b",
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
    let server = Server::default().with("app_a", awake());
    let subject = turns().with(2, Role::Pending, Some("app_a"), &["password"]);
    let (facts, _) = server.host().run("install", || PostgresPassword::install(&context(2), &subject));
    assert_eq!(facts.unwrap_err().code(), "postgres.group-missing");
    assert!(server.role("app_a").unwrap().password.is_empty());
}

#[test]
fn without_its_handle_nothing_is_asked_of_the_server() {
    let server = Server::default().with("app", awake());
    let subject = one().with(1, Role::Current, None, &["password"]).with(2, Role::Pending, None, &[]);
    let (facts, transcript) = server.host().run("install", || PostgresPassword::install(&context(2), &subject));
    assert_eq!(facts.unwrap_err().code(), "call.secret-missing");
    assert!(transcript.is_empty());
}
