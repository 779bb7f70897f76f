//! `log`: a guest's lines, scrubbed, capped in number and size, to `tracing`. Never fails, never blocks the guest.

use crate::bindings::keybaton::rotator::log::{Host, Level};
use crate::limits::{self, LOG_LINE_BYTES, LOG_LINES};
use crate::state::CallState;

/// Fields shown of one line.
const FIELDS: usize = 16;

/// What a call has logged so far.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    lines: u32,
    dropped: u32,
    /// The last error line: with a panic hook in the guest, where it panicked.
    pub(crate) last_error: Option<String>,
}

impl Budget {
    /// How many lines were dropped.
    pub(crate) const fn dropped(&self) -> u32 {
        self.dropped
    }
}

impl Host for CallState {
    async fn emit(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        if self.log.lines >= LOG_LINES {
            self.log.dropped = self.log.dropped.saturating_add(1);
            return Ok(());
        }
        self.log.lines += 1;
        let line = line(&message, &fields);
        let line = self.scrubber.text(&line);
        let line = limits::cut(&line, LOG_LINE_BYTES).escape_debug().to_string();
        let (plugin, export) = (&self.allowed.manifest.name, self.stage.name());
        match level {
            Level::Trace => tracing::trace!(target: "keybaton::guest", %plugin, export, "{line}"),
            Level::Debug => tracing::debug!(target: "keybaton::guest", %plugin, export, "{line}"),
            Level::Info => tracing::info!(target: "keybaton::guest", %plugin, export, "{line}"),
            Level::Warn => tracing::warn!(target: "keybaton::guest", %plugin, export, "{line}"),
            Level::Error => {
                tracing::error!(target: "keybaton::guest", %plugin, export, "{line}");
                self.log.last_error = Some(line);
            }
        }
        Ok(())
    }
}

/// One line of message and fields. Cut only past what any secret could be, so that scrubbing sees secrets whole.
fn line(message: &str, fields: &[(String, String)]) -> String {
    const UNSCRUBBED_BYTES: usize = 64 << 10;
    let mut line = limits::cut(message, UNSCRUBBED_BYTES).to_owned();
    for (name, value) in fields.iter().take(FIELDS) {
        line.push(' ');
        line.push_str(limits::cut(name, limits::CODE_BYTES));
        line.push('=');
        line.push_str(limits::cut(value, UNSCRUBBED_BYTES));
    }
    line
}
