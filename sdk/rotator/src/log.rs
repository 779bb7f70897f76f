//! Lines for the host's log. They are scrubbed, capped in size and number, and never fail.

use crate::host;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For the author of the plugin.
    Trace,
    /// For whoever looks into a fault.
    Debug,
    /// For the operator.
    Info,
    /// Something is off and was dealt with.
    Warn,
    /// Something is broken.
    Error,
}

/// Logs one line with fields.
pub fn emit(level: Level, message: &str, fields: &[(&str, &str)]) {
    host::log(level, message, fields);
}

/// Logs a line for whoever looks into a fault.
pub fn debug(message: &str) {
    emit(Level::Debug, message, &[]);
}

/// Logs a line for the operator.
pub fn info(message: &str) {
    emit(Level::Info, message, &[]);
}

/// Logs that something is off and was dealt with.
pub fn warn(message: &str) {
    emit(Level::Warn, message, &[]);
}
