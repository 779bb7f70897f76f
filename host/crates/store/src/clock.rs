//! The database's clock for leases: it begins at the wall clock, or at the latest time that the store has on record if
//! that is later, and goes on by the machine's monotonic clock. Whoever sets the wall clock ends no lease.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Told once per commit, by the writer.
pub(crate) struct Clock {
    base_ms: u64,
    started: Instant,
}

impl Clock {
    /// Starts at `max(wall, recorded)`.
    pub(crate) fn start(recorded_ms: u64) -> Self {
        Self { base_ms: wall_ms().max(recorded_ms), started: Instant::now() }
    }

    /// Milliseconds since the Unix epoch, not before `recorded_ms`.
    pub(crate) fn now(&self, recorded_ms: u64) -> u64 {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.base_ms.saturating_add(elapsed).max(recorded_ms)
    }
}

/// The wall clock; a clock before 1970 counts as 1970.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_tells_a_time_before_the_recorded_one_and_goes_on_from_there() {
        let hour_ms = 3_600_000;
        let ahead = wall_ms() + hour_ms;
        let clock = Clock::start(ahead);
        let first = clock.now(ahead);
        assert!((ahead..ahead + hour_ms).contains(&first), "a wall clock set back an hour does not take time back");
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(clock.now(first) >= first + 20, "and does not stop it either");
        assert_eq!(clock.now(ahead + hour_ms), ahead + hour_ms, "what is recorded meanwhile counts");
    }

    #[test]
    fn it_begins_at_the_wall_clock() {
        let wall = wall_ms();
        assert!((wall..wall + 60_000).contains(&Clock::start(0).now(0)));
    }
}
