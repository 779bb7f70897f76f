//! Declarations and connections: YAML text to specs and due times, with everything that is wrong at its line and column.
//!
//! This crate does no IO, reads no clock and draws no randomness: texts, times and seeds are arguments. It holds no
//! secret; a secret that somebody put into a connection file by mistake is masked before anything is shown.
//!
//! - [`declaration`]: the files under `schedules/`, read into [`spec`]s, checked against a [`catalog`]
//! - [`connection`]: the host's own connection files
//! - [`time`]: when a secret is due, and why it is not
//! - [`group`]: several secrets together: stagger groups and order
//! - [`change`]: what an edit changes and weakens; canonical bytes for digests
//! - [`diagnostic`]: what is wrong, as data and as text
//! - [`format`]: the format as types, for its JSON Schema

pub mod catalog;
pub mod change;
pub mod connection;
pub mod declaration;
pub mod diagnostic;
pub mod format;
pub mod group;
pub mod spec;
pub mod time;
pub mod units;
mod yaml;

pub use yaml::{MAX_ALIASED_NODES, MAX_DEPTH, MAX_FILE_BYTES};
