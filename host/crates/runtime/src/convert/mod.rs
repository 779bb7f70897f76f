//! Wire types to port types and back, once: bounded, sanitised, scrubbed, with the blame attached. Nothing else reads
//! what a guest says.

mod incoming;
mod outgoing;

pub(crate) use incoming::{created, facts, failure, findings, observed, verdict};
pub(crate) use outgoing::{Arguments, arguments};

use crate::bindings::keybaton::rotator::types;
use crate::refusal::Refusal;
use keybaton_protocol::fault::{Blame, FailureClass, Fault};

impl From<Refusal> for types::Failure {
    fn from(refusal: Refusal) -> Self {
        let class = match refusal.class {
            FailureClass::Retryable => types::FailureClass::Retryable,
            FailureClass::Permanent => types::FailureClass::Permanent,
            FailureClass::Ambiguous => types::FailureClass::Ambiguous,
            FailureClass::Denied => types::FailureClass::Denied,
            FailureClass::Unsupported => types::FailureClass::Unsupported,
        };
        let retry_after_ms = refusal.retry_after_ms.map(|ms| u32::try_from(ms).unwrap_or(u32::MAX));
        Self { class, code: refusal.code, message: refusal.message, retry_after_ms }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self {
            class: refusal.class,
            blame: refusal.blame,
            code: refusal.code,
            message: refusal.message,
            retry_after_ms: refusal.retry_after_ms,
        }
    }
}

/// The guest broke its contract.
pub(crate) fn broken(code: &str, message: impl Into<String>) -> Fault {
    Fault {
        class: FailureClass::Permanent,
        blame: Blame::Guest,
        code: code.to_owned(),
        message: message.into(),
        retry_after_ms: None,
    }
}
