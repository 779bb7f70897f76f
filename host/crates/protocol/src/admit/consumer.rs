//! Requests of consumers: fetches, and statements whose proof the host has checked.

use super::{Answer, Refusal};
use crate::command::Command;
use crate::event::Event;
use crate::evidence::{Evidence, EvidenceKind, Purpose};
use crate::gate::weighs;
use crate::ids::{ConsumerName, Generation, Incarnation, Millis, Replica, RotationId};
use crate::membership::ReplicaState;
use crate::offer::{offer, readable};
use crate::state::{Secret, Stand};
use crate::step::{Phase, PlanKind};
use crate::timers::Timer;

/// A lease is renewed on the record once this share of it has passed; fetches in between leave no trace.
pub(crate) const RENEWALS_PER_LEASE: u64 = 4;

pub(super) fn fetch(
    secret: &Secret,
    consumer: &ConsumerName,
    replica: &Replica,
    incarnation: &Incarnation,
    generation: Generation,
    now: Millis,
) -> Answer {
    life(secret, consumer, replica, incarnation)?;
    if !readable(secret, consumer, replica).contains(&generation) {
        return Err(Refusal::new(
            "gone",
            format!("{generation} is not offered to {consumer}"),
            "fetch again and take what is offered now",
        ));
    }
    let state = secret.replicas().get(&(consumer.clone(), replica.clone()));
    let held = state.filter(|state| state.incarnation == *incarnation).and_then(|state| {
        let gone = state.let_go(generation) || state.inherited.contains(&generation);
        state.fetched.get(&generation).filter(|_| !gone).map(|since| (*since, state))
    });
    let fresh = held.is_some_and(|(since, state)| {
        let lease_ms = secret.policy().map_or(0, |policy| policy.staged_lease_ms);
        let staged = secret.pending() == Some(generation) && secret.stand() == Stand::Prepare;
        let renewed = !staged || secret.steady_at(now).since(since) < lease_ms / RENEWALS_PER_LEASE;
        renewed && !speaks_up(secret, consumer, replica, state, now)
    });
    if fresh {
        return Ok(Vec::new());
    }
    Ok(vec![Event::Fetched {
        consumer: consumer.clone(),
        replica: replica.clone(),
        incarnation: incarnation.clone(),
        generation,
    }])
}

/// Whether it is to be on record again that a replica is there: it is one of so many that are counted, or holds what is
/// to end, and was not heard of for a share of its lease.
fn speaks_up(secret: &Secret, consumer: &ConsumerName, replica: &Replica, state: &ReplicaState, now: Millis) -> bool {
    let Some(policy) = secret.consumers().get(consumer).filter(|policy| policy.required) else { return false };
    let ends = secret.ending().or(secret.previous());
    let holds = |ends| secret.waits_by_lease(policy) && secret.hold_on(policy, replica, ends, now).is_some();
    let drains = secret.rotation().is_some_and(|rotation| rotation.draining.is_some());
    let counted = !drains && secret.is_counted(policy, replica);
    let share_ms = secret.lease_ms(policy) / RENEWALS_PER_LEASE;
    let stale = Timer::new(state.heard, share_ms).over(secret.steady_at(now));
    stale && secret.presence_matters() && (counted || ends.is_some_and(holds))
}

/// What a request shows although it is refused: a former life of a replica still speaks, beside its present one.
#[must_use]
pub fn noticed(secret: &Secret, command: &Command, now: Millis) -> Option<Event> {
    let (consumer, replica, incarnation) = match command {
        Command::Fetch { consumer, replica, incarnation, .. } => (consumer, replica, incarnation),
        Command::Acknowledge { evidence, .. } => (&evidence.consumer, &evidence.replica, &evidence.incarnation),
        _ => return None,
    };
    let policy = secret.consumers().get(consumer)?;
    let state = secret.replicas().get(&(consumer.clone(), replica.clone()))?;
    let share_ms = secret.lease_ms(policy) / RENEWALS_PER_LEASE;
    let known = state.twice.is_some_and(|since| !Timer::new(since, share_ms).over(secret.steady_at(now)));
    (state.past.contains(incarnation) && !known).then(|| Event::SeenTwice {
        consumer: consumer.clone(),
        replica: replica.clone(),
        incarnation: incarnation.clone(),
    })
}

fn life(secret: &Secret, consumer: &ConsumerName, replica: &Replica, incarnation: &Incarnation) -> Result<(), Refusal> {
    if !secret.consumers().contains_key(consumer) {
        return Err(Refusal::new(
            "unknown",
            format!("{consumer} is no consumer of {}", secret.name()),
            "declare it with the secret",
        ));
    }
    let state = secret.replicas().get(&(consumer.clone(), replica.clone()));
    if state.is_some_and(|state| state.past.contains(incarnation)) {
        return Err(Refusal::new(
            "stale",
            format!("{replica} has been started again since this life of it"),
            "state it as the present life of the replica",
        ));
    }
    Ok(())
}

/// The answer to what was asked: it counts in the rotation that it was asked in, and in no other.
pub(super) fn acknowledge(secret: &Secret, rotation: &RotationId, evidence: &Evidence, now: Millis) -> Answer {
    let running = secret.rotation().map_or_else(RotationId::none, |running| running.id.clone());
    if *rotation != running {
        let now = if secret.rotation().is_some() { format!("{running} runs now") } else { "none runs now".to_owned() };
        let why = format!("it answers what was asked in rotation {rotation}, and {now}");
        return Err(Refusal::new("stale", why, "fetch again and state what is asked for now"));
    }
    state(secret, evidence, now)
}

pub(super) fn state(secret: &Secret, evidence: &Evidence, now: Millis) -> Answer {
    life(secret, &evidence.consumer, &evidence.replica, &evidence.incarnation)?;
    weight(evidence)?;
    word(evidence, now)?;
    giver(secret, evidence)?;
    let generation = evidence.generation;
    if !secret.generations().contains_key(&generation) {
        return Err(Refusal::new("gone", format!("{generation} does not exist"), "fetch what is offered now"));
    }
    asked_for(secret, evidence)?;
    if known_already(secret, evidence) {
        return Ok(Vec::new());
    }
    Ok(vec![Event::Stated(evidence.clone())])
}

/// What weighs nothing is put on record only where it tells something all the same: that a credential was delivered, or
/// is held.
fn weight(evidence: &Evidence) -> Result<(), Refusal> {
    let Evidence { purpose, kind, .. } = evidence;
    let tells = matches!(purpose, Purpose::Ready | Purpose::Adopted);
    if tells || weighs(*purpose, EvidenceKind::Store, *kind) {
        return Ok(());
    }
    let why = format!("`{kind}` evidence does not show `{purpose}`");
    Err(Refusal::new("weak", why, "have the replica that holds it say so itself, by `holder` or `process`"))
}

/// Evidence is for the one who gives it to give.
fn giver(secret: &Secret, evidence: &Evidence) -> Result<(), Refusal> {
    let Err(blocked) = secret.may_say(evidence) else { return Ok(()) };
    let consumer = secret.consumers().get(&evidence.consumer);
    let kind = consumer.map_or_else(String::new, |consumer| format!(" of kind `{}`", consumer.kind));
    let why = format!("{}{kind} cannot show `{}` of itself: {blocked}", evidence.consumer, evidence.kind);
    Err(Refusal::new("weak", why, "have the workload itself show it, or the host see it"))
}

/// A person's word names who gives it, who approved it, why, and until when.
fn word(evidence: &Evidence, now: Millis) -> Result<(), Refusal> {
    match (&evidence.attested, evidence.kind) {
        (Some(word), EvidenceKind::Attested) if word.author == word.approver => {
            Err(Refusal::new("weak", "the author approved it himself", "have somebody else approve it"))
        }
        (Some(word), EvidenceKind::Attested) if word.expires_at <= now => {
            Err(Refusal::new("stale", "the attestation has expired", "attest it anew"))
        }
        (Some(_), EvidenceKind::Attested) if evidence.reason.is_empty() => {
            Err(Refusal::new("invalid", "an attestation needs a reason", "say how it is known"))
        }
        (Some(_), EvidenceKind::Attested) => Ok(()),
        (None, EvidenceKind::Attested) | (Some(_), _) => {
            Err(Refusal::new("invalid", "a person's word needs a name, and only that", "state it as `attested`"))
        }
        (None, _) => Ok(()),
    }
}

/// Statements about what is not offered, or not in question, are refused: they could only be stale, or lies.
fn asked_for(secret: &Secret, evidence: &Evidence) -> Result<(), Refusal> {
    let generation = evidence.generation;
    let rotation = secret.rotation();
    let staged = rotation.is_some_and(|rotation| rotation.staged.is_some() && rotation.made == generation);
    let preparing = rotation.is_some_and(|rotation| rotation.phase == Phase::Prepare);
    let in_use = secret.current() == Some(generation);
    let old = secret.previous() == Some(generation);
    // Once nothing is left to move or to end, nothing that is said of the one in use has an effect.
    let doubtful = secret.generations().values().any(|it| it.doubtful);
    let moving = rotation.is_some() || secret.previous().is_some() || doubtful;
    let legal = match evidence.purpose {
        Purpose::Ready => (staged && preparing) || (moving && (in_use || old)),
        Purpose::Failed => (staged && preparing) || (moving && in_use),
        // An older generation's use is a report against the newer one; it counts as its withdrawal.
        // After a restore, the use of a pending one tells that the journal is behind.
        Purpose::Adopted => {
            let doubtful = secret.generations().get(&generation).is_some_and(|it| it.doubtful);
            (moving && (in_use || old)) || doubtful
        }
        Purpose::Cry => moving && in_use,
        Purpose::Released => !in_use || rotation.is_some_and(|rotation| rotation.kind == PlanKind::Retire),
        Purpose::Dropped => {
            let asked = offer(secret, &evidence.consumer, &evidence.replica, secret.clock());
            !in_use || asked.asked.iter().any(|ask| ask.purpose == Purpose::Dropped && ask.generation == generation)
        }
    };
    if legal {
        return Ok(());
    }
    let why = format!("`{}` of {generation} is not in question", evidence.purpose);
    Err(Refusal::new("stale", why, "fetch again and state what is asked for now"))
}

fn known_already(secret: &Secret, evidence: &Evidence) -> bool {
    let key = (evidence.consumer.clone(), evidence.replica.clone());
    let Some(state) = secret.replicas().get(&key).filter(|state| state.incarnation == evidence.incarnation) else {
        return false;
    };
    let generation = &evidence.generation;
    let adopted = || state.adopted.as_ref().filter(|(adopted, _)| adopted == generation).map(|(_, said)| said);
    let said = match evidence.purpose {
        Purpose::Ready => state.ready.get(generation),
        Purpose::Failed => state.failed.get(generation),
        // A weaker account of the same changes nothing.
        Purpose::Adopted if adopted().is_some_and(|said| said.kind.rank() > evidence.kind.rank()) => return true,
        Purpose::Adopted => adopted(),
        Purpose::Released => state.released.get(generation),
        Purpose::Dropped => state.dropped.get(generation),
        // Cried, and nothing else said of it since: it is heard.
        Purpose::Cry => return state.cried.contains(generation),
    };
    said.is_some_and(|said| said.kind == evidence.kind && said.attested == evidence.attested)
}
