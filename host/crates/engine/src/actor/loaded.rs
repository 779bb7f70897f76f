//! A secret's state in memory: the fold of its journal, and what the index keeps of it. Recovery is this replay.

use crate::board::Face;
use crate::options::Options;
use crate::ports::journal::{Journal, JournalError, Mark, Recorded};
use crate::views::Standing;
use keybaton_protocol::Illegal;
use keybaton_protocol::event::{Event, Outcome};
use keybaton_protocol::ids::{Generation, Millis, SecretName, Seq, TargetId};
use keybaton_protocol::settled::Trail as Kept;
use keybaton_protocol::state::Secret;
use keybaton_protocol::step::{Ending, PlanKind};

/// The state, and the marks that follow from the same events.
pub(crate) struct Loaded {
    pub(crate) secret: Secret,
    pub(crate) trail: Trail,
    /// As the index has it, so that only changes are written.
    pub(crate) marked: Mark,
}

/// What the due time and the list need, folded beside the protocol's state, and carried by its record at rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trail(pub(crate) Kept);

impl Loaded {
    /// Replays a journal, as it was written, from the newest record of the secret at rest on.
    pub(crate) async fn read(
        journal: &dyn Journal,
        name: &SecretName,
        marked: Mark,
        options: &Options,
    ) -> Result<Self, JournalError> {
        let events = journal.read_settled(name).await?;
        let before = events.first().map_or(Seq(0), |first| Seq(first.seq.0 - 1));
        let mut loaded = Self { secret: Secret::resuming(name.clone(), before), trail: Trail::default(), marked };
        loaded.trail.0.spec = marked.spec;
        for recorded in events {
            let Recorded { at, seq, event } = recorded;
            let damaged = |detail| JournalError::Damaged { detail: format!("{name} at {}: {detail}", seq.0) };
            loaded.secret.replay(at, &event).map_err(damaged)?;
            loaded.trail.note(at, &event, &loaded.secret, options);
        }
        Ok(loaded)
    }

    /// Takes one event in. An error leaves the state unusable: load it again.
    pub(crate) fn fold(&mut self, at: Millis, event: &Event, options: &Options) -> Result<(), Illegal> {
        self.secret.record(at, event)?;
        self.trail.note(at, event, &self.secret, options);
        Ok(())
    }

    /// What the index is to say.
    pub(crate) fn mark(&self) -> Mark {
        let trail = &self.trail.0;
        Mark {
            open: !self.secret.at_rest() || self.secret.must_rotate(),
            rotated_at: trail.rotated_at,
            expires_at: trail.expires_at,
            not_before: trail.not_before,
            failures: trail.failures,
            closed: trail.closed,
            spec: trail.spec,
        }
    }

    /// How it stands, for the board.
    pub(crate) fn face(&self, waits: bool) -> Face {
        Face {
            standing: self.standing(waits),
            rotating: self.secret.rotation().is_some(),
            urgent: self.secret.must_rotate(),
            mark: self.marked,
        }
    }

    fn standing(&self, waits: bool) -> Standing {
        let secret = &self.secret;
        if secret.hold().is_some() {
            Standing::Held
        } else if secret.frozen().is_some() {
            Standing::Frozen
        } else if secret.rotation().is_some() {
            if waits { Standing::Waiting } else { Standing::Rotating }
        } else if !secret.at_rest() {
            Standing::Retiring
        } else if !secret.managed() {
            Standing::Unmanaged
        } else if self.trail.0.closed {
            Standing::Ended
        } else if secret.current().is_some() {
            Standing::Idle
        } else {
            Standing::New
        }
    }
}

impl Trail {
    /// What the newest rotation is, or was, for.
    pub(crate) const fn kind(&self) -> Option<PlanKind> {
        self.0.kind
    }

    /// Whether the pause after a rotation that did not complete is not over.
    pub(crate) fn pauses(&self, now: Millis) -> bool {
        self.0.not_before.is_some_and(|until| until > now)
    }

    fn note(&mut self, at: Millis, event: &Event, secret: &Secret, options: &Options) {
        match event {
            Event::Started { kind, pins, .. } => {
                self.0.kind = Some(*kind);
                self.0.spec = Some(pins.spec);
                self.0.closed = false;
            }
            Event::Committed | Event::Reverted => {
                self.0.rotated_at = Some(at);
                self.0.expires_at = current_expiry(secret);
            }
            // With one slot the target is told after the commit.
            Event::Ended { outcome: Outcome::Done(_), .. } => {
                self.0.expires_at = self.0.expires_at.or_else(|| current_expiry(secret));
            }
            Event::Ended { outcome: Outcome::Observed { live, .. }, .. } => {
                let expiry = secret.current().and_then(|current| {
                    let seen = live.iter().find(|one| is_current(secret, current, &one.id));
                    // The target's own account comes first; not every target gives one.
                    seen.map(|one| one.expires_at.or_else(|| current_expiry(secret)))
                });
                self.0.expires_at = expiry.unwrap_or(self.0.expires_at);
            }
            Event::Finished { ending, .. } => self.finished(at, *ending, options),
            // A pause is a length of time, not a date.
            Event::ClockStepped { by_ms } => self.0.not_before = self.0.not_before.map(|until| until.shifted(*by_ms)),
            // Nothing is current any more: it waits for its first credential, as if it were new.
            Event::Lost { .. } => self.0 = Kept { spec: self.0.spec, ..Kept::default() },
            // A load begins here. What the index says of the declaration may be newer.
            Event::Settled(settled) => {
                let spec = self.0.spec.or(settled.trail.spec);
                self.0 = Kept { spec, ..settled.trail.clone() };
            }
            // Declared again, it takes over its declaration anew.
            Event::Unmanaged { .. } => self.0.spec = None,
            _ => {}
        }
    }

    fn finished(&mut self, at: Millis, ending: Ending, options: &Options) {
        if ending == Ending::Completed {
            self.0.failures = 0;
            self.0.not_before = None;
            self.0.closed = self.0.kind == Some(PlanKind::Retire);
        } else {
            let pause =
                options.restart_base_ms.saturating_mul(1 << self.0.failures.min(20)).min(options.restart_max_ms);
            self.0.failures = self.0.failures.saturating_add(1);
            self.0.not_before = Some(at.plus(pause));
        }
    }
}

/// When the current credential ends by itself, as far as that is known.
fn current_expiry(secret: &Secret) -> Option<Millis> {
    secret.expires_at(secret.current()?)
}

fn is_current(secret: &Secret, current: Generation, id: &TargetId) -> bool {
    secret.generation(current).is_some_and(|it| {
        it.minted.as_ref().and_then(|minted| minted.id.as_ref()) == Some(id)
            || it.places.values().any(|standing| standing.id.as_ref() == Some(id))
    })
}

#[cfg(test)]
mod tests {
    use super::Trail;
    use crate::options::Options;
    use keybaton_protocol::ids::Millis;
    use keybaton_protocol::step::Ending;

    #[test]
    fn pauses_after_rotations_that_did_not_complete_double_up_to_the_longest_and_end_with_one_that_did() {
        let options = Options { restart_base_ms: 100, restart_max_ms: 500, ..Options::default() };
        let mut trail = Trail::default();
        let pauses: Vec<_> = (0..5)
            .map(|_| {
                trail.finished(Millis(1_000), Ending::RolledBack, &options);
                trail.0.not_before.unwrap().0 - 1_000
            })
            .collect();
        assert_eq!(pauses, [100, 200, 400, 500, 500]);
        trail.finished(Millis(1_000), Ending::Completed, &options);
        assert_eq!((trail.0.not_before, trail.0.failures), (None, 0));
    }
}
