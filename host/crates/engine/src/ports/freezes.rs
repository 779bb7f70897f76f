//! Freezes of more than one secret: kept apart from the journals, because they stop what has no journal yet. A single
//! secret's freeze is an event in its own journal.

use super::storage::StorageError;
use async_trait::async_trait;
use keybaton_protocol::ids::{Author, ConnectionName, Millis, Namespace, PluginName};

/// What a freeze covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Everything here.
    Host,
    /// A namespace.
    Namespace(Namespace),
    /// A connection.
    Connection(ConnectionName),
    /// A plugin.
    Plugin(PluginName),
}

/// A standing freeze.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// Of what.
    pub scope: Scope,
    /// By whom.
    pub author: Author,
    /// Since when.
    pub at: Millis,
}

/// The store of freezes. A freeze and its audit entry, and a thaw and its own, are one write, durable when it answers.
#[async_trait]
pub trait Freezes: Send + Sync {
    /// Standing freezes, by scope.
    async fn freezes(&self) -> Result<Vec<Freeze>, StorageError>;
    /// Records a freeze; a second one of the same scope changes nothing, and the first author stays.
    async fn freeze(&self, freeze: Freeze) -> Result<(), StorageError>;
    /// Lifts a freeze; where there is none, nothing changes. The author and the instant go to the audit.
    async fn thaw(&self, scope: Scope, author: Author, at: Millis) -> Result<(), StorageError>;
}
