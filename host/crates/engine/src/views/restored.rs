//! How a restored secret compares with its target, for people.

use keybaton_protocol::comparison::compare;
use keybaton_protocol::ids::Generation;
use keybaton_protocol::state::Secret;
use serde::{Deserialize, Serialize};

/// The comparison of one secret that is held by a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparisonView {
    /// `namespace/name`.
    pub secret: String,
    /// `comparing`, `matches`, `ahead`, `partly`, `lost`, `foreign` or `unreachable`.
    pub outcome: String,
    /// The current generation, as the journal has it.
    pub current: Option<u32>,
    /// A newer one that consumers report, or that works at the target.
    pub newer: Option<u32>,
    /// What was found, one line each: where it is refused, who does not answer, which credentials are unknown.
    pub found: Vec<String>,
    /// When it is tried again by itself.
    pub next_attempt: Option<u64>,
    /// What to do next.
    pub advice: String,
}

pub(crate) fn comparison(secret: &Secret, reported: Option<Generation>) -> Option<ComparisonView> {
    let compared = compare(secret, reported)?;
    let mut found = Vec::new();
    found.extend(compared.refused.iter().map(|(place, why)| format!("refused at {place}: {why}")));
    found.extend(compared.unreachable.iter().map(|(place, why)| format!("no answer from {place}: {why}")));
    found.extend(compared.foreign.iter().map(|(place, id)| format!("unknown at {place}: {id}")));
    if let Some(newer) = compared.newer {
        let known = if compared.newer_known { "works at the target" } else { "is reported by a consumer" };
        found.push(format!("{newer} {known}"));
    }
    Some(ComparisonView {
        secret: secret.name().to_string(),
        outcome: compared.outcome.name().to_owned(),
        current: compared.current.map(|it| it.0),
        newer: compared.newer.map(|it| it.0),
        found,
        next_attempt: compared.next_attempt.map(|at| at.0),
        advice: compared.advice(secret.name()),
    })
}
