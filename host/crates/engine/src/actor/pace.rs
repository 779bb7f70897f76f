//! How long steps and waits take, for the metrics. Follows what is decided; decides nothing.

use crate::metrics::Metrics;
use keybaton_protocol::action::{Action, Waiting};
use keybaton_protocol::ids::Millis;
use keybaton_protocol::step::Step;

/// The phase, the step and the wait a secret is in, and since when. Outlives its actor, which goes while it waits; not
/// the process: what a restart interrupts is measured from there on.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    phase: Timed<&'static str>,
    step: Timed<Step>,
    wait: Timed<&'static str>,
}

/// What it is in, and since when.
type Timed<T> = Option<(T, Millis)>;

impl Pace {
    /// Takes note of a decision; `now` is of the clock that nobody sets.
    pub(super) fn note(&mut self, action: &Action, phase: Option<&'static str>, now: Millis, metrics: &Metrics) {
        let (step, wait) = match action {
            Action::Record(_) => return,
            Action::Call(call) => (Some(call.step), None),
            Action::Wait { waiting, .. } => (step_of(waiting).or(self.step.map(|(step, _)| step)), Some(name(waiting))),
            Action::Idle => (None, None),
        };
        if let Some((old, ms)) = change(&mut self.phase, phase, now) {
            metrics.phase_took(old, ms);
        }
        if let Some((old, ms)) = change(&mut self.step, step, now) {
            metrics.step_took(old.name(), ms);
        }
        if let Some((old, ms)) = change(&mut self.wait, wait, now) {
            metrics.waited(old, ms);
        }
    }

    /// Whether something is being measured.
    pub(super) const fn is_under_way(&self) -> bool {
        self.phase.is_some() || self.step.is_some() || self.wait.is_some()
    }
}

/// What is over, and how long it took in milliseconds, if another begins.
fn change<T: Copy + PartialEq>(timed: &mut Timed<T>, next: Option<T>, now: Millis) -> Option<(T, u64)> {
    if timed.map(|(known, _)| known) == next {
        return None;
    }
    let over = timed.map(|(known, since)| (known, now.since(since)));
    *timed = next.map(|next| (next, now));
    over
}

fn step_of(waiting: &Waiting) -> Option<Step> {
    match waiting {
        Waiting::BackOff(step) | Waiting::Consumers { step, .. } | Waiting::Timer(step) | Waiting::Blocked(step, _) => {
            Some(*step)
        }
        _ => None,
    }
}

fn name(waiting: &Waiting) -> &'static str {
    match waiting {
        Waiting::Call(_) => "call",
        Waiting::BackOff(_) => "back-off",
        Waiting::Doubt(_) => "doubt",
        Waiting::Consumers { .. } => "consumers",
        Waiting::Timer(_) => "timer",
        Waiting::Retirement(..) => "retirement",
        Waiting::Blocked(..) => "blocked",
        Waiting::Stuck(..) => "stuck",
        Waiting::Held(_) => "held",
        Waiting::Frozen => "frozen",
    }
}
