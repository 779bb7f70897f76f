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
