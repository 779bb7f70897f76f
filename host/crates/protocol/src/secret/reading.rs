//! Reading the state: what it holds, and the small questions that every rule asks of it. Changes nothing.

use super::calls::{CallState, Effort, Observation, OpenCall, Tries};
use super::generation::{Credential, Role};
use super::membership::ReplicaState;
use super::retirement::{Job, Retirement};
use super::rotation::Rotation;
use super::state::{Hold, Restored, Secret, Stand};
use crate::event::Pins;
use crate::ids::{
    Author, CallId, ConsumerName, Epoch, Generation, Millis, Place, Replica, RotationId, SecretName, Seq, Slot, Steady,
    TargetId,
};
use crate::policy::{ConsumerPolicy, Policy};
use crate::profile::{Overlap, Profile};
use crate::step::{Ending, Phase};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Secret {
    /// The time that has certainly passed, up to the last event.
    pub(crate) const fn steady(&self) -> Steady {
        self.steady
    }

    /// Whether what is folded is on record already.
    pub(crate) const fn replaying(&self) -> bool {
        self.replaying
    }

    /// Whether a process has measured the time between all events since it said so.
    pub(crate) const fn measured(&self) -> bool {
        self.measured
    }

    /// The number the next call gets.
    pub(crate) const fn next_call(&self) -> CallId {
        self.next_call
    }

    /// The newest rotation, running or over.
    pub(crate) const fn last_rotation(&self) -> Option<&RotationId> {
        self.last_rotation.as_ref()
    }

    /// The newest mutating call at each place.
    pub(crate) const fn last_mutation(&self) -> &BTreeMap<Place, CallId> {
        &self.last_mutation
    }

    /// What works at a place and was missing from the last look there.
    pub(crate) const fn unlisted(&self) -> &BTreeMap<Place, BTreeSet<Generation>> {
        &self.unlisted
    }

    /// Minted by a call of ours, and nobody's job yet.
    pub(crate) const fn loose(&self) -> &BTreeMap<Job, (RotationId, Arc<Pins>)> {
        &self.loose
    }

    /// Credentials at the target that nobody has named yet.
    pub(crate) const fn strangers(&self) -> &BTreeSet<(Place, TargetId)> {
        &self.strangers
    }

    /// Slots taken in turn of which nobody knows what they hold since a restore.
    pub(crate) const fn doubtful_slots(&self) -> &BTreeSet<(Place, Slot)> {
        &self.doubtful_slots
    }

    /// Places that a person took in or dropped, and whether each is there.
    pub(crate) const fn places_by_hand(&self) -> &BTreeMap<Place, bool> {
        &self.places_by_hand
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &SecretName {
        &self.name
    }

    /// Sequence of the last recorded event; what decisions and intents are appended after.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        self.seq
    }

    /// Instant of the last recorded event.
    #[must_use]
    pub const fn clock(&self) -> Millis {
        self.clock
    }

    /// The installation epoch it lives in.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The number the next generation gets.
    #[must_use]
    pub const fn next_generation(&self) -> Generation {
        self.next
    }

    /// The generation in use.
    #[must_use]
    pub const fn current(&self) -> Option<Generation> {
        self.current
    }

    /// The generation used before, while it has not ended.
    #[must_use]
    pub const fn previous(&self) -> Option<Generation> {
        self.previous
    }

    /// The generation being prepared or given back.
    #[must_use]
    pub fn pending(&self) -> Option<Generation> {
        let rotation = self.rotation.as_ref()?;
        (!rotation.committed && rotation.kind != crate::step::PlanKind::Retire).then_some(rotation.made)
    }

    /// The running rotation.
    #[must_use]
    pub const fn rotation(&self) -> Option<&Rotation> {
        self.rotation.as_ref()
    }

    /// Every generation that may still exist somewhere.
    #[must_use]
    pub const fn generations(&self) -> &BTreeMap<Generation, Credential> {
        &self.generations
    }

    /// One generation.
    #[must_use]
    pub fn generation(&self, generation: Generation) -> Option<&Credential> {
        self.generations.get(&generation)
    }

    /// The part a generation plays now.
    #[must_use]
    pub fn role(&self, generation: Generation) -> Option<Role> {
        if self.current == Some(generation) {
            Some(Role::Current)
        } else if self.pending() == Some(generation) {
            Some(Role::Pending)
        } else if self.previous == Some(generation) {
            Some(Role::Previous)
        } else {
            self.generations.contains_key(&generation).then_some(Role::Retiring)
        }
    }

    /// What the newest rotation runs, or ran, on.
    #[must_use]
    pub fn pins(&self) -> Option<&Arc<Pins>> {
        self.rotation.as_ref().map(|rotation| &rotation.pins).or(self.pins.as_ref())
    }

    /// Every set of pins still needed: of the running rotation, of each credential that may be live and of each open
    /// retirement. Their plugin bytes and connections stay.
    pub fn pinned(&self) -> impl Iterator<Item = &Arc<Pins>> {
        let jobs = self.retirements.values().map(|retirement| &retirement.pins);
        let calls = self.calls.values().map(|call| &call.pins);
        let credentials = self.generations.values().map(|credential| &credential.pins);
        self.rotation.iter().map(|rotation| &rotation.pins).chain(jobs).chain(calls).chain(credentials)
    }

    /// Plugin calls not heard of to the end.
    #[must_use]
    pub const fn calls(&self) -> &BTreeMap<CallId, OpenCall> {
        &self.calls
    }

    /// Calls that the journal believes some host is at: recovery appends `Interrupted` for those it is not at.
    pub fn running_calls(&self) -> impl Iterator<Item = CallId> {
        self.calls.iter().filter(|(_, call)| call.state == CallState::Running).map(|(id, _)| *id)
    }

    /// Open retirements.
    #[must_use]
    pub const fn retirements(&self) -> &BTreeMap<Job, Retirement> {
        &self.retirements
    }

    /// Credentials at the target that keybaton did not make.
    #[must_use]
    pub const fn foreign(&self) -> &BTreeSet<(Place, TargetId)> {
        &self.foreign
    }

    /// Consumers, as last declared, added and listed.
    #[must_use]
    pub const fn consumers(&self) -> &BTreeMap<ConsumerName, ConsumerPolicy> {
        &self.consumers
    }

    /// What replicas have shown of themselves.
    #[must_use]
    pub const fn replicas(&self) -> &BTreeMap<(ConsumerName, Replica), ReplicaState> {
        &self.replicas
    }

    /// Why nothing moves, if so.
    #[must_use]
    pub const fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// What has been compared since a restore, while it is held for that.
    #[must_use]
    pub const fn restored(&self) -> Option<&Restored> {
        self.restored.as_ref()
    }

    /// Who froze it, if it is frozen.
    #[must_use]
    pub const fn frozen(&self) -> Option<&Author> {
        self.frozen.as_ref()
    }

    /// What the target last listed at each place: what expires when, and who uses what.
    #[must_use]
    pub const fn observations(&self) -> &BTreeMap<Place, Observation> {
        &self.observations
    }

    /// Failed attempts at calls, by what they were tried for.
    #[must_use]
    pub const fn efforts(&self) -> &BTreeMap<Effort, Tries> {
        &self.efforts
    }

    /// Rotations in a row that were given back for a fault.
    #[must_use]
    pub const fn setbacks(&self) -> u32 {
        self.setbacks
    }

    /// Whether the declaration is still there.
    #[must_use]
    pub const fn managed(&self) -> bool {
        self.managed
    }

    /// How the last rotation ended: when, how, why.
    #[must_use]
    pub const fn finished(&self) -> Option<&(Millis, Ending, String)> {
        self.finished.as_ref()
    }

    /// Whether a rotation must be started without waiting for its due time: the current value is known to others.
    #[must_use]
    pub fn must_rotate(&self) -> bool {
        let current = self.current.and_then(|current| self.generations.get(&current));
        self.rotation.is_none() && self.restored.is_none() && current.is_some_and(|it| it.compromised.is_some())
    }

    /// Whether anything is left to do or to wait for.
    #[must_use]
    pub fn at_rest(&self) -> bool {
        let open = self.calls.values().any(|call| call.state != CallState::Closed && !self.without_effect(call));
        let over = self.rotation.is_none() && self.generations.keys().all(|it| Some(*it) == self.current);
        over && self.retirements.is_empty() && !open && self.loose.is_empty()
    }

    /// Where it stands, as the transition table distinguishes it.
    #[must_use]
    pub const fn stand(&self) -> Stand {
        match &self.rotation {
            None => Stand::Idle,
            Some(rotation) => match rotation.phase {
                Phase::Prepare => Stand::Prepare,
                Phase::Commit => Stand::Commit,
                Phase::RollingBack => Stand::RollingBack,
                Phase::Reverting => Stand::Reverting,
            },
        }
    }

    pub(crate) fn policy(&self) -> Option<&Policy> {
        self.pins().map(|pins| &pins.policy)
    }

    pub(crate) fn profile(&self) -> Option<&Profile> {
        self.pins().map(|pins| &pins.profile)
    }

    pub(crate) fn places(&self) -> &[Place] {
        self.pins().map_or(&[], |pins| &pins.places)
    }

    /// Whether the target keeps one credential only, so that installing the new one ends the old.
    pub(crate) fn one_slot(&self) -> bool {
        self.profile().is_some_and(|profile| profile.overlap == Overlap::None)
    }

    /// The slot a generation goes into, where its target has slots that an install overwrites.
    pub(crate) fn slot_of(&self, generation: Generation) -> Option<Option<&Slot>> {
        let credential = self.generations.get(&generation)?;
        match credential.pins.profile.overlap {
            Overlap::None => Some(None),
            Overlap::Alternate(_) => Some(credential.slot.as_ref()),
            Overlap::Native(_) | Overlap::Replace => None,
        }
    }

    /// Whether an install of one of them overwrites the other.
    pub(crate) fn share_slot(&self, one: Generation, other: Generation) -> bool {
        let pins = |generation| self.generations.get(&generation).map(|it| &it.pins);
        let same_site = pins(one).zip(pins(other)).is_some_and(|(one, other)| one.same_site(other));
        same_site && self.slot_of(one).is_some() && self.slot_of(one) == self.slot_of(other)
    }

    /// With one slot: the other value that is, or may be, in it instead of this one.
    pub(crate) fn rival(&self, generation: Generation) -> Option<Generation> {
        let credential = self.generations.get(&generation).filter(|_| self.slot_of(generation) == Some(None))?;
        let rivals = |other: &Generation| {
            *other != generation
                && self.slot_of(*other) == Some(None)
                && self.generations.get(other).is_some_and(|other| other.pins.same_target(&credential.pins))
        };
        [self.pending(), self.current, self.previous].into_iter().flatten().find(rivals)
    }

    /// One slot, and pending is in it or may be: the current value may work no longer.
    pub(crate) fn overwriting(&self) -> bool {
        let made = self.pending().and_then(|made| self.generations.get(&made));
        made.is_some_and(|made| {
            made.lingering().next().is_some()
                && self.current.is_some_and(|current| self.rival(made.number) == Some(current))
        })
    }

    /// Whether the slot of a generation holds a newer install at a place: ending it there would end the newer one.
    pub(crate) fn overwritten(&self, generation: Generation, place: &Place) -> Option<Generation> {
        let slot = self.slot_of(generation)?.cloned();
        let holder = *self.slots.get(&(place.clone(), slot))?;
        (holder != generation && self.share_slot(holder, generation)).then_some(holder)
    }
}
