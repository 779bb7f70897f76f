//! Problem details (RFC 9457): the one shape of every error answer, and the one mapping from the engine's errors.
//! Never quotes a request body, a token or a proof.

use crate::ports::{Failure, FailureKind};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use keybaton_engine::EngineError;
use keybaton_engine::ports::journal::JournalError;
use keybaton_engine::ports::storage::StorageError;
use keybaton_engine::proof::ProofError;
use keybaton_protocol::fault::Blame;
use keybaton_protocol::ids::NameError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of an error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemDetails {
    /// A URI reference that names the type: `/problems/…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The type in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What failed this time, and what was kept.
    pub detail: String,
    /// Whose fault it is: `guest`, `host`, `target`, `operator` or `consumer`.
    pub blame: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// With `proof-refused`: `nonce`, `stranger`, `purpose`, `generation`, `stale`, `mismatch`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// With `plan-blocked`: every finding.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub findings: Vec<String>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $status:ident, $blame:ident, $title:literal;)+) => {
        /// The types of problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $kind,)+ }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// Its stable name: the last part of the type's URI.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),+ }
            }

            /// Its status.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$kind => StatusCode::$status),+ }
            }

            /// Its title.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$kind => $title),+ }
            }

            const fn blame(self) -> Blame {
                match self { $(Self::$kind => Blame::$blame),+ }
            }
        }
    };
}

kinds! {
    /// No token, or none that is good. Tells nobody which.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, Operator, "The caller is not authenticated";
    /// The right token, too late. Told only to who holds its secret.
    TokenExpired = "token-expired", UNAUTHORIZED, Consumer, "The identity has ended";
    /// The right token, withdrawn. Told only to who holds its secret.
    TokenRevoked = "token-revoked", UNAUTHORIZED, Operator, "The identity was withdrawn";
    /// The right enrolment token, too late.
    EnrolmentExpired = "enrolment-expired", UNAUTHORIZED, Operator, "The enrolment token has expired";
    /// The right enrolment token, used before.
    EnrolmentUsed = "enrolment-used", UNAUTHORIZED, Operator, "The enrolment token was used before";
    /// The address failed too often.
    TooManyFailures = "too-many-failures", TOO_MANY_REQUESTS, Operator, "Too many failed authentications";
    /// The caller is known and may not.
    Forbidden = "forbidden", FORBIDDEN, Operator, "The identity does not allow this";
    /// The secret does not declare this consumer, or does not exist: the two look alike.
    NotYours = "not-yours", FORBIDDEN, Operator, "The secret is not declared for this consumer";
    /// The identity stands for another replica than the request names.
    OtherReplica = "other-replica", FORBIDDEN, Consumer, "The identity is bound to another replica";
    /// The proof of possession was not accepted.
    ProofRefused = "proof-refused", FORBIDDEN, Consumer, "The proof of possession is refused";
    /// No such route.
    NoRoute = "no-route", NOT_FOUND, Operator, "There is no such route";
    /// The route exists, for another method.
    Method = "method-not-allowed", METHOD_NOT_ALLOWED, Operator, "The route does not take this method";
    /// Nothing of that name.
    NotFound = "not-found", NOT_FOUND, Operator, "There is nothing of that name";
    /// The request is wrong.
    Invalid = "invalid", UNPROCESSABLE_ENTITY, Operator, "The request is not valid";
    /// The body is no JSON of the expected shape, or of another content type.
    Malformed = "malformed", BAD_REQUEST, Operator, "The request can't be read";
    /// The body is larger than the route takes.
    TooLarge = "too-large", PAYLOAD_TOO_LARGE, Operator, "The request is too large";
    /// The request took longer than the route allows.
    Timeout = "timeout", REQUEST_TIMEOUT, Operator, "The request took too long";
    /// The secret's state does not allow it.
    Refused = "refused", CONFLICT, Operator, "The state does not allow it";
    /// There is a journal but no declaration.
    Unmanaged = "unmanaged", CONFLICT, Operator, "The secret is unmanaged";
    /// The target can't do what is declared, or the settings are wrong.
    PlanBlocked = "plan-blocked", UNPROCESSABLE_ENTITY, Operator, "The secret can't be rotated as declared";
    /// A plugin or a target failed.
    Upstream = "upstream", BAD_GATEWAY, Target, "A plugin or a target failed";
    /// Too many requests or streams.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, Host, "The host has too much to do";
    /// The host is stopping.
    Stopping = "stopping", SERVICE_UNAVAILABLE, Host, "The host is stopping";
    /// The store does not answer.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, Host, "The store or the host is unavailable";
    /// Stored data is damaged.
    Damaged = "damaged", INTERNAL_SERVER_ERROR, Host, "Stored data is damaged";
    /// A bug in keybaton.
    Internal = "internal", INTERNAL_SERVER_ERROR, Host, "An error inside keybaton";
}

/// Seconds after which a busy host may be asked again.
const RETRY_S: u64 = 2;

/// A problem on its way to the caller.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: Kind,
    // Boxed: nearly every function here can fail with one.
    details: Box<ProblemDetails>,
    retry_after_s: Option<u64>,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let busy = matches!(kind, Kind::Overloaded | Kind::Stopping | Kind::Unavailable);
        Self {
            kind,
            details: Box::new(ProblemDetails {
                kind: format!("/problems/{}", kind.name()),
                title: kind.title().to_owned(),
                status: kind.status().as_u16(),
                detail: detail.into(),
                blame: kind.blame().name().to_owned(),
                help: None,
                reason: None,
                findings: Vec::new(),
            }),
            retry_after_s: busy.then_some(RETRY_S),
        }
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Says what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.details.help = Some(help.into());
        self
    }

    /// Says whose fault it is, where it is not the usual one.
    #[must_use]
    pub fn blame(mut self, blame: Blame) -> Self {
        blame.name().clone_into(&mut self.details.blame);
        self
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after_ms(mut self, wait_ms: u64) -> Self {
        self.retry_after_s = Some(wait_ms.div_ceil(1_000).max(1));
        self
    }

    fn reason(mut self, reason: &str) -> Self {
        self.details.reason = Some(reason.to_owned());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if self.kind.status().is_server_error() {
            tracing::warn!(problem = self.kind.name(), detail = self.details.detail, "answering a problem");
        }
        // A struct of strings and a number always serializes.
        let body = serde_json::to_vec(&*self.details).unwrap_or_default();
        let mut response = (self.kind.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.kind.status() == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Self::new(Kind::Invalid, error.to_string())
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind {
            FailureKind::NotFound => Kind::NotFound,
            FailureKind::Invalid => Kind::Invalid,
            FailureKind::Refused => Kind::Refused,
            FailureKind::Unavailable => Kind::Unavailable,
            FailureKind::Upstream => Kind::Upstream,
            FailureKind::Damaged => Kind::Damaged,
            FailureKind::Internal => Kind::Internal,
        };
        let problem = Self::new(kind, failure.detail).blame(failure.blame);
        match failure.help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        Failure::from(error).into()
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let detail = error.to_string();
        match error {
            EngineError::Unknown(_) => Self::new(Kind::NotFound, detail),
            EngineError::Unmanaged(_) => Self::new(Kind::Unmanaged, detail),
            EngineError::Refused { code: "unknown", .. } => Self::new(Kind::NotFound, detail),
            EngineError::Refused { .. } => Self::new(Kind::Refused, detail),
            EngineError::Plan { findings, .. } => {
                let mut problem = Self::new(Kind::PlanBlocked, detail).help("run `keybaton plan` on the declaration");
                problem.details.findings = findings
                    .into_iter()
                    .map(|one| if one.path.is_empty() { one.message } else { format!("{}: {}", one.path, one.message) })
                    .collect();
                problem
            }
            EngineError::NotYours { .. } => {
                Self::new(Kind::NotYours, detail).help("declare the consumer, and its replicas, under the secret")
            }
            EngineError::Proof(why) => Self::new(Kind::ProofRefused, why.to_string()).reason(proof_reason(why)),
            EngineError::Plugin(fault) => {
                Self::new(Kind::Upstream, fault.to_string()).blame(fault.blame).reason(&fault.code)
            }
            EngineError::Preflight { fault, .. } => {
                Self::new(Kind::Upstream, detail).blame(fault.blame).reason(&fault.code)
            }
            EngineError::Journal(JournalError::Damaged { .. }) => Self::new(Kind::Damaged, chain(&error)),
            EngineError::Journal(_) => Self::new(Kind::Unavailable, chain(&error)),
            EngineError::Store(_) | EngineError::Elsewhere(_) => Self::new(Kind::Unavailable, detail),
            EngineError::Overloaded => Self::new(Kind::Overloaded, detail),
            EngineError::Stopping => Self::new(Kind::Stopping, detail),
            EngineError::Internal(_) => Self::new(Kind::Internal, detail).help("report this with the host's log"),
        }
    }
}

fn proof_reason(error: ProofError) -> &'static str {
    match error {
        ProofError::Nonce => "nonce",
        ProofError::Stranger => "stranger",
        ProofError::Purpose => "purpose",
        ProofError::Generation => "generation",
        ProofError::Stale => "stale",
        ProofError::Mismatch => "mismatch",
        ProofError::NoSecretField => "no-secret-field",
        ProofError::Kind => "kind",
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert!(!kind.status().is_success(), "{kind:?}");
        }
    }

    #[test]
    fn a_problem_answers_as_the_rfc_says() {
        let response = Problem::new(Kind::TooManyFailures, "slow down").retry_after_ms(2_500).into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[RETRY_AFTER], "3");
    }

    #[test]
    fn each_proof_error_is_told_apart() {
        let all = [
            ProofError::Nonce,
            ProofError::Stranger,
            ProofError::Purpose,
            ProofError::Generation,
            ProofError::Stale,
            ProofError::Mismatch,
            ProofError::NoSecretField,
            ProofError::Kind,
        ];
        let reasons: std::collections::BTreeSet<_> =
            all.into_iter().map(|error| Problem::from(EngineError::Proof(error)).details.reason.unwrap()).collect();
        assert_eq!(reasons.len(), all.len());
    }
}
