//! The one place that opens the store of a host that serves. Everybody else has its ports.

use super::keys;
use crate::config::Installation;
use crate::exit::{Exit, Failure};
use keybaton_engine::ports::audit::AuditLog;
use keybaton_engine::ports::backup::Backups;
use keybaton_engine::ports::freezes::Freezes;
use keybaton_engine::ports::identities::Identities;
use keybaton_engine::ports::inspect::Inspect;
use keybaton_engine::ports::journal::Journal;
use keybaton_engine::ports::nonces::Nonces;
use keybaton_engine::ports::proposals::Proposals;
use keybaton_engine::ports::specs::Specs;
use keybaton_engine::ports::values::Values;
use keybaton_store::{Mode, Store, StoreError};
use std::sync::Arc;

/// The ports of one store. Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) freezes: Arc<dyn Freezes>,
    /// Only where the store is shared; else the engine keeps nonces in this process.
    pub(crate) nonces: Option<Arc<dyn Nonces>>,
    pub(crate) specs: Arc<dyn Specs>,
    pub(crate) identities: Arc<dyn Identities>,
    pub(crate) proposals: Arc<dyn Proposals>,
    pub(crate) audit: Arc<dyn AuditLog>,
    pub(crate) values: Arc<dyn Values>,
    pub(crate) backups: Arc<dyn Backups>,
    pub(crate) inspect: Arc<dyn Inspect>,
}

impl Stores {
    /// Opens the embedded store of an installation, for its one writer.
    pub(crate) fn open(installation: &Installation) -> Result<Self, Failure> {
        let store = Store::open(&installation.data(), keys::kek(installation)?, Mode::ReadWrite);
        let store = Arc::new(store.map_err(|error| {
            let exit = if matches!(error, StoreError::Damaged { .. }) { Exit::Damaged } else { Exit::Failed };
            Failure::new(exit, "cannot open the store; nothing was started").because(&error)
        })?);
        Ok(Self {
            journal: Arc::clone(&store) as _,
            freezes: Arc::clone(&store) as _,
            nonces: None,
            specs: Arc::clone(&store) as _,
            identities: Arc::clone(&store) as _,
            proposals: Arc::clone(&store) as _,
            audit: Arc::clone(&store) as _,
            values: Arc::clone(&store) as _,
            backups: Arc::clone(&store) as _,
            inspect: store,
        })
    }
}
