//! The chained journal of one secret: heads, links, and the walk that proves every row it hands out. A row whose digest
//! does not follow from the one before it, back from a head under MAC, is named and never read as truth.

use crate::crypto::{self, Hash, Integrity};
use crate::error::StoreError;
use crate::record;
use crate::sql;
use crate::state::Sum;
use crate::tx::Tx;
use keybaton_engine::ports::journal::Mark;
use keybaton_protocol::ids::SecretName;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use std::ops::ControlFlow;

/// Name of the heads in sums.
pub(crate) const HEADS: &str = "heads";

/// Where the journal of a secret ends.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) id: u64,
    pub(crate) seq: u64,
    pub(crate) row: u64,
    pub(crate) digest: Hash,
    /// A `MarkRecord`, as JSON of the current record version.
    pub(crate) mark: Vec<u8>,
    mac: Hash,
}

/// One proven row: what one append wrote.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) row: u64,
    secret: u64,
    prev: u64,
    /// Of its last event, or of the last one before it where it holds none.
    pub(crate) seq: u64,
    /// Of the last event before it: set by the walk that hands it out.
    pub(crate) after: u64,
    pub(crate) at: u64,
    pub(crate) version: u32,
    pub(crate) body: Vec<u8>,
    digest: Hash,
}

impl Row {
    fn link(&self, before: &Hash) -> Hash {
        link(before, self.seq, self.at, self.version, &self.body)
    }
}

/// The digest before the first row.
fn genesis(keys: &Integrity, secret: &SecretName) -> Hash {
    crypto::hash(&[b"keybaton-journal-v1", &keys.installation, secret.to_string().as_bytes()])
}

fn link(before: &Hash, seq: u64, at: u64, version: u32, body: &[u8]) -> Hash {
    crypto::hash(&[before, &seq.to_be_bytes(), &at.to_be_bytes(), &version.to_be_bytes(), body])
}

fn head_mac(keys: &Integrity, name: &str, head: &Head) -> Hash {
    let numbers = [head.id.to_be_bytes(), head.seq.to_be_bytes(), head.row.to_be_bytes()].concat();
    crypto::mac(&keys.rows, &[HEADS.as_bytes(), name.as_bytes(), &numbers, &head.digest, &head.mark])
}

/// The end of a journal that is being written.
pub(crate) struct Tip {
    head: Head,
    known: bool,
    name: String,
}

impl Tip {
    /// Continues after `head`, or begins the journal of a secret that has none.
    pub(crate) fn of(tx: &Tx<'_>, secret: &SecretName, head: Option<Head>) -> Self {
        let known = head.is_some();
        let head = head.unwrap_or_else(|| Head {
            id: tx.state.heads.rows + 1,
            seq: 0,
            row: 0,
            digest: genesis(tx.keys, secret),
            mark: record::encode_mark(&Mark { open: true, ..Mark::default() }),
            mac: [0; 32],
        });
        Self { head, known, name: secret.to_string() }
    }

    /// The secret's number in this database.
    pub(crate) const fn id(&self) -> u64 {
        self.head.id
    }

    /// The last sequence written.
    pub(crate) const fn seq(&self) -> u64 {
        self.head.seq
    }

    /// Writes one row; each event in it takes the next sequence.
    pub(crate) fn push(&mut self, tx: &mut Tx<'_>, at: u64, events: u64, body: &[u8]) -> Result<(), StoreError> {
        self.head.seq += events;
        let version = record::VERSION;
        let digest = link(&self.head.digest, self.head.seq, at, version, body);
        tx.state.last_row += 1;
        let row = tx.state.last_row;
        tx.conn
            .prepare_cached(
                "INSERT INTO journal (row, secret, prev, seq, at, version, body, digest)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                sql::int(row)?,
                sql::int(self.head.id)?,
                sql::int(self.head.row)?,
                sql::int(self.head.seq)?,
                sql::int(at)?,
                version,
                body,
                digest,
            ])?;
        self.head.row = row;
        self.head.digest = digest;
        Ok(())
    }

    /// Moves the head here, with a new mark or the one it had.
    pub(crate) fn close(self, tx: &mut Tx<'_>, mark: Option<&Mark>) -> Result<(), StoreError> {
        let Self { mut head, known, name } = self;
        if let Some(mark) = mark {
            head.mark = record::encode_mark(mark);
        }
        if known {
            tx.state.heads.remove(tx.keys, HEADS, &head.mac);
        }
        head.mac = head_mac(tx.keys, &name, &head);
        tx.state.heads.add(tx.keys, HEADS, &head.mac);
        let (id, seq, row) = (sql::int(head.id)?, sql::int(head.seq)?, sql::int(head.row)?);
        if known {
            tx.conn
                .prepare_cached(
                    "UPDATE secrets SET seq = ?2, row = ?3, digest = ?4, mark = ?5, mac = ?6 WHERE id = ?1",
                )?
                .execute(params![id, seq, row, head.digest, head.mark, head.mac])?;
        } else {
            tx.conn
                .prepare_cached(
                    "INSERT INTO secrets (id, name, seq, row, digest, mark, mac) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![id, name, seq, row, head.digest, head.mark, head.mac])?;
        }
        Ok(())
    }
}

/// The head of a secret's journal, its MAC checked.
pub(crate) fn head(conn: &Connection, keys: &Integrity, secret: &SecretName) -> Result<Option<Head>, StoreError> {
    let name = secret.to_string();
    conn.prepare_cached("SELECT id, seq, row, digest, mark, mac FROM secrets WHERE name = ?1")?
        .query_row([&name], |row| to_head(row, 0))
        .optional()?
        .map(|head| checked(keys, &name, head))
        .transpose()
}

fn to_head(row: &SqlRow<'_>, from: usize) -> rusqlite::Result<Head> {
    Ok(Head {
        id: sql::unsigned(row, from)?,
        seq: sql::unsigned(row, from + 1)?,
        row: sql::unsigned(row, from + 2)?,
        digest: sql::hash(row, from + 3)?,
        mark: row.get(from + 4)?,
        mac: sql::hash(row, from + 5)?,
    })
}

fn checked(keys: &Integrity, name: &str, head: Head) -> Result<Head, StoreError> {
    if crypto::same(&head.mac, &head_mac(keys, name, &head)) {
        Ok(head)
    } else {
        Err(StoreError::damaged(format!("the head of {name}, at sequence {}, was edited", head.seq)))
    }
}

/// All heads by name, each checked: `visit` gets it, or what is wrong with it. Then they are held against their sum: an
/// error after the last one says that some were missing, added or put back. Where one is damaged the sum says nothing of
/// the others, and only their number is compared.
pub(crate) fn heads(
    conn: &Connection,
    keys: &Integrity,
    sum: &Sum,
    mut visit: impl FnMut(SecretName, Result<Head, StoreError>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement =
        conn.prepare_cached("SELECT name, id, seq, row, digest, mark, mac FROM secrets ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut found = Sum::EMPTY;
    let mut damaged = 0;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let head = to_head(row, 1).map_err(|error| StoreError::damaged(format!("the head of {name}: {error}")));
        let head = head.and_then(|head| checked(keys, &name, head));
        match &head {
            Ok(head) => found.add(keys, HEADS, &head.mac),
            Err(_) => damaged += 1,
        }
        visit(name.parse().map_err(|_| StoreError::damaged(format!("`{name}` is no secret's name")))?, head)?;
    }
    if found == *sum || damaged > 0 && found.rows + damaged == sum.rows {
        return Ok(());
    }
    Err(StoreError::damaged(format!(
        "there are {} journals and {} were written, or one was put back as it once was",
        found.rows + damaged,
        sum.rows
    )))
}

/// Walks a journal from its head towards its beginning; `visit` gets rows that are proven, and says when it has enough.
pub(crate) fn walk(
    conn: &Connection,
    keys: &Integrity,
    secret: &SecretName,
    head: &Head,
    mut visit: impl FnMut(Row) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    let broken =
        |seq: u64, row: u64, what: &str| StoreError::damaged(format!("{secret} at sequence {seq} (row {row}): {what}"));
    if head.row == 0 {
        return Ok(());
    }
    let mut expected = head.digest;
    let mut row = fetch(conn, head.row)?.ok_or_else(|| broken(head.seq, head.row, "the last row is missing"))?;
    loop {
        if row.secret != head.id {
            return Err(broken(row.seq, row.row, "the row belongs to another secret"));
        }
        let (before, older) = match row.prev {
            0 => (genesis(keys, secret), None),
            // A chain only leads backwards; one that does not would never end.
            prev if prev >= row.row => return Err(broken(row.seq, row.row, "the row before it is not before it")),
            prev => {
                let older =
                    fetch(conn, prev)?.ok_or_else(|| broken(row.seq, row.row, "the row before it is missing"))?;
                (older.digest, Some(older))
            }
        };
        if row.digest != expected || row.link(&before) != expected {
            return Err(broken(row.seq, row.row, "the row, or the one before it, was edited"));
        }
        row.after = older.as_ref().map_or(0, |older| older.seq);
        if visit(row)?.is_break() {
            return Ok(());
        }
        let Some(next) = older else { return Ok(()) };
        expected = before;
        row = next;
    }
}

fn fetch(conn: &Connection, row: u64) -> Result<Option<Row>, StoreError> {
    let found = conn
        .prepare_cached("SELECT secret, prev, seq, at, version, body, digest FROM journal WHERE row = ?1")?
        .query_row([sql::int(row)?], |found| {
            Ok(Row {
                row,
                secret: sql::unsigned(found, 0)?,
                prev: sql::unsigned(found, 1)?,
                seq: sql::unsigned(found, 2)?,
                after: 0,
                at: sql::unsigned(found, 3)?,
                version: found.get(4)?,
                body: found.get(5)?,
                digest: sql::hash(found, 6)?,
            })
        })
        .optional()?;
    Ok(found)
}
