//! What the exports answer, beside failures.

use crate::secret::Secret;
use crate::target::Generation;

/// Something that `validate` or `preflight` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A JSON pointer into the settings, or empty.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Whether no rotation may start.
    pub fatal: bool,
}

impl Finding {
    /// No rotation may start before this is put right.
    #[must_use]
    pub fn fatal(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into(), fatal: true }
    }

    /// Worth knowing.
    #[must_use]
    pub fn warning(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into(), fatal: false }
    }
}

/// What is live at the target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The target's own clock in seconds since the Unix epoch, where it tells.
    pub target_now_unix: Option<u64>,
    /// Every live credential in the scope of the settings; each with an `id`.
    pub generations: Vec<Generation>,
}

/// A minted credential.
#[derive(Debug)]
pub struct Created {
    /// Its id (where there is one already), slot, attributes and facts.
    pub generation: Generation,
    /// Its secret fields, by name.
    pub secrets: Vec<(String, Secret)>,
}

/// Whether a credential works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Works,
    /// The target refused it, for this reason. Where the target let it in and it is not what it should be, the host
    /// makes a permanent failure of this: the credential is live.
    Refused(String),
}
