//! Applied declarations, by secret, each whole.

use crate::Store;
use crate::documents::{self, Collection, Document};
use crate::error::StoreError;
use crate::reader::View;
use crate::record::Stored;
use async_trait::async_trait;
use keybaton_engine::ports::specs::{Applied, Specs};
use keybaton_engine::ports::storage::StorageError;
use keybaton_protocol::ids::SecretName;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecRecord {
    body: String,
    digest: String,
    applied_at: u64,
    by: String,
}

impl SpecRecord {
    fn store(spec: &Applied) -> Self {
        let Applied { name: _, body, digest, applied_at, by } = spec;
        Self {
            body: body.clone(),
            digest: Stored::store(digest),
            applied_at: Stored::store(applied_at),
            by: Stored::store(by),
        }
    }

    fn load(document: &Document) -> Result<Applied, StoreError> {
        let unreadable = |error| StoreError::damaged(format!("spec `{}`: {error}", document.key));
        let record: Self = document.decode(Collection::Specs)?;
        let name = document.key.parse();
        Ok(Applied {
            name: name.map_err(|_| StoreError::damaged(format!("spec `{}`: not a secret's name", document.key)))?,
            body: record.body,
            digest: record.digest.load().map_err(unreadable)?,
            applied_at: record.applied_at.load().map_err(unreadable)?,
            by: record.by.load().map_err(unreadable)?,
        })
    }
}

#[async_trait]
impl Specs for Store {
    async fn applied(&self) -> Result<Vec<Applied>, StorageError> {
        let all = |view: &View<'_>| {
            documents::list(view.conn, view.keys, Collection::Specs)?.iter().map(SpecRecord::load).collect()
        };
        Ok(self.read_view(all).await?)
    }

    async fn apply(&self, put: Vec<Applied>, removed: Vec<SecretName>) -> Result<(), StorageError> {
        let write = self.write(move |tx| {
            for name in &removed {
                documents::remove(tx, Collection::Specs, &name.to_string())?;
            }
            put.iter().try_for_each(|spec| {
                documents::put(tx, Collection::Specs, &spec.name.to_string(), &SpecRecord::store(spec))
            })
        });
        Ok(write.await?)
    }
}
