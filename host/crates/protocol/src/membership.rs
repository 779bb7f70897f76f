//! What each replica of each consumer has fetched and said. Statements bind to one life of one replica.

use crate::evidence::{Attestation, EvidenceKind};
use crate::ids::{Generation, Incarnation, Millis, Steady};
use std::collections::BTreeMap;

/// Lives of a replica that are remembered as over; a statement from one of them is refused.
pub const MAX_PAST_LIVES: usize = 4;

/// One running instance of a consumer, as far as it has shown itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReplicaState {
    /// Its present life.
    pub incarnation: Incarnation,
    /// Earlier lives, oldest first.
    pub past: Vec<Incarnation>,
    /// Generations it fetched, and when last (the staged lease runs from there).
    pub fetched: BTreeMap<Generation, Steady>,
    /// It tried this generation and can use it.
    pub ready: BTreeMap<Generation, Statement>,
    /// It could not use this generation.
    pub failed: BTreeMap<Generation, Statement>,
    /// The generation it says it uses now. A report of another one takes this one's place.
    pub adopted: Option<(Generation, Statement)>,
    /// It holds this generation no longer.
    pub released: BTreeMap<Generation, Statement>,
    /// It accepts this generation no longer.
    pub dropped: BTreeMap<Generation, Statement>,
}

/// An accepted statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Statement {
    /// Whose account it is.
    pub kind: EvidenceKind,
    /// When it was recorded.
    pub at: Millis,
    /// The reason given, if any.
    pub reason: String,
    /// For a person's word: whose.
    pub attested: Option<Attestation>,
}

impl ReplicaState {
    pub(crate) const fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            past: Vec::new(),
            fetched: BTreeMap::new(),
            ready: BTreeMap::new(),
            failed: BTreeMap::new(),
            adopted: None,
            released: BTreeMap::new(),
            dropped: BTreeMap::new(),
        }
    }

    /// Begins another life: nothing said in the last one counts. What it fetched it may still hold, on a disk.
    pub(crate) fn restart(&mut self, incarnation: &Incarnation) {
        let past = std::mem::replace(self, Self::new(incarnation.clone()));
        self.fetched = past.fetched;
        self.past = past.past;
        self.past.push(past.incarnation);
        if self.past.len() > MAX_PAST_LIVES {
            self.past.remove(0);
        }
    }

    /// Forgets what was said about a generation that is no more.
    pub(crate) fn forget(&mut self, generation: Generation) {
        self.fetched.remove(&generation);
        self.withdraw(generation);
    }

    /// Takes back everything said about a generation.
    pub(crate) fn withdraw(&mut self, generation: Generation) {
        self.ready.remove(&generation);
        self.failed.remove(&generation);
        self.released.remove(&generation);
        self.dropped.remove(&generation);
        if self.adopted.as_ref().is_some_and(|(adopted, _)| *adopted == generation) {
            self.adopted = None;
        }
    }
}

impl Statement {
    /// Whether it counts at `now`: a person's word expires.
    #[must_use]
    pub fn stands(&self, now: Millis) -> bool {
        self.attested.as_ref().is_none_or(|attested| now < attested.expires_at)
    }
}
