//! Which components may run: the lock, the approved bytes, who signed them, and what each was granted. Runs nothing.

mod grants;
mod inspection;
mod lock;
mod signature;

pub use grants::Grants;
pub use inspection::{Inspection, inspect};
pub use lock::{Entry, Lock, LockError};
pub use signature::{NAMESPACE, SignatureError, Signer, SignerError, signed_by, signer_of};

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
    /// It came without the signature that it must carry.
    #[error("{name} is not signed, and only what {signer} signed may take the place of the version that is locked")]
    Unsigned {
        /// The plugin.
        name: PluginName,
        /// Fingerprint of the key.
        signer: String,
    },
    /// The signature that was kept with it is gone.
    #[error("{name} may load only as {signer} signed it, and its signature {path} cannot be read", path = path.display())]
    SignatureGone {
        /// The plugin.
        name: PluginName,
        /// Fingerprint of the key.
        signer: String,
        /// Where it was kept.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Its signature is worth nothing.
    #[error("the signature of {name} does not hold")]
    Signature {
        /// The plugin.
        name: PluginName,
        /// Why.
        #[source]
        source: SignatureError,
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

/// Whose signature a component must carry to be approved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// That of the signer of the version which the lock has; if it has none, that of whoever signed this one.
    #[default]
    AsLocked,
    /// That of this key.
    Signer(Signer),
    /// Nobody's: any signature is left aside.
    Unsigned,
}

/// A component that is to be approved.
#[derive(Debug, Default)]
pub struct Approval<'a> {
    /// It.
    pub bytes: &'a [u8],
    /// The signature that came with it.
    pub signature: Option<&'a [u8]>,
    /// Whose signature it must be.
    pub trust: Trust,
    /// What it may do; `None`: all that it asks for.
    pub grants: Option<Grants>,
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

    /// As [`Catalog::approve_as`], for what came without a signature.
    ///
    /// # Errors
    /// As there.
    pub fn approve(&mut self, bytes: &[u8], grants: Option<Grants>) -> Result<&Entry, CatalogError> {
        self.approve_as(Approval { bytes, grants, ..Approval::default() })
    }

    /// Keeps the bytes, with their signature where one counts, and locks their digest. What it replaces stays loadable
    /// for rotations that are pinned to it.
    ///
    /// # Errors
    /// When component, manifest and grants disagree, it is not signed as it must be, or a file cannot be written.
    /// The lock is then as it was.
    pub fn approve_as(&mut self, approval: Approval<'_>) -> Result<&Entry, CatalogError> {
        let Approval { bytes, signature, trust, grants } = approval;
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
        let signed = self.signed(&manifest.name, (bytes, signature), trust)?;
        std::fs::create_dir_all(&self.folder).map_err(|source| file_error(&self.folder, source))?;
        if let Some((_, signature)) = &signed {
            write(&self.signature_path(inspection.digest), signature)?;
        }
        write(&self.path(inspection.digest), bytes)?;
        Ok(self.lock.approve(manifest, inspection.digest, signed.map(|(signer, _)| signer), grants))
    }

    /// Who is to sign from now on, with the signature by which this component shows that it may be next.
    fn signed<'a>(
        &self,
        name: &PluginName,
        (bytes, signature): (&[u8], Option<&'a [u8]>),
        trust: Trust,
    ) -> Result<Option<(Signer, &'a [u8])>, CatalogError> {
        let expected = match trust {
            Trust::Unsigned => return Ok(None),
            Trust::Signer(signer) => Some(signer),
            Trust::AsLocked => self.lock.active(name).and_then(|entry| entry.signer.clone()),
        };
        let worthless = |source| CatalogError::Signature { name: name.clone(), source };
        match (expected, signature) {
            (None, None) => Ok(None),
            (None, Some(signature)) => Ok(Some((signer_of(bytes, signature).map_err(worthless)?, signature))),
            (Some(signer), None) => Err(CatalogError::Unsigned { name: name.clone(), signer: signer.fingerprint() }),
            (Some(signer), Some(signature)) => {
                signed_by(bytes, signature, &signer).map_err(worthless)?;
                Ok(Some((signer, signature)))
            }
        }
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
        let bytes = std::fs::read(&path).map_err(|source| file_error(&path, source))?;
        let found = digest_of(&bytes);
        if found != digest {
            return Err(CatalogError::Changed { path, expected: digest, found });
        }
        self.check_signature(entry, &bytes)?;
        Ok((bytes, entry))
    }

    /// Holds the signature that is kept with a component against the signer in its entry, if that names one.
    ///
    /// # Errors
    /// When it is gone, or does not hold.
    pub fn check_signature(&self, entry: &Entry, bytes: &[u8]) -> Result<(), CatalogError> {
        let Some(signer) = &entry.signer else { return Ok(()) };
        let (name, path) = (entry.name.clone(), self.signature_path(entry.digest));
        match std::fs::read(&path) {
            Ok(signature) => {
                signed_by(bytes, &signature, signer).map_err(|source| CatalogError::Signature { name, source })
            }
            Err(source) => Err(CatalogError::SignatureGone { name, signer: signer.fingerprint(), path, source }),
        }
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("{}.wasm", digest.to_string().trim_start_matches("sha256:")))
    }

    fn signature_path(&self, digest: Digest) -> PathBuf {
        signature_beside(&self.path(digest))
    }
}

/// Where the signature of a component's file lies: as `ssh-keygen -Y sign` puts it.
#[must_use]
pub fn signature_beside(component: &Path) -> PathBuf {
    let mut path = component.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}

fn file_error(path: &Path, source: std::io::Error) -> CatalogError {
    CatalogError::File { path: path.to_owned(), source }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CatalogError> {
    write_atomically(path, bytes).map_err(|source| file_error(path, source))
}

/// SHA-256 of some bytes.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    Digest(digest)
}
