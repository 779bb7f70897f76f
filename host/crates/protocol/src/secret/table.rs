//! The one transition table: where a secret stands, and which events are legal there. Recovery is replay of this and
//! nothing else. Each arm is a small function in the file of its theme; it checks everything before it changes
//! anything, so that a refused event leaves no trace.
//!
//! Outcomes (`answered`, `ended`) and other facts are legal wherever the secret stands: they have happened. A guard
//! may be loosened freely; one that is tightened must still take every journal that exists, by its record version.

use crate::event::Event;
use crate::guard::Blocked;
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
    /// Who or what stands in the way.
    pub why: Blocked,
}

/// What an arm answers: what stands in the way of the event, if anything does.
pub(crate) type Verdict = Result<(), Blocked>;

/// What an event gets that is legal elsewhere.
const WRONG_STAND: Verdict = Err(Blocked::Unfit("the secret does not stand where this can happen"));

impl Secret {
    /// Folds one event into the state.
    ///
    /// # Errors
    /// The event is not legal here; the state is as before.
    pub fn record(&mut self, at: Millis, event: &Event) -> Result<(), Illegal> {
        if self.follow_clock(at, event) {
            self.seq.0 += 1;
            return Ok(());
        }
        let stand = self.stand();
        let (clock, steady) = (self.clock, self.steady);
        self.steady = self.steady_at(at);
        self.clock = clock.max(at);
        match self.apply(stand, event) {
            Ok(()) => {
                self.seq.0 += 1;
                self.drop_ineffective();
                Ok(())
            }
            Err(why) => {
                (self.clock, self.steady) = (clock, steady);
                Err(Illegal { event: event.name(), stand, why })
            }
        }
    }

    /// Folds one event that is on record already. Whoever wrote it asked the table of its day for evidence and times; what
    /// is asked for since then is asked of the next event, and never of what has happened.
    ///
    /// # Errors
    /// The event fits no rule of any day: the journal is damaged. The state is as before.
    pub fn replay(&mut self, at: Millis, event: &Event) -> Result<(), Illegal> {
        self.replaying = true;
        let taken = self.record(at, event);
        self.replaying = false;
        taken
    }

    /// The arms that depend on where the secret stands. All others are legal anywhere, or nowhere else.
    fn apply(&mut self, stand: Stand, event: &Event) -> Verdict {
        use Event as E;
        use Stand::{Commit, Idle, Prepare, Reverting, RollingBack};
        match (stand, event) {
            // The rotation's course.
            (Idle, E::Started { .. }) => self.started(event),
            (Idle, E::Settled(settled)) => self.settle(settled),
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
            (_, anywhere) => self.apply_anywhere(anywhere),
        }
    }

    /// The arms that are legal wherever the secret stands: facts, above all. The catch-all names the others, so that a
    /// new event leads the compiler here.
    fn apply_anywhere(&mut self, event: &Event) -> Verdict {
        use Event as E;
        match event {
            // What it runs on, changed by name and on the record.
            E::Repolicied { policy, .. } => self.repolicied(policy),
            E::Repinned { component, .. } => self.repinned(*component),
            E::PlacesChanged { places, .. } => self.places_changed(places),
            E::PlaceScrapped { place, .. } => self.place_scrapped(place),
            E::ConsumerAdded { consumer, .. } => self.consumer_added(consumer),
            E::ConsumerChanged { consumer, .. } => self.consumer_changed(consumer),
            E::MemberMarked { consumer, replica, gone, .. } => self.member_marked(consumer, replica, *gone),
            E::ConsumerRemoved { consumer, .. } => self.consumer_removed(consumer),
            E::MembersChanged { consumer, members, .. } => self.members_changed(consumer, members),
            // Calls: intents are guarded, outcomes are facts.
            E::Intended { .. } => self.intended(event),
            E::Sent { call, ordinal, deadline, .. } => self.sent(*call, *ordinal, *deadline),
            E::Interrupted { call } => self.interrupted(*call),
            E::Answered { call, ordinal, answer, .. } => self.answered(*call, *ordinal, *answer),
            E::Ended { call, outcome } => self.ended(*call, outcome),
            // Consumers.
            E::Fetched { consumer, replica, incarnation, generation } => {
                self.fetched(consumer, replica, incarnation, *generation)
            }
            E::Stated(evidence) => self.stated(evidence),
            E::SeenTwice { consumer, replica, incarnation } => self.seen_twice(consumer, replica, incarnation),
            // Credentials that end, as jobs of their own.
            E::RetirementOpened { generation, place, cause, id } => {
                self.retirement_opened(*generation, place, *cause, id.as_ref())
            }
            E::RetirementClosed { generation, place, id, superseded } => {
                self.retirement_closed(*generation, place, id.as_ref(), *superseded)
            }
            E::Erased { generation } => self.erased(*generation),
            E::ForeignSeen { place, id } => self.foreign_seen(place, id),
            // People.
            E::Held { reason, detail } => self.held(*reason, detail),
            E::Released { author } => self.hold_lifted(author),
            E::Overridden { generation, author, .. } => self.overridden(*generation, author),
            E::Compromised { generation, disable_first, .. } => self.compromised(*generation, *disable_first),
            E::Frozen { author } => self.freeze(author),
            E::Thawed { .. } => self.thaw(),
            E::Unmanaged { .. } => self.unmanage(),
            // Time and restores.
            E::Ticked | E::ClockStepped { .. } | E::ClockResumed => Ok(()),
            E::Begun { epoch } => self.begun(*epoch),
            E::Restored { epoch, strict } => self.restore(*epoch, *strict),
            E::Reconciled { next, .. } => self.reconciled(*next),
            E::Lost { next, .. } => self.lost(*next),
            E::Started { .. } | E::Supplied { .. } | E::Staged | E::Committed | E::RollingBack { .. } => WRONG_STAND,
            E::WaveOpened { .. } | E::Draining | E::Reverting { .. } | E::Reverted | E::Finished { .. } => WRONG_STAND,
            E::Settled(_) => WRONG_STAND,
        }
    }
}
