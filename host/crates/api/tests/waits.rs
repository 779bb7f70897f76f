//! Fetches that wait for news over HTTPS: what they bring, what they may ask, and what ends them.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use keybaton_api::limits::MAX_WAITS_PER_IDENTITY;
use keybaton_protocol::step::PlanKind;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::{ALTERNATE, Answer, Fixture, answer, eventually};
use tokio::task::JoinHandle;

const DB: &str = "payments/db";
const FETCH: &str = "/v1/consumer/secrets/payments/db?replica=web-0&incarnation=life-1";

/// A secret with its first credential, and the consumer's token.
async fn issued() -> (Fixture, String) {
    let fixture = Fixture::new(ALTERNATE).await;
    fixture.begin(DB, PlanKind::Issue).await;
    fixture.settled(DB, 1).await;
    let web = fixture.enrol("payments/web").await;
    (fixture, web)
}

/// A fetch under way.
async fn waits(fixture: &Fixture, http: &reqwest::Client, token: &str, query: &str) -> JoinHandle<Answer> {
    let request = http.get(format!("{}{FETCH}{query}", fixture.url())).bearer_auth(token);
    let waiting = tokio::spawn(answer(request));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "{}", waiting.await.unwrap().text);
    waiting
}

fn generations(delivery: &Value) -> Vec<u64> {
    delivery["generations"].as_array().unwrap().iter().map(|it| it["generation"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_fetch_that_waits_brings_what_is_staged() {
    let (fixture, web) = issued().await;
    let waiting = waits(&fixture, &fixture.http(), &web, "&wait_ms=15000&holds=1&uses=1").await;
    fixture.begin(DB, PlanKind::Rotate).await;
    let delivery = waiting.await.unwrap().json();
    assert_eq!(generations(&delivery), [2, 1]);
    assert_eq!(delivery["asks"][0]["purpose"], "ready");
    assert!(delivery["staged_lease_ms"].is_u64());
    let waited_ms = delivery["waited_ms"].as_u64().unwrap();
    assert!((250..15_000).contains(&waited_ms), "the lease runs from when it was given: {waited_ms}");
}

#[tokio::test]
async fn a_fetch_that_waits_in_vain_is_answered_when_its_time_is_over() {
    let (fixture, web) = issued().await;
    let began = Instant::now();
    let delivery = fixture.get(&format!("{FETCH}&wait_ms=700&holds=1&uses=1"), &web).await.json();
    assert!(began.elapsed() >= Duration::from_millis(700));
    assert_eq!((generations(&delivery), delivery["asks"].clone()), (vec![1], json!([])));
}

#[tokio::test]
async fn who_holds_something_else_is_answered_at_once() {
    let (fixture, web) = issued().await;
    for query in ["&wait_ms=15000", "&wait_ms=15000&holds=1", "&wait_ms=15000&holds=2,1&uses=1"] {
        let began = Instant::now();
        let delivery = fixture.get(&format!("{FETCH}{query}"), &web).await.json();
        assert_eq!(generations(&delivery), [1], "{query}");
        assert!(began.elapsed() < Duration::from_secs(10), "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_waited_for_is_refused_with_what_to_write() {
    let (fixture, web) = issued().await;
    for (query, status, says) in [
        ("&wait_ms=1000&holds=one", 422, "numbers of generations"),
        ("&wait_ms=1000&holds=1;2", 422, "numbers of generations"),
        ("&holds=1", 422, "with `wait_ms`"),
        ("&uses=1", 422, "with `wait_ms`"),
        ("&wait_ms=-1", 400, "wait_ms"),
        ("&wait_ms=1000&uses=x", 400, "uses"),
        ("&wait_ms=1000&hold=1", 400, "hold"),
    ] {
        let refused = fixture.get(&format!("{FETCH}{query}"), &web).await;
        assert_eq!(refused.status.as_u16(), status, "{query}: {}", refused.text);
        assert!(refused.text.contains(says), "{query}: {}", refused.text);
    }
}

#[tokio::test]
async fn an_identity_that_is_withdrawn_while_it_waits_gets_no_value() {
    let (fixture, web) = issued().await;
    assert_eq!(fixture.get(FETCH, &web).await.status, 200);
    let waiting = waits(&fixture, &fixture.http(), &web, "&wait_ms=15000&holds=1&uses=1").await;
    let gone = fixture.send(Method::DELETE, "/v1/consumers/payments/web", Some(&fixture.operator), None).await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    assert_eq!(waiting.await.unwrap().problem(), "token-revoked", "it is told at once, before there is any news");
    fixture.begin(DB, PlanKind::Rotate).await;
    staged(&fixture).await;
    assert_eq!(held(&fixture).await, [1], "what was refused is not on record as given");
}

async fn staged(fixture: &Fixture) {
    eventually("the rotation to wait for its consumers", async || {
        let status = fixture.status(DB).await;
        (status["rotation"]["step"] == "stage").then_some(()).ok_or(status.to_string())
    })
    .await;
}

/// Generations that the replica is on record as holding.
async fn held(fixture: &Fixture) -> Vec<u64> {
    let members = fixture.get(&format!("/v1/secrets/{DB}/members"), &fixture.operator).await.json();
    let holds = members["consumers"][0]["members"][0]["holds"].as_array().unwrap().clone();
    holds.iter().map(|it| it.as_u64().unwrap()).collect()
}

#[tokio::test]
async fn an_identity_that_ends_while_it_waits_gets_no_value() {
    let (fixture, web) = issued().await;
    assert_eq!(fixture.get(FETCH, &web).await.status, 200);
    let waiting = waits(&fixture, &fixture.http(), &web, "&wait_ms=15000&holds=1&uses=1").await;
    let renewed = fixture.post("/v1/renew", &web, &json!({})).await.json();
    let new = renewed["token"].as_str().unwrap().to_owned();
    assert_eq!(fixture.get("/v1/consumer/secrets", &new).await.status, 200);
    assert_eq!(waiting.await.unwrap().problem(), "token-revoked", "the first use of the new one ends the old one");
    fixture.begin(DB, PlanKind::Rotate).await;
    staged(&fixture).await;
    assert_eq!(held(&fixture).await, [1]);
}

#[tokio::test]
async fn a_host_that_stops_answers_those_who_wait_and_is_not_held_up_by_them() {
    let (mut fixture, web) = issued().await;
    let waiting = waits(&fixture, &fixture.http(), &web, "&wait_ms=20000&holds=1&uses=1").await;
    let began = Instant::now();
    fixture.stop().await;
    assert_eq!(generations(&waiting.await.unwrap().json()), [1]);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test]
async fn one_identity_has_only_so_many_fetches_waiting() {
    let (fixture, web) = issued().await;
    // A connection carries fewer than that.
    let connections = [fixture.http(), fixture.http(), fixture.http(), fixture.http()];
    let mut waiting: Vec<JoinHandle<Answer>> = Vec::new();
    let refused = loop {
        let http = &connections[waiting.len() % connections.len()];
        let request = http.get(format!("{}{FETCH}&wait_ms=20000&holds=1&uses=1", fixture.url())).bearer_auth(&web);
        waiting.push(tokio::spawn(answer(request)));
        tokio::time::sleep(Duration::from_millis(5)).await;
        if let Some(at) = waiting.iter().position(JoinHandle::is_finished) {
            break waiting.swap_remove(at).await.unwrap();
        }
    };
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (503, "overloaded"), "{}", refused.text);
    assert!(refused.text.contains("too many fetches waiting"), "{}", refused.text);
    assert!(waiting.len() >= MAX_WAITS_PER_IDENTITY, "{}", waiting.len());
    assert_eq!(fixture.get(FETCH, &web).await.status, 200, "one that does not wait is answered");
    let other = fixture.enrol("payments/web").await;
    assert_eq!(fixture.get(&format!("{FETCH}&wait_ms=1&holds=1&uses=1"), &other).await.status, 200);
    waiting.iter().for_each(JoinHandle::abort);
    eventually("there to be room again", async || {
        let one_more = fixture.get(&format!("{FETCH}&wait_ms=1&holds=1&uses=1"), &web).await;
        if one_more.status == 200 { Ok(()) } else { Err(one_more.text) }
    })
    .await;
}
