//! The host's own sealed values, by name: the key of its CA, the key of its cache. Credentials of secrets are sealed with
//! their journals and never come here.

use super::secret::SecretBytes;
use super::storage::StorageError;
use async_trait::async_trait;

/// The store of the host's own values.
#[async_trait]
pub trait Values: Send + Sync {
    /// Seals a value, durably, in place of an earlier one of that name.
    async fn put_sealed(&self, name: &str, value: SecretBytes) -> Result<(), StorageError>;
    /// Opens it. A value that was removed behind the store's back is damage, and not `None`.
    async fn get_sealed(&self, name: &str) -> Result<Option<SecretBytes>, StorageError>;
}
