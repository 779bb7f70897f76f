//! When a credential ends by itself, as the target or the call that made it told. A date: whether it has come to pass is
//! seen by a login that is refused, and nothing ends by the date alone.

use crate::event::EXPIRES_FACT;
use crate::generation::Credential;
use crate::ids::{Generation, Millis};
use crate::state::Secret;
use crate::step::{Phase, PlanKind, Step};

impl Secret {
    /// When a credential ends by itself: what the target last listed comes first, at the place where it ends earliest;
    /// else what was told when it was made.
    #[must_use]
    pub fn expires_at(&self, generation: Generation) -> Option<Millis> {
        let credential = self.generation(generation)?;
        let listed = self.observations().iter().filter_map(|(place, seen)| {
            let id = credential.id_at(place)?;
            seen.live.iter().find(|live| live.id == *id)?.expires_at
        });
        listed.min().or_else(|| told_expiry(credential))
    }

    /// The credential that consumers are to leave, where they are waited for on its account, and whose evidence is not
    /// asked for any more once it is known to have expired.
    pub(crate) fn awaited_for(&self, now: Millis) -> Option<(Generation, Generation)> {
        let rotation = self.rotation().filter(|rotation| rotation.kind == PlanKind::Rotate)?;
        let waits = matches!(self.step(now), Some(Step::Stage | Step::Adopt)) || rotation.committing();
        match rotation.phase {
            Phase::Prepare if self.one_slot() && waits => self.current().map(|old| (old, rotation.made)),
            Phase::Commit if rotation.draining.is_none() && !self.excused() => self.ending().map(|old| (old, old)),
            Phase::Prepare | Phase::Commit | Phase::RollingBack | Phase::Reverting => None,
        }
    }

    /// Whether a credential should have ended by itself by now.
    pub(crate) fn past_expiry(&self, generation: Generation, now: Millis) -> bool {
        self.expires_at(generation).is_some_and(|at| at <= now)
    }

    /// Whether nobody needs to be waited for on account of what a generation takes the place of, or of itself: that should
    /// have ended by itself, and is refused wherever something of it may be left.
    pub(crate) fn has_expired_for(&self, excuse: Generation) -> bool {
        let now = self.clock();
        let old = self.awaited_for(now).filter(|(old, own)| *own == excuse && self.past_expiry(*old, now));
        let Some(credential) = old.and_then(|(old, _)| self.generation(old)) else { return false };
        credential.lingering().all(|place| self.refused(credential.number, place).is_some())
    }

    /// From when on nobody is waited for before the commit, since the credential in use is about to end by itself.
    pub(crate) fn yields_at(&self) -> Option<Millis> {
        let rotation = self.rotation().filter(|rotation| rotation.preparing() && !self.one_slot())?;
        let expires_at = self.expires_at(self.current()?)?;
        Some(Millis(expires_at.0.saturating_sub(rotation.pins.policy.stragglers.before_expiry_ms)))
    }
}

/// What the call that made a credential, or a later one, told of its end.
fn told_expiry(credential: &Credential) -> Option<Millis> {
    let facts = &credential.minted.as_ref()?.facts;
    let (_, unix) = facts.iter().rev().find(|(name, _)| name == EXPIRES_FACT)?;
    unix.parse::<u64>().ok().map(|seconds| Millis(seconds.saturating_mul(1_000)))
}
