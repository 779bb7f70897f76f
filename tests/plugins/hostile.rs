//! Guests that break their contract: in every export, in host calls, in what they say. `../guests/README.md` is the
//! table; the runtime's own tests hold the statements of its second half.

use crate::jupyterhub;
use crate::rig::{Record, Rig};
use keybaton_engine::ports::rotator::Rotator;
use keybaton_protocol::event::Outcome;
use keybaton_protocol::fault::{Blame, FailureClass, Fault};
use keybaton_protocol::step::CallKind::{self, Create, Destroy, Disable, Enable, Install, Observe, Promote, Verify};
use keybaton_runtime::connection::{PostgresTarget, Target, Tls};
use keybaton_test_support::{JupyterHub, JupyterHubOptions};
use serde_json::json;
use std::sync::Arc;

const GUEST: &str = "tests/guests/hostile";
const OLD: &str = "an-old-password-of-app-5Jq0";
const NEW: &str = "a-new-password-of-app-8xW2";

/// A rig whose connection leads nowhere: what is refused here is refused before it could leave.
fn nowhere() -> Rig {
    let target = Target::Postgres(PostgresTarget {
        host: "127.0.0.1".to_owned(),
        port: 1,
        database: "postgres".to_owned(),
        tls: Tls::off(),
        admin: None,
        addresses: Arc::default(),
    });
    let mut rig = Rig::new(GUEST, target, &["app"], json!({}));
    rig.know(1, "current", None);
    rig.supply(1, "password", OLD);
    rig.know(2, "pending", None);
    rig.supply(2, "password", NEW);
    rig
}

async fn misbehave(rig: &mut Rig, at: CallKind, behave: &str) -> (Outcome, Arc<Record>) {
    rig.settings = json!({ "connection": "main", "behave": behave, "at": at.name() });
    rig.call(at, 2).await
}

fn blamed(sentence: &str, outcome: Result<Fault, String>, codes: &[&str]) {
    let fault = outcome.unwrap_or_else(|other| panic!("{sentence}: {other}"));
    assert_eq!(fault.blame, Blame::Guest, "{sentence}: {fault}");
    assert!(codes.contains(&fault.code.as_str()), "{sentence}: {fault}");
    assert!(!fault.message.contains(OLD) && !fault.message.contains(NEW), "{sentence}: {fault}");
    assert!(fault.message.len() <= 1_024, "{sentence}");
}

fn failed(outcome: Outcome) -> Result<Fault, String> {
    match outcome {
        Outcome::Failed(fault) => Ok(fault),
        other => Err(format!("{other:?}")),
    }
}

/// What computes too much, and what breaks off: the same in every export.
const ANYWHERE: [(&str, &[&str]); 8] = [
    ("loop", &["guest.fuel"]),
    ("memory", &["guest.memory"]),
    ("recursion", &["guest.stack"]),
    ("panic", &["guest.trap"]),
    ("unreachable", &["guest.trap"]),
    ("claim-ambiguous", &["guest.claims"]),
    ("claim-denied", &["guest.claims"]),
    ("huge-message", &["guest.encoding", "guest.size"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_export_is_contained() {
    let mut rig = nowhere();
    let plugin = rig.plugin.parse().unwrap();
    for (behave, codes) in ANYWHERE {
        for at in [Observe, Create, Install, Verify, Promote, Disable, Enable, Destroy] {
            let (outcome, record) = misbehave(&mut rig, at, behave).await;
            blamed(&format!("{behave} in {at}"), failed(outcome), codes);
            assert!(record.sent.lock().unwrap().is_empty(), "{behave} in {at}: nothing left");
        }
        let settings = |at: &str| json!({ "connection": "main", "behave": behave, "at": at });
        rig.settings = settings("preflight");
        let fault = rig.preflight(2).await.map_err(Ok::<_, String>).unwrap_err();
        blamed(&format!("{behave} in preflight"), fault, codes);
        let answer = rig.runtime.profile(&plugin, &settings("profile").to_string()).await;
        blamed(&format!("{behave} in profile"), answer.map_or_else(Ok, |other| Err(format!("{other:?}"))), codes);
        let answer = rig.runtime.validate(&plugin, &settings("validate").to_string()).await;
        blamed(&format!("{behave} in validate"), answer.map_or_else(Ok, |other| Err(format!("{other:?}"))), codes);
    }
    let (outcome, _) = misbehave(&mut rig, Create, "").await;
    assert!(matches!(outcome, Outcome::Created(_)), "and the next call is served: {outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_too_large_or_of_no_shape_are_refused() {
    let mut rig = nowhere();
    let plugin = rig.plugin.parse().unwrap();
    let sizes: &[&str] = &["guest.encoding", "guest.size", "guest.memory"];
    for (at, behave, codes) in [
        (Create, "huge-string", sizes),
        (Create, "huge-list", sizes),
        (Destroy, "huge-string", sizes),
        (Destroy, "huge-list", sizes),
        (Observe, "lie-at-length", sizes),
        (Observe, "lie-without-an-id", &["guest.encoding"]),
        (Observe, "lie-about-time", &["guest.encoding"]),
        (Create, "reuse-old", &["guest.reused-secret"]),
        (Verify, "", &["guest.unproven"]),
        (Verify, "lie-refused", &["guest.unproven"]),
    ] {
        let (outcome, _) = misbehave(&mut rig, at, behave).await;
        blamed(&format!("{behave} in {at}"), failed(outcome), codes);
    }
    for behave in ["huge-string", "not-json", "unknown-key", "missing-key", "absurd"] {
        let settings = json!({ "behave": behave, "at": "profile" }).to_string();
        let answer = rig.runtime.profile(&plugin, &settings).await;
        let codes = &["guest.encoding", "guest.size"];
        blamed(&format!("{behave} in profile"), answer.map_or_else(Ok, |other| Err(format!("{other:?}"))), codes);
    }
}

#[tokio::test]
async fn a_lie_about_what_is_live_names_nothing_as_ours() {
    let mut rig = nowhere();
    rig.settings = json!({ "behave": "lie-somebody-elses", "at": "observe" });
    let (outcome, _) = rig.call(Observe, 2).await;
    // Generations without an id cannot be told of, so only the foreign one has a name; its role is the host's to say.
    let fault = failed(outcome).unwrap();
    assert_eq!(fault.code, "guest.encoding", "known generations have no id here: {fault}");
    rig.settings = json!({ "behave": "lie-nothing-is-live", "at": "observe" });
    assert!(rig.observe(2).await.is_empty(), "an observation permits nothing by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_the_manifest_does_not_list_never_leave() {
    let hub = JupyterHub::start(JupyterHubOptions::default()).await.unwrap();
    for user in ["app", "admin"] {
        hub.create_user(user).await.unwrap();
    }
    let mut rig = Rig::new(GUEST, jupyterhub::target(&hub), &["app"], json!({}));
    rig.know(2, "pending", None);
    for (behave, code) in [
        ("unlisted-endpoint", "http.endpoint"),
        ("climbing-path", "http.endpoint"),
        ("other-user", "connection.identity"),
        ("own-authorization", "http.header"),
        ("unlisted-capture", "http.capture"),
    ] {
        let (outcome, record) = misbehave(&mut rig, Create, behave).await;
        let fault = failed(outcome).unwrap_or_else(|other| panic!("{behave}: {other}"));
        assert_eq!((fault.class, fault.blame), (FailureClass::Denied, Blame::Operator), "{behave}: {fault}");
        assert_eq!(fault.code, code, "{behave}: {fault}");
        assert!(record.sent.lock().unwrap().is_empty(), "{behave}");
    }
    assert!(hub.tokens("app").await.unwrap().is_empty() && hub.tokens("admin").await.unwrap().is_empty());

    let (outcome, record) = misbehave(&mut rig, Create, "echo-capture").await;
    let fault = failed(outcome).unwrap();
    assert_eq!(fault.code, "hostile.echo");
    assert!(fault.message.contains("[secret]"), "the body came with a placeholder: {fault}");
    assert_eq!(hub.tokens("app").await.unwrap().len(), 1, "it was minted, and is on record as sealed");
    assert_eq!(record.sent.lock().unwrap().len(), 1);
}
