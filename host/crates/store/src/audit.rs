//! The audit log: who did what, to what, when, and how it went; chained, its end in the sealed state. It is written by
//! the host for people and courts, is never read to decide anything, and holds no secret.

use crate::Store;
use crate::crypto::{self, Hash, Integrity};
use crate::error::StoreError;
use crate::sql;
use crate::state::State;
use crate::tx::Tx;
use keybaton_protocol::ids::{Digest, Millis};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

/// Version of the entries written now.
const VERSION: u32 = 1;

/// How an audited act went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was not allowed or not legal; nothing was done.
    Refused(String),
    /// It was begun and went wrong.
    Failed(String),
}

/// One audited act. Every text is for people, and scrubbed by who writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// An operator's, a consumer's or the host's own name.
    pub who: String,
    /// The act, as a dotted word: `rotation.abandon`, `plugin.approve`.
    pub what: String,
    /// On what: a secret, a plugin, a connection; empty for the host itself.
    pub on: String,
    /// When.
    pub at: Millis,
    /// How it went.
    pub outcome: AuditOutcome,
    /// Reason, ticket, difference; may be empty.
    pub detail: String,
}

/// An entry with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// From 1.
    pub seq: u64,
    /// The act.
    pub entry: AuditEntry,
}

/// A log that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditReport {
    /// How many entries.
    pub entries: u64,
    /// Digest of the last one, to be compared with one noted elsewhere.
    pub head: Digest,
}

/// Where the log does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit log breaks at entry {at}: {why}")]
pub struct AuditBreak {
    /// The first entry that is not proven.
    pub at: u64,
    /// What is wrong with it.
    pub why: String,
}

/// Why the log was not proven.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// It was torn or edited.
    #[error(transparent)]
    Broken(#[from] AuditBreak),
    /// It could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryRecord {
    who: String,
    what: String,
    on: String,
    at: u64,
    outcome: AuditOutcome,
    detail: String,
}

impl From<&AuditEntry> for EntryRecord {
    fn from(entry: &AuditEntry) -> Self {
        let AuditEntry { who, what, on, at, outcome, detail } = entry.clone();
        Self { who, what, on, at: at.0, outcome, detail }
    }
}

impl From<EntryRecord> for AuditEntry {
    fn from(record: EntryRecord) -> Self {
        let EntryRecord { who, what, on, at, outcome, detail } = record;
        Self { who, what, on, at: Millis(at), outcome, detail }
    }
}

fn link(before: &Hash, seq: u64, version: u32, body: &[u8]) -> Hash {
    crypto::hash(&[before, &seq.to_be_bytes(), &version.to_be_bytes(), body])
}

/// Writes an entry within the caller's transaction.
pub(crate) fn write(tx: &mut Tx<'_>, entry: &AuditEntry) -> Result<u64, StoreError> {
    let body = crate::record::to_json(&EntryRecord::from(entry));
    let seq = tx.state.audit.seq + 1;
    let digest = link(&tx.state.audit.digest, seq, VERSION, &body);
    tx.conn
        .prepare_cached("INSERT INTO audit (seq, version, body, digest) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![sql::int(seq)?, VERSION, body, digest])?;
    tx.state.audit.seq = seq;
    tx.state.audit.digest = digest;
    Ok(seq)
}

/// Proves the log from its first entry; `visit` gets each proven one.
pub(crate) fn prove(
    conn: &Connection,
    keys: &Integrity,
    mut visit: impl FnMut(Audited),
) -> Result<AuditReport, AuditError> {
    let state = State::load(conn, keys)?;
    let broken = |at, why: &str| AuditError::Broken(AuditBreak { at, why: why.to_owned() });
    let mut end = State::new(keys, 0).audit;
    let mut statement =
        conn.prepare_cached("SELECT seq, version, body, digest FROM audit ORDER BY seq").map_err(StoreError::from)?;
    let mut rows = statement.query([]).map_err(StoreError::from)?;
    while let Some(row) = rows.next().map_err(StoreError::from)? {
        let read = || Ok::<_, rusqlite::Error>((sql::unsigned(row, 0)?, row.get(1)?, row.get(2)?, sql::hash(row, 3)?));
        let (seq, version, body, digest): (u64, u32, Vec<u8>, Hash) = read().map_err(StoreError::from)?;
        let next = end.seq + 1;
        if seq != next {
            return Err(broken(next, "it is missing"));
        }
        if digest != link(&end.digest, seq, version, &body) {
            return Err(broken(seq, "it, or the one before it, was edited"));
        }
        end.seq = seq;
        end.digest = digest;
        let record: EntryRecord = match version {
            1 => serde_json::from_slice(&body).map_err(|error| broken(seq, &error.to_string()))?,
            _ => return Err(broken(seq, "it was written by a newer keybaton")),
        };
        visit(Audited { seq, entry: record.into() });
    }
    if end.seq < state.audit.seq {
        return Err(broken(end.seq + 1, "the end of the log was cut off"));
    }
    if end != state.audit {
        return Err(broken(state.audit.seq, "the log does not end as it was left"));
    }
    Ok(AuditReport { entries: end.seq, head: Digest(end.digest) })
}

impl Store {
    /// Appends an entry; answers its place.
    ///
    /// # Errors
    /// When it cannot be written; then the act must not be done.
    pub async fn audit_append(&self, entry: AuditEntry) -> Result<u64, StoreError> {
        self.write(move |tx| write(tx, &entry)).await
    }

    /// Proves the whole log.
    ///
    /// # Errors
    /// The first entry that does not hold, or why the log cannot be read.
    pub async fn audit_verify(&self) -> Result<AuditReport, AuditError> {
        self.read_view(|view| Ok(prove(view.conn, view.keys, drop))).await?
    }

    /// Proves the whole log and answers at most `limit` entries after `after`, in order.
    ///
    /// # Errors
    /// As [`Store::audit_verify`]: nothing of a broken log is shown as truth.
    pub async fn audit_entries(&self, after: u64, limit: usize) -> Result<Vec<Audited>, AuditError> {
        self.read_view(move |view| {
            let mut found = Vec::new();
            let proven = prove(view.conn, view.keys, |audited| {
                if audited.seq > after && found.len() < limit {
                    found.push(audited);
                }
            });
            Ok(proven.map(|_| found))
        })
        .await?
    }
}
