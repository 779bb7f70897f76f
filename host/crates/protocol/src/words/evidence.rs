//! What consumers and targets say, and how far it is believed. Words only; the rules are in the gates.

use crate::ids::{Author, ConsumerName, Generation, Incarnation, Millis, Replica};
use crate::step::names;
use std::fmt;

/// The subject of a piece of evidence: whose account it is. Ordered by weight only within the gates' own rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EvidenceKind {
    /// Delivered to a store and read back.
    Store,
    /// An agent or SDK proved possession.
    Holder,
    /// The workload itself authenticated with it or serves it.
    Process,
    /// The target's own account of use.
    Target,
    /// A person's word, with name, reason and expiry.
    Attested,
}

/// What a consumer states about a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Tried it for real and can use it (a verifier: accepts both).
    Ready,
    /// Could not use it.
    Failed,
    /// Switched to it.
    Adopted,
    /// Holds it no longer.
    Released,
    /// A verifier accepts it no longer.
    Dropped,
    /// Adopted it, and now cannot work: a cry for the previous one.
    Cry,
}

/// One accepted statement; the journal keeps the verdict, never the proof.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// Whose.
    pub consumer: ConsumerName,
    /// Which instance.
    pub replica: Replica,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// About which generation.
    pub generation: Generation,
    /// What is stated.
    pub purpose: Purpose,
    /// Whose account it is.
    pub kind: EvidenceKind,
    /// Reason given with `failed`, `cry` and every attestation: scrubbed and capped by the host. Empty otherwise.
    pub reason: String,
    /// For `attested`: whose word it is.
    pub attested: Option<Attestation>,
    /// The host itself saw it: by a probe, by reading back, in the target's account. Else the replica said it.
    pub witnessed: bool,
}

/// A person's word in place of a machine's evidence. Counts until it expires.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attestation {
    /// Who says so.
    pub author: Author,
    /// Who approved it; never the author.
    pub approver: Author,
    /// Until when it counts.
    pub expires_at: Millis,
}

impl EvidenceKind {
    /// How far one account outweighs another of the same statement.
    pub(crate) const fn rank(self) -> u8 {
        match self {
            Self::Store => 0,
            Self::Attested => 1,
            Self::Holder => 2,
            Self::Process => 3,
            Self::Target => 4,
        }
    }
}

names!(EvidenceKind {
    Store => "store", Holder => "holder", Process => "process", Target => "target", Attested => "attested",
});
names!(Purpose {
    Ready => "ready", Failed => "failed", Adopted => "adopted", Released => "released", Dropped => "dropped",
    Cry => "cry",
});
