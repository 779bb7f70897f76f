//! Follows what other hosts write to a store that is shared with them: freezes, and which secrets moved. Decides nothing:
//! a secret that somebody waits for is woken and reads its journal; of the others the board takes over the mark.

use crate::ports::journal::{Cursor, JournalError};
use crate::shared::Shared;
use std::sync::Arc;
use std::time::Duration;

/// Runs until the engine stops.
pub(crate) async fn run(shared: Arc<Shared>, mut cursor: Cursor) {
    while !shared.is_stopping() {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(shared.options.follow_ms)) => {}
            () = shared.stopped() => return,
        }
        match look(&shared, cursor).await {
            Ok(next) => cursor = next,
            Err(error) => {
                shared.metrics.store_failures.inc();
                tracing::warn!(%error, "what other hosts wrote could not be read; it is asked for again");
            }
        }
    }
}

async fn look(shared: &Arc<Shared>, after: Cursor) -> Result<Cursor, JournalError> {
    shared.read_freezes().await?;
    let changes = shared.journal.changes(Some(after)).await?;
    // By then the lease of a host that died meanwhile has run out.
    let look_at = shared.wall().plus(shared.options.lease_ms);
    for line in changes.moved {
        let id = {
            let mut board = shared.board();
            let id = board.admit(&line.secret);
            if let Some(detail) = line.damaged {
                board.damage(id, &detail);
                continue;
            }
            id
        };
        if shared.is_watched(id) {
            // Its own actor knows more than this line, or will when it has read the journal.
            shared.wake(id);
        } else if shared.board().moved(id, line.mark, look_at) {
            shared.bell.notify_one();
        }
    }
    Ok(changes.cursor)
}
