//! Calls in doubt: once everything they sent must have shown, a look at the target closes them.

use super::Say;
use super::build::{self, Sponsor};
use crate::action::Waiting;
use crate::ids::Millis;
use crate::state::Secret;

/// One look per place closes all that is in doubt there.
pub(super) fn observe(secret: &Secret, now: Millis) -> Option<Say> {
    let mut wait = None;
    for (id, call) in secret.calls() {
        let Some(settled) = secret.settled(call) else { continue };
        if now < settled {
            wait.get_or_insert(Say::Wait(Some(settled), Waiting::Doubt(*id)));
            continue;
        }
        match build::observe(secret, now, call.step, &call.place, call.generation, Sponsor::call(call)) {
            Say::Wait(until, waiting) => drop(wait.get_or_insert(Say::Wait(until, waiting))),
            look => return Some(look),
        }
    }
    wait
}
