//! The embedded store: one directory, one SQLite database. The engine's ports on a store (`keybaton_engine::ports`) are
//! implemented here, save `Nonces`: this store has one host, which keeps them in its memory.
//!
//! It never keeps a credential in clear, never reads a torn or edited row as truth, and knows nothing of plugins,
//! consumers or what an event means.

mod append;
mod audit;
mod backup;
mod chain;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod crypto;
mod documents;
mod error;
mod files;
mod freezes;
mod identities;
mod journal;
mod kek;
mod leases;
mod open;
mod proposals;
mod reader;
pub mod record;
mod restore;
mod rewrap;
mod schema;
mod seals;
mod specs;
mod sql;
mod state;
mod tx;
mod values;
mod verify;
mod writer;

pub use backup::Manifest;
pub use error::StoreError;
pub use kek::{Kek, KekError};
pub use open::{Mode, Store};
pub use restore::Restoration;
pub use schema::SCHEMA;
pub use verify::{Examined, Verified};
