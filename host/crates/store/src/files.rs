//! Files and directories that only their owner may read. Makes them so, and refuses those that are not.

use crate::error::StoreError;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Mode of everything that is a file.
pub(crate) const FILE_MODE: u32 = 0o600;
/// Mode of directories.
pub(crate) const DIR_MODE: u32 = 0o700;

/// Makes a directory, if it is not there, and refuses one that others may enter.
pub(crate) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir).map_err(StoreError::io("create", dir))?;
    refuse_exposed(dir, DIR_MODE)
}

/// Makes a new, empty file. SQLite gives its log and index files the mode of the database they belong to.
pub(crate) fn make_file(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(StoreError::io("create", path))
}

/// Refuses a path that group or others have rights on.
pub(crate) fn refuse_exposed(path: &Path, right: u32) -> Result<(), StoreError> {
    let meta = path.metadata().map_err(StoreError::io("inspect", path))?;
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(StoreError::Exposed { path: path.to_owned(), mode, right }) }
}

/// Makes a file's or directory's content durable.
pub(crate) fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", path))
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Puts a finished file under its name, durably.
pub(crate) fn publish(from: &Path, to: &Path) -> Result<(), StoreError> {
    sync(from)?;
    std::fs::rename(from, to).map_err(StoreError::io("rename", from))?;
    to.parent().map_or(Ok(()), sync)
}
