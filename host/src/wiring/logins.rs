//! Connections as consumers of the secrets they log in with: each tries what is pending for real, switches when it is its
//! turn, lets what is under way with the old one end, and says so only after a login with the new one. States nothing
//! that it has not seen.

use super::managed::{Managed, Possession};
use keybaton_engine::Engine;
use keybaton_engine::proof::prove;
use keybaton_engine::requests::{Acknowledgement, Ask, Challenge, Delivered, Delivery};
use keybaton_protocol::evidence::{EvidenceKind, Purpose};
use keybaton_protocol::ids::Generation;
use keybaton_runtime::connection::Connections;
use keybaton_schedule::connection::login::consumer;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{AbortHandle, JoinSet};

/// How often a connection looks at its secret without being told to.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How soon it looks again while something is asked of it that it could not yet answer.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Trials of one generation that fail before that is said: a network may be down for a moment.
const TRIALS: u32 = 5;

/// Connections as the consumers that they are, until this is dropped.
pub(crate) struct Logins {
    connections: Arc<Connections>,
    engine: Engine,
    tasks: JoinSet<()>,
    running: Vec<(Arc<Managed>, AbortHandle)>,
}

impl Logins {
    /// None yet.
    pub(crate) fn new(connections: Arc<Connections>, engine: Engine) -> Self {
        Self { connections, engine, tasks: JoinSet::new(), running: Vec::new() }
    }

    /// Those that answer.
    pub(crate) fn all(&self) -> Vec<Arc<Managed>> {
        self.running.iter().map(|(managed, _)| Arc::clone(managed)).collect()
    }

    /// Lets these answer from here on. Who does already goes on; who is not among them any more stops.
    pub(crate) fn set(&mut self, all: &[Arc<Managed>]) {
        let stays = |one: &Arc<Managed>| all.iter().any(|other| Arc::ptr_eq(one, other));
        self.running.iter().filter(|(managed, _)| !stays(managed)).for_each(|(_, task)| task.abort());
        self.running.retain(|(managed, _)| stays(managed));
        for managed in all {
            if self.running.iter().any(|(known, _)| Arc::ptr_eq(known, managed)) {
                continue;
            }
            let login = Login {
                managed: Arc::clone(managed),
                connections: Arc::clone(&self.connections),
                engine: self.engine.clone(),
                told: None,
                trials: HashMap::new(),
            };
            self.running.push((Arc::clone(managed), self.tasks.spawn(login.run())));
        }
    }

    /// Ends them all.
    pub(crate) async fn shutdown(&mut self) {
        self.running.clear();
        self.tasks.shutdown().await;
    }
}

struct Login {
    managed: Arc<Managed>,
    connections: Arc<Connections>,
    engine: Engine,
    /// The generation that the host last wanted to be used.
    told: Option<Generation>,
    /// Failed trials by generation; only of those that are asked about.
    trials: HashMap<Generation, u32>,
}

impl Login {
    async fn run(mut self) {
        loop {
            // Subscribed before anything is read: what happens in between is heard.
            let mut changes = self.engine.subscribe();
            let pause = if self.look().await { LOOK_EVERY } else { LOOK_AGAIN };
            let heard = async {
                loop {
                    match changes.recv().await {
                        Ok(changed) if changed.secret != *self.managed.secret() => {}
                        Ok(_) | Err(RecvError::Lagged(_)) => return,
                        // The engine is gone; whoever holds this task ends it.
                        Err(RecvError::Closed) => std::future::pending().await,
                    }
                }
            };
            // Whichever comes first, the next look finds out what there is to do.
            let _either = tokio::time::timeout(pause, heard).await;
        }
    }

    /// Does what is asked; answers whether nothing is left to do.
    async fn look(&mut self) -> bool {
        let Ok(delivery) = self.managed.fetch().await else { return true };
        let use_now = delivery.generations.iter().find(|it| it.use_now).map(|it| it.generation);
        let held = |generation| delivery.generations.iter().any(|it| it.generation == generation);
        if use_now.is_some() && (use_now != self.told || !self.managed.chosen().is_some_and(held)) {
            use_now.into_iter().for_each(|generation| self.managed.choose(generation));
            self.told = use_now;
        }
        self.trials.retain(|generation, _| held(*generation));
        let mut done = true;
        for ask in &delivery.asks {
            done &= self.answer(&delivery, ask).await;
        }
        done
    }

    async fn answer(&mut self, delivery: &Delivery, ask: &Ask) -> bool {
        let it = delivery.generations.iter().find(|it| it.generation == ask.generation);
        match (ask.purpose, it) {
            (Purpose::Ready, Some(it)) => self.ready(delivery, it, ask).await,
            (Purpose::Adopted, Some(it)) => self.adopted(delivery, it, ask).await,
            (Purpose::Released, _) => self.released(delivery, ask).await,
            (Purpose::Ready | Purpose::Adopted | Purpose::Failed | Purpose::Dropped | Purpose::Cry, _) => true,
        }
    }

    /// Tries it, where the target takes it already; with one slot there is nothing to try yet.
    async fn ready(&mut self, delivery: &Delivery, it: &Delivered, ask: &Ask) -> bool {
        let tried = if it.live { self.tried(it).await } else { self.managed.sourced(it).map(drop).map_err(text) };
        let Err(why) = tried else {
            self.trials.remove(&it.generation);
            return self
                .state(delivery, &Possession::of(it), ask, Purpose::Ready, EvidenceKind::Holder, String::new())
                .await;
        };
        let trials = self.trials.entry(it.generation).or_default();
        *trials = trials.saturating_add(1);
        if *trials == TRIALS {
            let purpose = Purpose::Failed;
            return self.state(delivery, &Possession::of(it), ask, purpose, EvidenceKind::Holder, why).await;
        }
        // Once said, it is tried on at leisure: it may have been the network.
        *trials > TRIALS
    }

    async fn adopted(&mut self, delivery: &Delivery, it: &Delivered, ask: &Ask) -> bool {
        let before = self.managed.chosen();
        self.managed.choose(it.generation);
        if let Err(why) = self.tried(it).await {
            let (secret, connection) = (self.managed.secret(), self.managed.replica());
            tracing::warn!(%secret, %connection, generation = it.generation.0, why, "the new admin credential fails");
            before.into_iter().for_each(|before| self.managed.choose(before));
            return false;
        }
        let left = self.connections.left_all_but(self.managed.replica().as_str(), u64::from(it.generation.0));
        let held = Possession::of(it);
        left && self.state(delivery, &held, ask, Purpose::Adopted, EvidenceKind::Process, String::new()).await
    }

    /// What is logged in with is not let go, whoever asks: `retire` waits for another identity of the connection.
    async fn released(&mut self, delivery: &Delivery, ask: &Ask) -> bool {
        if self.managed.chosen() == Some(ask.generation) {
            return true;
        }
        let given = delivery.generations.iter().find(|it| it.generation == ask.generation).map(Possession::of);
        let Some(possession) = given.or_else(|| self.managed.taken_back(ask.generation)) else { return true };
        let stated =
            self.state(delivery, &possession, ask, Purpose::Released, EvidenceKind::Holder, String::new()).await;
        if !stated {
            self.managed.keep(ask.generation, possession);
        }
        stated
    }

    /// Logs in with it.
    async fn tried(&self, it: &Delivered) -> Result<(), String> {
        let value = self.managed.sourced(it).map_err(text)?;
        match self.connections.try_out(self.managed.replica().as_str(), value).await {
            Some(tried) => tried.map(drop),
            None => Err("the connection is gone".to_owned()),
        }
    }

    /// States something, proven; answers whether it was taken.
    async fn state(
        &self,
        delivery: &Delivery,
        held: &Possession,
        ask: &Ask,
        purpose: Purpose,
        kind: EvidenceKind,
        reason: String,
    ) -> bool {
        let challenge = Challenge {
            secret: self.managed.secret().clone(),
            consumer: consumer(),
            replica: self.managed.replica().clone(),
            incarnation: self.managed.link().incarnation().clone(),
            rotation: ask.rotation.clone(),
            generation: ask.generation,
            purpose,
        };
        let fields: Vec<(&str, &[u8])> =
            held.fields.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        let stated = async {
            let given = self.engine.challenge(challenge.clone()).await?;
            let proof = prove(&fields, held.salt.expose(), &challenge, delivery.epoch, &given.nonce).to_vec();
            let nonce = given.nonce;
            self.engine.acknowledge(Acknowledgement { challenge, nonce, proof, kind, reason }).await
        };
        let (secret, connection) = (self.managed.secret(), self.managed.replica());
        let (generation, purpose) = (ask.generation.0, purpose.name());
        match stated.await {
            Ok(_) => {
                tracing::info!(%secret, %connection, generation, purpose, "a connection answers as a consumer");
                true
            }
            // Asked no longer, or not yet: the next look finds out.
            Err(error) => {
                tracing::debug!(%secret, %connection, generation, purpose, %error, "a statement was not taken");
                false
            }
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
