//! The end of one credential at one place, as a durable job of its own that outlives its rotation.

use crate::event::{Pins, RetireCause};
use crate::ids::{Generation, Millis, Place, RotationId, Steady, TargetId};
use std::fmt;
use std::sync::Arc;

/// Which credential at which place; an orphan, which is no generation's value, by the target's id too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Job {
    /// The generation (for an orphan: the one whose mint made it).
    pub generation: Generation,
    /// Where.
    pub place: Place,
    /// The target's id of an orphan.
    pub orphan: Option<TargetId>,
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.orphan.as_ref().map_or_else(String::new, |id| format!(" ({id})"));
        write!(f, "{}{id} at {}", self.generation, self.place)
    }
}

/// How far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Retirement {
    /// Why it ends.
    pub cause: RetireCause,
    /// The rotation that opened it, or on whose behalf it was opened.
    pub rotation: RotationId,
    /// The plugin bytes and settings it runs on, kept until it closes.
    pub pins: Arc<Pins>,
    /// Since when.
    pub opened_at: Millis,
    /// Marks operation ids of orphans apart from each other; the sequence at which it opened.
    pub mark: u64,
    /// What of the overlap and quiet time is still to be waited for, where no rotation has done so.
    pub overlap: Overlap,
    /// Since when it is switched off: the soak runs.
    pub disabled: Option<Steady>,
    /// It is gone; only the closing record is missing.
    pub gone: bool,
}

/// The overlap's minimum and the quiet time of a credential whose rotation was left before they were over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Overlap {
    /// Since when.
    pub since: Steady,
    /// How long, in milliseconds; 0 where the rotation has waited.
    pub total_ms: u64,
}

impl Overlap {
    pub(crate) const fn over(self, now: Steady) -> bool {
        now.since(self.since) >= self.total_ms
    }
}
