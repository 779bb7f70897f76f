//! Puts a plugin call together, or says why it has to wait: another call about it, a pause after a failure.

use super::Say;
use crate::action::{Call, Waiting};
use crate::calls::{CallState, Effort, OpenCall};
use crate::event::{HoldReason, Pins};
use crate::generation::Liveness;
use crate::guard::Blocked;
use crate::guard::calls::may_intend;
use crate::ids::{Generation, Millis, OperationId, Place, RotationId, TargetId};
use crate::retirement::{Job, Retirement};
use crate::rotation::Rotation;
use crate::state::Secret;
use crate::step::{CallKind, Step};
use std::sync::Arc;

/// On whose behalf a call is made.
pub(super) struct Sponsor {
    pub(super) rotation: RotationId,
    pub(super) pins: Arc<Pins>,
}

impl Sponsor {
    pub(super) fn rotation(rotation: &Rotation) -> Self {
        Self { rotation: rotation.id.clone(), pins: rotation.pins.clone() }
    }

    pub(super) fn retirement(retirement: &Retirement) -> Self {
        Self { rotation: retirement.rotation.clone(), pins: retirement.pins.clone() }
    }

    /// The running rotation, or whatever ran last, with what a credential was made with.
    pub(super) fn credential(secret: &Secret, generation: Generation) -> Option<Self> {
        let any = Self::any(secret)?;
        let own = secret.generations().get(&generation).map(|it| &it.pins);
        let pins = own.filter(|own| !own.same_site(&any.pins)).map_or(any.pins, Arc::clone);
        Some(Self { rotation: any.rotation, pins })
    }

    pub(super) fn call(call: &OpenCall) -> Self {
        Self { rotation: call.rotation.clone(), pins: call.pins.clone() }
    }

    /// The running rotation, or whatever ran last.
    pub(super) fn any(secret: &Secret) -> Option<Self> {
        let last = || {
            let (rotation, pins) = secret.last_rotation().cloned().zip(secret.pins().cloned())?;
            Some(Self { rotation, pins })
        };
        secret.rotation().map(Self::rotation).or_else(last)
    }
}

/// A call for the running rotation.
pub(super) fn call(secret: &Secret, now: Millis, kind: CallKind, step: Step, place: &Place) -> Option<Say> {
    let rotation = secret.rotation()?;
    let effort = Effort { kind, generation: rotation.aim, place: place.clone(), orphan: None };
    Some(attempt(secret, now, step, &effort, Sponsor::rotation(rotation)))
}

/// The next attempt at something, unless it has to wait.
pub(super) fn attempt(secret: &Secret, now: Millis, step: Step, effort: &Effort, sponsor: Sponsor) -> Say {
    let Effort { kind, generation, place, .. } = effort;
    if let Err(blocked) = may_intend(secret, effort, now) {
        return wait(secret, step, blocked);
    }
    let tries = secret.efforts().get(effort);
    if tries.is_some_and(|tries| tries.exhausted) {
        return Say::Wait(None, Waiting::Stuck(*kind, *generation, place.clone()));
    }
    if let Some(tries) = tries.filter(|tries| now < tries.not_before) {
        return Say::Wait(Some(tries.not_before), Waiting::BackOff(step));
    }
    let resumed = resumable(secret, effort);
    let failed = tries.map_or(0, |tries| tries.count);
    let attempt = resumed.map_or(failed + 1, |(_, call)| call.attempt);
    let resumes =
        resumed.map_or_else(Vec::new, |(id, call)| std::iter::once(id).chain(call.resumes.iter().copied()).collect());
    Say::Call(Box::new(Call {
        call: secret.next_call(),
        kind: *kind,
        step,
        generation: *generation,
        id: effort.orphan.clone().or_else(|| id_of(secret, *generation, place)),
        orphan: effort.orphan.clone(),
        place: place.clone(),
        attempt,
        operation: operation(secret, step, effort, &sponsor),
        // A call that is taken up again keeps the baseline of the one that was sent.
        baseline: resumed.map_or_else(|| baseline(secret, *kind, place), |(_, call)| call.baseline.clone()),
        values: values(secret, *kind, *generation, &sponsor.pins),
        resumes,
        rotation: sponsor.rotation,
        timeout_ms: sponsor.pins.policy.call_timeout_ms,
        pins: sponsor.pins,
    }))
}

/// What is waited for where a guard stands in the way.
pub(super) fn wait(secret: &Secret, step: Step, blocked: Blocked) -> Say {
    let doubt = |id| secret.calls().get(id).and_then(|call| secret.settled(call));
    let until = if let Blocked::Doubt(id) = &blocked { doubt(id) } else { None };
    let first = |jobs: Vec<Job>| jobs.into_iter().next();
    let waiting = match blocked {
        Blocked::Consumers(missing) => Waiting::Consumers { step, missing },
        Blocked::Call(id) => Waiting::Call(id),
        Blocked::Doubt(id) => Waiting::Doubt(id),
        Blocked::Ending(jobs) => {
            first(jobs).map_or(Waiting::Timer(step), |job| Waiting::Retirement(job.generation, job.place))
        }
        Blocked::Newer(generation, place) => Waiting::Retirement(generation, place),
        Blocked::Held(reason) => Waiting::Held(reason),
        Blocked::Restored => Waiting::Held(HoldReason::Reconcile),
        Blocked::Frozen => Waiting::Frozen,
        Blocked::Time => Waiting::Timer(step),
        blocked @ (Blocked::Untried(..) | Blocked::Away(_) | Blocked::Running(_) | Blocked::Unfit(_)) => {
            Waiting::Blocked(step, blocked.to_string())
        }
    };
    Say::Wait(until, waiting)
}

fn resumable<'a>(secret: &'a Secret, effort: &Effort) -> Option<(crate::ids::CallId, &'a OpenCall)> {
    let fits = |call: &OpenCall| {
        matches!(call.state, CallState::Interrupted { .. })
            && call.sents.is_empty()
            && call.effort() == *effort
            && secret.still_wanted(call)
    };
    secret.calls().iter().rev().find(|(_, call)| fits(call)).map(|(id, call)| (*id, call))
}

fn operation(secret: &Secret, step: Step, effort: &Effort, sponsor: &Sponsor) -> OperationId {
    let job = Job { generation: effort.generation, place: effort.place.clone(), orphan: effort.orphan.clone() };
    let recalls = secret.generations().get(&effort.generation).map_or(0, |it| it.recalls);
    let mark = match &effort.orphan {
        Some(_) => secret.retirements().get(&job).map(|retirement| format!("orphan-{}", retirement.mark)),
        None => (recalls > 0).then(|| format!("again-{recalls}")),
    };
    let name = if effort.kind == CallKind::Observe { "observe" } else { step.name() };
    let name = if effort.kind == CallKind::Enable { "enable" } else { name };
    OperationId::of(&sponsor.rotation, name, effort.generation, &effort.place, mark.as_deref())
}

fn id_of(secret: &Secret, generation: Generation, place: &Place) -> Option<TargetId> {
    secret.generations().get(&generation).and_then(|credential| credential.id_at(place)).cloned()
}

fn baseline(secret: &Secret, kind: CallKind, place: &Place) -> Vec<TargetId> {
    let seen = secret.observations().get(place).filter(|_| kind == CallKind::Create);
    seen.map_or_else(Vec::new, |seen| seen.live.iter().map(|live| live.id.clone()).collect())
}

/// Whose values the call may use. A target that is told the whole (two passwords at once) is told all that shall live.
fn values(secret: &Secret, kind: CallKind, generation: Generation, pins: &Pins) -> Vec<Generation> {
    let known = |it: &&crate::generation::Credential| it.known();
    match kind {
        // Where the target shows no values, the look finds out by logging in with each that may be there.
        CallKind::Observe => {
            let there = |it: &&crate::generation::Credential| !it.removed() && it.pins.same_target(pins);
            secret.generations().values().filter(known).filter(there).map(|it| it.number).collect()
        }
        CallKind::Verify => vec![generation],
        CallKind::Create
        | CallKind::Install
        | CallKind::Promote
        | CallKind::Disable
        | CallKind::Enable
        | CallKind::Destroy => {
            let lives = |it: &&crate::generation::Credential| {
                it.number == generation
                    || secret.role(it.number).is_some_and(|role| role != crate::generation::Role::Retiring)
                    || it.places.values().any(|standing| standing.liveness == Liveness::Live)
            };
            let there = |it: &&crate::generation::Credential| it.number == generation || it.pins.same_target(pins);
            secret.generations().values().filter(known).filter(there).filter(lives).map(|it| it.number).collect()
        }
    }
}

/// A look at what is live at a place.
pub(super) fn observe(
    secret: &Secret,
    now: Millis,
    step: Step,
    place: &Place,
    generation: Generation,
    sponsor: Sponsor,
) -> Say {
    let effort = Effort { kind: CallKind::Observe, generation, place: place.clone(), orphan: None };
    attempt(secret, now, step, &effort, sponsor)
}
