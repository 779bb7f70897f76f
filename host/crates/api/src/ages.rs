//! Since when each enrolment is there, by time that has passed: a single-use right of some minutes neither ends nor lives
//! on because somebody sets the clock. In memory only. After a restart nobody knows how much has passed, and the dates in
//! the store are all there is: such a right ends at its date, and is not good before the date at which it was made.

use crate::limits::MAX_ENROLMENT_MINUTES;
use keybaton_protocol::ids::Millis;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Enrolments that this process made, and that may not have ended.
#[derive(Debug, Default)]
pub(crate) struct Ages(Mutex<HashMap<String, Made>>);

/// When an enrolment was made: the date, and what had passed then of this process's life.
#[derive(Debug, Clone, Copy)]
struct Made {
    at: Millis,
    elapsed_ms: u64,
}

impl Ages {
    /// An enrolment is made. Those that have certainly ended are forgotten: none lives longer than the longest.
    pub(crate) fn begin(&self, id: &str, at: Millis, elapsed_ms: u64) {
        let longest_ms = u64::from(MAX_ENROLMENT_MINUTES) * 60_000;
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|_, one| elapsed_ms.saturating_sub(one.elapsed_ms) <= 2 * longest_ms);
        made.insert(id.to_owned(), Made { at, elapsed_ms });
    }

    /// The date that it would be now if nobody had set the clock since this one was made here.
    pub(crate) fn date(&self, id: &str, elapsed_ms: u64) -> Option<Millis> {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.get(id).map(|one| one.at.plus(elapsed_ms.saturating_sub(one.elapsed_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::Ages;
    use crate::limits::MAX_ENROLMENT_MINUTES;
    use keybaton_protocol::ids::Millis;

    #[test]
    fn memory_holds_what_may_not_have_ended() {
        let ages = Ages::default();
        let longest_ms = u64::from(MAX_ENROLMENT_MINUTES) * 60_000;
        ages.begin("old", Millis(1_000), 0);
        ages.begin("young", Millis(1_000), 2 * longest_ms);
        assert_eq!(ages.date("old", 2 * longest_ms), Some(Millis(1_000).plus(2 * longest_ms)));
        ages.begin("new", Millis(1_000), 2 * longest_ms + 1);
        assert_eq!(ages.date("old", 2 * longest_ms + 1), None);
        assert_eq!(ages.date("young", 2 * longest_ms + 1), Some(Millis(1_001)));
    }
}
