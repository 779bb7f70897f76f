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
    /// Since when.
    pub issued_at: u64,
    /// Until when, if it ends.
    pub expires_at: Option<u64>,
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
