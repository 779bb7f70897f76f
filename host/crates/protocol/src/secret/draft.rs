//! Events that are tried before they are on record: a copy of the state, and what it has taken so far.

use crate::event::Event;
use crate::ids::Millis;
use crate::state::Secret;
use crate::table::Illegal;

/// What would be if these events were on record. The state it began with stays as it is.
#[derive(Debug)]
pub struct Draft<'a> {
    from: &'a Secret,
    ahead: Option<Secret>,
    events: Vec<Event>,
}

impl<'a> Draft<'a> {
    /// Nothing tried yet.
    #[must_use]
    pub const fn new(from: &'a Secret) -> Self {
        Self { from, ahead: None, events: Vec::new() }
    }

    /// The state with all that was taken.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        self.ahead.as_ref().unwrap_or(self.from)
    }

    /// Tries these events, in order.
    ///
    /// # Errors
    /// The first that the table refuses. None of them counts as taken, and the draft's state is of no use then.
    pub fn take(&mut self, at: Millis, events: &[Event]) -> Result<(), Illegal> {
        let ahead = self.ahead.get_or_insert_with(|| self.from.clone());
        events.iter().try_for_each(|event| ahead.record(at, event))?;
        self.events.extend_from_slice(events);
        Ok(())
    }

    /// What was taken, in order.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The same, to be appended.
    #[must_use]
    pub fn into_events(self) -> Vec<Event> {
        self.events
    }
}
