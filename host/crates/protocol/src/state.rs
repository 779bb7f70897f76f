//! The state of one secret: the fold of its journal. Read by everyone, changed by [`Secret::record`] alone.

use crate::calls::{CallState, Effort, Observation, OpenCall, Tries};
use crate::event::{HoldReason, Pins};
use crate::generation::{Credential, Role};
use crate::ids::{
    Author, CallId, ConsumerName, Epoch, Generation, Millis, Place, Replica, RotationId, SecretName, Seq, Slot, Steady,
    TargetId,
};
use crate::membership::ReplicaState;
use crate::policy::{ConsumerPolicy, Policy};
use crate::profile::{Overlap, Profile};
use crate::retirement::{Job, Retirement};
use crate::rotation::Rotation;
use crate::step::{Ending, Phase};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// One managed secret, as its journal tells.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Secret {
    pub(crate) name: SecretName,
    pub(crate) seq: Seq,
    pub(crate) clock: Millis,
    pub(crate) steady: Steady,
    /// A process has measured the time between all events since it said so ([`crate::event::Event::ClockResumed`]).
    pub(crate) measured: bool,
    pub(crate) epoch: Epoch,
    pub(crate) next: Generation,
    pub(crate) next_call: CallId,
    pub(crate) generations: BTreeMap<Generation, Credential>,
    pub(crate) current: Option<Generation>,
    pub(crate) previous: Option<Generation>,
    pub(crate) rotation: Option<Rotation>,
    pub(crate) pins: Option<Arc<Pins>>,
    /// The newest rotation, running or over: on its behalf what it left behind is ended.
    pub(crate) last_rotation: Option<RotationId>,
    pub(crate) calls: BTreeMap<CallId, OpenCall>,
    pub(crate) last_mutation: BTreeMap<Place, CallId>,
    pub(crate) efforts: BTreeMap<Effort, Tries>,
    pub(crate) observations: BTreeMap<Place, Observation>,
    /// What works at a place and was missing from the last look there: it is tried before the next look.
    pub(crate) unlisted: BTreeMap<Place, BTreeSet<Generation>>,
    pub(crate) retirements: BTreeMap<Job, Retirement>,
    /// Minted by a call of ours, and nobody's job yet.
    pub(crate) loose: BTreeMap<Job, (RotationId, Arc<Pins>)>,
    /// Newest install in each slot at each place (`None`: the only slot of a target without overlap).
    pub(crate) slots: BTreeMap<(Place, Option<Slot>), Generation>,
    pub(crate) foreign: BTreeSet<(Place, TargetId)>,
    pub(crate) strangers: BTreeSet<(Place, TargetId)>,
    pub(crate) consumers: BTreeMap<ConsumerName, ConsumerPolicy>,
    pub(crate) replicas: BTreeMap<(ConsumerName, Replica), ReplicaState>,
    pub(crate) hold: Option<Hold>,
    pub(crate) frozen: Option<Author>,
    pub(crate) restored: Option<Restored>,
    /// Slots taken in turn of which nobody knows what they hold since a restore.
    pub(crate) doubtful_slots: BTreeSet<(Place, Slot)>,
    pub(crate) setbacks: u32,
    pub(crate) managed: bool,
    /// Places that a person took in or dropped, and whether each is there: later rotations keep to it.
    pub(crate) places_by_hand: BTreeMap<Place, bool>,
    pub(crate) finished: Option<(Millis, Ending, String)>,
    /// What is folded is on record already: see [`Secret::replay`]. Never set between two events.
    pub(crate) replaying: bool,
}

/// Why nothing moves, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hold {
    /// Why.
    pub reason: HoldReason,
    /// For people.
    pub detail: String,
    /// Since when.
    pub since: Millis,
}

/// What has been compared with the target since a restore.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Restored {
    /// The first call of the new life.
    pub first_call: CallId,
    /// What the older epoch tells opens no gate.
    pub strict: bool,
    /// Which credentials were tried where, and whether they worked.
    pub tried: BTreeMap<(Generation, Place), bool>,
    /// Credentials at the target that were seen for the first time since.
    pub strangers: BTreeSet<(Place, TargetId)>,
}

/// Where a secret stands, as the transition table distinguishes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stand {
    /// No rotation runs.
    Idle,
    /// A rotation is preparing.
    Prepare,
    /// A rotation is committing.
    Commit,
    /// Pending is being given back.
    RollingBack,
    /// Previous is being put back.
    Reverting,
}

impl fmt::Display for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "while no rotation runs",
            Self::Prepare => "in prepare",
            Self::Commit => "in commit",
            Self::RollingBack => "while rolling back",
            Self::Reverting => "while reverting",
        })
    }
}

impl Secret {
    /// A secret with an empty journal.
    #[must_use]
    pub const fn new(name: SecretName) -> Self {
        Self {
            name,
            seq: Seq(0),
            clock: Millis(0),
            steady: Steady(0),
            measured: false,
            epoch: Epoch(0),
            next: Generation(1),
            next_call: CallId(1),
            generations: BTreeMap::new(),
            current: None,
            previous: None,
            rotation: None,
            pins: None,
            last_rotation: None,
            calls: BTreeMap::new(),
            last_mutation: BTreeMap::new(),
            efforts: BTreeMap::new(),
            observations: BTreeMap::new(),
            unlisted: BTreeMap::new(),
            retirements: BTreeMap::new(),
            loose: BTreeMap::new(),
            slots: BTreeMap::new(),
            foreign: BTreeSet::new(),
            strangers: BTreeSet::new(),
            consumers: BTreeMap::new(),
            replicas: BTreeMap::new(),
            hold: None,
            frozen: None,
            restored: None,
            doubtful_slots: BTreeSet::new(),
            setbacks: 0,
            managed: true,
            places_by_hand: BTreeMap::new(),
            finished: None,
            replaying: false,
        }
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
