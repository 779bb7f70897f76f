//! The plan of a rotation: its steps in order, as data derived from what it is for and what the target can do.

use crate::profile::{Overlap, Profile};
use crate::step::{PlanKind, Step};

/// The steps by which the old credential ends.
const ENDING: [Step; 3] = [Step::Drain, Step::Disable, Step::Destroy];

/// The steps of a rotation in order. `elsewhere` is what the plugin said of the old credential's target, where the new
/// one is made with another plugin, target or settings: the new one then does not take the old one's place.
#[must_use]
pub fn plan(kind: PlanKind, profile: &Profile, elsewhere: Option<&Profile>) -> Vec<Step> {
    let begin: &[Step] = match (kind, &profile.overlap) {
        // Nobody holds anything older: consumers take current when they come, and nothing waits for them.
        (PlanKind::Issue, _) => &[Step::Create, Step::Install, Step::Verify, Step::Commit],
        (PlanKind::Adopt, _) => &[Step::Verify, Step::Commit],
        (PlanKind::Retire, _) => &[],
        // One slot: consumers are ready to fall over before the install, since the install ends the old value. Nothing
        // is called current before the target has taken it.
        (PlanKind::Rotate, Overlap::None) => {
            &[Step::Create, Step::Stage, Step::Install, Step::Verify, Step::Commit, Step::Adopt]
        }
        (PlanKind::Rotate, Overlap::Native(_) | Overlap::Alternate(_) | Overlap::Replace) => {
            &[Step::Create, Step::Install, Step::Verify, Step::Stage, Step::Commit, Step::Adopt]
        }
    };
    let ends = match kind {
        PlanKind::Issue | PlanKind::Adopt => false,
        PlanKind::Retire => true,
        PlanKind::Rotate => profile.overlap != Overlap::None || elsewhere.is_some(),
    };
    let soft = elsewhere.unwrap_or(profile).soft_disable;
    let end = ENDING.into_iter().filter(|step| ends && (*step != Step::Disable || soft));
    begin.iter().copied().chain(end).collect()
}

/// The plan of rotations that were started before plans were pinned: with one slot, pending was committed and then
/// installed.
pub(crate) fn unpinned(kind: PlanKind, profile: &Profile) -> Vec<Step> {
    if kind == PlanKind::Rotate && profile.overlap == Overlap::None {
        return vec![Step::Create, Step::Stage, Step::Commit, Step::Install, Step::Verify, Step::Adopt];
    }
    plan(kind, profile, None)
}
