//! What one replica of one consumer may read, which generation it is to use now, and what it is asked to say. It sees
//! pending only while that is staged.

use crate::evidence::Purpose;
use crate::gate::uses;
use crate::generation::{Liveness, Role};
use crate::ids::{ConsumerName, Epoch, Generation, Millis, Place, Replica, RotationId, SealLabel};
use crate::rotation::Rotation;
use crate::state::Secret;
use crate::step::{Phase, PlanKind, Step};
use std::collections::BTreeSet;

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
    /// How long it may hold a staged generation without fetching it again, or, being counted, be silent before it counts
    /// no longer, in milliseconds. `None` where nothing depends on that.
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

/// What a replica has been told to read and to use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Generations that it was given, in any order.
    pub generations: BTreeSet<Generation>,
    /// The one that it was told to present.
    pub use_now: Option<Generation>,
}

impl Offer {
    /// Whether there is something for a replica to do that knows this already: it is asked for a statement, it may read
    /// other generations, or it is to use another.
    #[must_use]
    pub fn is_news_to(&self, known: &Known) -> bool {
        let same = self.generations.len() == known.generations.len()
            && self.generations.iter().all(|it| known.generations.contains(&it.generation));
        !self.asked.is_empty() || !same || self.use_now != known.use_now
    }
}

/// Generations a replica may read now: none that is unknown, ending, or not staged, nor what it has just let go of.
#[must_use]
pub fn readable(secret: &Secret, consumer: &ConsumerName, replica: &Replica) -> Vec<Generation> {
    let Some(policy) = secret.consumers().get(consumer) else { return Vec::new() };
    let rotation = secret.rotation();
    let state = secret.replicas().get(&(consumer.clone(), replica.clone()));
    // With one slot, what is being given back may be what works: it is kept until the current value is in again.
    let offered = |rotation: &Rotation| match rotation.phase {
        Phase::Prepare => true,
        Phase::RollingBack => secret.overwriting(),
        Phase::Commit | Phase::Reverting => false,
    };
    let staged = rotation.is_some_and(|rotation| rotation.staged.is_some() && offered(rotation));
    let mut order: Vec<(Role, Generation)> = secret
        .generations()
        .values()
        .filter(|credential| credential.known())
        .filter_map(|credential| {
            let role = secret.role(credential.number)?;
            let offered = match role {
                Role::Pending => staged,
                Role::Current => !credential.destroying(),
                Role::Previous => !credential.destroying() || !uses(policy),
                Role::Retiring => !uses(policy) && credential.lingering().next().is_some(),
            };
            let let_go = state.is_some_and(|state| state.let_go(credential.number));
            (offered && !let_go).then_some((role, credential.number))
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, generation)| generation).collect()
}

/// What one replica is told.
#[must_use]
pub fn offer(secret: &Secret, consumer: &ConsumerName, replica: &Replica, now: Millis) -> Offer {
    let now = now.max(secret.clock());
    let rotation = secret.rotation();
    let generations = readable(secret, consumer, replica).into_iter().filter_map(|generation| {
        let credential = secret.generations().get(&generation)?;
        let minted = credential.minted.as_ref()?;
        Some(Offered {
            generation,
            role: secret.role(generation)?,
            attributes: minted.attributes.clone(),
            fields: minted.fields.clone(),
        })
    });
    let staged = rotation.filter(|rotation| rotation.preparing() && rotation.staged.is_some());
    let lease_ms = staged.map(|rotation| rotation.pins.policy.staged_lease_ms);
    let counted = || {
        let policy = secret.consumers().get(consumer).filter(|policy| secret.is_counted(policy, replica))?;
        let settled = rotation.is_some_and(|rotation| rotation.draining.is_some());
        (secret.presence_matters() && !settled).then(|| secret.lease_ms(policy))
    };
    Offer {
        epoch: secret.epoch(),
        rotation: rotation.map_or_else(RotationId::none, |rotation| rotation.id.clone()),
        generations: generations.collect(),
        use_now: use_now(secret, consumer, replica, now),
        asked: asked(secret, consumer, replica, now),
        staged_lease_ms: lease_ms.or_else(counted),
    }
}

/// Current, once it is proven and this replica's turn to switch has come; until then previous.
fn use_now(secret: &Secret, consumer: &ConsumerName, replica: &Replica, now: Millis) -> Option<Generation> {
    let known = |generation: &Generation| secret.generations().get(generation).is_some_and(|it| it.known());
    if let Some(pending) = in_place_of_current(secret) {
        return Some(pending);
    }
    let current = secret.current();
    let previous = secret.previous().filter(known);
    let rotation = secret.rotation().filter(|rotation| rotation.committing());
    let (Some(rotation), Some(old)) = (rotation, previous) else { return current };
    if rotation.kind == PlanKind::Retire || !secret.stands_in(old) {
        return current;
    }
    let proven = !matches!(secret.step(now), Some(Step::Install | Step::Verify));
    let newcomer = secret
        .replicas()
        .get(&(consumer.clone(), replica.clone()))
        .is_none_or(|state| !state.fetched.contains_key(&old) && state.adopted.is_none());
    let turn = newcomer || secret.may_switch(consumer, replica, now);
    if proven && turn { current } else { Some(old) }
}

impl Secret {
    /// Whether this generation can be used in place of current: it is on at every place, and nothing is open against it.
    fn stands_in(&self, generation: Generation) -> bool {
        let Some(credential) = self.generations().get(&generation) else { return false };
        let on = |place: &Place| credential.liveness(place) == Liveness::Live;
        let ending = self.retirements().keys().any(|job| job.generation == generation && job.orphan.is_none());
        // With one slot it is on until the install of the other value is answered.
        let one_slot = self.rival(generation).is_some();
        !credential.destroying() && !ending && (one_slot || self.everywhere(on))
    }
}

/// A staged generation that works at every place, where the current one was refused at every place.
fn in_place_of_current(secret: &Secret) -> Option<Generation> {
    let rotation = secret.rotation().filter(|rotation| rotation.preparing() && rotation.staged.is_some())?;
    let current = secret.current()?;
    let takes_over = secret.everywhere(|place| secret.works_at(rotation.made, place))
        && secret.everywhere(|place| secret.refused(current, place).is_some());
    takes_over.then_some(rotation.made)
}

fn asked(secret: &Secret, consumer: &ConsumerName, replica: &Replica, now: Millis) -> Vec<Ask> {
    let Some(policy) = secret.consumers().get(consumer) else { return Vec::new() };
    let state = secret.replicas().get(&(consumer.clone(), replica.clone()));
    let deadline = deadline(secret);
    let mut asks = Vec::new();
    let mut ask = |purpose, generation| asks.push(Ask { purpose, generation, deadline });
    let let_go = |generation| state.is_some_and(|state| state.let_go(generation));
    let gone = if uses(policy) { Purpose::Released } else { Purpose::Dropped };
    let rotation = secret.rotation();
    if let Some(rotation) = rotation.filter(|rotation| waits_for_ready(secret, rotation, now))
        && !state.is_some_and(|state| state.ready.contains_key(&rotation.made))
    {
        ask(Purpose::Ready, rotation.made);
    }
    // Given back, whether its rotation still runs or was left: whoever fetched it is to let it go.
    for credential in secret.generations().values() {
        // A later life has not what a former one fetched, and could not prove that it gave it back.
        let fetched = state.is_some_and(|state| {
            state.fetched.contains_key(&credential.number) && !state.inherited.contains(&credential.number)
        });
        if given_back(secret, credential.number) && fetched && !let_go(credential.number) {
            ask(gone, credential.number);
        }
    }
    let retires = rotation.is_some_and(|rotation| rotation.kind == PlanKind::Retire);
    if let Some(current) = secret.current().filter(|current| retires && !let_go(*current)) {
        ask(gone, current);
    }
    let moving = rotation.is_none_or(|rotation| rotation.committing() && !retires);
    if let (Some(old), Some(current), true) = (secret.previous(), secret.current(), moving) {
        let said = state.and_then(|state| state.adopted.as_ref()).is_some_and(|(it, _)| *it == current);
        if uses(policy) && !said && use_now(secret, consumer, replica, now) == Some(current) {
            ask(Purpose::Adopted, current);
        }
        let switched = rotation.is_none_or(|rotation| {
            rotation.draining.is_some() || (secret.rival(current).is_some() && secret.all_switched(rotation, now))
        });
        if !uses(policy) && switched && !let_go(old) {
            ask(Purpose::Dropped, old);
        }
    } else if let Some(current) = secret.current().filter(|_| uses(policy) && !retires && secret.asks_who_uses_what()) {
        let said = state.and_then(|state| state.adopted.as_ref()).is_some_and(|(it, _)| *it == current);
        if !said && use_now(secret, consumer, replica, now) == Some(current) {
            ask(Purpose::Adopted, current);
        }
    }
    asks
}

/// While pending is staged; and with one slot after the commit too, until the slot is overwritten: whoever starts again
/// in between has to hold the new value before that.
fn waits_for_ready(secret: &Secret, rotation: &Rotation, now: Millis) -> bool {
    let overwrites = rotation.committing() && rotation.commits_first() && !rotation.reverted;
    (rotation.preparing() && rotation.staged.is_some()) || (overwrites && secret.step(now) == Some(Step::Install))
}

/// A generation that was offered once, and is not to be used any more.
fn given_back(secret: &Secret, generation: Generation) -> bool {
    let rolling_back = secret.rotation().is_some_and(|rotation| rotation.phase == Phase::RollingBack);
    match secret.role(generation) {
        Some(Role::Pending) => rolling_back && !secret.overwriting(),
        Some(Role::Retiring) => true,
        _ => false,
    }
}

/// When patience with consumers ends, if it does.
fn deadline(secret: &Secret) -> Option<Millis> {
    let rotation = secret.rotation().filter(|_| secret.patient())?;
    let deadline_ms = rotation.pins.policy.stragglers.deadline_ms?;
    let waited_ms = secret.steady().since(rotation.patience);
    Some(secret.clock().plus(deadline_ms.saturating_sub(waited_ms)))
}
