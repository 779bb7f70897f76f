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
