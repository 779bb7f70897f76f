//! The host's clock. It moves with the machine's monotonic clock and is compared with the wall clock at each reading:
//! where the two have come apart, somebody has set the wall clock (or the machine has slept), and this clock follows in
//! one step that is known to all. Between two steps the distance of two readings is the time that has passed.

use crate::ports::clock::Clock;
use keybaton_protocol::ids::Millis;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Up to here, in milliseconds, the two clocks may differ without that being a step.
const TOLERANCE_MS: u64 = 500;
/// Steps that are kept for people; of more, the oldest are forgotten.
const KEPT_STEPS: usize = 32;
/// Both clocks are read one after the other: where that took longer than this, in milliseconds, they are read again …
const READ_MS: u64 = 20;
/// … so often at most.
const READS: usize = 4;

/// A step of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockStep {
    /// When it was noticed, by the clock as it is since.
    pub at: Millis,
    /// How long ago that is now, in milliseconds.
    pub ago_ms: u64,
    /// By how many milliseconds: ahead, or (below zero) back.
    pub by_ms: i64,
    /// It was noticed at a start: what is on record is dated after the wall clock. Else while the host ran.
    pub at_start: bool,
}

/// A reading of the host's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What it shows.
    pub now: Millis,
    /// All steps so far, summed up, in milliseconds: what was measured before a step is moved by the difference.
    pub stepped_ms: i64,
}

/// The host's clock.
pub struct HostClock {
    machine: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the wall clock showed when it was last followed, and what the monotonic clock did.
    wall: Millis,
    elapsed_ms: u64,
    stepped_ms: i64,
    steps: VecDeque<Noticed>,
    ahead: u64,
    back: u64,
}

#[derive(Debug, Clone, Copy)]
struct Noticed {
    at: Millis,
    elapsed_ms: u64,
    by_ms: i64,
    at_start: bool,
}

impl HostClock {
    /// Begins to measure.
    #[must_use]
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        let (wall, elapsed_ms, _) = read(&*machine);
        Self { machine, state: Mutex::new(State { wall, elapsed_ms, ..State::default() }) }
    }

    /// What it shows now. Follows the wall clock where that was set.
    #[must_use]
    pub fn read(&self) -> Reading {
        let mut state = self.state();
        let (wall, elapsed_ms, unsure_ms) = read(&*self.machine);
        let now = state.wall.plus(elapsed_ms.saturating_sub(state.elapsed_ms));
        let by_ms = signed(wall.0).saturating_sub(signed(now.0));
        if by_ms.unsigned_abs() <= TOLERANCE_MS.saturating_add(unsure_ms) {
            return Reading { now, stepped_ms: state.stepped_ms };
        }
        state.wall = wall;
        state.elapsed_ms = elapsed_ms;
        state.stepped_ms = state.stepped_ms.saturating_add(by_ms);
        state.note(Noticed { at: wall, elapsed_ms, by_ms, at_start: false });
        tracing::warn!(
            by_ms,
            "the wall clock was set (or the machine slept); what takes time takes no longer and no shorter for it"
        );
        Reading { now: wall, stepped_ms: state.stepped_ms }
    }

    /// What it shows now.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.read().now
    }

    /// Milliseconds that have passed since some instant of this process's life. Nobody sets that.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        self.machine.elapsed_ms()
    }

    /// Something on record is dated after now: the clock was set back before this process began to measure. Many records
    /// tell of the same step, and the furthest one tells most of it.
    pub(crate) fn found_behind(&self, behind_ms: u64) {
        let now = self.now();
        let by_ms = i64::try_from(behind_ms).unwrap_or(i64::MAX).saturating_neg();
        let mut state = self.state();
        let known = state.steps.iter().filter(|step| step.at_start).map(|step| step.by_ms).min();
        if known.is_some_and(|known| known.saturating_sub(by_ms) <= signed(TOLERANCE_MS)) {
            return;
        }
        state.steps.retain(|step| !step.at_start);
        let elapsed_ms = self.machine.elapsed_ms();
        state.note(Noticed { at: now, elapsed_ms, by_ms, at_start: true });
        drop(state);
        tracing::warn!(by_ms, "what is on record is dated after now: the wall clock was set back while no host ran");
    }

    /// Steps that were noticed, oldest first.
    #[must_use]
    pub fn steps(&self) -> Vec<ClockStep> {
        let (state, elapsed_ms) = (self.state(), self.machine.elapsed_ms());
        let shown = |step: &Noticed| ClockStep {
            at: step.at,
            ago_ms: elapsed_ms.saturating_sub(step.elapsed_ms),
            by_ms: step.by_ms,
            at_start: step.at_start,
        };
        state.steps.iter().map(shown).collect()
    }

    /// How many steps there were since the start, ahead and back.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.state();
        (state.ahead, state.back)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Numbers that are written one after the other by code that does not panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For whoever wants a clock: the wall clock as the host has it.
impl Clock for HostClock {
    fn wall(&self) -> Millis {
        self.now()
    }

    fn elapsed_ms(&self) -> u64 {
        self.machine.elapsed_ms()
    }
}

impl State {
    fn note(&mut self, step: Noticed) {
        if step.by_ms > 0 {
            self.ahead += 1;
        } else {
            self.back += 1;
        }
        if self.steps.len() >= KEPT_STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
    }
}

/// Both clocks as of one instant, and by how much they may be apart because a reading took its time.
fn read(machine: &dyn Clock) -> (Millis, u64, u64) {
    let once = || {
        let before_ms = machine.elapsed_ms();
        let wall = machine.wall();
        let after_ms = machine.elapsed_ms();
        (wall, after_ms, after_ms.saturating_sub(before_ms))
    };
    let mut best = once();
    for _ in 1..READS {
        if best.2 <= READ_MS {
            break;
        }
        let again = once();
        if again.2 < best.2 {
            best = again;
        }
    }
    best
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{HostClock, KEPT_STEPS, TOLERANCE_MS};
    use crate::ports::clock::Clock;
    use keybaton_protocol::ids::Millis;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    const HOUR_MS: u64 = 3_600_000;

    /// A machine whose clocks are moved by hand.
    #[derive(Default)]
    struct Machine {
        wall: AtomicU64,
        elapsed: AtomicU64,
    }

    impl Clock for Machine {
        fn wall(&self) -> Millis {
            Millis(self.wall.load(Ordering::Relaxed))
        }

        fn elapsed_ms(&self) -> u64 {
            self.elapsed.load(Ordering::Relaxed)
        }
    }

    impl Machine {
        fn pass(&self, ms: u64) {
            self.wall.fetch_add(ms, Ordering::Relaxed);
            self.elapsed.fetch_add(ms, Ordering::Relaxed);
        }

        fn set(&self, by_ms: i64) {
            let wall = self.wall.load(Ordering::Relaxed);
            self.wall.store(wall.saturating_add_signed(by_ms), Ordering::Relaxed);
        }
    }

    fn started() -> (Arc<Machine>, HostClock) {
        let machine = Arc::new(Machine::default());
        machine.wall.store(1_000 * HOUR_MS, Ordering::Relaxed);
        let clock = HostClock::new(Arc::clone(&machine) as _);
        (machine, clock)
    }

    #[test]
    fn it_moves_with_the_monotonic_clock_and_follows_the_wall_clock_in_steps() {
        let (machine, clock) = started();
        let start = clock.now();
        machine.pass(10);
        assert_eq!(clock.now().since(start), 10);
        for (by_ms, sum_ms) in [(3_600_000, 3_600_000), (-3_600_000, 0), (-7_200_000, -7_200_000)] {
            machine.set(by_ms);
            let reading = clock.read();
            assert_eq!((reading.now, reading.stepped_ms), (machine.wall(), sum_ms));
            assert_eq!(clock.read(), reading, "one step is noticed once");
        }
        assert_eq!(
            clock.steps().iter().map(|step| step.by_ms).collect::<Vec<_>>(),
            [3_600_000, -3_600_000, -7_200_000]
        );
        assert_eq!(clock.counts(), (1, 2));
    }

    #[test]
    fn a_small_difference_is_no_step_until_it_has_added_up() {
        let (machine, clock) = started();
        let start = clock.now();
        machine.set(i64::try_from(TOLERANCE_MS).unwrap());
        machine.pass(10);
        assert_eq!((clock.now().since(start), clock.steps().len()), (10, 0));
        machine.set(1);
        assert_eq!(clock.steps().len(), 0, "it is noticed when it is read");
        assert_eq!(clock.now(), machine.wall());
        assert_eq!(clock.steps().len(), 1);
    }

    #[test]
    fn a_step_tells_when_it_was_noticed_however_the_clock_is_set_later() {
        let (machine, clock) = started();
        machine.set(3_600_000);
        let at = clock.now();
        machine.pass(500);
        machine.set(-3_600_000);
        let _ = clock.now();
        machine.pass(100);
        let steps = clock.steps();
        assert_eq!((steps[0].at, steps[0].ago_ms, steps[1].ago_ms), (at, 600, 100));
    }

    #[test]
    fn records_from_the_future_tell_of_one_step() {
        let (_machine, clock) = started();
        for behind_ms in [HOUR_MS, HOUR_MS / 2, HOUR_MS + 10, 2 * HOUR_MS] {
            clock.found_behind(behind_ms);
        }
        let steps = clock.steps();
        assert_eq!(steps.iter().map(|step| (step.by_ms, step.at_start)).collect::<Vec<_>>(), [(-7_200_000, true)]);
    }

    #[test]
    fn few_steps_are_remembered_and_all_are_counted() {
        let (machine, clock) = started();
        for _ in 0..100 {
            machine.set(1_000);
            let _ = clock.now();
        }
        assert_eq!((clock.steps().len(), clock.counts()), (KEPT_STEPS, (100, 0)));
    }

    /// A machine on which another process runs between the two readings, now and then.
    struct Slow(Machine, AtomicU64);

    impl Clock for Slow {
        fn wall(&self) -> Millis {
            let wall = self.0.wall();
            if self.1.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
                self.0.pass(2_000);
            }
            wall
        }

        fn elapsed_ms(&self) -> u64 {
            self.0.elapsed_ms()
        }
    }

    #[test]
    fn a_reading_that_took_long_is_no_step() {
        let clock = HostClock::new(Arc::new(Slow(Machine::default(), AtomicU64::new(0))));
        for _ in 0..10 {
            let _ = clock.now();
        }
        assert_eq!(clock.steps(), []);
    }
}
