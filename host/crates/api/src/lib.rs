//! keybaton's API: HTTPS and a Unix socket, for consumers that fetch, watch and prove, and for operators that steer.
//!
//! [`ca`] makes the host's own authority, [`server_cert`] a certificate that renews itself, [`serve`] the listeners,
//! [`routes`] what they answer. What is needed beyond the engine is in [`ports`]; the host implements it. The wire
//! types are in [`model`], and the CLI uses the same ones.
//!
//! Secret values leave through one route alone: the fetch of a consumer that the secret declares, written by
//! `sensitive` into zeroized memory. No operator's route answers one, and no log line, span or problem holds one.

mod ages;
mod auth;
pub mod ca;
mod context;
pub mod limits;
pub mod model;
mod openapi;
pub mod ports;
pub mod problem;
mod proposals;
pub mod routes;
mod sensitive;
pub mod serve;
pub mod server_cert;
mod throttle;
pub mod tokens;

pub use context::{Context, Lifetimes, Parts, Peer};
pub use openapi::document;
