//! A secret at rest, in one record: everything of its state that outlives its rotations, so that replay may begin there.
//! Both ways name every field of the state, so that one that is added does not compile before it is decided here whether
//! it outlives them. Never written while anything is open.

use crate::calls::{CallState, Effort, Observation, OpenCall, Tries};
use crate::event::Pins;
use crate::generation::Credential;
use crate::ids::{
    Author, CallId, ConsumerName, Digest, Epoch, Generation, Millis, Place, Replica, RotationId, SecretName, Seq, Slot,
    Steady, TargetId,
};
use crate::membership::ReplicaState;
use crate::policy::ConsumerPolicy;
use crate::state::Secret;
use crate::step::{Ending, PlanKind};
use crate::table::Verdict;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is known of a secret at rest, its name and the position in its journal apart. At rest there is no rotation, no
/// retirement, no hold, no unfinished restore and no credential but current; so none of these is here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settled {
    /// Instant of this record.
    pub clock: Millis,
    /// Time that has certainly passed up to it.
    pub steady: Steady,
    /// A process has measured the time between all events since it said so.
    pub measured: bool,
    /// The installation epoch it lives in.
    pub epoch: Epoch,
    /// The number the next generation gets.
    pub next: Generation,
    /// The number the next call gets.
    pub next_call: CallId,
    /// The credential in use: what it is called, its pins, how it stands at each place.
    pub current: Option<Credential>,
    /// What the newest rotation ran on.
    pub pins: Option<Arc<Pins>>,
    /// The newest rotation: on its behalf it is looked and tried while none runs.
    pub last_rotation: Option<RotationId>,
    /// Mints at the target whose answer never came, closed by an observation. Should the answer come after all, what
    /// they made has to end. Of other closed calls nothing is kept: what a late answer of theirs tells is older than what
    /// was learnt since.
    pub mints: BTreeMap<CallId, OpenCall>,
    /// The newest mutating call at each place: what was seen before it is no baseline.
    pub last_mutation: BTreeMap<Place, CallId>,
    /// Failed attempts, for their pauses and for people.
    pub efforts: BTreeMap<Effort, Tries>,
    /// What the target last listed at each place.
    pub observations: BTreeMap<Place, Observation>,
    /// What works at a place and was missing from the last look there.
    pub unlisted: BTreeMap<Place, BTreeSet<Generation>>,
    /// Newest install in each slot at each place.
    pub slots: BTreeMap<(Place, Option<Slot>), Generation>,
    /// Credentials at the target that keybaton did not make.
    pub foreign: BTreeSet<(Place, TargetId)>,
    /// Those of them that have no name on record yet.
    pub strangers: BTreeSet<(Place, TargetId)>,
    /// Consumers, as last declared, added and listed.
    pub consumers: BTreeMap<ConsumerName, ConsumerPolicy>,
    /// What replicas have shown of themselves: they hold current.
    pub replicas: BTreeMap<(ConsumerName, Replica), ReplicaState>,
    /// Who froze it.
    pub frozen: Option<Author>,
    /// Slots taken in turn of which nobody knows what they hold since a restore.
    pub doubtful_slots: BTreeSet<(Place, Slot)>,
    /// Rotations in a row that were given back for a fault.
    pub setbacks: u32,
    /// Whether the declaration is still there.
    pub managed: bool,
    /// Places that a person took in or dropped, and whether each is there.
    pub places_by_hand: BTreeMap<Place, bool>,
    /// How the last rotation ended: when, how, why.
    pub finished: Option<(Millis, Ending, String)>,
    /// What the host keeps beside this. The protocol only carries it.
    pub trail: Trail,
}

/// What a host folds beside the state, for due times and lists: a load that begins at a record must find it there. No
/// rule of the protocol reads it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Trail {
    /// When the current credential became current.
    pub rotated_at: Option<Millis>,
    /// When it ends by itself.
    pub expires_at: Option<Millis>,
    /// No start by cadence before this instant.
    pub not_before: Option<Millis>,
    /// Rotations in a row that did not complete.
    pub failures: u32,
    /// The secret was ended.
    pub closed: bool,
    /// What the newest rotation was for.
    pub kind: Option<PlanKind>,
    /// Digest of the declaration whose consumers were last taken over.
    pub spec: Option<Digest>,
}

impl Secret {
    /// A secret of which the first event to be replayed is the `Settled` that comes after `before`.
    #[must_use]
    pub const fn resuming(name: SecretName, before: Seq) -> Self {
        let mut secret = Self::new(name);
        secret.seq = before;
        secret
    }

    /// How many events came after the newest `Settled`, or after the beginning: what a replay reads.
    #[must_use]
    pub const fn unsettled(&self) -> u64 {
        self.seq.0.saturating_sub(self.settled.0)
    }

    /// Whether the secret is at rest, so that one record tells all of it.
    fn may_settle(&self) -> Verdict {
        if !self.at_rest() || self.previous.is_some() {
            return Err("the secret is not at rest".into());
        }
        if self.restored.is_some() || self.hold.is_some() {
            return Err("the secret is held".into());
        }
        if self.calls.values().any(|call| call.state != CallState::Closed) {
            return Err("a call is open".into());
        }
        Ok(())
    }

    /// Everything that outlives its rotations, as it stands at `at`; without what the host keeps beside it. `None` where
    /// something is open.
    #[must_use]
    pub fn as_settled(&self, at: Millis) -> Option<Settled> {
        self.may_settle().ok()?;
        let mut kept = self.clone();
        kept.forget_closed_calls();
        kept.steady = self.steady_at(at);
        kept.clock = self.clock.max(at);
        Some(kept.into_settled())
    }

    fn into_settled(self) -> Settled {
        let Self {
            clock,
            steady,
            measured,
            epoch,
            next,
            next_call,
            mut generations,
            current,
            pins,
            last_rotation,
            calls: mints,
            last_mutation,
            efforts,
            observations,
            unlisted,
            slots,
            foreign,
            strangers,
            consumers,
            replicas,
            frozen,
            doubtful_slots,
            setbacks,
            managed,
            places_by_hand,
            finished,
            name: _,
            seq: _,
            settled: _,
            replaying: _,
            // The journal tells those; of these there are none at rest.
            previous: _,
            rotation: _,
            retirements: _,
            loose: _,
            hold: _,
            restored: _,
        } = self;
        Settled {
            clock,
            steady,
            measured,
            epoch,
            next,
            next_call,
            current: current.and_then(|current| generations.remove(&current)),
            pins,
            last_rotation,
            mints,
            last_mutation,
            efforts,
            observations,
            unlisted,
            slots,
            foreign,
            strangers,
            consumers,
            replicas,
            frozen,
            doubtful_slots,
            setbacks,
            managed,
            places_by_hand,
            finished,
            trail: Trail::default(),
        }
    }

    /// The state becomes what the record says. What is on record already is taken as it is, also where nothing came
    /// before it; a new one says how the secret stands, or is refused.
    pub(crate) fn settle(&mut self, said: &Settled) -> Verdict {
        if !self.replaying {
            self.may_settle()?;
            let stands = self.as_settled(self.clock);
            if stands.is_none_or(|stands| Settled { trail: said.trail.clone(), ..stands } != *said) {
                return Err("it says something else than how the secret stands".into());
            }
        }
        let (name, seq, replaying) = (self.name.clone(), self.seq, self.replaying);
        *self = said.clone().into_secret(name, seq);
        self.replaying = replaying;
        Ok(())
    }
}

impl Settled {
    /// The state that it tells of, as it stands where the record itself is the next event.
    fn into_secret(self, name: SecretName, seq: Seq) -> Secret {
        let Self {
            clock,
            steady,
            measured,
            epoch,
            next,
            next_call,
            current,
            pins,
            last_rotation,
            mints: calls,
            last_mutation,
            efforts,
            observations,
            unlisted,
            slots,
            foreign,
            strangers,
            consumers,
            replicas,
            frozen,
            doubtful_slots,
            setbacks,
            managed,
            places_by_hand,
            finished,
            trail: _,
        } = self;
        Secret {
            name,
            seq,
            settled: Seq(seq.0 + 1),
            clock,
            steady,
            measured,
            epoch,
            next,
            next_call,
            current: current.as_ref().map(|current| current.number),
            generations: current.into_iter().map(|current| (current.number, current)).collect(),
            previous: None,
            rotation: None,
            pins,
            last_rotation,
            calls,
            last_mutation,
            efforts,
            observations,
            unlisted,
            retirements: BTreeMap::new(),
            loose: BTreeMap::new(),
            slots,
            foreign,
            strangers,
            consumers,
            replicas,
            hold: None,
            frozen,
            restored: None,
            doubtful_slots,
            setbacks,
            managed,
            places_by_hand,
            finished,
            replaying: false,
        }
    }
}
