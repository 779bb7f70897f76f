//! What a secret's actor is told and asked. Each message that wants an answer carries its own way back.

use crate::error::EngineError;
use crate::ports::journal::Reply;
use crate::ports::rotator::RecordError;
use crate::ports::secret::Seal;
use crate::requests::{Ask, Fetch};
use crate::scheduler::StartPermit;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{CallId, Digest, Generation, Millis, RotationId, SealLabel, Seq};
use keybaton_protocol::offer::Known;
use keybaton_protocol::state::Secret;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A message.
pub(crate) enum Item {
    /// Look again: a timer went off, or something outside changed.
    Wake,
    Fact(Fact),
    Command(Asked),
    Fetch(Fetching),
    Look(Look),
    TookOver(TookOver),
}

/// Something that happened; recorded whatever the state. Kept and tried again while the store is unavailable.
pub(crate) struct Fact {
    pub(crate) events: Vec<Event>,
    pub(crate) seals: Vec<(Generation, Seal)>,
    pub(crate) replies: Vec<Reply>,
    /// A plugin call that has ended with this fact.
    pub(crate) ends: Option<CallId>,
    /// Set for what is about to leave, and can take effect for so many milliseconds: the lease must outlive that, or it is
    /// refused.
    pub(crate) leaves: Option<u64>,
    /// Nothing is done, shown or sent on the strength of it that does not come through this mailbox after it: it may
    /// wait a moment and share the next write.
    pub(crate) patient: bool,
    pub(crate) done: Option<oneshot::Sender<Result<(), RecordError>>>,
}

impl Fact {
    /// Nothing yet.
    pub(crate) fn empty() -> Self {
        Self {
            events: Vec::new(),
            seals: Vec::new(),
            replies: Vec::new(),
            ends: None,
            leaves: None,
            patient: false,
            done: None,
        }
    }
}

impl Item {
    /// Whether it may wait for company.
    pub(crate) const fn is_patient(&self) -> bool {
        matches!(self, Self::Fact(fact) if fact.patient)
    }
}

/// Something that is asked for; may be refused.
pub(crate) struct Asked {
    pub(crate) command: Command,
    /// Values supplied from outside, by field; sealed in the same write.
    pub(crate) supplied: Vec<Seal>,
    pub(crate) permit: Option<StartPermit>,
    pub(crate) done: Option<oneshot::Sender<Result<Seq, EngineError>>>,
}

/// A replica's fetch.
pub(crate) struct Fetching {
    pub(crate) fetch: Fetch,
    /// Set where it waits until there is something that the replica does not know.
    pub(crate) known: Option<Known>,
    pub(crate) done: Option<oneshot::Sender<Result<Offered, EngineError>>>,
}

/// What may be given out, before its values are unsealed.
pub(crate) struct Offered {
    pub(crate) rotation: RotationId,
    pub(crate) generations: Vec<OfferedGeneration>,
    pub(crate) asks: Vec<Ask>,
    pub(crate) staged_lease_ms: Option<u64>,
    pub(crate) seq: Seq,
    /// When it was given, from which on the lease runs.
    pub(crate) at: Instant,
}

/// One generation of it.
pub(crate) struct OfferedGeneration {
    pub(crate) generation: Generation,
    pub(crate) role: &'static str,
    pub(crate) use_now: bool,
    pub(crate) live: bool,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) fields: Vec<(String, SealLabel)>,
}

/// A look at the durable state.
pub(crate) type Look = Box<dyn FnOnce(&Secret, Millis) + Send>;

/// The journal's consumers now agree with this declaration; remembered in the index.
pub(crate) struct TookOver {
    pub(crate) spec: Digest,
    pub(crate) done: Option<oneshot::Sender<Result<(), EngineError>>>,
}
