//! Proves everything the store holds: the file, every chain, every sum, every sealed value. Changes nothing.

use crate::chain::{self, Head};
use crate::crypto;
use crate::documents::{self, Collection};
use crate::error::StoreError;
use crate::reader::View;
use crate::state::State;
use crate::{Store, append, audit, leases, seals, sql};
use keybaton_engine::ports::journal::Wanted;
use keybaton_protocol::ids::{Generation, SecretName};
use rusqlite::params;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// What was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// Journals.
    pub secrets: u64,
    /// Their rows.
    pub rows: u64,
    /// Sealed values, each opened and wiped.
    pub sealed: u64,
    /// Specs, identities, enrolments, host's values.
    pub documents: u64,
    /// Audit entries.
    pub audited: u64,
}

impl Store {
    /// Proves the whole store. Its time grows with all that was ever written.
    ///
    /// # Errors
    /// The first thing that does not hold, by name.
    pub async fn verify(&self) -> Result<Verified, StoreError> {
        self.read_view(all).await
    }
}

/// Proves everything in one snapshot.
pub(crate) fn all(view: &View<'_>) -> Result<Verified, StoreError> {
    let sound: String = view.conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(StoreError::damaged(sound));
    }
    let state = State::load(view.conn, view.keys)?;
    let mut proven = Verified::default();
    chain::heads(view.conn, view.keys, &state.heads, |secret, head| {
        proven.secrets += 1;
        proven.rows += journal(view, &secret, &head, &mut proven.sealed)?;
        Ok(())
    })?;
    for (table, expected) in [("journal", proven.rows), ("sealed", proven.sealed)] {
        let found = view.conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| sql::unsigned(row, 0))?;
        if found != expected {
            let detail = format!("the table {table} has {found} rows, and the journals account for {expected}");
            return Err(StoreError::damaged(detail));
        }
    }
    for collection in Collection::ALL {
        proven.documents += documents::list(view.conn, view.keys, collection)?.len() as u64;
    }
    leases::prove(view.conn, view.keys)?;
    proven.audited = audit::prove(view.conn, view.keys, drop)
        .map_err(|error| match error {
            audit::AuditError::Broken(broken) => StoreError::damaged(broken.to_string()),
            audit::AuditError::Store(error) => error,
        })?
        .entries;
    Ok(proven)
}

/// Walks one journal to its beginning and compares the sealed values with what its attachments say.
fn journal(view: &View<'_>, secret: &SecretName, head: &Head, sealed: &mut u64) -> Result<u64, StoreError> {
    let mut rows = 0;
    let mut attachments = Vec::new();
    chain::walk(view.conn, view.keys, secret, head, |row| {
        rows += 1;
        attachments.push(append::written(secret, &row)?.attached);
        Ok(ControlFlow::Continue(()))
    })?;
    let mut expected = BTreeMap::new();
    for attachment in attachments.into_iter().rev() {
        for (generation, label, digest) in attachment.sealed {
            expected.insert((generation, label), digest);
        }
        for erased in attachment.erased {
            expected.retain(|(generation, _), _| *generation != erased);
        }
    }
    *sealed += expected.len() as u64;
    for ((generation, label), digest) in expected {
        let generation = Generation(generation);
        let named = label.parse();
        let named = named.map_err(|_| StoreError::damaged(format!("{secret}: `{label}` is no label")))?;
        let wanted = Wanted { generation, labels: vec![named], salt: true };
        if seals::open_all(view, secret, &[wanted])?.is_err() {
            let detail = format!("the value `{label}` of {secret} generation {} is missing", generation.0);
            return Err(StoreError::damaged(detail));
        }
        let found: Vec<u8> = view
            .conn
            .prepare_cached("SELECT value FROM sealed WHERE secret = ?1 AND generation = ?2 AND label = ?3")?
            .query_row(params![sql::int(head.id)?, generation.0, label], |row| row.get(0))?;
        if crypto::hex(&crypto::hash(&[&found])) != digest {
            let detail = format!("the value `{label}` of {secret} generation {} was exchanged", generation.0);
            return Err(StoreError::damaged(detail));
        }
    }
    Ok(rows)
}
