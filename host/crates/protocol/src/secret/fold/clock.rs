//! Arms of the transition table: what becomes of the clock that events are dated with.
//!
//! Two kinds of time are kept. Elapsed time ([`crate::ids::Steady`], and every instant until which something takes) is
//! what a process has measured; the wall clock only dates events. Where the wall clock is set, the state is set with
//! it: what had a minute to go has a minute to go afterwards. Where nobody measured, nothing has elapsed.

use crate::calls::{CallState, OpenCall};
use crate::event::Event;
use crate::generation::{Standing, Verified};
use crate::ids::Millis;
use crate::state::Secret;

impl Secret {
    /// Takes in an event about the clock itself; such an event is legal wherever the secret stands. `false`: it is not
    /// about the clock.
    pub(crate) fn follow_clock(&mut self, at: Millis, event: &Event) -> bool {
        match event {
            Event::ClockStepped { by_ms } => self.clock_stepped(at, *by_ms),
            Event::ClockResumed => self.clock_resumed(at),
            _ => return false,
        }
        true
    }

    /// The only way in which an event may be dated before the last one. What has passed beside the step has passed.
    fn clock_stepped(&mut self, at: Millis, by_ms: i64) {
        self.steady = self.steady_at(at.shifted(by_ms.saturating_neg()));
        self.clock = at;
        self.shift_waits(by_ms);
        for call in self.calls.values_mut() {
            call.intended_at = call.intended_at.shifted(by_ms);
            for touched in &mut call.touched {
                touched.before.seen_at = touched.before.seen_at.shifted(by_ms);
                touched.after.seen_at = touched.after.seen_at.shifted(by_ms);
            }
        }
        // How old a login that worked is: where time was not measured, it is as old as the dates say.
        for standing in self.generations.values_mut().flat_map(|credential| credential.places.values_mut()) {
            standing.seen_at = standing.seen_at.shifted(by_ms);
        }
        if let Some(rotation) = self.rotation.as_mut() {
            let moments = [&mut rotation.staged, &mut rotation.switched, &mut rotation.draining];
            moments.into_iter().flatten().for_each(|moment| moment.steps.add(by_ms));
        }
    }

    /// How long nobody measured is not known: the dates go on, and all that takes time has as long to go as before.
    fn clock_resumed(&mut self, at: Millis) {
        let unknown_ms = at.since(self.clock);
        self.clock = self.clock.max(at);
        self.measured = true;
        self.shift_waits(i64::try_from(unknown_ms).unwrap_or(i64::MAX));
    }

    /// Moves every instant that stands for a length of time on the host's clock. Dates (of rotations, statements,
    /// holds), what a target told, and ends that people or targets set stay as they are.
    fn shift_waits(&mut self, by_ms: i64) {
        self.calls.values_mut().for_each(|call| call.shift_waits(by_ms));
        for tries in self.efforts.values_mut() {
            tries.not_before = tries.not_before.shifted(by_ms);
        }
        for seen in self.observations.values_mut() {
            seen.began_at = seen.began_at.shifted(by_ms);
        }
        for standing in self.generations.values_mut().flat_map(|credential| credential.places.values_mut()) {
            standing.shift_waits(by_ms);
        }
    }
}

impl Standing {
    fn shift_waits(&mut self, by_ms: i64) {
        self.changed_at = self.changed_at.shifted(by_ms);
        if let Verified::Refused { at, .. } = &mut self.verified {
            *at = at.shifted(by_ms);
        }
    }
}

impl OpenCall {
    fn shift_waits(&mut self, by_ms: i64) {
        self.stepped = true;
        self.sents.values_mut().for_each(|deadline| *deadline = deadline.shifted(by_ms));
        for touched in &mut self.touched {
            touched.before.shift_waits(by_ms);
            touched.after.shift_waits(by_ms);
        }
        match &mut self.state {
            CallState::Interrupted { at } | CallState::Doubt { until: at } => *at = at.shifted(by_ms),
            CallState::Running | CallState::Closed => {}
        }
    }
}
