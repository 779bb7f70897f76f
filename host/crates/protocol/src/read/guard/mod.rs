//! The guards: what has to hold before an event may happen. A guard is a list of small rules, tried in order; each
//! answers who or what stands in the way. Three readers ask the same lists: the table refuses the event, `decide` waits,
//! and `admit` explains. A rule never changes anything, and asks nothing but the state and the instant.
//!
//! A rule that was added, or made stricter, after journals were written lets pass what is being replayed: it is asked of
//! the next event, never of what has happened.

pub(crate) mod calls;
pub(crate) mod course;
pub(crate) mod ends;
pub(crate) mod start;

use crate::event::HoldReason;
use crate::ids::{CallId, ConsumerName, Generation, Place, Replica, RotationId};
use crate::retirement::Job;
use crate::state::Secret;
use std::fmt;

/// Who, or what, stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocked {
    /// These replicas have not answered; unnamed ones of a counted membership show as `#1`, `#2`, …
    Consumers(Vec<(ConsumerName, Replica)>),
    /// A plugin call about the same credential is under way.
    Call(CallId),
    /// A plugin call about the same credential is in doubt.
    Doubt(CallId),
    /// These have to end first.
    Ending(Vec<Job>),
    /// The slot at this place holds this newer generation, which is not known to work yet.
    Newer(Generation, Place),
    /// Whether this generation works at this place has to be seen first.
    Untried(Generation, Place),
    /// A time has to pass: an overlap, a quiet time, a soak.
    Time,
    /// The place is away.
    Away(Place),
    /// A rotation is running.
    Running(RotationId),
    /// It is held.
    Held(HoldReason),
    /// It is frozen.
    Frozen,
    /// It was restored, and has not been compared with its target.
    Restored,
    /// Nothing that is waited for: the event does not fit what is so.
    Unfit(&'static str),
}

/// What a rule answers.
pub(crate) type Answer = Result<(), Blocked>;

/// The first rule of a list that stands in the way.
pub(crate) fn all<Q>(rules: &[impl Fn(&Secret, &Q) -> Answer], secret: &Secret, question: &Q) -> Answer {
    rules.iter().try_for_each(|rule| rule(secret, question))
}

/// Stands in the way where it does not hold.
pub(crate) fn holds(holds: bool, why: &'static str) -> Answer {
    if holds { Ok(()) } else { Err(Blocked::Unfit(why)) }
}

impl From<&'static str> for Blocked {
    fn from(why: &'static str) -> Self {
        Self::Unfit(why)
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consumers(missing) => {
                let names: Vec<_> = missing.iter().map(|(name, replica)| format!("{name} {replica}")).collect();
                write!(f, "these have not answered: {}", names.join(", "))
            }
            Self::Call(call) => write!(f, "call {} about it is under way", call.0),
            Self::Doubt(call) => write!(f, "call {} about it is in doubt", call.0),
            Self::Ending(jobs) => {
                let names: Vec<_> = jobs.iter().map(ToString::to_string).collect();
                write!(f, "these have to end first: {}", names.join(", "))
            }
            Self::Newer(generation, place) => write!(f, "its slot at {place} holds {generation}, which is newer"),
            Self::Untried(generation, place) => {
                write!(f, "{generation} has not been seen to work at {place} within the last minute")
            }
            Self::Time => f.write_str("its time has not come"),
            Self::Away(place) => write!(f, "{place} is away: it ends when the place is back, or is scrapped"),
            Self::Running(rotation) => write!(f, "rotation {rotation} is running"),
            Self::Held(reason) => write!(f, "the secret is held ({reason})"),
            Self::Frozen => f.write_str("the secret is frozen"),
            Self::Restored => f.write_str("the secret was restored and has not been compared with its target"),
            Self::Unfit(why) => f.write_str(why),
        }
    }
}

/// A rule that asks nothing of the event.
pub(crate) type Brake = fn(&Secret) -> Answer;

/// What stops every step of a rotation.
pub(crate) const STEPS: &[Brake] = &[not_restored, not_frozen, not_held];
/// What stops a credential's end. A hold does not, nor does the end of its rotation.
pub(crate) const ENDS: &[Brake] = &[not_restored, not_frozen];

/// The first brake of a list that is on.
pub(crate) fn unhindered(brakes: &[Brake], secret: &Secret) -> Answer {
    brakes.iter().try_for_each(|brake| brake(secret))
}

fn not_restored(secret: &Secret) -> Answer {
    if secret.restored().is_some() { Err(Blocked::Restored) } else { Ok(()) }
}

fn not_frozen(secret: &Secret) -> Answer {
    if secret.frozen().is_some() { Err(Blocked::Frozen) } else { Ok(()) }
}

fn not_held(secret: &Secret) -> Answer {
    secret.hold().map_or(Ok(()), |hold| Err(Blocked::Held(hold.reason)))
}
