//! Applied declarations, by secret. Their text is the scheduler's to read; here it is only kept, whole.

use crate::Store;
use crate::documents::{self, Collection, Document};
use crate::error::StoreError;
use crate::record::Stored;
use keybaton_protocol::ids::{Author, Digest, Millis, SecretName};
use serde::{Deserialize, Serialize};

/// A declaration as it was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Which secret it declares.
    pub name: SecretName,
    /// The spec, as JSON.
    pub body: String,
    /// Digest of the declaration.
    pub digest: Digest,
    /// When.
    pub applied_at: Millis,
    /// By whom.
    pub by: Author,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecRecord {
    body: String,
    digest: String,
    applied_at: u64,
    by: String,
}

impl SpecRecord {
    fn store(spec: &Spec) -> Self {
        let Spec { name: _, body, digest, applied_at, by } = spec;
        Self {
            body: body.clone(),
            digest: Stored::store(digest),
            applied_at: Stored::store(applied_at),
            by: Stored::store(by),
        }
    }

    fn load(document: &Document) -> Result<Spec, StoreError> {
        let unreadable = |error| StoreError::damaged(format!("spec `{}`: {error}", document.key));
        let record: Self = document.decode(Collection::Specs)?;
        let name = document.key.parse();
        Ok(Spec {
            name: name.map_err(|_| StoreError::damaged(format!("spec `{}`: not a secret's name", document.key)))?,
            body: record.body,
            digest: record.digest.load().map_err(unreadable)?,
            applied_at: record.applied_at.load().map_err(unreadable)?,
            by: record.by.load().map_err(unreadable)?,
        })
    }
}

impl Store {
    /// Keeps a spec, in place of an earlier one of that secret.
    ///
    /// # Errors
    /// When it cannot be written; the earlier one is then kept.
    pub async fn put_spec(&self, spec: Spec) -> Result<(), StoreError> {
        self.put_specs(vec![spec]).await
    }

    /// Keeps many specs, all or none.
    ///
    /// # Errors
    /// As [`Store::put_spec`].
    pub async fn put_specs(&self, specs: Vec<Spec>) -> Result<(), StoreError> {
        self.write(move |tx| {
            specs.iter().try_for_each(|spec| {
                documents::put(tx, Collection::Specs, &spec.name.to_string(), &SpecRecord::store(spec))
            })
        })
        .await
    }

    /// All specs, by name.
    ///
    /// # Errors
    /// When they cannot be read, or one was edited, removed or put back behind the store's back.
    pub async fn list_specs(&self) -> Result<Vec<Spec>, StoreError> {
        self.read_view(|view| {
            documents::list(view.conn, view.keys, Collection::Specs)?.iter().map(SpecRecord::load).collect()
        })
        .await
    }

    /// Drops a spec; whether there was one. The secret and its journal stay.
    ///
    /// # Errors
    /// When it cannot be written; the spec is then kept.
    pub async fn remove_spec(&self, name: &SecretName) -> Result<bool, StoreError> {
        let key = name.to_string();
        self.write(move |tx| documents::remove(tx, Collection::Specs, &key)).await
    }
}
