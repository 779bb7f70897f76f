//! Copies of the whole store, taken while the host runs, and what is left to do in a store that was made from one.
//! Making a store from a backup is offline work on the store itself, and no port.

use super::storage::StorageError;
use async_trait::async_trait;
use keybaton_protocol::ids::{Digest, Epoch, Millis, SecretName};
use std::path::Path;

/// A copy that was made and proven whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The installation's epoch at that instant.
    pub epoch: Epoch,
    /// When it was taken, by the wall clock.
    pub taken_at: Millis,
    /// Its length, in bytes.
    pub bytes: u64,
    /// SHA-256 of it.
    pub digest: Digest,
}

/// Why there is no backup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// The place that was named holds something already, is open to others or cannot be written, or what was copied does
    /// not hold. What was begun there is no backup, and is not taken for one.
    #[error("{detail}")]
    Refused {
        /// What, and what to do.
        detail: String,
    },
    /// The store could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Backups of the store.
#[async_trait]
pub trait Backups: Send + Sync {
    /// Copies the store, as it is at one instant, into a directory on the host that must not hold anything; writing goes
    /// on meanwhile. Proves all of the copy before it answers.
    async fn back_up(&self, to: &Path) -> Result<Copied, BackupError>;
    /// In a store that was made from a backup: secrets whose journal lacks the `Restored` event of the current epoch, by
    /// name. Appending it takes the secret off.
    async fn restored_pending(&self) -> Result<Vec<SecretName>, StorageError>;
}
