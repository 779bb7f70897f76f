//! How a host call fails: the one type all capabilities answer with. Becomes the guest's `failure` and a `Fault`'s blame.

use keybaton_protocol::fault::{Blame, FailureClass};

/// A host call that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) class: FailureClass,
    pub(crate) blame: Blame,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) retry_after_ms: Option<u64>,
}

impl Refusal {
    fn new(class: FailureClass, blame: Blame, code: &str, message: impl Into<String>) -> Self {
        Self { class, blame, code: code.to_owned(), message: message.into(), retry_after_ms: None }
    }

    /// Policy refuses it, before any effect; the message says what to grant.
    pub(crate) fn denied(code: &str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Denied, Blame::Operator, code, message)
    }

    /// The guest asked for something that makes no sense.
    pub(crate) fn misuse(code: &str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Permanent, Blame::Guest, code, message)
    }

    /// It certainly did not happen; it may be tried again.
    pub(crate) fn retryable(code: &str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Retryable, Blame::Target, code, message)
    }

    /// The target answered no.
    pub(crate) fn permanent(blame: Blame, code: &str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Permanent, blame, code, message)
    }

    /// It left and no answer came.
    pub(crate) fn lost(code: &str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Ambiguous, Blame::Target, code, message)
    }

    /// keybaton itself could not.
    pub(crate) fn host(code: &str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Retryable, Blame::Host, code, message)
    }

    pub(crate) const fn after_ms(mut self, ms: Option<u64>) -> Self {
        self.retry_after_ms = ms;
        self
    }

    /// Says where, before what.
    pub(crate) fn at(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Something of the operator's is not there yet; it may be tried again.
    pub(crate) fn waiting(code: &str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Retryable, Blame::Operator, code, message)
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.class == FailureClass::Ambiguous
    }
}
