//! `keybaton key rotate`: every data key under another key-encryption key, in one transaction. A crash leaves the store
//! wrapped wholly with the one or wholly with the other.

use crate::Store;
use crate::error::StoreError;
use crate::kek::Kek;
use crate::open;
use crate::seals::Subject;
use crate::sql;
use crate::values;
use crate::writer::Writer;
use keybaton_protocol::ids::{Generation, SecretName};
use rusqlite::{Connection, params};
use std::sync::Arc;

/// Data keys fetched at once.
const PAGE_ROWS: u32 = 1_000;

impl Store {
    /// Wraps everything with `new`, while the store is in use. Afterwards only `new` opens it. The new key's file must
    /// be durable before this is called. Answers the number of data keys.
    ///
    /// # Errors
    /// When anything does not open or cannot be written: then all of it is still wrapped with the old key.
    pub async fn rewrap(&self, new: Kek) -> Result<u64, StoreError> {
        new.outside(&self.inner.dir)?;
        self.write_alone(move |writer| exchange(writer, new)).await
    }
}

fn exchange(writer: &mut Writer, new: Kek) -> Result<u64, StoreError> {
    let shared = Arc::clone(&writer.kek);
    // Readers hold this for as long as their snapshot: none opens rows with a key that they are not wrapped with.
    let mut kek = shared.write().expect("no holder of the key panics while it exchanges it");
    let tx = writer.conn.transaction()?;
    let keys = data_keys(&tx, &writer.keys.installation, &kek, &new)?
        + host_values(&tx, &kek, &new, &writer.keys.installation)?;
    let installation = open::installation(&tx, &kek)?;
    tx.execute(
        "UPDATE installation SET kek = ?1, root = ?2",
        params![new.id(), open::wrap_root(&new, &installation.id, &installation.root)?],
    )?;
    tx.commit()?;
    *kek = Arc::new(new);
    drop(kek);
    // What was wrapped with the old key is still in the log.
    if !writer.cut_log() {
        tracing::warn!("the write-ahead log still holds keys wrapped with the old key: a reader is in the way");
    }
    Ok(keys)
}

fn data_keys(conn: &Connection, installation: &[u8], old: &Kek, new: &Kek) -> Result<u64, StoreError> {
    let mut page = conn.prepare(
        "SELECT data_keys.secret, name, generation, wrapped FROM data_keys
         LEFT JOIN secrets ON secrets.id = data_keys.secret
         WHERE (data_keys.secret, generation) > (?1, ?2) ORDER BY data_keys.secret, generation LIMIT ?3",
    )?;
    let mut update = conn.prepare("UPDATE data_keys SET wrapped = ?3 WHERE secret = ?1 AND generation = ?2")?;
    let (mut done, mut last) = (0, (0, 0));
    loop {
        let rows: Vec<(u64, Option<String>, u32, Vec<u8>)> = page
            .query_map(params![sql::int(last.0)?, last.1, PAGE_ROWS], |row| {
                Ok((sql::unsigned(row, 0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?
            .collect::<Result<_, _>>()?;
        let Some(end) = rows.last() else { return Ok(done) };
        last = (end.0, end.2);
        for (id, name, generation, wrapped) in &rows {
            let secret: SecretName = name.as_deref().and_then(|name| name.parse().ok()).ok_or_else(|| {
                StoreError::damaged(format!("a data key belongs to secret {id}, which has no journal"))
            })?;
            let subject = Subject { installation, secret: &secret, id: *id, generation: Generation(*generation) };
            let wrapped = subject.wrap(new, &*subject.unwrap(old, wrapped)?)?;
            update.execute(params![sql::int(*id)?, generation, wrapped])?;
            done += 1;
        }
    }
}

fn host_values(conn: &Connection, old: &Kek, new: &Kek, installation: &[u8]) -> Result<u64, StoreError> {
    let mut all = conn.prepare("SELECT key, wrapped FROM documents WHERE collection = 'values'")?;
    let rows: Vec<(String, Option<Vec<u8>>)> =
        all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (name, wrapped) in &rows {
        let key = values::unwrap(old, installation, name, wrapped.as_deref())?;
        conn.execute(
            "UPDATE documents SET wrapped = ?2 WHERE collection = 'values' AND key = ?1",
            params![name, values::wrap(new, installation, name, &key)?],
        )?;
    }
    Ok(rows.len() as u64)
}
