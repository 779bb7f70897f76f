//! A connection's idle admin sessions: no more than may be used at once, young, and opened with what the admin logs in
//! with now. Candidates never share one.
//!
//! That one is still there is for its user to find out, before anything that must not be in doubt is sent into it.

use super::session::Session;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long one may be idle before it is closed.
const IDLE_FOR: Duration = Duration::from_secs(60);

/// One call of a plugin, equal to itself alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller(Arc<()>);

impl PartialEq for Caller {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A session that nobody uses.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) session: Session,
    /// When it last answered, and whom.
    pub(super) answered: Instant,
    pub(super) caller: Caller,
}

/// Idle sessions, newest last.
#[derive(Debug)]
pub(crate) struct Sessions {
    idle: Mutex<Vec<Idle>>,
    most: usize,
}

impl Sessions {
    /// Keeps at most so many.
    pub(crate) fn new(most: usize) -> Self {
        Self { idle: Mutex::default(), most }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that this call used last, or else anybody, if it is alive as far as can be told without asking.
    pub(super) fn take(&self, mark: u64, caller: &Caller) -> Option<Idle> {
        let mut idle = self.idle();
        idle.retain(|it| it.session.mark == mark && !it.session.client.is_closed() && it.answered.elapsed() < IDLE_FOR);
        let own = idle.iter().rposition(|it| it.caller == *caller);
        own.map(|at| idle.remove(at)).or_else(|| idle.pop())
    }

    /// Closes those that were opened with anything else.
    pub(crate) fn keep(&self, mark: u64) {
        self.idle().retain(|it| it.session.mark == mark);
    }

    /// Keeps a session that has just answered, if the admin still logs in with what it was opened with.
    pub(super) fn put(&self, session: Session, mark: u64, caller: Caller) {
        let mut idle = self.idle();
        if idle.len() < self.most && session.mark == mark && !session.client.is_closed() {
            idle.push(Idle { session, answered: Instant::now(), caller });
        }
    }
}
