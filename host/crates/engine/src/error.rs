//! What the engine answers when it does not do what was asked. Never carries secret bytes or proofs.

use crate::ports::journal::JournalError;
use crate::ports::rotator::Finding;
use crate::ports::storage::StorageError;
use crate::proof::ProofError;
use keybaton_protocol::fault::Fault;
use keybaton_protocol::ids::{ConsumerName, SecretName};

/// Why a request was not carried out. Nothing was changed unless the variant says so.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Neither declared nor in any journal.
    #[error("there is no secret {0}; declare it, then apply")]
    Unknown(SecretName),
    /// It has a journal but no declaration: nothing new starts.
    #[error("{0} is unmanaged; declare it again to start a rotation")]
    Unmanaged(SecretName),
    /// The protocol does not allow it in this state. Nothing was recorded.
    #[error("{secret}: {reason}")]
    Refused {
        /// Which secret.
        secret: SecretName,
        /// Stable word for programs: `unknown`, `conflict`, `held`, `frozen`, `gone`, `invalid`, `stale`, `weak`.
        code: &'static str,
        /// Why, and what would be allowed.
        reason: String,
    },
    /// The target can't do what the declaration asks, or the settings are wrong.
    #[error("{secret} can't be rotated as declared: {}", list(.findings))]
    Plan {
        /// Which secret.
        secret: SecretName,
        /// Every problem found.
        findings: Vec<Finding>,
    },
    /// The secret is not this consumer's, or the replica is not one of its members.
    #[error("{secret} is not for consumer {consumer}")]
    NotYours {
        /// Which secret.
        secret: SecretName,
        /// Who asked.
        consumer: ConsumerName,
    },
    /// The proof of possession was not accepted; nothing was recorded.
    #[error("the proof of possession is refused")]
    Proof(#[source] ProofError),
    /// The target could not be looked at before a start: nothing was begun.
    #[error("{secret} was not started, because its target could not be looked at: {fault}")]
    Preflight {
        /// Which secret.
        secret: SecretName,
        /// Why not.
        fault: Fault,
    },
    /// The plugin could not be asked.
    #[error("the plugin failed")]
    Plugin(#[source] Fault),
    /// The store did not take or give; nothing was done on it.
    #[error("the journal failed")]
    Journal(#[from] JournalError),
    /// The store failed while others' requests were in the same write; nothing was done.
    #[error("the store failed: {0}")]
    Store(String),
    /// Another host leads this secret at the moment.
    #[error("another host leads {0} at the moment; ask it, or ask again when its lease has run out")]
    Elsewhere(SecretName),
    /// More requests wait than the engine's bound; ask again later.
    #[error("too many requests wait; try again in a moment")]
    Overloaded,
    /// The engine is shutting down; what was sent is being finished.
    #[error("the host is stopping; nothing new is begun")]
    Stopping,
    /// A bug in keybaton: the journal would have become illegal, so nothing was written.
    #[error("internal: {0}")]
    Internal(String),
}

impl From<StorageError> for EngineError {
    fn from(error: StorageError) -> Self {
        JournalError::from(error).into()
    }
}

fn list(findings: &[Finding]) -> String {
    findings.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join("; ")
}
