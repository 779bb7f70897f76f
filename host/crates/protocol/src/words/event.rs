//! The facts of a secret's life, as the journal keeps them. No event holds a secret value or a proof.
//!
//! Decisions and intents are appended only by the holder of the newest fence, on the state they were decided on;
//! outcomes and other facts are appended whenever they come, and are accepted in every state.

pub use crate::answers::{HostAnswer, Outcome};
use crate::evidence::Evidence;
use crate::ids::{
    Author, CallId, ConsumerName, Digest, Epoch, Generation, Incarnation, Millis, OperationId, Ordinal, Place, Replica,
    RotationId, Slot, TargetId,
};
pub use crate::minted::{Live, Minted};
pub use crate::pins::Pins;
use crate::policy::{ConsumerPolicy, Members, Policy};
use crate::settled::Settled;
use crate::step::{CallKind, Ending, PlanKind, Step, names};
use std::fmt;

/// The fact by which a call tells when a credential ends by itself: seconds since the Unix epoch, as text. It counts
/// until the target is observed.
pub const EXPIRES_FACT: &str = "expires-unix";

/// Why a credential is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RetireCause {
    /// A newer generation is current.
    Superseded,
    /// Pending was given back.
    RolledBack,
    /// The secret ends.
    Ended,
    /// keybaton's own call made it, and nobody was ever given it.
    Orphan,
    /// It is compromised.
    Compromised,
}

/// Why nothing moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HoldReason {
    /// Consumers have not answered in time.
    Stragglers,
    /// Neither the old nor the new value works at the target.
    Drift,
    /// The target has no room for another credential.
    Quota,
    /// Restored data: nothing is done before it has been compared with the target.
    Reconcile,
    /// Attempts are used up; a person must look.
    Quarantined,
    /// The same consumer cried twice without corroboration.
    Cried,
    /// A required consumer could not switch: its wave goes back, the rest wait.
    WaveFailed,
    /// The target forbids putting the previous value back, or its value is unknown.
    Irreversible,
    /// An operator said so.
    Operator,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// A rotation starts. The generation it makes (or takes over, or ends) and the slot it will use are chosen here.
    Started {
        /// Its identifier.
        rotation: RotationId,
        /// What it is for.
        kind: PlanKind,
        /// The generation it is about.
        generation: Generation,
        /// The slot for the new generation, where slots are taken in turn.
        slot: Option<Slot>,
        /// Why it started (`every`, `operator`, `compromise`, …), and by whom.
        cause: String,
        /// Who or what started it.
        author: Author,
        /// What it runs on.
        pins: Box<Pins>,
        /// Its steps in order; `None` in journals from before they were pinned.
        plan: Option<Vec<Step>>,
    },
    /// The operator changed the policy of the running rotation.
    Repolicied {
        /// The new policy.
        policy: Box<Policy>,
        /// Who.
        author: Author,
    },
    /// Another digest of the plugin carries on.
    Repinned {
        /// The new bytes.
        component: Digest,
        /// Who.
        author: Author,
    },
    /// A consumer joined.
    ConsumerAdded {
        /// Its policy.
        consumer: Box<ConsumerPolicy>,
        /// Who said so.
        author: Author,
    },
    /// What is declared of a consumer changed: its members, or the evidence that is asked of it. It holds at every gate
    /// from now on.
    ConsumerChanged {
        /// Its policy now.
        consumer: Box<ConsumerPolicy>,
        /// Who said so.
        author: Author,
    },
    /// A consumer left; its evidence no longer counts, nor is it waited for.
    ConsumerRemoved {
        /// Which.
        consumer: ConsumerName,
        /// Who said so.
        author: Author,
    },
    /// The target consists of other places; a new one is brought level before it counts.
    PlacesChanged {
        /// As they are now.
        places: Vec<Place>,
        /// Who said so.
        author: Author,
    },
    /// A place is gone for good, and every credential that was there with it.
    PlaceScrapped {
        /// Which.
        place: Place,
        /// Who said so.
        author: Author,
    },
    /// The authority lists other replicas.
    MembersChanged {
        /// Of which consumer.
        consumer: ConsumerName,
        /// As listed now.
        members: Members,
        /// Which authority or operator.
        author: Author,
    },
    /// An authority says of one replica of a counted membership whether it is gone: then nobody waits for it any more,
    /// and it counts for nothing, until a new life of it speaks.
    MemberMarked {
        /// Of which consumer.
        consumer: ConsumerName,
        /// Which instance.
        replica: Replica,
        /// It is gone.
        gone: bool,
        /// Who said so.
        author: Author,
    },
    /// A plugin call is about to be made.
    Intended {
        /// Its number.
        call: CallId,
        /// Which export.
        kind: CallKind,
        /// About which generation.
        generation: Generation,
        /// Where.
        place: Place,
        /// Which attempt at this operation, from 1.
        attempt: u32,
        /// The idempotency key.
        operation: OperationId,
        /// The target's ids live before a mint, so that an orphan can be told later.
        baseline: Vec<TargetId>,
        /// Which step it serves.
        step: Step,
        /// The target's id, for the retirement of an orphan.
        id: Option<TargetId>,
        /// Earlier calls whose journalled host calls answer this one, newest first.
        resumes: Vec<CallId>,
    },
    /// The process that made a plugin call is gone, and the call has not ended: appended by recovery.
    Interrupted {
        /// Which.
        call: CallId,
    },
    /// A mutating host call is about to leave.
    Sent {
        /// Within which plugin call.
        call: CallId,
        /// Which one.
        ordinal: Ordinal,
        /// Digest of the request, secrets left out.
        request: Digest,
        /// Latest instant at which it can still take effect.
        deadline: Millis,
    },
    /// A host call ended.
    Answered {
        /// Within which plugin call.
        call: CallId,
        /// Which one.
        ordinal: Ordinal,
        /// Digest of the request.
        request: Digest,
        /// How.
        answer: HostAnswer,
    },
    /// A plugin call ended.
    Ended {
        /// Which.
        call: CallId,
        /// How.
        outcome: Outcome,
    },
    /// A generation was supplied from outside (import), its fields sealed in the same write.
    Supplied {
        /// Which generation.
        generation: Generation,
        /// What it is called.
        minted: Minted,
        /// Who.
        author: Author,
    },
    /// Pending is offered to every consumer.
    Staged,
    /// A consumer's replica fetched a generation.
    Fetched {
        /// Who.
        consumer: ConsumerName,
        /// Which instance.
        replica: Replica,
        /// Which life of it.
        incarnation: Incarnation,
        /// What.
        generation: Generation,
    },
    /// A statement was accepted.
    Stated(Evidence),
    /// A former life of a replica spoke after its present one had begun: two processes share one identity. What was said
    /// is refused; that it was said is a fact.
    SeenTwice {
        /// Whose.
        consumer: ConsumerName,
        /// Which instance.
        replica: Replica,
        /// The former life.
        incarnation: Incarnation,
    },
    /// Pending became current, current became previous.
    Committed,
    /// The next wave may switch.
    WaveOpened {
        /// From 0.
        wave: u32,
    },
    /// Everyone who must has adopted; the overlap and the quiet time run.
    Draining,
    /// Pending is being given back.
    RollingBack {
        /// Why.
        reason: String,
        /// Who, if a person.
        author: Option<Author>,
    },
    /// Previous is being put back.
    Reverting {
        /// Why.
        reason: String,
        /// Who, if a person.
        author: Option<Author>,
    },
    /// Previous is current again, durably.
    Reverted,
    /// A credential is to be ended, as a durable job of its own.
    RetirementOpened {
        /// Which.
        generation: Generation,
        /// Where.
        place: Place,
        /// Why.
        cause: RetireCause,
        /// The target's id, for orphans that are no generation's value.
        id: Option<TargetId>,
    },
    /// It has ended, or its slot holds another generation.
    RetirementClosed {
        /// Which.
        generation: Generation,
        /// Where.
        place: Place,
        /// The target's id, for orphans.
        id: Option<TargetId>,
        /// The slot was taken by a newer generation.
        superseded: bool,
    },
    /// No place holds the generation any more: its data key is erased in the same write.
    Erased {
        /// Which.
        generation: Generation,
    },
    /// A credential at the target that keybaton did not make.
    ForeignSeen {
        /// Where.
        place: Place,
        /// The target's id.
        id: TargetId,
    },
    /// Nothing moves until this is lifted.
    Held {
        /// Why.
        reason: HoldReason,
        /// For people: since when, for whom, what to do.
        detail: String,
    },
    /// The hold is lifted.
    Released {
        /// Who.
        author: Author,
    },
    /// A gate was passed without the evidence it asks for.
    Overridden {
        /// Which credential may be ended all the same.
        generation: Generation,
        /// Why.
        reason: String,
        /// Who.
        author: Author,
    },
    /// A generation is known to others. Sticky until it is destroyed.
    Compromised {
        /// Which.
        generation: Generation,
        /// End it before consumers have switched.
        disable_first: bool,
        /// Who.
        author: Author,
    },
    /// No new mutation starts.
    Frozen {
        /// Who.
        author: Author,
    },
    /// Mutations may start again.
    Thawed {
        /// Who.
        author: Author,
    },
    /// The rotation is over.
    Finished {
        /// How.
        ending: Ending,
        /// Why, if a person or a fault ended it.
        reason: String,
    },
    /// Time passed while a timer that permits destruction was running.
    Ticked,
    /// The wall clock was set, ahead or (below zero) back, while this process measured the time: what takes time takes
    /// no longer and no shorter for it.
    ClockStepped {
        /// By how many milliseconds.
        by_ms: i64,
    },
    /// A process begins to measure the time; how much has passed since the event before is not known, and counts as none.
    ClockResumed,
    /// The journal begins, in an epoch later than the installation's first.
    Begun {
        /// The epoch.
        epoch: Epoch,
    },
    /// The database was restored from a backup.
    Restored {
        /// The new epoch.
        epoch: Epoch,
        /// Nothing of the older epoch opens a gate: neither a fetch that lapsed, nor an override, nor a soak. False in
        /// journals that an earlier version restored, which were written by other rules.
        strict: bool,
    },
    /// The restored secret agrees with its target again.
    Reconciled {
        /// Who.
        author: Author,
        /// Next generation number, past the highest any consumer reports.
        next: Generation,
    },
    /// The target refuses what the restored journal knows, and a person accepts that it is lost: nothing is current any
    /// more, and nothing at the target is touched.
    Lost {
        /// Why.
        reason: String,
        /// Who.
        author: Author,
        /// Next generation number, past the highest any consumer reports.
        next: Generation,
    },
    /// All that is known at rest, in one record: replay may begin here, and what came before is history.
    Settled(Box<Settled>),
    /// The declaration is gone; nothing is destroyed.
    Unmanaged {
        /// Who.
        author: Author,
    },
}

impl Event {
    /// The stable lower-case name used in journals, logs and views.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Repolicied { .. } => "repolicied",
            Self::Repinned { .. } => "repinned",
            Self::ConsumerAdded { .. } => "consumer-added",
            Self::ConsumerChanged { .. } => "consumer-changed",
            Self::ConsumerRemoved { .. } => "consumer-removed",
            Self::PlacesChanged { .. } => "places-changed",
            Self::PlaceScrapped { .. } => "place-scrapped",
            Self::MembersChanged { .. } => "members-changed",
            Self::MemberMarked { .. } => "member-marked",
            Self::Intended { .. } => "intended",
            Self::Interrupted { .. } => "interrupted",
            Self::Sent { .. } => "sent",
            Self::Answered { .. } => "answered",
            Self::Ended { .. } => "ended",
            Self::Supplied { .. } => "supplied",
            Self::Staged => "staged",
            Self::Fetched { .. } => "fetched",
            Self::Stated(_) => "stated",
            Self::SeenTwice { .. } => "seen-twice",
            Self::Committed => "committed",
            Self::WaveOpened { .. } => "wave-opened",
            Self::Draining => "draining",
            Self::RollingBack { .. } => "rolling-back",
            Self::Reverting { .. } => "reverting",
            Self::Reverted => "reverted",
            Self::RetirementOpened { .. } => "retirement-opened",
            Self::RetirementClosed { .. } => "retirement-closed",
            Self::Erased { .. } => "erased",
            Self::ForeignSeen { .. } => "foreign-seen",
            Self::Held { .. } => "held",
            Self::Released { .. } => "released",
            Self::Overridden { .. } => "overridden",
            Self::Compromised { .. } => "compromised",
            Self::Frozen { .. } => "frozen",
            Self::Thawed { .. } => "thawed",
            Self::Finished { .. } => "finished",
            Self::Ticked => "ticked",
            Self::ClockStepped { .. } => "clock-stepped",
            Self::ClockResumed => "clock-resumed",
            Self::Begun { .. } => "begun",
            Self::Restored { .. } => "restored",
            Self::Reconciled { .. } => "reconciled",
            Self::Lost { .. } => "lost",
            Self::Settled(_) => "settled",
            Self::Unmanaged { .. } => "unmanaged",
        }
    }
}

names!(RetireCause {
    Superseded => "superseded", RolledBack => "rolled-back", Ended => "ended", Orphan => "orphan",
    Compromised => "compromised",
});
names!(HoldReason {
    Stragglers => "stragglers", Drift => "drift", Quota => "quota", Reconcile => "reconcile",
    Quarantined => "quarantined", Cried => "cried", WaveFailed => "wave-failed", Irreversible => "irreversible",
    Operator => "operator",
});
