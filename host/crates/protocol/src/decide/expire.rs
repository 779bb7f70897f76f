//! Credentials that expire: nobody is waited for on account of one that nobody can use any more.

use super::Say;
use super::prepare::{each, verify_at};
use crate::action::Waiting;
use crate::event::Event;
use crate::ids::{Author, Millis, Place};
use crate::state::Secret;
use crate::step::Step;

/// What should have ended by itself is tried wherever it may be left. Once it is refused everywhere, its users have
/// nothing to lose: that is put on record as the policy's word. One that still works is waited for, whatever its date.
pub(super) fn yield_to_expiry(secret: &Secret, now: Millis) -> Option<Say> {
    let (old, excuse) = secret.awaited_for(now).filter(|(old, _)| secret.past_expiry(*old, now))?;
    let credential = secret.generation(old).filter(|it| it.known())?;
    if secret.generation(excuse).is_none_or(|it| it.overridden.is_some()) {
        return None;
    }
    let pause_ms = credential.pins.policy.attempts.max_ms.max(1);
    let lingers = |place: &Place| credential.liveness(place).lingers() && secret.refused(old, place).is_none();
    let look = each(secret, lingers, |place: &Place| {
        let seen_at = credential.at(place).seen_at;
        let again = seen_at.plus(pause_ms);
        if secret.works_at(old, place) && secret.past_expiry(old, seen_at) && now < again {
            return Some(Say::Wait(Some(again), Waiting::BackOff(Step::Verify)));
        }
        verify_at(secret, now, old, place)
    });
    look.or_else(|| {
        let reason = format!("{old} has expired, and is refused wherever it was: nobody can be using it");
        Some(Say::Record(vec![Event::Overridden { generation: excuse, reason, author: Author::policy() }]))
    })
}
