//! What the engine needs of the world. Adapters implement these; every port can fail.

pub mod journal;
pub mod rotator;
pub mod secret;
