//! Freezes of more than one secret, by scope. Both the freeze and the thaw go to the audit in the same transaction.

use crate::Store;
use crate::audit;
use crate::documents::{self, Collection, Document};
use crate::error::StoreError;
use crate::reader::View;
use crate::record::Stored;
use crate::tx::Tx;
use async_trait::async_trait;
use keybaton_engine::ports::audit::{AuditEntry, Verdict};
use keybaton_engine::ports::freezes::{Freeze, Freezes, Scope};
use keybaton_engine::ports::storage::StorageError;
use keybaton_protocol::ids::{Author, Millis};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FreezeRecord {
    author: String,
    at: u64,
}

/// `host`, or the kind of scope and the name.
fn key(scope: &Scope) -> String {
    match scope {
        Scope::Host => "host".to_owned(),
        Scope::Namespace(name) => format!("namespace/{name}"),
        Scope::Connection(name) => format!("connection/{name}"),
        Scope::Plugin(name) => format!("plugin/{name}"),
    }
}

fn scope(key: &str) -> Option<Scope> {
    match key.split_once('/') {
        None => (key == "host").then_some(Scope::Host),
        Some(("namespace", name)) => name.parse().ok().map(Scope::Namespace),
        Some(("connection", name)) => name.parse().ok().map(Scope::Connection),
        Some(("plugin", name)) => name.parse().ok().map(Scope::Plugin),
        Some(_) => None,
    }
}

fn load(document: &Document) -> Result<Freeze, StoreError> {
    let unreadable = |error| StoreError::damaged(format!("the freeze of `{}`: {error}", document.key));
    let record: FreezeRecord = document.decode(Collection::Freezes)?;
    Ok(Freeze {
        scope: scope(&document.key)
            .ok_or_else(|| StoreError::damaged(format!("`{}` is nothing that can be frozen", document.key)))?,
        author: record.author.load().map_err(unreadable)?,
        at: record.at.load().map_err(unreadable)?,
    })
}

fn entry(what: &str, on: String, author: &Author, at: Millis) -> AuditEntry {
    AuditEntry {
        at,
        actor: author.to_string(),
        from: String::new(),
        action: what.to_owned(),
        subject: on,
        detail: String::new(),
        verdict: Verdict::Done,
    }
}

#[async_trait]
impl Freezes for Store {
    async fn freezes(&self) -> Result<Vec<Freeze>, StorageError> {
        Ok(self.read_view(list).await?)
    }

    async fn freeze(&self, wanted: Freeze) -> Result<(), StorageError> {
        Ok(self.write(move |tx| freeze(tx, &wanted)).await?)
    }

    async fn thaw(&self, scope: Scope, author: Author, at: Millis) -> Result<(), StorageError> {
        Ok(self.write(move |tx| thaw(tx, &scope, &author, at)).await?)
    }
}

/// All of them, by scope.
pub(crate) fn list(view: &View<'_>) -> Result<Vec<Freeze>, StoreError> {
    documents::list(view.conn, view.keys, Collection::Freezes)?.iter().map(load).collect()
}

/// Records a freeze; a second one of the same scope changes nothing.
fn freeze(tx: &mut Tx<'_>, freeze: &Freeze) -> Result<(), StoreError> {
    let Freeze { scope, author, at } = freeze;
    let key = key(scope);
    if documents::get(tx.conn, tx.keys, Collection::Freezes, &key)?.is_some() {
        return Ok(());
    }
    let record = FreezeRecord { author: Stored::store(author), at: Stored::store(at) };
    documents::put(tx, Collection::Freezes, &key, &record)?;
    audit::write(tx, &entry("freeze", key, author, *at)).map(drop)
}

/// Lifts a freeze; where there is none, nothing changes.
fn thaw(tx: &mut Tx<'_>, scope: &Scope, author: &Author, at: Millis) -> Result<(), StoreError> {
    let key = key(scope);
    if documents::remove(tx, Collection::Freezes, &key)? {
        audit::write(tx, &entry("thaw", key, author, at))?;
    }
    Ok(())
}
