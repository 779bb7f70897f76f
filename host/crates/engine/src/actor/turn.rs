//! One turn: take in, decide, write, act. Done again from the journal when somebody else wrote first.

use super::batch::Batch;
use super::launch::Launch;
use super::message::Item;
use super::{Actor, Loaded, Pause};
use crate::ports::journal::JournalError;
use keybaton_protocol::action::{Action, Waiting};
use keybaton_protocol::decide;
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::Millis;

/// Decisions in one write; more are taken in the next turn.
const DECISIONS: usize = 64;

/// Times a turn is done again because others wrote first, before a pause.
const AGAIN: usize = 8;

/// What a failed write or read means for the turn.
pub(super) enum Setback {
    /// Load again and do the turn again.
    Again,
    /// The store failed: facts are kept, everything else is told.
    Store(JournalError),
}

impl Actor {
    /// Takes in what came and does what follows. Answers what must be kept, and how long to pause.
    pub(super) async fn turn(&mut self, mut items: Vec<Item>) -> (Vec<Item>, Pause) {
        for _ in 0..AGAIN {
            match self.attempt(&mut items).await {
                Ok(pause) => return (Vec::new(), pause),
                Err(Setback::Again) => self.loaded = None,
                Err(Setback::Store(error)) => return self.store_failed(items, &error),
            }
        }
        let busy = JournalError::Unavailable { detail: "others keep writing to this journal".to_owned() };
        self.store_failed(items, &busy)
    }

    async fn attempt(&mut self, items: &mut Vec<Item>) -> Result<Pause, Setback> {
        let fresh = self.load().await.map_err(Setback::Store)?;
        self.tick();
        self.describe();
        self.forget_answered();
        let before = self.state().secret.seq();
        let mut batch = Batch::default();
        let deciding = !self.broken && !self.shared.is_stopping();
        if deciding {
            self.date_waits(&mut batch).await?;
        }
        if fresh && deciding {
            // First of all, so that nothing is asked of a state whose calls are nobody's, or of another epoch.
            self.recover(&mut batch).await?;
        }
        self.take_in(items, &mut batch).await?;
        let mut pause = if deciding { self.decide(&mut batch).await? } else { Pause::Linger(None) };
        // Where others only look, nothing is new for those who wait.
        let moved = fresh || items.is_empty() || !batch.is_empty();
        while deciding && moved && self.give_to_waiting(&mut batch).await? {
            // What a replica may hold by now bears on what comes next.
            pause = self.decide(&mut batch).await?;
        }
        self.describe();
        self.write(&mut batch, before).await?;
        self.settle(items, batch);
        Ok(pause)
    }

    /// Replays the journal unless the state is there. Answers whether it did.
    pub(super) async fn load(&mut self) -> Result<bool, JournalError> {
        let behind = std::mem::take(&mut self.behind);
        if self.loaded.is_some() {
            if self.shared.journal.is_shared() {
                return Ok(self.read_on().await? || behind);
            }
            if !behind {
                return Ok(false);
            }
        }
        let marked = self.shared.board().cell(self.id).mark;
        let turn = self.shared.loading.acquire().await.expect("never closed");
        let mut loaded = Loaded::read(&*self.shared.journal, &self.name, marked, &self.shared.options).await?;
        drop(turn);
        if self.shared.journal.is_shared() {
            // Whoever wrote last wrote this mark with it; the board's may be older.
            loaded.marked = loaded.mark();
        }
        self.loaded = Some(Box::new(loaded));
        self.begin_dating();
        Ok(true)
    }

    /// Takes in what other hosts wrote since. Answers whether they wrote anything.
    async fn read_on(&mut self) -> Result<bool, JournalError> {
        let from = self.state().secret.seq();
        let news = self.shared.journal.read(&self.name, from).await?;
        let (shared, loaded) = (&self.shared, self.loaded.as_mut().expect("looked at above"));
        for recorded in &news {
            if let Err(illegal) = loaded.fold(recorded.at, &recorded.event, &shared.options) {
                self.loaded = None;
                let detail = format!("{} at {}: {illegal}", self.name, recorded.seq.0);
                return Err(JournalError::Damaged { detail });
            }
        }
        if !news.is_empty() {
            // Whoever wrote them wrote this mark with them.
            loaded.marked = loaded.mark();
        }
        Ok(!news.is_empty())
    }

    pub(super) fn state(&mut self) -> &mut Loaded {
        self.loaded.as_mut().expect("loaded at the start of the turn")
    }

    /// Takes an event that was decided on into the state and the write. A contradiction stops deciding here.
    pub(super) fn fold(&mut self, mut event: Event, batch: &mut Batch) -> Result<(), Setback> {
        let at = self.now();
        let options = &self.shared.options;
        let loaded = self.loaded.as_mut().expect("loaded at the start of the turn");
        if let Event::Settled(settled) = &mut event {
            settled.trail = loaded.trail.0.clone();
        }
        if let Err(illegal) = loaded.fold(at, &event, options) {
            tracing::error!(secret = %self.name, event = event.name(), %illegal, "a decision contradicts the table; nothing is decided for this secret before its journal is read again");
            self.broken = true;
            return Err(Setback::Again);
        }
        batch.push(event);
        Ok(())
    }

    /// After a replay: calls that nobody is at any more, and a restored database, are put on record.
    async fn recover(&mut self, batch: &mut Batch) -> Result<(), Setback> {
        let running = &self.running;
        let loaded = self.loaded.as_ref().expect("loaded at the start of the turn");
        let lost: Vec<_> = loaded.secret.running_calls().filter(|call| !running.contains(call)).collect();
        let restored = loaded.secret.pins().is_some() && loaded.secret.epoch() != self.shared.epoch;
        if lost.is_empty() && !restored {
            return Ok(());
        }
        let Some(fence) = self.fence(0).await? else { return Ok(()) };
        batch.fence = Some(fence);
        self.date(batch).await?;
        if restored {
            self.fold(Event::Restored { epoch: self.shared.epoch, strict: true }, batch)?;
        }
        for call in lost {
            tracing::info!(secret = %self.name, call = call.0, "a plugin call was cut off when its host ended");
            self.fold(Event::Interrupted { call }, batch)?;
        }
        Ok(())
    }

    /// The fence; `None` where another host leads.
    pub(super) async fn fence(&mut self, for_ms: u64) -> Result<Option<keybaton_protocol::ids::Fence>, Setback> {
        match self.lead(for_ms).await {
            Ok(fence) => Ok(Some(fence)),
            Err(JournalError::Fenced { .. }) => Ok(None),
            Err(error) => Err(Setback::Store(error)),
        }
    }

    /// Asks the protocol what comes next until there is something to wait for.
    async fn decide(&mut self, batch: &mut Batch) -> Result<Pause, Setback> {
        for _ in 0..DECISIONS {
            let now = self.now();
            let action = decide::next(&self.state().secret, now);
            let phase = self.state().secret.rotation().map(|rotation| rotation.phase.name());
            let passed = Millis(self.shared.clock.elapsed_ms());
            self.pace.note(&action, phase, passed, &self.shared.metrics);
            match action {
                Action::Idle => {
                    self.permit = None;
                    return Ok(Pause::Linger(None));
                }
                Action::Wait { until, waiting } => return Ok(self.wait(until, &waiting, now, batch)),
                Action::Record(events) => {
                    let Some(fence) = self.fence(0).await? else { return Ok(self.follow()) };
                    batch.fence = Some(fence);
                    if self.date(batch).await? {
                        continue;
                    }
                    for event in events {
                        self.fold(event, batch)?;
                    }
                }
                Action::Call(call) => {
                    if call.kind.mutates() && self.shared.journal.is_shared() {
                        self.shared.read_freezes().await.map_err(|error| Setback::Store(error.into()))?;
                    }
                    if call.kind.mutates() && self.stalled() {
                        return Ok(Pause::Linger(None));
                    }
                    let Some(fence) = self.fence(call.timeout_ms).await? else { return Ok(self.follow()) };
                    batch.fence = Some(fence);
                    if self.date(batch).await? {
                        continue;
                    }
                    self.fold(call.intent(), batch)?;
                    let launch = Launch::new(&self.state().secret, call);
                    batch.launches.push(launch);
                }
            }
        }
        Ok(Pause::No)
    }

    fn wait(&mut self, until: Option<Millis>, waiting: &Waiting, now: Millis, batch: &Batch) -> Pause {
        if let Waiting::Call(call) = waiting
            && !self.running.contains(call)
            && batch.launches.iter().all(|launch| launch.call.call != *call)
        {
            if self.lease.is_some() {
                // Its host is gone, or this one would not lead: the next turn puts the call on record as cut off.
                self.behind = true;
                return Pause::No;
            }
            // Another host is at it. Should it die, its lease runs out, and this host takes over.
            return self.follow();
        }
        if !matches!(waiting, Waiting::Call(_)) {
            // Whoever waits for others must not keep others from starting.
            self.permit = None;
        }
        let left_ms = until.map(|at| at.since(now));
        match left_ms {
            Some(ms) if ms <= self.shared.options.linger_ms => Pause::For(ms.max(1)),
            _ if !self.running.is_empty() => Pause::For(left_ms.unwrap_or(self.shared.options.lease_ms)),
            _ => Pause::Linger(until),
        }
    }

    /// Another host leads: look again when its lease may have run out.
    fn follow(&mut self) -> Pause {
        self.permit = None;
        self.lease = None;
        self.behind = true;
        Pause::Linger(Some(self.reading.now.plus(self.shared.options.lease_ms / 2)))
    }

    /// Whether its scope is frozen; a thaw will wake it.
    fn stalled(&mut self) -> bool {
        let frozen = self.shared.board().is_frozen(self.id);
        if frozen {
            self.permit = None;
            let mut stalled = self.shared.stalled.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            stalled.insert(self.id);
        }
        frozen
    }

    /// Nothing was kept. Facts wait for the store; whoever asked for something is told.
    fn store_failed(&mut self, items: Vec<Item>, error: &JournalError) -> (Vec<Item>, Pause) {
        tracing::error!(secret = %self.name, %error, "the store failed; facts are kept in memory and tried again");
        self.shared.metrics.store_failures.inc();
        self.loaded = None;
        let damaged = if let JournalError::Damaged { detail } = error {
            self.shared.board().damage(self.id, detail);
            true
        } else {
            false
        };
        let kept: Vec<_> = items.into_iter().filter_map(|item| item.store_failed(error)).collect();
        // What is damaged does not mend itself: only facts are tried again.
        let gone = damaged && kept.is_empty() && self.running.is_empty();
        (kept, if gone { Pause::Linger(None) } else { Pause::For(self.shared.options.store_retry_ms) })
    }
}
