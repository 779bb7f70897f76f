//! The one place that builds the parts: store, runtime, engine and API put together. Decides nothing about rotations.

mod administration;
mod apply;
pub(crate) mod audit;
pub(crate) mod chance;
mod circles;
mod claims;
pub(crate) mod components;
pub(crate) mod connections;
mod declared;
mod host;
pub(crate) mod identities;
pub(crate) mod kept;
pub(crate) mod keys;
mod logins;
mod managed;
mod proposals;
mod reload;
mod running;
mod soundness;
mod written;

pub(crate) use running::Running;

use keybaton_api::ports::{Failure, FailureKind};
use keybaton_store::StoreError;

/// A failure of the store, as the API's ports say it.
fn store_failed(error: &StoreError) -> Failure {
    Failure::new(FailureKind::Unavailable, format!("the store failed: {error}"))
}
