//! Where a connection's admin identity comes from. Read when it is needed, never kept, never shown to a guest.

use async_trait::async_trait;
use keybaton_engine::ports::secret::SecretBytes;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Bytes of a credential file.
const FILE_BYTES: u64 = 64 << 10;

/// Why an admin credential cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be read.
    #[error("cannot read {path}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others on this machine can read it.
    #[error("{path} can be read by others: its mode is {mode:o}, take `chmod 600`", path = path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Too large, or empty.
    #[error("{path} has {bytes} bytes, expected 1 to {FILE_BYTES}", path = path.display())]
    Size {
        /// Which.
        path: PathBuf,
        /// How many.
        bytes: u64,
    },
    /// The variable is not set.
    #[error("the environment variable {0} is not set")]
    Variable(String),
    /// systemd handed over no credentials.
    #[error("no systemd credentials: CREDENTIALS_DIRECTORY is not set (LoadCredential= in the unit)")]
    NoCredentials,
    /// It can be read, and is not what the connection needs.
    #[error("{0}")]
    Other(String),
    /// Not now: it does not exist yet, or who keeps it does not answer.
    #[error("{0}")]
    NotNow(String),
}

/// A secret as it was read: the value, what is public beside it, and a mark that tells this value from the next.
#[derive(Debug)]
pub struct Sourced {
    /// The value.
    pub secret: SecretBytes,
    /// Public fields that belong to it (`username`, `certificate`), where the source knows any.
    pub public: Vec<(String, String)>,
    /// The same as long as the source answers with the same value, as far as it can tell; 0 where it cannot.
    pub mark: u64,
}

impl Sourced {
    /// A public field.
    #[must_use]
    pub fn public(&self, name: &str) -> Option<&str> {
        self.public.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl From<SecretBytes> for Sourced {
    fn from(secret: SecretBytes) -> Self {
        Self { secret, public: Vec::new(), mark: 0 }
    }
}

/// Somewhere a secret can be read from, again at each use.
#[async_trait]
pub trait SecretSource: Send + Sync + std::fmt::Debug {
    /// Reads it.
    ///
    /// # Errors
    /// Why it cannot be had; the message holds no secret.
    async fn read(&self) -> Result<Sourced, SourceError>;

    /// The mark of what [`SecretSource::read`] would answer now. What was opened under another is not used again.
    fn mark(&self) -> u64 {
        0
    }

    /// The target has refused what was read under this mark. Answers whether reading again gives another value that
    /// may be tried.
    async fn refused(&self, _mark: u64) -> bool {
        false
    }
}

/// One value, for a trial of it.
#[derive(Debug)]
pub(crate) struct Given(pub(crate) Sourced);

#[async_trait]
impl SecretSource for Given {
    async fn read(&self) -> Result<Sourced, SourceError> {
        let Self(given) = self;
        Ok(Sourced { secret: given.secret.duplicate(), public: given.public.clone(), mark: given.mark })
    }

    fn mark(&self) -> u64 {
        self.0.mark
    }
}

/// A file that only its owner can read. One trailing line end is not part of the value.
#[derive(Debug, Clone)]
pub struct FileSource(pub PathBuf);

#[async_trait]
impl SecretSource for FileSource {
    async fn read(&self) -> Result<Sourced, SourceError> {
        read_file(&self.0, true).await.map(Sourced::from)
    }
}

/// A file with nothing secret in it (a certificate): others may read it.
#[derive(Debug, Clone)]
pub struct PublicFile(pub PathBuf);

#[async_trait]
impl SecretSource for PublicFile {
    async fn read(&self) -> Result<Sourced, SourceError> {
        read_file(&self.0, false).await.map(Sourced::from)
    }
}

/// An environment variable of the host's own process.
#[derive(Debug, Clone)]
pub struct EnvironmentSource(pub String);

#[async_trait]
impl SecretSource for EnvironmentSource {
    async fn read(&self) -> Result<Sourced, SourceError> {
        match std::env::var_os(&self.0) {
            Some(value) => Ok(SecretBytes::new(value.into_encoded_bytes()).into()),
            None => Err(SourceError::Variable(self.0.clone())),
        }
    }
}

/// A systemd credential (systemd.exec(5), `LoadCredential=`), by name.
#[derive(Debug, Clone)]
pub struct SystemdSource(pub String);

#[async_trait]
impl SecretSource for SystemdSource {
    async fn read(&self) -> Result<Sourced, SourceError> {
        let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or(SourceError::NoCredentials)?;
        // systemd makes them readable to the unit alone, by mode or by ACL.
        read_file(&Path::new(&folder).join(&self.0), false).await.map(Sourced::from)
    }
}

async fn read_file(path: &Path, check_mode: bool) -> Result<SecretBytes, SourceError> {
    let failed = |source| SourceError::File { path: path.to_owned(), source };
    let metadata = tokio::fs::metadata(path).await.map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o777;
    if check_mode && mode & 0o077 != 0 {
        return Err(SourceError::Open { path: path.to_owned(), mode });
    }
    if metadata.len() == 0 || metadata.len() > FILE_BYTES {
        return Err(SourceError::Size { path: path.to_owned(), bytes: metadata.len() });
    }
    let mut bytes = tokio::fs::read(path).await.map_err(failed)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Ok(SecretBytes::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_only_when_others_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin");
        for (sentence, content, mode, expected) in [
            ("as it is", "s3cret", 0o600, Ok("s3cret")),
            ("without its line end", "s3cret\n", 0o400, Ok("s3cret")),
            ("only one of them", "s3cret\n\n", 0o600, Ok("s3cret\n")),
            ("readable by its group", "s3cret", 0o640, Err("can be read by others")),
            ("empty", "", 0o600, Err("0 bytes")),
        ] {
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match (FileSource(path.clone()).read().await, expected) {
                (Ok(bytes), Ok(text)) => assert_eq!(bytes.secret.expose(), text.as_bytes(), "{sentence}"),
                (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{sentence}: {error}"),
                (got, _) => panic!("{sentence}: {got:?}"),
            }
        }
        assert!(FileSource(folder.path().join("none")).read().await.is_err());
    }

    #[tokio::test]
    async fn a_variable_that_is_not_set_is_named() {
        let error = EnvironmentSource("KEYBATON_NOT_SET_ANYWHERE".to_owned()).read().await.unwrap_err();
        assert!(error.to_string().contains("KEYBATON_NOT_SET_ANYWHERE"));
    }
}
