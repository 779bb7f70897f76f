//! How a secret's journal is dated: what has become of the clock goes on record before anything that is dated with it.
//!
//! As long as this process alone writes a journal, the distance of two dates in it is time that has passed. Where another
//! process has written, or none has run, that is not known, and the first event after it says so.

use super::Actor;
use super::batch::Batch;
use super::turn::Setback;
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::Seq;

/// How far this process has measured the time between a journal's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured {
    /// The last event that it wrote, or was there to see.
    seq: Seq,
    /// The steps of the clock that are on record, summed up.
    stepped_ms: i64,
}

/// By how much the last event may be dated after now without that being a step: readings of two processes differ.
const BEHIND_MS: u64 = 1_000;

impl Actor {
    /// Whether the journal as it was loaded is one whose time this process has measured so far.
    pub(super) fn begin_dating(&mut self) {
        let seq = self.state().secret.seq();
        self.measured = self.measured.filter(|measured| measured.seq == seq);
        let behind_ms = self.state().secret.clock().since(self.shared.wall());
        if self.measured.is_none() && behind_ms > BEHIND_MS {
            self.shared.clock.found_behind(behind_ms);
        }
    }

    /// What waits for a time to pass is measured anew before anything is decided about it, also where nothing else is
    /// to be written.
    pub(super) async fn date_waits(&mut self, batch: &mut Batch) -> Result<(), Setback> {
        let stepped_ms =
            self.measured.map_or(0, |measured| self.reading.stepped_ms.saturating_sub(measured.stepped_ms));
        let over = self.reading.now.min(self.reading.now.shifted(stepped_ms.saturating_neg()));
        let loaded = self.state();
        let waits = !loaded.secret.at_rest() || loaded.trail.pauses(over);
        if !waits || self.is_dated() || self.state().secret.seq() == Seq(0) {
            return Ok(());
        }
        // Whoever only follows another host measures nothing.
        if let Some(fence) = self.fence(0).await? {
            batch.fence = Some(fence);
            self.date(batch).await?;
        }
        Ok(())
    }

    fn is_dated(&self) -> bool {
        self.dated || self.measured.is_some_and(|measured| measured.stepped_ms == self.reading.stepped_ms)
    }

    /// Puts on record what has become of the clock since the last event, if anything has. To be called before each
    /// event of a turn is taken in; answers whether the state has changed with it.
    pub(super) async fn date(&mut self, batch: &mut Batch) -> Result<bool, Setback> {
        if self.is_dated() {
            self.dated = true;
            return Ok(false);
        }
        let (now, last) = (self.reading.now, self.state().secret.clock());
        let by_ms = match self.measured {
            Some(measured) => self.reading.stepped_ms.saturating_sub(measured.stepped_ms),
            None if last.since(now) > BEHIND_MS => i64::try_from(last.since(now)).unwrap_or(i64::MAX).saturating_neg(),
            None => 0,
        };
        self.dated = true;
        let mut resumes = self.measured.is_none();
        if by_ms != 0 {
            // Only whoever leads may date an event before the last one.
            if let Some(fence) = self.fence(0).await? {
                batch.fence = Some(fence);
                self.instant = now;
                self.fold(Event::ClockStepped { by_ms }, batch)?;
            } else {
                resumes = true;
            }
        }
        if resumes {
            self.fold(Event::ClockResumed, batch)?;
        }
        Ok(true)
    }

    /// What the turn folded is durable. What is dated after the clock, because another host leads, is measured anew.
    pub(super) fn keep_dating(&mut self) {
        let (seq, last) = (self.state().secret.seq(), self.state().secret.clock());
        if self.dated {
            let level = last.since(self.reading.now) <= BEHIND_MS;
            self.measured = level.then_some(Measured { seq, stepped_ms: self.reading.stepped_ms });
        }
    }
}
