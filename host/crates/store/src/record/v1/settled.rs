//! A secret at rest, as written: one record from which it is loaded. What things are pinned to is kept once, in a table,
//! and named by its number there; most things at rest are pinned to the same.

use super::outcome::{LiveRecord, MintedRecord};
use super::policy::{ConsumerRecord, PinsRecord};
use super::standing::{
    CallStateRecord, EffortRecord, ExposureRecord, ReplicaRecord, StandingRecord, TouchedRecord, TriesRecord,
    WordRecord,
};
use crate::record::mirror::{pinned_struct, record_struct};
use crate::record::{RecordError, Stored};
use keybaton_protocol::calls::{Observation, OpenCall};
use keybaton_protocol::event::Pins;
use keybaton_protocol::generation::Credential;
use keybaton_protocol::settled::{Settled, Trail};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the things of one record are pinned to, each once.
#[derive(Default)]
pub(crate) struct Pinned(Vec<Arc<Pins>>);

impl Pinned {
    /// The number of these pins.
    pub(crate) fn number(&mut self, pins: &Arc<Pins>) -> u32 {
        let known = self.0.iter().position(|known| Arc::ptr_eq(known, pins) || known == pins);
        let at = known.unwrap_or_else(|| {
            self.0.push(Arc::clone(pins));
            self.0.len() - 1
        });
        u32::try_from(at).expect("a secret at rest has a credential, a few places and a few calls")
    }

    /// The pins of a number.
    pub(crate) fn pins(&self, number: u32) -> Result<Arc<Pins>, RecordError> {
        let found = usize::try_from(number).ok().and_then(|at| self.0.get(at));
        found.cloned().ok_or_else(|| RecordError::value("number of pins", &number.to_string()))
    }
}

record_struct!(TrailRecord => Trail {
    rotated_at: Option<u64>,
    expires_at: Option<u64>,
    not_before: Option<u64>,
    failures: u32,
    closed: bool,
    kind: Option<String>,
    spec: Option<String>,
});

pinned_struct!(CredentialRecord => Credential {
    number: u32,
    slot: Option<String>,
    minted: Option<MintedRecord>,
    imported: bool,
    epoch: u32,
    places: Vec<(String, StandingRecord)>,
    compromised: Option<ExposureRecord>,
    overridden: Option<WordRecord>,
    recalls: u32,
    doubtful: bool,
});

pinned_struct!(ObservationRecord => Observation { call: u32, began_at: u64, live: Vec<LiveRecord> });

pinned_struct!(CallRecord => OpenCall {
    kind: String,
    step: String,
    generation: u32,
    place: String,
    orphan: Option<String>,
    attempt: u32,
    operation: String,
    baseline: Vec<String>,
    intended_at: u64,
    intended: u64,
    epoch: u32,
    rotation: String,
    phase: Option<String>,
    resumes: Vec<u32>,
    state: CallStateRecord,
    sents: Vec<(u32, u64)>,
    acted: bool,
    touched: Vec<TouchedRecord>,
    slot_before: Option<(Option<String>, Option<u32>)>,
    stepped: bool,
});

/// The record. A field that came later is optional.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettledRecord {
    /// The table of pins.
    pinned: Vec<PinsRecord>,
    pins: Option<u32>,
    current: Option<CredentialRecord>,
    mints: Vec<(u32, CallRecord)>,
    observations: Vec<(String, ObservationRecord)>,
    clock: u64,
    steady: u64,
    measured: bool,
    epoch: u32,
    next: u32,
    next_call: u32,
    last_rotation: Option<String>,
    last_mutation: Vec<(String, u32)>,
    efforts: Vec<(EffortRecord, TriesRecord)>,
    unlisted: Vec<(String, Vec<u32>)>,
    slots: Vec<((String, Option<String>), u32)>,
    foreign: Vec<(String, String)>,
    strangers: Vec<(String, String)>,
    consumers: Vec<(String, ConsumerRecord)>,
    replicas: Vec<((String, String), ReplicaRecord)>,
    frozen: Option<String>,
    doubtful_slots: Vec<(String, String)>,
    setbacks: u32,
    managed: bool,
    places_by_hand: Vec<(String, bool)>,
    finished: Option<(u64, String, String)>,
    trail: TrailRecord,
}

impl Stored<Settled> for SettledRecord {
    fn store(model: &Settled) -> Self {
        let Settled {
            pins,
            current,
            mints,
            observations,
            clock,
            steady,
            measured,
            epoch,
            next,
            next_call,
            last_rotation,
            last_mutation,
            efforts,
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
            trail,
        } = model;
        let mut pinned = Pinned::default();
        let pins = pins.as_ref().map(|pins| pinned.number(pins));
        let current = current.as_ref().map(|current| CredentialRecord::store(current, &mut pinned));
        let mints = mints.iter().map(|(call, mint)| (call.0, CallRecord::store(mint, &mut pinned))).collect();
        let seen = observations.iter();
        let observations = seen.map(|(at, seen)| (Stored::store(at), ObservationRecord::store(seen, &mut pinned)));
        Self {
            pins,
            current,
            mints,
            observations: observations.collect(),
            pinned: pinned.0.iter().map(|pins| PinsRecord::store(pins)).collect(),
            clock: Stored::store(clock),
            steady: Stored::store(steady),
            measured: Stored::store(measured),
            epoch: Stored::store(epoch),
            next: Stored::store(next),
            next_call: Stored::store(next_call),
            last_rotation: Stored::store(last_rotation),
            last_mutation: Stored::store(last_mutation),
            efforts: Stored::store(efforts),
            unlisted: Stored::store(unlisted),
            slots: Stored::store(slots),
            foreign: Stored::store(foreign),
            strangers: Stored::store(strangers),
            consumers: Stored::store(consumers),
            replicas: Stored::store(replicas),
            frozen: Stored::store(frozen),
            doubtful_slots: Stored::store(doubtful_slots),
            setbacks: Stored::store(setbacks),
            managed: Stored::store(managed),
            places_by_hand: Stored::store(places_by_hand),
            finished: Stored::store(finished),
            trail: Stored::store(trail),
        }
    }

    fn load(self) -> Result<Settled, RecordError> {
        let Self {
            pinned,
            pins,
            current,
            mints,
            observations,
            clock,
            steady,
            measured,
            epoch,
            next,
            next_call,
            last_rotation,
            last_mutation,
            efforts,
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
            trail,
        } = self;
        let pinned = Pinned(pinned.into_iter().map(|pins| pins.load().map(Arc::new)).collect::<Result<_, _>>()?);
        let mint = |(call, mint): (u32, CallRecord)| Ok((call.load()?, mint.load(&pinned)?));
        let seen = |(at, seen): (String, ObservationRecord)| Ok((at.load()?, seen.load(&pinned)?));
        Ok(Settled {
            pins: pins.map(|pins| pinned.pins(pins)).transpose()?,
            current: current.map(|current| current.load(&pinned)).transpose()?,
            mints: mints.into_iter().map(mint).collect::<Result<_, RecordError>>()?,
            observations: observations.into_iter().map(seen).collect::<Result<_, RecordError>>()?,
            clock: clock.load()?,
            steady: steady.load()?,
            measured: measured.load()?,
            epoch: epoch.load()?,
            next: next.load()?,
            next_call: next_call.load()?,
            last_rotation: last_rotation.load()?,
            last_mutation: last_mutation.load()?,
            efforts: efforts.load()?,
            unlisted: unlisted.load()?,
            slots: slots.load()?,
            foreign: foreign.load()?,
            strangers: strangers.load()?,
            consumers: consumers.load()?,
            replicas: replicas.load()?,
            frozen: frozen.load()?,
            doubtful_slots: doubtful_slots.load()?,
            setbacks: setbacks.load()?,
            managed: managed.load()?,
            places_by_hand: places_by_hand.load()?,
            finished: finished.load()?,
            trail: trail.load()?,
        })
    }
}
