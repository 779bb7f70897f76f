//! Consumers that lie, over a real HTTPS server: each lie is refused by name, and the journal stays as it was.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;
#[path = "support/lies.rs"]
#[expect(unreachable_pub, reason = "the real host, in another executable, is held to it too")]
mod table;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keybaton_protocol::step::PlanKind;
use reqwest::Method;
use serde_json::{Value, json};
use support::{ALTERNATE, Answer, Fixture, declared, eventually};
use table::{DB, Ground, Said, number, proof};

/// How long a nonce of the fixture's host is good for, and a little more, in milliseconds.
const NONCE_MS: u64 = 5_001;

impl Ground for Fixture {
    async fn ask(&self, path: &str, token: &str, body: Option<&Value>) -> (u16, Value) {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let answer = self.send(method, path, Some(token), body).await;
        (answer.status.as_u16(), answer.json())
    }

    async fn enrol(&mut self, consumer: &str) -> String {
        Fixture::enrol(self, &format!("team/{consumer}")).await
    }

    async fn status(&mut self) -> Value {
        Fixture::status(self, DB).await
    }

    async fn rotate(&mut self) {
        self.begin(DB, PlanKind::Rotate).await;
    }

    async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    async fn nonces_expire(&mut self) -> bool {
        self.clock.advance(NONCE_MS);
        true
    }
}

#[tokio::test]
async fn lies_are_refused_over_a_journal_in_memory() {
    table::are_refused(&mut issued().await).await;
}

/// A replica that speaks plain HTTPS.
struct Replica {
    token: String,
    replica: String,
    incarnation: String,
}

impl Replica {
    async fn enrolled(fixture: &Fixture, consumer: &str, replica: &str) -> Self {
        let token = fixture.enrol(&format!("team/{consumer}")).await;
        Self { token, replica: replica.to_owned(), incarnation: "life-1".to_owned() }
    }

    async fn fetch(&self, fixture: &Fixture, secret: &str) -> Answer {
        let query = format!("replica={}&incarnation={}", self.replica, self.incarnation);
        fixture.get(&format!("/v1/consumer/secrets/{secret}?{query}"), &self.token).await
    }

    /// Waits until something is asked, and answers the delivery.
    async fn asked(&self, fixture: &Fixture, purpose: &str) -> Value {
        eventually(&format!("an ask for {purpose}"), async || {
            let delivery = self.fetch(fixture, DB).await;
            let asked = delivery.status == 200 && delivery.json()["asks"][0]["purpose"] == purpose;
            if asked { Ok(delivery.json()) } else { Err(delivery.text) }
        })
        .await
    }

    /// What is asked, said truly.
    fn said(&self, delivery: &Value) -> Said {
        let ask = &delivery["asks"][0];
        Said {
            replica: self.replica.clone(),
            incarnation: self.incarnation.clone(),
            rotation: ask["rotation"].as_str().unwrap().to_owned(),
            generation: number(&ask["generation"]),
            purpose: ask["purpose"].as_str().unwrap().to_owned(),
        }
    }

    async fn nonce(&self, fixture: &Fixture, said: &Said) -> String {
        let given = fixture.post("/v1/consumer/challenge", &self.token, &said.challenge()).await;
        assert_eq!(given.status, 200, "{}", given.text);
        given.json()["nonce"].as_str().unwrap().to_owned()
    }

    async fn acknowledge(&self, fixture: &Fixture, body: &Value) -> Answer {
        fixture.post("/v1/consumer/acknowledge", &self.token, body).await
    }
}

/// Generation 1 is current, and everyone uses it.
async fn issued() -> Fixture {
    let other = declared("team/other", ALTERNATE, &[("other", &["other-0"])]);
    let own = declared(DB, ALTERNATE, &[("web", &["web-0"]), ("batch", &["batch-0"])]);
    let fixture = Fixture::with(vec![own, other]).await;
    let replicas = [("web", "web-0"), ("batch", "batch-0")];
    let mut enrolled = Vec::new();
    for (consumer, replica) in replicas {
        enrolled.push((consumer, Replica::enrolled(&fixture, consumer, replica).await));
    }
    fixture.begin(DB, PlanKind::Issue).await;
    eventually("the first generation", async || {
        for (consumer, replica) in &enrolled {
            let delivery = replica.fetch(&fixture, DB).await;
            assert_eq!(delivery.status, 200, "{}", delivery.text);
            let delivery = delivery.json();
            if delivery["asks"][0].is_object() {
                let said = replica.said(&delivery);
                let nonce = replica.nonce(&fixture, &said).await;
                let proof = proof(&delivery, said.generation, &said, consumer, &nonce);
                replica.acknowledge(&fixture, &said.acknowledge(&nonce, &proof)).await;
            }
        }
        let status = fixture.status(DB).await;
        if status["summary"]["standing"] == "idle" { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    fixture
}

/// Generation 2 is staged, and `web-0` is asked for `ready`.
async fn staged() -> (Fixture, Replica, Value) {
    let fixture = issued().await;
    let web = Replica::enrolled(&fixture, "web", "web-0").await;
    fixture.begin(DB, PlanKind::Rotate).await;
    let delivery = web.asked(&fixture, "ready").await;
    (fixture, web, delivery)
}

#[tokio::test]
async fn a_consumer_reaches_only_what_declares_it() {
    let (fixture, web, delivery) = staged().await;
    let truth = web.said(&delivery);
    let outsider = Replica::enrolled(&fixture, "outsider", "web-0").await;
    let stranger =
        Replica { token: fixture.enrol("search/web").await, ..Replica::enrolled(&fixture, "x", "web-0").await };
    let mut seen = Vec::new();
    for (what, who, secret) in [
        ("not declared", &outsider, DB),
        ("declared for somebody else", &web, "team/other"),
        ("does not exist", &web, "team/nothing"),
        ("of another namespace", &stranger, DB),
    ] {
        let answer = who.fetch(&fixture, secret).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (403, "not-yours"), "{what}: {}", answer.text);
        seen.push(answer.json()["title"].clone());
        let mut bent = truth.challenge();
        bent["secret"] = json!(secret);
        let answer = fixture.post("/v1/consumer/challenge", &who.token, &bent).await;
        assert_eq!(answer.problem(), "not-yours", "{what}");
        let watch = format!("/v1/consumer/watch?secret={secret}");
        assert_eq!(fixture.get(&watch, &who.token).await.problem(), "not-yours", "{what}");
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "what exists can be told from what does not");
}

#[tokio::test]
async fn what_a_consumer_sends_is_checked() {
    let (fixture, web, delivery) = staged().await;
    let truth = web.said(&delivery);
    let nonce = web.nonce(&fixture, &truth).await;
    let good = truth.acknowledge(&nonce, &proof(&delivery, truth.generation, &truth, "web", &nonce));
    let bent = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for (what, body) in [
        ("evidence that only a target gives", bent("evidence", json!("target"))),
        ("evidence that only a person gives", bent("evidence", json!("attested"))),
        ("no such evidence", bent("evidence", json!("trust me"))),
        ("no such purpose", bent("purpose", json!("done"))),
        ("a short proof", bent("proof", json!("AAAA"))),
        ("a long nonce", bent("nonce", json!(STANDARD.encode([0; 64])))),
        ("no base64", bent("proof", json!("***"))),
        ("a replica with a space", bent("replica", json!("web 0"))),
        ("no secret's name", bent("secret", json!("db"))),
    ] {
        let answer = web.acknowledge(&fixture, &body).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (422, "invalid"), "{what}: {}", answer.text);
    }
    for (what, body) in [
        ("an unknown key", bent("force", json!(true))),
        ("a number that is none", bent("generation", json!("two"))),
        ("a negative one", bent("generation", json!(-1))),
    ] {
        let answer = web.acknowledge(&fixture, &body).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "malformed"), "{what}: {}", answer.text);
    }
    assert_eq!(
        web.acknowledge(&fixture, &good).await.status,
        200,
        "what was refused before it was read used the nonce"
    );
}

#[tokio::test]
async fn a_delivery_is_not_to_be_kept_by_anybody_on_the_way() {
    let (fixture, web, delivery) = staged().await;
    let answer = web.fetch(&fixture, DB).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["content-type"], "application/json");
    let roles: Vec<_> = delivery["generations"].as_array().unwrap().iter().map(|it| it["role"].clone()).collect();
    assert_eq!(roles, [json!("pending"), json!("current")]);
    assert_eq!(delivery["generations"][1]["use_now"], true);
    assert_eq!(delivery["generations"][0]["live"], true);
    assert!(delivery["staged_lease_ms"].as_u64().is_some());
}
