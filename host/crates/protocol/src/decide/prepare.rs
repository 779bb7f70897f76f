//! Create, install, verify, stage, commit. Under overlap `none` the same rules run in the plan's other order.

use super::Say;
use super::build::{self, Sponsor};
use crate::action::Waiting;
use crate::calls::{CallState, Effort, Observation};
use crate::event::{Event, HoldReason, Live, RetireCause};
use crate::fault::FailureClass;
use crate::generation::{Liveness, Verified};
use crate::guard::calls::{occupant, puts_back, slot_free};
use crate::guard::course::may_roll_back;
use crate::ids::{Author, Generation, Millis, Place};
use crate::policy::AtDeadline;
use crate::profile::Overlap;
use crate::state::Secret;
use crate::step::{CallKind, Phase, PlanKind, Step};
use crate::timers::Timer;

/// Attempts are used up, or another one is no use. Before commit a certain refusal gives pending back; what may still
/// come right, and everything after commit, waits for a person. What is being given back is not wanted any more: that
/// it failed holds nothing.
pub(super) fn quarantine(secret: &Secret, _: Millis) -> Option<Say> {
    let rotation = secret.rotation()?;
    let back = puts_back(secret, rotation);
    let ours = |effort: &Effort| {
        effort.orphan.is_none()
            && !matches!(effort.kind, CallKind::Disable | CallKind::Destroy)
            && match rotation.phase {
                Phase::RollingBack => Some(effort.generation) == back,
                _ => effort.generation == rotation.aim || Some(effort.generation) == secret.previous(),
            }
    };
    let (effort, tries) = secret.efforts().iter().find(|(effort, tries)| tries.exhausted && ours(effort))?;
    let hopeless = !matches!(tries.fault.class, FailureClass::Retryable | FailureClass::Ambiguous);
    let Effort { kind, generation, place, .. } = effort;
    if *kind == CallKind::Install && open_question(secret, *generation, place) {
        return None;
    }
    let detail = format!("{kind} of {generation} at {place} failed after {} attempts: {}", tries.count, tries.fault);
    if rotation.phase == Phase::Prepare && hopeless && may_roll_back(secret).is_ok() {
        return Some(Say::Record(vec![Event::RollingBack { reason: detail, author: None }]));
    }
    Some(hold(HoldReason::Quarantined, detail))
}

/// With one slot: an install has failed there, and it is not known yet which of the two values is in the slot.
fn open_question(secret: &Secret, generation: Generation, place: &Place) -> bool {
    let Some(rival) = secret.rival(generation) else { return false };
    let maybe =
        |it| secret.generations().get(&it).is_some_and(|it| it.known() && it.liveness(place) == Liveness::Maybe);
    let settled = |it| secret.works_at(it, place) || secret.refused(it, place).is_some();
    maybe(generation) && !secret.works_at(rival, place) && !(settled(generation) && settled(rival))
}

pub(super) fn hold(reason: HoldReason, detail: String) -> Say {
    Say::Record(vec![Event::Held { reason, detail }])
}

fn at(secret: &Secret, now: Millis, step: Step) -> bool {
    secret.step(now) == Some(step)
}

/// Mint pending. Where the target mints or counts, and before the first credential, a fresh look comes first.
pub(super) fn create(secret: &Secret, now: Millis) -> Option<Say> {
    if !at(secret, now, Step::Create) {
        return None;
    }
    let rotation = secret.rotation()?;
    let place = secret.mint_place()?;
    if occupant(secret, CallKind::Create, rotation.made, place).is_some() {
        return build::call(secret, now, CallKind::Create, Step::Create, place);
    }
    if let Err(blocked) = slot_free(secret, rotation.made, place) {
        return Some(build::wait(secret, Step::Create, blocked));
    }
    let resumes = secret.calls().values().any(|call| {
        call.kind == CallKind::Create
            && matches!(call.state, CallState::Interrupted { .. })
            && secret.still_wanted(call)
    });
    let limited = matches!(rotation.pins.profile.overlap, Overlap::Native(_));
    if let Some(say) = look_first(secret, now).filter(|_| !resumes) {
        return Some(say);
    }
    if (secret.target_mints() || limited) && !resumes {
        let sponsor = Sponsor::rotation(rotation);
        if !fresh(secret, place) {
            return Some(build::observe(secret, now, Step::Create, place, rotation.made, sponsor));
        }
        if let Some(say) = quota(secret, place) {
            return Some(say);
        }
    }
    build::call(secret, now, CallKind::Create, Step::Create, place)
}

/// Nothing of ours has changed a place since it was looked at, and the look belongs to this rotation.
fn fresh(secret: &Secret, place: &Place) -> bool {
    let first = secret.rotation().map(|rotation| rotation.first_call);
    let least = first.max(secret.last_mutation().get(place).copied());
    let pins = secret.pins();
    let same = |seen: &Observation| pins.is_some_and(|pins| pins.same_site(&seen.pins));
    secret.observations().get(place).is_some_and(|seen| Some(seen.call) >= least && same(seen))
}

/// The first credential of a slot overwrites what is in it: every place is looked at, and what is in use there, and is
/// not known here, stays as it is, unless the declaration gives it away.
fn look_first(secret: &Secret, now: Millis) -> Option<Say> {
    let rotation = secret.rotation().filter(|rotation| rotation.kind == PlanKind::Issue)?;
    let slot = match rotation.pins.profile.overlap {
        Overlap::None => None,
        Overlap::Alternate(_) => Some(secret.generations().get(&rotation.made)?.slot.as_ref()?),
        Overlap::Native(_) | Overlap::Replace => return None,
    };
    if rotation.pins.profile.replaces {
        return None;
    }
    let look = |place: &Place| {
        let sponsor = Sponsor::rotation(rotation);
        Some(build::observe(secret, now, Step::Create, place, rotation.made, sponsor))
    };
    if let Some(say) = each(secret, |place| !fresh(secret, place), look) {
        return Some(say);
    }
    let (place, found) = secret.places().iter().find_map(|place| {
        let ours = |live: &Live| secret.generations().values().any(|it| it.id_at(place) == Some(&live.id));
        let here = |live: &Live| slot.is_none() || live.slot.as_ref() == slot;
        let mut seen = secret.observations().get(place)?.live.iter();
        Some(place).zip(seen.find(|live| live.active && here(live) && !ours(live)))
    })?;
    let reason = format!(
        "at {place} {} is in use, and it is not known here: nothing was changed. Import it, or end it there, or declare \
         that it may be replaced, where the plugin has a setting for that",
        found.id
    );
    Some(Say::Record(vec![Event::RollingBack { reason, author: None }]))
}

/// No room for another credential: what is ending makes room, then what is known to others, then a person.
fn quota(secret: &Secret, place: &Place) -> Option<Say> {
    let rotation = secret.rotation()?;
    let Overlap::Native(limit) = rotation.pins.profile.overlap else { return None };
    let live = &secret.observations().get(place)?.live;
    if live.len() < limit as usize {
        return None;
    }
    if let Some(job) = secret.retirements().keys().find(|job| job.place == *place) {
        return Some(Say::Wait(None, Waiting::Retirement(job.generation, place.clone())));
    }
    let given_up =
        secret.generations().values().find(|it| secret.ends_at_once(it.number) && it.liveness(place).lingers());
    if let Some(given_up) = given_up {
        return Some(Say::Record(vec![Event::RetirementOpened {
            generation: given_up.number,
            place: place.clone(),
            cause: RetireCause::Compromised,
            id: None,
        }]));
    }
    let ids: Vec<_> = live.iter().map(|live| live.id.as_str()).collect();
    let detail = format!("{place} has room for {limit} credentials and holds {}: {}", live.len(), ids.join(", "));
    Some(hold(HoldReason::Quota, detail))
}

/// Make the new value valid, at every place at once.
pub(super) fn install(secret: &Secret, now: Millis) -> Option<Say> {
    if !at(secret, now, Step::Install) {
        return None;
    }
    let rotation = secret.rotation()?;
    let aim = rotation.aim;
    each(
        secret,
        |place| !secret.installed_at(aim, place),
        |place| {
            if let Err(blocked) = slot_free(secret, aim, place) {
                return Some(build::wait(secret, Step::Install, blocked));
            }
            let unsure = secret.generations().get(&aim)?.liveness(place) == Liveness::Maybe;
            if secret.one_slot()
                && unsure
                && let Some(say) = truth(secret, now, aim, place)
            {
                return Some(say);
            }
            build::call(secret, now, CallKind::Install, Step::Install, place)
        },
    )
}

/// One slot and an answer that never came: the login that works is the truth. `None`: install again.
fn truth(secret: &Secret, now: Millis, aim: Generation, place: &Place) -> Option<Say> {
    if occupant(secret, CallKind::Install, aim, place).is_some() {
        return build::call(secret, now, CallKind::Install, Step::Install, place);
    }
    let new = secret.generations().get(&aim)?;
    let Some(refused) = secret.refused(aim, place) else {
        return verify_at(secret, now, aim, place);
    };
    let old = secret.rival(aim).and_then(|old| secret.generations().get(&old)).filter(|old| old.known())?;
    if old.at(place).verified == Verified::Works {
        return None;
    }
    match secret.refused(old.number, place) {
        None => verify_at(secret, now, old.number, place),
        Some(other) => Some(hold(HoldReason::Drift, drift(place, &[(new.number, refused), (old.number, other)]))),
    }
}

/// None of the values that keybaton holds works in the only slot.
pub(super) fn drift(place: &Place, refused: &[(Generation, String)]) -> String {
    let each: Vec<_> = refused.iter().map(|(generation, why)| format!("{generation} ({why})")).collect();
    format!(
        "at {place} neither {} works, and both are kept: put one of them back at the target, then release",
        each.join(" nor ")
    )
}

/// When a value that was refused is tried again: not before a pause, and once more when the target has settled.
pub(super) fn next_try(secret: &Secret, generation: Generation, place: &Place) -> Option<Millis> {
    let credential = secret.generations().get(&generation)?;
    let (standing, pins) = (credential.at(place), &credential.pins);
    let Verified::Refused { at, .. } = standing.verified else { return None };
    let settled = standing.changed_at.plus(pins.profile.settle_ms);
    Some(at.plus(pins.policy.attempts.base_ms.max(1)).min(settled.max(at.plus(1))))
}

/// Try a value, again and again while the target may be settling.
pub(super) fn verify_at(secret: &Secret, now: Millis, generation: Generation, place: &Place) -> Option<Say> {
    let rotation = secret.rotation()?;
    if let Some(again) = next_try(secret, generation, place).filter(|again| now < *again) {
        return Some(Say::Wait(Some(again), Waiting::BackOff(Step::Verify)));
    }
    let effort = Effort { kind: CallKind::Verify, generation, place: place.clone(), orphan: None };
    let own = Sponsor::credential(secret, generation).filter(|own| !own.pins.same_site(&rotation.pins));
    Some(build::attempt(secret, now, Step::Verify, &effort, own.unwrap_or_else(|| Sponsor::rotation(rotation))))
}

/// Prove the new value, at every place.
pub(super) fn verify(secret: &Secret, now: Millis) -> Option<Say> {
    if !at(secret, now, Step::Verify) {
        return None;
    }
    let rotation = secret.rotation()?;
    let aim = rotation.aim;
    each(
        secret,
        |place| !secret.works_at(aim, place),
        |place| match secret.refused(aim, place) {
            None => verify_at(secret, now, aim, place),
            Some(reason) if secret.rival(aim).is_some() => truth(secret, now, aim, place)
                .or_else(|| Some(hold(HoldReason::Quarantined, format!("{aim} was refused at {place}: {reason}")))),
            Some(reason) if rotation.phase == Phase::Prepare => {
                let reason = format!("{aim} was refused at {place}: {reason}");
                Some(Say::Record(vec![Event::RollingBack { reason, author: None }]))
            }
            Some(reason) => Some(hold(HoldReason::Quarantined, format!("{aim} was refused at {place}: {reason}"))),
        },
    )
}

/// What a rule says of each place that needs it: the first thing to do, else the first wait.
pub(super) fn each(
    secret: &Secret,
    needs: impl Fn(&Place) -> bool,
    say: impl Fn(&Place) -> Option<Say>,
) -> Option<Say> {
    let mut wait = None;
    for place in secret.places().iter().filter(|place| needs(place)) {
        match say(place) {
            Some(Say::Wait(until, waiting)) => drop(wait.get_or_insert(Say::Wait(until, waiting))),
            None => {}
            act => return act,
        }
    }
    wait
}

/// Offer pending, then wait until everyone who must has tried it.
pub(super) fn stage(secret: &Secret, now: Millis) -> Option<Say> {
    if !at(secret, now, Step::Stage) {
        return None;
    }
    let rotation = secret.rotation()?;
    if rotation.staged.is_none() {
        return Some(Say::Record(vec![Event::Staged]));
    }
    if let Some(reason) = failure(secret, rotation.made) {
        return Some(Say::Record(vec![Event::RollingBack { reason, author: None }]));
    }
    let missing = secret.ready(rotation.made, now).0;
    Some(stragglers(secret, now, Step::Stage, missing, rotation.made))
}

/// A member of a required consumer that could not use a generation, and why.
pub(super) fn failure(secret: &Secret, generation: Generation) -> Option<String> {
    let required = |name| secret.consumers().get(name).is_some_and(|consumer| consumer.required);
    let counts = |name, replica| required(name) && secret.is_member(name, replica);
    secret.replicas().iter().filter(|((name, replica), _)| counts(name, replica)).find_map(
        |((name, replica), state)| {
            let said = state.failed.get(&generation)?;
            Some(format!("{name} {replica} could not use {generation}: {}", said.reason))
        },
    )
}

/// Waits for who is missing, and at the deadline does as the policy says. `excuse` is what `force` lets pass.
pub(super) fn stragglers(
    secret: &Secret,
    now: Millis,
    step: Step,
    missing: Vec<(crate::ids::ConsumerName, crate::ids::Replica)>,
    excuse: Generation,
) -> Say {
    let names: Vec<_> = missing.iter().map(|(name, replica)| format!("{name} {replica}")).collect();
    let names = names.join(", ");
    let force = |reason| Say::Record(vec![Event::Overridden { generation: excuse, reason, author: Author::policy() }]);
    let yields_at = secret.yields_at();
    if yields_at.is_some_and(|at| at <= now) {
        return force(format!("{step}: the credential in use expires; nobody is waited for any more: {names}"));
    }
    let rotation = secret.rotation();
    let policy = rotation.map(|rotation| (&rotation.pins.policy.stragglers, rotation.patience));
    let due = policy.filter(|(stragglers, since)| {
        stragglers.deadline_ms.is_some_and(|deadline_ms| Timer::new(*since, deadline_ms).over(secret.steady_at(now)))
    });
    let wait = |missing| Say::Wait(yields_at, Waiting::Consumers { step, missing });
    let Some((stragglers, _)) = due else { return wait(missing) };
    let detail = format!("{step}: no answer in time from {names}");
    let prepares = rotation.is_some_and(|rotation| rotation.preparing());
    match stragglers.then {
        AtDeadline::Force => force(detail),
        AtDeadline::Rollback if prepares => Say::Record(vec![Event::RollingBack { reason: detail, author: None }]),
        // Old and new do not know of each other, and the old one ends by itself: nobody has to come and see to it.
        AtDeadline::Hold if prepares && replaces(secret) => force(detail),
        AtDeadline::Rollback | AtDeadline::Hold if replaces(secret) => wait(missing),
        AtDeadline::Rollback | AtDeadline::Hold if ends_by_itself(secret, now) => wait(missing),
        AtDeadline::Rollback | AtDeadline::Hold => hold(HoldReason::Stragglers, detail),
    }
}

/// Whether the target keeps old and new side by side, so that neither stands in the other's way.
fn replaces(secret: &Secret) -> bool {
    secret.profile().is_some_and(|profile| profile.overlap == Overlap::Replace)
}

/// Whether what consumers are to leave should have expired by now: it is tried until it has.
pub(super) fn ends_by_itself(secret: &Secret, now: Millis) -> bool {
    secret.awaited_for(now).is_some_and(|(old, _)| secret.past_expiry(old, now))
}

/// Pending becomes current: one durable write.
pub(super) fn commit(secret: &Secret, now: Millis) -> Option<Say> {
    at(secret, now, Step::Commit).then(|| Say::Record(vec![Event::Committed]))
}
