//! `postgres-password` against a real PostgreSQL: every export, each twice, for one role and for two in turn.

use crate::rig::Rig;
use keybaton_engine::ports::rotator::Rotator;
use keybaton_protocol::fault::{Blame, FailureClass};
use keybaton_protocol::profile::Overlap;
use keybaton_protocol::step::CallKind::{Create, Destroy, Disable, Enable, Install, Promote};
use keybaton_runtime::connection::{PostgresTarget, Target};
use keybaton_runtime::identity::FileSource;
use keybaton_test_support::{Login, Postgres, PostgresOptions};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) fn one() -> Value {
    json!({ "connection": "main", "role": "app" })
}

pub(crate) fn turns() -> Value {
    json!({ "connection": "main", "roles": ["app_a", "app_b"], "group": "app_owner" })
}

/// A server that logs every statement, and a rig for the plugin with these settings.
pub(crate) async fn rig(settings: Value) -> (Postgres, Rig) {
    let server = Postgres::start(PostgresOptions { log_statements: true, ..PostgresOptions::default() }).await.unwrap();
    let target = Target::Postgres(PostgresTarget::here(
        server.port(),
        "postgres",
        server.admin_user(),
        Arc::new(FileSource(server.admin_password_file().to_owned())),
    ));
    let rig = Rig::new("plugins/postgres-password", target, &["app", "app_*"], settings);
    (server, rig)
}

pub(crate) async fn lets_in(server: &Postgres, user: &str, password: &str) -> bool {
    server.login(user, password).await.unwrap() == Login::Works
}

#[tokio::test]
async fn what_the_plugin_says_of_itself_and_of_settings() {
    let (_server, rig) = rig(one()).await;
    let plugin = rig.plugin.parse().unwrap();
    assert_eq!(rig.runtime.describe(&plugin).await.unwrap().name, plugin);
    for (sentence, settings, overlap) in [
        ("one role", one(), Overlap::None),
        ("two in turn", turns(), Overlap::Alternate(vec!["app_a".parse().unwrap(), "app_b".parse().unwrap()])),
    ] {
        let profiled = rig.runtime.profile(&plugin, &settings.to_string()).await.unwrap();
        assert_eq!(profiled.profile.overlap, overlap, "{sentence}");
        assert_eq!(rig.runtime.validate(&plugin, &settings.to_string()).await.unwrap(), [], "{sentence}");
    }
    for (sentence, settings) in [
        ("no role at all", json!({ "connection": "main" })),
        ("two roles without a group", json!({ "connection": "main", "roles": ["a", "b"] })),
        ("one role twice", json!({ "connection": "main", "roles": ["a", "a"], "group": "g" })),
        ("a group that is a role", json!({ "connection": "main", "roles": ["a", "b"], "group": "a" })),
        ("a misspelt word", json!({ "connection": "main", "rolle": "app" })),
        ("a reserved name", json!({ "connection": "main", "role": "pg_app" })),
    ] {
        let findings = rig.runtime.validate(&plugin, &settings.to_string()).await.unwrap();
        assert!(findings.iter().any(|finding| finding.fatal), "{sentence}: {findings:?}");
    }
}

#[tokio::test]
async fn one_role_from_its_first_password_to_its_last() {
    let (server, mut rig) = rig(one()).await;
    assert_eq!(rig.seen().await, [""; 0], "nothing there");
    assert_eq!(rig.preflight(1).await.unwrap(), []);

    rig.know(1, "pending", None);
    let first = rig.create(1).await.unwrap();
    assert_eq!(first.attributes, [("username".to_owned(), "app".to_owned())]);
    assert_eq!(rig.seen().await, [""; 0], "creating changes nothing at the server");
    for again in [false, true] {
        rig.done(Install, 1).await;
        assert!(rig.works(1).await, "again: {again}");
    }
    rig.role(1, "current");
    assert!(lets_in(&server, "app", &rig.value(1)).await);

    // The new overwrites the old, and the login tells which is in force.
    rig.know(2, "pending", None);
    rig.create(2).await.unwrap();
    assert_eq!(rig.seen().await, ["app#1 active -"]);
    assert!(!rig.works(2).await, "not installed yet");
    rig.done(Install, 2).await;
    assert_eq!(rig.seen().await, ["app#2 active -"]);
    assert!(rig.works(2).await && !rig.works(1).await);

    // And back.
    rig.done(Install, 1).await;
    assert_eq!(rig.seen().await, ["app#1 active -"]);
    assert_eq!(rig.done(Destroy, 2).await, [("superseded-by".to_owned(), "1".to_owned())]);
    assert!(rig.works(1).await, "giving pending back left current alone");
    rig.forget(2);

    // Somebody else changes it: none of the known works.
    server.execute("ALTER ROLE app PASSWORD 'by hand'").await.unwrap();
    rig.know(3, "pending", None);
    rig.create(3).await.unwrap();
    assert_eq!(rig.seen().await, ["app#0 active -"], "drift");
    rig.forget(3);

    // It is not ours to end, until it is ours again.
    assert_eq!(rig.fault(Destroy, 1).await.code, "postgres.not-ours");
    assert!(lets_in(&server, "app", "by hand").await, "nothing was touched");
    rig.done(Install, 1).await;
    for again in [false, true] {
        rig.done(Destroy, 1).await;
        assert!(!lets_in(&server, "app", &rig.value(1)).await, "again: {again}");
    }
    server.execute("DROP ROLE app").await.unwrap();
    assert_eq!(rig.done(Destroy, 1).await, [("absent".to_owned(), "app".to_owned())]);
    let log = server.log().unwrap();
    assert!(log.contains("SCRAM-SHA-256$"), "statements are logged");
    assert!(!log.contains(&rig.value(1)), "the clear password reached the server's log");
}

#[tokio::test]
async fn two_roles_in_turn() {
    let (server, mut rig) = rig(turns()).await;
    server.execute("CREATE ROLE app_owner NOLOGIN").await.unwrap();
    rig.know(1, "pending", Some("app_a"));
    rig.create(1).await.unwrap();
    rig.done(Install, 1).await;
    assert!(rig.works(1).await);
    rig.role(1, "current");
    rig.know(2, "pending", Some("app_b"));
    rig.create(2).await.unwrap();
    assert_eq!(rig.attribute(2, "username").as_deref(), Some("app_b"));
    for again in [false, true] {
        rig.done(Install, 2).await;
        assert!(rig.works(1).await && rig.works(2).await, "both at once, again: {again}");
    }
    rig.role(2, "current");
    rig.role(1, "previous");

    // The old one is in use, and the server says so.
    let session = server.connect("app_a", &rig.value(1), "postgres").await.unwrap();
    assert_eq!(rig.seen().await, ["app_a#1 active 1", "app_b#2 active 0"]);
    for again in [false, true] {
        rig.done(Disable, 1).await;
        assert!(!lets_in(&server, "app_a", &rig.value(1)).await, "again: {again}");
        assert_eq!(rig.seen().await, ["app_a#1 inactive 1", "app_b#2 active 0"]);
    }
    session.simple_query("SELECT 1").await.expect("disabling cuts nobody off");
    for again in [false, true] {
        rig.done(Enable, 1).await;
        assert!(lets_in(&server, "app_a", &rig.value(1)).await, "again: {again}");
    }
    rig.done(Disable, 1).await;
    assert_eq!(rig.done(Destroy, 1).await[0], ("ended-sessions".to_owned(), "1".to_owned()));
    session.simple_query("SELECT 1").await.expect_err("destroying ends what it had opened");
    assert_eq!(rig.done(Destroy, 1).await[0], ("ended-sessions".to_owned(), "0".to_owned()));
    server.execute("ALTER ROLE app_a LOGIN").await.unwrap();
    assert!(!lets_in(&server, "app_a", &rig.value(1)).await, "the password is gone, not only the login");
    server.execute("ALTER ROLE app_a NOLOGIN").await.unwrap();
    rig.forget(1);
    assert_eq!(rig.seen().await, ["app_b#2 active 0"]);

    // The next turn takes the freed slot.
    rig.know(3, "pending", Some("app_a"));
    rig.create(3).await.unwrap();
    rig.done(Install, 3).await;
    assert!(rig.works(2).await && rig.works(3).await);
    assert_eq!(rig.fault(Promote, 3).await.class, FailureClass::Unsupported);
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let (server, mut rig) = rig(one()).await;
    server.execute("CREATE ROLE app LOGIN PASSWORD 'by hand'").await.unwrap();
    let findings = rig.preflight(1).await.unwrap();
    assert!(matches!(&findings[..], [finding] if !finding.fatal && finding.message.contains("import it")));
    rig.know(1, "pending", None);
    assert_eq!(rig.create(1).await.unwrap_err().code, "postgres.role-in-use");
    assert_eq!(rig.seen().await, ["app#0 active -"], "what is only being prepared is not taken for it");
    for step in [Disable, Enable] {
        assert_eq!(rig.fault(step, 1).await.class, FailureClass::Unsupported, "{step}");
    }
    assert_eq!(rig.fault(Install, 1).await.code, "call.secret-missing");
    assert!(lets_in(&server, "app", "by hand").await, "the role is as it was");

    rig.settings = json!({ "connection": "main", "role": "root" });
    let fault = rig.fault(Create, 1).await;
    assert_eq!((fault.code.as_str(), fault.blame), ("connection.identity", Blame::Operator));

    rig.settings = json!({ "connection": "main", "role": "app", "existing": "replace" });
    rig.create(1).await.unwrap();
    rig.done(Install, 1).await;
    assert!(rig.works(1).await && !lets_in(&server, "app", "by hand").await);
}

#[tokio::test]
async fn a_server_that_is_away_is_no_refusal() {
    let (mut server, mut rig) = rig(one()).await;
    rig.know(1, "pending", None);
    rig.create(1).await.unwrap();
    rig.done(Install, 1).await;
    server.down().await.unwrap();
    for step in [keybaton_protocol::step::CallKind::Verify, Install, Destroy] {
        assert_eq!(rig.fault(step, 1).await.class, FailureClass::Retryable, "{step}");
    }
    server.up().await.unwrap();
    assert!(rig.works(1).await, "installed for good");
}

#[tokio::test]
async fn a_session_that_the_server_has_ended_is_left_and_nothing_is_in_doubt_for_it() {
    let (server, mut rig) = rig(one()).await;
    let sessions = "FROM pg_stat_activity WHERE application_name = 'keybaton-admin'";
    for number in 1..=5 {
        rig.know(number, "pending", None);
        rig.create(number).await.unwrap();
        // Panics at any other outcome.
        rig.done(Install, number).await;
        let ended = server.rows(&format!("SELECT pg_terminate_backend(pid, 5000)::text {sessions}")).await.unwrap();
        assert_eq!(ended, [[Some("true".to_owned())]], "one was kept after generation {number}");
        rig.role(number, "current");
        if number > 1 {
            rig.forget(number - 1);
        }
    }
    assert!(rig.works(5).await);
}
