//! Which components may run: the lock, the approved bytes, and what each was granted. Runs nothing.

mod grants;
mod inspection;
mod lock;

pub use grants::Grants;
pub use inspection::{Inspection, inspect};
pub use lock::{Entry, Lock, LockError};

pub(crate) use lock::write_atomically;

use keybaton_protocol::ids::{Digest, PluginName};
use std::path::{Path, PathBuf};

/// Why a component cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Nothing is approved under this name.
    #[error("no plugin `{0}` is approved: `keybaton plugin add` shows one, `keybaton plugin approve` locks it")]
    Unknown(PluginName),
    /// These bytes are not approved.
    #[error("{0} is not in the lock: only approved components run")]
    Unlocked(Digest),
    /// The lock's floor has risen above it.
    #[error("{name} {version} lies below the lock's floor {floor}")]
    BelowFloor {
        /// The plugin.
        name: PluginName,
        /// Its version.
        version: String,
        /// The floor.
        floor: String,
    },
    /// The file cannot be read or written.
    #[error("cannot use {path}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The bytes are not those that were approved.
    #[error("{path} has the digest {found}, the lock says {expected}: it was changed after its approval", path = path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What was approved.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// The component, its manifest and its grants do not agree.
    #[error("{name} does not load: {}", problems.join("; "))]
    Disagrees {
        /// The plugin.
        name: PluginName,
        /// The differences, as lower-case fragments.
        problems: Vec<String>,
    },
}

/// The approved components, by their digests, and the lock.
#[derive(Debug, Clone)]
pub struct Catalog {
    folder: PathBuf,
    lock: Lock,
}

impl Catalog {
    /// Components below `folder`, as `lock` allows.
    #[must_use]
    pub fn new(folder: &Path, lock: Lock) -> Self {
        Self { folder: folder.to_owned(), lock }
    }

    /// The lock.
    #[must_use]
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// The lock, to be changed; it is the caller's to save.
    pub fn lock_mut(&mut self) -> &mut Lock {
        &mut self.lock
    }

    /// Keeps the bytes and locks their digest. What it replaces stays loadable for rotations that are pinned to it.
    ///
    /// # Errors
    /// When component, manifest and grants disagree, or the file cannot be written.
    pub fn approve(&mut self, bytes: &[u8], grants: Option<Grants>) -> Result<&Entry, CatalogError> {
        let inspection = inspect(bytes);
        let Some(manifest) = inspection.manifest.as_ref().filter(|_| inspection.problems.is_empty()) else {
            let name = inspection.manifest.as_ref().map(|manifest| manifest.name.clone());
            let name = name.unwrap_or_else(|| "unnamed".parse().expect("`unnamed` is a label"));
            return Err(CatalogError::Disagrees { name, problems: inspection.problems });
        };
        let grants = grants.unwrap_or_else(|| Grants::all_of(manifest));
        let problems = grants.differences(manifest);
        if !problems.is_empty() {
            return Err(CatalogError::Disagrees { name: manifest.name.clone(), problems });
        }
        let path = self.path(inspection.digest);
        let failed = |source| CatalogError::File { path: path.clone(), source };
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        write_atomically(&path, bytes).map_err(failed)?;
        Ok(self.lock.approve(manifest, inspection.digest, grants))
    }

    /// The entry of the plugin that new rotations use.
    pub(crate) fn active(&self, name: &PluginName) -> Result<&Entry, CatalogError> {
        self.lock.active(name).ok_or_else(|| CatalogError::Unknown(name.clone()))
    }

    /// The approved bytes of a digest, checked again, and their entry.
    pub(crate) fn bytes(&self, digest: Digest) -> Result<(Vec<u8>, &Entry), CatalogError> {
        let entry = self.lock.entry(digest).ok_or(CatalogError::Unlocked(digest))?;
        if let Some(floor) = self.lock.floor(&entry.name).filter(|floor| entry.version < *floor) {
            let (name, version) = (entry.name.clone(), entry.version.to_string());
            return Err(CatalogError::BelowFloor { name, version, floor: floor.to_string() });
        }
        let path = self.path(digest);
        let bytes = std::fs::read(&path).map_err(|source| CatalogError::File { path: path.clone(), source })?;
        let found = digest_of(&bytes);
        if found != digest {
            return Err(CatalogError::Changed { path, expected: digest, found });
        }
        Ok((bytes, entry))
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("{}.wasm", digest.to_string().trim_start_matches("sha256:")))
    }
}

/// SHA-256 of some bytes.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    Digest(digest)
}
