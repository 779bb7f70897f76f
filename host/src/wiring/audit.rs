//! The API's audit port over the store's hash-chained log. Adds nothing to an entry.

use async_trait::async_trait;
use keybaton_api::ports::{Audited, Auditor, Failure, FailureKind, Verdict};
use keybaton_store::{AuditEntry, AuditOutcome, Store};

/// Writes into the store's log.
pub(crate) struct StoreAuditor(pub(crate) Store);

/// How an entry says that something was asked, before it is known what came of it.
pub(crate) const ASKED: &str = "asked";

#[async_trait]
impl Auditor for StoreAuditor {
    async fn record(&self, entry: Audited) -> Result<(), Failure> {
        let (outcome, asked) = match entry.verdict {
            Verdict::Asked => (AuditOutcome::Done, true),
            Verdict::Done => (AuditOutcome::Done, false),
            Verdict::Refused(why) => (AuditOutcome::Refused(why), false),
        };
        let what = if asked { format!("{}.{ASKED}", entry.action) } else { entry.action };
        let entry = AuditEntry {
            who: format!("{} from {}", entry.actor, entry.from),
            what,
            on: entry.subject,
            at: entry.at,
            outcome,
            detail: entry.detail,
        };
        let written = self.0.audit_append(entry).await;
        written.map(drop).map_err(|error| {
            Failure::new(FailureKind::Unavailable, format!("the audit log takes no entry ({error}); nothing was done"))
        })
    }
}
