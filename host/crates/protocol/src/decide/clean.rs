//! Bookkeeping that is always in order: time, names, jobs for what nobody owns.

use super::Say;
use super::build::{self, Sponsor};
use crate::action::Waiting;
use crate::calls::Effort;
use crate::event::{Event, RetireCause};
use crate::ids::Millis;
use crate::state::Secret;
use crate::step::{CallKind, Step};

/// Events after which a secret at rest is put on record whole, so that a load reads about as many. A rotation is 40 to 85
/// events: one record for each, or for every second one, in the write that ends it.
const SETTLED_AFTER: u64 = 64;

/// A long timer does not begin anew when its process ends: now and then its time is put on record.
pub(super) fn note_time(secret: &Secret, now: Millis) -> Option<Say> {
    let due = secret.tick_due(now)?;
    (now >= due).then(|| Say::Record(vec![Event::Ticked]))
}

/// Credentials that keybaton did not make are named, and left alone.
pub(super) fn name_strangers(secret: &Secret, _: Millis) -> Option<Say> {
    let seen = |(place, id): &(_, _)| Event::ForeignSeen { place: Clone::clone(place), id: Clone::clone(id) };
    let events: Vec<_> = secret.strangers().iter().take(super::MAX_BATCH).map(seen).collect();
    (!events.is_empty()).then_some(Say::Record(events))
}

/// What works at a place and was missing from a look there is tried: either the look was wrong, or somebody else has
/// ended it.
pub(super) fn try_unlisted(secret: &Secret, now: Millis) -> Option<Say> {
    let mut wait = None;
    for (place, generations) in secret.unlisted() {
        for generation in generations.iter().copied() {
            let Some(sponsor) = Sponsor::credential(secret, generation) else { continue };
            let effort = Effort { kind: CallKind::Verify, generation, place: place.clone(), orphan: None };
            match build::attempt(secret, now, Step::Verify, &effort, sponsor) {
                Say::Wait(until, waiting) => drop(wait.get_or_insert(Say::Wait(until, waiting))),
                say => return Some(say),
            }
        }
    }
    wait
}

/// What a call of ours made and nobody can use is ended.
pub(super) fn open_for_loose(secret: &Secret, _: Millis) -> Option<Say> {
    let events: Vec<_> = secret
        .loose()
        .keys()
        .take(super::MAX_BATCH)
        .map(|job| Event::RetirementOpened {
            generation: job.generation,
            place: job.place.clone(),
            cause: RetireCause::Orphan,
            id: job.orphan.clone(),
        })
        .collect();
    (!events.is_empty()).then_some(Say::Record(events))
}

/// While a call runs, there is always its end to wait for.
pub(super) fn await_running(secret: &Secret, _: Millis) -> Option<Say> {
    let running = secret.running_calls().next()?;
    Some(Say::Wait(None, Waiting::Call(running)))
}

/// At rest, and long enough since that was last put on record: replay is to begin here.
pub(super) fn settle(secret: &Secret, now: Millis) -> Option<Say> {
    let settled = (secret.unsettled() >= SETTLED_AFTER).then(|| secret.as_settled(now))??;
    Some(Say::Record(vec![Event::Settled(Box::new(settled))]))
}
