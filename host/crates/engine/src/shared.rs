//! What all parts of a running engine share, and how a secret's actor is reached. Holds no state of any one secret.

use crate::actor::{self, Fetching, Item, Measured, Pace};
use crate::board::{Board, SecretId};
use crate::clock::HostClock;
use crate::error::EngineError;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::nonces::InProcess;
use crate::options::Options;
use crate::ports::clock::Random;
use crate::ports::freezes::{Freezes, Scope};
use crate::ports::journal::Journal;
use crate::ports::nonces::Nonces;
use crate::ports::rotator::Rotator;
use crate::ports::storage::StorageError;
use crate::requests::Changed;
use crate::tasks::Tasks;
use keybaton_protocol::ids::{Epoch, Generation, Millis, SecretName};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, Semaphore, broadcast, mpsc, watch};

/// The running engine's common parts.
pub(crate) struct Shared {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) freezes: Arc<dyn Freezes>,
    pub(crate) nonces: Arc<dyn Nonces>,
    pub(crate) rotator: Arc<dyn Rotator>,
    pub(crate) clock: Arc<HostClock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) options: Options,
    /// This life of the host as a holder of leases: drawn at its start, so that no two hosts ever have the same.
    pub(crate) holder: String,
    pub(crate) epoch: Epoch,
    pub(crate) bell: Arc<Notify>,
    pub(crate) starts: Arc<Semaphore>,
    pub(crate) loading: Semaphore,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) announce: broadcast::Sender<Changed>,
    pub(crate) tasks: Arc<Tasks>,
    /// Secrets whose actors found their scope frozen; woken by a thaw. Bounded by the number of secrets.
    pub(crate) stalled: Mutex<HashSet<SecretId>>,
    /// The highest generation a consumer claimed to hold that the journal does not know (after a restore).
    reported: Mutex<HashMap<SecretId, Generation>>,
    /// Held while somebody changes members, places or evidence by hand.
    pub(crate) people: tokio::sync::Mutex<()>,
    board: Mutex<Board>,
    actors: Mutex<HashMap<SecretId, mpsc::Sender<Item>>>,
    /// Of secrets that wait without an actor. Bounded by the number of secrets.
    paces: Mutex<HashMap<SecretId, Pace>>,
    /// Journals whose time this process has measured, of secrets without an actor. Bounded by the number of secrets.
    measured: Mutex<HashMap<SecretId, Measured>>,
    /// Of secrets without an actor: fetches that wait for one to have news.
    waiting: Mutex<HashMap<SecretId, Vec<Fetching>>>,
    stop: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(parts: crate::Parts, epoch: Epoch, board: Board) -> Self {
        let options = parts.options;
        let mut drawn = [0; 16];
        parts.random.fill(&mut drawn);
        let holder = drawn.iter().map(|byte| format!("{byte:02x}")).collect();
        let in_process = || Arc::new(InProcess::new(options.nonces, Arc::clone(&parts.clock))) as _;
        Self {
            holder,
            nonces: parts.nonces.unwrap_or_else(in_process),
            journal: parts.journal,
            freezes: parts.freezes,
            rotator: parts.rotator,
            clock: parts.clock,
            random: parts.random,
            epoch,
            bell: Arc::new(Notify::new()),
            starts: Arc::new(Semaphore::new(options.rotations_at_once.max(1))),
            loading: Semaphore::new(LOADING_AT_ONCE),
            limits: Limits::new(options.calls_at_once, options.calls_per_connection),
            metrics: Metrics::new(),
            announce: broadcast::channel(options.announcements.max(1)).0,
            tasks: Arc::default(),
            stalled: Mutex::default(),
            reported: Mutex::default(),
            people: tokio::sync::Mutex::default(),
            board: Mutex::new(board),
            actors: Mutex::default(),
            paces: Mutex::default(),
            measured: Mutex::default(),
            waiting: Mutex::default(),
            stop: watch::channel(false).0,
            options,
        }
    }

    /// The host's clock.
    pub(crate) fn wall(&self) -> Millis {
        self.clock.now()
    }

    /// A poisoned lock is taken over: the board is rebuilt from journals and declarations at the next start anyway,
    /// and a panic under it has been reported.
    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn find(&self, secret: &SecretName) -> Result<SecretId, EngineError> {
        self.board().find(secret).ok_or_else(|| EngineError::Unknown(secret.clone()))
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Tells when the engine begins to stop.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Resolves when the engine begins to stop.
    pub(crate) async fn stopped(&self) {
        // The sender lives in this very struct, so waiting can't fail.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    pub(crate) fn actors(&self) -> MutexGuard<'_, HashMap<SecretId, mpsc::Sender<Item>>> {
        self.actors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn paces(&self) -> MutexGuard<'_, HashMap<SecretId, Pace>> {
        self.paces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn measured(&self) -> MutexGuard<'_, HashMap<SecretId, Measured>> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn waiting(&self) -> MutexGuard<'_, HashMap<SecretId, Vec<Fetching>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reaches a secret's actor with a fact that must not be lost: waits for room. Where the runtime has ended under the
    /// engine nothing can be written any more; the journal then tells of a call that did not come back, as after a crash.
    pub(crate) async fn deliver(self: &Arc<Self>, id: SecretId, mut message: Item) {
        loop {
            match self.mailbox(id).send(message).await {
                Err(gone) if !self.tasks.are_cut() => message = gone.0,
                Ok(()) | Err(_) => return,
            }
        }
    }

    /// Reaches a secret's actor with a request that can be refused.
    pub(crate) fn ask(self: &Arc<Self>, id: SecretId, mut message: Item) -> Result<(), EngineError> {
        if self.is_stopping() {
            return Err(EngineError::Stopping);
        }
        loop {
            match self.mailbox(id).try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(_)) => return Err(EngineError::Overloaded),
                Err(TrySendError::Closed(_)) if self.tasks.are_cut() => return Err(EngineError::Stopping),
                Err(TrySendError::Closed(back)) => message = back,
            }
        }
    }

    /// Lets a secret look at itself again. A full mailbox will make it do so anyway.
    pub(crate) fn wake(self: &Arc<Self>, id: SecretId) {
        let _ = self.ask(id, Item::Wake);
    }

    /// The mailbox of a secret's actor, which is begun if need be.
    fn mailbox(self: &Arc<Self>, id: SecretId) -> mpsc::Sender<Item> {
        let mut actors = self.actors();
        if let Some(mailbox) = actors.get(&id).filter(|mailbox| !mailbox.is_closed()) {
            return mailbox.clone();
        }
        let (sender, receiver) = mpsc::channel(self.options.mailbox.max(1));
        actors.insert(id, sender.clone());
        self.metrics.loaded.set(i64::try_from(actors.len()).unwrap_or(i64::MAX));
        drop(actors);
        self.tasks.spawn(actor::run(Arc::clone(self), id, receiver));
        sender
    }

    /// Reads the freeze list from the store, which other hosts may have changed.
    pub(crate) async fn read_freezes(self: &Arc<Self>) -> Result<(), StorageError> {
        let standing = self.freezes.freezes().await?;
        let lifted: Vec<Scope> = {
            let mut board = self.board();
            let known = board.freezes().into_iter().map(|freeze| freeze.scope);
            let lifted = known.filter(|scope| !standing.iter().any(|freeze| freeze.scope == *scope)).collect();
            standing.into_iter().for_each(|freeze| board.freeze(freeze));
            lifted
        };
        lifted.iter().for_each(|scope| self.thaw(scope));
        Ok(())
    }

    /// Whether a secret has an actor, or replicas that wait for news of it.
    pub(crate) fn is_watched(&self, id: SecretId) -> bool {
        self.actors().contains_key(&id) || self.waiting().contains_key(&id)
    }

    /// Lifts a freeze; whoever found its scope frozen looks again.
    pub(crate) fn thaw(self: &Arc<Self>, scope: &Scope) {
        self.board().thaw(scope);
        let stalled = std::mem::take(&mut *self.stalled.lock().unwrap_or_else(PoisonError::into_inner));
        stalled.into_iter().for_each(|id| self.wake(id));
        self.bell.notify_one();
    }

    /// Remembers a generation that a consumer names and the journal does not know.
    pub(crate) fn report(&self, id: SecretId, generation: Generation) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let known = reported.entry(id).or_insert(generation);
        *known = generation.max(*known);
    }

    pub(crate) fn reported(&self, id: SecretId) -> Option<Generation> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }

    pub(crate) fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }
}

/// Journals that are replayed at once: a start after a crash must not read ten thousand at the same time.
const LOADING_AT_ONCE: usize = 64;
