//! The workload's identity on disk: one file, mode 0600, replaced atomically. Holds the bearer token; the only secret
//! that this crate ever writes anywhere.

use crate::Error;
use crate::pin::Pin;
use crate::token::Token;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

const FILE: &str = "identity.json";

/// Who this workload is, and where its host is.
pub(crate) struct Identity {
    pub(crate) url: String,
    pub(crate) pin: Pin,
    /// `namespace/name`.
    pub(crate) consumer: String,
    pub(crate) token: Token,
    /// By this machine's own clock; never compared with the host's.
    pub(crate) received_at_s: u64,
    pub(crate) renew_in_s: u64,
}

/// The file's text: written into, and read out of, zeroized memory alone.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    url: String,
    pin: String,
    consumer: String,
    token: &'a str,
    received_at_s: u64,
    renew_in_s: u64,
}

impl Identity {
    /// Seconds until it should be renewed. A clock that was set back means at once.
    pub(crate) fn renew_in_s(&self) -> u64 {
        match now_s().checked_sub(self.received_at_s) {
            Some(age) => self.renew_in_s.saturating_sub(age),
            None => 0,
        }
    }

    /// The consumer's name without its namespace, as it goes into proofs.
    pub(crate) fn name(&self) -> &str {
        self.consumer.rsplit('/').next().unwrap_or(&self.consumer)
    }
}

/// Seconds of this machine's clock.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Where an identity is kept.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    directory: PathBuf,
}

impl Shelf {
    /// Uses this directory; makes it, for its owner alone, if it is not there.
    pub(crate) fn new(directory: &Path) -> Result<Self, Error> {
        let shelf = Self { directory: directory.to_owned() };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| shelf.failed(error))?;
        Ok(shelf)
    }

    /// Whether an identity is kept there.
    pub(crate) fn is_enrolled(&self) -> bool {
        self.path().exists()
    }

    /// Reads the identity; refuses a file that others can read.
    pub(crate) fn load(&self) -> Result<Identity, Error> {
        let mode = fs::metadata(self.path()).map_err(|error| self.failed(error))?.mode();
        if mode & 0o077 != 0 {
            return Err(self.unusable("others can read it (chmod 600)"));
        }
        let text = Zeroizing::new(fs::read(self.path()).map_err(|error| self.failed(error))?);
        let stored: Stored<'_> = serde_json::from_slice(&text).map_err(|_| self.unusable("it is no identity"))?;
        Ok(Identity {
            pin: Pin::parse(&stored.pin).ok_or_else(|| self.unusable("its pin is none"))?,
            url: stored.url,
            consumer: stored.consumer,
            token: Token::new(stored.token),
            received_at_s: stored.received_at_s,
            renew_in_s: stored.renew_in_s,
        })
    }

    /// Writes it beside the old one, syncs it, and puts it in its place.
    pub(crate) fn store(&self, identity: &Identity) -> Result<(), Error> {
        let stored = Stored {
            url: identity.url.clone(),
            pin: identity.pin.to_string(),
            consumer: identity.consumer.clone(),
            token: identity.token.expose(),
            received_at_s: identity.received_at_s,
            renew_in_s: identity.renew_in_s,
        };
        // Reserved in full: a buffer that grows leaves copies of the token behind.
        let mut text = Zeroizing::new(Vec::with_capacity(1_024 + identity.url.len() + identity.consumer.len()));
        serde_json::to_writer(&mut *text, &stored).map_err(|error| self.failed(error.into()))?;
        self.replace(&text).map_err(|error| self.failed(error))
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let beside = self.directory.join(format!("{FILE}.{}", std::process::id()));
        // One that is there was left behind, or laid there by somebody else, with a mode of its own.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, self.path())?;
        File::open(&self.directory)?.sync_all()
    }

    fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::State { path: self.path(), source }
    }

    fn unusable(&self, why: &'static str) -> Error {
        Error::Identity { path: self.path(), why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn identity() -> Identity {
        Identity {
            url: "https://localhost:8844".to_owned(),
            pin: Pin::parse(&"0a".repeat(32)).unwrap(),
            consumer: "payments/api".to_owned(),
            token: Token::new("kb_0123456789abcdef_00"),
            received_at_s: now_s(),
            renew_in_s: 100,
        }
    }

    #[test]
    fn an_identity_is_kept_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(&directory.path().join("a/b")).unwrap();
        assert!(!shelf.is_enrolled());
        shelf.store(&identity()).unwrap();
        shelf.store(&identity()).unwrap();
        let back = shelf.load().unwrap();
        assert_eq!(
            (&back.url, &back.consumer, back.token.expose()),
            (&identity().url, &identity().consumer, identity().token.expose())
        );
        assert_eq!(back.name(), "api");
        assert_eq!(fs::metadata(shelf.path()).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&shelf.directory).unwrap().count(), 1, "something was left behind");
    }

    #[test]
    fn what_lies_where_an_identity_is_written_first_is_not_written_into() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(directory.path()).unwrap();
        let (beside, elsewhere) = (format!("{FILE}.{}", std::process::id()), directory.path().join("elsewhere"));
        fs::write(&elsewhere, "").unwrap();
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&elsewhere, directory.path().join(&beside)).unwrap();
        shelf.store(&identity()).unwrap();
        assert_eq!(fs::read(&elsewhere).unwrap(), b"", "the token went where a link led");
        assert_eq!(fs::symlink_metadata(shelf.path()).unwrap().mode() & 0o777, 0o600);
        assert!(shelf.load().is_ok());
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(directory.path()).unwrap();
        shelf.store(&identity()).unwrap();
        fs::set_permissions(shelf.path(), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(shelf.load(), Err(Error::Identity { .. })));
    }

    #[test]
    fn a_clock_that_jumps_back_means_renewal_at_once() {
        let at = |received_at_s| Identity { received_at_s, ..identity() }.renew_in_s();
        assert!(at(now_s()) >= 99);
        assert_eq!(at(now_s() - 1_000), 0);
        assert_eq!(at(now_s() + 1_000), 0);
    }
}
