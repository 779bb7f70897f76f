//! What consumers ask and are told: fetch, challenge, acknowledge. The one place where secret bytes leave the engine.

use crate::ports::secret::SecretBytes;
use keybaton_protocol::evidence::{EvidenceKind, Purpose};
use keybaton_protocol::ids::{
    ConsumerName, Epoch, Generation, Incarnation, Millis, Replica, RotationId, SecretName, Seq,
};
use keybaton_protocol::offer::Known;

/// A replica of a consumer asks for what it may hold. The caller has authenticated `consumer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Which secret.
    pub secret: SecretName,
    /// Which consumer, as authenticated.
    pub consumer: ConsumerName,
    /// Which instance.
    pub replica: Replica,
    /// Which life of it.
    pub incarnation: Incarnation,
}

/// What a replica may hold now, and what it is asked to do.
#[derive(Debug)]
pub struct Delivery {
    /// The installation's epoch; part of every proof.
    pub epoch: Epoch,
    /// The running rotation, or [`RotationId::none`]; part of every proof.
    pub rotation: RotationId,
    /// Newest first. Empty before the first credential exists.
    pub generations: Vec<Delivered>,
    /// What the host waits for from this replica.
    pub asks: Vec<Ask>,
    /// How long a pending generation may be held without fetching it again, or a counted replica may be silent, in
    /// milliseconds; `None` while nothing depends on it.
    pub staged_lease_ms: Option<u64>,
    /// How long it took until the fetch was granted, in milliseconds; the lease runs from then on. By two clocks, the
    /// smaller figure: a replica that adds it to when it asked never counts on more than it has.
    pub waited_ms: u64,
    /// The journal position this answers for; anything newer is announced by [`Changed`].
    pub seq: Seq,
}

impl Delivery {
    /// What a replica knows that has taken it in.
    #[must_use]
    pub fn known(&self) -> Known {
        Known {
            generations: self.generations.iter().map(|it| it.generation).collect(),
            use_now: self.generations.iter().find(|it| it.use_now).map(|it| it.generation),
        }
    }
}

/// One generation for one consumer.
#[derive(Debug)]
pub struct Delivered {
    /// Its number.
    pub generation: Generation,
    /// `pending`, `current` or `previous`.
    pub role: &'static str,
    /// Whether this replica is to use this one now; exactly one is, once there is a current generation.
    pub use_now: bool,
    /// Whether the target accepts it at some place by now. With one slot, pending is staged before it is: then there
    /// is nothing to try, and `ready` means that the replica holds it and will fall over to it.
    pub live: bool,
    /// Public fields.
    pub attributes: Vec<(String, String)>,
    /// Secret fields. Empty where the value is unknown to keybaton.
    pub fields: Vec<(String, SecretBytes)>,
    /// 32 bytes, for proofs; a secret like the fields.
    pub salt: SecretBytes,
}

/// What the host waits for from a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// To state what.
    pub purpose: Purpose,
    /// About which generation.
    pub generation: Generation,
    /// In which rotation.
    pub rotation: RotationId,
    /// When the host's patience ends, if it does.
    pub deadline: Option<Millis>,
}

/// A replica is about to state something and asks for a nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Which secret.
    pub secret: SecretName,
    /// Which consumer, as authenticated.
    pub consumer: ConsumerName,
    /// Which instance.
    pub replica: Replica,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// In which rotation.
    pub rotation: RotationId,
    /// About which generation.
    pub generation: Generation,
    /// To state what.
    pub purpose: Purpose,
}

/// Single-use, expiring randomness that a proof is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nonce(pub [u8; 32]);

/// The answer to a challenge request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenged {
    /// To be put under the proof.
    pub nonce: Nonce,
    /// The epoch to be put under the proof.
    pub epoch: Epoch,
    /// For how many milliseconds from now it is good.
    pub for_ms: u64,
}

/// A statement with its proof.
#[derive(Debug, Clone)]
pub struct Acknowledgement {
    /// What was challenged, word for word.
    pub challenge: Challenge,
    /// The nonce given.
    pub nonce: Nonce,
    /// 32 bytes; see [`crate::proof`].
    pub proof: Vec<u8>,
    /// Whose account it is, as the consumer reports it: `store`, `holder` or `process`.
    pub kind: EvidenceKind,
    /// With `failed` and `cry`: why. Cut to 500 characters and to printable text here; empty otherwise.
    pub reason: String,
}

/// What became of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Where it is in the journal.
    pub seq: Seq,
}

/// A secret's journal has grown: look again. Carries no content on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Whose.
    pub secret: SecretName,
    /// Up to where.
    pub seq: Seq,
}
