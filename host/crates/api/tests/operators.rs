//! What operators can and can't do: no route answers a value, every command is audited, errors are problems.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keybaton_engine::ports::audit::Verdict;
use keybaton_protocol::step::PlanKind;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::{ALTERNATE, Fixture, eventually, name};

const DB: &str = "/v1/secrets/payments/db";
const CANARY: &[u8] = b"canary-of-an-imported-value";

async fn import(fixture: &Fixture) -> support::Answer {
    fixture.target.before("before", Some("a"), CANARY);
    let body = json!({"id": "before", "slot": "a", "attributes": {"username": "app"},
        "fields": {"password": STANDARD.encode(CANARY)}});
    fixture.post(&format!("{DB}/import"), &fixture.operator, &body).await
}

/// A value in the forms in which it could slip out.
fn forms(value: &[u8]) -> Vec<String> {
    let hex = value.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let text = String::from_utf8(value.to_vec()).unwrap();
    vec![text, hex, STANDARD.encode(value), format!("{value:?}")]
}

/// Calls a route of the document with an operator's token; streams are read for a moment.
async fn call(fixture: &Fixture, method: &str, path: &str) -> String {
    let path = path.replace("{namespace}", "payments").replace("{name}", "db").replace("{id}", "0");
    let request = fixture
        .http()
        .request(method.to_uppercase().parse().unwrap(), format!("{}{path}", fixture.url()))
        .bearer_auth(&fixture.operator)
        .json(&json!({}));
    let mut response = request.send().await.unwrap();
    let mut seen = format!("{:?}", response.headers());
    let whole = async {
        while let Some(part) = response.chunk().await.unwrap() {
            seen.push_str(&String::from_utf8_lossy(&part));
        }
    };
    let _cut = tokio::time::timeout(Duration::from_millis(300), whole).await;
    seen
}

#[tokio::test]
async fn no_route_of_the_document_answers_an_operator_with_a_value() {
    let fixture = Fixture::new(ALTERNATE).await;
    let imported = import(&fixture).await;
    assert_eq!(imported.status, 200, "{}", imported.text);
    eventually("the canary to be current", async || {
        let status = fixture.status("payments/db").await;
        let current = status["generations"].as_array().unwrap().iter().any(|it| it["role"] == "current");
        if current { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    let document = fixture.get("/v1/openapi.json", &fixture.operator).await.json();
    let mut seen = imported.text;
    let mut routes = 0;
    // Twice: first what only reads, then everything, so that commands act on the canary too.
    for only_reads in [true, false] {
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                if !only_reads || method == "get" {
                    seen.push_str(&call(&fixture, method, path).await);
                    routes += 1;
                }
            }
        }
    }
    for path in [format!("{DB}/history"), "/v1/events?secret=payments/db".to_owned(), "/metrics".to_owned()] {
        seen.push_str(&call(&fixture, "get", &path).await);
    }
    assert!(routes > 50, "only {routes} calls were made: the document is not whole");
    assert!(seen.contains("payments/db"), "nothing was seen at all");
    seen.push_str(&format!("{:?}", fixture.auditor.entries()));
    let mut values = fixture.target.values();
    values.push(CANARY.to_vec());
    for value in values {
        for form in forms(&value) {
            assert!(!seen.contains(&form), "a route answered {form}");
        }
    }
}

#[tokio::test]
async fn an_import_is_checked_and_never_quoted() {
    let fixture = Fixture::new(ALTERNATE).await;
    let value = STANDARD.encode(CANARY);
    let cases = [
        ("a value that is no base64", json!({"fields": {"password": "canary*of*mine"}}), 400),
        ("a value that is no text", json!({"fields": {"password": 4_242_424}}), 400),
        ("a key that is none", json!({"fields": {"password": value}, "canary*of*mine": 1}), 400),
        ("no value, and not said to be unknown", json!({}), 422),
        ("a value, and said to be unknown", json!({"fields": {"password": value}, "unknown": true}), 422),
        ("an empty value", json!({"fields": {"password": ""}}), 422),
    ];
    for (what, body, status) in cases {
        let answer = fixture.post(&format!("{DB}/import"), &fixture.operator, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.text);
        for part in ["canary", "4242424", &value] {
            assert!(!answer.text.contains(part), "{what}: {}", answer.text);
        }
    }
    assert!(fixture.journal.events(&name("payments/db")).is_empty(), "something was recorded");
}

#[tokio::test]
async fn every_command_is_audited_before_and_after() {
    let fixture = Fixture::new(ALTERNATE).await;
    let body = json!({"reason": "the pager said so"});
    let refused = fixture.post(&format!("{DB}/rollback"), &fixture.operator, &body).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    let frozen = fixture.post(&format!("{DB}/freeze"), &fixture.operator, &json!({})).await;
    assert_eq!(frozen.status, 200, "{}", frozen.text);
    let entries = fixture.auditor.entries();
    let told: Vec<_> = entries.iter().map(|it| (it.action.as_str(), it.subject.as_str(), &it.verdict)).collect();
    let expected = [
        ("rollback", "payments/db", &Verdict::Asked),
        ("rollback", "payments/db", &Verdict::Refused("refused".to_owned())),
        ("freeze", "payments/db", &Verdict::Asked),
        ("freeze", "payments/db", &Verdict::Done),
    ];
    assert_eq!(told, expected);
    assert_eq!((entries[0].actor.as_str(), entries[0].detail.as_str()), ("operator ada", "the pager said so"));
    assert_eq!(entries[0].from, "127.0.0.1");
}

#[tokio::test]
async fn what_cannot_be_audited_is_not_done() {
    let fixture = Fixture::new(ALTERNATE).await;
    fixture.auditor.full.store(true, Ordering::Relaxed);
    for path in [format!("{DB}/issue"), format!("{DB}/freeze"), "/v1/apply".to_owned()] {
        let body = if path == "/v1/apply" { json!({"files": []}) } else { json!({}) };
        let answer = fixture.post(&path, &fixture.operator, &body).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "unavailable"), "{path}");
    }
    assert!(fixture.journal.events(&name("payments/db")).is_empty(), "something was done");
}

#[tokio::test]
async fn a_rotation_is_begun_shown_and_left() {
    let fixture = Fixture::new(ALTERNATE).await;
    let issued = fixture.post(&format!("{DB}/issue"), &fixture.operator, &json!({})).await;
    assert_eq!(issued.status, 200, "{}", issued.text);
    fixture.settled("payments/db", 1).await;
    let begun = fixture.post(&format!("{DB}/rotate"), &fixture.operator, &json!({})).await;
    assert_eq!(begun.status, 200, "{}", begun.text);
    let rotation = begun.json()["rotation"].as_str().unwrap().to_owned();
    let status = eventually("the rotation to wait for web-0", async || {
        let status = fixture.status("payments/db").await;
        let missing = status["rotation"]["consumers"][0]["missing"].clone();
        if missing == json!(["web-0"]) { Ok(status) } else { Err(status.to_string()) }
    })
    .await;
    assert_eq!(status["rotation"]["id"], rotation.as_str());
    assert_eq!(status["rotation"]["author"], "ada");
    let again = fixture.post(&format!("{DB}/rotate"), &fixture.operator, &json!({})).await;
    assert_eq!((again.status.as_u16(), again.problem().as_str()), (409, "refused"), "{}", again.text);
    let left = fixture.post(&format!("{DB}/abandon"), &fixture.operator, &json!({"reason": "enough"})).await;
    assert_eq!(left.status, 200, "{}", left.text);
    let history = fixture.get(&format!("{DB}/history"), &fixture.operator).await.json();
    let events: Vec<_> = history["events"].as_array().unwrap().iter().map(|it| it["event"].clone()).collect();
    assert!(events.contains(&json!("started")), "{events:?}");
    assert!(history.to_string().contains("enough"), "{history}");
}

#[tokio::test]
async fn history_comes_in_pages() {
    let fixture = Fixture::new(ALTERNATE).await;
    fixture.begin("payments/db", PlanKind::Issue).await;
    eventually("some history", async || {
        let count = fixture.journal.events(&name("payments/db")).len();
        if count >= 5 { Ok(()) } else { Err(format!("{count} events")) }
    })
    .await;
    let whole = fixture.get(&format!("{DB}/history"), &fixture.operator).await.json();
    let whole: Vec<u64> = whole["events"].as_array().unwrap().iter().map(|it| it["seq"].as_u64().unwrap()).collect();
    let (mut pages, mut after) = (Vec::new(), 0);
    while pages.len() < whole.len() {
        let path = format!("{DB}/history?limit=2&after={after}");
        let page = fixture.get(&path, &fixture.operator).await.json();
        let seqs: Vec<u64> = page["events"].as_array().unwrap().iter().map(|it| it["seq"].as_u64().unwrap()).collect();
        assert!((1..=2).contains(&seqs.len()), "{page}");
        after = *seqs.last().unwrap();
        assert_eq!(page["next"].as_u64(), seqs.last().copied().filter(|last| last < whole.last().unwrap()));
        pages.extend(seqs);
    }
    assert_eq!(pages, whole);
    let (mut pages, mut before) = (Vec::new(), Some(0));
    while let Some(end) = before {
        let page = fixture.get(&format!("{DB}/history?limit=2&before={end}"), &fixture.operator).await.json();
        let seqs = page["events"].as_array().unwrap().iter().map(|it| it["seq"].as_u64().unwrap());
        pages.splice(0..0, seqs.take(2));
        before = page["earlier"].as_u64();
    }
    assert_eq!(pages, whole, "and backwards from the end");
}

#[tokio::test]
async fn what_is_wrong_is_said_as_a_problem() {
    let fixture = Fixture::new(ALTERNATE).await;
    type Case = (&'static str, Method, &'static str, Option<Value>, u16, &'static str);
    let cases: [Case; 11] = [
        ("an unknown secret", Method::GET, "/v1/secrets/payments/nothing", None, 404, "not-found"),
        ("a name that is none", Method::GET, "/v1/secrets/payments/NO", None, 422, "invalid"),
        ("an unknown query", Method::GET, "/v1/secrets?name=x", None, 400, "malformed"),
        ("a limit that is none", Method::GET, "/v1/secrets?limit=many", None, 400, "malformed"),
        ("an unknown route", Method::GET, "/v1/secret", None, 404, "no-route"),
        ("a page on both sides", Method::GET, "/v1/secrets/payments/db/history?after=1&before=3", None, 422, "invalid"),
        ("another method", Method::PUT, "/v1/secrets", None, 405, "method-not-allowed"),
        ("an unknown key", Method::POST, "/v1/secrets/payments/db/rotate", Some(json!({"why": 1})), 400, "malformed"),
        (
            "no reason",
            Method::POST,
            "/v1/secrets/payments/db/override",
            Some(json!({"generation": 1, "reason": " "})),
            422,
            "invalid",
        ),
        (
            "no such generation",
            Method::POST,
            "/v1/secrets/payments/db/compromise",
            Some(json!({"generation": 9})),
            409,
            "refused",
        ),
        (
            "too long an enrolment",
            Method::POST,
            "/v1/enrolments",
            Some(json!({"consumer": "a/b", "minutes": 100_000})),
            422,
            "invalid",
        ),
    ];
    for (what, method, path, body, status, kind) in cases {
        let answer = fixture.send(method, path, Some(&fixture.operator), body.as_ref()).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, kind), "{what}: {}", answer.text);
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{what}");
        for member in ["title", "detail", "blame"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{what} has no {member}: {problem}");
        }
    }
}

#[tokio::test]
async fn scopes_are_frozen_and_thawed() {
    let fixture = Fixture::new(ALTERNATE).await;
    let scope = json!({"scope": {"namespace": "payments"}});
    let frozen = fixture.post("/v1/freezes", &fixture.operator, &scope).await;
    assert_eq!(frozen.json()["freezes"][0]["scope"], json!({"namespace": "payments"}), "{}", frozen.text);
    assert_eq!(frozen.json()["freezes"][0]["author"], "ada");
    let thawed = fixture.post("/v1/freezes/lift", &fixture.operator, &scope).await;
    assert_eq!(thawed.json(), json!({"freezes": []}));
}
