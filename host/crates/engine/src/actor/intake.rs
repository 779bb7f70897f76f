//! Taking in what came: facts are folded whatever the state, requests are put to the protocol, looks wait for the write.

use super::Actor;
use super::batch::{Answer, Batch};
use super::message::{Asked, Fact, Item};
use super::turn::Setback;
use crate::error::EngineError;
use crate::ports::rotator::RecordError;
use crate::ports::secret::Seal;
use keybaton_protocol::admit::{Refusal, legal, noticed, propose};
use keybaton_protocol::command::Command;
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{Generation, Millis};
use keybaton_protocol::state::Secret;

impl Actor {
    /// Takes in every item; each gets its place in the batch's answers.
    pub(super) async fn take_in(&mut self, items: &mut [Item], batch: &mut Batch) -> Result<(), Setback> {
        for item in items {
            let answer = match item {
                Item::Fact(fact) => self.fact(fact, batch).await?,
                Item::Command(asked) => self.command(asked, batch).await?,
                Item::Fetch(fetching) => self.fetch(fetching, batch).await?,
                Item::Wake | Item::Look(_) => Answer::None,
                Item::TookOver(took) => {
                    self.state().trail.0.spec = Some(took.spec);
                    Answer::Recorded
                }
            };
            batch.answers.push(answer);
        }
        Ok(())
    }

    async fn fact(&mut self, fact: &mut Fact, batch: &mut Batch) -> Result<Answer, Setback> {
        if let Some(call) = fact.ends {
            self.running.remove(&call);
        }
        if let Some(for_ms) = fact.leaves {
            let fence = if self.broken { None } else { self.fence(for_ms).await? };
            let Some(fence) = fence else {
                fact.done.take().map(|done| done.send(Err(RecordError::Lease)));
                return Ok(Answer::None);
            };
            batch.fence = Some(fence);
        }
        self.date(batch).await?;
        let at = self.now();
        let options = &self.shared.options;
        let loaded = self.loaded.as_mut().expect("loaded at the start of the turn");
        for event in &fact.events {
            let event = match (event, fact.leaves) {
                (Event::Sent { call, ordinal, request, .. }, Some(for_ms)) => {
                    Event::Sent { call: *call, ordinal: *ordinal, request: *request, deadline: at.plus(for_ms) }
                }
                _ => event.clone(),
            };
            match loaded.fold(at, &event, options) {
                Ok(()) => batch.push(event),
                // What the table refuses must not leave: the call is over, or has sent this before.
                Err(illegal) if fact.leaves.is_some() => {
                    let refused = RecordError::Unavailable(format!("the journal refuses it: {illegal}"));
                    fact.done.take().map(|done| done.send(Err(refused)));
                    return Ok(Answer::None);
                }
                // Any other fact is refused only where it is on record: a write that seemed to fail had been kept.
                Err(illegal) => {
                    tracing::warn!(secret = %self.name, event = event.name(), %illegal, "a fact was on record already");
                }
            }
        }
        let copies = fact.seals.iter().map(|(generation, seal)| (*generation, duplicate(seal)));
        batch.seals.extend(copies);
        batch.replies.extend(fact.replies.iter().cloned());
        Ok(Answer::Recorded)
    }

    async fn command(&mut self, asked: &mut Asked, batch: &mut Batch) -> Result<Answer, Setback> {
        let Some(done) = asked.done.as_ref() else { return Ok(Answer::None) };
        if done.is_closed() {
            // Whoever asked has gone and can't be told: better not done than done unseen.
            asked.done = None;
            return Ok(Answer::None);
        }
        let now = self.now();
        let events = match ask(&self.state().secret, &asked.command, now) {
            Ok(events) => events,
            Err(refusal) => {
                self.notice(&asked.command, batch);
                let refused = self.refused(&refusal);
                asked.done.take().map(|done| done.send(Err(refused)));
                return Ok(Answer::None);
            }
        };
        if events.is_empty() {
            return Ok(Answer::Accepted(self.state().secret.seq()));
        }
        let Some(fence) = self.fence(0).await? else {
            let elsewhere = EngineError::Elsewhere((*self.name).clone());
            asked.done.take().map(|done| done.send(Err(elsewhere)));
            return Ok(Answer::None);
        };
        batch.fence = Some(fence);
        self.date(batch).await?;
        if let Some(generation) = supplied(&events) {
            batch.seals.extend(asked.supplied.iter().map(|seal| (generation, duplicate(seal))));
        }
        for event in events {
            if let Err(refusal) = self.grant(event, batch) {
                // Nothing of it was taken in: a request of several events was tried as a whole.
                let refused = self.refused(&refusal);
                asked.done.take().map(|done| done.send(Err(refused)));
                return Ok(Answer::None);
            }
        }
        if let Some(permit) = asked.permit.take() {
            self.permit = Some(permit);
        }
        Ok(Answer::Accepted(self.state().secret.seq()))
    }

    /// Puts on record what a refused request shows all the same. It is a fact, and needs no fence.
    pub(super) fn notice(&mut self, command: &Command, batch: &mut Batch) {
        let now = self.now();
        if let Some(event) = noticed(&self.state().secret, command, now)
            && let Err(refusal) = self.grant(event, batch)
        {
            tracing::warn!(secret = %self.name, %refusal, "what a refused request shows is not put on record");
        }
    }

    /// Takes in an event that was asked for, if the table takes it.
    pub(super) fn grant(&mut self, event: Event, batch: &mut Batch) -> Result<(), Refusal> {
        let (at, epoch) = (self.now(), self.shared.epoch);
        let options = &self.shared.options;
        let loaded = self.loaded.as_mut().expect("loaded at the start of the turn");
        if loaded.secret.pins().is_none() && loaded.secret.epoch() != epoch {
            // The journal begins here, and in this epoch: a restore is of journals that are older than it.
            legal(&loaded.secret, std::slice::from_ref(&event), at)?;
            let begun = Event::Begun { epoch };
            loaded.fold(at, &begun, options)?;
            batch.push(begun);
        }
        loaded.fold(at, &event, options)?;
        batch.push(event);
        Ok(())
    }

    pub(super) fn refused(&self, refusal: &Refusal) -> EngineError {
        EngineError::Refused { secret: (*self.name).clone(), code: refusal.code, reason: refusal.to_string() }
    }
}

/// What a request becomes. The table has its word when the event is taken in; of several, now, on a copy.
pub(super) fn ask(secret: &Secret, command: &Command, now: Millis) -> Result<Vec<Event>, Refusal> {
    let events = propose(secret, command, now)?;
    if events.len() > 1 {
        legal(secret, &events, now)?;
    }
    Ok(events)
}

fn duplicate(seal: &Seal) -> Seal {
    Seal { label: seal.label.clone(), bytes: seal.bytes.duplicate() }
}

/// The generation whose values come with these events.
fn supplied(events: &[Event]) -> Option<Generation> {
    events.iter().find_map(|event| match event {
        Event::Supplied { generation, .. } => Some(*generation),
        _ => None,
    })
}
