//! A connection's idle admin sessions: no more than may be used at once, young, opened with what the admin logs in with
//! now, and checked before use. Candidates never share one.

use super::session::Session;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long one may be idle before it is closed.
const IDLE_FOR: Duration = Duration::from_secs(60);

/// Idle sessions, newest last.
#[derive(Debug)]
pub(crate) struct Sessions {
    idle: Mutex<Vec<(Session, Instant)>>,
    most: usize,
}

impl Sessions {
    /// Keeps at most so many.
    pub(crate) fn new(most: usize) -> Self {
        Self { idle: Mutex::default(), most }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Session, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one used last, if it is still alive as far as can be told without asking.
    pub(super) fn take(&self, mark: u64) -> Option<Session> {
        let mut idle = self.idle();
        idle.retain(|(session, since)| {
            session.mark == mark && !session.client.is_closed() && since.elapsed() < IDLE_FOR
        });
        idle.pop().map(|(session, _)| session)
    }

    /// Closes those that were opened with anything else.
    pub(crate) fn keep(&self, mark: u64) {
        self.idle().retain(|(session, _)| session.mark == mark);
    }

    /// Keeps a session for the next call, if the admin still logs in with what it was opened with.
    pub(super) fn put(&self, session: Session, mark: u64) {
        let mut idle = self.idle();
        if idle.len() < self.most && session.mark == mark && !session.client.is_closed() {
            idle.push((session, Instant::now()));
        }
    }
}
