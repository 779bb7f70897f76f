//! What the API needs of the host beyond the engine and the store, whose ports are the engine's
//! (`keybaton_engine::ports`). The host implements it over the runtime and its files. Nothing here does IO.

mod administration;

pub use administration::{Administration, ApplyOrder, Caller, Dependants};

use keybaton_engine::ports::storage::StorageError;
use keybaton_protocol::fault::Blame;

/// What kind of failure a port answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// What was named does not exist.
    NotFound,
    /// What was sent is wrong.
    Invalid,
    /// The state of things does not allow it.
    Refused,
    /// Try again later.
    Unavailable,
    /// A plugin or a target failed.
    Upstream,
    /// Stored data is damaged.
    Damaged,
    /// A bug in keybaton.
    Internal,
}

/// Why a port did not do what was asked. Never carries secret bytes.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// What failed, and what was kept.
    pub detail: String,
    /// Whose fault.
    pub blame: Blame,
    /// What to do next.
    pub help: Option<String>,
}

impl Failure {
    /// A failure of this kind, blamed on whom that kind usually falls to.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        let blame = match kind {
            FailureKind::NotFound | FailureKind::Invalid | FailureKind::Refused => Blame::Operator,
            FailureKind::Upstream => Blame::Target,
            FailureKind::Unavailable | FailureKind::Damaged | FailureKind::Internal => Blame::Host,
        };
        Self { kind, detail: detail.into(), blame, help: None }
    }

    /// Says whose fault it is.
    #[must_use]
    pub fn blame(mut self, blame: Blame) -> Self {
        self.blame = blame;
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        let kind = match &error {
            StorageError::Damaged { .. } => FailureKind::Damaged,
            StorageError::Unavailable { .. } => FailureKind::Unavailable,
        };
        Self::new(kind, error.to_string())
    }
}
