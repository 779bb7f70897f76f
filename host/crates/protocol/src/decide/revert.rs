//! Putting previous back: enable it where it was switched off, prove it, swap the roles durably. What follows is the
//! same adopt, drain, disable and destroy as on the way forward, with the parts exchanged.

use super::Say;
use super::build::{self, Sponsor};
use super::prepare::{drift, each, hold, verify_at};
use crate::calls::Effort;
use crate::event::{Event, HoldReason};
use crate::generation::{Credential, Liveness};
use crate::guard::calls::puts_back;
use crate::ids::{Generation, Millis};
use crate::rotation::Rotation;
use crate::state::Secret;
use crate::step::{CallKind, Ending, Phase, Step};

fn going_back(secret: &Secret) -> Option<Generation> {
    secret.rotation().filter(|rotation| rotation.phase == Phase::Reverting).and(secret.previous())
}

/// Switches previous on wherever it is, or may be, off.
pub(super) fn enable(secret: &Secret, now: Millis) -> Option<Say> {
    let back = going_back(secret)?;
    enable_at_all(secret, now, back)
}

pub(super) fn enable_at_all(secret: &Secret, now: Millis, back: Generation) -> Option<Say> {
    let rotation = secret.rotation()?;
    let credential = secret.generations().get(&back).filter(|it| !it.lost())?;
    each(
        secret,
        |place| credential.liveness(place).dimmed() && secret.retirement(back, place).is_none(),
        |place| {
            let effort = Effort { kind: CallKind::Enable, generation: back, place: place.clone(), orphan: None };
            Some(build::attempt(secret, now, Step::Adopt, &effort, Sponsor::rotation(rotation)))
        },
    )
}

/// What was to be put back has become known to others on the way: there is nothing to go back to. A new rotation has to
/// start.
pub(super) fn nowhere_to_go(secret: &Secret, _: Millis) -> Option<Say> {
    let rotation = secret.rotation()?;
    let (back, what) = match rotation.phase {
        Phase::Reverting => (secret.previous(), "previous"),
        Phase::RollingBack if secret.overwriting() => (secret.current(), "current"),
        _ => return None,
    };
    let lost = back.and_then(|it| secret.generations().get(&it)).is_none_or(Credential::lost);
    let reason = format!("{}; and the {what} credential is compromised too", rotation.reason);
    lost.then(|| Say::Record(vec![Event::Finished { ending: Ending::Abandoned, reason }]))
}

/// Tries previous at every place where it is on. With one slot it is tried after it was installed again, as current.
pub(super) fn prove(secret: &Secret, now: Millis) -> Option<Say> {
    let back = going_back(secret).filter(|back| secret.rival(*back).is_none())?;
    let credential = secret.generations().get(&back)?;
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

/// With one slot: the value that was overwritten, or may have been, is put in again. What is in the slot is looked at
/// first: where neither value works there, somebody else has set one, and a person decides.
pub(super) fn put_back(secret: &Secret, now: Millis) -> Option<Say> {
    let rotation = secret.rotation().filter(|rotation| !rotation.commits_first())?;
    let back = puts_back(secret, rotation)?;
    let over = secret.rival(back)?;
    each(
        secret,
        |place| !secret.works_at(back, place),
        |place| {
            let liveness = |generation| secret.generations().get(&generation).map(|it| it.liveness(place));
            if liveness(back).is_some_and(Liveness::lingers) {
                let Some(refused) = secret.refused(back, place) else { return verify_at(secret, now, back, place) };
                if !secret.works_at(over, place) {
                    return match secret.refused(over, place) {
                        None => verify_at(secret, now, over, place),
                        Some(other) => Some(hold(HoldReason::Drift, drift(place, &[(back, refused), (over, other)]))),
                    };
                }
            }
            let effort = Effort { kind: CallKind::Install, generation: back, place: place.clone(), orphan: None };
            Some(build::attempt(secret, now, Step::Install, &effort, Sponsor::credential(secret, back)?))
        },
    )
}

/// The durable swap.
pub(super) fn swap(secret: &Secret, _: Millis) -> Option<Say> {
    let back = going_back(secret)?;
    let first = secret.rotation().is_some_and(Rotation::commits_first);
    let proven = first || secret.everywhere(|place| secret.works_at(back, place));
    proven.then(|| Say::Record(vec![Event::Reverted]))
}
