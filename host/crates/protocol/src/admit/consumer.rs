//! Requests of consumers: fetches, and statements whose proof the host has checked.

use super::{Answer, Refusal};
use crate::event::Event;
use crate::evidence::{Evidence, EvidenceKind, Purpose};
use crate::ids::{ConsumerName, Generation, Incarnation, Millis, Replica};
use crate::offer::{offer, readable};
use crate::state::{Secret, Stand};
use crate::step::{Phase, PlanKind};

/// A staged lease is renewed on the record once this share of it has passed; fetches in between leave no trace.
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
    let state = secret.replicas.get(&(consumer.clone(), replica.clone()));
    let held = state.filter(|state| state.incarnation == *incarnation).and_then(|state| {
        let let_go = state.let_go(generation);
        state.fetched.get(&generation).filter(|_| !let_go)
    });
    let fresh = held.is_some_and(|since| {
        let lease_ms = secret.policy().map_or(0, |policy| policy.staged_lease_ms);
        let staged = secret.pending() == Some(generation) && secret.stand() == Stand::Prepare;
        !staged || secret.steady_at(now).since(*since) < lease_ms / RENEWALS_PER_LEASE
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

fn life(secret: &Secret, consumer: &ConsumerName, replica: &Replica, incarnation: &Incarnation) -> Result<(), Refusal> {
    if !secret.consumers.contains_key(consumer) {
        return Err(Refusal::new(
            "unknown",
            format!("{consumer} is no consumer of {}", secret.name),
            "declare it with the secret",
        ));
    }
    let state = secret.replicas.get(&(consumer.clone(), replica.clone()));
    if state.is_some_and(|state| state.past.contains(incarnation)) {
        return Err(Refusal::new(
            "stale",
            format!("{replica} has been started again since this life of it"),
            "state it as the present life of the replica",
        ));
    }
    Ok(())
}

pub(super) fn state(secret: &Secret, evidence: &Evidence, now: Millis) -> Answer {
    life(secret, &evidence.consumer, &evidence.replica, &evidence.incarnation)?;
    word(evidence, now)?;
    let generation = evidence.generation;
    if !secret.generations.contains_key(&generation) {
        return Err(Refusal::new("gone", format!("{generation} does not exist"), "fetch what is offered now"));
    }
    asked_for(secret, evidence)?;
    if known_already(secret, evidence) {
        return Ok(Vec::new());
    }
    Ok(vec![Event::Stated(evidence.clone())])
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
    let rotation = secret.rotation.as_ref();
    let staged = rotation.is_some_and(|rotation| rotation.staged.is_some() && rotation.made == generation);
    let preparing = rotation.is_some_and(|rotation| rotation.phase == Phase::Prepare);
    let in_use = secret.current == Some(generation);
    let old = secret.previous == Some(generation);
    let legal = match evidence.purpose {
        Purpose::Ready => (staged && preparing) || in_use || old,
        Purpose::Failed => (staged && preparing) || in_use,
        // An older generation's use is a report against the newer one; it counts as its withdrawal.
        Purpose::Adopted => in_use || old,
        Purpose::Cry => in_use,
        Purpose::Released => !in_use || rotation.is_some_and(|rotation| rotation.kind == PlanKind::Retire),
        Purpose::Dropped => {
            let asked = offer(secret, &evidence.consumer, &evidence.replica, secret.clock);
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
    let Some(state) = secret.replicas.get(&key).filter(|state| state.incarnation == evidence.incarnation) else {
        return false;
    };
    let generation = &evidence.generation;
    let said = match evidence.purpose {
        Purpose::Ready => state.ready.get(generation),
        Purpose::Failed => state.failed.get(generation),
        Purpose::Adopted => state.adopted.as_ref().filter(|(adopted, _)| adopted == generation).map(|(_, said)| said),
        Purpose::Released => state.released.get(generation),
        Purpose::Dropped => state.dropped.get(generation),
        Purpose::Cry => None,
    };
    said.is_some_and(|said| said.kind == evidence.kind && said.attested == evidence.attested)
}
