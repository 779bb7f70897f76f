//! Requests of operators, of the scheduler, and of the host itself.

use super::refuse::refuse;
use super::{Answer, Refusal};
use crate::command::Command;
use crate::event::{Event, Pins};
use crate::guard::Blocked;
use crate::guard::course::{may_revert, may_roll_back};
use crate::guard::start::{Start, may_start, next_slot, plan_of};
use crate::ids::{Author, Generation};
use crate::policy::Policy;
use crate::profile::Overlap;
use crate::state::{Secret, Stand};
use crate::step::{Ending, PlanKind};

/// The cause of a start that a person asked for: it is let through where a schedule's is not.
pub const BY_OPERATOR: &str = "operator";
/// The cause of a start because others know the current value: nothing that holds a schedule back holds it back.
pub const BY_COMPROMISE: &str = "compromise";

pub(super) fn start(secret: &Secret, command: &Command) -> Answer {
    let Command::Start { rotation, kind, cause, author, pins } = command else { return Ok(Vec::new()) };
    if *kind == PlanKind::Adopt {
        return Err(Refusal::new("invalid", "an import needs the credential", "use import"));
    }
    let slot = if *kind == PlanKind::Retire { None } else { next_slot(secret, &pins.profile) };
    let generation = match kind {
        PlanKind::Retire => secret.current().unwrap_or(secret.next_generation()),
        PlanKind::Issue | PlanKind::Adopt | PlanKind::Rotate => secret.next_generation(),
    };
    let pins = secret.with_places_by_hand(pins);
    let start = Start { kind: *kind, generation, slot: slot.as_ref(), pins: &pins };
    may_start(secret, &start).map_err(|blocked| refusal(secret, blocked))?;
    plan_problems(*kind, &pins)?;
    let cap = pins.policy.attempts.cap.max(1);
    let urgent = cause == BY_OPERATOR || (cause == BY_COMPROMISE && secret.must_rotate());
    if secret.setbacks() >= cap && !urgent {
        return Err(Refusal::new(
            "held",
            format!("the last {} rotations were given back", secret.setbacks()),
            "look at the history, mend the cause, then release it or rotate by hand",
        ));
    }
    Ok(vec![Event::Started {
        rotation: rotation.clone(),
        kind: *kind,
        generation,
        slot,
        cause: cause.clone(),
        author: author.clone(),
        plan: Some(plan_of(secret, *kind, &pins)),
        pins,
    }])
}

/// Why a rotation can't start, in words, and what to do instead.
fn refusal(secret: &Secret, blocked: Blocked) -> Refusal {
    match blocked {
        Blocked::Running(_) => {
            Refusal::new("conflict", blocked.to_string(), "wait for it, or roll it back, revert or abandon it")
        }
        Blocked::Restored => {
            Refusal::new("held", "the secret was restored from a backup", "reconcile it with its target")
        }
        Blocked::Frozen => {
            let author = secret.frozen().map_or_else(String::new, ToString::to_string);
            Refusal::new("frozen", format!("{author} froze it"), "thaw it")
        }
        Blocked::Held(reason) => {
            let detail = secret.hold().map_or("", |hold| hold.detail.as_str());
            Refusal::new("held", format!("it is held ({reason}): {detail}"), "release it")
        }
        Blocked::Ending(_) => {
            let instead = "wait until their retirements close, or see to what keeps them open";
            Refusal::new("conflict", blocked.to_string(), instead)
        }
        Blocked::Untried(..) => {
            let why = format!("there is no telling yet which value is in use: {blocked}; it is being tried");
            Refusal::new("conflict", why, "wait until that is known")
        }
        blocked => Refusal::new("conflict", blocked.to_string(), "look at the secret's status, and ask when it allows"),
    }
}

fn plan_problems(kind: PlanKind, pins: &Pins) -> Result<(), Refusal> {
    let problems = refuse(kind, &pins.profile, &pins.policy);
    let Some(first) = problems.first() else { return Ok(()) };
    let why: Vec<_> = problems.iter().map(|problem| problem.what.clone()).collect();
    Err(Refusal::new("invalid", why.join("; "), first.instead.clone()))
}

pub(super) fn import(secret: &Secret, command: &Command) -> Answer {
    let Command::Import { rotation, minted, slot, author, pins } = command else { return Ok(Vec::new()) };
    let first = match &pins.profile.overlap {
        Overlap::Alternate(slots) => slots.first().cloned(),
        _ => None,
    };
    let generation = secret.next_generation();
    let pins = secret.with_places_by_hand(pins);
    let slot = slot.clone().or(first);
    let start = Start { kind: PlanKind::Adopt, generation, slot: slot.as_ref(), pins: &pins };
    may_start(secret, &start).map_err(|blocked| refusal(secret, blocked))?;
    let started = Event::Started {
        rotation: rotation.clone(),
        kind: PlanKind::Adopt,
        generation,
        slot,
        cause: "import".to_owned(),
        author: author.clone(),
        plan: Some(plan_of(secret, PlanKind::Adopt, &pins)),
        pins,
    };
    Ok(vec![started, Event::Supplied { generation, minted: minted.clone(), author: author.clone() }])
}

pub(super) fn rollback(secret: &Secret, reason: &str, author: &Author) -> Answer {
    compared(secret)?;
    let (reason, author) = (reason.to_owned(), Some(author.clone()));
    if let Err(why) = may_roll_back(secret) {
        return Err(Refusal::new(
            "gone",
            why.to_string(),
            "let it go on; once it is committed, rotate to a new generation",
        ));
    }
    match secret.stand() {
        Stand::Prepare if secret.only_pending_works() => Err(Refusal::new(
            "conflict",
            "the target keeps one credential, and pending is the one that works there",
            "let it go on until pending is current, or abandon it and rotate to a new one",
        )),
        Stand::Prepare => Ok(vec![Event::RollingBack { reason, author }]),
        Stand::RollingBack => Ok(Vec::new()),
        Stand::Commit | Stand::Reverting => {
            Err(Refusal::new("conflict", "pending has become current", "revert puts the previous one back"))
        }
        Stand::Idle => Err(Refusal::new("conflict", "no rotation runs", "there is nothing to give back")),
    }
}

/// What a restored secret was in the middle of may be what is in use: it is not left before it was compared.
fn compared(secret: &Secret) -> Result<(), Refusal> {
    if secret.restored().is_some() {
        return Err(Refusal::new(
            "held",
            "the secret was restored from a backup",
            "reconcile it with its target first",
        ));
    }
    Ok(())
}

pub(super) fn revert(secret: &Secret, reason: &str, author: &Author) -> Answer {
    compared(secret)?;
    match secret.stand() {
        Stand::Reverting => return Ok(Vec::new()),
        Stand::Prepare | Stand::RollingBack => {
            return Err(Refusal::new("conflict", "nothing has been committed", "roll it back"));
        }
        Stand::Idle => return Err(Refusal::new("conflict", "no rotation runs", "rotate to a new generation")),
        Stand::Commit => {}
    }
    if let Err(why) = may_revert(secret) {
        return Err(Refusal::new("gone", why.to_string(), "go on to the end and rotate to a new generation"));
    }
    Ok(vec![Event::Reverting { reason: reason.to_owned(), author: Some(author.clone()) }])
}

/// Leaves the rotation. What is live keeps its name and gets a retirement; the secret can start again.
pub(super) fn abandon(secret: &Secret, reason: &str, author: &Author) -> Answer {
    if secret.rotation().is_none() {
        return Err(Refusal::new("conflict", "no rotation runs", "the secret can be started as it is"));
    }
    compared(secret)?;
    let finished = Event::Finished { ending: Ending::Abandoned, reason: format!("abandoned by {author}: {reason}") };
    Ok(vec![finished])
}

pub(super) fn release(secret: &Secret, author: &Author) -> Answer {
    if secret.restored().is_some() {
        return Ok(super::restored::again(secret, author));
    }
    let stuck = secret.efforts().values().any(|tries| tries.exhausted);
    if secret.hold().is_none() && !stuck && secret.setbacks() == 0 {
        return Ok(Vec::new());
    }
    Ok(vec![Event::Released { author: author.clone() }])
}

pub(super) fn let_end(secret: &Secret, generation: Generation, reason: &str, author: &Author) -> Answer {
    if !secret.generations().contains_key(&generation) {
        return Err(Refusal::new("unknown", format!("{generation} does not exist"), "see status for those that do"));
    }
    let retires = secret.rotation().is_some_and(|rotation| rotation.kind == PlanKind::Retire);
    if secret.current() == Some(generation) && !retires {
        return Err(Refusal::new(
            "conflict",
            format!("{generation} is the one in use"),
            "rotate, or retire the secret",
        ));
    }
    Ok(vec![Event::Overridden { generation, reason: reason.to_owned(), author: author.clone() }])
}

pub(super) fn compromise(secret: &Secret, generation: Generation, disable_first: bool, author: &Author) -> Answer {
    let Some(credential) = secret.generations().get(&generation) else {
        return Err(Refusal::new(
            "gone",
            format!("{generation} does not exist any more"),
            "nothing is left of it; see history for when it ended",
        ));
    };
    let at_once = credential.compromised.is_some_and(|exposure| exposure.at_once);
    if credential.compromised.is_some() && (at_once || !disable_first) {
        return Ok(Vec::new());
    }
    Ok(vec![Event::Compromised { generation, disable_first, author: author.clone() }])
}

pub(super) fn repolicy(secret: &Secret, policy: &Policy, author: &Author) -> Answer {
    let pins = secret.pins().filter(|_| secret.rotation().is_some() || !secret.retirements().is_empty());
    let Some(pins) = pins else {
        let instead = "the next rotation takes the policy from its declaration";
        return Err(Refusal::new("conflict", "no rotation runs, and nothing is ending", instead));
    };
    let kind = secret.rotation().map_or(PlanKind::Rotate, |rotation| rotation.kind);
    let problems = refuse(kind, &pins.profile, policy);
    if let Some(problem) = problems.first() {
        return Err(Refusal::new("invalid", problem.what.clone(), problem.instead.clone()));
    }
    Ok(vec![Event::Repolicied { policy: Box::new(policy.clone()), author: author.clone() }])
}
