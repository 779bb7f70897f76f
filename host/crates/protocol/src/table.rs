//! The one transition table: where a secret stands, and which events are legal there. Recovery is replay of this and
//! nothing else. Each arm is a small function in the file of its theme; it checks everything before it changes
//! anything, so that a refused event leaves no trace.
//!
//! Outcomes (`answered`, `ended`) and other facts are legal wherever the secret stands: they have happened. A guard
//! may be loosened freely; one that is tightened must still take every journal that exists, by its record version.

use crate::event::Event;
use crate::ids::Millis;
use crate::state::{Secret, Stand};

/// An event that is not legal where the secret stands. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{event}` is not legal {stand}: {why}")]
pub struct Illegal {
    /// Its name.
    pub event: &'static str,
    /// Where the secret stands.
    pub stand: Stand,
    /// Why not.
    pub why: &'static str,
}

/// What an arm answers: why the event is not legal, if it is not.
pub(crate) type Verdict = Result<(), &'static str>;

impl Secret {
    /// Folds one event into the state.
    ///
    /// # Errors
    /// The event is not legal here; the state is as before.
    pub fn record(&mut self, at: Millis, event: &Event) -> Result<(), Illegal> {
        let stand = self.stand();
        let (clock, steady) = (self.clock, self.steady);
        self.steady = self.steady_at(at);
        self.clock = clock.max(at);
        match self.apply(stand, event) {
            Ok(()) => {
                self.seq.0 += 1;
                Ok(())
            }
            Err(why) => {
                (self.clock, self.steady) = (clock, steady);
                Err(Illegal { event: event.name(), stand, why })
            }
        }
    }

    fn apply(&mut self, stand: Stand, event: &Event) -> Verdict {
        use Event as E;
        use Stand::{Commit, Idle, Prepare, Reverting, RollingBack};
        match (stand, event) {
            // The rotation's course.
            (Idle, E::Started { .. }) => self.started(event),
            (Prepare, E::Supplied { generation, minted, .. }) => self.supplied(*generation, minted),
            (Prepare, E::Staged) => self.staged(),
            (Prepare, E::Committed) => self.committed(),
            (Prepare, E::RollingBack { reason, author }) => self.rolling_back(reason, author.as_ref()),
            (Commit, E::WaveOpened { wave }) => self.wave_opened(*wave),
            (Commit, E::Draining) => self.draining(),
            (Commit, E::Reverting { reason, .. }) => self.reverting(reason),
            (Reverting | Idle, E::Reverted) => self.reverted(),
            (Prepare | Commit | RollingBack | Reverting, E::Finished { ending, reason }) => {
                self.finish(*ending, reason)
            }
            // What it runs on, changed by name and on the record.
            (Prepare | Commit | RollingBack | Reverting, E::Repolicied { policy, .. }) => self.repolicied(policy),
            (Prepare | Commit | RollingBack | Reverting, E::Repinned { component, .. }) => self.repinned(*component),
            (_, E::PlacesChanged { places, .. }) => self.places_changed(places),
            (_, E::ConsumerAdded { consumer, .. }) => self.consumer_added(consumer),
            (_, E::ConsumerRemoved { consumer, .. }) => self.consumer_removed(consumer),
            (_, E::MembersChanged { consumer, members, .. }) => self.members_changed(consumer, members),
            // Calls: intents are guarded, outcomes are facts.
            (_, E::Intended { .. }) => self.intended(event),
            (_, E::Sent { call, ordinal, deadline, .. }) => self.sent(*call, *ordinal, *deadline),
            (_, E::Interrupted { call }) => self.interrupted(*call),
            (_, E::Answered { call, ordinal, answer, .. }) => self.answered(*call, *ordinal, *answer),
            (_, E::Ended { call, outcome }) => self.ended(*call, outcome),
            // Consumers.
            (_, E::Fetched { consumer, replica, incarnation, generation }) => {
                self.fetched(consumer, replica, incarnation, *generation)
            }
            (_, E::Stated(evidence)) => self.stated(evidence),
            (_, E::Withdrawn { consumer, replica, .. }) => self.withdrawn(consumer, replica),
            // Credentials that end, as jobs of their own.
            (_, E::RetirementOpened { generation, place, cause, id }) => {
                self.retirement_opened(*generation, place, *cause, id.as_ref())
            }
            (_, E::RetirementClosed { generation, place, id, superseded }) => {
                self.retirement_closed(*generation, place, id.as_ref(), *superseded)
            }
            (_, E::Erased { generation }) => self.erased(*generation),
            (_, E::ForeignSeen { place, id }) => self.foreign_seen(place, id),
            // People.
            (_, E::Held { reason, detail }) => self.held(*reason, detail),
            (_, E::Released { .. }) => self.released_by_hand(),
            (_, E::Overridden { generation, .. }) => self.overridden(*generation),
            (_, E::Compromised { generation, disable_first, .. }) => self.compromised(*generation, *disable_first),
            (_, E::Frozen { author }) => self.freeze(author),
            (_, E::Thawed { .. }) => self.thaw(),
            (_, E::Unmanaged { .. }) => self.unmanage(),
            // Time and restores.
            (_, E::Ticked) => Ok(()),
            (_, E::Restored { epoch }) => self.restore(*epoch),
            (_, E::Reconciled { next, .. }) => self.reconciled(*next),
            (
                _,
                E::Started { .. }
                | E::Supplied { .. }
                | E::Staged
                | E::Committed
                | E::RollingBack { .. }
                | E::WaveOpened { .. }
                | E::Draining
                | E::Reverting { .. }
                | E::Reverted
                | E::Finished { .. }
                | E::Repolicied { .. }
                | E::Repinned { .. },
            ) => Err("the secret does not stand where this can happen"),
        }
    }
}
