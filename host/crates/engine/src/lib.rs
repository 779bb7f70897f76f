//! The engine: carries out what the protocol decides. Owns the ports; names neither wasmtime nor a database.
//!
//! Everything asked of it goes through [`Engine`]. Secret bytes pass through [`requests::Delivery`] and
//! [`ports::secret`] only; no view, error, log line or metric can hold one.

mod actor;
mod begin;
mod board;
mod call;
pub mod claims;
pub mod clock;
mod consumers;
mod declare;
pub mod declared;
mod engine;
mod error;
mod examine;
mod follow;
#[cfg(feature = "test-harness")]
pub mod harness;
mod history;
mod limits;
mod metrics;
pub mod nonces;
mod options;
mod people;
pub mod ports;
mod preflight;
pub mod proof;
pub mod requests;
mod restored;
mod scheduler;
mod scrub;
mod shared;
mod tasks;
pub mod views;
mod witness;

pub use declared::{Anchor, Cadence, Declared, Stagger};
pub use engine::{Engine, Import, ListQuery, Parts};
pub use error::EngineError;
pub use options::Options;
pub use people::{Change, Proposal, Word};
pub use witness::Witness;
