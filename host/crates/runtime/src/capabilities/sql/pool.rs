//! A connection's idle admin sessions: few, young, and checked before use. Candidates never share one.

use super::session::Session;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Idle sessions kept per connection.
const IDLE: usize = 8;
/// How long one may be idle before it is closed.
const IDLE_FOR: Duration = Duration::from_secs(60);

/// Idle sessions, newest last.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Vec<(Session, Instant)>>);

impl Sessions {
    /// The one used last, if it is still alive as far as can be told without asking.
    pub(super) fn take(&self) -> Option<Session> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(session, since)| !session.client.is_closed() && since.elapsed() < IDLE_FOR);
        idle.pop().map(|(session, _)| session)
    }

    pub(super) fn put(&self, session: Session) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE && !session.client.is_closed() {
            idle.push((session, Instant::now()));
        }
    }
}
