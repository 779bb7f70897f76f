//! The runtime: runs rotator plugins (WebAssembly components) for the engine, and makes the host calls they ask for.
//!
//! Plugins decide, this crate does: it alone renders and captures secrets, and it alone holds connections. A guest sees
//! handles. This crate knows no journal: what must be durable goes through the engine's `CallRecorder`. It links no WASI,
//! and never lets a guest's word stand for what the host can see by itself.

mod bindings;
mod breakage;
pub mod cache;
mod capabilities;
pub mod catalog;
pub mod connection;
mod convert;
mod documents;
pub mod identity;
pub mod limits;
pub mod manifest;
pub mod pack;
mod plugin;
mod pure;
mod record;
mod refusal;
mod reply;
mod rotator;
mod said;
pub mod scrub;
mod secret;
mod setup;
mod stacks;
mod state;

pub use plugin::LoadError;
pub use rotator::{Runtime, SetupError};
