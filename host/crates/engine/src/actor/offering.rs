//! What replicas that fetch are given: at once, or, where they wait, in the write that makes it true.
//!
//! Nothing is given out that is not on record as fetched: whoever may hold a generation is asked to release it.

use super::Actor;
use super::batch::{Answer, Batch};
use super::intake::ask;
use super::message::{Fetching, Offered, OfferedGeneration};
use super::turn::Setback;
use crate::error::EngineError;
use crate::requests::{Ask, Fetch};
use keybaton_protocol::admit::Refusal;
use keybaton_protocol::command::Command;
use keybaton_protocol::generation::{Credential, Liveness};
use keybaton_protocol::ids::Generation;
use keybaton_protocol::offer::{Offer, offer};
use keybaton_protocol::state::Secret;
use tokio::time::Instant;

/// Fetches of one secret that may wait at once: about as many as there can be connections.
const WAITING: usize = 4_096;

impl Actor {
    /// A fetch that has come: granted, or set aside where it waits and there is nothing new for it.
    pub(super) async fn fetch(&mut self, fetching: &mut Fetching, batch: &mut Batch) -> Result<Answer, Setback> {
        let Some(done) = fetching.done.take() else { return Ok(Answer::None) };
        self.note_unknown(fetching);
        let offered = self.offer(&fetching.fetch);
        if let Some(known) = fetching.known.take_if(|known| !offered.is_news_to(known)) {
            if self.waiting.len() < WAITING {
                let fetch = fetching.fetch.clone();
                self.waiting.push(Fetching { fetch, known: Some(known), done: Some(done) });
            } else {
                // Whoever went does not need the answer.
                let _ = done.send(Err(EngineError::Overloaded));
            }
            return Ok(Answer::None);
        }
        let given = self.give(&fetching.fetch, offered, batch).await;
        Ok(match given {
            Ok(Ok(offered)) => {
                fetching.done = Some(done);
                Answer::Offered(offered)
            }
            Ok(Err(refusal)) => {
                let _ = done.send(Err(self.refused(&refusal)));
                Answer::None
            }
            Err(setback) => {
                // It is answered by whoever does the turn again, or is told that the store failed.
                fetching.done = Some(done);
                return Err(setback);
            }
        })
    }

    /// A replica that holds a generation which the journal does not know: after a restore, the journal is behind.
    fn note_unknown(&mut self, fetching: &Fetching) {
        let next = self.state().secret.next_generation();
        let newest = fetching.known.as_ref().and_then(|known| known.generations.last().copied());
        if let Some(newest) = newest.filter(|newest| *newest >= next) {
            self.shared.report(self.id, newest);
        }
    }

    /// Grants what fetches wait for, as the state is now. Answers whether anything was put on record for them.
    pub(super) async fn give_to_waiting(&mut self, batch: &mut Batch) -> Result<bool, Setback> {
        let before = batch.events.len();
        for at in 0..self.waiting.len() {
            if batch.given.contains_key(&at) || self.waiting[at].done.is_none() {
                continue;
            }
            let fetch = self.waiting[at].fetch.clone();
            let offered = self.offer(&fetch);
            if self.waiting[at].known.as_ref().is_some_and(|known| !offered.is_news_to(known)) {
                continue;
            }
            match self.give(&fetch, offered, batch).await? {
                Ok(offered) => drop(batch.given.insert(at, offered)),
                Err(refusal) => {
                    let refused = self.refused(&refusal);
                    self.waiting[at].done.take().map(|done| done.send(Err(refused)));
                }
            }
        }
        Ok(batch.events.len() > before)
    }

    /// Forgets fetches that were answered, or that nobody waits for any more.
    pub(super) fn forget_answered(&mut self) {
        self.waiting.retain(|it| it.done.as_ref().is_some_and(|done| !done.is_closed()));
    }

    fn offer(&mut self, fetch: &Fetch) -> Offer {
        let now = self.now();
        let secret = &self.state().secret;
        let mut offered = offer(secret, &fetch.consumer, &fetch.replica, now);
        let given_back = given_back(secret, fetch);
        // What a replica has given back is not pressed on it again by its next look.
        offered.generations.retain(|it| !given_back.contains(&it.generation));
        offered
    }

    /// Puts on record that a replica fetches what it is offered.
    async fn give(
        &mut self,
        fetch: &Fetch,
        offered: Offer,
        batch: &mut Batch,
    ) -> Result<Result<Offered, Refusal>, Setback> {
        for generation in &offered.generations {
            let command = Command::Fetch {
                consumer: fetch.consumer.clone(),
                replica: fetch.replica.clone(),
                incarnation: fetch.incarnation.clone(),
                generation: generation.generation,
            };
            // A fetch is a fact: recorded without a fence, and before its bytes are given out.
            let now = self.now();
            let events = match ask(&self.state().secret, &command, now) {
                Ok(events) => events,
                Err(refusal) => {
                    self.notice(&command, batch);
                    return Ok(Err(refusal));
                }
            };
            if events.is_empty() {
                continue;
            }
            self.date(batch).await?;
            if let Err(refusal) = events.into_iter().try_for_each(|event| self.grant(event, batch)) {
                return Ok(Err(refusal));
            }
        }
        let secret = &self.state().secret;
        let rotation = offered.rotation;
        let generations = offered.generations.into_iter().map(|it| OfferedGeneration {
            use_now: offered.use_now == Some(it.generation),
            live: secret.generation(it.generation).is_some_and(accepted),
            generation: it.generation,
            role: it.role.name(),
            attributes: it.attributes,
            fields: it.fields,
        });
        let asks = offered.asked.into_iter().map(|ask| Ask {
            purpose: ask.purpose,
            generation: ask.generation,
            rotation: rotation.clone(),
            deadline: ask.deadline,
        });
        Ok(Ok(Offered {
            generations: generations.collect(),
            asks: asks.collect(),
            rotation,
            staged_lease_ms: offered.staged_lease_ms,
            seq: secret.seq(),
            at: Instant::now(),
        }))
    }
}

/// Whether the target accepts it at some place by now.
fn accepted(credential: &Credential) -> bool {
    credential.places.values().any(|standing| standing.liveness == Liveness::Live)
}

/// Generations that this life of a replica said it holds no longer.
fn given_back(secret: &Secret, fetch: &Fetch) -> Vec<Generation> {
    let key = (fetch.consumer.clone(), fetch.replica.clone());
    let state = secret.replicas().get(&key).filter(|state| state.incarnation == fetch.incarnation);
    state.map_or_else(Vec::new, |state| state.released.keys().chain(state.dropped.keys()).copied().collect())
}
