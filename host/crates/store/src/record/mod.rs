//! Versioned records: what the journal keeps of an event, with types of its own. Never derived from protocol types,
//! so that a change there cannot change what is already on disk; a record once written must load for ever.

mod mirror;
mod stored;
pub(crate) mod v1;

use keybaton_engine::ports::journal::Mark;
use keybaton_protocol::event::Event;
pub(crate) use stored::Stored;

/// Version of the records written now.
pub const VERSION: u32 = 1;

/// Name of every kind of event that version 1 keeps, as written on disk. Each has a fixture that must load for ever.
pub const EVENT_KINDS: &[&str] = v1::event::EVENT_KINDS;

/// A record that cannot be read as what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer binary.
    #[error("a record of version {found}; this binary knows up to {VERSION}")]
    Version {
        /// What was found.
        found: u32,
    },
    /// Not the JSON of its version.
    #[error("not a record of version {version}: {detail}")]
    Shape {
        /// The version it claims.
        version: u32,
        /// What the parser said.
        detail: String,
    },
    /// A value outside its grammar.
    #[error("`{text}` is no {what}")]
    Value {
        /// What it should be.
        what: &'static str,
        /// The offending text, capped.
        text: String,
    },
}

/// Longest piece of an offending value that an error repeats, in characters.
const SHOWN_CHARS: usize = 80;

impl RecordError {
    pub(crate) fn value(what: &'static str, text: &str) -> Self {
        Self::Value { what, text: text.chars().take(SHOWN_CHARS).collect() }
    }
}

/// The kind of an event, as written on disk.
#[must_use]
pub fn event_kind(event: &Event) -> &'static str {
    v1::event::event_kind(event)
}

/// The body of an event's record, in [`VERSION`].
#[must_use]
pub fn encode_event(event: &Event) -> Vec<u8> {
    to_json(&v1::event::EventRecord::store(event))
}

/// The event of a record's body.
///
/// # Errors
/// When the version is unknown, or the body is not what that version writes.
pub fn decode_event(version: u32, body: &[u8]) -> Result<Event, RecordError> {
    match version {
        1 => from_json::<v1::event::EventRecord>(1, body)?.load(),
        found => Err(RecordError::Version { found }),
    }
}

/// What one append wrote.
pub(crate) struct Written {
    /// In order; the last one has the row's sequence.
    pub(crate) events: Vec<Event>,
    /// What came with them.
    pub(crate) attached: v1::attachment::Attachment,
}

/// The body of an append's row, in [`VERSION`]: begun by whoever appends, ended by the writer, which knows what was
/// sealed.
pub(crate) fn begin_write(events: &[Event]) -> Vec<u8> {
    let mut body = Vec::with_capacity(ROW_BYTES);
    body.extend_from_slice(br#"{"events":["#);
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        write_json(&v1::event::EventRecord::store(event), &mut body);
    }
    body.push(b']');
    body
}

/// The body whole.
pub(crate) fn end_write(begun: &[u8], attached: Option<&v1::attachment::Attachment>) -> Vec<u8> {
    let mut body = Vec::with_capacity(begun.len() + ROW_BYTES);
    body.extend_from_slice(begun);
    if let Some(attached) = attached {
        body.extend_from_slice(br#","attached":"#);
        write_json(attached, &mut body);
    }
    body.push(b'}');
    body
}

/// Room for most rows.
const ROW_BYTES: usize = 512;

/// What an append's row holds.
pub(crate) fn decode_write(version: u32, body: &[u8]) -> Result<Written, RecordError> {
    match version {
        1 => from_json::<v1::write::WriteRecord>(1, body)?.load(),
        found => Err(RecordError::Version { found }),
    }
}

/// The index's line of a secret, with its version in front.
pub(crate) fn encode_mark(mark: &Mark) -> Vec<u8> {
    to_json(&(VERSION, v1::mark::MarkRecord::store(mark)))
}

/// The mark that was meant.
pub(crate) fn decode_mark(body: &[u8]) -> Result<Mark, RecordError> {
    let (version, mark): (u32, serde_json::Value) = from_json(VERSION, body)?;
    match version {
        1 => serde_json::from_value::<v1::mark::MarkRecord>(mark)
            .map_err(|error| RecordError::Shape { version, detail: error.to_string() })?
            .load(),
        found => Err(RecordError::Version { found }),
    }
}

/// JSON of a record; records hold only text keys and finite numbers, which always have a JSON form.
pub(crate) fn to_json<T: serde::Serialize>(record: &T) -> Vec<u8> {
    let mut body = Vec::new();
    write_json(record, &mut body);
    body
}

fn write_json<T: serde::Serialize>(record: &T, body: &mut Vec<u8>) {
    serde_json::to_writer(body, record)
        .expect("records are made of text, numbers and lists: they always have a JSON form");
}

pub(crate) fn from_json<T: serde::de::DeserializeOwned>(version: u32, body: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(body).map_err(|error| RecordError::Shape { version, detail: error.to_string() })
}
