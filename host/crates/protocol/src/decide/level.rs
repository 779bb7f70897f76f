//! A place that a person took in while no rotation runs is brought level: the current value is installed and proven there.

use super::Say;
use super::build::{self, Sponsor};
use super::prepare::{each, next_try};
use crate::action::Waiting;
use crate::calls::Effort;
use crate::ids::Millis;
use crate::state::Secret;
use crate::step::{CallKind, Step};

/// Until the current value works there, nothing of an older one ends there.
pub(super) fn level(secret: &Secret, now: Millis) -> Option<Say> {
    let current = secret.current().filter(|_| secret.rotation().is_none())?;
    each(
        secret,
        |place| secret.to_be_levelled(current, place),
        |place| {
            let (kind, step) = match secret.installed_at(current, place) {
                true => (CallKind::Verify, Step::Verify),
                false => (CallKind::Install, Step::Install),
            };
            let again = next_try(secret, current, place).filter(|again| kind == CallKind::Verify && now < *again);
            if let Some(again) = again {
                return Some(Say::Wait(Some(again), Waiting::BackOff(Step::Verify)));
            }
            let effort = Effort { kind, generation: current, place: place.clone(), orphan: None };
            Some(build::attempt(secret, now, step, &effort, Sponsor::any(secret)?))
        },
    )
}
