//! The store's account of itself: epoch, clock, fences, and what every collection of rows must add up to. One sealed
//! row, rewritten in each commit, so that a row removed, or put back as it once was, does not add up any more.
//! It cannot tell when the whole database is exchanged for an older one: only a checkpoint kept elsewhere could.

use crate::crypto::{self, Hash, Integrity, KEY_LEN};
use crate::documents::COLLECTIONS;
use crate::error::StoreError;
use rusqlite::{Connection, OptionalExtension, params};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// Version of the state's JSON.
const VERSION: &str = "keybaton-state-v1";

/// A set of rows by number and sum. The sum is the exclusive or of a hidden pseudo-random value for each row: whoever
/// does not hold the installation key can neither compute it nor, since it is sealed, learn it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    sum: [u8; KEY_LEN],
}

impl Sum {
    pub(crate) const EMPTY: Self = Self { rows: 0, sum: [0; KEY_LEN] };

    /// Takes a row in, by its MAC.
    pub(crate) fn add(&mut self, keys: &Integrity, collection: &str, mac: &Hash) {
        self.rows += 1;
        self.toggle(keys, collection, mac);
    }

    /// Takes a row out.
    pub(crate) fn remove(&mut self, keys: &Integrity, collection: &str, mac: &Hash) {
        self.rows = self.rows.saturating_sub(1);
        self.toggle(keys, collection, mac);
    }

    fn toggle(&mut self, keys: &Integrity, collection: &str, mac: &Hash) {
        let hidden = crypto::mac(&keys.sums, &[collection.as_bytes(), mac]);
        self.sum.iter_mut().zip(hidden).for_each(|(sum, part)| *sum ^= part);
    }
}

/// Where a chain ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChainHead {
    pub(crate) seq: u64,
    pub(crate) digest: Hash,
}

/// The sealed row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// Installation epoch.
    pub(crate) epoch: u32,
    /// How often the store was opened for writing; leases of an earlier opening are void.
    pub(crate) boot: u64,
    /// Latest time that was ever told, in milliseconds since the Unix epoch.
    pub(crate) clock_ms: u64,
    /// Last fence given out.
    pub(crate) fence: u64,
    /// Last row of the journal table.
    pub(crate) last_row: u64,
    /// End of the audit log.
    pub(crate) audit: ChainHead,
    /// Heads of journals.
    pub(crate) heads: Sum,
    /// Collections of documents, in the order of `Collection`. A state of an older schema has fewer.
    #[serde(deserialize_with = "grown")]
    pub(crate) documents: [Sum; COLLECTIONS],
}

/// Collections that a schema after the one that wrote this has added hold nothing yet.
fn grown<'de, D: Deserializer<'de>>(from: D) -> Result<[Sum; COLLECTIONS], D::Error> {
    let mut sums = Vec::<Sum>::deserialize(from)?;
    if sums.len() < COLLECTIONS {
        sums.resize(COLLECTIONS, Sum::EMPTY);
    }
    sums.try_into()
        .map_err(|more: Vec<Sum>| D::Error::invalid_length(more.len(), &"no more collections than are known"))
}

impl State {
    /// Of a new installation.
    pub(crate) fn new(keys: &Integrity, clock_ms: u64) -> Self {
        Self {
            epoch: 0,
            boot: 0,
            clock_ms,
            fence: 0,
            last_row: 0,
            audit: ChainHead { seq: 0, digest: crypto::hash(&[b"keybaton-audit-v1", &keys.installation]) },
            heads: Sum::EMPTY,
            documents: [Sum::EMPTY; COLLECTIONS],
        }
    }

    /// Reads and opens the row.
    pub(crate) fn load(conn: &Connection, keys: &Integrity) -> Result<Self, StoreError> {
        let sealed: Option<Vec<u8>> = conn
            .prepare_cached("SELECT sealed FROM state WHERE only = 1")?
            .query_row([], |row| row.get(0))
            .optional()?;
        let sealed = sealed.ok_or_else(|| StoreError::damaged("the store's state is missing"))?;
        let plain = keys
            .state
            .open(&[VERSION.as_bytes(), &keys.installation], &sealed)
            .ok_or_else(|| StoreError::damaged("the store's state was edited, or is another installation's"))?;
        serde_json::from_slice(&plain).map_err(|error| StoreError::damaged(format!("the store's state: {error}")))
    }

    /// Seals and writes the row, within the caller's transaction.
    pub(crate) fn save(&self, conn: &Connection, keys: &Integrity) -> Result<(), StoreError> {
        let plain = crate::record::to_json(self);
        let sealed = keys.state.seal(&[VERSION.as_bytes(), &keys.installation], &plain)?;
        conn.prepare_cached("INSERT INTO state (only, sealed) VALUES (1, ?1) ON CONFLICT DO UPDATE SET sealed = ?1")?
            .execute(params![sealed])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Only {
        #[serde(deserialize_with = "grown")]
        documents: [Sum; COLLECTIONS],
    }

    #[test]
    fn a_state_of_an_older_schema_has_fewer_collections_and_none_has_more() {
        let full = Sum { rows: 3, sum: [7; KEY_LEN] };
        for (count, reads) in [(COLLECTIONS - 1, true), (COLLECTIONS, true), (COLLECTIONS + 1, false)] {
            let text = serde_json::json!({ "documents": vec![full.clone(); count] }).to_string();
            let read = serde_json::from_str::<Only>(&text);
            assert_eq!(read.is_ok(), reads, "{count} collections");
            let Ok(Only { documents }) = read else { continue };
            let expected: Vec<Sum> =
                (0..COLLECTIONS).map(|at| if at < count { full.clone() } else { Sum::EMPTY }).collect();
            assert_eq!(documents.to_vec(), expected, "what is new holds nothing");
        }
    }
}
