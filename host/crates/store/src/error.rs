//! Why the store did not open, take or give. Names paths, ids and sequences; never a value or a key.

use crate::kek::KekError;
use keybaton_engine::ports::backup::BackupError;
use keybaton_engine::ports::storage::StorageError;
use std::error::Error;
use std::path::PathBuf;

/// What went wrong, whose fault it is, and what was kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `create` and `restore` never write over a store.
    #[error("{} holds a store already; nothing was changed", .dir.display())]
    Exists {
        /// The directory.
        dir: PathBuf,
    },
    /// Nothing to open.
    #[error("{} holds no store; make one with `keybaton init`, or restore a backup", .dir.display())]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// Another process writes to this store.
    #[error("{} is open in another process; an embedded store has one writer", .dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// Others could read or write the store.
    #[error("{} has mode {mode:04o}, open to others; run `chmod {right:04o}` on it", .path.display())]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode it should have.
        right: u32,
    },
    /// Opened for inspection only.
    #[error("the store is open read-only; nothing was written")]
    ReadOnly,
    /// An older binary may not guess at a newer schema.
    #[error("this database was written by schema {found}; this binary knows up to {known}: use a newer keybaton")]
    NewerSchema {
        /// Schema of the database.
        found: u32,
        /// Newest schema of this binary.
        known: u32,
    },
    /// Inspection changes nothing, so it cannot bring an older schema up to date.
    #[error("this database has schema {found}; start the host once, which brings it to {known}, then look again")]
    OlderSchema {
        /// Schema of the database.
        found: u32,
        /// Newest schema of this binary.
        known: u32,
    },
    /// The key-encryption key is not the one the store was wrapped with.
    #[error("the store is wrapped with key {expected}, and was given key {given}")]
    WrongKek {
        /// The id in the store.
        expected: String,
        /// The id of the key given.
        given: String,
    },
    /// The key-encryption key cannot be used.
    #[error("the key-encryption key cannot be used")]
    Kek(#[from] KekError),
    /// Torn or edited: it is not read as truth.
    #[error("the store is damaged: {detail}; restore a backup")]
    Damaged {
        /// Where and what.
        detail: String,
    },
    /// A backup or its manifest does not fit.
    #[error("the backup cannot be used: {detail}")]
    Backup {
        /// What does not fit.
        detail: String,
    },
    /// A file could not be made, read or written.
    #[error("cannot {doing} {}", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// SQLite refused; the transaction was rolled back.
    #[error("the database refused; nothing was kept")]
    Sqlite(#[source] rusqlite::Error),
    /// A value that cannot be stored (a number beyond 63 bits, a label taken by another value).
    #[error("this cannot be stored: {detail}; nothing was kept")]
    Unstorable {
        /// What and why.
        detail: String,
    },
    /// The operating system gives no randomness, or the cipher failed.
    #[error("the cryptographic library failed while it had to {doing}; nothing was kept")]
    Crypto {
        /// What it had to do.
        doing: &'static str,
    },
    /// The store was closed, or its writer died.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    pub(crate) fn damaged(detail: impl Into<String>) -> Self {
        Self::Damaged { detail: detail.into() }
    }

    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    /// As the ports tell it: damage by name, everything else as unavailable with all its causes.
    pub(crate) fn for_ports(&self) -> StorageError {
        match self {
            Self::Damaged { detail } => StorageError::Damaged { detail: detail.clone() },
            other => StorageError::Unavailable { detail: other.with_causes() },
        }
    }

    fn with_causes(&self) -> String {
        let mut detail = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            detail.push_str(": ");
            detail.push_str(&error.to_string());
            cause = error.source();
        }
        detail
    }

    /// The same failure for each caller whose work shared a failed commit.
    pub(crate) fn shared(&self) -> Self {
        match self {
            Self::Damaged { detail } => Self::damaged(detail.clone()),
            Self::Closed => Self::Closed,
            other => Self::Sqlite(rusqlite::Error::ToSqlConversionFailure(other.with_causes().into())),
        }
    }
}

impl From<StoreError> for StorageError {
    fn from(error: StoreError) -> Self {
        error.for_ports()
    }
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        use StoreError::{Backup, Exists, Exposed, Io};
        match error {
            Backup { .. } | Exists { .. } | Exposed { .. } | Io { .. } => Self::Refused { detail: error.with_causes() },
            other => Self::Storage(other.for_ports()),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::{Error as Sql, ErrorCode};
        let torn = match &error {
            Sql::SqliteFailure(failure, _) => {
                // The statements are fixed: where SQLite finds one wrong (code 1), it is the schema that is not ours.
                matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                    || failure.extended_code == rusqlite::ffi::SQLITE_ERROR
            }
            Sql::SqlInputError { .. } => true,
            Sql::FromSqlConversionFailure(..) | Sql::InvalidColumnType(..) | Sql::IntegralValueOutOfRange(..) => true,
            _ => false,
        };
        if torn { Self::damaged(error.to_string()) } else { Self::Sqlite(error) }
    }
}
