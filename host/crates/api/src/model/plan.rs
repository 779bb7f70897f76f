//! Declarations: what `plan` and `apply` are sent, and what they answer.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One declaration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileInput {
    /// Its name, for messages; never opened by the host.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What would these files change?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// All files.
    pub files: Vec<FileInput>,
    /// Plan for secrets that the files no longer name to become unmanaged.
    #[serde(default)]
    pub prune: bool,
}

/// Put these files into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// All files.
    pub files: Vec<FileInput>,
    /// Even where it weakens what is in force.
    #[serde(default)]
    pub allow_weaker: bool,
    /// Secrets in force that the files do not name become unmanaged, never destroyed.
    #[serde(default)]
    pub prune: bool,
}

/// What happens to one secret's declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Not in force yet.
    Added,
    /// In force, otherwise.
    Changed,
    /// In force as it is.
    Unchanged,
    /// In force and not named; becomes unmanaged with `prune`.
    Removed,
}

/// What a plan says of one secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretChange {
    /// Which.
    pub secret: String,
    /// What happens.
    pub change: Change,
    /// The differences, one line each.
    pub differences: Vec<String>,
    /// What blocks it.
    pub blocks: Vec<String>,
    /// What becomes weaker than what is in force.
    pub weakens: Vec<String>,
    /// What is left to chance.
    pub warns: Vec<String>,
    /// The overlap that the plugin declares for these settings.
    pub overlap: Option<String>,
    /// When it would be due next.
    pub due_at: Option<u64>,
}

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Diagnostic {
    /// In which file.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// The offending text.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub suggestion: Option<String>,
}

/// What would change, what blocks it and what it weakens.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct PlanReport {
    /// Every secret named or in force.
    pub secrets: Vec<SecretChange>,
    /// Everything wrong in the files, all at once.
    pub diagnostics: Vec<Diagnostic>,
}

impl PlanReport {
    /// Whether something in it is wrong.
    #[must_use]
    pub fn blocked(&self) -> bool {
        !self.diagnostics.is_empty() || self.secrets.iter().any(|secret| !secret.blocks.is_empty())
    }

    /// Whether it can't be applied. What blocks a secret that stays as it is keeps no other one back.
    #[must_use]
    pub fn refused(&self) -> bool {
        let stays = |secret: &&SecretChange| secret.change == Change::Unchanged;
        !self.diagnostics.is_empty() || self.secrets.iter().any(|it| !stays(&it) && !it.blocks.is_empty())
    }

    /// Whether applying it would change anything.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.secrets.iter().any(|secret| secret.change != Change::Unchanged)
    }

    /// Whether applying it needs `allow_weaker`.
    #[must_use]
    pub fn weakens(&self) -> bool {
        self.secrets.iter().any(|secret| !secret.weakens.is_empty())
    }
}

/// What `apply` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApplyReport {
    /// Whether the declarations are in force now; all or none.
    pub applied: bool,
    /// Why not, if not.
    pub refused: Option<String>,
    /// The plan it followed.
    pub plan: PlanReport,
}
