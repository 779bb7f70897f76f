//! Faults as values: class, blame, code and a message fit for a journal. Never carries secret bytes.

use crate::step::names;
use std::fmt;

/// What a failed call means for the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureClass {
    /// Definitely did not happen; the same step may run again.
    Retryable,
    /// Will not succeed without a person or a changed setting.
    Permanent,
    /// The request left and no answer came: only an observation can tell.
    Ambiguous,
    /// Policy refused it before any effect.
    Denied,
    /// The plugin does not implement the operation.
    Unsupported,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Blame {
    /// The plugin broke its contract.
    Guest,
    /// keybaton itself.
    Host,
    /// The system that holds the credential.
    Target,
    /// A declaration, a connection or a grant.
    Operator,
    /// A consumer.
    Consumer,
}

/// A failed call, fit for the journal: scrubbed of every secret the host knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{message} ({code}; {class}, blame: {blame})")]
pub struct Fault {
    /// What it means for the next attempt.
    pub class: FailureClass,
    /// Whose fault.
    pub blame: Blame,
    /// Stable dotted code, such as `sql.login-refused`.
    pub code: String,
    /// For people: what failed, what was kept, what to do next.
    pub message: String,
    /// Least pause before another attempt, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

names!(FailureClass {
    Retryable => "retryable", Permanent => "permanent", Ambiguous => "ambiguous", Denied => "denied",
    Unsupported => "unsupported",
});
names!(Blame {
    Guest => "guest", Host => "host", Target => "target", Operator => "operator", Consumer => "consumer",
});
