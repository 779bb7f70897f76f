//! The running rotation: what it is for, what it is pinned to, and how far it has come. Facts only, no decisions.

use crate::event::Pins;
use crate::ids::{Author, CallId, Generation, Millis, Place, RotationId, Steady};
use crate::step::{Phase, PlanKind, Step};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One journalled attempt to move a secret to another generation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rotation {
    /// Its identifier.
    pub id: RotationId,
    /// What it is for.
    pub kind: PlanKind,
    /// The generation that shall be the one in use; after a revert, the one that was put back.
    /// For `retire`, the one that ends.
    pub aim: Generation,
    /// The generation it made, took over or ends.
    pub made: Generation,
    /// Why it was started.
    pub cause: String,
    /// By whom.
    pub author: Author,
    /// When.
    pub started_at: Millis,
    /// What it runs on.
    pub pins: Arc<Pins>,
    /// Its steps in order, derived from the plan kind and the profile.
    pub plan: Vec<Step>,
    /// Where it stands.
    pub phase: Phase,
    /// Pending has become current.
    pub committed: bool,
    /// Pending became current without everyone's readiness, by somebody's word.
    pub excused: bool,
    /// Previous has been put back.
    pub reverted: bool,
    /// Since when pending is offered.
    pub staged: Option<Moment>,
    /// The wave that may switch.
    pub wave: Wave,
    /// When pending became current (or previous did again).
    pub switched: Option<Moment>,
    /// The target has shown a use of the new credential since.
    pub aim_used: bool,
    /// Since when the overlap and the quiet time run.
    pub draining: Option<Moment>,
    /// Since when stragglers are waited for: set anew by each stage, wave and release.
    pub patience: Steady,
    /// Cries of required consumers that were heeded, by consumer.
    pub cries: BTreeMap<crate::ids::ConsumerName, u32>,
    /// Use of the old generation at each place, since the roles were switched, and anew since draining began.
    pub quiet: BTreeMap<Place, Quiet>,
    /// The first plugin call it may make; what was observed before is not taken for its own baseline.
    pub first_call: CallId,
    /// Why it is going back.
    pub reason: String,
}

/// An instant on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Moment {
    /// By the host's clock, for people.
    pub at: Millis,
    /// By time that has certainly passed.
    pub steady: Steady,
}

/// The wave that may switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Wave {
    /// Counted from 0.
    pub number: u32,
    /// Since when all of it has switched: the soak runs.
    pub settled: Option<Steady>,
    /// A required consumer could not: its members use the old generation, the rest wait.
    pub failed: bool,
}

/// What the target says of the old generation's use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quiet {
    /// Intent of the first look since the last use seen.
    pub from: Steady,
    /// Intent of the newest look.
    pub to: Steady,
    /// Last use the target told of at the first look.
    pub last_used_at: Option<Millis>,
    /// The newest look saw no use; two looks at least are needed.
    pub clean: bool,
}

impl Rotation {
    /// Whether pending can still be given back.
    #[must_use]
    pub const fn preparing(&self) -> bool {
        matches!(self.phase, Phase::Prepare)
    }

    /// Whether pending becomes current before it is installed: the order with one slot before plans were pinned.
    pub(crate) fn commits_first(&self) -> bool {
        let at = |step| self.plan.iter().position(|it| *it == step);
        at(Step::Commit).zip(at(Step::Install)).is_some_and(|(commit, install)| commit < install)
    }

    /// Whether consumers are being moved and the old credential ended.
    #[must_use]
    pub const fn committing(&self) -> bool {
        matches!(self.phase, Phase::Commit)
    }
}
