//! The running rotation: what it is for, what it is pinned to, and how far it has come. Facts only, no decisions.

use crate::event::Pins;
use crate::ids::{Author, CallId, ConsumerName, Generation, Millis, Place, Replica, RotationId, Steady};
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
    /// Since when consumers have been asked what they are asked now: the leases of those who say nothing run from there.
    pub asked: Steady,
    /// Replicas that have spoken in this rotation, each with its turn: 0 for those who spoke before the roles were
    /// switched, then counted up as others came.
    pub heard: BTreeMap<(ConsumerName, Replica), u32>,
    /// Cries of required consumers that were heeded, by consumer.
    pub cries: BTreeMap<ConsumerName, u32>,
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
    /// How the host's clock has been set since.
    pub steps: Steps,
}

/// Steps of the host's clock since a moment. Which of its readings was right nobody knows: what is compared with the
/// clock of a target is compared with the earliest or the latest of them, whichever proves less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Steps {
    sum_ms: i64,
    least_ms: i64,
    most_ms: i64,
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

impl Steps {
    pub(crate) const NONE: Self = Self { sum_ms: 0, least_ms: 0, most_ms: 0 };

    pub(crate) fn add(&mut self, by_ms: i64) {
        self.sum_ms = self.sum_ms.saturating_add(by_ms);
        self.least_ms = self.least_ms.min(self.sum_ms);
        self.most_ms = self.most_ms.max(self.sum_ms);
    }
}

impl Moment {
    /// The earliest that it may have been by a target's clock.
    pub(crate) const fn earliest(self) -> Millis {
        self.at.shifted(self.steps.least_ms)
    }

    /// The latest that it may have been by a target's clock.
    pub(crate) const fn latest(self) -> Millis {
        self.at.shifted(self.steps.most_ms)
    }
}

impl Rotation {
    /// A replica speaks: it has its turn from now on.
    pub(crate) fn hear(&mut self, who: &(ConsumerName, Replica)) {
        if self.heard.contains_key(who) {
            return;
        }
        let last = self.heard.values().max().copied().unwrap_or_default();
        self.heard.insert(who.clone(), if self.switched.is_some() { last + 1 } else { 0 });
    }

    /// Its turn among those who switch; whoever has not spoken in this rotation comes last.
    pub(crate) fn turn(&self, who: &(ConsumerName, Replica)) -> u32 {
        self.heard.get(who).copied().unwrap_or(u32::MAX)
    }

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
