//! May the running rotation take its next step: staged, committed, draining, given back, put back.

use super::{Answer, STEPS, all, holds, unhindered};
use crate::ids::Millis;
use crate::state::Secret;
use crate::step::{PlanKind, Step};

/// A rule about a step forward.
type Rule = fn(&Secret, &Millis) -> Answer;
/// A rule about the way back.
type RuleBack = fn(&Secret, &()) -> Answer;

const STAGE: &[Rule] = &[staging_is_next, it_is_not_staged];
const COMMIT: &[Rule] = &[committing_is_next, pending_is_not_compromised];
const DRAIN: &[Rule] = &[it_does_not_drain, everyone_has_switched];
const ROLL_BACK: &[RuleBack] = &[current_works_or_can_be_put_in_again];
const REVERT: &[RuleBack] =
    &[something_was_replaced, previous_is_not_being_destroyed, previous_is_not_compromised, previous_can_be_put_back];

/// Whether pending may be offered to consumers.
pub(crate) fn may_stage(secret: &Secret, now: Millis) -> Answer {
    unhindered(STEPS, secret)?;
    all(STAGE, secret, &now)
}

/// Whether pending may become current.
pub(crate) fn may_commit(secret: &Secret, now: Millis) -> Answer {
    unhindered(STEPS, secret)?;
    all(COMMIT, secret, &now)
}

/// Whether the overlap and the quiet time may begin to run.
pub(crate) fn may_drain(secret: &Secret, now: Millis) -> Answer {
    unhindered(STEPS, secret)?;
    all(DRAIN, secret, &now)
}

/// Whether pending can be given back.
pub(crate) fn may_roll_back(secret: &Secret) -> Answer {
    all(ROLL_BACK, secret, &())
}

/// Whether previous can be put back, in the commit phase of a rotation.
pub(crate) fn may_revert(secret: &Secret) -> Answer {
    all(REVERT, secret, &())
}

fn staging_is_next(secret: &Secret, now: &Millis) -> Answer {
    holds(secret.step(*now) == Some(Step::Stage), "the steps before have not been done")
}

fn it_is_not_staged(secret: &Secret, _: &Millis) -> Answer {
    holds(secret.rotation().is_some_and(|rotation| rotation.staged.is_none()), "pending is staged already")
}

fn committing_is_next(secret: &Secret, now: &Millis) -> Answer {
    let next = secret.replaying() || secret.step(*now) == Some(Step::Commit);
    holds(next, "the steps before have not been done, or the evidence is not there")
}

/// What the only slot holds already is committed all the same: the compromise is answered from there.
fn pending_is_not_compromised(secret: &Secret, _: &Millis) -> Answer {
    let made = secret.pending().and_then(|made| secret.generation(made)).ok_or("nothing is pending")?;
    holds(made.compromised.is_none() || secret.overwriting(), "pending is compromised")
}

fn it_does_not_drain(secret: &Secret, _: &Millis) -> Answer {
    let drains = secret.rotation().is_none_or(|rotation| rotation.draining.is_some());
    holds(secret.replaying() || !drains, "it drains already")
}

/// For a secret that ends: everyone has let go of it.
fn everyone_has_switched(secret: &Secret, now: &Millis) -> Answer {
    let rotation = secret.rotation().ok_or("no rotation runs")?;
    if secret.replaying() {
        return Ok(());
    }
    match (rotation.kind, secret.ending()) {
        (PlanKind::Retire, Some(_)) if secret.excused() => Ok(()),
        (PlanKind::Retire, Some(current)) => secret.released(current, *now).answer(),
        (PlanKind::Rotate, Some(_)) => {
            let next = rotation.plan.contains(&Step::Drain) && secret.step(*now) == Some(Step::Drain);
            holds(next, "not everyone who must has switched")
        }
        _ => Err("nothing is to end".into()),
    }
}

/// Where pending took the place of the current value, that has to be put in again.
fn current_works_or_can_be_put_in_again(secret: &Secret, (): &()) -> Answer {
    let current = secret.current().and_then(|current| secret.generation(current));
    let Some(current) = current.filter(|_| secret.overwriting()) else { return Ok(()) };
    let reinstall = secret.profile().is_some_and(|profile| profile.reinstall);
    holds(
        reinstall && current.known() && !current.lost(),
        "the target may hold pending already, and the current value cannot be put in again",
    )
}

fn something_was_replaced(secret: &Secret, (): &()) -> Answer {
    let rotation = secret.rotation().ok_or("no rotation runs")?;
    secret.previous().and_then(|it| secret.generation(it)).ok_or("there is no previous credential")?;
    holds(rotation.kind == PlanKind::Rotate, "the secret ends: nothing has been committed")
}

fn previous_is_not_being_destroyed(secret: &Secret, (): &()) -> Answer {
    let destroying = secret.previous().and_then(|it| secret.generation(it)).is_some_and(|it| it.destroying());
    holds(!destroying, "a destroy of the previous credential has been intended")
}

fn previous_is_not_compromised(secret: &Secret, (): &()) -> Answer {
    let previous = secret.previous().and_then(|it| secret.generation(it));
    let exposed = previous.is_some_and(|it| it.compromised.is_some());
    holds(!exposed, "the previous credential is compromised: nothing restores it")
}

fn previous_can_be_put_back(secret: &Secret, (): &()) -> Answer {
    let overwritten = secret.previous().filter(|it| secret.rival(*it).is_some());
    let Some(previous) = overwritten.and_then(|it| secret.generation(it)) else { return Ok(()) };
    let reinstall = secret.rotation().is_some_and(|rotation| rotation.pins.profile.reinstall);
    let can = reinstall && previous.known();
    holds(can, "the target forbids putting the previous value back, or the value is unknown")
}
