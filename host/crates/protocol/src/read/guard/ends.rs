//! May a credential end: what is asked before anything is switched off or removed at a target, in order.

use super::calls::Intent;
use super::{Answer, Blocked, all, holds};
use crate::calls::Effort;
use crate::event::RetireCause;
use crate::ids::Millis;
use crate::retirement::{Job, Retirement};
use crate::state::Secret;
use crate::step::CallKind;
use crate::timers::{Timer, soak_ms};

/// A credential that is to be switched off, or removed.
struct End<'a> {
    job: &'a Job,
    retirement: &'a Retirement,
    destroy: bool,
    now: Millis,
}

/// A rule about it.
type Rule = for<'a> fn(&Secret, &End<'a>) -> Answer;

/// An orphan was minted by a call of ours, and is nobody's to use.
const ORPHAN: &[Rule] = &[the_place_is_there, its_time_has_come, it_was_off_long_enough];
const GENERATION: &[Rule] = &[
    the_place_is_there,
    its_slot_holds_nothing_newer,
    it_does_not_share_the_only_slot,
    the_evidence_is_there,
    it_is_known_to_be_there,
    its_successor_was_seen_to_work,
    its_time_has_come,
    it_was_off_long_enough,
];

/// Whether what an intent names may be switched off, or removed, now.
pub(super) fn may_be_ended(secret: &Secret, intent: &Intent<'_>) -> Answer {
    let Effort { kind, generation, place, orphan } = intent.effort;
    let job = Job { generation: *generation, place: place.clone(), orphan: orphan.clone() };
    let retirement = secret.retirements().get(&job).ok_or("no retirement of it is open")?;
    if secret.replaying() {
        return Ok(());
    }
    let rules = if orphan.is_some() { ORPHAN } else { GENERATION };
    let end = End { job: &job, retirement, destroy: *kind == CallKind::Destroy, now: intent.now };
    all(rules, secret, &end)
}

fn the_place_is_there(secret: &Secret, end: &End<'_>) -> Answer {
    if secret.away(&end.job.place) { Err(Blocked::Away(end.job.place.clone())) } else { Ok(()) }
}

/// Ending it would end what has taken its place; the retirement closes when that is seen to work.
fn its_slot_holds_nothing_newer(secret: &Secret, end: &End<'_>) -> Answer {
    match secret.overwritten(end.job.generation, &end.job.place) {
        Some(newer) => Err(Blocked::Newer(newer, end.job.place.clone())),
        None => Ok(()),
    }
}

fn it_does_not_share_the_only_slot(secret: &Secret, end: &End<'_>) -> Answer {
    let shares = secret.shares_the_only_slot(end.job.generation);
    holds(!shares, "it goes when its successor is installed in its place")
}

fn the_evidence_is_there(secret: &Secret, end: &End<'_>) -> Answer {
    secret.may_end(end.job.generation, end.retirement.cause, end.destroy, end.now)
}

fn it_is_known_to_be_there(secret: &Secret, end: &End<'_>) -> Answer {
    let Job { generation, place, .. } = end.job;
    let known = secret.known_there(*generation, place, end.now);
    if known { Ok(()) } else { Err(Blocked::Untried(*generation, place.clone())) }
}

fn its_successor_was_seen_to_work(secret: &Secret, end: &End<'_>) -> Answer {
    let cause: RetireCause = end.retirement.cause;
    match secret.unseen_successor(end.job.generation, cause, &end.job.place, end.now) {
        Some((successor, place)) => Err(Blocked::Untried(successor, place)),
        None => Ok(()),
    }
}

/// The overlap's minimum and the quiet time, where the rotation that should have waited for them is over. What nobody
/// was moved away from has none.
fn its_time_has_come(secret: &Secret, end: &End<'_>) -> Answer {
    let credential = secret.generation(end.job.generation);
    let excused = credential.is_none_or(|it| it.overridden.is_some() || it.compromised.is_some());
    let over = excused || end.retirement.overlap.over(secret.steady_at(end.now));
    if over { Ok(()) } else { Err(Blocked::Time) }
}

/// Before it is removed it has been switched off for as long as it is kept, where the target can do that.
fn it_was_off_long_enough(secret: &Secret, end: &End<'_>) -> Answer {
    if !end.destroy {
        return Ok(());
    }
    let soak_ms = soak_ms(end.retirement);
    match end.retirement.disabled {
        Some(since) if Timer::new(since, soak_ms).over(secret.steady_at(end.now)) => Ok(()),
        Some(_) => Err(Blocked::Time),
        None => holds(!end.retirement.pins.profile.soft_disable || soak_ms == 0, "it has not been switched off"),
    }
}
