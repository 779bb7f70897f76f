//! What the API needs of the host beyond the engine. The host implements these over the store and the runtime.
//! Nothing here does IO, and nothing but sealed material and hashes passes through.

mod administration;
mod audit;
mod identities;
mod proposals;

pub use administration::{Administration, ApplyOrder, Caller, Dependants};
pub use audit::{Audited, Auditor, Verdict};
pub use identities::{ConsumerId, Enrolment, Identities, Identity, Subject, Taken};
pub use proposals::Proposals;

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
