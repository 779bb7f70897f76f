//! Words of people that wait for somebody else's approval, by id. They count for nothing here: what is approved goes to
//! the journal.

use crate::Store;
use crate::documents::{self, Collection, Document};
use crate::error::StoreError;
use crate::reader::View;
use crate::record::{RecordError, Stored};
use async_trait::async_trait;
use keybaton_engine::ports::proposals::Proposals;
use keybaton_engine::ports::storage::StorageError;
use keybaton_engine::{Proposal, Word};
use keybaton_protocol::ids::SecretName;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProposalRecord {
    secret: String,
    consumer: String,
    replica: String,
    /// Whether the replica was named, or is the only one.
    named: bool,
    generation: u32,
    purpose: String,
    reason: String,
    author: String,
    proposed_at: u64,
    expires_at: u64,
}

impl ProposalRecord {
    fn store(proposal: &Proposal) -> Self {
        let Proposal { secret, word, replica, proposed_at } = proposal;
        // Who approves it is not known yet.
        let Word { consumer, replica: named, generation, purpose, reason, author, approver: _, expires_at } = word;
        Self {
            secret: secret.to_string(),
            consumer: Stored::store(consumer),
            replica: Stored::store(replica),
            named: named.is_some(),
            generation: Stored::store(generation),
            purpose: Stored::store(purpose),
            reason: reason.clone(),
            author: Stored::store(author),
            proposed_at: Stored::store(proposed_at),
            expires_at: Stored::store(expires_at),
        }
    }

    fn load(self, secret: SecretName) -> Result<Proposal, RecordError> {
        let replica: keybaton_protocol::ids::Replica = self.replica.load()?;
        let author: keybaton_protocol::ids::Author = self.author.load()?;
        Ok(Proposal {
            secret,
            word: Word {
                consumer: self.consumer.load()?,
                replica: self.named.then(|| replica.clone()),
                generation: self.generation.load()?,
                purpose: self.purpose.load()?,
                reason: self.reason,
                approver: author.clone(),
                author,
                expires_at: self.expires_at.load()?,
            },
            replica,
            proposed_at: self.proposed_at.load()?,
        })
    }
}

fn load(document: &Document) -> Result<(String, Proposal), StoreError> {
    let record: ProposalRecord = document.decode(Collection::Proposals)?;
    let secret = record.secret.parse();
    let secret =
        secret.map_err(|_| StoreError::damaged(format!("proposal `{}`: not a secret's name", document.key)))?;
    let proposal = record.load(secret);
    let proposal = proposal.map_err(|error| StoreError::damaged(format!("proposal `{}`: {error}", document.key)))?;
    Ok((document.key.clone(), proposal))
}

#[async_trait]
impl Proposals for Store {
    async fn propose(&self, id: &str, proposal: &Proposal) -> Result<(), StorageError> {
        let (id, record) = (id.to_owned(), ProposalRecord::store(proposal));
        Ok(self.write(move |tx| documents::put(tx, Collection::Proposals, &id, &record)).await?)
    }

    async fn proposed(&self) -> Result<Vec<(String, Proposal)>, StorageError> {
        let all =
            |view: &View<'_>| documents::list(view.conn, view.keys, Collection::Proposals)?.iter().map(load).collect();
        Ok(self.read_view(all).await?)
    }

    async fn decide(&self, id: &str) -> Result<Option<Proposal>, StorageError> {
        let id = id.to_owned();
        let taken = self.write(move |tx| {
            let Some(found) = documents::get(tx.conn, tx.keys, Collection::Proposals, &id)? else { return Ok(None) };
            let (_, proposal) = load(&found)?;
            documents::remove(tx, Collection::Proposals, &id)?;
            Ok(Some(proposal))
        });
        Ok(taken.await?)
    }
}
