//! The postgres-password plugin, sandboxed, against a real server: what it can do, and that it never sees a secret.

use crate::common::{Bench, Memory, connection, known, value};
use keybaton_engine::ports::rotator::{Rotator, Until};
use keybaton_protocol::event::{HostAnswer, Minted, Outcome};
use keybaton_protocol::fault::{Blame, FailureClass, Fault};
use keybaton_protocol::profile::Overlap;
use keybaton_protocol::step::CallKind;
use keybaton_runtime::connection::{Connection, PostgresTarget, Target};
use keybaton_runtime::identity::FileSource;
use keybaton_test_support::{Login, Postgres, PostgresOptions};
use serde_json::json;
use std::sync::Arc;

const PLUGIN: &str = "postgres-password";

pub(crate) fn postgres(server: &Postgres, identities: &[&str]) -> Connection {
    let source = Arc::new(FileSource(server.admin_password_file().to_owned()));
    let target = PostgresTarget::here(server.port(), "postgres", server.admin_user(), source);
    connection("main", PLUGIN, identities, Target::Postgres(target))
}

fn minted(outcome: Outcome) -> Minted {
    match outcome {
        Outcome::Created(minted) => minted,
        other => panic!("{other:?}"),
    }
}

fn fault(outcome: Outcome) -> Fault {
    match outcome {
        Outcome::Failed(fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_role_is_created_installed_verified_and_resumed_from_the_record() {
    let server = Postgres::start(PostgresOptions { log_statements: true, ..PostgresOptions::default() }).await.unwrap();
    let bench = Bench::new("plugins/postgres-password", postgres(&server, &["app"]));
    let settings = json!({ "connection": "main", "role": "app" });
    let name = PLUGIN.parse().unwrap();

    let described = bench.runtime.describe(&name).await.unwrap();
    assert_eq!((described.component, described.name.as_str()), (bench.digest, PLUGIN));
    let profiled = bench.runtime.profile(&name, &settings.to_string()).await.unwrap();
    assert_eq!(profiled.profile.overlap, Overlap::None);
    assert_eq!(bench.runtime.validate(&name, &settings.to_string()).await.unwrap(), []);
    let wrong = bench.runtime.validate(&name, &json!({ "connection": "main", "rolle": "app" }).to_string()).await;
    assert!(wrong.unwrap().iter().all(|finding| finding.fatal));
    let preflight = bench.request(CallKind::Observe, 1, &settings);
    let findings = bench.runtime.preflight(preflight).await.unwrap();
    assert!(findings.iter().all(|finding| !finding.fatal), "{findings:?}");

    // create
    let record = Memory::new();
    let minted_first = minted(bench.runtime.call(bench.request(CallKind::Create, 1, &settings), record.clone()).await);
    let (field, label) = &minted_first.fields[0];
    assert_eq!(field, "password");
    let password = record.sealed(label);
    assert_eq!(record.waited(), [Until::InLine], "it was made here, and has gone nowhere");
    // … again from the record: the same label, nothing new at the target.
    let again = minted(bench.runtime.call(bench.request(CallKind::Create, 1, &settings), record.clone()).await);
    assert_eq!(again, minted_first);

    // install
    let install = || {
        let mut request = bench.request(CallKind::Install, 1, &settings);
        request.known = vec![known(1, "pending", Some("app#1"))];
        request.values = vec![value(1, "password", label.as_str(), password.expose())];
        request
    };
    let installing = Memory::new();
    let outcome = bench.runtime.call(install(), installing.clone()).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert!(!installing.sent.lock().unwrap().is_empty(), "mutating statements are announced");
    let login = server.login("app", std::str::from_utf8(password.expose()).unwrap()).await.unwrap();
    assert_eq!(login, Login::Works, "the clear password logs in");

    // … resumed after a crash: all from the record.
    let before = installing.calls.lock().unwrap().len();
    let outcome = bench.runtime.call(install(), installing.clone()).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!(installing.calls.lock().unwrap().len(), before);

    // verify, with the right and with a wrong password
    for (bytes, works) in [(password.expose(), true), (b"not-the-password".as_slice(), false)] {
        let mut request = bench.request(CallKind::Verify, 1, &settings);
        request.known = vec![known(1, "pending", Some("app#1"))];
        request.values = vec![value(1, "password", label.as_str(), bytes)];
        let outcome = bench.runtime.call(request, Memory::new()).await;
        assert_eq!(matches!(outcome, Outcome::Works), works, "{outcome:?}");
        assert_eq!(matches!(outcome, Outcome::Refused(_)), !works, "{outcome:?}");
    }

    let clear = String::from_utf8_lossy(password.expose()).into_owned();
    for (place, text) in [
        ("create's record", record.clear_text()),
        ("install's record", installing.clear_text()),
        ("the server's log", server.log().unwrap()),
    ] {
        assert!(!text.contains(&clear), "{place} holds the password");
    }
}

#[tokio::test]
async fn what_is_not_allowed_is_denied_before_any_effect_and_recorded() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    for (sentence, identities, settings, namespace, code) in [
        ("a role outside the connection's identities", &["other"][..], "main", "team", "connection.identity"),
        ("an unknown connection", &["app"], "nope", "team", "connection.unknown"),
        ("another namespace", &["app"], "main", "guest", "connection.namespace"),
    ] {
        let bench = Bench::new("plugins/postgres-password", postgres(&server, identities));
        let mut request = bench.request(CallKind::Observe, 1, &json!({ "connection": settings, "role": "app" }));
        request.secret = format!("{namespace}/app").parse().unwrap();
        let record = Memory::new();
        let fault = fault(bench.runtime.call(request, record.clone()).await);
        assert_eq!((fault.code.as_str(), fault.class), (code, FailureClass::Denied), "{sentence}: {fault}");
        assert_eq!(fault.blame, Blame::Operator, "{sentence}");
        let calls = record.calls.lock().unwrap();
        assert_eq!(calls.len(), 1, "{sentence}: journalled");
        assert!(calls.values().all(|call| call.answer == HostAnswer::NotDone), "{sentence}");
    }
}

#[tokio::test]
async fn a_resumed_step_that_asks_for_something_else_is_the_guests_fault_and_ambiguous() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    let bench = Bench::new("plugins/postgres-password", postgres(&server, &["app", "app2"]));
    let record = Memory::new();
    let first = bench.request(CallKind::Create, 1, &json!({ "connection": "main", "role": "app" }));
    minted(bench.runtime.call(first, record.clone()).await);
    let other = bench.request(CallKind::Create, 1, &json!({ "connection": "main", "role": "app2" }));
    let fault = fault(bench.runtime.call(other, record).await);
    assert_eq!(
        (fault.code.as_str(), fault.class, fault.blame),
        ("guest.mismatch", FailureClass::Ambiguous, Blame::Guest)
    );
}

#[tokio::test]
async fn a_server_that_is_away_is_retryable_and_a_journal_that_is_away_stops_the_call() {
    let mut server = Postgres::start(PostgresOptions::default()).await.unwrap();
    let bench = Bench::new("plugins/postgres-password", postgres(&server, &["app"]));
    let settings = json!({ "connection": "main", "role": "app" });
    let record = Memory::new();
    *record.fails_from.lock().unwrap() = Some(0);
    let unrecorded = fault(bench.runtime.call(bench.request(CallKind::Observe, 1, &settings), record).await);
    assert_eq!((unrecorded.code.as_str(), unrecorded.blame), ("host.journal", Blame::Host), "{unrecorded}");
    // Not `kill`: a session of a killed server lives on until it notices.
    server.down().await.unwrap();
    let away = fault(bench.runtime.call(bench.request(CallKind::Observe, 1, &settings), Memory::new()).await);
    assert_eq!((away.class, away.blame), (FailureClass::Retryable, Blame::Target), "{away}");
}

#[tokio::test]
async fn past_the_deadline_no_host_call_is_made() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    let bench = Bench::new("plugins/postgres-password", postgres(&server, &["app"]));
    let mut request = bench.request(CallKind::Observe, 1, &json!({ "connection": "main", "role": "app" }));
    request.deadline = keybaton_protocol::ids::Millis(1);
    let record = Memory::new();
    let fault = fault(bench.runtime.call(request, record.clone()).await);
    assert_eq!((fault.code.as_str(), fault.blame), ("host.deadline", Blame::Host), "{fault}");
    assert!(record.calls.lock().unwrap().is_empty());
}
