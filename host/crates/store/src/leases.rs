//! Leases and fences. A fence is drawn from one counter of the whole store, so that none is ever given twice, and
//! starts beyond every earlier one after a restore. A lease ends by its time. Those of an earlier opening of the store
//! are void besides: an embedded store is opened by one process at a time, under a file lock that ends with the process, so
//! whoever has opened it knows that their holders are gone. Holders of one opening are told apart by their names.

use crate::crypto::{self, Hash, Integrity};
use crate::error::StoreError;
use crate::sql;
use crate::tx::Tx;
use keybaton_engine::ports::journal::Lease;
use keybaton_protocol::ids::{Fence, Millis, SecretName};
use rusqlite::{Connection, OptionalExtension, params};

/// Fences of an epoch start at the epoch, this many bits up. Epochs have 32 bits and SQLite's integers 63.
const EPOCH_SHIFT: u32 = 31;

/// A lease as it is kept.
#[derive(Clone)]
pub(crate) struct Held {
    holder: String,
    fence: u64,
    until_ms: u64,
    boot: u64,
}

fn lease_mac(keys: &Integrity, secret: &str, held: &Held) -> Hash {
    let numbers = [held.fence.to_be_bytes(), held.until_ms.to_be_bytes(), held.boot.to_be_bytes()].concat();
    crypto::mac(&keys.rows, &[b"lease", secret.as_bytes(), held.holder.as_bytes(), &numbers])
}

/// The lease on a secret, its MAC checked.
pub(crate) fn find(conn: &Connection, keys: &Integrity, secret: &str) -> Result<Option<Held>, StoreError> {
    let found = conn
        .prepare_cached("SELECT holder, fence, until_ms, boot, mac FROM leases WHERE secret = ?1")?
        .query_row([secret], |row| {
            let held = Held {
                holder: row.get(0)?,
                fence: sql::unsigned(row, 1)?,
                until_ms: sql::unsigned(row, 2)?,
                boot: sql::unsigned(row, 3)?,
            };
            Ok((held, sql::hash(row, 4)?))
        })
        .optional()?;
    match found {
        Some((held, mac)) if !crypto::same(&mac, &lease_mac(keys, secret, &held)) => {
            Err(StoreError::damaged(format!("the lease on {secret} was edited")))
        }
        found => Ok(found.map(|(held, _)| held)),
    }
}

/// Proves every lease there is.
pub(crate) fn prove(conn: &Connection, keys: &Integrity) -> Result<(), StoreError> {
    let mut statement = conn.prepare("SELECT secret FROM leases ORDER BY secret")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        find(conn, keys, &row.get::<_, String>(0)?)?;
    }
    Ok(())
}

/// Whether `fence` is the newest on this secret. An expired lease still holds until somebody else takes it.
pub(crate) fn holds(tx: &mut Tx<'_>, secret: &SecretName, fence: Fence) -> Result<bool, StoreError> {
    let held = find(tx.conn, tx.keys, &secret.to_string())?;
    Ok(held.is_some_and(|held| held.boot == tx.state.boot && held.fence == fence.0))
}

/// Takes or renews; `None` while somebody else holds it.
pub(crate) fn take(
    tx: &mut Tx<'_>,
    secret: &SecretName,
    holder: &str,
    for_ms: u64,
) -> Result<Option<Lease>, StoreError> {
    let name = secret.to_string();
    let held = find(tx.conn, tx.keys, &name)?.filter(|held| held.boot == tx.state.boot);
    let fence = match held {
        Some(held) if held.holder == holder => held.fence,
        Some(held) if held.until_ms > tx.now_ms => return Ok(None),
        _ => {
            tx.state.fence = tx.state.fence.max(u64::from(tx.state.epoch) << EPOCH_SHIFT) + 1;
            tx.state.fence
        }
    };
    let until_ms = tx.now_ms.saturating_add(for_ms).min(i64::MAX as u64);
    let held = Held { holder: holder.to_owned(), fence, until_ms, boot: tx.state.boot };
    tx.conn
        .prepare_cached(
            "INSERT INTO leases (secret, holder, fence, until_ms, boot, mac) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET holder = ?2, fence = ?3, until_ms = ?4, boot = ?5, mac = ?6",
        )?
        .execute(params![
            name,
            holder,
            sql::int(fence)?,
            sql::int(until_ms)?,
            sql::int(held.boot)?,
            lease_mac(tx.keys, &name, &held),
        ])?;
    Ok(Some(Lease { fence: Fence(fence), until: Millis(until_ms) }))
}
