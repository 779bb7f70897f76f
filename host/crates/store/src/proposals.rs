//! Words of people that wait for somebody else's approval, by id. They count for nothing here: what is approved goes to
//! the journal.

use crate::Store;
use crate::documents::{self, Collection, Document};
use crate::error::StoreError;
use crate::record::{RecordError, Stored};
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

impl Store {
    /// Keeps a word that waits for approval, in place of an earlier one of that id.
    ///
    /// # Errors
    /// When it cannot be written; nothing is then kept.
    pub async fn put_proposal(&self, id: &str, proposal: &Proposal) -> Result<(), StoreError> {
        let (id, record) = (id.to_owned(), ProposalRecord::store(proposal));
        self.write(move |tx| documents::put(tx, Collection::Proposals, &id, &record)).await
    }

    /// All words that wait for approval, by id; also those that have expired meanwhile.
    ///
    /// # Errors
    /// When they cannot be read, or one was edited, removed or put back behind the store's back.
    pub async fn list_proposals(&self) -> Result<Vec<(String, Proposal)>, StoreError> {
        self.read_view(|view| documents::list(view.conn, view.keys, Collection::Proposals)?.iter().map(load).collect())
            .await
    }

    /// Drops one; whether it was there.
    ///
    /// # Errors
    /// When it cannot be written; it is then kept.
    pub async fn remove_proposal(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.write(move |tx| documents::remove(tx, Collection::Proposals, &id)).await
    }
}
