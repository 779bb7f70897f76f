//! Admin identities from managed secrets: fetched from the engine at each use, as the consumer that the connection is.
//! Keeps which generation it uses; of values only what is pending, to prove that it was held when it is let go.

use async_trait::async_trait;
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_engine::requests::{Delivered, Delivery, Fetch};
use keybaton_engine::{Engine, EngineError};
use keybaton_protocol::ids::{Generation, Incarnation, Replica, SecretName};
use keybaton_runtime::identity::{SecretSource, SourceError, Sourced};
use keybaton_schedule::connection::login::consumer;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a start may take until the engine answers for the secrets of connections.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two questions within it.
const PAUSE: Duration = Duration::from_millis(50);

/// The way from connections to the engine, which is built after them. Closed before the engine is let go of: each holds
/// the other otherwise.
#[derive(Debug)]
pub(crate) struct Link {
    engine: watch::Sender<Option<Handle>>,
    /// This life of the host.
    incarnation: Incarnation,
    /// The declarations are in force: who is not declared now is not.
    declared: AtomicBool,
}

#[derive(Clone)]
struct Handle(Engine);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Link {
    /// A way that leads nowhere yet.
    pub(crate) fn new(incarnation: Incarnation) -> Arc<Self> {
        Arc::new(Self { engine: watch::Sender::new(None), incarnation, declared: AtomicBool::new(false) })
    }

    pub(crate) fn open(&self, engine: Engine) {
        self.engine.send_replace(Some(Handle(engine)));
    }

    /// The declarations are in force from here on.
    pub(crate) fn declared(&self) {
        self.declared.store(true, Ordering::SeqCst);
    }

    pub(crate) fn close(&self) {
        self.engine.send_replace(None);
    }

    pub(crate) fn incarnation(&self) -> &Incarnation {
        &self.incarnation
    }

    /// The engine, once there is one.
    async fn engine(&self, until: Instant) -> Result<Engine, SourceError> {
        let mut told = self.engine.subscribe();
        let there = tokio::time::timeout_at(until, told.wait_for(Option::is_some)).await;
        let engine = there.ok().and_then(Result::ok).and_then(|handle| handle.clone());
        engine.map(|Handle(engine)| engine).ok_or_else(|| SourceError::NotNow("the host is not up yet".to_owned()))
    }
}

/// The managed secret that one connection logs in with.
#[derive(Debug)]
pub(crate) struct Managed {
    link: Arc<Link>,
    secret: SecretName,
    /// The connection, as a replica.
    replica: Replica,
    /// The secret field that holds the value, where there are several.
    field: &'static str,
    /// The generation in use; 0 before the first.
    chosen: AtomicU32,
    /// What was offered and may be taken back.
    pending: Mutex<HashMap<Generation, Possession>>,
}

/// What it takes to prove that a generation was held.
#[derive(Debug)]
pub(crate) struct Possession {
    pub(crate) fields: Vec<(String, SecretBytes)>,
    pub(crate) salt: SecretBytes,
}

impl Possession {
    pub(crate) fn of(it: &Delivered) -> Self {
        let fields = it.fields.iter().map(|(name, value)| (name.clone(), value.duplicate())).collect();
        Self { fields, salt: it.salt.duplicate() }
    }
}

impl Managed {
    pub(crate) fn new(link: Arc<Link>, secret: SecretName, replica: Replica, field: &'static str) -> Self {
        Self { link, secret, replica, field, chosen: AtomicU32::new(0), pending: Mutex::default() }
    }

    /// Whether it is this connection's login with this field of this secret.
    pub(crate) fn is(&self, secret: &SecretName, replica: &Replica, field: &str) -> bool {
        self.secret == *secret && self.replica == *replica && self.field == field
    }

    pub(crate) fn secret(&self) -> &SecretName {
        &self.secret
    }

    pub(crate) fn replica(&self) -> &Replica {
        &self.replica
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// The generation that is logged in with; none before the first.
    pub(crate) fn chosen(&self) -> Option<Generation> {
        Some(self.chosen.load(Ordering::SeqCst)).filter(|chosen| *chosen > 0).map(Generation)
    }

    /// From here on this generation is logged in with.
    pub(crate) fn choose(&self, generation: Generation) {
        self.chosen.store(generation.0, Ordering::SeqCst);
    }

    /// What the connection may hold now.
    pub(crate) async fn fetch(&self) -> Result<Delivery, SourceError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let engine = self.link.engine(until).await?;
            let known = self.link.declared.load(Ordering::SeqCst);
            let fetch = Fetch {
                secret: self.secret.clone(),
                consumer: consumer(),
                replica: self.replica.clone(),
                incarnation: self.link.incarnation.clone(),
            };
            match engine.fetch(fetch).await {
                Ok(delivery) => {
                    self.remember(&delivery);
                    return Ok(delivery);
                }
                // Declarations are put in force a little after the engine has started.
                Err(error @ (EngineError::NotYours { .. } | EngineError::Overloaded))
                    if Instant::now() + PAUSE < until && !(known && matches!(error, EngineError::NotYours { .. })) =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(EngineError::NotYours { .. }) => {
                    return Err(SourceError::NotNow(format!("no secret {} is declared", self.secret)));
                }
                Err(error) => return Err(SourceError::NotNow(format!("{}: {error}", self.secret))),
            }
        }
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Generation, Possession>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever was given what is pending has to be able to prove that, when it is taken back.
    fn remember(&self, delivery: &Delivery) {
        let mut pending = self.pending();
        for it in &delivery.generations {
            match it.role {
                "pending" => drop(pending.entry(it.generation).or_insert_with(|| Possession::of(it))),
                _ => drop(pending.remove(&it.generation)),
            }
        }
        let asked = |generation| delivery.asks.iter().any(|ask| ask.generation == generation);
        let given = |generation| delivery.generations.iter().any(|it| it.generation == generation);
        pending.retain(|generation, _| given(*generation) || asked(*generation));
    }

    /// What was pending and is asked back.
    pub(crate) fn taken_back(&self, generation: Generation) -> Option<Possession> {
        self.pending().remove(&generation)
    }

    /// It could not be said that it is let go: it is kept for the next time.
    pub(crate) fn keep(&self, generation: Generation, possession: Possession) {
        self.pending().insert(generation, possession);
    }

    /// One generation as something to log in with.
    pub(crate) fn sourced(&self, it: &Delivered) -> Result<Sourced, SourceError> {
        let named = it.fields.iter().find(|(name, _)| name == self.field);
        let (_, value) = match (named, it.fields.as_slice()) {
            (Some(field), _) | (None, [field]) => field,
            (None, []) => {
                let what = format!("the value of {} {} is not known here: rotate it", self.secret, it.generation);
                return Err(SourceError::NotNow(what));
            }
            (None, _) => {
                let what = format!("{} has several secret fields and none is called `{}`", self.secret, self.field);
                return Err(SourceError::Other(what));
            }
        };
        let mark = u64::from(it.generation.0);
        Ok(Sourced { secret: value.duplicate(), public: it.attributes.clone(), mark })
    }
}

#[async_trait]
impl SecretSource for Managed {
    async fn read(&self) -> Result<Sourced, SourceError> {
        let delivery = self.fetch().await?;
        let chosen = self.chosen.load(Ordering::SeqCst);
        let held = delivery.generations.iter().find(|it| it.generation.0 == chosen);
        let it = held.or_else(|| delivery.generations.iter().find(|it| it.use_now)).ok_or_else(|| {
            SourceError::NotNow(format!("{} has no credential yet: issue or import it first", self.secret))
        })?;
        let sourced = self.sourced(it)?;
        // Who has chosen meanwhile knows better.
        let _ = self.chosen.compare_exchange(chosen, it.generation.0, Ordering::SeqCst, Ordering::SeqCst);
        Ok(sourced)
    }

    fn mark(&self) -> u64 {
        u64::from(self.chosen.load(Ordering::SeqCst))
    }

    async fn refused(&self, mark: u64) -> bool {
        if self.mark() != mark {
            return true;
        }
        let Ok(delivery) = self.fetch().await else { return false };
        let other = |it: &&Delivered| u64::from(it.generation.0) != mark && !it.fields.is_empty();
        // What is pending is tried only where the target takes it already.
        let usable = |it: &&Delivered| other(it) && (it.live || it.role != "pending");
        let mut usable = delivery.generations.iter().filter(usable);
        let first = usable.clone().find(|it| it.use_now).or_else(|| usable.next());
        let Some(next) = first else { return false };
        tracing::warn!(secret = %self.secret, connection = %self.replica, refused = mark, next = next.generation.0,
            "the admin credential is refused; the next one that is held is tried");
        let (was, next) = (u32::try_from(mark).unwrap_or(0), next.generation.0);
        let _ = self.chosen.compare_exchange(was, next, Ordering::SeqCst, Ordering::SeqCst);
        true
    }
}
