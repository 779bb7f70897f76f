//! Compromises and restores. Nothing restores what others know; nothing is trusted that was said in another life.

use super::Say;
use super::build::{self, Sponsor};
use crate::calls::Effort;
use crate::event::{Event, RetireCause};
use crate::guard::course::{may_revert, may_roll_back};
use crate::ids::{Generation, Millis, Place};
use crate::state::Secret;
use crate::step::{CallKind, Ending, Phase, PlanKind, Step};

/// After a restore: look at every place, and try there what may be in use: the current credential, the pending one, and
/// where current is refused the previous one. What fails or is refused is tried again, for as long as it takes.
pub(super) fn compare_after_restore(secret: &Secret, now: Millis) -> Option<Say> {
    secret.restored()?;
    let mut wait = None;
    for place in secret.places() {
        let generation = secret.current().unwrap_or(Generation(0));
        let say = if secret.seen_since_restore(place) {
            let Some(candidate) = candidate(secret, place) else { continue };
            let effort = Effort { kind: CallKind::Verify, generation: candidate, place: place.clone(), orphan: None };
            build::attempt(secret, now, Step::Verify, &effort, Sponsor::any(secret)?)
        } else {
            build::observe(secret, now, Step::Verify, place, generation, Sponsor::any(secret)?)
        };
        match say {
            Say::Wait(until, waiting) => drop(wait.get_or_insert(Say::Wait(until, waiting))),
            say => return Some(say),
        }
    }
    wait
}

/// The credential to try at a place after a restore, if any is left to try.
fn candidate(secret: &Secret, place: &Place) -> Option<Generation> {
    let restored = secret.restored()?;
    let tried = |generation: Generation| restored.tried.get(&(generation, place.clone())).copied();
    let known = |generation: &Generation| secret.generations().get(generation).is_some_and(|it| it.known());
    let (current, pending) = (secret.current().filter(known), secret.pending().filter(known));
    let refused = current.is_some_and(|it| tried(it) == Some(false));
    let previous = secret.previous().filter(known).filter(|_| refused);
    let untried = [current, pending, previous].into_iter().flatten().find(|it| tried(*it).is_none());
    let other_works = [pending, previous].into_iter().flatten().any(|it| tried(it) == Some(true));
    untried.or_else(|| current.filter(|_| refused && !other_works))
}

fn exposed(secret: &Secret, generation: Option<Generation>) -> bool {
    generation.and_then(|it| secret.generations().get(&it)).is_some_and(|it| it.compromised.is_some())
}

/// Pending is known to others: it is given back.
pub(super) fn give_up_compromised_pending(secret: &Secret, _: Millis) -> Option<Say> {
    let rotation = secret.rotation().filter(|rotation| rotation.phase == Phase::Prepare)?;
    let reason = "pending is compromised".to_owned();
    let exposed = exposed(secret, Some(rotation.made)) && may_roll_back(secret).is_ok();
    exposed.then(|| Say::Record(vec![Event::RollingBack { reason, author: None }]))
}

/// Current is known to others: back to a clean previous, where there is one. Where there is none, and it ends before
/// anyone has switched or was never installed, so does the rotation: another has to start. Else the rotation goes on to its end first.
pub(super) fn leave_compromised_current(secret: &Secret, now: Millis) -> Option<Say> {
    let rotation = secret.rotation().filter(|rotation| rotation.phase == Phase::Commit)?;
    let exposure = secret.generations().get(&rotation.aim)?.compromised?;
    if rotation.kind == PlanKind::Retire {
        return None;
    }
    let reason = "current is compromised".to_owned();
    if may_revert(secret).is_ok() {
        return Some(Say::Record(vec![Event::Reverting { reason, author: None }]));
    }
    let never_there = secret.step(now) == Some(Step::Install);
    (exposure.at_once || never_there).then(|| Say::Record(vec![Event::Finished { ending: Ending::Abandoned, reason }]))
}

/// What is known to others and not in use, or was asked to end first, ends at once.
pub(super) fn end_compromised(secret: &Secret, _: Millis) -> Option<Say> {
    let mut events = Vec::new();
    for credential in secret.generations().values() {
        let at_once = secret.ends_at_once(credential.number);
        let pending = secret.pending() == Some(credential.number);
        let in_use = secret.current() == Some(credential.number) && secret.slot_of(credential.number) == Some(None);
        if !at_once || pending || in_use || secret.shares_the_only_slot(credential.number) {
            continue;
        }
        let open = |place: &&Place| secret.retirement(credential.number, place).is_none();
        events.extend(credential.lingering().filter(open).map(|place| Event::RetirementOpened {
            generation: credential.number,
            place: place.clone(),
            cause: RetireCause::Compromised,
            id: None,
        }));
    }
    (!events.is_empty()).then_some(Say::Record(events))
}
