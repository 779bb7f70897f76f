//! Operators: names, where each may act, and until when; without tokens, which have a module of their own.

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
