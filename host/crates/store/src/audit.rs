//! The audit log: entries chained one to the next, the end of the chain in the sealed state.

use crate::Store;
use crate::crypto::{self, Hash, Integrity};
use crate::error::StoreError;
use crate::sql;
use crate::state::State;
use crate::tx::Tx;
use async_trait::async_trait;
use keybaton_engine::ports::audit::{AuditEntry, AuditError, AuditLog, AuditReport, Audited, Verdict};
use keybaton_engine::ports::storage::StorageError;
use keybaton_protocol::ids::{Digest, Millis};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

/// Version of the entries written now.
const VERSION: u32 = 1;

/// How an act went, as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum OutcomeRecord {
    Done,
    Refused(String),
    Failed(String),
}

/// Between who and from where.
const FROM: &str = " from ";
/// Behind the act of an entry that says that it was asked for.
const ASKED: &str = ".asked";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryRecord {
    who: String,
    what: String,
    on: String,
    at: u64,
    outcome: OutcomeRecord,
    detail: String,
}

impl From<&AuditEntry> for EntryRecord {
    fn from(entry: &AuditEntry) -> Self {
        let AuditEntry { at, actor, from, action, subject, detail, verdict } = entry.clone();
        let (what, outcome) = match verdict {
            Verdict::Asked => (format!("{action}{ASKED}"), OutcomeRecord::Done),
            Verdict::Done => (action, OutcomeRecord::Done),
            Verdict::Refused(why) => (action, OutcomeRecord::Refused(why)),
            Verdict::Failed(why) => (action, OutcomeRecord::Failed(why)),
        };
        let who = if from.is_empty() { actor } else { format!("{actor}{FROM}{from}") };
        Self { who, what, on: subject, at: at.0, outcome, detail }
    }
}

impl From<EntryRecord> for AuditEntry {
    fn from(record: EntryRecord) -> Self {
        let EntryRecord { who, what, on: subject, at, outcome, detail } = record;
        let (actor, from) = who.split_once(FROM).unwrap_or((&who, ""));
        let (action, verdict) = match (what.strip_suffix(ASKED), outcome) {
            (Some(asked), OutcomeRecord::Done) => (asked, Verdict::Asked),
            (_, OutcomeRecord::Done) => (&*what, Verdict::Done),
            (_, OutcomeRecord::Refused(why)) => (&*what, Verdict::Refused(why)),
            (_, OutcomeRecord::Failed(why)) => (&*what, Verdict::Failed(why)),
        };
        Self {
            at: Millis(at),
            actor: actor.to_owned(),
            from: from.to_owned(),
            action: action.to_owned(),
            subject,
            detail,
            verdict,
        }
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

/// Why a log does not hold, or could not be read.
pub(crate) enum Unproven {
    Broken { at: u64, why: String },
    Store(StoreError),
}

impl From<StoreError> for Unproven {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<rusqlite::Error> for Unproven {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<Unproven> for AuditError {
    fn from(unproven: Unproven) -> Self {
        match unproven {
            Unproven::Broken { at, why } => Self::Broken { at, why },
            Unproven::Store(error) => Self::Storage(error.into()),
        }
    }
}

/// Proves the log from its first entry; `visit` gets each proven one.
pub(crate) fn prove(
    conn: &Connection,
    keys: &Integrity,
    mut visit: impl FnMut(Audited),
) -> Result<AuditReport, Unproven> {
    let state = State::load(conn, keys)?;
    let broken = |at, why: &str| Unproven::Broken { at, why: why.to_owned() };
    let mut end = State::new(keys, 0).audit;
    let mut statement = conn.prepare_cached("SELECT seq, version, body, digest FROM audit ORDER BY seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, version, body, digest): (u64, u32, Vec<u8>, Hash) =
            (sql::unsigned(row, 0)?, row.get(1)?, row.get(2)?, sql::hash(row, 3)?);
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

#[async_trait]
impl AuditLog for Store {
    async fn record(&self, entry: AuditEntry) -> Result<u64, StorageError> {
        Ok(self.write(move |tx| write(tx, &entry)).await?)
    }

    async fn prove(&self) -> Result<AuditReport, AuditError> {
        let proven = self.read_view(|view| Ok(prove(view.conn, view.keys, drop))).await;
        Ok(proven.map_err(StorageError::from)??)
    }

    async fn entries(&self, after: u64, limit: usize) -> Result<Vec<Audited>, AuditError> {
        let found = self.read_view(move |view| {
            let mut found = Vec::new();
            let proven = prove(view.conn, view.keys, |audited| {
                if audited.seq > after && found.len() < limit {
                    found.push(audited);
                }
            });
            Ok(proven.map(|_| found))
        });
        Ok(found.await.map_err(StorageError::from)??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_earlier_versions_read_as_they_were_meant() {
        let read = |who: &str, what: &str, outcome: &str| -> AuditEntry {
            let body =
                format!(r#"{{"who":"{who}","what":"{what}","on":"a/b","at":5,"outcome":{outcome},"detail":"x"}}"#);
            serde_json::from_str::<EntryRecord>(&body).unwrap().into()
        };
        let asked = read("operator ada from 10.0.0.1", "rotate.asked", r#""done""#);
        assert_eq!((&*asked.actor, &*asked.from, &*asked.action), ("operator ada", "10.0.0.1", "rotate"));
        assert_eq!(asked.verdict, Verdict::Asked);
        let frozen = read("ada", "freeze", r#""done""#);
        assert_eq!((&*frozen.actor, &*frozen.from, &frozen.verdict), ("ada", "", &Verdict::Done));
        let refused = read("operator ada from local", "rotate", r#"{"refused":"frozen"}"#);
        assert_eq!(refused.verdict, Verdict::Refused("frozen".to_owned()));
        let failed = read("host from signal", "connections.reload", r#"{"failed":"torn"}"#);
        assert_eq!(failed.verdict, Verdict::Failed("torn".to_owned()));
    }
}
