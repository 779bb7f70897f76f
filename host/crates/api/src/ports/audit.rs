//! The audit port: who asked for what, and what came of it. Entries hold names and reasons, never values.

use super::Failure;
use async_trait::async_trait;
use keybaton_protocol::ids::Millis;

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is about to be carried out. If this can't be recorded, it is not carried out.
    Asked,
    /// It was done.
    Done,
    /// It was not done; the stable name of the problem.
    Refused(String),
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// When, by the host's clock.
    pub at: Millis,
    /// Who: `operator alice`, `consumer payments/api`.
    pub actor: String,
    /// From where: a peer address, or `local`.
    pub from: String,
    /// What: `rotate`, `enrol`, `plugin.approve`, …
    pub action: String,
    /// On what: a secret, a plugin, a consumer.
    pub subject: String,
    /// Reasons and parameters, for people.
    pub detail: String,
    /// What came of it.
    pub verdict: Verdict,
}

/// Where entries go.
#[async_trait]
pub trait Auditor: Send + Sync {
    /// Records durably, or fails.
    async fn record(&self, entry: Audited) -> Result<(), Failure>;
}
