//! Whether a request is legal, and what it becomes on the record. Asking is not doing: the answer is events, appended
//! on exactly the state that was asked. A refusal says why, and what to do instead.

mod consumer;
mod operator;
mod people;
mod refuse;
mod restored;

pub use consumer::noticed;
pub use operator::{BY_COMPROMISE, BY_OPERATOR};
pub use refuse::{PlanProblem, refuse};

use crate::command::Command;
use crate::draft::Draft;
use crate::event::Event;
use crate::ids::Millis;
use crate::state::Secret;
use crate::table::Illegal;

/// Why a request is refused. Nothing was recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}; {instead}")]
pub struct Refusal {
    /// Stable word for programs: `unknown`, `conflict`, `held`, `frozen`, `gone`, `invalid`, `stale`, `weak`.
    pub code: &'static str,
    /// What stands in the way.
    pub why: String,
    /// What to do instead.
    pub instead: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, why: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { code, why: why.into(), instead: instead.into() }
    }
}

type Answer = Result<Vec<Event>, Refusal>;

/// The events that a request becomes, in order; empty where it changes nothing.
///
/// # Errors
/// The request is not legal here; [`Refusal`] says why and what to do instead.
pub fn admit(secret: &Secret, command: &Command, now: Millis) -> Result<Vec<Event>, Refusal> {
    let events = propose(secret, command, now)?;
    legal(secret, &events, now)?;
    Ok(events)
}

/// The same before the table has had its word, for whoever asks the table by recording.
///
/// # Errors
/// The request is not legal here by the rules for requests.
pub fn propose(secret: &Secret, command: &Command, now: Millis) -> Result<Vec<Event>, Refusal> {
    use Command as C;
    match command {
        C::Start { .. } => operator::start(secret, command),
        C::Import { .. } => operator::import(secret, command),
        C::Rollback { reason, author } => operator::rollback(secret, reason, author),
        C::Revert { reason, author } => operator::revert(secret, reason, author),
        C::Abandon { reason, author } => operator::abandon(secret, reason, author),
        C::Release { author } => operator::release(secret, author),
        C::Override { generation, reason, author } => operator::let_end(secret, *generation, reason, author),
        C::Compromise { generation, disable_first, author } => {
            operator::compromise(secret, *generation, *disable_first, author)
        }
        C::Freeze { author } => {
            Ok(if secret.frozen().is_some() { Vec::new() } else { vec![Event::Frozen { author: author.clone() }] })
        }
        C::Thaw { author } => {
            Ok(if secret.frozen().is_none() { Vec::new() } else { vec![Event::Thawed { author: author.clone() }] })
        }
        C::Fetch { consumer, replica, incarnation, generation } => {
            consumer::fetch(secret, consumer, replica, incarnation, *generation, now)
        }
        C::State(evidence) => consumer::state(secret, evidence, now),
        C::Acknowledge { rotation, evidence } => consumer::acknowledge(secret, rotation, evidence, now),
        C::AddConsumer { consumer, author } => {
            Ok(vec![Event::ConsumerAdded { consumer: consumer.clone(), author: author.clone() }])
        }
        C::ChangeConsumer { consumer, author } => {
            let same = secret.consumers().get(&consumer.name) == Some(consumer);
            let (consumer, author) = (consumer.clone(), author.clone());
            Ok(if same { Vec::new() } else { vec![Event::ConsumerChanged { consumer, author }] })
        }
        C::Member { consumer, replica, gone, author } => people::member(secret, consumer, replica, *gone, author),
        C::RemoveConsumer { consumer, author } => {
            Ok(vec![Event::ConsumerRemoved { consumer: consumer.clone(), author: author.clone() }])
        }
        C::Members { consumer, members, author } => {
            let same = secret.consumers().get(consumer).is_some_and(|policy| policy.members == *members);
            let (consumer, members, author) = (consumer.clone(), members.clone(), author.clone());
            Ok(if same { Vec::new() } else { vec![Event::MembersChanged { consumer, members, author }] })
        }
        C::Places { places, author } => {
            Ok(vec![Event::PlacesChanged { places: places.clone(), author: author.clone() }])
        }
        C::ScrapPlace { place, author } => {
            Ok(vec![Event::PlaceScrapped { place: place.clone(), author: author.clone() }])
        }
        C::Repolicy { policy, author } => operator::repolicy(secret, policy, author),
        C::Repin { component, author } => Ok(vec![Event::Repinned { component: *component, author: author.clone() }]),
        C::Restore { epoch } => Ok(vec![Event::Restored { epoch: *epoch, strict: true }]),
        C::Reconcile { author, next } => restored::reconcile(secret, author, *next),
        C::AcceptLost { reason, author, next } => restored::accept_lost(secret, reason, author, *next),
        C::Unmanage { author } => Ok(vec![Event::Unmanaged { author: author.clone() }]),
    }
}

/// Whatever the rules above say, the table has the last word. Tried as a draft: of several events, those before the one
/// that is refused would leave a trace.
///
/// # Errors
/// What the table refuses, in words.
pub fn legal(secret: &Secret, events: &[Event], now: Millis) -> Result<(), Refusal> {
    Ok(Draft::new(secret).take(now, events)?)
}

impl From<Illegal> for Refusal {
    fn from(illegal: Illegal) -> Self {
        Self::new("conflict", illegal.to_string(), "look at the secret's status and ask again when it allows")
    }
}
