//! The audit log: who asked for what, and what came of it. It is written for people and courts and never read to decide
//! anything; entries hold names and reasons, never values.

use super::storage::StorageError;
use async_trait::async_trait;
use keybaton_protocol::ids::{Digest, Millis};

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is about to be carried out. If this can't be recorded, it is not carried out.
    Asked,
    /// It was done.
    Done,
    /// It was not allowed or not legal, and nothing was done: the stable name of the problem.
    Refused(String),
    /// It was begun and went wrong: how.
    Failed(String),
}

/// One entry. Every text is scrubbed by who writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When, by the host's clock.
    pub at: Millis,
    /// Who: `operator alice`, `consumer payments/api`, `host`. Never holds ` from `.
    pub actor: String,
    /// From where: a peer address, `local`, `signal`; empty where that is told by who.
    pub from: String,
    /// What, as a dotted word: `rotate`, `plugin.approve`. Never ends in `.asked`.
    pub action: String,
    /// On what: a secret, a plugin, a consumer; empty for the host itself.
    pub subject: String,
    /// Reasons and parameters, for people.
    pub detail: String,
    /// What came of it.
    pub verdict: Verdict,
}

/// An entry with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// From 1, without gaps.
    pub seq: u64,
    /// The entry.
    pub entry: AuditEntry,
}

/// A log that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditReport {
    /// How many entries.
    pub entries: u64,
    /// Digest of the last one, which covers all before it; to be compared with one noted elsewhere.
    pub head: Digest,
}

/// Why the log was not proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// It was torn or edited.
    #[error("the audit log breaks at entry {at}: {why}")]
    Broken {
        /// The first entry that is not proven.
        at: u64,
        /// What is wrong with it.
        why: String,
    },
    /// It could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The log. Entries are added at its end and never changed or removed; each is chained to the one before it.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Adds an entry, durably; answers its place. When it fails, what was to be done must not be done.
    async fn record(&self, entry: AuditEntry) -> Result<u64, StorageError>;
    /// Proves the whole log.
    async fn prove(&self) -> Result<AuditReport, AuditError>;
    /// Proves the whole log and answers at most `limit` entries after the place `after`, in order: nothing of a broken log
    /// is shown as truth.
    async fn entries(&self, after: u64, limit: usize) -> Result<Vec<Audited>, AuditError>;
}
