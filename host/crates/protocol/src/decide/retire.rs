//! Credentials that end: open a job for each place, switch off on evidence, soak, remove, close, erase.

use super::Say;
use super::build::{self, Sponsor};
use crate::action::Waiting;
use crate::calls::Effort;
use crate::event::{Event, RetireCause};
use crate::generation::{Credential, Role};
use crate::guard::Blocked;
use crate::guard::calls::may_intend;
use crate::ids::{Generation, Millis, Place};
use crate::retirement::{Job, Retirement};
use crate::state::Secret;
use crate::step::{CallKind, Ending, Phase, PlanKind, Step};
use std::cmp::Ordering;

/// Opens a job at every place for each credential whose turn it is.
pub(super) fn open(secret: &Secret, now: Millis) -> Option<Say> {
    let mut events = Vec::new();
    for credential in secret.generations().values() {
        let Some(cause) = cause(secret, credential, now) else { continue };
        let open = |place: &&Place| secret.retirement(credential.number, place).is_none();
        events.extend(credential.lingering().filter(open).map(|place| Event::RetirementOpened {
            generation: credential.number,
            place: place.clone(),
            cause,
            id: None,
        }));
    }
    (!events.is_empty()).then_some(Say::Record(events))
}

/// Why a credential ends, if it is its turn.
fn cause(secret: &Secret, credential: &Credential, now: Millis) -> Option<RetireCause> {
    if credential.imported {
        return None;
    }
    let rotation = secret.rotation();
    let phase = rotation.map(|rotation| rotation.phase);
    match secret.role(credential.number)? {
        Role::Pending => (phase == Some(Phase::RollingBack)).then_some(RetireCause::RolledBack),
        Role::Current => {
            let retires = rotation.is_some_and(|rotation| rotation.kind == PlanKind::Retire);
            (retires && secret.may_end_previous(now)).then_some(RetireCause::Ended)
        }
        Role::Previous => match phase {
            None | Some(Phase::Prepare) => Some(RetireCause::Superseded),
            Some(Phase::Commit) => secret.may_end_previous(now).then_some(RetireCause::Superseded),
            Some(Phase::RollingBack | Phase::Reverting) => None,
        },
        // Left by a rotation that is over: a newer one took its part, or it was never committed.
        Role::Retiring => Some(match secret.current().cmp(&Some(credential.number)) {
            Ordering::Greater => RetireCause::Superseded,
            Ordering::Equal | Ordering::Less => RetireCause::RolledBack,
        }),
    }
}

/// Closes what has ended.
pub(super) fn close(secret: &Secret, now: Millis) -> Option<Say> {
    let mut events = Vec::new();
    for job in secret.retirements().keys() {
        let superseded = !secret.may_close(job, false, now);
        if superseded && !secret.may_close(job, true, now) {
            continue;
        }
        events.push(Event::RetirementClosed {
            generation: job.generation,
            place: job.place.clone(),
            id: job.orphan.clone(),
            superseded,
        });
    }
    (!events.is_empty()).then_some(Say::Record(events))
}

/// Erases generations that nobody can need any more. A previous value that its rotation left is kept until then.
pub(super) fn erase(secret: &Secret, now: Millis) -> Option<Say> {
    if let Some(done) = secret.generations().keys().copied().find(|generation| secret.may_erase(*generation, now)) {
        return Some(Say::Record(vec![Event::Erased { generation: done }]));
    }
    let left = secret.previous().filter(|_| secret.rotation().is_none())?;
    match secret.may_end(left, RetireCause::Superseded, true, now) {
        Err(blocked @ Blocked::Consumers(_)) => Some(build::wait(secret, Step::Adopt, blocked)),
        Ok(()) | Err(_) => None,
    }
}

/// Switches off what may end, where the target can do that softly.
pub(super) fn disable(secret: &Secret, now: Millis) -> Option<Say> {
    each(secret, |job, retirement| {
        let wanted = retirement.pins.profile.soft_disable && retirement.disabled.is_none();
        wanted.then(|| gated(secret, now, CallKind::Disable, job, retirement))
    })
}

/// Removes what was switched off long enough.
pub(super) fn destroy(secret: &Secret, now: Millis) -> Option<Say> {
    each(secret, |job, retirement| {
        let wanted = !retirement.pins.profile.soft_disable || retirement.disabled.is_some();
        wanted.then(|| gated(secret, now, CallKind::Destroy, job, retirement))
    })
}

fn gated(secret: &Secret, now: Millis, kind: CallKind, job: &Job, retirement: &Retirement) -> Say {
    let step = if kind == CallKind::Destroy { Step::Destroy } else { Step::Disable };
    let effort = Effort { kind, generation: job.generation, place: job.place.clone(), orphan: job.orphan.clone() };
    match may_intend(secret, &effort, now) {
        // Before anything is taken away: is it this generation that is there, and does its successor still work?
        Err(Blocked::Untried(generation, place)) => {
            let sponsor = match generation == job.generation {
                true => Some(Sponsor::retirement(retirement)),
                false => Sponsor::credential(secret, generation),
            };
            let sponsor = sponsor.unwrap_or_else(|| Sponsor::retirement(retirement));
            try_again(secret, now, generation, &place, sponsor)
        }
        Err(blocked) => build::wait(secret, step, blocked),
        Ok(()) => build::attempt(secret, now, step, &effort, Sponsor::retirement(retirement)),
    }
}

/// Tries a value at a place: at once, or after the pause that follows a refusal.
fn try_again(secret: &Secret, now: Millis, generation: Generation, place: &Place, sponsor: Sponsor) -> Say {
    let again = super::prepare::next_try(secret, generation, place);
    if let Some(again) = again.filter(|again| now < *again) {
        return Say::Wait(Some(again), Waiting::BackOff(Step::Verify));
    }
    let effort = Effort { kind: CallKind::Verify, generation, place: place.clone(), orphan: None };
    build::attempt(secret, now, Step::Verify, &effort, sponsor)
}

fn each(secret: &Secret, say: impl Fn(&Job, &Retirement) -> Option<Say>) -> Option<Say> {
    let mut wait = None;
    for (job, retirement) in secret.retirements().iter().filter(|(_, retirement)| !retirement.gone) {
        match say(job, retirement) {
            Some(Say::Wait(until, waiting)) => drop(wait.get_or_insert(Say::Wait(until, waiting))),
            None => {}
            act => return act,
        }
    }
    wait
}

/// A rotation was left in the middle of overwriting the only slot: the login that works is the truth.
pub(super) fn find_truth(secret: &Secret, now: Millis) -> Option<Say> {
    if secret.old_one_works() {
        return Some(Say::Record(vec![Event::Reverted]));
    }
    let place = secret.undecided()?;
    let both = [secret.current()?, secret.previous()?];
    let candidate = both.into_iter().find(|it| secret.refused(*it, place).is_none())?;
    Some(try_again(secret, now, candidate, place, Sponsor::credential(secret, candidate)?))
}

/// Pending has been given back to the end.
pub(super) fn finish_rollback(secret: &Secret, _: Millis) -> Option<Say> {
    let rotation = secret.rotation().filter(|rotation| rotation.phase == Phase::RollingBack)?;
    if secret.generations().contains_key(&rotation.made) {
        return Some(Say::Wait(None, Waiting::Timer(Step::Destroy)));
    }
    Some(Say::Record(vec![Event::Finished { ending: Ending::RolledBack, reason: rotation.reason.clone() }]))
}
