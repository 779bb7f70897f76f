//! How many plugin calls may run at once: on the host, and on one connection. Fair: first come, first served.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The limits.
#[derive(Debug)]
pub(crate) struct Limits {
    host: Arc<Semaphore>,
    per_connection: usize,
    /// One entry per connection ever called; connections are few and declared by operators.
    connections: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Leave to make one call.
#[derive(Debug)]
pub(crate) struct Leave {
    _connection: OwnedSemaphorePermit,
    _host: OwnedSemaphorePermit,
}

impl Limits {
    pub(crate) fn new(host: usize, per_connection: usize) -> Self {
        Self {
            host: Arc::new(Semaphore::new(host.max(1))),
            per_connection: per_connection.max(1),
            connections: Mutex::new(HashMap::new()),
        }
    }

    /// Waits for leave: the connection's first, so that a busy connection does not use up the host's.
    pub(crate) async fn enter(&self, connection: &str) -> Leave {
        let own = self.connection(connection);
        let connection = own.acquire_owned().await.expect("never closed");
        let host = Arc::clone(&self.host).acquire_owned().await.expect("never closed");
        Leave { _connection: connection, _host: host }
    }

    /// Sets a connection's own limit. Calls under way keep their leave; the new limit counts from the next one on.
    pub(crate) fn set(&self, connection: &str, calls: usize) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.insert(connection.to_owned(), Arc::new(Semaphore::new(calls.max(1))));
    }

    fn connection(&self, name: &str) -> Arc<Semaphore> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = connections.get(name) {
            return Arc::clone(known);
        }
        let new = Arc::new(Semaphore::new(self.per_connection));
        connections.insert(name.to_owned(), Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;
    use std::time::Duration;

    async fn enters(limits: &Limits, connection: &str) -> Option<super::Leave> {
        tokio::time::timeout(Duration::from_millis(1), limits.enter(connection)).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_connection_keeps_its_own_waiting_and_nobody_elses() {
        let limits = Limits::new(3, 2);
        let (one, _two) = (enters(&limits, "a").await, enters(&limits, "a").await);
        assert!(enters(&limits, "a").await.is_none(), "the connection is full");
        let _other = enters(&limits, "b").await.expect("another connection has room");
        assert!(enters(&limits, "b").await.is_none(), "the host is full");
        drop(one);
        assert!(enters(&limits, "a").await.is_some(), "leave that was given back is given again");
        limits.set("c", 1);
        let _third = enters(&limits, "c").await.expect("room");
        assert!(enters(&limits, "c").await.is_none(), "its own limit holds");
    }
}
