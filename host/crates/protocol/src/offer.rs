//! What one replica of one consumer may read, which generation it is to use now, and what it is asked to say. It sees
//! pending only while that is staged.

use crate::evidence::Purpose;
use crate::gate::uses;
use crate::generation::Role;
use crate::ids::{ConsumerName, Epoch, Generation, Millis, Replica, RotationId, SealLabel};
use crate::state::Secret;
use crate::step::{Phase, PlanKind, Step};

/// Everything a consumer's replica is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Bound into every proof.
    pub epoch: Epoch,
    /// The running rotation; bound into every proof, as [`RotationId::none`] while none runs.
    pub rotation: RotationId,
    /// Generations it may read, newest role first: pending, current, previous, others still live (verifiers).
    pub generations: Vec<Offered>,
    /// The one to present now. It may fall over to any other of them.
    pub use_now: Option<Generation>,
    /// Statements it is asked for.
    pub asked: Vec<Ask>,
    /// How long it may hold a staged generation without fetching it again, in milliseconds.
    pub staged_lease_ms: Option<u64>,
}

/// A generation that may be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// Its number.
    pub generation: Generation,
    /// Its part.
    pub role: Role,
    /// Public fields.
    pub attributes: Vec<(String, String)>,
    /// Secret fields and the labels they are sealed under, in the order that proofs are keyed with.
    pub fields: Vec<(String, SealLabel)>,
}

/// A statement that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ask {
    /// What is to be stated.
    pub purpose: Purpose,
    /// About which generation.
    pub generation: Generation,
    /// When patience ends, where the policy has a deadline.
    pub deadline: Option<Millis>,
}

/// Generations a consumer may read now: none that is unknown, gone, or not staged.
#[must_use]
pub fn readable(secret: &Secret, consumer: &ConsumerName) -> Vec<Generation> {
    let Some(policy) = secret.consumers.get(consumer) else { return Vec::new() };
    let rotation = secret.rotation.as_ref();
    let staged = rotation.is_some_and(|rotation| rotation.phase == Phase::Prepare && rotation.staged.is_some());
    let mut order: Vec<(Role, Generation)> = secret
        .generations
        .values()
        .filter(|credential| credential.known())
        .filter_map(|credential| {
            let role = secret.role(credential.number)?;
            let offered = match role {
                Role::Pending => staged,
                Role::Current => true,
                Role::Previous => !credential.destroying() || !uses(policy),
                Role::Retiring => !uses(policy) && credential.lingering().next().is_some(),
            };
            offered.then_some((role, credential.number))
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, generation)| generation).collect()
}

/// What one replica is told.
#[must_use]
pub fn offer(secret: &Secret, consumer: &ConsumerName, replica: &Replica, now: Millis) -> Offer {
    let now = now.max(secret.clock);
    let rotation = secret.rotation.as_ref();
    let generations = readable(secret, consumer).into_iter().filter_map(|generation| {
        let credential = secret.generations.get(&generation)?;
        let minted = credential.minted.as_ref()?;
        Some(Offered {
            generation,
            role: secret.role(generation)?,
            attributes: minted.attributes.clone(),
            fields: minted.fields.clone(),
        })
    });
    let staged = rotation.filter(|rotation| rotation.preparing() && rotation.staged.is_some());
    Offer {
        epoch: secret.epoch,
        rotation: rotation.map_or_else(RotationId::none, |rotation| rotation.id.clone()),
        generations: generations.collect(),
        use_now: use_now(secret, consumer, replica, now),
        asked: asked(secret, consumer, replica, now),
        staged_lease_ms: staged.map(|rotation| rotation.pins.policy.staged_lease_ms),
    }
}

/// Current, once it is proven and this replica's turn to switch has come; until then previous.
fn use_now(secret: &Secret, consumer: &ConsumerName, replica: &Replica, now: Millis) -> Option<Generation> {
    let known = |generation: &Generation| secret.generations.get(generation).is_some_and(|it| it.known());
    let current = secret.current;
    let previous = secret.previous.filter(known);
    let rotation = secret.rotation.as_ref().filter(|rotation| rotation.committing());
    let (Some(rotation), Some(old)) = (rotation, previous) else { return current };
    if rotation.kind == PlanKind::Retire || secret.generations.get(&old).is_some_and(|old| old.destroying()) {
        return current;
    }
    let proven = !matches!(secret.step(now), Some(Step::Install | Step::Verify));
    let newcomer = secret
        .replicas
        .get(&(consumer.clone(), replica.clone()))
        .is_none_or(|state| !state.fetched.contains_key(&old) && state.adopted.is_none());
    let turn = newcomer || secret.may_switch(consumer, replica, now);
    if proven && turn { current } else { Some(old) }
}

fn asked(secret: &Secret, consumer: &ConsumerName, replica: &Replica, now: Millis) -> Vec<Ask> {
    let (Some(policy), Some(rotation)) = (secret.consumers.get(consumer), secret.rotation.as_ref()) else {
        return Vec::new();
    };
    let state = secret.replicas.get(&(consumer.clone(), replica.clone()));
    let deadline = rotation.pins.policy.stragglers.deadline_ms.filter(|_| secret.patient()).map(|deadline_ms| {
        let waited_ms = secret.steady.since(rotation.patience);
        secret.clock.plus(deadline_ms.saturating_sub(waited_ms))
    });
    let ask = |purpose, generation| vec![Ask { purpose, generation, deadline }];
    let fetched = |generation| state.is_some_and(|state| state.fetched.contains_key(&generation));
    let let_go = |generation| state.is_some_and(|state| state.let_go(generation));
    match (rotation.phase, secret.ending()) {
        (Phase::Prepare, _) if rotation.staged.is_some() => {
            let said = state.is_some_and(|state| state.ready.contains_key(&rotation.made));
            if said { Vec::new() } else { ask(Purpose::Ready, rotation.made) }
        }
        (Phase::RollingBack, _) if fetched(rotation.made) && !let_go(rotation.made) => {
            ask(Purpose::Released, rotation.made)
        }
        (Phase::Commit, Some(current)) if rotation.kind == PlanKind::Retire && !let_go(current) => {
            ask(if uses(policy) { Purpose::Released } else { Purpose::Dropped }, current)
        }
        (Phase::Commit, Some(_)) if rotation.kind != PlanKind::Retire && uses(policy) => {
            let said = state.and_then(|state| state.adopted.as_ref()).is_some_and(|(it, _)| *it == rotation.aim);
            let turn = use_now(secret, consumer, replica, now) == Some(rotation.aim);
            if said || !turn { Vec::new() } else { ask(Purpose::Adopted, rotation.aim) }
        }
        (Phase::Commit, Some(old)) if rotation.kind != PlanKind::Retire => {
            let asked = rotation.draining.is_some() || (secret.one_slot() && secret.all_switched(rotation, now));
            if asked && !let_go(old) { ask(Purpose::Dropped, old) } else { Vec::new() }
        }
        _ => Vec::new(),
    }
}
