//! The row of one append: its events in order, and what came with them. An event's own shape is elsewhere.

use super::attachment::Attachment;
use super::event::EventRecord;
use crate::record::{RecordError, Stored, Written};
use serde::Deserialize;

/// One row of the journal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteRecord {
    events: Vec<EventRecord>,
    #[serde(default)]
    attached: Attachment,
}

impl WriteRecord {
    /// What was meant.
    pub(crate) fn load(self) -> Result<Written, RecordError> {
        Ok(Written { events: self.events.load()?, attached: self.attached })
    }
}
