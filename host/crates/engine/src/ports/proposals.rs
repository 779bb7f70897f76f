//! Words of people that wait for somebody else's approval. What is kept here counts for nothing: what is approved goes to
//! the journal.

use super::storage::StorageError;
use crate::people::Proposal;
use async_trait::async_trait;

/// The store of proposals, by id. Every write is durable when it answers.
#[async_trait]
pub trait Proposals: Send + Sync {
    /// Keeps one, in place of an earlier one of that id.
    async fn propose(&self, id: &str, proposal: &Proposal) -> Result<(), StorageError>;
    /// All that wait, by id, also those that have ended meanwhile.
    async fn proposed(&self) -> Result<Vec<(String, Proposal)>, StorageError>;
    /// Takes one out, to approve it, to withdraw it or because it has ended: of several callers at once one gets it, on
    /// whichever host, so that each is decided once.
    async fn decide(&self, id: &str) -> Result<Option<Proposal>, StorageError>;
}
