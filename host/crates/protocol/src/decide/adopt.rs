//! After commit: promote, waves, adoption, drain, and the rotation's end.

use super::Say;
use super::build::{self, Sponsor};
use super::prepare::{each, ends_by_itself, failure, hold, stragglers};
use super::revert::enable_at_all;
use crate::action::Waiting;
use crate::event::{Event, HoldReason};
use crate::evidence::EvidenceKind;
use crate::guard::Blocked;
use crate::guard::course::may_drain;
use crate::ids::{Author, Millis};
use crate::progress::DrainLeft;
use crate::rotation::Rotation;
use crate::state::Secret;
use crate::step::{CallKind, Ending, Phase, PlanKind, Step};
use crate::timers::Timer;

fn committing(secret: &Secret) -> Option<&Rotation> {
    secret.rotation().filter(|rotation| rotation.committing())
}

fn adopting(secret: &Secret, now: Millis) -> Option<&Rotation> {
    committing(secret).filter(|_| secret.step(now) == Some(Step::Adopt))
}

/// A cry called the old credential back: it is switched on again wherever it was switched off.
pub(super) fn recall(secret: &Secret, now: Millis) -> Option<Say> {
    committing(secret).filter(|rotation| rotation.draining.is_none())?;
    enable_at_all(secret, now, secret.ending()?)
}

/// Tells the target which generation is the one, where it has such a notion.
pub(super) fn promote(secret: &Secret, now: Millis) -> Option<Say> {
    let rotation = adopting(secret, now)?;
    let aim = rotation.aim;
    each(
        secret,
        |place| !secret.promoted_at(aim, place),
        |place| build::call(secret, now, CallKind::Promote, Step::Adopt, place),
    )
}

/// A required consumer could not switch, or cried again without anything to bear it out: the wave stops.
pub(super) fn stop_wave(secret: &Secret, _: Millis) -> Option<Say> {
    let rotation = committing(secret)?;
    if let Some(detail) = failure(secret, rotation.aim) {
        return Some(hold(HoldReason::WaveFailed, detail));
    }
    let again = rotation.cries.iter().find(|(_, cries)| **cries > 1)?;
    let (consumer, cries) = again;
    let detail = format!("{consumer} has cried {cries} times and nothing else bears it out");
    Some(hold(HoldReason::Cried, detail))
}

/// Opens the next wave once this one has switched and its soak is over.
pub(super) fn open_wave(secret: &Secret, now: Millis) -> Option<Say> {
    let rotation = adopting(secret, now)?;
    if secret.last_wave(rotation, now) || !secret.wave_missing(now).is_empty() {
        return None;
    }
    let next = rotation.wave.number + 1;
    let soak_ms = rotation.pins.policy.waves.soak_ms;
    let soaked = rotation.wave.settled.is_some_and(|since| Timer::new(since, soak_ms).over(secret.steady_at(now)));
    if soaked {
        return Some(Say::Record(vec![Event::WaveOpened { wave: next }]));
    }
    Some(Say::Wait(None, Waiting::Timer(Step::Adopt)))
}

/// Some consumers cannot answer for themselves, and the target's account is taken: it is looked at again and again.
pub(super) fn watch(secret: &Secret, now: Millis) -> Option<Say> {
    let rotation = adopting(secret, now)?;
    let missing = secret.wave_missing(now);
    let silent = |name| secret.consumers().get(name).is_some_and(|it| it.adopted == EvidenceKind::Target);
    if !missing.iter().any(|(name, _)| silent(name)) {
        return None;
    }
    let old = secret.ending()?;
    let place = match secret.quiet_left(now) {
        Some(DrainLeft::Look(place)) => place,
        Some(DrainLeft::Timer) => return None,
        // Quiet, and the new one has not been seen in use: looked at as often as the target's account changes.
        None => {
            let (place, due) = secret.next_look()?;
            if now < due {
                return Some(Say::Wait(Some(due), Waiting::Consumers { step: Step::Adopt, missing }));
            }
            place
        }
    };
    Some(build::observe(secret, now, Step::Adopt, &place, old, Sponsor::rotation(rotation)))
}

/// Waits for those who have to switch.
pub(super) fn wait(secret: &Secret, now: Millis) -> Option<Say> {
    let rotation = adopting(secret, now)?;
    let missing = secret.wave_missing(now);
    let old = secret.ending()?;
    (!missing.is_empty())
        .then(|| stragglers(secret, now, Step::Adopt, missing, old))
        .or_else(|| secret.last_wave(rotation, now).then_some(Say::Wait(None, Waiting::Timer(Step::Adopt))))
}

/// Everyone who must has switched (or let go): the overlap and the quiet time run.
pub(super) fn drain(secret: &Secret, now: Millis) -> Option<Say> {
    let rotation = committing(secret).filter(|_| secret.step(now) == Some(Step::Drain))?;
    let old = secret.ending()?;
    if rotation.draining.is_none() {
        return Some(match may_drain(secret, now) {
            Ok(()) => Say::Record(vec![Event::Draining]),
            Err(Blocked::Consumers(missing)) => stragglers(secret, now, Step::Drain, missing, old),
            Err(blocked) => build::wait(secret, Step::Drain, blocked),
        });
    }
    match secret.drain_left(now)? {
        DrainLeft::Timer => Some(Say::Wait(None, Waiting::Timer(Step::Drain))),
        DrainLeft::Look(place) => {
            Some(build::observe(secret, now, Step::Drain, &place, old, Sponsor::rotation(rotation)))
        }
    }
}

/// Every step is done and nothing of the old credential is left.
pub(super) fn finish(secret: &Secret, now: Millis) -> Option<Say> {
    let rotation = committing(secret)?;
    if secret.step(now).is_some() || !secret.ended_here() {
        return None;
    }
    let ending = if rotation.reverted { Ending::Reverted } else { Ending::Completed };
    Some(Say::Record(vec![Event::Finished { ending, reason: rotation.reason.clone() }]))
}

/// A hold for stragglers is lifted by itself once they have answered, or once what they are to leave expires.
pub(super) fn lift(secret: &Secret, now: Millis) -> Option<Say> {
    secret.hold().filter(|hold| hold.reason == HoldReason::Stragglers)?;
    let rotation = secret.rotation()?;
    let yields = secret.yields_at().is_some_and(|at| at <= now) || ends_by_itself(secret, now);
    let answered = yields
        || match rotation.phase {
            Phase::Prepare => rotation.staged.is_some() && secret.ready(rotation.aim, now).open(),
            Phase::Commit if rotation.kind == PlanKind::Retire => secret.released(rotation.aim, now).open(),
            Phase::Commit => secret.wave_missing(now).is_empty(),
            Phase::RollingBack | Phase::Reverting => true,
        };
    answered.then(|| Say::Record(vec![Event::Released { author: Author::host() }]))
}
