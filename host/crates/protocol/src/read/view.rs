//! What people are shown of a secret: where it stands, for whom it waits and with what evidence so far, what is ending.

use crate::action::{Action, Waiting};
use crate::calls::Tries;
use crate::decide::decide;
use crate::event::{HoldReason, RetireCause};
use crate::evidence::EvidenceKind;
use crate::gate::uses;
use crate::generation::{Liveness, Role};
use crate::guard::Blocked;
use crate::ids::{
    Author, ConsumerName, Epoch, Generation, Incarnation, Millis, Place, Replica, RotationId, SecretName, Seq, Slot,
    TargetId,
};
use crate::policy::{ConsumerRole, Members};
use crate::state::Secret;
use crate::step::{CallKind, Ending, Phase, PlanKind, Step};

/// Everything `keybaton status` and `watch` show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which secret.
    pub name: SecretName,
    /// As of which event.
    pub seq: Seq,
    /// As of which instant.
    pub at: Millis,
    /// In which life of the installation.
    pub epoch: Epoch,
    /// Generations that may still exist, oldest first.
    pub generations: Vec<GenerationStatus>,
    /// The running rotation.
    pub rotation: Option<RotationStatus>,
    /// What is being waited for; `None` where nothing is, or something is about to be done.
    pub waiting: Option<Waiting>,
    /// When that is looked at again by itself.
    pub until: Option<Millis>,
    /// Every declared consumer, and what its replicas have shown.
    pub consumers: Vec<ConsumerStatus>,
    /// Credentials that are ending.
    pub retirements: Vec<RetirementStatus>,
    /// Calls under way, interrupted, or in doubt.
    pub calls: Vec<CallStatus>,
    /// Credentials at the target that keybaton did not make.
    pub foreign: Vec<(Place, TargetId)>,
    /// Why nothing moves, since when, and whether that has lasted too long.
    pub held: Option<HeldStatus>,
    /// Who froze it.
    pub frozen: Option<Author>,
    /// The declaration is still there.
    pub managed: bool,
    /// The current value is known to others, and no rotation runs: one must start now.
    pub must_rotate: bool,
    /// Rotations in a row that were given back for a fault.
    pub setbacks: u32,
    /// When, how and why the last rotation ended.
    pub finished: Option<(Millis, Ending, String)>,
}

/// A generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationStatus {
    /// Its number.
    pub generation: Generation,
    /// Its part.
    pub role: Option<Role>,
    /// Its slot.
    pub slot: Option<Slot>,
    /// Its value is sealed here.
    pub known: bool,
    /// It is known to others.
    pub compromised: bool,
    /// It may end without evidence, by somebody's word.
    pub overridden: bool,
    /// Public fields.
    pub attributes: Vec<(String, String)>,
    /// Facts the plugin gave.
    pub facts: Vec<(String, String)>,
    /// How it stands at each place, and the target's id of it there.
    pub places: Vec<(Place, Liveness, Option<TargetId>)>,
}

/// The running rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationStatus {
    /// Its identifier.
    pub id: RotationId,
    /// What it is for.
    pub kind: PlanKind,
    /// Where it stands.
    pub phase: Phase,
    /// The step it is at; `None` while it goes back.
    pub step: Option<Step>,
    /// Its steps in order.
    pub plan: Vec<Step>,
    /// The generation that is to be in use.
    pub aim: Generation,
    /// Why it was started.
    pub cause: String,
    /// By whom.
    pub author: Author,
    /// When.
    pub started_at: Millis,
    /// The wave that may switch, from 0.
    pub wave: u32,
    /// Previous has been put back.
    pub reverted: bool,
    /// Why it is going, or went, back.
    pub reason: String,
    /// Failed attempts so far, by what they were for.
    pub failures: Vec<(CallKind, Generation, Place, Tries)>,
}

/// A consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerStatus {
    /// Its name.
    pub name: ConsumerName,
    /// What it does with the secret.
    pub role: ConsumerRole,
    /// Whether it is waited for.
    pub required: bool,
    /// How many replicas there are to be.
    pub expected: usize,
    /// Replicas that have shown themselves, or are listed.
    pub replicas: Vec<ReplicaStatus>,
}

/// A replica and the evidence so far. `process` or `target` speak of use; `holder` only of holding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Its name.
    pub replica: Replica,
    /// Its present life; `None` for one that has never been heard of.
    pub incarnation: Option<Incarnation>,
    /// Generations it fetched.
    pub fetched: Vec<Generation>,
    /// What it said it can use, and on whose account.
    pub ready: Vec<(Generation, EvidenceKind)>,
    /// What it could not use, and why.
    pub failed: Vec<(Generation, String)>,
    /// What it uses, and on whose account.
    pub adopted: Option<(Generation, EvidenceKind)>,
    /// What it has let go.
    pub let_go: Vec<Generation>,
    /// It is waited for, or its word is, and it has been silent for longer than its lease.
    pub unknown: bool,
    /// Two processes speak under its identity.
    pub twice: bool,
}

/// A credential that is ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetirementStatus {
    /// Which generation (for an orphan: the one whose mint made it).
    pub generation: Generation,
    /// Where.
    pub place: Place,
    /// The target's id of an orphan.
    pub orphan: Option<TargetId>,
    /// Why.
    pub cause: RetireCause,
    /// Since when.
    pub opened_at: Millis,
    /// It is switched off.
    pub disabled: bool,
    /// Who must still let go of it, or switch away from it.
    pub missing: Vec<(ConsumerName, Replica)>,
    /// Until when they are waited for at the latest: their leases end then. `None` where that needs an answer, or a word.
    pub until: Option<Millis>,
    /// The last failure, and whether attempts are used up.
    pub fault: Option<Tries>,
}

/// A plugin call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallStatus {
    /// Which export.
    pub kind: CallKind,
    /// About which generation.
    pub generation: Generation,
    /// Where.
    pub place: Place,
    /// Which attempt.
    pub attempt: u32,
    /// When it was intended.
    pub intended_at: Millis,
    /// Until when what it sent may still take effect, where it has ended without that being known.
    pub doubt_until: Option<Millis>,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldStatus {
    /// Why.
    pub reason: HoldReason,
    /// For people.
    pub detail: String,
    /// Since when.
    pub since: Millis,
    /// It has lasted longer than the policy's `max_age`.
    pub escalated: bool,
}

/// Where a secret stands now.
#[must_use]
pub fn status(secret: &Secret, now: Millis) -> Status {
    let now = now.max(secret.clock());
    let (waiting, until) = match decide(secret, now) {
        Action::Wait { until, waiting } => (Some(waiting), until),
        Action::Record(_) | Action::Call(_) | Action::Idle => (None, None),
    };
    Status {
        name: secret.name().clone(),
        seq: secret.seq(),
        at: now,
        epoch: secret.epoch(),
        generations: generations(secret),
        rotation: rotation(secret, now),
        waiting,
        until,
        consumers: consumers(secret, now),
        retirements: retirements(secret, now),
        calls: calls(secret),
        foreign: secret.foreign().iter().cloned().collect(),
        held: held(secret, now),
        frozen: secret.frozen().cloned(),
        managed: secret.managed(),
        must_rotate: secret.must_rotate(),
        setbacks: secret.setbacks(),
        finished: secret.finished().cloned(),
    }
}

fn generations(secret: &Secret) -> Vec<GenerationStatus> {
    let show = |credential: &crate::generation::Credential| GenerationStatus {
        generation: credential.number,
        role: secret.role(credential.number),
        slot: credential.slot.clone(),
        known: credential.known(),
        compromised: credential.compromised.is_some(),
        overridden: credential.overridden.is_some(),
        attributes: credential.minted.as_ref().map_or_else(Vec::new, |minted| minted.attributes.clone()),
        facts: credential.minted.as_ref().map_or_else(Vec::new, |minted| minted.facts.clone()),
        places: credential
            .places
            .iter()
            .map(|(place, standing)| (place.clone(), standing.liveness, credential.id_at(place).cloned()))
            .collect(),
    };
    secret.generations().values().map(show).collect()
}

fn rotation(secret: &Secret, now: Millis) -> Option<RotationStatus> {
    let rotation = secret.rotation()?;
    let failures = secret.efforts().iter().filter(|(effort, _)| effort.orphan.is_none());
    Some(RotationStatus {
        id: rotation.id.clone(),
        kind: rotation.kind,
        phase: rotation.phase,
        step: secret.step(now),
        plan: rotation.plan.clone(),
        aim: rotation.aim,
        cause: rotation.cause.clone(),
        author: rotation.author.clone(),
        started_at: rotation.started_at,
        wave: rotation.wave.number,
        reverted: rotation.reverted,
        reason: rotation.reason.clone(),
        failures: failures
            .map(|(effort, tries)| (effort.kind, effort.generation, effort.place.clone(), tries.clone()))
            .collect(),
    })
}

fn consumers(secret: &Secret, now: Millis) -> Vec<ConsumerStatus> {
    let show = |consumer: &crate::policy::ConsumerPolicy| {
        let mut names: Vec<_> = match &consumer.members {
            Members::Listed(listed) => listed.clone(),
            Members::Count(_) => Vec::new(),
        };
        let own =
            secret.replicas().keys().filter(|(name, _)| *name == consumer.name).map(|(_, replica)| replica.clone());
        names.extend(own);
        names.sort();
        names.dedup();
        let expected = match &consumer.members {
            Members::Listed(listed) => listed.len(),
            Members::Count(count) => *count as usize,
        };
        ConsumerStatus {
            name: consumer.name.clone(),
            role: consumer.role,
            required: consumer.required,
            expected,
            replicas: names.into_iter().map(|replica| show_replica(secret, &consumer.name, replica, now)).collect(),
        }
    };
    secret.consumers().values().map(show).collect()
}

fn show_replica(secret: &Secret, consumer: &ConsumerName, replica: Replica, now: Millis) -> ReplicaStatus {
    let state = secret.replicas().get(&(consumer.clone(), replica.clone()));
    let Some(state) = state else {
        return ReplicaStatus {
            replica,
            incarnation: None,
            fetched: Vec::new(),
            ready: Vec::new(),
            failed: Vec::new(),
            adopted: None,
            let_go: Vec::new(),
            unknown: false,
            twice: false,
        };
    };
    let policy = secret.consumers().get(consumer);
    ReplicaStatus {
        replica,
        incarnation: Some(state.incarnation.clone()),
        fetched: state.fetched.keys().copied().collect(),
        ready: state.ready.iter().map(|(generation, said)| (*generation, said.kind)).collect(),
        failed: state.failed.iter().map(|(generation, said)| (*generation, said.reason.clone())).collect(),
        adopted: state.adopted.as_ref().map(|(generation, said)| (*generation, said.kind)),
        let_go: state.released.keys().chain(state.dropped.keys()).copied().collect(),
        unknown: policy.is_some_and(|policy| secret.is_unknown(policy, state, now)),
        twice: policy.is_some_and(|policy| secret.speaks_twice(policy, state, now)),
    }
}

fn retirements(secret: &Secret, now: Millis) -> Vec<RetirementStatus> {
    secret
        .retirements()
        .iter()
        .map(|(job, retirement)| {
            let fault = secret.efforts().iter().find(|(effort, _)| {
                effort.generation == job.generation
                    && effort.place == job.place
                    && effort.orphan == job.orphan
                    && matches!(effort.kind, CallKind::Disable | CallKind::Destroy)
            });
            let asked = job.orphan.is_none();
            let missing = match secret.may_end(job.generation, retirement.cause, true, now) {
                Err(Blocked::Consumers(missing)) if asked => missing,
                Ok(()) | Err(_) => Vec::new(),
            };
            let until = |who| secret.waited_until(who, job.generation, retirement.cause, now);
            RetirementStatus {
                until: missing.iter().map(until).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max()),
                generation: job.generation,
                place: job.place.clone(),
                orphan: job.orphan.clone(),
                cause: retirement.cause,
                opened_at: retirement.opened_at,
                disabled: retirement.disabled.is_some(),
                missing,
                fault: fault.map(|(_, tries)| tries.clone()),
            }
        })
        .collect()
}

fn calls(secret: &Secret) -> Vec<CallStatus> {
    let open = secret.calls().values().filter(|call| call.state != crate::calls::CallState::Closed);
    open.map(|call| CallStatus {
        kind: call.kind,
        generation: call.generation,
        place: call.place.clone(),
        attempt: call.attempt,
        intended_at: call.intended_at,
        doubt_until: secret.settled(call),
    })
    .collect()
}

fn held(secret: &Secret, now: Millis) -> Option<HeldStatus> {
    let hold = secret.hold()?;
    let max_age_ms = secret.policy().and_then(|policy| policy.stragglers.max_age_ms);
    Some(HeldStatus {
        reason: hold.reason,
        detail: hold.detail.clone(),
        since: hold.since,
        escalated: max_age_ms.is_some_and(|max_age_ms| now.since(hold.since) > max_age_ms),
    })
}

/// Consumers a compromise, or an override, of this generation breaks: they hold it and have not left it.
#[must_use]
pub fn would_break(secret: &Secret, generation: Generation) -> Vec<(ConsumerName, Replica)> {
    let users = secret.consumers().values().filter(|consumer| uses(consumer));
    let mut broken = Vec::new();
    for consumer in users {
        let holds = |state: &crate::membership::ReplicaState| {
            let elsewhere = state.adopted.as_ref().is_some_and(|(adopted, _)| *adopted != generation);
            state.fetched.contains_key(&generation) && !state.let_go(generation) && !elsewhere
        };
        let own = secret.replicas().iter().filter(|((name, _), state)| *name == consumer.name && holds(state));
        broken.extend(own.map(|(who, _)| who.clone()));
    }
    broken
}
