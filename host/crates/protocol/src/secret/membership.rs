//! What each replica of each consumer has fetched and said. Statements bind to one life of one replica.

use crate::evidence::{Attestation, EvidenceKind, Purpose};
use crate::gate::weighs;
use crate::ids::{Generation, Incarnation, Millis, Steady};
use std::collections::{BTreeMap, BTreeSet};

/// Lives of a replica that are remembered as over; a statement from one of them is refused.
pub const MAX_PAST_LIVES: usize = 4;

/// One running instance of a consumer, as far as it has shown itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReplicaState {
    /// Its present life.
    pub incarnation: Incarnation,
    /// Earlier lives, oldest first.
    pub past: Vec<Incarnation>,
    /// When it last fetched or said something itself, as far as that is on record: its lease runs from there.
    pub heard: Steady,
    /// When a former life of it last spoke, if that was after its present life had begun: two processes share one
    /// identity, and nothing that one of them says is known of the other.
    pub twice: Option<Steady>,
    /// An authority said that it is gone: nobody waits for it, and it counts for nothing, until a new life of it speaks.
    pub left: bool,
    /// Generations it fetched, and when last (the staged lease runs from there).
    pub fetched: BTreeMap<Generation, Steady>,
    /// Those of them that only a former life fetched.
    pub inherited: BTreeSet<Generation>,
    /// Generations it cried about, and said nothing else of since.
    pub cried: BTreeSet<Generation>,
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
            heard: Steady(0),
            twice: None,
            left: false,
            fetched: BTreeMap::new(),
            inherited: BTreeSet::new(),
            cried: BTreeSet::new(),
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
        self.inherited = past.fetched.keys().copied().collect();
        self.fetched = past.fetched;
        self.twice = past.twice;
        self.past = past.past;
        self.past.push(past.incarnation);
        if self.past.len() > MAX_PAST_LIVES {
            self.past.remove(0);
        }
    }

    /// Forgets what was said about a generation that is no more.
    pub(crate) fn forget(&mut self, generation: Generation) {
        self.fetched.remove(&generation);
        self.inherited.remove(&generation);
        self.cried.remove(&generation);
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

impl ReplicaState {
    /// Whether it has said that it uses or accepts a generation no longer, on an account that weighs enough.
    pub(crate) fn let_go(&self, generation: Generation) -> bool {
        let gone = |purpose, said: Option<&Statement>| {
            said.is_some_and(|said| weighs(purpose, EvidenceKind::Store, said.kind))
        };
        gone(Purpose::Released, self.released.get(&generation)) || gone(Purpose::Dropped, self.dropped.get(&generation))
    }
}

impl Statement {
    /// Whether it counts at `now`: a person's word expires.
    #[must_use]
    pub fn stands(&self, now: Millis) -> bool {
        self.attested.as_ref().is_none_or(|attested| now < attested.expires_at)
    }
}
