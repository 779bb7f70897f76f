//! Secrets that rotate without pause, each with a consumer that waits for news, proves and acknowledges at once through
//! the engine's facade, as a client would through the API.

use crate::Failure;
use crate::progress::say;
use crate::stats::Samples;
use crate::world::{CONSUMER, REPLICA, author};
use keybaton_engine::proof::prove;
use keybaton_engine::requests::{Acknowledgement, Ask, Challenge, Delivery, Fetch};
use keybaton_engine::{Engine, EngineError};
use keybaton_protocol::evidence::{EvidenceKind, Purpose};
use keybaton_protocol::ids::{RotationId, SecretName};
use keybaton_protocol::offer::Known;
use keybaton_protocol::step::PlanKind;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A rotation that takes so long will never end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A fetch waits so long for news, and is then answered with what there is.
const WAIT: Duration = Duration::from_secs(5);

/// After so long without the announcement of a rotation's end, the next one is asked for anyway.
const LOOK_ANYWAY: Duration = Duration::from_millis(200);

/// What a consumer is asked for in a rotation, in order.
const ASKS: [Purpose; 2] = [Purpose::Ready, Purpose::Adopted];

/// All secrets of one engine.
pub(crate) struct Fleet {
    engine: Engine,
    workers: Vec<Worker>,
    listener: JoinHandle<()>,
}

impl Fleet {
    /// Declared secrets, each brought to its first credential.
    pub(crate) async fn issue(engine: &Engine, names: Vec<SecretName>) -> Result<Self, Failure> {
        let (senders, receivers): (HashMap<_, _>, Vec<_>) = names
            .into_iter()
            .map(|name| {
                let (sender, heard) = watch::channel(0);
                let wanted = Arc::new(AtomicU64::new(0));
                let ear = Ear { heard, wanted: Arc::clone(&wanted) };
                ((name.clone(), (sender, wanted)), (name, ear))
            })
            .unzip();
        let listener = tokio::spawn(listen(engine.subscribe(), senders));
        let mut issuing = JoinSet::new();
        for (name, ear) in receivers {
            let mut worker = Worker::new(engine.clone(), name, ear)?;
            issuing.spawn(async move { worker.issue().await.map(|()| worker) });
        }
        let workers = issuing.join_all().await.into_iter().collect::<Result<_, _>>()?;
        Ok(Self { engine: engine.clone(), workers, listener })
    }

    /// Rotates all of them without pause: after a warm-up, the rotations per second in each of some windows.
    pub(crate) async fn rates(
        &mut self,
        warm_up: Duration,
        windows: usize,
        window: Duration,
        tell: impl Fn(f64),
    ) -> Result<Vec<f64>, Failure> {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut running = JoinSet::new();
        for mut worker in self.workers.drain(..) {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            running.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    worker.rotate().await?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, Failure>(worker)
            });
        }
        tokio::time::sleep(warm_up).await;
        let mut rates = Vec::with_capacity(windows);
        for _ in 0..windows {
            let (before, began) = (done.load(Ordering::Relaxed), Instant::now());
            tokio::time::sleep(window).await;
            let rate = (done.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
            tell(rate);
            rates.push(rate);
        }
        stop.store(true, Ordering::Relaxed);
        self.workers = running.join_all().await.into_iter().collect::<Result<_, _>>()?;
        Ok(rates)
    }

    /// Rotates the first one alone, so many times: from the request to the end of the old credential.
    pub(crate) async fn alone(&mut self, times: usize) -> Result<Samples, Failure> {
        let worker = self.workers.first_mut().ok_or("there is no secret")?;
        let mut samples = Samples::default();
        for _ in 0..times {
            let began = Instant::now();
            worker.rotate().await?;
            worker.rest().await?;
            samples.push(began.elapsed());
        }
        Ok(samples)
    }

    /// That every rotation that was counted is over, and made a generation.
    pub(crate) async fn check(&mut self) -> Result<u64, Failure> {
        let mut rotations = 0;
        for worker in &mut self.workers {
            worker.rest().await?;
            let status = self.engine.status(&worker.secret).await?;
            let current = status.generations.iter().find(|it| it.role == "current").map(|it| it.generation);
            if current != Some(worker.rotations + 1) {
                return Err(format!("{}: {} rotations, and {status:?}", worker.secret, worker.rotations).into());
            }
            rotations += u64::from(worker.rotations);
        }
        let anyway: u64 = self.workers.iter().map(|worker| worker.looked_anyway).sum();
        if anyway > 0 {
            say("rotations", &format!("waited {anyway} times for an announcement that did not come"));
        }
        Ok(rotations)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// Hands each announcement to the secret that it is for, as the API's streams do.
async fn listen(
    mut changes: tokio::sync::broadcast::Receiver<keybaton_engine::requests::Changed>,
    secrets: HashMap<SecretName, (watch::Sender<u64>, Arc<AtomicU64>)>,
) {
    loop {
        match changes.recv().await {
            Ok(changed) => {
                if let Some((secret, wanted)) = secrets.get(&changed.secret) {
                    secret.send_if_modified(|seq| {
                        *seq = changed.seq.0;
                        *seq >= wanted.load(Ordering::SeqCst)
                    });
                }
            }
            // Lost announcements: everybody looks.
            Err(RecvError::Lagged(_)) => secrets.values().for_each(|(secret, _)| secret.send_modify(|seq| *seq += 1)),
            Err(RecvError::Closed) => return,
        }
    }
}

/// What is heard of a secret's journal, and from where on it is listened to: whoever waits for a rotation's end need not
/// wake up for each write.
struct Ear {
    heard: watch::Receiver<u64>,
    wanted: Arc<AtomicU64>,
}

/// One secret, who has it rotated, and its consumer.
struct Worker {
    engine: Engine,
    secret: SecretName,
    fetch: Fetch,
    /// What the consumer was told last.
    known: Known,
    ear: Ear,
    /// The journal's position when the last rotation was over.
    rested: u64,
    /// By how many events it has grown when the rotation is over.
    length: u64,
    rotations: u32,
    /// How often an announcement was waited for in vain.
    looked_anyway: u64,
}

impl Worker {
    fn new(engine: Engine, secret: SecretName, ear: Ear) -> Result<Self, Failure> {
        let fetch = Fetch {
            secret: secret.clone(),
            consumer: CONSUMER.parse()?,
            replica: REPLICA.parse()?,
            incarnation: "life-1".parse()?,
        };
        Ok(Self {
            engine,
            secret,
            fetch,
            known: Known::default(),
            ear,
            rested: 0,
            length: 1,
            rotations: 0,
            looked_anyway: 0,
        })
    }

    async fn issue(&mut self) -> Result<(), Failure> {
        self.engine.begin(&self.secret, PlanKind::Issue, "bench", author()).await?;
        self.rest().await
    }

    /// Answers whatever is asked until no rotation is open.
    async fn rest(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let delivery = self.engine.fetch(self.fetch.clone()).await?;
            self.known = delivery.known();
            for ask in &delivery.asks {
                self.acknowledge(&delivery, ask).await?;
            }
            if delivery.rotation == RotationId::none() && !delivery.generations.is_empty() {
                // The next one may begin at once.
                (self.length, self.rested) = (0, delivery.seq.0);
                return Ok(());
            }
            self.until(delivery.seq.0 + 1, began).await?;
        }
    }

    /// One rotation. It is over when the next one may begin; nobody is asked before that is likely.
    async fn rotate(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        self.begin(began).await?;
        for purpose in ASKS {
            loop {
                let delivery = self.engine.fetch_news(self.fetch.clone(), self.known.clone(), WAIT).await?;
                self.known = delivery.known();
                if let Some(ask) = delivery.asks.iter().find(|ask| ask.purpose == purpose) {
                    self.acknowledge(&delivery, ask).await?;
                    break;
                }
                self.patience(began).await?;
            }
        }
        self.rotations += 1;
        Ok(())
    }

    async fn begin(&mut self, began: Instant) -> Result<(), Failure> {
        self.until(self.rested + self.length, began).await?;
        loop {
            let heard = *self.ear.heard.borrow_and_update();
            match self.engine.begin(&self.secret, PlanKind::Rotate, "bench", author()).await {
                Ok(_) => {
                    // The least that was seen: an announcement that came late must not make it wait for one that never comes.
                    let length = heard.saturating_sub(self.rested);
                    self.length = if self.length == 0 { length } else { length.min(self.length) };
                    self.rested = heard.max(self.rested);
                    return Ok(());
                }
                Err(EngineError::Refused { code: "conflict", .. }) => self.until(heard + 1, began).await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until the journal has come so far, or it is time to look whether it has.
    async fn until(&mut self, seq: u64, began: Instant) -> Result<(), Failure> {
        self.patience(began).await?;
        self.ear.wanted.store(seq, Ordering::SeqCst);
        match tokio::time::timeout(LOOK_ANYWAY, self.ear.heard.wait_for(|heard| *heard >= seq)).await {
            Ok(Err(_)) => Err("the engine has ended".into()),
            Ok(Ok(_)) => Ok(()),
            Err(_) => {
                self.looked_anyway += 1;
                Ok(())
            }
        }
    }

    async fn patience(&self, began: Instant) -> Result<(), Failure> {
        if began.elapsed() > PATIENCE {
            let status = self.engine.status(&self.secret).await?;
            return Err(format!("{} does not come to its end: {status:#?}", self.secret).into());
        }
        Ok(())
    }

    async fn acknowledge(&self, delivery: &Delivery, ask: &Ask) -> Result<(), Failure> {
        let held = delivery.generations.iter().find(|it| it.generation == ask.generation);
        let held = held.ok_or("asked about a generation that was not given out")?;
        let challenge = Challenge {
            secret: self.secret.clone(),
            consumer: self.fetch.consumer.clone(),
            replica: self.fetch.replica.clone(),
            incarnation: self.fetch.incarnation.clone(),
            rotation: ask.rotation.clone(),
            generation: ask.generation,
            purpose: ask.purpose,
        };
        let challenged = self.engine.challenge(challenge.clone()).await?;
        let fields: Vec<_> = held.fields.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        let proof = prove(&fields, held.salt.expose(), &challenge, challenged.epoch, &challenged.nonce).to_vec();
        let kind = EvidenceKind::Process;
        let said = Acknowledgement { challenge, nonce: challenged.nonce, proof, kind, reason: String::new() };
        self.engine.acknowledge(said).await?;
        Ok(())
    }
}
