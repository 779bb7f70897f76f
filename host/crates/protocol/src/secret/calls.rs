//! Plugin calls that have not been heard of to the end, what they sent, and how often each has been tried.

use crate::event::Pins;
use crate::fault::Fault;
use crate::generation::Standing;
use crate::ids::{CallId, Epoch, Generation, Millis, OperationId, Ordinal, Place, RotationId, Slot, Steady, TargetId};
use crate::step::{CallKind, Phase, Step};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A plugin call on record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OpenCall {
    /// Which export.
    pub kind: CallKind,
    /// Which step it serves.
    pub step: Step,
    /// About which generation.
    pub generation: Generation,
    /// Where.
    pub place: Place,
    /// The target's id, where it ends an orphan.
    pub orphan: Option<TargetId>,
    /// Which attempt.
    pub attempt: u32,
    /// The idempotency key.
    pub operation: OperationId,
    /// Ids live before a mint.
    pub baseline: Vec<TargetId>,
    /// When it was intended.
    pub intended_at: Millis,
    /// The same, by time that has certainly passed.
    pub intended: Steady,
    /// In which life of the installation.
    pub epoch: Epoch,
    /// For which rotation.
    pub rotation: RotationId,
    /// In which phase of it; `None` for retirements and observations.
    pub phase: Option<Phase>,
    /// What it runs on.
    pub pins: Arc<Pins>,
    /// Calls whose record it was answered from.
    pub resumes: Vec<CallId>,
    /// Where it stands.
    pub state: CallState,
    /// Mutating host calls that left and have not been answered: the latest instant each can take effect.
    pub sents: BTreeMap<Ordinal, Millis>,
    /// A mutating host call was answered: something may have happened.
    pub acted: bool,
    /// The credentials that the intent made uncertain; they stand as before where it turns out that nothing happened.
    pub touched: Vec<Touched>,
    /// The slot that the intent took there, and whose install was the newest in it before.
    pub slot_before: Option<SlotBefore>,
    /// The clock was set, or not measured for a while, since it was intended: instants that it read itself are not to be
    /// compared with others.
    pub stepped: bool,
}

/// A slot, where the target has several, and the generation whose install was the newest in it.
pub type SlotBefore = (Option<Slot>, Option<Generation>);

/// How a credential stood at the place of a call before its intent and after it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Touched {
    /// Which.
    pub generation: Generation,
    /// Before.
    pub before: Standing,
    /// After.
    pub after: Standing,
}

/// Where a plugin call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallState {
    /// Some host is at it.
    Running,
    /// That host is gone; the call can be resumed from its record as long as it is wanted and nothing sent is open.
    Interrupted {
        /// When that was noticed.
        at: Millis,
    },
    /// It ended, or was given up, and what it sent may still take effect.
    Doubt {
        /// Until when.
        until: Millis,
    },
    /// Another call or an observation has taken its place; a late outcome is still welcome.
    Closed,
}

/// What a call is tried for: the same key however often it is tried.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Effort {
    /// Which export.
    pub kind: CallKind,
    /// About which generation.
    pub generation: Generation,
    /// Where.
    pub place: Place,
    /// The target's id, for orphans.
    pub orphan: Option<TargetId>,
}

/// How often it has failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tries {
    /// Attempts made.
    pub count: u32,
    /// No attempt before this.
    pub not_before: Millis,
    /// The last fault.
    pub fault: Fault,
    /// The cap is reached, or another attempt is no use.
    pub exhausted: bool,
}

/// What the target listed at one place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observation {
    /// By which call.
    pub call: CallId,
    /// When the look began.
    pub began_at: Millis,
    /// What was live.
    pub live: Vec<crate::event::Live>,
    /// What the look was made with: it tells of that target and those settings only.
    pub pins: Arc<Pins>,
}

impl OpenCall {
    /// What it is tried for.
    #[must_use]
    pub fn effort(&self) -> Effort {
        Effort { kind: self.kind, generation: self.generation, place: self.place.clone(), orphan: self.orphan.clone() }
    }

    /// The latest instant at which anything it sent can take effect.
    pub(crate) fn latest(&self, least: Millis) -> Millis {
        self.sents.values().copied().fold(least, Millis::max)
    }
}
