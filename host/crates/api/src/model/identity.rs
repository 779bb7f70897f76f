//! Rights to enrol and the list of who may call; without tokens, which have a module of their own.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A right to enrol is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentRequest {
    /// `namespace/name` of the consumer.
    pub consumer: String,
    /// How long it may be used, in minutes.
    #[serde(default = "fifteen")]
    pub minutes: u32,
    /// Which replica is enrolled. Absent: the identity is bound to the replica that its first request names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<String>,
}

const fn fifteen() -> u32 {
    15
}

/// A right to enrol that has not been used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenEnrolment {
    /// Names it.
    pub id: String,
    /// As whom.
    pub consumer: String,
    /// As which replica, where that is fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<String>,
    /// Who made it.
    pub author: String,
    /// When.
    pub created_at: u64,
    /// Until when it may be used.
    pub expires_at: u64,
}

/// Rights to enrol that have not been used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Enrolments {
    /// Each.
    pub enrolments: Vec<OpenEnrolment>,
}

/// An identity that may call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdentityView {
    /// Names it.
    pub id: String,
    /// `operator` or `consumer`.
    pub role: String,
    /// The operator's name, or the consumer's `namespace/name`.
    pub name: String,
    /// Which replica of the consumer it stands for, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<String>,
    /// Since when.
    pub issued_at: u64,
    /// Until when, if it ends.
    pub expires_at: Option<u64>,
}

/// An identity is to stand for another replica from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RebindRequest {
    /// Which one.
    pub replica: String,
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: String,
}

/// What an identity stands for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rebound {
    /// The identity.
    pub id: String,
    /// `namespace/name` of its consumer.
    pub consumer: String,
    /// The replica that it stands for.
    pub replica: String,
}

/// Everyone who may call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdentityList {
    /// By id.
    pub identities: Vec<IdentityView>,
}

/// What was withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Withdrawn {
    /// Identities that are good no longer.
    pub identities: u64,
    /// Unused enrolments that are good no longer.
    pub enrolments: u64,
}
