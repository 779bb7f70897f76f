//! Secrets that are held by a restore: how each compares with its target, and which number comes next.

use crate::board::SecretId;
use crate::consumers::look;
use crate::error::EngineError;
use crate::shared::Shared;
use crate::views::{ComparisonView, comparison as view};
use keybaton_protocol::ids::{Epoch, Generation};
use std::sync::Arc;

/// The number of the next generation: past the journal's, and past the highest that any consumer holds or reports.
pub(crate) async fn next_number(shared: &Arc<Shared>, id: SecretId) -> Result<Generation, EngineError> {
    let reported = shared.reported(id);
    look(shared, id, move |state, _| {
        let seen = state.replicas().values().flat_map(|it| it.fetched.keys().copied()).max();
        let past = seen.max(reported).map_or(state.next_generation(), |it| Generation(it.0.saturating_add(1)));
        past.max(state.next_generation())
    })
    .await
}

pub(crate) async fn comparison(shared: &Arc<Shared>, id: SecretId) -> Result<Option<ComparisonView>, EngineError> {
    let reported = shared.reported(id);
    look(shared, id, move |state, _| view(state, reported)).await
}

pub(crate) async fn comparisons(shared: &Arc<Shared>) -> Result<Vec<ComparisonView>, EngineError> {
    if shared.epoch == Epoch(0) {
        return Ok(Vec::new());
    }
    // One that rests has not been looked at since the restore: reading its journal is what puts the restore on record.
    let all = shared.board().journalled();
    let mut found = Vec::new();
    for id in all {
        found.extend(comparison(shared, id).await?);
    }
    Ok(found)
}
