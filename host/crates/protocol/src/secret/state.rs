//! The state of one secret: the fold of its journal. Read by everyone, changed by [`Secret::record`] alone.

use crate::calls::{Effort, Observation, OpenCall, Tries};
use crate::event::{HoldReason, Pins};
use crate::generation::Credential;
use crate::ids::{
    Author, CallId, ConsumerName, Epoch, Generation, Millis, Place, Replica, RotationId, SecretName, Seq, Slot, Steady,
    TargetId,
};
use crate::membership::ReplicaState;
use crate::policy::ConsumerPolicy;
use crate::retirement::{Job, Retirement};
use crate::rotation::Rotation;
use crate::step::Ending;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// One managed secret, as its journal tells.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Secret {
    pub(in crate::secret) name: SecretName,
    pub(in crate::secret) seq: Seq,
    /// Where the newest [`crate::settled::Settled`] is; 0 where there is none.
    pub(in crate::secret) settled: Seq,
    pub(in crate::secret) clock: Millis,
    pub(in crate::secret) steady: Steady,
    /// A process has measured the time between all events since it said so ([`crate::event::Event::ClockResumed`]).
    pub(in crate::secret) measured: bool,
    pub(in crate::secret) epoch: Epoch,
    pub(in crate::secret) next: Generation,
    pub(in crate::secret) next_call: CallId,
    pub(in crate::secret) generations: BTreeMap<Generation, Credential>,
    pub(in crate::secret) current: Option<Generation>,
    pub(in crate::secret) previous: Option<Generation>,
    pub(in crate::secret) rotation: Option<Rotation>,
    pub(in crate::secret) pins: Option<Arc<Pins>>,
    /// The newest rotation, running or over: on its behalf what it left behind is ended.
    pub(in crate::secret) last_rotation: Option<RotationId>,
    pub(in crate::secret) calls: BTreeMap<CallId, OpenCall>,
    pub(in crate::secret) last_mutation: BTreeMap<Place, CallId>,
    pub(in crate::secret) efforts: BTreeMap<Effort, Tries>,
    pub(in crate::secret) observations: BTreeMap<Place, Observation>,
    /// What works at a place and was missing from the last look there: it is tried before the next look.
    pub(in crate::secret) unlisted: BTreeMap<Place, BTreeSet<Generation>>,
    pub(in crate::secret) retirements: BTreeMap<Job, Retirement>,
    /// Minted by a call of ours, and nobody's job yet.
    pub(in crate::secret) loose: BTreeMap<Job, (RotationId, Arc<Pins>)>,
    /// Newest install in each slot at each place (`None`: the only slot of a target without overlap).
    pub(in crate::secret) slots: BTreeMap<(Place, Option<Slot>), Generation>,
    pub(in crate::secret) foreign: BTreeSet<(Place, TargetId)>,
    pub(in crate::secret) strangers: BTreeSet<(Place, TargetId)>,
    pub(in crate::secret) consumers: BTreeMap<ConsumerName, ConsumerPolicy>,
    pub(in crate::secret) replicas: BTreeMap<(ConsumerName, Replica), ReplicaState>,
    pub(in crate::secret) hold: Option<Hold>,
    pub(in crate::secret) frozen: Option<Author>,
    pub(in crate::secret) restored: Option<Restored>,
    /// Slots taken in turn of which nobody knows what they hold since a restore.
    pub(in crate::secret) doubtful_slots: BTreeSet<(Place, Slot)>,
    pub(in crate::secret) setbacks: u32,
    pub(in crate::secret) managed: bool,
    /// Places that a person took in or dropped, and whether each is there: later rotations keep to it.
    pub(in crate::secret) places_by_hand: BTreeMap<Place, bool>,
    pub(in crate::secret) finished: Option<(Millis, Ending, String)>,
    /// What is folded is on record already: see [`Secret::replay`]. Never set between two events.
    pub(in crate::secret) replaying: bool,
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
            settled: Seq(0),
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
}
