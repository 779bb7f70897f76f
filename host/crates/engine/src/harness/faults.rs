//! What goes wrong in one run, and whether the host is still alive. Counts moments; decides nothing about outcomes.

use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::step::CallKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// A moment at which a host can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// A journal write is asked for and not kept.
    BeforeAppend,
    /// A journal write is kept, and nobody hears of it.
    AfterAppend,
    /// A host call is on record as sent and has not left.
    BeforeHostCall,
    /// A host call took effect and its answer is not on record.
    AfterHostCall,
}

/// End the host at the nth such moment of the run, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Crash {
    /// When.
    pub moment: Moment,
    /// Which of them.
    pub nth: u64,
}

/// What happens to the first call of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It fails with this class and has no effect.
    Fails(FailureClass),
    /// It takes effect and its answer is lost (`ambiguous`, the host call's answer `lost`).
    Lost,
    /// It takes effect, and is said to have failed in a way that lets it run again: every step runs twice.
    Twice,
    /// It is said to have been lost before it left.
    LostBefore,
    /// The plugin traps before its first host call.
    Trap,
    /// The plugin traps after its last host call: what took effect, took effect.
    TrapAfter,
}

/// What goes wrong in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Plan {
    /// The host ends here.
    pub crash: Option<Crash>,
    /// The nth call of this kind (from 0) goes wrong like this.
    pub fault: Option<(CallKind, u64, Fault)>,
}

/// The host has ended: what is left of it in memory must not reach the world any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dead;

/// One life of a host under a plan, and a count of the moments it went through.
#[derive(Debug)]
pub struct Trace {
    plan: Plan,
    dead: AtomicBool,
    died: Notify,
    moments: [AtomicU64; 4],
    calls: Mutex<Vec<CallKind>>,
}

impl Trace {
    /// A life under this plan.
    #[must_use]
    pub fn new(plan: Plan) -> Arc<Self> {
        Arc::new(Self {
            plan,
            dead: AtomicBool::new(false),
            died: Notify::new(),
            moments: Default::default(),
            calls: Mutex::default(),
        })
    }

    /// How many moments of a kind there were.
    #[must_use]
    pub fn count(&self, moment: Moment) -> u64 {
        self.moments[moment as usize].load(Ordering::SeqCst)
    }

    /// Calls in the order they were made.
    #[must_use]
    pub fn calls(&self) -> Vec<CallKind> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the host has ended.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Ends the host now.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_waiters();
        self.died.notify_one();
    }

    /// Resolves when the host has ended.
    pub async fn died(&self) {
        while !self.is_dead() {
            self.died.notified().await;
        }
    }

    /// Goes through a moment; from the planned one on, the host is dead.
    ///
    /// # Errors
    /// The host has ended.
    pub fn pass(&self, moment: Moment) -> Result<(), Dead> {
        if self.is_dead() {
            return Err(Dead);
        }
        let nth = self.moments[moment as usize].fetch_add(1, Ordering::SeqCst);
        if self.plan.crash == Some(Crash { moment, nth }) {
            self.kill();
            return Err(Dead);
        }
        Ok(())
    }

    /// Notes a call; answers what goes wrong with it.
    pub(super) fn call(&self, kind: CallKind) -> Option<Fault> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let nth = calls.iter().filter(|before| **before == kind).count() as u64;
        calls.push(kind);
        self.plan.fault.filter(|(of, at, _)| *of == kind && *at == nth).map(|(_, _, fault)| fault)
    }
}
