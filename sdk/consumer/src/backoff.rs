//! How long to wait before trying again: doubling, capped, with jitter so that a fleet does not come back at once.

use crate::encode::jitter;
use std::time::Duration;

/// Pauses between attempts.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    base: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    pub(crate) fn new(base: Duration, max: Duration) -> Self {
        Self { base, max, attempts: 0 }
    }

    /// The next pause: between half and all of the doubled one.
    pub(crate) fn pause(&mut self) -> Duration {
        let doubled = self.base.saturating_mul(1 << self.attempts.min(16)).min(self.max);
        self.attempts = self.attempts.saturating_add(1);
        doubled.mul_f64(0.5 + jitter() / 2.0)
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for full_ms in [100, 200, 400, 800, 1_000, 1_000] {
            let pause = backoff.pause();
            let full = Duration::from_millis(full_ms);
            assert!(pause >= full / 2 && pause <= full, "{pause:?} for {full:?}");
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_millis(100));
    }
}
