//! A hostile guest, one behaviour at a time: contained, blamed, and nothing of it reaches the target or the record.

use crate::common::{Bench, Memory, WallClock, connection, known, value};
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::rotator::Rotator;
use keybaton_protocol::event::Outcome;
use keybaton_protocol::fault::{Blame, Fault};
use keybaton_protocol::step::CallKind;
use keybaton_runtime::connection::{PostgresTarget, Target};
use keybaton_runtime::identity::FileSource;
use keybaton_test_support::{Postgres, PostgresOptions};
use serde_json::json;
use std::sync::Arc;

const OLD: &str = "an-old-password-of-app-5Jq0";
const NEW: &str = "a-new-password-of-app-8xW2";

fn bench(server: &Postgres) -> Bench {
    let source = Arc::new(FileSource(server.admin_password_file().to_owned()));
    let target = PostgresTarget::here(server.port(), "postgres", server.admin_user(), source);
    Bench::new("tests/guests/hostile", connection("main", "hostile", &["app"], Target::Postgres(target)))
}

/// The outcome of one behaviour in one export, and its record.
async fn misbehave(bench: &Bench, at: CallKind, behave: &str) -> (Outcome, Arc<Memory>) {
    let settings = json!({ "connection": "main", "behave": behave, "at": at.name() });
    let mut request = bench.request(at, 2, &settings);
    request.known = vec![known(1, "current", Some("app#1")), known(2, "pending", Some("app#2"))];
    request.values = vec![value(1, "password", "old", OLD.as_bytes()), value(2, "password", "new", NEW.as_bytes())];
    let record = Memory::new();
    (bench.runtime.call(request, record.clone()).await, record)
}

fn fault(sentence: &str, outcome: Outcome) -> Fault {
    match outcome {
        Outcome::Failed(fault) => fault,
        other => panic!("{sentence}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_behaviour_is_contained_with_the_right_blame() {
    use CallKind::{Create, Install, Observe, Verify};
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    server.execute("CREATE ROLE app LOGIN").await.unwrap();
    let bench = bench(&server);
    for (at, behave, code, blame) in [
        (Install, "loop", "guest.fuel", Blame::Guest),
        (Install, "memory", "guest.memory", Blame::Guest),
        (Install, "panic", "guest.trap", Blame::Guest),
        (Observe, "panic", "guest.trap", Blame::Guest),
        (Verify, "unreachable", "guest.trap", Blame::Guest),
        (Install, "claim-ambiguous", "guest.claims", Blame::Guest),
        (Install, "claim-denied", "guest.claims", Blame::Guest),
        (Install, "huge-message", "guest.size", Blame::Guest),
        (Create, "flood-calls", "guest.host-calls", Blame::Guest),
        (Create, "flood-handles", "guest.handles", Blame::Guest),
        (Create, "reuse-old", "guest.reused-secret", Blame::Guest),
        (Install, "forged-index", "guest.index", Blame::Guest),
        (Install, "forged-handle", "guest.handle", Blame::Guest),
        (Install, "chosen-password", "guest.params", Blame::Guest),
        (Install, "chosen-form", "sql.form", Blame::Operator),
        (Install, "unknown-form", "secret.form", Blame::Operator),
        (Create, "weak-policy", "keygen.weak", Blame::Operator),
        (Install, "other-role", "connection.identity", Blame::Operator),
        (Install, "quoted-role", "connection.identity", Blame::Operator),
        (Install, "unlisted-template", "sql.template", Blame::Operator),
        (Install, "template-as-text", "sql.template", Blame::Operator),
        (Install, "other-connection", "connection.unknown", Blame::Operator),
        (Observe, "mutate", "sql.step", Blame::Operator),
        (Verify, "mutate", "sql.step", Blame::Operator),
        (Verify, "admin", "sql.step", Blame::Operator),
        (Verify, "", "guest.unproven", Blame::Guest),
        (Verify, "lie-refused", "guest.unproven", Blame::Guest),
        (Install, "unlisted-endpoint", "connection.kind", Blame::Operator),
    ] {
        let sentence = format!("{behave} in {at}");
        let (outcome, record) = misbehave(&bench, at, behave).await;
        let fault = fault(&sentence, outcome);
        assert_eq!((fault.code.as_str(), fault.blame), (code, blame), "{sentence}: {fault}");
        assert!(fault.message.len() <= 1_024, "{sentence}");
        for secret in [OLD, NEW] {
            assert!(!fault.message.contains(secret) && !record.clear_text().contains(secret), "{sentence}");
        }
        assert!(record.sent.lock().unwrap().is_empty(), "{sentence}: nothing mutating left");
    }
    let verifiers = server.rows("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'").await.unwrap();
    assert_eq!(verifiers, [[None]], "the role was never touched");
}

#[tokio::test]
async fn a_deep_recursion_ends_with_the_guest() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    let (outcome, _) = misbehave(&bench(&server), CallKind::Install, "recursion").await;
    let fault = fault("recursion", outcome);
    // A guest keeps a part of its frames in linear memory; which of the two ends first is its compiler's affair.
    assert!(["guest.stack", "guest.trap"].contains(&fault.code.as_str()), "{fault}");
    assert_eq!(fault.blame, Blame::Guest);
}

#[tokio::test]
async fn a_panic_says_where() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    let (outcome, _) = misbehave(&bench(&server), CallKind::Create, "panic").await;
    let fault = fault("panic", outcome);
    assert!(fault.message.contains("trapped"), "{fault}");
}

#[tokio::test]
async fn an_echoed_secret_comes_back_as_a_placeholder() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    let (outcome, record) = misbehave(&bench(&server), CallKind::Install, "echo-secret").await;
    let fault = fault("echo", outcome);
    assert_eq!(fault.code, "hostile.echo");
    assert!(fault.message.contains("[secret]"), "{fault}");
    for text in [fault.message, record.clear_text()] {
        assert!(!text.contains(NEW) && !text.contains(OLD), "{text}");
    }
}

#[tokio::test]
async fn an_endless_loop_leaves_room_for_others() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    let bench = bench(&server);
    let looping = misbehave(&bench, CallKind::Install, "loop");
    let other = async {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let (outcome, _) = misbehave(&bench, CallKind::Create, "").await;
        (matches!(outcome, Outcome::Created(_)), WallClock.wall())
    };
    let ((looped, _), (created, at)) = tokio::join!(async { (looping.await, ()) }, other);
    let ended = WallClock.wall();
    assert!(created, "the other call was served");
    assert!(matches!(looped.0, Outcome::Failed(_)));
    assert!(at <= ended, "on one thread, while the loop ran");
}

#[tokio::test]
async fn a_flood_of_log_lines_is_dropped_and_the_call_goes_on() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    server.execute("CREATE ROLE app LOGIN").await.unwrap();
    let (outcome, _) = misbehave(&bench(&server), CallKind::Observe, "flood-log").await;
    assert!(
        matches!(outcome, Outcome::Observed { .. })
            || matches!(&outcome, Outcome::Failed(fault) if fault.code == "guest.fuel"),
        "{outcome:?}"
    );
}
