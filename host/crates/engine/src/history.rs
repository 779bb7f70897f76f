//! A secret's journal for people, a page at a time. However long the journal is, no more than a page of it is held.

use crate::error::EngineError;
use crate::ports::journal::{Journal, Part};
use crate::views::{self, HistoryEntry};
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{RotationId, SecretName, Seq};

/// How many events are read at once to find the rotation that a page begins in.
const LOOK_BACK: usize = 128;

/// A page, with the rotation that each event belongs to.
pub(crate) async fn read(
    journal: &dyn Journal,
    secret: &SecretName,
    part: Part,
    limit: usize,
) -> Result<Vec<HistoryEntry>, EngineError> {
    let events = journal.page(secret, part, limit).await?;
    let open = match events.first() {
        Some(first) if !matches!(first.event, Event::Started { .. }) => open_before(journal, secret, first.seq).await?,
        _ => None,
    };
    Ok(views::entries(open, &events))
}

/// The rotation that is open before a position, if one is.
async fn open_before(journal: &dyn Journal, secret: &SecretName, at: Seq) -> Result<Option<RotationId>, EngineError> {
    let mut before = at;
    loop {
        let events = journal.page(secret, Part::Before(Some(before)), LOOK_BACK).await?;
        for recorded in events.iter().rev() {
            match &recorded.event {
                Event::Started { rotation, .. } => return Ok(Some(rotation.clone())),
                Event::Finished { .. } | Event::Settled(_) => return Ok(None),
                _ => {}
            }
        }
        match events.first() {
            Some(first) => before = first.seq,
            None => return Ok(None),
        }
    }
}
