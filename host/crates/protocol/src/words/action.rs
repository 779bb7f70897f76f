//! What comes next: the answers of the decision function. Carries no instructions on how to do it.

use crate::event::{Event, HoldReason, Pins};
use crate::ids::{CallId, ConsumerName, Generation, Millis, OperationId, Place, Replica, RotationId, TargetId};
use crate::step::{CallKind, Step};
use std::sync::Arc;

/// The next thing for the engine to do. After it, fold what happened and decide again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Append these events, on exactly the state that was decided on.
    Record(Vec<Event>),
    /// Append the intent, make the plugin call, append what came.
    Call(Call),
    /// Nothing to do before `until`, or before a new fact.
    Wait {
        /// When to decide again if no fact comes first.
        until: Option<Millis>,
        /// For what.
        waiting: Waiting,
    },
    /// No rotation runs and no retirement is open.
    Idle,
}

/// A plugin call to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its number.
    pub call: CallId,
    /// Which export.
    pub kind: CallKind,
    /// Which step it serves.
    pub step: Step,
    /// About which generation.
    pub generation: Generation,
    /// The target's id of it, where known.
    pub id: Option<TargetId>,
    /// The same id, where the call ends an orphan that is no generation's value.
    pub orphan: Option<TargetId>,
    /// Where.
    pub place: Place,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The idempotency key.
    pub operation: OperationId,
    /// Ids live at the target before a mint.
    pub baseline: Vec<TargetId>,
    /// Generations whose values the call may use.
    pub values: Vec<Generation>,
    /// Earlier calls whose journalled host calls answer this one, newest first (a step resumed after a crash).
    pub resumes: Vec<CallId>,
    /// The rotation it belongs to, which for a retirement may be over.
    pub rotation: RotationId,
    /// What it runs on: plugin, bytes, settings, target, as pinned by that rotation.
    pub pins: Arc<Pins>,
    /// Time given, in milliseconds.
    pub timeout_ms: u64,
}

/// What a rotation is waiting for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Waiting {
    /// A plugin call is under way.
    Call(CallId),
    /// The next attempt at a step.
    BackOff(Step),
    /// The deadline of an unanswered call, before an observation can close it.
    Doubt(CallId),
    /// Consumers' replicas that have not answered (a count of unnamed ones shows as `#n`).
    Consumers {
        /// In which step.
        step: Step,
        /// Who.
        missing: Vec<(ConsumerName, Replica)>,
    },
    /// A soak, an overlap or a quiet time.
    Timer(Step),
    /// A credential has to end first.
    Retirement(Generation, Place),
    /// Something other than time or consumers stands in the way of a credential's end.
    Blocked(Step, String),
    /// Attempts at a call are used up; the credential it is about stays named until a person releases it.
    Stuck(CallKind, Generation, Place),
    /// A person.
    Held(HoldReason),
    /// A thaw.
    Frozen,
}

impl Call {
    /// The event to append before the call is made.
    #[must_use]
    pub fn intent(&self) -> Event {
        Event::Intended {
            call: self.call,
            kind: self.kind,
            generation: self.generation,
            place: self.place.clone(),
            attempt: self.attempt,
            operation: self.operation.clone(),
            baseline: self.baseline.clone(),
            step: self.step,
            id: self.orphan.clone(),
            resumes: self.resumes.clone(),
        }
    }
}
