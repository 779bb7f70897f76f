//! May a plugin call be made: what each kind of call asks, in order.

use super::{Answer, Blocked, Brake, ENDS, STEPS, all, ends, holds, unhindered};
use crate::calls::{CallState, Effort, OpenCall};
use crate::generation::Role;
use crate::ids::{CallId, Generation, Millis, Place};
use crate::retirement::Job;
use crate::rotation::Rotation;
use crate::state::Secret;
use crate::step::{CallKind, Phase, PlanKind, Step};

/// A call that is to be made, and when.
pub(crate) struct Intent<'a> {
    pub(crate) effort: &'a Effort,
    pub(crate) now: Millis,
}

/// A rule about it.
type Rule = for<'a> fn(&Secret, &Intent<'a>) -> Answer;

const LOOK: &[Rule] = &[nothing_else_is_at_it];
const TRY: &[Rule] = &[nothing_else_is_at_it, its_value_is_known];
const CREATE: &[Rule] =
    &[nothing_else_is_at_it, the_target_has_the_place, a_mint_is_due, at_the_first_place, the_slot_is_free];
const INSTALL: &[Rule] = &[
    nothing_else_is_at_it,
    the_target_has_the_place,
    it_is_sealed,
    it_is_not_compromised,
    no_destroy_was_intended,
    it_is_to_be_installed,
    the_slot_is_free,
    everyone_can_fall_over,
];
const PROMOTE: &[Rule] = &[nothing_else_is_at_it, the_target_has_the_place, it_has_been_committed];
const ENABLE: &[Rule] =
    &[nothing_else_is_at_it, the_target_has_the_place, it_can_be_restored, it_is_not_ending, it_has_a_part];
const END: &[Rule] = &[nothing_else_is_at_it, ends::may_be_ended];

/// Whether a plugin call may be made now.
pub(crate) fn may_intend(secret: &Secret, effort: &Effort, now: Millis) -> Answer {
    let (brakes, rules): (&[Brake], _) = match effort.kind {
        CallKind::Observe => (&[], LOOK),
        CallKind::Verify => (&[], TRY),
        CallKind::Create => (STEPS, CREATE),
        CallKind::Install => (STEPS, INSTALL),
        CallKind::Promote => (STEPS, PROMOTE),
        CallKind::Enable => (STEPS, ENABLE),
        CallKind::Disable | CallKind::Destroy => (ENDS, END),
    };
    unhindered(brakes, secret)?;
    all(rules, secret, &Intent { effort, now })
}

/// The call that another one about the same credential at the same place has to wait for.
pub(crate) fn occupant<'a>(
    secret: &'a Secret,
    kind: CallKind,
    generation: Generation,
    place: &Place,
) -> Option<(CallId, &'a OpenCall)> {
    let occupies = |call: &OpenCall| {
        let same = match (kind, call.kind) {
            (CallKind::Observe, CallKind::Observe) => true,
            (CallKind::Observe, _) | (_, CallKind::Observe) => false,
            // Two mints at once could not be told apart by what they leave.
            (CallKind::Create, CallKind::Create) => true,
            // One slot: whatever is done there is done to both values.
            _ => call.generation == generation || secret.slot_of(generation) == Some(None),
        };
        same && match call.state {
            CallState::Running | CallState::Doubt { .. } => true,
            CallState::Interrupted { .. } => secret.doubt(call).is_some(),
            CallState::Closed => false,
        }
    };
    let here = secret.calls().iter().filter(|(_, call)| call.place == *place);
    here.map(|(id, call)| (*id, call)).find(|(_, call)| occupies(call))
}

fn nothing_else_is_at_it(secret: &Secret, intent: &Intent<'_>) -> Answer {
    let Effort { kind, generation, place, .. } = intent.effort;
    match occupant(secret, *kind, *generation, place) {
        Some((id, call)) if call.state == CallState::Running => Err(Blocked::Call(id)),
        Some((id, _)) => Err(Blocked::Doubt(id)),
        None => Ok(()),
    }
}

fn its_value_is_known(secret: &Secret, intent: &Intent<'_>) -> Answer {
    let credential = secret.generation(intent.effort.generation).ok_or("no such generation")?;
    holds(credential.known(), "its value is unknown")
}

fn the_target_has_the_place(secret: &Secret, intent: &Intent<'_>) -> Answer {
    holds(secret.places().contains(&intent.effort.place), "the target has no such place")
}

fn a_mint_is_due(secret: &Secret, intent: &Intent<'_>) -> Answer {
    let due = secret.step(intent.now) == Some(Step::Create) && secret.pending() == Some(intent.effort.generation);
    holds(due, "no credential is to be minted now")
}

fn at_the_first_place(secret: &Secret, intent: &Intent<'_>) -> Answer {
    holds(secret.mint_place() == Some(&intent.effort.place), "a credential is minted at the first place only")
}

/// No create or install enters a slot whose old occupant has not ended.
fn the_slot_is_free(secret: &Secret, intent: &Intent<'_>) -> Answer {
    let Effort { kind, generation, place, .. } = intent.effort;
    let again = *kind == CallKind::Install && puts_again(secret, *generation);
    if again { Ok(()) } else { slot_free(secret, *generation, place) }
}

/// The same, asked before the call is put together.
pub(crate) fn slot_free(secret: &Secret, generation: Generation, place: &Place) -> Answer {
    let Some(Some(slot)) = secret.slot_of(generation) else { return Ok(()) };
    let there = secret.generations().values().filter(|other| {
        other.number != generation && other.slot.as_ref() == Some(slot) && other.liveness(place).lingers()
    });
    let taken: Vec<_> = there.map(|it| Job { generation: it.number, place: place.clone(), orphan: None }).collect();
    if !taken.is_empty() {
        return Err(Blocked::Ending(taken));
    }
    if !secret.slot_doubtful(generation, place) {
        return Ok(());
    }
    // Nobody knows what it holds since a restore: whoever may use that has to be known to use current.
    secret.all_use_current(secret.clock()).answer()
}

fn it_is_sealed(secret: &Secret, intent: &Intent<'_>) -> Answer {
    let credential = secret.generation(intent.effort.generation).ok_or("no such generation")?;
    holds(credential.minted.is_some(), "it has not been minted and sealed")
}

fn it_is_not_compromised(secret: &Secret, intent: &Intent<'_>) -> Answer {
    let exposed = secret.generation(intent.effort.generation).is_some_and(|it| it.compromised.is_some());
    holds(!exposed, "it is compromised: nothing restores it")
}

fn no_destroy_was_intended(secret: &Secret, intent: &Intent<'_>) -> Answer {
    let destroying = secret.generation(intent.effort.generation).is_some_and(|it| it.destroying());
    holds(!destroying, "a destroy of it has been intended")
}

/// What the rotation is about; what is put in again on the way back; or, at rest, the current value at a place that is
/// behind the others.
fn it_is_to_be_installed(secret: &Secret, intent: &Intent<'_>) -> Answer {
    let (generation, place) = (intent.effort.generation, &intent.effort.place);
    let Some(rotation) = secret.rotation() else {
        let level = secret.current() == Some(generation) && secret.to_be_levelled(generation, place);
        return holds(level, "no rotation runs");
    };
    if puts_again(secret, generation) {
        let known = secret.generation(generation).is_some_and(|it| it.known());
        let can = rotation.pins.profile.reinstall && known;
        return holds(can, "the target forbids putting it in again, or its value is unknown");
    }
    let forward = matches!(rotation.phase, Phase::Prepare | Phase::Commit) && generation == rotation.aim;
    holds(forward, "it is not the generation to be installed")
}

fn puts_again(secret: &Secret, generation: Generation) -> bool {
    secret.rotation().is_some_and(|rotation| puts_back(secret, rotation) == Some(generation))
}

/// With one slot: the value that is put in again, after another was or may have been installed over it.
pub(crate) fn puts_back(secret: &Secret, rotation: &Rotation) -> Option<Generation> {
    match rotation.phase {
        Phase::RollingBack => secret.current().filter(|current| secret.rival(*current) == Some(rotation.made)),
        Phase::Reverting => secret.previous().filter(|previous| secret.rival(*previous).is_some()),
        Phase::Prepare | Phase::Commit => None,
    }
}

/// With one slot the install ends the old value: everyone can fall over to the new one, or somebody answers for it.
fn everyone_can_fall_over(secret: &Secret, intent: &Intent<'_>) -> Answer {
    let generation = intent.effort.generation;
    let Some(rotation) = secret.rotation().filter(|rotation| rotation.kind == PlanKind::Rotate) else { return Ok(()) };
    let answered_for = rotation.reverted || (rotation.committed && secret.excused());
    if secret.replaying() || !secret.one_slot() || answered_for || puts_again(secret, generation) {
        return Ok(());
    }
    secret.ready(generation, intent.now).answer()
}

fn it_has_been_committed(secret: &Secret, intent: &Intent<'_>) -> Answer {
    let committed = |rotation: &Rotation| rotation.committing() && rotation.aim == intent.effort.generation;
    holds(secret.rotation().is_some_and(committed), "only what is current is promoted")
}

fn it_can_be_restored(secret: &Secret, intent: &Intent<'_>) -> Answer {
    let credential = secret.generation(intent.effort.generation).ok_or("no such generation")?;
    holds(!credential.lost(), "nothing restores it")
}

fn it_is_not_ending(secret: &Secret, intent: &Intent<'_>) -> Answer {
    let ending = secret.retirement(intent.effort.generation, &intent.effort.place).is_some();
    holds(!ending, "it is being retired")
}

fn it_has_a_part(secret: &Secret, intent: &Intent<'_>) -> Answer {
    let part = secret.role(intent.effort.generation);
    holds(matches!(part, Some(Role::Previous | Role::Current)), "it has no part any more")
}
