//! Consumers in the same process: they fetch, prove and acknowledge through the engine's facade as a client would.

use crate::Engine;
use crate::error::EngineError;
use crate::proof::prove;
use crate::requests::{Acknowledgement, Ask, Challenge, Delivery, Fetch};
use keybaton_protocol::evidence::{EvidenceKind, Purpose};
use keybaton_protocol::ids::{ConsumerName, Generation, Incarnation, Replica, SecretName};
use keybaton_protocol::offer::Known;
use std::collections::BTreeMap;
use std::time::Duration;

/// How a consumer behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temper {
    /// Does what it is asked.
    Willing,
    /// Can't use this generation, and says so.
    Refuses(Generation),
    /// Can't use whatever is staged, and says so.
    Unable,
    /// Never says that it uses this generation.
    Clings(Generation),
    /// Says nothing.
    Silent,
}

/// The replicas of one secret's consumers.
#[derive(Debug)]
pub struct Consumers {
    secret: SecretName,
    replicas: Vec<One>,
    /// Set where a fetch waits so long for news.
    wait: Option<Duration>,
}

/// One generation in a consumer's memory. It outlives the offer: giving it back is proven with it.
#[derive(Debug)]
struct Held {
    fields: Vec<(String, Vec<u8>)>,
    salt: Vec<u8>,
    /// It uses this no longer, whatever the host has heard of that; kept for the proof alone.
    let_go: bool,
}

impl Held {
    fn value(&self) -> Option<Vec<u8>> {
        self.fields.first().map(|(_, bytes)| bytes.clone())
    }
}

/// What a replica has in hand: the value it presents first, and all that it can fall over to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The value it was told to use.
    pub uses: Option<Vec<u8>>,
    /// Every value it holds.
    pub holds: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct One {
    consumer: ConsumerName,
    replica: Replica,
    incarnation: Incarnation,
    temper: Temper,
    held: BTreeMap<Generation, Held>,
    uses: Option<Generation>,
    /// What it was told last.
    known: Known,
}

impl Consumers {
    /// No consumers yet.
    #[must_use]
    pub fn new(secret: SecretName) -> Self {
        Self { secret, replicas: Vec::new(), wait: None }
    }

    /// One more replica.
    pub fn add(&mut self, consumer: ConsumerName, replica: Replica, temper: Temper) {
        let incarnation = "life-1".parse().expect("printable");
        let (held, uses, known) = (BTreeMap::new(), None, Known::default());
        self.replicas.push(One { consumer, replica, incarnation, temper, held, uses, known });
    }

    /// From now on every fetch waits for news, at most so long.
    pub fn wait(&mut self, at_most: Duration) {
        self.wait = Some(at_most);
    }

    /// Every replica fetches, and answers what it is asked. `moved` is told what all of them hold after each fetch,
    /// before anything is stated on it. Answers how many statements were accepted.
    ///
    /// # Errors
    /// The engine refused a fetch; a refused statement is left for the next round.
    pub async fn round(
        &mut self,
        engine: &Engine,
        moved: &(dyn Fn(Vec<Presented>) + Sync),
    ) -> Result<usize, EngineError> {
        let mut accepted = 0;
        for at in 0..self.replicas.len() {
            let one = &mut self.replicas[at];
            let fetch = one.fetch(&self.secret);
            let delivery = match self.wait {
                Some(at_most) => engine.fetch_news(fetch, one.known.clone(), at_most).await?,
                None => engine.fetch(fetch).await?,
            };
            one.take(&delivery);
            moved(self.values());
            if self.replicas[at].temper == Temper::Silent {
                continue;
            }
            for ask in &delivery.asks {
                let one = &mut self.replicas[at];
                accepted += usize::from(one.answer(engine, &self.secret, ask).await?);
            }
        }
        Ok(accepted)
    }

    /// What every replica holds.
    #[must_use]
    pub fn values(&self) -> Vec<Presented> {
        let of = |one: &One| Presented {
            uses: one.uses.and_then(|uses| one.held.get(&uses).and_then(Held::value)),
            holds: one.held.values().filter(|it| !it.let_go).filter_map(Held::value).collect(),
        };
        self.replicas.iter().map(of).collect()
    }

    /// A replica changes its mind.
    pub fn temper(&mut self, index: usize, temper: Temper) {
        self.replicas[index].temper = temper;
    }

    /// A replica starts again and knows nothing.
    pub fn restart(&mut self, index: usize, incarnation: Incarnation) {
        let one = &mut self.replicas[index];
        one.incarnation = incarnation;
        one.held.clear();
        one.uses = None;
        one.known = Known::default();
    }
}

impl One {
    fn fetch(&self, secret: &SecretName) -> Fetch {
        Fetch {
            secret: secret.clone(),
            consumer: self.consumer.clone(),
            replica: self.replica.clone(),
            incarnation: self.incarnation.clone(),
        }
    }

    fn take(&mut self, delivery: &Delivery) {
        self.known = delivery.known();
        for it in &delivery.generations {
            let fields = it.fields.iter().map(|(name, bytes)| (name.clone(), bytes.expose().to_vec())).collect();
            let let_go = self.held.get(&it.generation).is_some_and(|held| held.let_go);
            self.held.insert(it.generation, Held { fields, salt: it.salt.expose().to_vec(), let_go });
            if it.use_now && !let_go {
                self.uses = Some(it.generation);
            }
        }
    }

    async fn answer(&mut self, engine: &Engine, secret: &SecretName, ask: &Ask) -> Result<bool, EngineError> {
        let gives_back = matches!(ask.purpose, Purpose::Released | Purpose::Dropped);
        let Some(held) = self.held.get_mut(&ask.generation) else { return Ok(false) };
        if gives_back {
            // First it stops, then it says so.
            held.let_go = true;
            self.uses = self.uses.filter(|uses| *uses != ask.generation);
        }
        let unable = match self.temper {
            Temper::Refuses(generation) => generation == ask.generation,
            Temper::Unable => true,
            Temper::Willing | Temper::Clings(_) | Temper::Silent => false,
        };
        if self.temper == Temper::Clings(ask.generation) && ask.purpose == Purpose::Adopted {
            return Ok(false);
        }
        let purpose = if unable && ask.purpose == Purpose::Ready { Purpose::Failed } else { ask.purpose };
        let challenge = Challenge {
            secret: secret.clone(),
            consumer: self.consumer.clone(),
            replica: self.replica.clone(),
            incarnation: self.incarnation.clone(),
            rotation: ask.rotation.clone(),
            generation: ask.generation,
            purpose,
        };
        let fields: Vec<_> = held.fields.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        let said = acknowledgement(engine, &fields, &held.salt, challenge, EvidenceKind::Process).await?;
        match engine.acknowledge(said).await {
            Ok(_) => {}
            Err(EngineError::Refused { .. } | EngineError::Proof(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
        if gives_back {
            self.held.remove(&ask.generation);
        }
        Ok(true)
    }
}

/// A statement with a right proof.
///
/// # Errors
/// The engine gave no challenge.
pub async fn acknowledgement(
    engine: &Engine,
    fields: &[(&str, &[u8])],
    salt: &[u8],
    challenge: Challenge,
    kind: EvidenceKind,
) -> Result<Acknowledgement, EngineError> {
    let challenged = engine.challenge(challenge.clone()).await?;
    let proof = prove(fields, salt, &challenge, challenged.epoch, &challenged.nonce);
    let reason = match challenge.purpose {
        Purpose::Failed | Purpose::Cry => "the harness could not use it".to_owned(),
        _ => String::new(),
    };
    Ok(Acknowledgement { challenge, nonce: challenged.nonce, proof: proof.to_vec(), kind, reason })
}
