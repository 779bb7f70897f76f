//! Failures as values. A plugin can say that something did not happen or will not succeed; that the outcome is
//! unknown, or that policy forbade it, is the host's alone to say and can only be passed on from a host call.

use std::fmt;

/// What a plugin's functions answer.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// What a failure means for the next attempt at the same step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// Definitely did not happen; the same step may run again.
    Retryable,
    /// Will not succeed without a person or a changed setting.
    Permanent,
    /// A mutating request left and no answer came. Only ever received from the host.
    Ambiguous,
    /// Policy refused it before any effect. Only ever received from the host.
    Denied,
    /// This plugin does not implement the operation.
    Unsupported,
}

/// A failure: class, stable code and a message for people.
///
/// A failure that a host call answered is best passed on as it is (`?`): the host knows more about it than the plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    class: FailureClass,
    code: String,
    message: String,
    retry_after_ms: Option<u32>,
}

impl Failure {
    /// It definitely did not happen, and the same step may be tried again.
    ///
    /// `code` is stable, dotted and lower case (`postgres.starting-up`), at most 64 bytes. `message` says what failed
    /// and what to do; the host scrubs it of secrets and cuts it to 1,024 bytes.
    #[must_use]
    pub fn retryable(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Retryable, code.into(), message.into())
    }

    /// It will not succeed without a person or a changed setting. A provider's 403 is this one.
    #[must_use]
    pub fn permanent(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Permanent, code.into(), message.into())
    }

    /// The plugin does not implement `operation`.
    #[must_use]
    pub fn unsupported(operation: &str) -> Self {
        let message = format!("this plugin does not implement `{operation}`");
        Self::new(FailureClass::Unsupported, format!("unsupported.{operation}"), message)
    }

    /// The same failure with the least pause, in milliseconds, that the target asked for.
    #[must_use]
    pub fn after_ms(mut self, retry_after_ms: u32) -> Self {
        self.retry_after_ms = Some(retry_after_ms);
        self
    }

    /// What it means for the next attempt.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        self.class
    }

    /// The stable dotted code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// For people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The least pause before another attempt, in milliseconds.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u32> {
        self.retry_after_ms
    }

    pub(crate) fn new(class: FailureClass, code: String, message: String) -> Self {
        Self { class, code, message, retry_after_ms: None }
    }

    /// For the contract: class, code, message, pause.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn into_parts(self) -> (FailureClass, String, String, Option<u32>) {
        (self.class, self.code, self.message, self.retry_after_ms)
    }

    /// As the host said it, whatever the class.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn from_host(class: FailureClass, code: String, message: String, retry_after_ms: Option<u32>) -> Self {
        Self { class, code, message, retry_after_ms }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Failure {}
