//! The durable record: events, sealed values and host-call replies of one secret, appended together or not at all.

use super::secret::{Seal, SecretBytes};
use super::storage::StorageError;
use async_trait::async_trait;
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{CallId, Digest, Epoch, Fence, Generation, Millis, Ordinal, SealLabel, SecretName, Seq};

/// One atomic write to the journal of one secret.
#[derive(Debug)]
pub struct Append {
    /// Whose journal.
    pub secret: SecretName,
    /// The sequence it is appended after: the one that a decision was made on, or after which a fact is dated. `None`:
    /// after whatever is there.
    pub after: Option<Seq>,
    /// For decisions and intents: the fence held. `None` for facts.
    pub fence: Option<Fence>,
    /// When: not before the last event, unless the first of these says that the clock was set back.
    pub at: Millis,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Values to seal under the data key of a generation (made on its first seal).
    pub seals: Vec<(Generation, Seal)>,
    /// What a host call answered, so that a resumed step gets the same answer.
    pub replies: Vec<Reply>,
    /// Generations whose data key and sealed values are erased.
    pub erase: Vec<Generation>,
    /// What the index is to say of the secret from now on; `None` leaves it as it is (open, on a first append).
    pub mark: Option<Mark>,
}

/// The index entry of a secret: what a start needs to know without reading a million journals.
/// Kept beside the journal in the same write; the journal remains the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// There is something to do: a rotation, a retirement or a call is open. Only these are replayed at start.
    pub open: bool,
    /// When the current credential became current.
    pub rotated_at: Option<Millis>,
    /// When it ends by itself.
    pub expires_at: Option<Millis>,
    /// No start by cadence before this instant (after a failure).
    pub not_before: Option<Millis>,
    /// Rotations in a row that did not complete.
    pub failures: u32,
    /// The secret was ended by `retire`: cadence starts nothing.
    pub closed: bool,
    /// Digest of the declaration whose consumers this journal last took over; `None` once it is unmanaged.
    pub spec: Option<Digest>,
}

/// One line of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexed {
    /// Which secret.
    pub secret: SecretName,
    /// Where its journal ends.
    pub seq: Seq,
    /// As last marked; says nothing where the line is damaged.
    pub mark: Mark,
    /// What is wrong with it, where its journal is known to be damaged: nothing is begun for this secret.
    pub damaged: Option<String>,
}

/// How far a host has read the feed of changes. Opaque to all but the store that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub u64);

/// What the feed says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Secrets whose journals grew since the cursor, as the index has them now; some may be named again.
    pub moved: Vec<Indexed>,
    /// Where to go on.
    pub cursor: Cursor,
}

/// A host call's answer as the guest saw it: scrubbed, secrets replaced by the labels they are sealed under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Within which plugin call.
    pub call: CallId,
    /// Which host call.
    pub ordinal: Ordinal,
    /// Digest of the request that it answers.
    pub request: Digest,
    /// Opaque to all but the runtime; versioned there.
    pub body: Vec<u8>,
}

/// An event with its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Position.
    pub seq: Seq,
    /// When.
    pub at: Millis,
    /// What.
    pub event: Event,
}

/// Which part of a journal is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The first ones after a position.
    After(Seq),
    /// The last ones before a position, or at the end.
    Before(Option<Seq>),
}

/// A lease on deciding for one secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Goes with every decision and intent.
    pub fence: Fence,
    /// Until when, by the database's clock.
    pub until: Millis,
}

/// Sealed values of one generation that are wanted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which generation.
    pub generation: Generation,
    /// Which values, by label.
    pub labels: Vec<SealLabel>,
    /// Whether its salt is wanted too.
    pub salt: bool,
}

/// What was wanted of one generation.
#[derive(Debug)]
pub struct Opened {
    /// In the order of the labels.
    pub values: Vec<SecretBytes>,
    /// The salt, if it was wanted.
    pub salt: Option<SecretBytes>,
}

/// Why the journal did not take or give.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Somebody appended first; read on and decide again.
    #[error("the journal of {secret} has moved on to {at:?}")]
    Conflict {
        /// Whose journal.
        secret: SecretName,
        /// Where it stands.
        at: Seq,
    },
    /// Another host holds a newer lease.
    #[error("another host has taken over {secret}")]
    Fenced {
        /// Whose journal.
        secret: SecretName,
    },
    /// What is stored is torn or was edited; it is not read as truth.
    #[error("the journal is damaged: {detail}")]
    Damaged {
        /// Where and what.
        detail: String,
    },
    /// The value was erased, or never sealed.
    #[error("no sealed value {label} of {secret} generation {generation:?}")]
    NoSeal {
        /// Whose.
        secret: SecretName,
        /// Which generation.
        generation: Generation,
        /// Which value.
        label: String,
    },
    /// The store cannot be reached or written: nothing was kept, nothing may be done.
    #[error("the store is unavailable: {detail}")]
    Unavailable {
        /// What the store said.
        detail: String,
    },
}

impl From<StorageError> for JournalError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Damaged { detail } => Self::Damaged { detail },
            StorageError::Unavailable { detail } => Self::Unavailable { detail },
        }
    }
}

/// The durable record of every secret. Events, leases and sealed values are one port because one append is held against
/// all of them: it writes under a fence that `lease` gave, and what it seals is what `open` opens, from the same commit
/// on. Appends of many secrets may share one commit.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Appends durably (synced) or fails with nothing kept; answers the last sequence written.
    async fn append(&self, append: Append) -> Result<Seq, JournalError>;
    /// Events after `after`, in order.
    async fn read(&self, secret: &SecretName, after: Seq) -> Result<Vec<Recorded>, JournalError>;
    /// Events from the newest `Settled` on, in order; all where there is none. What comes before it is not read.
    async fn read_settled(&self, secret: &SecretName) -> Result<Vec<Recorded>, JournalError>;
    /// At most so many events of a part, in order. No more than these are held at once.
    async fn page(&self, secret: &SecretName, part: Part, limit: usize) -> Result<Vec<Recorded>, JournalError>;
    /// Every secret that has a journal, with its mark, or what is wrong with it. Read once at start. Fails where it can't be
    /// told which secret is damaged.
    async fn index(&self) -> Result<Vec<Indexed>, JournalError>;
    /// Replies of the host calls within one plugin call, by ordinal.
    async fn replies(&self, secret: &SecretName, call: CallId) -> Result<Vec<Reply>, JournalError>;
    /// Opens sealed values at one look at the store: all of them or none. Each generation's salt, 32 random bytes for
    /// proofs of possession, is made with its data key.
    async fn open(&self, secret: &SecretName, wanted: Vec<Wanted>) -> Result<Vec<Opened>, JournalError>;
    /// Whether other hosts may write to this store while this one runs. Where they may, the engine follows `changes`, and
    /// holds what it has in memory against the journal before it shows or decides anything.
    fn is_shared(&self) -> bool;
    /// Secrets whose journals grew since `after`; without it none, and the cursor of now.
    async fn changes(&self, after: Option<Cursor>) -> Result<Changes, JournalError>;
    /// Takes or renews the lease on a secret; a new holder gets a higher fence. A lease ends by its time alone, unless the
    /// store itself can tell that its holder is gone.
    async fn lease(&self, secret: &SecretName, holder: &str, for_ms: u64) -> Result<Lease, JournalError>;
    /// The installation's epoch: 0 until the first restore, higher after each, also after two of one backup.
    async fn epoch(&self) -> Result<Epoch, JournalError>;
}
