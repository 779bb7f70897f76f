//! Temporary folders and throw-away passwords. Folders are readable by their account only, and go on drop.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{Account, Error, Result};

/// The longest folder name that leaves room for a socket's name below it: `sun_path` has 108 bytes (unix(7)).
const PATH_MAX_BYTES: usize = 70;

/// A temporary folder, mode 0700, removed with all it holds on drop.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    owner: Option<Account>,
}

impl Scratch {
    /// A new empty folder named after `purpose`, owned by `owner` where one is given.
    ///
    /// # Errors
    /// The folder could not be made or given away.
    pub fn new(purpose: &str, owner: Option<Account>) -> Result<Self> {
        let mut parent = std::env::temp_dir();
        if parent.as_os_str().len() + purpose.len() > PATH_MAX_BYTES {
            parent = PathBuf::from("/tmp");
        }
        let folder = tempfile::Builder::new()
            .prefix(&format!("keybaton-{purpose}-"))
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .map_err(Error::io(format!("make a folder in {}", parent.display())))?;
        if let Some(owner) = &owner {
            owner.own(folder.path())?;
        }
        Ok(Self { folder, owner })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The path of `name` in it, whether or not it exists.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that only the folder's owner can read (mode 0600), and says where it is.
    ///
    /// # Errors
    /// The file could not be written or given away.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<PathBuf> {
        let path = self.join(name);
        let failed = || Error::io(format!("write {}", path.display()));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).map_err(failed())?;
        file.write_all(contents).map_err(failed())?;
        if let Some(owner) = &self.owner {
            owner.own(&path)?;
        }
        Ok(path)
    }
}

/// `bytes` random bytes from the operating system as hexadecimal text.
///
/// # Errors
/// The system has no `/dev/urandom`.
pub fn random_hex(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .map_err(Error::io("read /dev/urandom"))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
