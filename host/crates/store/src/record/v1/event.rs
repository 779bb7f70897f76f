//! Every event, as written. One variant a kind; the list of kinds comes out of the same match that the compiler checks.

use super::outcome::{
    EvidenceRecord, HoldReasonRecord, HostAnswerRecord, MintedRecord, OutcomeRecord, RetireCauseRecord,
};
use super::policy::{ConsumerRecord, MembersRecord, PinsRecord, PolicyRecord};
use super::settled::SettledRecord;
use crate::record::mirror::record_enum;
use keybaton_protocol::event::Event;

record_enum!(EventRecord => Event {
    Started {
        rotation: String,
        kind: String,
        generation: u32,
        slot: Option<String>,
        cause: String,
        author: String,
        pins: Box<PinsRecord>,
        #[serde(skip_serializing_if = "Option::is_none")]
        plan: Option<Vec<String>>,
    },
    Repolicied { policy: Box<PolicyRecord>, author: String },
    Repinned { component: String, author: String },
    ConsumerAdded { consumer: Box<ConsumerRecord>, author: String },
    ConsumerChanged { consumer: Box<ConsumerRecord>, author: String },
    ConsumerRemoved { consumer: String, author: String },
    PlacesChanged { places: Vec<String>, author: String },
    PlaceScrapped { place: String, author: String },
    MembersChanged { consumer: String, members: MembersRecord, author: String },
    MemberMarked { consumer: String, replica: String, gone: bool, author: String },
    Intended {
        call: u32,
        kind: String,
        generation: u32,
        place: String,
        attempt: u32,
        operation: String,
        baseline: Vec<String>,
        step: String,
        id: Option<String>,
        resumes: Vec<u32>,
    },
    Interrupted { call: u32 },
    Sent { call: u32, ordinal: u32, request: String, deadline: u64 },
    Answered { call: u32, ordinal: u32, request: String, answer: HostAnswerRecord },
    Ended { call: u32, outcome: OutcomeRecord },
    Supplied { generation: u32, minted: MintedRecord, author: String },
    Staged,
    Fetched { consumer: String, replica: String, incarnation: String, generation: u32 },
    Stated(evidence: EvidenceRecord),
    SeenTwice { consumer: String, replica: String, incarnation: String },
    Committed,
    WaveOpened { wave: u32 },
    Draining,
    RollingBack { reason: String, author: Option<String> },
    Reverting { reason: String, author: Option<String> },
    Reverted,
    RetirementOpened { generation: u32, place: String, cause: RetireCauseRecord, id: Option<String> },
    RetirementClosed { generation: u32, place: String, id: Option<String>, superseded: bool },
    Erased { generation: u32 },
    ForeignSeen { place: String, id: String },
    Held { reason: HoldReasonRecord, detail: String },
    Released { author: String },
    Overridden { generation: u32, reason: String, author: String },
    Compromised { generation: u32, disable_first: bool, author: String },
    Frozen { author: String },
    Thawed { author: String },
    Finished { ending: String, reason: String },
    Ticked,
    ClockStepped { by_ms: i64 },
    ClockResumed,
    Begun { epoch: u32 },
    // `strict` came later: a record without it was written by other rules, and is read by them.
    Restored { epoch: u32, #[serde(default, skip_serializing_if = "std::ops::Not::not")] strict: bool },
    Reconciled { author: String, next: u32 },
    Lost { reason: String, author: String, next: u32 },
    Settled(settled: Box<SettledRecord>),
    Unmanaged { author: String },
});

macro_rules! kinds {
    ($($variant:ident => $name:literal),* $(,)?) => {
        /// Every kind, as written on disk.
        pub(crate) const EVENT_KINDS: &[&str] = &[$($name),*];

        /// The kind of an event, as written on disk.
        pub(crate) fn event_kind(event: &Event) -> &'static str {
            match event { $( Event::$variant { .. } => $name ),* }
        }
    };
}

kinds! {
    Started => "started", Repolicied => "repolicied", Repinned => "repinned", ConsumerAdded => "consumer-added",
    ConsumerChanged => "consumer-changed", ConsumerRemoved => "consumer-removed", PlacesChanged => "places-changed",
    PlaceScrapped => "place-scrapped", MembersChanged => "members-changed", MemberMarked => "member-marked",
    SeenTwice => "seen-twice",
    Intended => "intended", Interrupted => "interrupted", Sent => "sent", Answered => "answered", Ended => "ended",
    Supplied => "supplied", Staged => "staged", Fetched => "fetched", Stated => "stated",
    Committed => "committed", WaveOpened => "wave-opened", Draining => "draining", RollingBack => "rolling-back",
    Reverting => "reverting", Reverted => "reverted", RetirementOpened => "retirement-opened",
    RetirementClosed => "retirement-closed", Erased => "erased", ForeignSeen => "foreign-seen", Held => "held",
    Released => "released", Overridden => "overridden", Compromised => "compromised", Frozen => "frozen",
    Thawed => "thawed", Finished => "finished", Ticked => "ticked", ClockStepped => "clock-stepped",
    ClockResumed => "clock-resumed", Begun => "begun", Restored => "restored", Reconciled => "reconciled",
    Lost => "lost", Settled => "settled", Unmanaged => "unmanaged",
}
