//! What one turn writes: everything that came and everything that follows from it, in one append or not at all.

use super::launch::Launch;
use super::message::{Item, Offered};
use crate::error::EngineError;
use crate::ports::journal::{Append, JournalError, Mark, Reply};
use crate::ports::rotator::RecordError;
use crate::ports::secret::Seal;
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{Fence, Generation, Millis, SecretName, Seq};
use std::collections::HashMap;

/// A turn's write, and what is to happen once it is durable.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    pub(super) seals: Vec<(Generation, Seal)>,
    pub(super) replies: Vec<Reply>,
    pub(super) erase: Vec<Generation>,
    /// Set once it holds a decision: appended on exactly this state, under this fence.
    pub(super) fence: Option<Fence>,
    pub(super) launches: Vec<Launch>,
    /// Answers in the order of the items.
    pub(super) answers: Vec<Answer>,
    /// What fetches get that had waited, by their place among those that wait.
    pub(super) given: HashMap<usize, Offered>,
}

/// What an item is told when the write is durable.
pub(super) enum Answer {
    /// It was told already, or has no answer.
    None,
    /// Recorded.
    Recorded,
    /// Accepted; the journal stood here after it.
    Accepted(Seq),
    /// May be given out.
    Offered(Offered),
}

impl Batch {
    pub(super) fn push(&mut self, event: Event) {
        if let Event::Erased { generation } = &event {
            self.erase.push(*generation);
        }
        self.events.push(event);
    }

    /// Whether there is anything to write.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.seals.is_empty() && self.replies.is_empty()
    }

    pub(super) fn take_append(&mut self, secret: &SecretName, after: Seq, at: Millis, mark: Option<Mark>) -> Append {
        Append {
            secret: secret.clone(),
            after: Some(after),
            fence: self.fence,
            at,
            events: std::mem::take(&mut self.events),
            seals: std::mem::take(&mut self.seals),
            replies: std::mem::take(&mut self.replies),
            erase: std::mem::take(&mut self.erase),
            mark,
        }
    }
}

impl Item {
    /// Tells the item what became of it. A receiver that is gone does not care.
    pub(super) fn answer(self, answer: Answer) {
        match (self, answer) {
            (Self::Fact(fact), Answer::Recorded) => {
                fact.done.map(|done| done.send(Ok(())));
            }
            (Self::Command(asked), Answer::Accepted(seq)) => {
                asked.done.map(|done| done.send(Ok(seq)));
            }
            (Self::TookOver(took), Answer::Recorded) => {
                took.done.map(|done| done.send(Ok(())));
            }
            (Self::Fetch(fetching), Answer::Offered(offered)) => {
                fetching.done.map(|done| done.send(Ok(offered)));
            }
            _ => {}
        }
    }

    /// Tells the item that the store failed. Facts that nothing waits on before acting are handed back, to be kept.
    pub(super) fn store_failed(self, error: &JournalError) -> Option<Self> {
        let detail = error.to_string();
        match self {
            Self::Fact(fact) if fact.leaves.is_none() => return Some(Self::Fact(fact)),
            Self::Fact(fact) => {
                fact.done.map(|done| done.send(Err(RecordError::Unavailable(detail))));
            }
            Self::Command(asked) => {
                asked.done.map(|done| done.send(Err(EngineError::Store(detail))));
            }
            Self::Fetch(fetching) => {
                fetching.done.map(|done| done.send(Err(EngineError::Store(detail))));
            }
            Self::TookOver(took) => {
                took.done.map(|done| done.send(Err(EngineError::Store(detail))));
            }
            // A look that is dropped is told by its closed channel.
            Self::Wake | Self::Look(_) => {}
        }
        None
    }
}
