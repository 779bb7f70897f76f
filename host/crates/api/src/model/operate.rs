//! What operators ask of one secret or of a scope, and the answers. Never a value.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A reason for something that a person decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reasoned {
    /// Goes into the journal and the audit log.
    #[serde(default)]
    pub reason: String,
}

/// Lets a credential end without the evidence its gate asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideRequest {
    /// Which generation may end.
    pub generation: u32,
    /// Why; must not be empty.
    pub reason: String,
}

/// Says that a generation is known to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompromiseRequest {
    /// Which.
    pub generation: u32,
    /// End it before consumers have switched.
    #[serde(default)]
    pub disable_first: bool,
    /// How it is known; goes into the audit log.
    #[serde(default)]
    pub reason: String,
}

/// The rotation that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Begun {
    /// Which secret.
    pub secret: String,
    /// The rotation's identifier.
    pub rotation: String,
}

/// A command was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Recorded {
    /// Which secret.
    pub secret: String,
    /// Position of its journal after the command.
    pub seq: u64,
}

/// What a freeze covers beyond one secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FreezeScope {
    /// Everything on this host.
    Host,
    /// A namespace.
    Namespace(String),
    /// A connection.
    Connection(String),
    /// A plugin.
    Plugin(String),
}

/// Freezes or thaws a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeRequest {
    /// Of what.
    pub scope: FreezeScope,
}

/// A standing freeze.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StandingFreeze {
    /// Of what.
    pub scope: FreezeScope,
    /// By whom.
    pub author: String,
    /// Since when.
    pub at: u64,
}

/// The standing freezes of more than one secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Freezes {
    /// Each.
    pub freezes: Vec<StandingFreeze>,
}

/// Which secrets to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Only names after this one.
    pub after: Option<String>,
    /// At most this many, 1 to 1000.
    pub limit: Option<u32>,
}

/// Which part of a history.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct HistoryParams {
    /// Only events after this position, the first ones of them.
    pub after: Option<u64>,
    /// Only events before this position, the last ones of them; 0: the last of all.
    pub before: Option<u64>,
    /// At most this many, 1 to 1000.
    pub limit: Option<u32>,
}

/// How many entries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LimitParams {
    /// At most this many, 1 to 1000.
    pub limit: Option<u32>,
}

/// Which events to follow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventParams {
    /// One secret's journal, entry by entry; without it, a hint for every journal that grows.
    pub secret: Option<String>,
    /// Only events after this position; `Last-Event-ID` counts before it.
    pub after: Option<u64>,
}

/// A journal has grown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedEvent {
    /// Whose.
    pub secret: String,
    /// Up to where.
    pub seq: u64,
}
