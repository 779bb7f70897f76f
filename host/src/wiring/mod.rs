//! The one place that builds the parts: store, runtime, engine and API put together. Decides nothing about rotations.

mod administration;
mod apply;
pub(crate) mod chance;
mod circles;
mod claims;
pub(crate) mod components;
pub(crate) mod connections;
mod declared;
mod host;
pub(crate) mod kept;
pub(crate) mod keys;
mod logins;
mod managed;
mod reload;
mod running;
mod soundness;
mod stores;
mod written;

pub(crate) use running::Running;

use crate::exit::Exit;
use keybaton_engine::EngineError;
use keybaton_engine::ports::journal::JournalError;
use keybaton_engine::ports::storage::StorageError;
use keybaton_store::StoreError;

/// What a failure to start says to the shell: damage has a code of its own.
fn exit_of(error: &(dyn std::error::Error + 'static)) -> Exit {
    let opened = matches!(error.downcast_ref(), Some(StoreError::Damaged { .. }));
    let stored = matches!(error.downcast_ref(), Some(StorageError::Damaged { .. }));
    let journalled = matches!(error.downcast_ref(), Some(EngineError::Journal(JournalError::Damaged { .. })));
    if opened || stored || journalled { Exit::Damaged } else { Exit::Failed }
}
