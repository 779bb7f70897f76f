//! Numbers and digests on their way in and out of SQLite, whose integers have 63 bits. Never truncates.

use crate::crypto::{Hash, KEY_LEN};
use crate::error::StoreError;
use rusqlite::Row;
use rusqlite::types::Type;

/// A number as SQLite keeps it.
pub(crate) fn int(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Unstorable { detail: format!("{value} is beyond 63 bits") })
}

/// A number out of SQLite; a negative one was not written by this store.
pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// A digest out of SQLite.
pub(crate) fn hash(row: &Row<'_>, column: usize) -> rusqlite::Result<Hash> {
    let bytes = row.get_ref(column)?.as_blob().map_err(|_| wrong(column))?;
    <[u8; KEY_LEN]>::try_from(bytes).map_err(|_| wrong(column))
}

fn wrong(column: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, "digest".to_owned(), Type::Blob)
}
