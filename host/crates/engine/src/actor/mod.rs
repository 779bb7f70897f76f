//! One task per secret that has something to do: takes in facts and requests, decides, writes, acts on what is written.
//! The only place that appends events. What it shows to anybody is durable.

mod batch;
mod dated;
mod intake;
mod launch;
mod lease;
mod loaded;
mod message;
mod offering;
mod pace;
mod span;
mod turn;
mod write;

pub(crate) use dated::Measured;
pub(crate) use launch::{Launch, known_at};
pub(crate) use loaded::Loaded;
pub(crate) use message::{Asked, Fact, Fetching, Item, Offered, TookOver};
pub(crate) use pace::Pace;

use crate::board::{Face, SecretId};
use crate::clock::Reading;
use crate::scheduler::StartPermit;
use crate::shared::Shared;
use keybaton_protocol::ids::{CallId, Millis, SecretName};
use lease::Held;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tracing::Instrument;

/// A secret's actor.
pub(crate) struct Actor {
    shared: Arc<Shared>,
    id: SecretId,
    name: Arc<SecretName>,
    mailbox: mpsc::Receiver<Item>,
    stop: watch::Receiver<bool>,
    loaded: Option<Box<Loaded>>,
    /// Calls that tasks of this process are at.
    running: HashSet<CallId>,
    /// Fetches that are answered once there is something new for them.
    waiting: Vec<Fetching>,
    lease: Option<Held>,
    /// Held while the rotation that cadence started moves.
    permit: Option<StartPermit>,
    /// Set when the protocol contradicted itself: facts are still taken, nothing is decided by this actor.
    broken: bool,
    /// Set where another host leads: what is in memory is read again before it is decided on.
    behind: bool,
    /// How it stands, as the board was last told.
    shown: Option<Face>,
    pace: Pace,
    /// Whether the turn's span says what it is about.
    described: bool,
    /// The instant of the turn.
    instant: Millis,
    /// What the clock showed when the turn began.
    reading: Reading,
    /// How far this process has measured the time between the journal's events.
    measured: Option<Measured>,
    /// What has become of the clock is on record, or in this turn's write.
    dated: bool,
}

/// What to do after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    /// Look again at once.
    No,
    /// Until a message comes or this many milliseconds have passed.
    For(u64),
    /// Until a message comes; after the lingering time, go, and be woken at this instant.
    Linger(Option<Millis>),
}

/// Runs a secret's actor until it has nothing to do.
pub(crate) async fn run(shared: Arc<Shared>, id: SecretId, mailbox: mpsc::Receiver<Item>) {
    let name = Arc::clone(&shared.board().cell(id).name);
    let pace = shared.paces().remove(&id).unwrap_or_default();
    let waiting = shared.waiting().remove(&id).unwrap_or_default();
    let measured = shared.measured().remove(&id);
    let reading = shared.clock.read();
    let stop = shared.stopping();
    let mut actor = Actor {
        shared,
        id,
        name,
        mailbox,
        stop,
        loaded: None,
        running: HashSet::new(),
        waiting,
        lease: None,
        permit: None,
        broken: false,
        behind: false,
        shown: None,
        pace,
        described: false,
        instant: Millis(0),
        reading,
        measured,
        dated: false,
    };
    let mut kept = Vec::new();
    let mut pause = Pause::For(0);
    loop {
        let mut items = std::mem::take(&mut kept);
        if !actor.receive(&mut items, pause).await {
            actor.leave(pause).await;
            return;
        }
        actor.described = false;
        let span = actor.span();
        (kept, pause) = actor.turn(items).instrument(span).await;
    }
}

impl Actor {
    /// The instant of this turn. Everything a turn folds and writes has one instant: the journal keeps one for each
    /// write, so a fold at other instants would not be what a replay sees.
    fn now(&self) -> Millis {
        self.instant
    }

    /// Reads the clock. Before the last event it is only once that is on record: see [`Actor::date`].
    fn tick(&mut self) {
        let last = self.loaded.as_ref().map_or(Millis(0), |loaded| loaded.secret.clock());
        self.reading = self.shared.clock.read();
        self.instant = self.reading.now.max(last);
        self.dated = false;
    }

    /// Waits as long as the pause says, then takes what has come. `false`: nothing came and nothing keeps it here.
    async fn receive(&mut self, items: &mut Vec<Item>, pause: Pause) -> bool {
        let stopping = self.shared.is_stopping();
        let (ms, stays) = match pause {
            Pause::No => (0, true),
            Pause::For(ms) => (ms, true),
            // A call in flight is heard to its end here, so that its outcome meets the state it was decided on.
            Pause::Linger(_) if !self.running.is_empty() => (self.shared.options.lease_ms, true),
            Pause::Linger(_) => (self.linger_ms(), false),
        };
        let idle = items.is_empty() && self.running.is_empty();
        if stopping && idle && self.mailbox.is_empty() {
            return false;
        }
        let mut came = true;
        if ms > 0 {
            tokio::select! {
                biased;
                message = self.mailbox.recv() => take(items, message),
                () = tokio::time::sleep(Duration::from_millis(ms)) => came = stays,
                // Fails only where the sender is gone, which is a stop as well.
                _ = self.stop.wait_for(|stop| *stop), if !stopping => {}
            }
        } else if !stays && self.mailbox.is_empty() {
            came = false;
        }
        came |= self.drain(items);
        if !stopping && !items.is_empty() && items.iter().all(Item::is_patient) {
            let company = Duration::from_millis(self.shared.options.company_ms);
            if let Ok(message) = tokio::time::timeout(company, self.mailbox.recv()).await {
                take(items, message);
                self.drain(items);
            }
        }
        came || !items.is_empty()
    }

    /// Takes what has come already. Answers whether anything had.
    fn drain(&mut self, items: &mut Vec<Item>) -> bool {
        let mut came = false;
        while items.len() < self.shared.options.batch {
            let Ok(message) = self.mailbox.try_recv() else { break };
            take(items, Some(message));
            came = true;
        }
        came
    }

    /// How long a secret that only waits is kept: not at all when too many are.
    fn linger_ms(&self) -> u64 {
        let crowded = self.shared.actors().len() > self.shared.options.loaded;
        if crowded { 0 } else { self.shared.options.linger_ms }
    }

    /// Goes, leaving a timer behind where something is still to be done. What came meanwhile is handed on.
    async fn leave(mut self, pause: Pause) {
        if let Pause::Linger(Some(at)) = pause
            && self.shared.board().set_wake(self.id, at, self.reading)
        {
            self.shared.bell.notify_one();
        }
        if let Some(measured) = self.measured {
            self.shared.measured().insert(self.id, measured);
        }
        if self.pace.is_under_way() {
            self.shared.paces().insert(self.id, std::mem::take(&mut self.pace));
        }
        self.forget_answered();
        if !self.waiting.is_empty() {
            self.shared.waiting().insert(self.id, std::mem::take(&mut self.waiting));
        }
        {
            // Closed before it is taken off the map: whoever finds it closed begins a new actor.
            self.mailbox.close();
            let mut actors = self.shared.actors();
            if actors.get(&self.id).is_some_and(mpsc::Sender::is_closed) {
                actors.remove(&self.id);
            }
            self.shared.metrics.loaded.set(i64::try_from(actors.len()).unwrap_or(i64::MAX));
        }
        while let Some(message) = self.mailbox.recv().await {
            self.shared.deliver(self.id, message).await;
        }
    }
}

fn take(items: &mut Vec<Item>, message: Option<Item>) {
    // A wake has done its work by coming.
    items.extend(message.filter(|item| !matches!(item, Item::Wake)));
}
