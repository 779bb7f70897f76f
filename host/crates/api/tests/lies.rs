//! Consumers that lie, over a real HTTPS server: each lie is refused by name, and the journal stays as it was.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keybaton_engine::proof::prove;
use keybaton_engine::requests::{Challenge, Nonce};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::ids::{Epoch, Generation};
use keybaton_protocol::step::PlanKind;
use serde_json::{Value, json};
use support::{ALTERNATE, Answer, Fixture, declared, eventually, name};

const DB: &str = "payments/db";

/// A replica that speaks plain HTTPS.
struct Replica {
    token: String,
    replica: String,
    incarnation: String,
}

/// One statement, to be told true or bent.
#[derive(Clone)]
struct Said {
    secret: String,
    replica: String,
    incarnation: String,
    rotation: String,
    generation: u32,
    purpose: String,
    evidence: String,
}

impl Said {
    fn challenge(&self) -> Value {
        json!({"secret": self.secret, "replica": self.replica, "incarnation": self.incarnation,
            "rotation": self.rotation, "generation": self.generation, "purpose": self.purpose})
    }

    fn acknowledge(&self, nonce: &str, proof: &[u8]) -> Value {
        let mut body = self.challenge();
        body["nonce"] = json!(nonce);
        body["proof"] = json!(STANDARD.encode(proof));
        body["evidence"] = json!(self.evidence);
        body
    }
}

impl Replica {
    async fn enrolled(fixture: &Fixture, consumer: &str, replica: &str) -> Self {
        let token = fixture.enrol(&format!("payments/{consumer}")).await;
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
            secret: DB.to_owned(),
            replica: self.replica.clone(),
            incarnation: self.incarnation.clone(),
            rotation: ask["rotation"].as_str().unwrap().to_owned(),
            generation: number(&ask["generation"]),
            purpose: ask["purpose"].as_str().unwrap().to_owned(),
            evidence: "process".to_owned(),
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

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

fn decode(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

/// The proof over a statement, with the values of one delivered generation.
fn proof(delivery: &Value, with: u32, said: &Said, consumer: &str, nonce: &str) -> [u8; 32] {
    let generations = delivery["generations"].as_array().unwrap();
    let held = generations.iter().find(|it| number(&it["generation"]) == with).expect("it is delivered");
    let fields: Vec<_> =
        held["fields"].as_object().unwrap().iter().map(|(name, value)| (name.as_str(), decode(value))).collect();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_slice())).collect();
    let challenge = Challenge {
        secret: name(&said.secret),
        consumer: consumer.parse().unwrap(),
        replica: said.replica.parse().unwrap(),
        incarnation: said.incarnation.parse().unwrap(),
        rotation: said.rotation.parse().unwrap(),
        generation: Generation(said.generation),
        purpose: Purpose::from_name(&said.purpose).unwrap(),
    };
    let nonce = Nonce(STANDARD.decode(nonce).unwrap().try_into().unwrap());
    prove(&fields, &decode(&held["salt"]), &challenge, Epoch(number(&delivery["epoch"])), &nonce)
}

/// Generation 1 is current; generation 2 is staged, and `web-0` is asked for `ready`.
async fn staged() -> (Fixture, Replica, Value) {
    let other = declared("payments/other", ALTERNATE, &[("other", &["other-0"])]);
    let own = declared(DB, ALTERNATE, &[("web", &["web-0"]), ("batch", &["batch-0"])]);
    let fixture = Fixture::with(vec![own, other]).await;
    let web = Replica::enrolled(&fixture, "web", "web-0").await;
    let batch = Replica::enrolled(&fixture, "batch", "batch-0").await;
    fixture.begin(DB, PlanKind::Issue).await;
    issue(&fixture, [("web", &web), ("batch", &batch)]).await;
    fixture.begin(DB, PlanKind::Rotate).await;
    let delivery = web.asked(&fixture, "ready").await;
    (fixture, web, delivery)
}

/// Everyone truly does what the first rotation asks, until it rests.
async fn issue(fixture: &Fixture, replicas: [(&str, &Replica); 2]) {
    eventually("the first generation", async || {
        for (consumer, replica) in replicas {
            let delivery = replica.fetch(fixture, DB).await;
            assert_eq!(delivery.status, 200, "{}", delivery.text);
            let delivery = delivery.json();
            if delivery["asks"][0].is_object() {
                let said = replica.said(&delivery);
                let nonce = replica.nonce(fixture, &said).await;
                let proof = proof(&delivery, said.generation, &said, consumer, &nonce);
                replica.acknowledge(fixture, &said.acknowledge(&nonce, &proof)).await;
            }
        }
        let status = fixture.status(DB).await;
        if status["summary"]["standing"] == "idle" { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

async fn refused(fixture: &Fixture, what: &str, answer: &Answer, reason: &str) {
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (403, "proof-refused"), "{what}: {}", answer.text);
    assert_eq!(answer.json()["reason"], reason, "{what}: {}", answer.text);
    let status = fixture.status(DB).await;
    assert_eq!(status["rotation"]["phase"], "prepare", "{what} moved the rotation");
    let web = status["rotation"]["consumers"].as_array().unwrap().iter().find(|it| it["name"] == "web").unwrap();
    assert_eq!(web["missing"], json!(["web-0"]), "{what} was believed");
}

#[tokio::test]
async fn each_lie_is_refused_and_the_truth_is_believed() {
    let (fixture, web, delivery) = staged().await;
    let truth = web.said(&delivery);
    let (pending, current) = (truth.generation, truth.generation - 1);

    let nonce = web.nonce(&fixture, &truth).await;
    let answer = web.acknowledge(&fixture, &truth.acknowledge(&nonce, &[0; 32])).await;
    refused(&fixture, "a wrong proof", &answer, "mismatch").await;
    let good = proof(&delivery, pending, &truth, "web", &nonce);
    let answer = web.acknowledge(&fixture, &truth.acknowledge(&nonce, &good)).await;
    refused(&fixture, "a nonce that a refusal used up", &answer, "nonce").await;

    let nonce = web.nonce(&fixture, &truth).await;
    let old = proof(&delivery, current, &truth, "web", &nonce);
    let answer = web.acknowledge(&fixture, &truth.acknowledge(&nonce, &old)).await;
    refused(&fixture, "a proof with the old value", &answer, "mismatch").await;

    let nonce = web.nonce(&fixture, &truth).await;
    let adopted = Said { purpose: "adopted".to_owned(), ..truth.clone() };
    let bent = proof(&delivery, pending, &adopted, "web", &nonce);
    let answer = web.acknowledge(&fixture, &adopted.acknowledge(&nonce, &bent)).await;
    refused(&fixture, "another purpose than was challenged", &answer, "purpose").await;

    let nonce = web.nonce(&fixture, &truth).await;
    let stale = Said { generation: current, ..truth.clone() };
    let bent = proof(&delivery, current, &stale, "web", &nonce);
    let answer = web.acknowledge(&fixture, &stale.acknowledge(&nonce, &bent)).await;
    refused(&fixture, "another generation than was challenged", &answer, "generation").await;

    let nonce = web.nonce(&fixture, &truth).await;
    let other = Said { replica: "web-1".to_owned(), ..truth.clone() };
    let bent = proof(&delivery, pending, &other, "web", &nonce);
    let answer = web.acknowledge(&fixture, &other.acknowledge(&nonce, &bent)).await;
    refused(&fixture, "another replica's name", &answer, "stranger").await;

    let made_up = STANDARD.encode([7; 32]);
    let bent = proof(&delivery, pending, &truth, "web", &made_up);
    let answer = web.acknowledge(&fixture, &truth.acknowledge(&made_up, &bent)).await;
    refused(&fixture, "a nonce that was never given", &answer, "nonce").await;

    let nonce = web.nonce(&fixture, &truth).await;
    let good = proof(&delivery, pending, &truth, "web", &nonce);
    fixture.clock.advance(5_001);
    let answer = web.acknowledge(&fixture, &truth.acknowledge(&nonce, &good)).await;
    refused(&fixture, "a nonce that expired", &answer, "nonce").await;

    let nonce = web.nonce(&fixture, &truth).await;
    let good = truth.acknowledge(&nonce, &proof(&delivery, pending, &truth, "web", &nonce));
    let answer = web.acknowledge(&fixture, &good).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let replayed = web.acknowledge(&fixture, &good).await;
    assert_eq!((replayed.problem().as_str(), &replayed.json()["reason"]), ("proof-refused", &json!("nonce")));
}

#[tokio::test]
async fn nobody_speaks_for_another_consumer() {
    let (fixture, web, delivery) = staged().await;
    let truth = web.said(&delivery);
    let batch = Replica::enrolled(&fixture, "batch", "batch-0").await;

    // Another consumer's nonce, with web's own token.
    let theirs = Said { replica: "batch-0".to_owned(), ..truth.clone() };
    let nonce = batch.nonce(&fixture, &theirs).await;
    let good = proof(&delivery, truth.generation, &truth, "web", &nonce);
    let answer = web.acknowledge(&fixture, &truth.acknowledge(&nonce, &good)).await;
    refused(&fixture, "another consumer's nonce", &answer, "stranger").await;

    // Web's nonce and proof, stolen, with another consumer's token: who speaks is who authenticated.
    let nonce = web.nonce(&fixture, &truth).await;
    let good = proof(&delivery, truth.generation, &truth, "web", &nonce);
    let answer = batch.acknowledge(&fixture, &truth.acknowledge(&nonce, &good)).await;
    refused(&fixture, "another consumer's token", &answer, "stranger").await;
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
        ("declared for somebody else", &web, "payments/other"),
        ("does not exist", &web, "payments/nothing"),
        ("of another namespace", &stranger, DB),
    ] {
        let answer = who.fetch(&fixture, secret).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (403, "not-yours"), "{what}: {}", answer.text);
        seen.push(answer.json()["title"].clone());
        let bent = Said { secret: secret.to_owned(), ..truth.clone() };
        let answer = fixture.post("/v1/consumer/challenge", &who.token, &bent.challenge()).await;
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
