//! The lease on deciding for a secret, measured with this host's monotonic clock from before it was asked for.

use super::Actor;
use crate::ports::journal::JournalError;
use keybaton_protocol::ids::Fence;
use std::time::Duration;
use tokio::time::Instant;

/// A lease held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) fence: Fence,
    until: Instant,
}

impl Actor {
    /// The fence, if the lease is good for at least `for_ms` more; takes or renews it otherwise.
    pub(super) async fn lead(&mut self, for_ms: u64) -> Result<Fence, JournalError> {
        let options = &self.shared.options;
        let needed = Duration::from_millis(for_ms.saturating_add(options.lease_margin_ms));
        let asked = Instant::now();
        if let Some(held) = self.lease.filter(|held| held.until.saturating_duration_since(asked) >= needed) {
            return Ok(held.fence);
        }
        let length_ms = options.lease_ms.max(for_ms.saturating_add(options.lease_margin_ms.saturating_mul(2)));
        let lease = self.shared.journal.lease(&self.name, &self.shared.holder, length_ms).await?;
        self.lease = Some(Held { fence: lease.fence, until: asked + Duration::from_millis(length_ms) });
        Ok(lease.fence)
    }
}
