//! What one call of a guest may use: named numbers, and the limiter that counts memory over all memories.
//! Reaching a limit is the guest's breakage; it never takes the host or another guest with it.

use wasmtime::ResourceLimiter;

/// Fuel of one call: roughly as many wasm instructions, some tenths of a second of one core.
pub const FUEL_PER_CALL: u64 = 500_000_000;
/// The most fuel an operator can grant.
pub const FUEL_CEILING: u64 = 20_000_000_000;
/// Bytes of all linear memories of one instance together.
pub const MEMORY_BYTES: usize = 64 << 20;
/// Elements of all tables together.
pub const TABLE_ELEMENTS: usize = 100_000;
/// Core instances, tables and memories within one component.
pub const INSTANCES: usize = 16;
/// Bytes of wasm stack.
pub const STACK_BYTES: usize = 512 << 10;
/// Live secret handles and key pairs in one call.
pub const HANDLES: usize = 256;
/// Host calls in one call, log lines not counted.
pub const HOST_CALLS: u32 = 256;
/// The most host calls an operator can grant.
pub const HOST_CALLS_CEILING: u32 = 4_096;
/// Bytes of any one text that a guest hands over, unless said otherwise.
pub const TEXT_BYTES: usize = 4 << 10;
/// Bytes of a JSON document (`describe`, `profile`).
pub const DOCUMENT_BYTES: usize = 256 << 10;
/// Entries of any list that a guest answers with.
pub const LIST_ENTRIES: usize = 1_024;
/// Bytes of a failure's message and of a finding.
pub const MESSAGE_BYTES: usize = 1_024;
/// Bytes of a failure's code.
pub const CODE_BYTES: usize = 64;
/// Bytes of one host call's arguments together.
pub const REQUEST_BYTES: usize = 1 << 20;
/// Bytes of a reply's body or rows.
pub const REPLY_BYTES: usize = 1 << 20;
/// Log lines in one call; what is over is counted and dropped.
pub const LOG_LINES: u32 = 200;
/// Bytes of one log line.
pub const LOG_LINE_BYTES: usize = 2 << 10;
/// How long one host call may take unless the connection says less, in milliseconds.
pub const HOST_CALL_TIMEOUT_MS: u64 = 30_000;
/// How often a running guest yields to others, in milliseconds.
pub const YIELD_EVERY_MS: u64 = 10;
/// Bytes that one host call or one answer may move from guest to host.
pub const TRANSFER_BYTES: usize = 8 << 20;
/// Bytes of a component file.
pub const COMPONENT_BYTES: usize = 32 << 20;
/// Bytes of a component's signature file.
pub const SIGNATURE_BYTES: usize = 4 << 10;

/// The limits of one call, after the manifest's wishes and the operator's grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Fuel.
    pub fuel: u64,
    /// Bytes of linear memory.
    pub memory_bytes: usize,
    /// Host calls.
    pub host_calls: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { fuel: FUEL_PER_CALL, memory_bytes: MEMORY_BYTES, host_calls: HOST_CALLS }
    }
}

/// Counts what one store uses.
#[derive(Debug)]
pub(crate) struct Meter {
    memory_left: usize,
    tables_left: usize,
    /// Whether memory was ever refused: a guest that then traps did so for want of memory.
    pub(crate) memory_refused: bool,
}

impl Meter {
    pub(crate) const fn new(limits: Limits) -> Self {
        Self { memory_left: limits.memory_bytes, tables_left: TABLE_ELEMENTS, memory_refused: false }
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        if more > self.memory_left || maximum.is_some_and(|most| desired > most) {
            self.memory_refused = true;
            return Ok(false);
        }
        self.memory_left -= more;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        if more > self.tables_left || maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        self.tables_left -= more;
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        INSTANCES
    }

    fn memories(&self) -> usize {
        INSTANCES
    }
}

/// Cuts a text to at most `most` bytes, at a character.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_over_all_memories() {
        let mut meter = Meter::new(Limits { memory_bytes: 100, ..Limits::default() });
        for (sentence, current, desired, granted) in [
            ("a first memory fits", 0, 60, true),
            ("a second one of the same size does not", 0, 60, false),
            ("a smaller one does", 0, 30, true),
            ("growth counts only what is added", 30, 40, true),
            ("nothing is left", 40, 41, false),
        ] {
            assert_eq!(meter.memory_growing(current, desired, None).unwrap(), granted, "{sentence}");
        }
        assert!(meter.memory_refused);
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        for (text, most, expected) in [("abc", 5, "abc"), ("abc", 2, "ab"), ("aé", 2, "a"), ("", 0, "")] {
            assert_eq!(cut(text, most), expected);
        }
    }
}
