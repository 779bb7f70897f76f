//! How long steps and waits take, for the metrics. Follows what is decided; decides nothing.

use crate::metrics::Metrics;
use keybaton_protocol::action::{Action, Waiting};
use keybaton_protocol::ids::Millis;
use keybaton_protocol::step::Step;

/// The step and the wait a secret is in, and since when.
#[derive(Debug, Default)]
pub(super) struct Pace {
    step: Option<(Step, Millis)>,
    wait: Option<(&'static str, Millis)>,
}

impl Pace {
    /// Takes note of a decision.
    pub(super) fn note(&mut self, action: &Action, now: Millis, metrics: &Metrics) {
        let (step, wait) = match action {
            Action::Record(_) => return,
            Action::Call(call) => (Some(call.step), None),
            Action::Wait { waiting, .. } => (step_of(waiting).or(self.step.map(|(step, _)| step)), Some(name(waiting))),
            Action::Idle => (None, None),
        };
        if self.step.map(|(step, _)| step) != step {
            if let Some((old, since)) = self.step {
                metrics.step_took(old.name(), now.since(since));
            }
            self.step = step.map(|step| (step, now));
        }
        if self.wait.map(|(wait, _)| wait) != wait {
            if let Some((old, since)) = self.wait {
                metrics.waited(old, now.since(since));
            }
            self.wait = wait.map(|wait| (wait, now));
        }
    }
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
