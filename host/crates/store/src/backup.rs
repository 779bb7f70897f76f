//! Online backup: one snapshot of the whole database, taken while writing goes on, beside a manifest. It opens only
//! with the key-encryption key of its time, which is not in it.

use crate::crypto::{self, Integrity};
use crate::error::StoreError;
use crate::kek::Kek;
use crate::open::{self, DATABASE, Mode};
use crate::reader::{Ids, View};
use crate::schema::{self, SCHEMA};
use crate::state::State;
use crate::verify;
use crate::writer::SharedKek;
use crate::{Store, clock, files, restore};
use async_trait::async_trait;
use aws_lc_rs::digest;
use keybaton_engine::ports::backup::{BackupError, Backups, Copied};
use keybaton_engine::ports::storage::StorageError;
use keybaton_protocol::ids::{Digest, Epoch, Millis, SecretName};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::oneshot;

/// The manifest's file.
pub(crate) const MANIFEST: &str = "manifest.json";
const FORMAT: &str = "keybaton-backup-v1";
/// Read at once while a file is digested.
const CHUNK_BYTES: usize = 1 << 20;
/// A larger manifest is not read.
const MANIFEST_MAX_BYTES: u64 = 64 * 1024;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Schema of the database.
    pub schema: u32,
    /// Which installation, in hex.
    pub installation: String,
    /// Its epoch when the backup was taken.
    pub epoch: Epoch,
    /// Id of the key-encryption key that opens it.
    pub kek: String,
    /// When it was taken, by the host's wall clock.
    pub taken_at: Millis,
    /// Length of the database, in bytes.
    pub bytes: u64,
    /// SHA-256 of the database file.
    pub digest: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestRecord {
    format: String,
    schema: u32,
    installation: String,
    epoch: u32,
    kek: String,
    taken_at: u64,
    bytes: u64,
    digest: String,
    mac: String,
}

impl Manifest {
    fn mac(&self, keys: &Integrity) -> String {
        let Self { schema, installation, epoch, kek, taken_at, bytes, digest } = self;
        crypto::hex(&crypto::mac(
            &keys.manifests,
            &[
                FORMAT.as_bytes(),
                &schema.to_be_bytes(),
                installation.as_bytes(),
                &epoch.0.to_be_bytes(),
                kek.as_bytes(),
                &taken_at.0.to_be_bytes(),
                &bytes.to_be_bytes(),
                &digest.0,
            ],
        ))
    }

    fn write(&self, dir: &Path, keys: &Integrity) -> Result<(), StoreError> {
        let record = ManifestRecord {
            format: FORMAT.to_owned(),
            schema: self.schema,
            installation: self.installation.clone(),
            epoch: self.epoch.0,
            kek: self.kek.clone(),
            taken_at: self.taken_at.0,
            bytes: self.bytes,
            digest: self.digest.to_string(),
            mac: self.mac(keys),
        };
        let path = dir.join(MANIFEST);
        let mut file = files::make_file(&path)?;
        let text = serde_json::to_vec_pretty(&record).expect("a manifest is text and numbers: it has a JSON form");
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(StoreError::io("write", &path))
    }

    /// Reads a backup's manifest, and its MAC for later: it takes the backup's own keys to check it.
    pub(crate) fn read(dir: &Path) -> Result<(Self, String), StoreError> {
        let path = dir.join(MANIFEST);
        let mut text = Vec::new();
        std::fs::File::open(&path)
            .and_then(|file| file.take(MANIFEST_MAX_BYTES).read_to_end(&mut text))
            .map_err(StoreError::io("read", &path))?;
        let unfit = |detail: String| StoreError::Backup { detail };
        let record: ManifestRecord =
            serde_json::from_slice(&text).map_err(|error| unfit(format!("its manifest is malformed: {error}")))?;
        if record.format != FORMAT {
            return Err(unfit(format!("its format is `{}`, and this binary reads `{FORMAT}`", record.format)));
        }
        let digest = record.digest.parse().map_err(|_| unfit("its manifest's digest is malformed".to_owned()))?;
        let manifest = Self {
            schema: record.schema,
            installation: record.installation,
            epoch: Epoch(record.epoch),
            kek: record.kek,
            taken_at: Millis(record.taken_at),
            bytes: record.bytes,
            digest,
        };
        Ok((manifest, record.mac))
    }

    /// Refuses a manifest that the backup's installation did not write.
    pub(crate) fn check(&self, keys: &Integrity, mac: &str) -> Result<(), StoreError> {
        if crypto::same(self.mac(keys).as_bytes(), mac.as_bytes()) {
            Ok(())
        } else {
            Err(StoreError::Backup { detail: "its manifest was edited".to_owned() })
        }
    }
}

/// Length and SHA-256 of a file.
pub(crate) fn digest_file(path: &Path) -> Result<(u64, Digest), StoreError> {
    let mut file = std::fs::File::open(path).map_err(StoreError::io("open", path))?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut chunk).map_err(StoreError::io("read", path))?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        context.update(&chunk[..read]);
    }
    let digest = context.finish().as_ref().try_into().expect("SHA-256 yields 32 bytes");
    Ok((bytes, Digest(digest)))
}

impl Store {
    /// Copies the store into the new directory `to`, on a thread of its own, while writing goes on, and proves all of the
    /// copy before it says that there is a backup.
    ///
    /// # Errors
    /// When `to` holds a backup already, is open to others, or cannot be written, or when what was copied is damaged; what
    /// was begun is then left there without a manifest, and is no backup.
    pub async fn backup(&self, to: &Path) -> Result<Manifest, StoreError> {
        let (from, to, keys) = (self.inner.dir.clone(), to.to_owned(), Arc::clone(&self.inner.keys));
        let kek = Arc::clone(&self.inner.kek);
        let (reply, answer) = oneshot::channel();
        std::thread::Builder::new()
            .name("keybaton-store-backup".to_owned())
            .spawn(move || drop(reply.send(copy(&from, &to, &keys, &kek))))
            .map_err(StoreError::io("start the backup of", &self.inner.dir))?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

#[async_trait]
impl Backups for Store {
    async fn back_up(&self, to: &Path) -> Result<Copied, BackupError> {
        let Manifest { epoch, taken_at, bytes, digest, .. } = self.backup(to).await?;
        Ok(Copied { epoch, taken_at, bytes, digest })
    }

    async fn restored_pending(&self) -> Result<Vec<SecretName>, StorageError> {
        Ok(self.read_view(restore::pending).await?)
    }
}

fn copy(from: &Path, to: &Path, keys: &Integrity, kek: &SharedKek) -> Result<Manifest, StoreError> {
    files::make_dir(to)?;
    let conn = open::connect(&from.join(DATABASE), Mode::ReadOnly)?;
    // One snapshot for the manifest and the copy, and the key that goes with it.
    let (kek, state) = {
        let kek = kek.read().expect("no holder of the key panics while it exchanges it");
        conn.execute_batch("BEGIN")?;
        (Arc::clone(&kek), State::load(&conn, keys)?)
    };
    let path: PathBuf = to.join(DATABASE);
    schema::copy_to(&conn, &path)?;
    prove(&path, keys, &kek)?;
    let (bytes, digest) = digest_file(&path)?;
    let manifest = Manifest {
        schema: SCHEMA,
        installation: crypto::hex(&keys.installation),
        epoch: Epoch(state.epoch),
        kek: kek.id().to_owned(),
        taken_at: Millis(clock::wall_ms()),
        bytes,
        digest,
    };
    manifest.write(to, keys)?;
    files::sync(to)?;
    Ok(manifest)
}

/// Proves a copy whole: the file, every chain, every sealed value.
fn prove(path: &Path, keys: &Integrity, kek: &Kek) -> Result<(), StoreError> {
    let conn = open::connect(path, Mode::ReadOnly)?;
    let outcome = verify::all(&View { conn: &conn, keys, kek, ids: &Ids::default() }).and_then(verify::Examined::sound);
    conn.close().map_err(|(_, error)| error)?;
    for left in ["-wal", "-shm"] {
        files::remove(&path.with_file_name(format!("{DATABASE}{left}")))?;
    }
    match outcome {
        Ok(_) => Ok(()),
        Err(StoreError::Damaged { detail }) => Err(StoreError::Backup {
            detail: format!(
                "what was copied is damaged: {detail}; keep the backups from before, and run `keybaton doctor`"
            ),
        }),
        Err(other) => Err(other),
    }
}
