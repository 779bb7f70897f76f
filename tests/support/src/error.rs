//! What can go wrong with a fixture. Never holds a password or a token: these texts end up in test reports.

use std::{io, process::ExitStatus};

/// What a fixture's call comes back with.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a fixture could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A server's program is not installed.
    #[error("{program} is not installed; run `scripts/setup servers`")]
    Missing {
        /// The program that was looked for.
        program: String,
    },
    /// The operating system refused something.
    #[error("could not {what}")]
    Io {
        /// What was tried.
        what: String,
        /// The refusal.
        #[source]
        source: io::Error,
    },
    /// A server answered nobody within its time.
    #[error("{server} was not ready after {waited_ms} ms; the end of its log:\n{log}")]
    NotReady {
        /// Which server.
        server: String,
        /// How long it was given.
        waited_ms: u128,
        /// The last lines it wrote.
        log: String,
    },
    /// A process ended that should have gone on, or ended badly.
    #[error("{name} ended with {status}; the end of its log:\n{log}")]
    Ended {
        /// Which process.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines it wrote.
        log: String,
    },
    /// A process outlived the time it was given to end.
    #[error("{name} still ran after {waited_ms} ms")]
    StillRunning {
        /// Which process.
        name: String,
        /// How long it was given.
        waited_ms: u128,
    },
    /// PostgreSQL refused a statement or a connection.
    #[error("PostgreSQL refused {what}")]
    Sql {
        /// What was asked, without literals.
        what: String,
        /// The refusal.
        #[source]
        source: tokio_postgres::Error,
    },
    /// JupyterHub could not be reached, or spoke no HTTP.
    #[error("JupyterHub did not answer {what}")]
    Http {
        /// What was asked.
        what: String,
        /// The failure.
        #[source]
        source: reqwest::Error,
    },
    /// JupyterHub's answer was not the one that was needed.
    #[error("JupyterHub answered {status} to {what}")]
    Hub {
        /// What was asked.
        what: String,
        /// The HTTP status it gave.
        status: u16,
    },
    /// A planted secret is so short that it would be found by chance.
    #[error("the secret {name} has {length} bytes; at least {least} are needed to tell it from chance")]
    TooShort {
        /// The planted secret's name.
        name: String,
        /// Its length in bytes.
        length: usize,
        /// The least length in bytes.
        least: usize,
    },
}

impl Error {
    /// For `map_err`: an I/O failure with what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
