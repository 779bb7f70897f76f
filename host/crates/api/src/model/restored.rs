//! Secrets that are held by a restore: how each compares with its target, and what to do next.

use keybaton_engine::views;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The comparison of one secret that is held by a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    /// `namespace/name`.
    pub secret: String,
    /// `comparing`, `matches`, `ahead`, `partly`, `lost`, `foreign` or `unreachable`.
    pub outcome: String,
    /// The current generation, as the restored journal has it.
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

/// All secrets that are held by a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Comparisons {
    /// By name.
    pub secrets: Vec<Comparison>,
}

impl From<views::ComparisonView> for Comparison {
    fn from(view: views::ComparisonView) -> Self {
        let views::ComparisonView { secret, outcome, current, newer, found, next_attempt, advice } = view;
        Self { secret, outcome, current, newer, found, next_attempt, advice }
    }
}
