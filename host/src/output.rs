//! What a person or a program sees: tables, lines, JSON, colour. Respects NO_COLOR and pipes; prints no secret, save a
//! token that is shown once.

use crate::cli::Common;
use crate::exit::Failure;
use anstream::{AutoStream, ColorChoice};
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::Duration;
use zeroize::Zeroizing;

/// Where a command's results go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    color: ColorChoice,
}

/// ANSI styles by meaning.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tone {
    /// Fine.
    Good,
    /// Look at this.
    Warn,
    /// Wrong.
    Bad,
    /// Of less weight.
    Dim,
    /// A heading or a name.
    Strong,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "31",
            Self::Dim => "2",
            Self::Strong => "1",
        }
    }
}

/// Wraps text in a tone; colours are stripped again where the stream does not want them.
pub(crate) fn paint(tone: Tone, text: &str) -> String {
    format!("\u{1b}[{}m{text}\u{1b}[0m", tone.code())
}

impl Output {
    /// As the command line asks.
    pub(crate) fn new(common: &Common) -> Self {
        let color = if common.no_color { ColorChoice::Never } else { ColorChoice::Auto };
        Self { json: common.json, quiet: common.quiet, color }
    }

    /// Whether standard output shows colours.
    pub(crate) fn colored(&self) -> bool {
        !matches!(AutoStream::new(std::io::stdout(), self.color).current_choice(), ColorChoice::Never)
    }

    /// Prints a line for a person; nothing in JSON.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        if !self.json {
            self.write(text.as_ref());
        }
    }

    /// Prints a remark a quiet reader does not want.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        if !self.json && !self.quiet {
            let mut stream = AutoStream::new(std::io::stderr(), self.color);
            // A closed pipe is the reader's choice, not a failure of the command.
            let _closed = writeln!(stream, "{}", text.as_ref());
        }
    }

    /// Prints the result as one JSON document, or with the function for people.
    pub(crate) fn result<T: serde::Serialize>(&self, value: &T, human: impl FnOnce(&Self, &T)) {
        if self.json {
            self.document(value);
        } else {
            human(self, value);
        }
    }

    /// Prints what is shown this once and never again: a document with a token in it, or a token's text for people.
    /// A whole line goes past the standard library's buffer, which nobody zeroizes.
    pub(crate) fn once(&self, document: impl FnOnce() -> Zeroizing<Vec<u8>>, text: &str) {
        let shown = if self.json { document() } else { Zeroizing::new(text.as_bytes().to_vec()) };
        let mut line = Zeroizing::new(Vec::with_capacity(shown.len() + 1));
        line.extend_from_slice(&shown);
        line.push(b'\n');
        let _closed = std::io::stdout().lock().write_all(&line);
    }

    /// Prints one JSON document on a line of its own.
    pub(crate) fn document<T: serde::Serialize>(&self, value: &T) {
        let text = serde_json::to_string(value).expect("views have string keys and no failing serializers");
        self.write(&text);
    }

    fn write(&self, text: &str) {
        let mut stream = AutoStream::new(std::io::stdout(), self.color);
        let _closed = writeln!(stream, "{text}");
    }

    /// An empty table in the house style.
    pub(crate) fn table(&self, header: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(header.iter().map(|head| head.to_uppercase()));
        table
    }

    /// Shows that something is under way, on a terminal only.
    pub(crate) fn progress(&self, text: impl Into<String>) -> ProgressBar {
        if self.json || self.quiet || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new_spinner().with_message(text.into());
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("the template is constant");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    /// Prints why a command failed: what, whose fault, causes, what to do next.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            self.document(&serde_json::json!({
                "error": failure.what,
                "blame": failure.blame.map(keybaton_protocol::fault::Blame::name),
                "causes": failure.causes,
                "help": failure.help,
                "exit": failure.exit as u8,
            }));
            return;
        }
        let mut stream = AutoStream::new(std::io::stderr(), self.color);
        let blame = failure.blame.map(|blame| format!(" (blame: {blame})")).unwrap_or_default();
        let mut text = format!("{}: {}{blame}\n", paint(Tone::Bad, "error"), failure.what);
        for cause in &failure.causes {
            text.push_str(&format!("  {} {cause}\n", paint(Tone::Dim, "because")));
        }
        if let Some(help) = &failure.help {
            text.push_str(&format!("   {} {help}\n", paint(Tone::Good, "help")));
        }
        let _closed = write!(stream, "{text}");
    }
}
