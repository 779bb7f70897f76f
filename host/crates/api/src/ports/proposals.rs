//! Words of people that wait for somebody else's approval. What is kept here counts for nothing before it is approved.

use super::Failure;
use async_trait::async_trait;
use keybaton_engine::Proposal;

/// The store of proposals, by id. Every write is durable when it answers.
#[async_trait]
pub trait Proposals: Send + Sync {
    /// Adds one.
    async fn put(&self, id: &str, proposal: &Proposal) -> Result<(), Failure>;
    /// All of them, also those that have ended.
    async fn list(&self) -> Result<Vec<(String, Proposal)>, Failure>;
    /// Removes one; answers whether it was there.
    async fn remove(&self, id: &str) -> Result<bool, Failure>;
}
