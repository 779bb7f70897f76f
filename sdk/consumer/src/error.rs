//! What can go wrong for a workload, and what it keeps meanwhile. Never quotes a token, a value or a proof.

use std::io;
use std::path::PathBuf;

/// Why something was not done. Credentials that are held already stay held, whatever fails here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The enrolment string is not one.
    #[error("not an enrolment token: expected the whole `kbe_…` string that `keybaton consumer enrol` printed")]
    Token,
    /// The host's address is not one.
    #[error("`{0}` is not an https:// address")]
    Address(String),
    /// A name or a replica does not follow its grammar.
    #[error("`{text}` is not a {what}")]
    Name {
        /// What it was meant to be.
        what: &'static str,
        /// The offending text.
        text: String,
    },
    /// The state directory can't be used.
    #[error("can't keep the identity in {path}")]
    State {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The identity file is not one, or others can read it.
    #[error("the identity in {path} is not usable: {why}; enrol again into an empty directory")]
    Identity {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// TLS could not be set up.
    #[error("TLS can't be set up")]
    Tls(#[source] rustls::Error),
    /// The host can't be reached, or its certificate is not signed by the pinned authority.
    #[error("the host can't be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The host refused the request.
    #[error("the host refuses: {title} ({detail})")]
    Refused {
        /// Last part of the problem's type: `not-yours`, `proof-refused`, `token-expired`, …
        kind: String,
        /// HTTP status.
        status: u16,
        /// The problem in words.
        title: String,
        /// What failed this time.
        detail: String,
        /// With `proof-refused`: `nonce`, `stale`, `mismatch`, …
        reason: Option<String>,
    },
    /// The host's answer can't be understood.
    #[error("the host's answer can't be understood: {0}")]
    Answer(&'static str),
    /// There was no credential within the time given.
    #[error("no credential of {0} came in time; it may not have been issued yet")]
    NoCredential(String),
    /// The generation that a statement is about is not held.
    #[error("generation {0} is not held")]
    NotHeld(u32),
    /// The operating system gave no randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
}

impl Error {
    /// Whether the host may answer otherwise in a moment.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429 || *status == 408,
            _ => false,
        }
    }

    /// Whether the host does not know this identity, or knows it no longer.
    #[must_use]
    pub fn is_unauthenticated(&self) -> bool {
        matches!(self, Self::Refused { status: 401, .. })
    }
}
