//! Requests of operators, of the scheduler, and of the host itself.

use super::refuse::refuse;
use super::{Answer, Refusal};
use crate::command::Command;
use crate::event::{Event, Pins};
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
    if let Some(running) = &secret.rotation() {
        return Err(Refusal::new(
            "conflict",
            format!("rotation {} is running", running.id),
            "wait for it, or roll it back, revert or abandon it",
        ));
    }
    if *kind == PlanKind::Adopt {
        return Err(Refusal::new("invalid", "an import needs the credential", "use import"));
    }
    brakes(secret)?;
    plan_problems(*kind, pins)?;
    let cap = pins.policy.attempts.cap.max(1);
    let urgent = cause == BY_OPERATOR || (cause == BY_COMPROMISE && secret.must_rotate());
    if secret.setbacks() >= cap && !urgent {
        return Err(Refusal::new(
            "held",
            format!("the last {} rotations were given back", secret.setbacks()),
            "look at the history, mend the cause, then release it or rotate by hand",
        ));
    }
    let slot = if *kind == PlanKind::Retire { None } else { secret.next_slot(&pins.profile) };
    let generation = match kind {
        PlanKind::Retire => secret.current().unwrap_or(secret.next_generation()),
        PlanKind::Issue | PlanKind::Adopt | PlanKind::Rotate => secret.next_generation(),
    };
    let pins = secret.with_places_by_hand(pins);
    let blocked = room(secret, *kind, &pins);
    if let Some(why) = blocked {
        return Err(Refusal::new(
            "conflict",
            why,
            "wait until their retirements close, or see to what keeps them open",
        ));
    }
    Ok(vec![Event::Started {
        rotation: rotation.clone(),
        kind: *kind,
        generation,
        slot,
        cause: cause.clone(),
        author: author.clone(),
        plan: Some(secret.plan_of(*kind, &pins)),
        pins,
    }])
}

/// Named live credentials with open retirements that leave no room for another.
fn room(secret: &Secret, kind: PlanKind, pins: &Pins) -> Option<String> {
    if let Some(place) = secret.undecided() {
        let both = [secret.previous(), secret.current()].into_iter().flatten().map(|it| it.to_string());
        let both = both.collect::<Vec<_>>().join(" or ");
        return Some(format!("there is no telling yet which of {both} works at {place}: it is being tried"));
    }
    if secret.old_one_works() {
        return Some("the previous credential turned out to be the one that works: that is being recorded".to_owned());
    }
    if kind == PlanKind::Retire {
        let left = secret.previous()?;
        return Some(format!("{left} has not ended: the secret ends when one credential is left"));
    }
    let next = secret.next_slot(&pins.profile);
    let mut names = Vec::new();
    for job in secret.retirements().keys().filter(|job| !secret.away(&job.place)) {
        let slot = secret.generations().get(&job.generation).and_then(|it| it.slot.as_ref());
        let blocks = match &pins.profile.overlap {
            Overlap::Native(limit) => {
                let here = |credential: &&crate::generation::Credential| credential.liveness(&job.place).lingers();
                let own = secret.generations().values().filter(here).count();
                let orphans = secret.retirements().keys().filter(|it| it.place == job.place && it.orphan.is_some());
                own + orphans.count() >= *limit as usize
            }
            Overlap::Alternate(_) => slot.is_some() && slot == next.as_ref(),
            Overlap::Replace | Overlap::None => false,
        };
        if blocks {
            let id = job.orphan.as_ref().map_or_else(String::new, |id| format!(" ({id})"));
            names.push(format!("{}{id} at {}", job.generation, job.place));
        }
    }
    (!names.is_empty()).then(|| format!("there is no room before these have ended: {}", names.join(", ")))
}

fn brakes(secret: &Secret) -> Result<(), Refusal> {
    if secret.restored().is_some() {
        return Err(Refusal::new("held", "the secret was restored from a backup", "reconcile it with its target"));
    }
    if let Some(author) = &secret.frozen() {
        return Err(Refusal::new("frozen", format!("{author} froze it"), "thaw it"));
    }
    if let Some(hold) = &secret.hold() {
        return Err(Refusal::new("held", format!("it is held ({}): {}", hold.reason, hold.detail), "release it"));
    }
    Ok(())
}

fn plan_problems(kind: PlanKind, pins: &Pins) -> Result<(), Refusal> {
    let problems = refuse(kind, &pins.profile, &pins.policy);
    let Some(first) = problems.first() else { return Ok(()) };
    let why: Vec<_> = problems.iter().map(|problem| problem.what.clone()).collect();
    Err(Refusal::new("invalid", why.join("; "), first.instead.clone()))
}

pub(super) fn import(secret: &Secret, command: &Command) -> Answer {
    let Command::Import { rotation, minted, slot, author, pins } = command else { return Ok(Vec::new()) };
    if secret.rotation().is_some() {
        return Err(Refusal::new("conflict", "a rotation is running", "wait for it, or abandon it"));
    }
    brakes(secret)?;
    let first = match &pins.profile.overlap {
        Overlap::Alternate(slots) => slots.first().cloned(),
        _ => None,
    };
    let generation = secret.next_generation();
    let pins = secret.with_places_by_hand(pins);
    let started = Event::Started {
        rotation: rotation.clone(),
        kind: PlanKind::Adopt,
        generation,
        slot: slot.clone().or(first),
        cause: "import".to_owned(),
        author: author.clone(),
        plan: Some(secret.plan_of(PlanKind::Adopt, &pins)),
        pins,
    };
    Ok(vec![started, Event::Supplied { generation, minted: minted.clone(), author: author.clone() }])
}

pub(super) fn rollback(secret: &Secret, reason: &str, author: &Author) -> Answer {
    compared(secret)?;
    let (reason, author) = (reason.to_owned(), Some(author.clone()));
    if let Err(why) = secret.may_roll_back() {
        return Err(Refusal::new("gone", why, "let it go on; once it is committed, rotate to a new generation"));
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
    if let Err(why) = secret.may_revert() {
        return Err(Refusal::new("gone", why, "go on to the end and rotate to a new generation"));
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
