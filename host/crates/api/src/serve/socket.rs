//! The Unix socket: only the host's own user can open it, from the first instant on, and a socket that a killed host
//! left behind is replaced. Never takes one away from a host that is running.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as Probe;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A host answers there.
    #[error("a host is already serving on {0}; stop it first")]
    InUse(PathBuf),
    /// Something else lies there.
    #[error("{0} exists and is no socket; move it away")]
    Occupied(PathBuf),
    /// The file system refused.
    #[error("can't make the socket {path}")]
    Make {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A listening socket, removed when dropped if it is still the one that was made.
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl Socket {
    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            let _gone = fs::remove_file(&self.path);
        }
    }
}

/// Makes the socket with mode 0600: bound inside a directory that only its owner enters, and renamed into place, so
/// that there is no moment in which others could connect.
pub(super) fn listen(path: &Path) -> Result<Socket, SocketError> {
    let failed = |source| SocketError::Make { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(file) if !file.file_type().is_socket() => return Err(SocketError::Occupied(path.to_owned())),
        Ok(_) if Probe::connect(path).is_ok() => return Err(SocketError::InUse(path.to_owned())),
        _ => {}
    }
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(format!(".{}", std::process::id()));
    let hidden = PathBuf::from(hidden);
    let _left_behind = fs::remove_dir_all(&hidden);
    fs::create_dir(&hidden).map_err(failed)?;
    let made = fs::set_permissions(&hidden, fs::Permissions::from_mode(0o700)).and_then(|()| bind(&hidden, path));
    let _gone = fs::remove_dir_all(&hidden);
    let (listener, inode) = made.map_err(failed)?;
    Ok(Socket { listener, path: path.to_owned(), inode })
}

fn bind(hidden: &Path, path: &Path) -> io::Result<(UnixListener, u64)> {
    let inner = hidden.join("s");
    let listener = UnixListener::bind(&inner)?;
    fs::set_permissions(&inner, fs::Permissions::from_mode(0o600))?;
    let inode = fs::symlink_metadata(&inner)?.ino();
    fs::rename(&inner, path)?;
    Ok((listener, inode))
}
