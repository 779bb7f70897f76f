//! The plan of a rotation: its steps in order, as data derived from what it is for and what the target can do.

use crate::profile::{Overlap, Profile};
use crate::step::{PlanKind, Step};

/// The steps of a rotation in order.
#[must_use]
pub fn plan(kind: PlanKind, profile: &Profile) -> Vec<Step> {
    let steps: &[Step] = match (kind, &profile.overlap) {
        // Nobody holds anything older: consumers take current when they come, and nothing waits for them.
        (PlanKind::Issue, _) => &[Step::Create, Step::Install, Step::Verify, Step::Commit],
        (PlanKind::Adopt, _) => &[Step::Verify, Step::Commit],
        (PlanKind::Retire, _) => &[Step::Drain, Step::Disable, Step::Destroy],
        // One slot: readiness to fall over first, since installing the new value ends the old one.
        (PlanKind::Rotate, Overlap::None) => {
            &[Step::Create, Step::Stage, Step::Commit, Step::Install, Step::Verify, Step::Adopt]
        }
        (PlanKind::Rotate, Overlap::Native(_) | Overlap::Alternate(_) | Overlap::Replace) => &[
            Step::Create,
            Step::Install,
            Step::Verify,
            Step::Stage,
            Step::Commit,
            Step::Adopt,
            Step::Drain,
            Step::Disable,
            Step::Destroy,
        ],
    };
    steps.iter().copied().filter(|step| *step != Step::Disable || profile.soft_disable).collect()
}

/// Why a plan cannot be carried out, and which one could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanProblem {
    /// Stable word for programs.
    pub code: &'static str,
    /// What is wrong.
    pub what: String,
    /// What would be right: the better strategy.
    pub instead: String,
}

/// Everything that the target can't do, or the policy must not ask of it; all at once. Empty: the plan can be run.
#[must_use]
pub fn refuse(_kind: PlanKind, _profile: &Profile, _policy: &crate::policy::Policy) -> Vec<PlanProblem> {
    Vec::new()
}
