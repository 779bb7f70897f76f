//! What the engine and the API need of the world. Adapters implement these; every port but time and chance can fail.
//!
//! One store implements all that is durable, and is held to it by one conformance suite a port
//! (`keybaton_store::conformance`).

pub mod audit;
pub mod backup;
pub mod clock;
pub mod freezes;
pub mod identities;
pub mod inspect;
pub mod journal;
pub mod nonces;
pub mod proposals;
pub mod rotator;
pub mod secret;
pub mod specs;
pub mod storage;
pub mod values;
