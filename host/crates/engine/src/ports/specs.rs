//! Declarations in force, as they were applied. Their text is the host's to write and read; here it is only kept, whole.

use super::storage::StorageError;
use async_trait::async_trait;
use keybaton_protocol::ids::{Author, Digest, Millis, SecretName};

/// A declaration as it was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Which secret it declares.
    pub name: SecretName,
    /// The declaration, in the declaration format.
    pub body: String,
    /// Digest of the declaration.
    pub digest: Digest,
    /// When it was applied.
    pub applied_at: Millis,
    /// By whom.
    pub by: Author,
}

/// The store of declarations, one a secret.
#[async_trait]
pub trait Specs: Send + Sync {
    /// All that are in force, by name.
    async fn applied(&self) -> Result<Vec<Applied>, StorageError>;
    /// Puts `put` in force, each in place of an earlier one of its secret, and takes `removed` out of force: all of it or
    /// nothing, in one durable write. Journals of what is removed stay; a name that is not in force is no error.
    async fn apply(&self, put: Vec<Applied>, removed: Vec<SecretName>) -> Result<(), StorageError>;
}
