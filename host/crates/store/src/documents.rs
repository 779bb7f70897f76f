//! Small records by name, in collections: each row under its own MAC, each collection under its sum, so that a row that
//! was edited, removed or put back as it once was is detected. Knows nothing of what the records mean.

use crate::crypto::{self, Hash, Integrity};
use crate::error::StoreError;
use crate::record::from_json;
use crate::sql;
use crate::state::{State, Sum};
use crate::tx::Tx;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Version of the bodies written now, in every collection.
const VERSION: u32 = 1;

/// How many collections there are.
pub(crate) const COLLECTIONS: usize = 6;

/// A set of records of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collection {
    Specs,
    Identities,
    Enrolments,
    Freezes,
    Values,
    Proposals,
}

impl Collection {
    pub(crate) const ALL: [Self; COLLECTIONS] =
        [Self::Specs, Self::Identities, Self::Enrolments, Self::Freezes, Self::Values, Self::Proposals];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Specs => "specs",
            Self::Identities => "identities",
            Self::Enrolments => "enrolments",
            Self::Freezes => "freezes",
            Self::Values => "values",
            Self::Proposals => "proposals",
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// One proven row.
pub(crate) struct Document {
    pub(crate) key: String,
    version: u32,
    pub(crate) body: Vec<u8>,
    pub(crate) wrapped: Option<Vec<u8>>,
    mac: Hash,
}

impl Document {
    /// The record in it.
    pub(crate) fn decode<T: DeserializeOwned>(&self, collection: Collection) -> Result<T, StoreError> {
        let record = match self.version {
            1 => from_json(1, &self.body),
            found => Err(crate::record::RecordError::Version { found }),
        };
        record.map_err(|error| StoreError::damaged(format!("{} `{}`: {error}", collection.name(), self.key)))
    }
}

fn row_mac(keys: &Integrity, collection: Collection, key: &str, version: u32, body: &[u8]) -> Hash {
    let version = version.to_be_bytes();
    crypto::mac(&keys.rows, &[b"document", collection.name().as_bytes(), key.as_bytes(), &version, body])
}

fn checked(keys: &Integrity, collection: Collection, row: &Row<'_>) -> Result<Document, StoreError> {
    let read = || -> rusqlite::Result<Document> {
        Ok(Document {
            key: row.get(0)?,
            version: row.get(1)?,
            body: row.get(2)?,
            wrapped: row.get(3)?,
            mac: sql::hash(row, 4)?,
        })
    };
    let found = read()?;
    if crypto::same(&found.mac, &row_mac(keys, collection, &found.key, found.version, &found.body)) {
        Ok(found)
    } else {
        Err(StoreError::damaged(format!("{} `{}` was edited", collection.name(), found.key)))
    }
}

/// One record, if it is there.
pub(crate) fn get(
    conn: &Connection,
    keys: &Integrity,
    collection: Collection,
    key: &str,
) -> Result<Option<Document>, StoreError> {
    conn.prepare_cached("SELECT key, version, body, wrapped, mac FROM documents WHERE collection = ?1 AND key = ?2")?
        .query_row(params![collection.name(), key], |row| Ok(checked(keys, collection, row)))
        .optional()?
        .transpose()
}

/// All records of a collection, by key, checked against its sum.
pub(crate) fn list(conn: &Connection, keys: &Integrity, collection: Collection) -> Result<Vec<Document>, StoreError> {
    let expected = State::load(conn, keys)?;
    let mut statement = conn
        .prepare_cached("SELECT key, version, body, wrapped, mac FROM documents WHERE collection = ?1 ORDER BY key")?;
    let mut rows = statement.query([collection.name()])?;
    let mut sum = Sum::EMPTY;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let document = checked(keys, collection, row)?;
        sum.add(keys, collection.name(), &document.mac);
        found.push(document);
    }
    let expected = &expected.documents[collection.index()];
    if sum == *expected {
        return Ok(found);
    }
    Err(StoreError::damaged(format!(
        "there are {} {} and {} were written, or one was put back as it once was",
        sum.rows,
        collection.name(),
        expected.rows
    )))
}

/// Writes a record, in place of an earlier one.
pub(crate) fn put(
    tx: &mut Tx<'_>,
    collection: Collection,
    key: &str,
    record: &impl Serialize,
) -> Result<(), StoreError> {
    put_raw(tx, collection, key, &crate::record::to_json(record), None)
}

/// As [`put`], for a body that is sealed under a wrapped key.
pub(crate) fn put_raw(
    tx: &mut Tx<'_>,
    collection: Collection,
    key: &str,
    body: &[u8],
    wrapped: Option<&[u8]>,
) -> Result<(), StoreError> {
    let mac = row_mac(tx.keys, collection, key, VERSION, body);
    let before = get(tx.conn, tx.keys, collection, key)?;
    let sum = &mut tx.state.documents[collection.index()];
    if let Some(before) = before {
        sum.remove(tx.keys, collection.name(), &before.mac);
    }
    sum.add(tx.keys, collection.name(), &mac);
    tx.conn
        .prepare_cached(
            "INSERT INTO documents (collection, key, version, body, wrapped, mac) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET version = ?3, body = ?4, wrapped = ?5, mac = ?6",
        )?
        .execute(params![collection.name(), key, VERSION, body, wrapped, mac])?;
    Ok(())
}

/// Removes a record; whether it was there.
pub(crate) fn remove(tx: &mut Tx<'_>, collection: Collection, key: &str) -> Result<bool, StoreError> {
    let Some(before) = get(tx.conn, tx.keys, collection, key)? else { return Ok(false) };
    tx.state.documents[collection.index()].remove(tx.keys, collection.name(), &before.mac);
    tx.conn
        .prepare_cached("DELETE FROM documents WHERE collection = ?1 AND key = ?2")?
        .execute(params![collection.name(), key])?;
    Ok(true)
}
