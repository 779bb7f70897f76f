//! Restore: a backup becomes a store under a new installation epoch. Every lease is void, and every secret is marked
//! until its journal says so. Never writes over a store; a crash leaves none.

use crate::Store;
use crate::backup::{self, Manifest};
use crate::chain;
use crate::clock;
use crate::error::StoreError;
use crate::files;
use crate::kek::Kek;
use crate::open::{self, DATABASE, Mode};
use crate::reader::{Ids, View};
use crate::schema::{self, MIGRATIONS};
use crate::state::State;
use crate::verify::{self, Verified};
use keybaton_protocol::ids::{Epoch, SecretName};
use rusqlite::Connection;
use std::path::Path;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// The new epoch.
    pub epoch: Epoch,
    /// What the backup held, all of it proven before it became the store.
    pub proven: Verified,
    /// The backup.
    pub manifest: Manifest,
}

impl Store {
    /// Makes a store in `dir` out of the backup in `from`. Blocks on the disk. Open it afterwards; its secrets are in
    /// [`Store::restored_pending`] until each has its `Restored` event.
    ///
    /// # Errors
    /// When `dir` holds a store, or the backup is incomplete, edited, newer, or wrapped with another key. Then there is
    /// no store in `dir`.
    pub fn restore(from: &Path, dir: &Path, kek: &Kek) -> Result<Restoration, StoreError> {
        let (manifest, mac) = Manifest::read(from)?;
        files::make_dir(dir)?;
        kek.outside(dir)?;
        let _lock = open::lock(dir)?;
        let staged = open::begin_unfinished(dir)?;
        let source = from.join(DATABASE);
        // Truncates and fills the file that is there, and so keeps its mode.
        std::fs::File::open(&source)
            .and_then(|mut from| std::io::copy(&mut from, &mut std::fs::OpenOptions::new().write(true).open(&staged)?))
            .map_err(StoreError::io("copy", &source))?;
        if backup::digest_file(&staged)? != (manifest.bytes, manifest.digest) {
            files::remove(&staged)?;
            return Err(StoreError::Backup { detail: "the database is not the one its manifest describes".to_owned() });
        }
        let mut conn = open::connect(&staged, Mode::ReadWrite)?;
        let outcome = revive(&mut conn, kek, &manifest, &mac);
        conn.close().map_err(|(_, error)| error)?;
        let (epoch, proven) = outcome.inspect_err(|_| {
            // What is left unfinished is no store, and the next attempt clears it away.
            drop(files::remove(&staged));
        })?;
        files::publish(&staged, &dir.join(DATABASE))?;
        Ok(Restoration { epoch, proven, manifest })
    }
}

/// Secrets whose journal lacks the `Restored` event of the current epoch; appending it takes the secret off.
pub(crate) fn pending(view: &View<'_>) -> Result<Vec<SecretName>, StoreError> {
    let mut statement = view.conn.prepare("SELECT secret FROM restore_pending ORDER BY secret")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        found.push(name.parse().map_err(|_| StoreError::damaged(format!("`{name}` is no secret's name")))?);
    }
    Ok(found)
}

fn revive(conn: &mut Connection, kek: &Kek, manifest: &Manifest, mac: &str) -> Result<(Epoch, Verified), StoreError> {
    schema::refuse_newer(conn, MIGRATIONS)?;
    let keys = open::unlock(conn, kek)?;
    manifest.check(&keys, mac)?;
    schema::migrate(conn, MIGRATIONS, None)?;
    schema::check(conn, MIGRATIONS)?;
    let proven = verify::all(&View { conn, keys: &keys, kek, ids: &Ids::default() })?.sound()?;
    let mut state = State::load(conn, &keys)?;
    // Past the clock, not only past the backup: a backup restored twice gives two epochs.
    let now_s = u32::try_from(clock::wall_ms() / 1000).unwrap_or(u32::MAX);
    state.epoch = now_s.max(state.epoch.saturating_add(1));
    state.boot += 1;
    let tx = conn.transaction()?;
    chain::heads(&tx, &keys, &state.heads, |secret, _| {
        tx.prepare_cached("INSERT OR IGNORE INTO restore_pending (secret) VALUES (?1)")?
            .execute([secret.to_string()])?;
        Ok(())
    })?;
    tx.execute("DELETE FROM leases", [])?;
    state.save(&tx, &keys)?;
    tx.commit()?;
    Ok((Epoch(state.epoch), proven))
}
