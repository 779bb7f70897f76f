//! The http-token plugin against a real JupyterHub, and the host's handling of every kind of answer against a double.

use crate::common::{Bench, Memory, addresses as addresses_of, connection, known, root, value};
use crate::double::{Answer, Double};
use keybaton_engine::ports::rotator::{Rotator, Until};
use keybaton_protocol::event::{Minted, Outcome};
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::step::CallKind;
use keybaton_runtime::connection::{Connection, HttpAdmin, HttpTarget, Target, Tls};
use keybaton_runtime::identity::FileSource;
use keybaton_runtime::manifest::Endpoint;
use keybaton_test_support::{JupyterHub, JupyterHubOptions};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

const TOKEN: &str = "0123456789abcdef-minted-by-the-target";

fn endpoints() -> Vec<Endpoint> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let tokens = "/hub/api/users/{user}/tokens";
    [
        ("GET", tokens, &["user:identity"][..], &[][..]),
        ("POST", tokens, &["user:identity"], &["json:/token"]),
        ("GET", "/hub/api/user", &[], &[]),
        ("DELETE", "/hub/api/users/{user}/tokens/{id}", &["user:identity", "id:value"], &[]),
    ]
    .into_iter()
    .map(|(method, path, params, captures)| {
        Endpoint::concrete(method, path, &[], &texts(params), &texts(captures)).unwrap()
    })
    .collect()
}

pub(crate) fn hub(origin: &str, token: &Path, addresses: &[&str], identities: &[&str]) -> Connection {
    let target = HttpTarget {
        base_url: origin.parse().unwrap(),
        dial: None,
        check: None,
        tls: Tls::off(),
        admin: Some(HttpAdmin::Bearer { prefix: "token".to_owned(), token: Arc::new(FileSource(token.to_owned())) }),
        addresses: addresses_of(addresses),
        endpoints: endpoints(),
    };
    let mut connection = connection("hub", "http-token", identities, Target::Http(target));
    connection.limits.timeout_ms = 5_000;
    connection
}

pub(crate) fn settings() -> serde_json::Value {
    let text = std::fs::read(root().join("plugins/http-token/tests/jupyterhub.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn minted(outcome: Outcome) -> Minted {
    match outcome {
        Outcome::Created(minted) => minted,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_is_minted_verified_listed_and_deleted() {
    let server = JupyterHub::start(JupyterHubOptions::default()).await.unwrap();
    server.create_user("svc-app").await.unwrap();
    let connection = hub(&server.origin(), server.admin_token_file(), &["127.0.0.0/8"], &["svc-*"]);
    let bench = Bench::new("plugins/http-token", connection);
    let record = Memory::new();
    let created = minted(bench.runtime.call(bench.request(CallKind::Create, 1, &settings()), record.clone()).await);
    let id = created.id.clone().unwrap();
    let (field, label) = &created.fields[0];
    let token = record.sealed(label);
    let clear = String::from_utf8_lossy(token.expose()).into_owned();
    assert_eq!(server.whoami(&clear).await.unwrap().as_deref(), Some("svc-app"), "it is the real one");
    assert!(!record.clear_text().contains(&clear));

    let again = minted(bench.runtime.call(bench.request(CallKind::Create, 1, &settings()), record.clone()).await);
    assert_eq!(
        (again, server.tokens("svc-app").await.unwrap().len()),
        (created.clone(), 1),
        "resumed, not minted twice"
    );

    let asked = |kind| {
        let mut request = bench.request(kind, 1, &settings());
        request.known = vec![known(1, "pending", Some(id.as_str()))];
        request.values = vec![value(1, field, label.as_str(), token.expose())];
        request.id = Some(id.clone());
        request
    };
    assert!(matches!(bench.runtime.call(asked(CallKind::Verify), Memory::new()).await, Outcome::Works));
    match bench.runtime.call(asked(CallKind::Observe), Memory::new()).await {
        Outcome::Observed { live, .. } => assert_eq!(live.iter().map(|live| &live.id).collect::<Vec<_>>(), [&id]),
        other => panic!("{other:?}"),
    }
    for _ in 0..2 {
        let outcome = bench.runtime.call(asked(CallKind::Destroy), Memory::new()).await;
        assert!(matches!(outcome, Outcome::Done(_)), "also when it is gone: {outcome:?}");
    }
    assert!(matches!(bench.runtime.call(asked(CallKind::Verify), Memory::new()).await, Outcome::Refused(_)));
}

#[tokio::test]
async fn every_kind_of_answer_to_a_mint_is_told_apart() {
    use FailureClass::{Ambiguous, Permanent, Retryable};
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "the-admin-token-of-the-double").unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let other = Double::start(Answer::status(200)).await;
    let bench = Bench::unconnected("plugins/http-token");
    let (elsewhere, long) = (format!("{}/", other.origin()), "x".repeat(2 << 20));
    for (sentence, answer, expected) in [
        ("no token in it", Answer::status(201).json(&json!({ "id": "1" })), (Ambiguous, "http.capture")),
        ("a short token", Answer::status(201).json(&json!({ "token": "abc", "id": "1" })), (Ambiguous, "http.capture")),
        ("no JSON", Answer::status(200).body("<html>"), (Ambiguous, "http.capture")),
        ("forbidden", Answer::status(403), (Permanent, "http.status-403")),
        ("too many requests", Answer::status(429).header("retry-after", "7"), (Retryable, "http.status-429")),
        ("unavailable", Answer::status(503), (Retryable, "http.status-503")),
        ("a server's fault", Answer::status(500), (Ambiguous, "http.status-500")),
        ("a gateway's time-out", Answer::status(504), (Ambiguous, "http.status-504")),
        ("a redirect", Answer::status(307).header("location", &elsewhere), (Permanent, "http.status-307")),
        ("a flood", Answer::status(200).body(&long), (Ambiguous, "http.too-much")),
        ("a hang-up", Answer::hang_up(), (Ambiguous, "http.lost")),
        ("silence", Answer::silence(), (Ambiguous, "http.lost")),
    ] {
        let double = Double::start(answer).await;
        let mut connection = hub(&double.origin(), &token, &["127.0.0.1"], &["svc-app"]);
        connection.limits.timeout_ms = 600;
        bench.runtime.connections().replace(vec![connection]);
        let record = Memory::new();
        let outcome = bench.runtime.call(bench.request(CallKind::Create, 1, &settings()), record.clone()).await;
        let Outcome::Failed(fault) = outcome else { panic!("{sentence}: {outcome:?}") };
        assert_eq!((fault.class, fault.code.as_str()), expected, "{sentence}: {fault}");
        let after_ms = (fault.code == "http.status-429").then_some(7_000);
        assert_eq!(fault.retry_after_ms, after_ms, "{sentence}");
        assert!(!record.clear_text().contains("the-admin-token"), "{sentence}");
        assert_eq!(record.sent.lock().unwrap().len(), 1, "{sentence}");
    }
    assert_eq!(other.requests(), 0, "redirects are not followed");
}

#[tokio::test]
async fn a_captured_token_is_nowhere_but_in_its_seal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "the-admin-token-of-the-double").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let body = json!({ "token": TOKEN, "id": "7", "echo": format!("again {TOKEN}"), "note": TOKEN });
    let double = Double::start(Answer::status(201).json(&body).header("x-echo", TOKEN)).await;
    let bench = Bench::new("plugins/http-token", hub(&double.origin(), &file, &["127.0.0.1"], &["svc-app"]));
    let record = Memory::new();
    let created = minted(bench.runtime.call(bench.request(CallKind::Create, 1, &settings()), record.clone()).await);
    assert_eq!(created.id.unwrap().as_str(), "7");
    assert_eq!(record.sealed(&created.fields[0].1).expose(), TOKEN.as_bytes());
    assert_eq!(record.waited(), [Until::Durable], "it is live at the target: nothing goes on before it is safe here");
    let calls = record.calls.lock().unwrap();
    for call in calls.values() {
        let reply: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
        let body = reply.pointer("/ok/body").and_then(|body| body.as_str()).unwrap_or_default();
        let body = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap();
        for text in [reply.to_string(), String::from_utf8_lossy(&body).into_owned()] {
            assert!(!text.contains(TOKEN), "{text}");
        }
    }
}

#[tokio::test]
async fn addresses_users_and_endpoints_outside_the_connection_are_denied() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "the-admin-token-of-the-double").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let double = Double::start(Answer::status(200)).await;
    let bench = Bench::unconnected("plugins/http-token");
    let by_name = double.origin().replace("127.0.0.1", "localhost");
    let mut elsewhere = settings();
    elsewhere["list"]["path"] = "/hub/api/proxy".into();
    for (sentence, origin, addresses, identities, settings, code) in [
        ("an address that is not listed", double.origin(), &[][..], "svc-*", settings(), "connection.address"),
        ("a name that leads to one", by_name, &["10.0.0.0/8"], "svc-*", settings(), "connection.address"),
        ("another user", double.origin(), &["127.0.0.1"], "other", settings(), "connection.identity"),
        (
            "an endpoint the connection does not list",
            double.origin(),
            &["127.0.0.1"],
            "svc-*",
            elsewhere,
            "http.endpoint",
        ),
    ] {
        bench.runtime.connections().replace(vec![hub(&origin, &file, addresses, &[identities])]);
        let outcome = bench.runtime.call(bench.request(CallKind::Observe, 1, &settings), Memory::new()).await;
        let Outcome::Failed(fault) = outcome else { panic!("{sentence}: {outcome:?}") };
        assert_eq!((fault.class, fault.code.as_str()), (FailureClass::Denied, code), "{sentence}: {fault}");
    }
    assert_eq!(double.requests(), 0, "nothing was sent");
    bench.runtime.connections().replace(vec![hub("http://127.0.0.1:1", &file, &["127.0.0.1"], &["svc-*"])]);
    let outcome = bench.runtime.call(bench.request(CallKind::Observe, 1, &settings()), Memory::new()).await;
    assert!(matches!(&outcome, Outcome::Failed(fault) if fault.code == "http.connect"), "{outcome:?}");
}
