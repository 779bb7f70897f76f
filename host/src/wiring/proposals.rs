//! Words of people that wait for an approval, over the store. Decides nothing about them.

use super::store_failed;
use async_trait::async_trait;
use keybaton_api::ports::{Failure, Proposals};
use keybaton_engine::Proposal;
use keybaton_store::Store;

/// Proposals kept in the store.
pub(crate) struct StoreProposals(pub(crate) Store);

#[async_trait]
impl Proposals for StoreProposals {
    async fn put(&self, id: &str, proposal: &Proposal) -> Result<(), Failure> {
        self.0.put_proposal(id, proposal).await.map_err(|error| store_failed(&error))
    }

    async fn list(&self) -> Result<Vec<(String, Proposal)>, Failure> {
        self.0.list_proposals().await.map_err(|error| store_failed(&error))
    }

    async fn remove(&self, id: &str) -> Result<bool, Failure> {
        self.0.remove_proposal(id).await.map_err(|error| store_failed(&error))
    }
}
