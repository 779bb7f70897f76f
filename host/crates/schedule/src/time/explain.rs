//! Why a secret does, or does not, rotate now: a list of small rules, each asked in turn. Reads no clock.

use super::due::{Facts, Why, is_open, next_due};
use crate::group::{Admit, Dependency};
use crate::spec::{Cadence, Rhythm};
use keybaton_protocol::ids::{Millis, SecretName};

/// All that the rules look at.
#[derive(Debug, Clone)]
pub struct Question<'q> {
    /// When it should rotate.
    pub cadence: &'q Cadence,
    /// What is known of its credential.
    pub facts: Facts,
    /// The due time in the journal; without one it is reckoned from `seed`.
    pub due: Option<Millis>,
    /// From [`super::seed`].
    pub seed: u64,
    /// What its stagger group says.
    pub group: Admit,
    /// The first secret that has to go before it, if one has.
    pub blocked: Option<(&'q SecretName, Dependency)>,
    /// The instant that is asked about.
    pub now: Millis,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing against it.
    Go,
    /// Not now.
    Wait {
        /// When to ask again; none if only a person or another secret can change it.
        until: Option<Millis>,
        /// For people.
        reason: String,
    },
}

/// One rule: its name and what it asks.
pub type Rule = (&'static str, fn(&Question<'_>) -> Verdict);

/// A rule and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: &'static str,
    /// What it said.
    pub verdict: Verdict,
}

/// The rules, in the order in which they are asked. The first that says wait is the answer.
pub const RULES: &[Rule] = &[
    ("paused", paused),
    ("issued", issued),
    ("beat", beat),
    ("due", due),
    ("window", window),
    ("dependency", dependency),
    ("stagger", stagger),
];

/// What every rule says.
#[must_use]
pub fn explain(question: &Question<'_>) -> Vec<Finding> {
    RULES.iter().map(|(rule, ask)| Finding { rule, verdict: ask(question) }).collect()
}

/// What the first rule that objects says, or nothing if the secret may rotate now.
#[must_use]
pub fn answer(question: &Question<'_>) -> Option<Finding> {
    explain(question).into_iter().find(|finding| finding.verdict != Verdict::Go)
}

fn wait(until: Option<Millis>, reason: impl Into<String>) -> Verdict {
    Verdict::Wait { until, reason: reason.into() }
}

fn paused(question: &Question<'_>) -> Verdict {
    match question.cadence.pause {
        true => wait(None, "the declaration pauses it"),
        false => Verdict::Go,
    }
}

fn issued(question: &Question<'_>) -> Verdict {
    match question.facts.last {
        None => wait(None, "it has no credential yet: issue one, or adopt one that exists"),
        Some(_) => Verdict::Go,
    }
}

fn beat(question: &Question<'_>) -> Verdict {
    match (&question.cadence.rhythm, question.cadence.before_expiry_ms, question.facts.expires) {
        (Rhythm::None, None, _) => wait(None, "it rotates by hand only"),
        (Rhythm::None, Some(_), None) => wait(None, "it rotates before expiry only, and its credential has none"),
        _ => Verdict::Go,
    }
}

fn due(question: &Question<'_>) -> Verdict {
    let reckoned = next_due(question.cadence, question.facts, question.seed, question.now);
    match question.due.or(reckoned.at) {
        Some(at) if at <= question.now => Verdict::Go,
        Some(at) => wait(Some(at), "it is not due yet"),
        None if reckoned.why == Why::NoNextTime => wait(None, "its cron expression does not fire again"),
        None => Verdict::Go, // an earlier rule has said why
    }
}

fn window(question: &Question<'_>) -> Verdict {
    let Question { cadence, facts, now, .. } = question;
    if is_open(cadence, *now) {
        return Verdict::Go;
    }
    match super::window::first_opening(&cadence.windows, *now) {
        Some(opening) if facts.expires.is_none_or(|expires| opening.at < expires) => {
            wait(Some(opening.at), "no window is open")
        }
        _ => Verdict::Go, // waiting would let the credential expire
    }
}

fn dependency(question: &Question<'_>) -> Verdict {
    match question.blocked {
        Some((name, state)) => wait(None, format!("`{name}` goes first: it {}", state.words())),
        None => Verdict::Go,
    }
}

fn stagger(question: &Question<'_>) -> Verdict {
    match question.group {
        Admit::Now => Verdict::Go,
        Admit::At(at) => wait(Some(at), "another secret of its group has just started"),
        Admit::WhenOneEnds => wait(None, "as many secrets of its group as may run together are rotating"),
    }
}
