//! Enrolment, renewal and the list of who may call. Tokens are answered once, to whoever is to hold them.

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

/// A right to enrol, with its token: shown once, to the operator who made it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentGrant {
    /// As whom.
    pub consumer: String,
    /// Names it, for `enrolments` and for withdrawing it.
    pub id: String,
    /// `kbe_<id>_<secret>_<pin>`: the single-use token and the pin of the host's authority.
    pub token: String,
    /// Until when it may be used.
    pub expires_at: u64,
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

/// An enrolment token is exchanged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// As it was given, with or without the pin.
    pub token: String,
}

/// An identity, for its holder alone. Spans rather than instants: the holder's clock may differ.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Enrolled {
    /// `namespace/name`.
    pub consumer: String,
    /// The bearer token.
    pub token: String,
    /// It ends after this long.
    pub expires_in_s: u64,
    /// It should be renewed after this long.
    pub renew_in_s: u64,
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

macro_rules! redacted {
    ($($type:ident { $($shown:ident),* })+) => {$(
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))$(.field(stringify!($shown), &self.$shown))*.finish_non_exhaustive()
            }
        }
    )+};
}
redacted! {
    EnrolmentGrant { consumer, id, expires_at }
    EnrolRequest {}
    Enrolled { consumer, expires_in_s, renew_in_s }
}

macro_rules! wiped {
    ($($type:ident),+) => {$(
        impl Drop for $type {
            fn drop(&mut self) {
                zeroize::Zeroize::zeroize(&mut self.token);
            }
        }
    )+};
}
wiped!(EnrolmentGrant, EnrolRequest, Enrolled);
