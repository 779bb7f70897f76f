//! Heads and leases that the writer proved or wrote itself a moment ago, so that it need not read and prove them again
//! for each append. Only the one writer changes them; after a failed transaction nothing here is believed.

use crate::chain::{self, Head};
use crate::error::StoreError;
use crate::leases::{self, Held};
use crate::writer::Tx;
use keybaton_protocol::ids::SecretName;
use std::collections::HashMap;

/// Secrets remembered; when there are more, all are forgotten, and proven again when next needed.
const SECRETS_MAX: usize = 16_384;

/// What is remembered.
#[derive(Default)]
pub(crate) struct Recent {
    heads: HashMap<SecretName, Head>,
    leases: HashMap<SecretName, Held>,
}

impl Recent {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.heads.clear();
        self.leases.clear();
    }

    /// Remembers the head just written.
    pub(crate) fn note_head(&mut self, secret: &SecretName, head: Head) {
        note(&mut self.heads, secret, head);
    }

    /// Remembers the lease just written.
    pub(crate) fn note_lease(&mut self, secret: &SecretName, held: Held) {
        note(&mut self.leases, secret, held);
    }
}

fn note<T>(known: &mut HashMap<SecretName, T>, secret: &SecretName, value: T) {
    if let Some(there) = known.get_mut(secret) {
        *there = value;
        return;
    }
    if known.len() >= SECRETS_MAX {
        known.clear();
    }
    known.insert(secret.clone(), value);
}

impl Tx<'_> {
    /// The head of a secret's journal, proven now or a moment ago.
    pub(crate) fn head(&mut self, secret: &SecretName) -> Result<Option<Head>, StoreError> {
        if let Some(head) = self.recent.heads.get(secret) {
            return Ok(Some(head.clone()));
        }
        chain::head(self.conn, self.keys, secret)
    }

    /// The lease on a secret, proven now or a moment ago.
    pub(crate) fn lease(&mut self, secret: &SecretName) -> Result<Option<Held>, StoreError> {
        if let Some(held) = self.recent.leases.get(secret) {
            return Ok(Some(held.clone()));
        }
        let held = leases::find(self.conn, self.keys, &secret.to_string())?;
        if let Some(held) = &held {
            self.recent.note_lease(secret, held.clone());
        }
        Ok(held)
    }
}
