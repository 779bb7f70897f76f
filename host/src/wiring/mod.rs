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
