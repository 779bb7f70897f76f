//! Waiting for a secret: until its journal has grown, or for a moment where nothing but time passes. It looks at nothing.

use keybaton_engine::Engine;
use keybaton_engine::requests::Changed;
use keybaton_protocol::ids::SecretName;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// How long nothing may be announced before people and consumers look again all the same.
const LOOK: Duration = Duration::from_millis(100);

/// What one secret's journal announces.
pub(crate) struct Watch {
    secret: SecretName,
    changes: Receiver<Changed>,
}

impl Watch {
    pub(crate) fn of(engine: &Engine, secret: &SecretName) -> Self {
        Self { secret: secret.clone(), changes: engine.subscribe() }
    }

    /// Until it has grown since it was last waited for, or it is time to look again.
    pub(crate) async fn next(&mut self) {
        let grown = async {
            loop {
                match self.changes.recv().await {
                    Ok(changed) if changed.secret != self.secret => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        // Either way it is time to look.
        let _timely = tokio::time::timeout(LOOK, grown).await;
        // One look sees all that was announced by now.
        while !matches!(self.changes.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
    }
}
