//! Lies that a consumer can tell, as a table, and what every host must answer to them over HTTPS. It knows a host by what
//! a consumer and an operator see of it; whoever runs one says in a line how it is reached.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keybaton_engine::proof::prove;
use keybaton_engine::requests::{Challenge, Nonce};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::ids::{Epoch, Generation};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The secret that is rotated; `web-0` of `web` and `batch-0` of `batch` use it.
pub const DB: &str = "team/db";
/// How long something that is to be asked may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(25);

/// A host under test. Generation 1 of [`DB`] is current, and nothing else goes on.
pub trait Ground {
    /// What a consumer's request is answered: the status, and the body. Without a body it is a GET.
    async fn ask(&self, path: &str, token: &str, body: Option<&Value>) -> (u16, Value);
    /// A bearer token of a consumer of the namespace `team`.
    async fn enrol(&mut self, consumer: &str) -> String;
    /// What an operator sees of the secret.
    async fn status(&mut self) -> Value;
    /// An operator starts a rotation.
    async fn rotate(&mut self);
    /// The host ends, and another begins on what it kept.
    async fn restart(&mut self);
    /// A nonce's time passes. `false` where only waiting would do it.
    async fn nonces_expire(&mut self) -> bool;
}

/// Where the nonce of a statement comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Given for the true statement.
    Given,
    /// Given for it, and used in a statement that was refused.
    Refused,
    /// Given for it, and out of time.
    Expired,
    /// Given for it, by the host before this one.
    EarlierHost,
    /// Given to the other consumer.
    Another,
    /// Given for the lie itself.
    Lie,
    /// Given by nobody.
    Nobody,
}

/// What a proof is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum With {
    /// The value that the statement should be about.
    Pending,
    /// The value before it.
    Current,
    /// None.
    Nothing,
}

/// One lie, and by which name it is refused.
struct Lie {
    sentence: &'static str,
    nonce: From,
    with: With,
    /// How the statement differs from the one that was challenged.
    bent: fn(&mut Said),
    /// Whose token it comes with.
    by: &'static str,
    reason: &'static str,
}

const fn lie(sentence: &'static str, nonce: From, with: With, reason: &'static str) -> Lie {
    Lie { sentence, nonce, with, bent: |_| {}, by: "web", reason }
}

/// Every lie. The true statement about the pending generation is `ready`, from `web-0` of `web`.
const LIES: [Lie; 13] = [
    lie("a wrong proof", From::Given, With::Nothing, "mismatch"),
    lie("a proof with the old value", From::Given, With::Current, "mismatch"),
    lie("a nonce that a refusal used up", From::Refused, With::Pending, "nonce"),
    lie("a nonce that was never given", From::Nobody, With::Pending, "nonce"),
    lie("a nonce that expired", From::Expired, With::Pending, "nonce"),
    lie("a nonce of before a restart", From::EarlierHost, With::Pending, "nonce"),
    lie("another consumer's nonce", From::Another, With::Pending, "stranger"),
    Lie { by: "batch", ..lie("another consumer's token", From::Given, With::Pending, OTHER_REPLICA) },
    Lie {
        bent: |said| said.replica = "web-1".to_owned(),
        ..lie("another replica's name", From::Given, With::Pending, OTHER_REPLICA)
    },
    Lie {
        bent: |said| said.incarnation = "life-2".to_owned(),
        ..lie("another life than was challenged", From::Given, With::Pending, "stranger")
    },
    Lie {
        bent: |said| said.purpose = "adopted".to_owned(),
        ..lie("another purpose than was challenged", From::Given, With::Pending, "purpose")
    },
    Lie {
        bent: |said| said.generation -= 1,
        ..lie("a stale generation, not the one that was challenged", From::Given, With::Current, "generation")
    },
    Lie {
        bent: |said| said.generation += 1,
        ..lie("a generation that nobody was offered", From::Lie, With::Pending, "stale")
    },
];

/// Each lie is refused by name and changes nothing; then the truth is believed, once, and not again after a restart.
pub async fn are_refused(ground: &mut impl Ground) {
    let staged = Staged::reach(ground).await;
    let truth = staged.truth.clone();
    for lie in &LIES {
        let mut said = truth.clone();
        (lie.bent)(&mut said);
        let Some(nonce) = staged.nonce(ground, lie.nonce, &said).await else { continue };
        let proof = staged.proof(lie.with, &said, &nonce);
        let answer = ground.ask(ACKNOWLEDGE, staged.token(lie.by), Some(&said.acknowledge(&nonce, &proof))).await;
        refused(lie.sentence, &answer, lie.reason);
        let status = ground.status().await;
        assert_eq!(status["rotation"]["phase"], "prepare", "{} moved the rotation", lie.sentence);
        let consumers = status["rotation"]["consumers"].as_array().unwrap();
        let web = consumers.iter().find(|it| it["name"] == "web").unwrap();
        assert_eq!(web["missing"], json!(["web-0"]), "{} was believed", lie.sentence);
    }
    let nonce = given(ground, &staged.web, &truth).await;
    let true_one = truth.acknowledge(&nonce, &staged.proof(With::Pending, &truth, &nonce));
    let answer = ground.ask(ACKNOWLEDGE, &staged.web, Some(&true_one)).await;
    assert_eq!(answer.0, 200, "the truth: {}", answer.1);
    refused("the truth, again", &ground.ask(ACKNOWLEDGE, &staged.web, Some(&true_one)).await, "nonce");
    ground.restart().await;
    refused("the truth of before", &ground.ask(ACKNOWLEDGE, &staged.web, Some(&true_one)).await, "nonce");
}

const CHALLENGE: &str = "/v1/consumer/challenge";
const ACKNOWLEDGE: &str = "/v1/consumer/acknowledge";

/// The identity stands for another replica: nothing is looked at that is said under this one's name.
const OTHER_REPLICA: &str = "other-replica";

fn refused(what: &str, (status, body): &(u16, Value), reason: &str) {
    if reason == OTHER_REPLICA {
        assert_eq!((*status, &body["type"]), (403, &json!("/problems/other-replica")), "{what}: {body}");
        return;
    }
    assert_eq!((*status, &body["type"]), (403, &json!("/problems/proof-refused")), "{what}: {body}");
    assert_eq!(body["reason"], reason, "{what}: {body}");
}

/// Generation 2 is staged, and `web-0` is asked for `ready`; nobody of `batch` has answered.
struct Staged {
    web: String,
    batch: String,
    delivery: Value,
    truth: Said,
}

impl Staged {
    async fn reach(ground: &mut impl Ground) -> Self {
        let (web, batch) = (ground.enrol("web").await, ground.enrol("batch").await);
        ground.rotate().await;
        let path = format!("/v1/consumer/secrets/{DB}?replica=web-0&incarnation=life-1");
        let until = Instant::now() + PATIENCE;
        let delivery = loop {
            let (status, delivery) = ground.ask(&path, &web, None).await;
            if status == 200 && delivery["asks"][0]["purpose"] == "ready" {
                break delivery;
            }
            assert!(Instant::now() < until, "it is never asked: {delivery}");
            tokio::time::sleep(LOOK).await;
        };
        let ask = &delivery["asks"][0];
        let truth = Said {
            replica: "web-0".to_owned(),
            incarnation: "life-1".to_owned(),
            rotation: ask["rotation"].as_str().unwrap().to_owned(),
            generation: number(&ask["generation"]),
            purpose: "ready".to_owned(),
        };
        Self { web, batch, delivery, truth }
    }

    fn token(&self, consumer: &str) -> &str {
        if consumer == "web" { &self.web } else { &self.batch }
    }

    /// A nonce for what will be said; none where it cannot be had here.
    async fn nonce(&self, ground: &mut impl Ground, from: From, said: &Said) -> Option<String> {
        match from {
            From::Nobody => return Some(STANDARD.encode([7; 32])),
            From::Lie => return Some(given(ground, &self.web, said).await),
            From::Another => {
                let theirs = Said { replica: "batch-0".to_owned(), ..self.truth.clone() };
                return Some(given(ground, &self.batch, &theirs).await);
            }
            From::Given | From::Refused | From::Expired | From::EarlierHost => {}
        }
        let nonce = given(ground, &self.web, &self.truth).await;
        match from {
            From::Refused => {
                let wrong = self.truth.acknowledge(&nonce, &[0; 32]);
                refused("a wrong proof", &ground.ask(ACKNOWLEDGE, &self.web, Some(&wrong)).await, "mismatch");
            }
            From::Expired if !ground.nonces_expire().await => return None,
            From::EarlierHost => ground.restart().await,
            _ => {}
        }
        Some(nonce)
    }

    fn proof(&self, with: With, said: &Said, nonce: &str) -> [u8; 32] {
        match with {
            With::Pending => proof(&self.delivery, self.truth.generation, said, "web", nonce),
            With::Current => proof(&self.delivery, self.truth.generation - 1, said, "web", nonce),
            With::Nothing => [0; 32],
        }
    }
}

async fn given(ground: &impl Ground, token: &str, said: &Said) -> String {
    let (status, given) = ground.ask(CHALLENGE, token, Some(&said.challenge())).await;
    assert_eq!(status, 200, "{given}");
    given["nonce"].as_str().unwrap().to_owned()
}

/// One statement on [`DB`], to be told true or bent.
#[derive(Clone)]
pub struct Said {
    pub replica: String,
    pub incarnation: String,
    pub rotation: String,
    pub generation: u32,
    pub purpose: String,
}

impl Said {
    pub fn challenge(&self) -> Value {
        json!({"secret": DB, "replica": self.replica, "incarnation": self.incarnation,
            "rotation": self.rotation, "generation": self.generation, "purpose": self.purpose})
    }

    pub fn acknowledge(&self, nonce: &str, proof: &[u8]) -> Value {
        let mut body = self.challenge();
        body["nonce"] = json!(nonce);
        body["proof"] = json!(STANDARD.encode(proof));
        body["evidence"] = json!("process");
        body
    }
}

pub fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

/// The proof over a statement, with the values of one delivered generation.
pub fn proof(delivery: &Value, with: u32, said: &Said, consumer: &str, nonce: &str) -> [u8; 32] {
    let decode = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
    let generations = delivery["generations"].as_array().unwrap();
    let held = generations.iter().find(|it| number(&it["generation"]) == with).expect("it is delivered");
    let fields: Vec<_> =
        held["fields"].as_object().unwrap().iter().map(|(name, value)| (name.as_str(), decode(value))).collect();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_slice())).collect();
    let challenge = Challenge {
        secret: DB.parse().unwrap(),
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
