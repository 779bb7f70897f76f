//! May a rotation start: what is asked of every start, in order.

use super::{Answer, Blocked, STEPS, all, holds, unhindered};
use crate::event::{Minted, Pins};
use crate::generation::Credential;
use crate::ids::{Generation, Slot};
use crate::plan::plan;
use crate::profile::{Overlap, Profile};
use crate::retirement::Job;
use crate::state::Secret;
use crate::step::{PlanKind, Step};

/// A rotation that is to start.
pub(crate) struct Start<'a> {
    pub(crate) kind: PlanKind,
    pub(crate) generation: Generation,
    pub(crate) slot: Option<&'a Slot>,
    pub(crate) pins: &'a Pins,
}

/// A rule about it.
type Rule = for<'a> fn(&Secret, &Start<'a>) -> Answer;

const START: &[Rule] = &[
    the_secret_has_what_the_plan_begins_with,
    numbers_count_up,
    the_target_has_a_place,
    the_slot_is_one_of_the_targets,
    the_slot_does_not_hold_the_current_one,
    it_is_known_which_value_works,
    one_credential_is_left_to_end,
    there_is_room,
];

/// Whether a rotation may start.
pub(crate) fn may_start(secret: &Secret, start: &Start<'_>) -> Answer {
    no_rotation_runs(secret)?;
    unhindered(STEPS, secret)?;
    all(START, secret, start)
}

fn no_rotation_runs(secret: &Secret) -> Answer {
    secret.rotation().map_or(Ok(()), |running| Err(Blocked::Running(running.id.clone())))
}

fn the_secret_has_what_the_plan_begins_with(secret: &Secret, start: &Start<'_>) -> Answer {
    match (start.kind, secret.current()) {
        (PlanKind::Issue | PlanKind::Adopt, Some(_)) => Err("the secret has a credential already".into()),
        (PlanKind::Rotate | PlanKind::Retire, None) => Err("the secret has no credential yet".into()),
        (PlanKind::Retire, Some(current)) => holds(current == start.generation, "another generation is current"),
        (PlanKind::Issue | PlanKind::Adopt, None) | (PlanKind::Rotate, Some(_)) => Ok(()),
    }
}

fn numbers_count_up(secret: &Secret, start: &Start<'_>) -> Answer {
    let next = start.kind == PlanKind::Retire || start.generation == secret.next_generation();
    holds(next, "generation numbers count up")
}

fn the_target_has_a_place(_: &Secret, start: &Start<'_>) -> Answer {
    holds(!start.pins.places.is_empty(), "the target has no place")
}

fn the_slot_is_one_of_the_targets(_: &Secret, start: &Start<'_>) -> Answer {
    match (&start.pins.profile.overlap, start.slot) {
        (Overlap::Alternate(slots), Some(slot)) => holds(slots.contains(slot), "the slot is none of the target's"),
        (Overlap::Alternate(_), None) => holds(start.kind == PlanKind::Retire, "the slot is none of the target's"),
        (_, slot) => holds(slot.is_none(), "the target has no slots"),
    }
}

fn the_slot_does_not_hold_the_current_one(secret: &Secret, start: &Start<'_>) -> Answer {
    let current = secret.current().and_then(|current| secret.generation(current));
    let lingers = current.is_some_and(|current| current.lingering().next().is_some());
    let holds_it = start.slot.is_some_and(|slot| current_is_in(secret, slot)) && lingers;
    holds(!holds_it, "the slot holds the current credential")
}

/// A rotation was left in the middle of overwriting the only slot: which of the two values works is found out first.
fn it_is_known_which_value_works(secret: &Secret, _: &Start<'_>) -> Answer {
    if secret.replaying() {
        return Ok(());
    }
    let both = [secret.previous(), secret.current()].into_iter().flatten();
    if let Some(place) = secret.undecided() {
        let untried = both.into_iter().find(|it| secret.refused(*it, place).is_none());
        return untried.map_or(Ok(()), |untried| Err(Blocked::Untried(untried, place.clone())));
    }
    holds(
        !secret.old_one_works(),
        "the previous credential turned out to be the one that works: that is being recorded",
    )
}

fn one_credential_is_left_to_end(secret: &Secret, start: &Start<'_>) -> Answer {
    let left = secret.previous().filter(|_| start.kind == PlanKind::Retire && !secret.replaying());
    let Some(left) = left else { return Ok(()) };
    let places = secret.generation(left).into_iter().flat_map(Credential::lingering);
    let jobs: Vec<_> = places.map(|place| Job { generation: left, place: place.clone(), orphan: None }).collect();
    if jobs.is_empty() { Err("the secret ends when one credential is left".into()) } else { Err(Blocked::Ending(jobs)) }
}

/// Named live credentials with open retirements leave room for another.
fn there_is_room(secret: &Secret, start: &Start<'_>) -> Answer {
    if secret.replaying() || start.kind == PlanKind::Retire {
        return Ok(());
    }
    let in_the_way = |job: &&Job| match &start.pins.profile.overlap {
        // What is taken over is there already.
        Overlap::Native(_) if start.kind == PlanKind::Adopt => false,
        Overlap::Native(limit) => {
            let here = |credential: &&Credential| credential.liveness(&job.place).lingers();
            let own = secret.generations().values().filter(here).count();
            let orphans = secret.retirements().keys().filter(|it| it.place == job.place && it.orphan.is_some());
            own + orphans.count() >= *limit as usize
        }
        Overlap::Alternate(_) => {
            let slot = secret.generation(job.generation).and_then(|it| it.slot.as_ref());
            slot.is_some() && slot == start.slot
        }
        Overlap::Replace | Overlap::None => false,
    };
    let there = secret.retirements().keys().filter(|job| !secret.away(&job.place));
    let jobs: Vec<_> = there.filter(in_the_way).cloned().collect();
    if jobs.is_empty() { Ok(()) } else { Err(Blocked::Ending(jobs)) }
}

/// Whether the current credential is in a slot of this name. One that was made without slots is in the slot that one of
/// its public fields names, such as the role that it logs in as.
fn current_is_in(secret: &Secret, slot: &Slot) -> bool {
    let Some(current) = secret.current().and_then(|current| secret.generation(current)) else { return false };
    let named = |minted: &Minted| minted.attributes.iter().any(|(_, value)| value == slot.as_str());
    match &current.slot {
        Some(used) => used == slot,
        None => current.minted.as_ref().is_some_and(named),
    }
}

/// The slot for the next generation: from the one after current's, in turn, the first that holds nothing.
pub(crate) fn next_slot(secret: &Secret, profile: &Profile) -> Option<Slot> {
    let Overlap::Alternate(slots) = &profile.overlap else { return None };
    let first = slots.iter().position(|slot| current_is_in(secret, slot)).map_or(0, |at| at + 1);
    let order = (0..slots.len()).filter_map(|turn| slots.get((first + turn) % slots.len()));
    let empty = |slot: &&Slot| {
        !secret.generations().values().any(|it| it.slot.as_ref() == Some(*slot) && it.lingering().next().is_some())
    };
    order.clone().find(empty).or_else(|| order.clone().next()).cloned()
}

/// The steps of a rotation that starts now.
pub(crate) fn plan_of(secret: &Secret, kind: PlanKind, pins: &Pins) -> Vec<Step> {
    let old = secret.current().and_then(|current| secret.generation(current));
    let elsewhere = old.filter(|old| !old.pins.same_site(pins)).map(|old| &old.pins.profile);
    plan(kind, &pins.profile, elsewhere)
}
