//! Putting previous back: enable it where it was switched off, prove it, swap the roles durably. What follows is the
//! same adopt, drain, disable and destroy as on the way forward, with the parts exchanged.

use super::Say;
use super::build::{self, Sponsor};
use super::prepare::{each, hold, verify_at};
use crate::calls::Effort;
use crate::event::{Event, HoldReason};
use crate::generation::Credential;
use crate::ids::{Generation, Millis};
use crate::state::Secret;
use crate::step::{CallKind, Ending, Phase, Step};

fn going_back(secret: &Secret) -> Option<Generation> {
    secret.rotation.as_ref().filter(|rotation| rotation.phase == Phase::Reverting).and(secret.previous)
}

/// Switches previous on wherever it is, or may be, off.
pub(super) fn enable(secret: &Secret, now: Millis) -> Option<Say> {
    let back = going_back(secret)?;
    enable_at_all(secret, now, back)
}

pub(super) fn enable_at_all(secret: &Secret, now: Millis, back: Generation) -> Option<Say> {
    let rotation = secret.rotation.as_ref()?;
    let credential = secret.generations.get(&back).filter(|it| !it.lost())?;
    each(
        secret,
        |place| credential.liveness(place).dimmed() && secret.retirement(back, place).is_none(),
        |place| {
            let effort = Effort { kind: CallKind::Enable, generation: back, place: place.clone(), orphan: None };
            Some(build::attempt(secret, now, Step::Adopt, &effort, Sponsor::rotation(rotation)))
        },
    )
}

/// Previous has become known to others on the way: there is nothing to go back to. A new rotation has to start.
pub(super) fn nowhere_to_go(secret: &Secret, _: Millis) -> Option<Say> {
    let rotation = secret.rotation.as_ref().filter(|rotation| rotation.phase == Phase::Reverting)?;
    let back = secret.previous.and_then(|it| secret.generations.get(&it));
    let lost = back.is_none_or(Credential::lost);
    let reason = format!("{}; and the previous credential is compromised too", rotation.reason);
    lost.then(|| Say::Record(vec![Event::Finished { ending: Ending::Abandoned, reason }]))
}

/// Tries previous at every place where it is on. With one slot it is tried after it was installed again, as current.
pub(super) fn prove(secret: &Secret, now: Millis) -> Option<Say> {
    let back = going_back(secret).filter(|_| !secret.one_slot())?;
    let credential = secret.generations.get(&back)?;
    each(
        secret,
        // Off, it would be refused, and that would say nothing of it.
        |place| !secret.works_at(back, place) && !credential.liveness(place).dimmed(),
        |place| match secret.refused(back, place) {
            None => verify_at(secret, now, back, place),
            Some(why) => {
                let detail = format!("{back} was refused at {place}: {why}; abandon, and rotate to a new generation");
                Some(hold(HoldReason::Irreversible, detail))
            }
        },
    )
}

/// The durable swap.
pub(super) fn swap(secret: &Secret, _: Millis) -> Option<Say> {
    let back = going_back(secret)?;
    let proven = secret.one_slot() || secret.everywhere(|place| secret.works_at(back, place));
    proven.then(|| Say::Record(vec![Event::Reverted]))
}
