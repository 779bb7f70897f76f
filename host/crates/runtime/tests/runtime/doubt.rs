//! Statements whose answer is lost, late or silent: what is certain is said to be, the rest is ambiguous, and the
//! outcome reaches the record even when nobody waits for it any more.

use crate::common::{Bench, Memory, connection, known, value};
use keybaton_engine::ports::rotator::{CallRequest, Rotator};
use keybaton_protocol::event::{HostAnswer, Outcome};
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::step::CallKind;
use keybaton_runtime::connection::{PostgresTarget, Target};
use keybaton_runtime::identity::FileSource;
use keybaton_test_support::{Fault, FlakyProxy, Postgres, PostgresOptions, When};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const PASSWORD: &[u8] = b"a-new-password-of-app-8xW2";

async fn behind_proxy() -> (Postgres, FlakyProxy, Bench) {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    server.execute("CREATE ROLE app NOLOGIN").await.unwrap();
    let proxy = FlakyProxy::start(server.port()).await.unwrap();
    let source = Arc::new(FileSource(server.admin_password_file().to_owned()));
    let target = PostgresTarget::here(proxy.port(), "postgres", server.admin_user(), source);
    let mut connection = connection("main", "postgres-password", &["app"], Target::Postgres(target));
    connection.limits.timeout_ms = 700;
    (server, proxy, Bench::new("plugins/postgres-password", connection))
}

fn install(bench: &Bench) -> CallRequest {
    let mut request = bench.request(CallKind::Install, 1, &json!({ "connection": "main", "role": "app" }));
    // It is in its role already: the plugin reads, and then changes.
    request.known = vec![known(1, "current", Some("app#1"))];
    request.values = vec![value(1, "password", "new", PASSWORD)];
    request
}

/// How the mutating host call ended, by the record.
fn ending(record: &Memory) -> Vec<HostAnswer> {
    let calls = record.calls.lock().unwrap();
    calls.values().map(|call| call.answer).filter(|answer| *answer != HostAnswer::Answered).collect()
}

#[tokio::test]
async fn a_lost_answer_is_ambiguous_and_a_refused_connection_is_not() {
    let (server, proxy, bench) = behind_proxy().await;
    let alter = || When::request_holds("PASSWORD");
    for (sentence, fault, when, class, endings) in [
        ("the answer is lost", Fault::LoseReply, alter(), FailureClass::Ambiguous, vec![HostAnswer::Lost]),
        ("the request is lost", Fault::LoseRequest, alter(), FailureClass::Ambiguous, vec![HostAnswer::Lost]),
        ("the server falls silent", Fault::SilenceReply, alter(), FailureClass::Ambiguous, vec![HostAnswer::Lost]),
        ("the connection is reset", Fault::Reset, alter(), FailureClass::Ambiguous, vec![HostAnswer::Lost]),
        (
            "nobody answers at all",
            Fault::Refuse,
            When::next().times(9),
            FailureClass::Retryable,
            vec![HostAnswer::NotDone],
        ),
    ] {
        proxy.cut_all();
        let armed = proxy.arm(fault, when);
        let record = Memory::new();
        let outcome = bench.runtime.call(install(&bench), record.clone()).await;
        proxy.disarm();
        assert!(armed.fired() > 0, "{sentence}: the fault struck");
        match outcome {
            Outcome::Failed(fault) => assert_eq!(fault.class, class, "{sentence}: {fault}"),
            other => panic!("{sentence}: {other:?}"),
        }
        assert_eq!(ending(&record), endings, "{sentence}");
    }
    proxy.cut_all();
    let outcome = bench.runtime.call(install(&bench), Memory::new()).await;
    assert!(matches!(outcome, Outcome::Done(_)), "afterwards all is well: {outcome:?}");
    drop(server);
}

#[tokio::test]
async fn an_idle_session_that_died_does_not_put_a_statement_in_doubt() {
    let (server, proxy, bench) = behind_proxy().await;
    assert!(matches!(bench.runtime.call(install(&bench), Memory::new()).await, Outcome::Done(_)));
    proxy.cut_all();
    let outcome = bench.runtime.call(install(&bench), Memory::new()).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    drop(server);
}

#[tokio::test]
async fn a_session_that_was_idle_for_long_is_asked_before_a_statement_is_trusted_to_it() {
    let (server, proxy, bench) = behind_proxy().await;
    assert!(matches!(bench.runtime.call(install(&bench), Memory::new()).await, Outcome::Done(_)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    // As by a firewall that has forgotten it: that it is dead shows at the next packet.
    let armed = proxy.arm(Fault::Reset, When::next());
    let record = Memory::new();
    let outcome = bench.runtime.call(install(&bench), record.clone()).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!((armed.fired(), ending(&record)), (1, vec![]));
    drop(server);
}

#[tokio::test]
async fn what_changes_something_is_sent_only_into_a_session_that_has_just_answered() {
    let (server, proxy, bench) = behind_proxy().await;
    assert!(matches!(bench.runtime.call(install(&bench), Memory::new()).await, Outcome::Done(_)));
    // The plugin reads, and then changes. Each is asked for first: the third request is the question before the change.
    let armed = proxy.arm(Fault::Reset, When::next().skip(2));
    let record = Memory::new();
    let outcome = bench.runtime.call(install(&bench), record.clone()).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!((armed.fired(), ending(&record)), (1, vec![]));
    drop(server);
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_still_records_its_outcome() {
    let (server, proxy, bench) = behind_proxy().await;
    let mut armed = proxy.arm(Fault::DelayReply(Duration::from_millis(400)), When::request_holds("PASSWORD"));
    let record = Memory::new();
    let runtime = Arc::clone(&bench.runtime);
    let (request, recorder) = (install(&bench), record.clone());
    let call = tokio::spawn(async move { runtime.call(request, recorder).await });
    assert!(armed.wait(1, Duration::from_secs(5)).await, "the statement left");
    call.abort();
    assert!(call.await.is_err(), "the call is gone");
    let before = record.calls.lock().unwrap().len();
    tokio::time::sleep(Duration::from_millis(900)).await;
    let calls = record.calls.lock().unwrap();
    assert_eq!(calls.len(), before + 1, "its outcome came later");
    assert_eq!(calls.values().last().unwrap().answer, HostAnswer::Answered);
    drop(server);
}
