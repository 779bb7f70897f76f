//! Making and opening a store: directory, lock, keys, schema, threads. Refuses what others could read or write, what
//! another process writes, and what a newer binary wrote.

use crate::clock;
use crate::crypto::{self, INSTALLATION_LEN, Integrity, KEY_LEN};
use crate::error::StoreError;
use crate::files::{self, FILE_MODE};
use crate::kek::Kek;
use crate::reader::{READERS, Readers, View};
use crate::schema::{self, MIGRATIONS, SCHEMA};
use crate::state::State;
use crate::tx::Tx;
use crate::writer::{SharedKek, Writer, WriterHandle};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// The database, in the data directory.
pub(crate) const DATABASE: &str = "keybaton.db";
/// A database that is still being made; it becomes [`DATABASE`] by a rename, whole or not at all.
pub(crate) const UNFINISHED: &str = "keybaton.db.new";
/// Copies made before migrations.
const BACKUPS: &str = "backups";
/// Locked by the process that writes.
const LOCK: &str = "store.lock";
/// How often the lock is tried. It outlives its holder for a moment where that one was just starting a process, which
/// has a copy of the handle until it executes.
const LOCK_TRIES: u32 = 20;
/// Between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(25);
/// How long a statement waits for another process's checkpoint, in milliseconds.
const BUSY_MS: u32 = 5_000;
/// SQLite's page cache, per connection, in KiB (its sign says so).
const CACHE_KIB: i32 = -32_768;
/// Pages in the write-ahead log before it is moved into the database and begun anew: fewer, and hot pages are written
/// more often; more, and more of its syncs find it growing.
const CHECKPOINT_PAGES: u32 = 1_000;

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The host: the one writer.
    ReadWrite,
    /// Inspection, also while a host runs.
    ReadOnly,
}

/// An open store. Clones share it; it closes when the last one is dropped.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    // Dropped in this order: what is waiting is written before the lock is let go.
    writer: Option<WriterHandle>,
    readers: Readers,
    pub(crate) keys: Arc<Integrity>,
    pub(crate) kek: SharedKek,
    pub(crate) dir: PathBuf,
    _lock: Option<File>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.inner.dir.display())
    }
}

impl Store {
    /// Makes a store in `dir`, for a new installation, and opens it. Blocks on the disk.
    ///
    /// # Errors
    /// When there is one already, the directory is open to others, or the key lies in it.
    pub fn create(dir: &Path, kek: Kek) -> Result<Self, StoreError> {
        files::make_dir(dir)?;
        kek.outside(dir)?;
        let lock = lock(dir)?;
        let staged = begin_unfinished(dir)?;
        let mut conn = connect(&staged, Mode::ReadWrite)?;
        schema::migrate(&mut conn, MIGRATIONS, None)?;
        let installation = crypto::random::<INSTALLATION_LEN>()?;
        let root = crypto::random::<KEY_LEN>()?;
        let keys = Integrity::derive(*installation, &root)?;
        let tx = conn.transaction()?;
        tx.execute(
            "INSERT INTO installation (only, id, schema, written_by, kek, root) VALUES (1, ?1, ?2, ?3, ?4, ?5)",
            params![*installation, SCHEMA, env!("CARGO_PKG_VERSION"), kek.id(), wrap_root(&kek, &installation, &root)?],
        )?;
        State::new(&keys, clock::wall_ms()).save(&tx, &keys)?;
        tx.commit()?;
        conn.close().map_err(|(_, error)| error)?;
        files::publish(&staged, &dir.join(DATABASE))?;
        Self::open_locked(dir, kek, lock)
    }

    /// Opens the store in `dir`. Blocks on the disk; brings the schema up to date first, after a backup.
    ///
    /// # Errors
    /// When there is none, it is damaged, newer than this binary, open to others, open for writing in another process,
    /// or wrapped with another key.
    pub fn open(dir: &Path, kek: Kek, mode: Mode) -> Result<Self, StoreError> {
        let path = dir.join(DATABASE);
        if !path.exists() {
            return Err(StoreError::Missing { dir: dir.to_owned() });
        }
        files::refuse_exposed(dir, files::DIR_MODE)?;
        files::refuse_exposed(&path, FILE_MODE)?;
        kek.outside(dir)?;
        match mode {
            Mode::ReadWrite => Self::open_locked(dir, kek, lock(dir)?),
            Mode::ReadOnly => Self::open_unlocked(dir, kek),
        }
    }

    fn open_locked(dir: &Path, kek: Kek, lock: File) -> Result<Self, StoreError> {
        let mut conn = connect(&dir.join(DATABASE), Mode::ReadWrite)?;
        schema::refuse_newer(&conn, MIGRATIONS)?;
        let keys = Arc::new(unlock(&conn, &kek)?);
        schema::migrate(&mut conn, MIGRATIONS, Some(&dir.join(BACKUPS)))?;
        schema::check(&conn, MIGRATIONS)?;
        let mut state = State::load(&conn, &keys)?;
        state.boot += 1;
        let tx = conn.transaction()?;
        state.save(&tx, &keys)?;
        tx.commit()?;
        let kek: SharedKek = Arc::new(RwLock::new(Arc::new(kek)));
        let readers = start_readers(dir, &keys, &kek)?;
        let writer = WriterHandle::start(Writer::new(conn, Arc::clone(&keys), Arc::clone(&kek), state))?;
        let inner = Inner { writer: Some(writer), readers, keys, kek, dir: dir.to_owned(), _lock: Some(lock) };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn open_unlocked(dir: &Path, kek: Kek) -> Result<Self, StoreError> {
        let conn = connect(&dir.join(DATABASE), Mode::ReadOnly)?;
        let found = schema::refuse_newer(&conn, MIGRATIONS)?;
        if found < SCHEMA {
            return Err(StoreError::OlderSchema { found, known: SCHEMA });
        }
        let keys = Arc::new(unlock(&conn, &kek)?);
        schema::check(&conn, MIGRATIONS)?;
        State::load(&conn, &keys)?;
        let kek: SharedKek = Arc::new(RwLock::new(Arc::new(kek)));
        let readers = start_readers(dir, &keys, &kek)?;
        Ok(Self { inner: Arc::new(Inner { writer: None, readers, keys, kek, dir: dir.to_owned(), _lock: None }) })
    }

    /// Runs `run` in a transaction on the writer thread; see [`WriterHandle::call`] for what it may do.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        run: impl FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.writer.as_ref().ok_or(StoreError::ReadOnly)?.call(run).await
    }

    /// Runs `run` with the writer to itself.
    pub(crate) async fn write_alone<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.writer.as_ref().ok_or(StoreError::ReadOnly)?.alone(run).await
    }

    /// Runs `run` on one snapshot, on a reader thread.
    pub(crate) async fn read_view<T: Send + 'static>(
        &self,
        run: impl FnOnce(&View<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.readers.call(run).await
    }
}

/// Takes the one writer's lock; it ends with the process that holds it, however that ends.
pub(crate) fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(StoreError::io("open", &path))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", path)(error)),
        }
    }
    Err(StoreError::Locked { dir: dir.to_owned() })
}

/// An empty file for a database in the making; what an earlier attempt left is cleared away.
pub(crate) fn begin_unfinished(dir: &Path) -> Result<PathBuf, StoreError> {
    if dir.join(DATABASE).exists() {
        return Err(StoreError::Exists { dir: dir.to_owned() });
    }
    let staged = dir.join(UNFINISHED);
    for left in [staged.clone(), dir.join(format!("{UNFINISHED}-wal")), dir.join(format!("{UNFINISHED}-shm"))] {
        files::remove(&left)?;
    }
    files::make_file(&staged)?;
    Ok(staged)
}

/// A connection with this store's settings.
pub(crate) fn connect(path: &Path, mode: Mode) -> Result<Connection, StoreError> {
    let flags = match mode {
        Mode::ReadWrite => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Mode::ReadOnly => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.pragma_update(None, "busy_timeout", BUSY_MS)?;
    conn.pragma_update(None, "cache_size", CACHE_KIB)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    if mode == Mode::ReadWrite {
        conn.pragma_update(None, "journal_mode", "wal")?;
        conn.pragma_update(None, "synchronous", "full")?;
        conn.pragma_update(None, "secure_delete", true)?;
        conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    }
    Ok(conn)
}

fn start_readers(dir: &Path, keys: &Arc<Integrity>, kek: &SharedKek) -> Result<Readers, StoreError> {
    let connections = (0..READERS).map(|_| connect(&dir.join(DATABASE), Mode::ReadOnly)).collect::<Result<_, _>>()?;
    Readers::start(connections, keys, kek)
}

const ROOT: &[u8] = b"keybaton-installation-key-v1";

/// The installation key, wrapped.
pub(crate) fn wrap_root(
    kek: &Kek,
    installation: &[u8; INSTALLATION_LEN],
    root: &[u8; KEY_LEN],
) -> Result<Vec<u8>, StoreError> {
    kek.cipher().seal(&[ROOT, installation, kek.id().as_bytes()], root)
}

/// What the `installation` row holds.
pub(crate) struct Installation {
    pub(crate) id: [u8; INSTALLATION_LEN],
    pub(crate) root: zeroize::Zeroizing<[u8; KEY_LEN]>,
}

/// Opens the `installation` row.
pub(crate) fn installation(conn: &Connection, kek: &Kek) -> Result<Installation, StoreError> {
    let found: Option<([u8; INSTALLATION_LEN], String, Vec<u8>)> = conn
        .query_row("SELECT id, kek, root FROM installation WHERE only = 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let (id, expected, wrapped) = found.ok_or_else(|| StoreError::damaged("the installation's row is missing"))?;
    if expected != kek.id() {
        return Err(StoreError::WrongKek { expected, given: kek.id().to_owned() });
    }
    let plain = kek
        .cipher()
        .open(&[ROOT, &id, expected.as_bytes()], &wrapped)
        .filter(|plain| plain.len() == KEY_LEN)
        .ok_or_else(|| StoreError::damaged("the installation key was edited"))?;
    let mut root = zeroize::Zeroizing::new([0; KEY_LEN]);
    root.copy_from_slice(&plain);
    Ok(Installation { id, root })
}

/// The integrity keys of a database.
pub(crate) fn unlock(conn: &Connection, kek: &Kek) -> Result<Integrity, StoreError> {
    let Installation { id, root } = installation(conn, kek)?;
    Integrity::derive(id, &root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writers_connection_syncs_every_commit_and_overwrites_what_it_deletes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        files::make_file(&path).unwrap();
        let conn = connect(&path, Mode::ReadWrite).unwrap();
        let numbers = [("synchronous", 2), ("secure_delete", 1), ("trusted_schema", 0), ("cell_size_check", 1)];
        for (pragma, expected) in numbers {
            let found: i64 = conn.pragma_query_value(None, pragma, |row| row.get(0)).unwrap();
            assert_eq!(found, expected, "{pragma}");
        }
        let log: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(log, "wal");
    }
}
