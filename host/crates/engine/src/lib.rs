//! The engine: carries out what the protocol decides. Owns the ports; names neither wasmtime nor a database.
//!
//! Everything asked of it goes through [`Engine`]. Secret bytes pass through [`requests::Delivery`] and
//! [`ports::secret`] only; no view, error, log line or metric can hold one.

pub mod declared;
mod engine;
mod error;
mod options;
pub mod ports;
pub mod proof;
pub mod requests;
pub mod views;

pub use engine::{Engine, Import, ListQuery, Parts};
pub use error::EngineError;
pub use options::Options;
