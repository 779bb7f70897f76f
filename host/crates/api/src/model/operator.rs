//! Operators: names, where each may act, and until when. A token is answered once, to whoever made the operator.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A further operator is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperatorRequest {
    /// Its name, as it goes into journals and the audit log; nobody else's.
    pub name: String,
    /// Where it may act; none: everywhere, and on the host itself.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// After how many days its token ends; absent: never.
    #[serde(default)]
    pub days: Option<u32>,
}

/// An operator with its token: shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperatorGrant {
    /// Its name.
    pub name: String,
    /// The public part of the token.
    pub id: String,
    /// `kb_<id>_<secret>`.
    pub token: String,
    /// Until when it may be used, if it ends.
    pub expires_at: Option<u64>,
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperatorView {
    /// Its name.
    pub name: String,
    /// The public part of its token.
    pub id: String,
    /// Where it may act; none: everywhere, and on the host itself.
    pub namespaces: Vec<String>,
    /// Since when.
    pub issued_at: u64,
    /// Until when, if it ends.
    pub expires_at: Option<u64>,
}

/// Operators whose tokens are good now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Operators {
    /// By name.
    pub operators: Vec<OperatorView>,
}

impl std::fmt::Debug for OperatorGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperatorGrant").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}

impl Drop for OperatorGrant {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.token);
    }
}
