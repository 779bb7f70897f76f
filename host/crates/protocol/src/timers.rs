//! Timers that permit destruction, or a step towards it. They run on time that has certainly passed: each event adds
//! at most a small capped step, so that a clock that jumps ahead, or a host that slept, ends nothing.

use crate::event::RetireCause;
use crate::ids::{Millis, Steady};
use crate::policy::Policy;
use crate::profile::UsageSignal;
use crate::retirement::Retirement;
use crate::state::Secret;

/// One step of a timer is at most this share of the shortest one running.
pub(crate) const TICKS_PER_TIMER: u64 = 16;
/// Steps are never cut below this, in milliseconds: a timer shorter than that needs no protection from jumps.
pub(crate) const LEAST_TICK_MS: u64 = 1_000;

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
    /// The most a single event may add to the steady clock; `None` while no timer runs.
    pub(crate) fn tick_cap_ms(&self) -> Option<u64> {
        let mut shortest: Option<u64> = None;
        self.each_timer(&mut |timer| {
            if !timer.over(self.steady) {
                shortest = Some(shortest.map_or(timer.total_ms, |least| least.min(timer.total_ms)));
            }
        });
        shortest.map(|total_ms| (total_ms / TICKS_PER_TIMER).max(LEAST_TICK_MS))
    }

    /// When to append `Ticked` so that no running timer loses time: it is due when this is not after `now`.
    pub(crate) fn next_tick(&self) -> Option<Millis> {
        let cap_ms = self.tick_cap_ms()?;
        let mut least_ms = cap_ms;
        self.each_timer(&mut |timer| {
            if !timer.over(self.steady) {
                least_ms = least_ms.min(timer.left_ms(self.steady));
            }
        });
        Some(self.clock.plus(least_ms))
    }

    /// What the steady clock reads once an event at `at` is recorded.
    pub(crate) fn steady_at(&self, at: Millis) -> Steady {
        let passed_ms = at.since(self.clock);
        Steady(self.steady.0.saturating_add(self.tick_cap_ms().map_or(passed_ms, |cap_ms| passed_ms.min(cap_ms))))
    }

    fn each_timer(&self, visit: &mut dyn FnMut(Timer)) {
        if let Some(rotation) = &self.rotation {
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
        for (job, retirement) in &self.retirements {
            if retirement.cause == RetireCause::Superseded {
                visit(Timer::new(retirement.overlap.since, retirement.overlap.total_ms));
            }
            if let Some(disabled) = retirement.disabled {
                visit(Timer::new(disabled, soak_ms(retirement)));
            }
            if retirement.cause == RetireCause::RolledBack {
                let lease_ms = retirement.pins.policy.staged_lease_ms;
                self.leases(job.generation).for_each(|since| visit(Timer::new(since, lease_ms)));
            }
        }
    }

    /// When each replica that still holds a staged generation fetched it last.
    pub(crate) fn leases(&self, generation: crate::ids::Generation) -> impl Iterator<Item = Steady> {
        self.replicas
            .values()
            .filter(move |replica| !replica.let_go(generation))
            .filter_map(move |replica| replica.fetched.get(&generation).copied())
    }

    /// Whether consumers are waited for now.
    pub(crate) fn patient(&self) -> bool {
        self.hold.is_none()
            && self.rotation.as_ref().is_some_and(|rotation| {
                (rotation.preparing() && rotation.staged.is_some())
                    || (rotation.committing() && rotation.draining.is_none())
            })
    }
}
