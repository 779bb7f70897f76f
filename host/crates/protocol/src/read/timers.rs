//! Timers that permit destruction, or a step towards it. They run on time that has certainly passed: what one process
//! has measured between two events, so that a clock that is set ends nothing, nor does a time in which no process ran.

use crate::event::RetireCause;
use crate::ids::{Millis, Steady};
use crate::policy::Policy;
use crate::profile::UsageSignal;
use crate::retirement::Retirement;
use crate::state::Secret;

/// In journals from before time was measured, one step of a timer is at most this share of the shortest one running.
const TICKS_PER_TIMER: u64 = 16;
/// Steps there are never cut below this, in milliseconds.
pub(crate) const LEAST_TICK_MS: u64 = 1_000;
/// Timers from this length on, in milliseconds, are put on record while they run.
const LEAST_TICKED_MS: u64 = 3_600_000;
/// How often: each time that this share of the shortest of them has passed …
const TICKS_PER_LONG_TIMER: u64 = 4;
/// … and at least this often, in milliseconds.
const LONGEST_TICK_MS: u64 = 6 * 3_600_000;

/// A running timer: since when, and how long it takes in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timer {
    pub(crate) since: Steady,
    pub(crate) total_ms: u64,
}

impl Timer {
    pub(crate) const fn new(since: Steady, total_ms: u64) -> Self {
        Self { since, total_ms }
    }

    pub(crate) const fn left_ms(self, now: Steady) -> u64 {
        self.total_ms.saturating_sub(now.since(self.since))
    }

    pub(crate) const fn over(self, now: Steady) -> bool {
        self.left_ms(now) == 0
    }
}

/// How long the target must have been watched for its silence to mean something.
pub(crate) const fn quiet_total_ms(policy: &Policy, signal: UsageSignal) -> u64 {
    policy.quiet_ms.saturating_add(signal.lag_ms).saturating_add(signal.resolution_ms)
}

/// How long a switched-off credential is kept. What nobody was ever given, or what is known to others, is not kept.
pub(crate) fn soak_ms(retirement: &Retirement) -> u64 {
    match retirement.cause {
        RetireCause::Superseded | RetireCause::Ended | RetireCause::Orphan => retirement.pins.policy.soak_ms,
        RetireCause::RolledBack | RetireCause::Compromised => 0,
    }
}

impl Secret {
    /// What the steady clock reads at an instant, if nothing happens between the last event and then. As long as one
    /// process measures, that is all of the time between; before any had said that it does, a small capped step.
    pub(crate) fn steady_at(&self, at: Millis) -> Steady {
        let passed_ms = at.since(self.clock());
        if passed_ms == 0 {
            return self.steady();
        }
        let counts_ms = if self.measured() { passed_ms } else { self.unmeasured_ms(passed_ms) };
        Steady(self.steady().0.saturating_add(counts_ms))
    }

    /// When a timer that runs at `now` is over, or time is to be put on record, if nothing else happens before.
    pub(crate) fn next_timer(&self, now: Millis) -> Option<Millis> {
        let due = self.tick_due(now);
        if !self.measured() {
            return due;
        }
        let steady = self.steady_at(now);
        let left = self.running(steady).into_iter().map(|timer| now.plus(timer.left_ms(steady)));
        left.chain(due).min()
    }

    /// When `Ticked` is to be appended, so that a process that ends takes little of a long timer with it. What is short
    /// begins anew then, and costs nothing on record.
    pub(crate) fn tick_due(&self, now: Millis) -> Option<Millis> {
        if !self.measured() {
            return self.next_tick();
        }
        let running = self.running(self.steady_at(now)).into_iter().map(|timer| timer.total_ms);
        let shortest_ms = running.filter(|total_ms| *total_ms >= LEAST_TICKED_MS).min()?;
        Some(self.clock().plus((shortest_ms / TICKS_PER_LONG_TIMER).min(LONGEST_TICK_MS)))
    }

    fn running(&self, steady: Steady) -> Vec<Timer> {
        let mut running = Vec::new();
        self.each_timer(&mut |timer| {
            if !timer.over(steady) {
                running.push(timer);
            }
        });
        running
    }

    /// What an event may add to the steady clock in a journal from before time was measured.
    fn unmeasured_ms(&self, passed_ms: u64) -> u64 {
        self.tick_cap_ms().map_or(passed_ms, |cap_ms| passed_ms.min(cap_ms))
    }

    /// The most that a single event may add there; `None` while no timer runs.
    fn tick_cap_ms(&self) -> Option<u64> {
        let shortest_ms = self.running(self.steady()).into_iter().map(|timer| timer.total_ms).min()?;
        Some((shortest_ms / TICKS_PER_TIMER).max(LEAST_TICK_MS))
    }

    /// When to append `Ticked` there so that no running timer loses time: it is due when this is not after `now`.
    fn next_tick(&self) -> Option<Millis> {
        let cap_ms = self.tick_cap_ms()?;
        let left_ms = self.running(self.steady()).into_iter().map(|timer| timer.left_ms(self.steady())).min();
        Some(self.clock().plus(left_ms.map_or(cap_ms, |left_ms| left_ms.min(cap_ms))))
    }

    fn each_timer(&self, visit: &mut dyn FnMut(Timer)) {
        if let Some(rotation) = &self.rotation() {
            let policy = &rotation.pins.policy;
            if let Some(draining) = rotation.draining {
                visit(Timer::new(draining.steady, policy.overlap_min_ms));
            }
            if let Some(signal) = rotation.pins.profile.usage {
                let total_ms = quiet_total_ms(policy, signal);
                rotation.quiet.values().for_each(|quiet| visit(Timer::new(quiet.from, total_ms)));
            }
            if let Some(settled) = rotation.wave.settled {
                visit(Timer::new(settled, policy.waves.soak_ms));
            }
            if let (Some(deadline_ms), true) = (policy.stragglers.deadline_ms, self.patient()) {
                visit(Timer::new(rotation.patience, deadline_ms));
            }
        }
        if let Some(ends) = self.ending_by_switch() {
            self.holding_leases(ends, self.clock()).for_each(&mut *visit);
        }
        for (job, retirement) in self.retirements() {
            if matches!(retirement.cause, RetireCause::Superseded | RetireCause::Ended) {
                self.holding_leases(job.generation, self.clock()).for_each(&mut *visit);
            }
            if retirement.cause == RetireCause::Superseded {
                visit(Timer::new(retirement.overlap.since, retirement.overlap.total_ms));
            }
            if let Some(disabled) = retirement.disabled {
                visit(Timer::new(disabled, soak_ms(retirement)));
            }
            if retirement.cause == RetireCause::RolledBack {
                let lease_ms = retirement.pins.policy.staged_lease_ms;
                self.staged_leases(job.generation, lease_ms, self.clock()).for_each(|(_, lease)| visit(lease));
            }
        }
    }

    /// The generation that consumers are to leave now, before its end is a job of its own.
    fn ending_by_switch(&self) -> Option<crate::ids::Generation> {
        let rotation = self.rotation().filter(|rotation| rotation.draining.is_none())?;
        match (rotation.committing(), rotation.staged.is_some()) {
            (true, _) => self.ending(),
            (false, staged) => self.current().filter(|_| staged && rotation.preparing() && self.one_slot()),
        }
    }

    /// Whether consumers are waited for now.
    pub(crate) fn patient(&self) -> bool {
        self.hold().is_none()
            && self.rotation().is_some_and(|rotation| {
                (rotation.preparing() && rotation.staged.is_some())
                    || (rotation.committing() && rotation.draining.is_none())
            })
    }
}
