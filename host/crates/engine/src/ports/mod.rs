//! What the engine needs of the world. Adapters implement these; every port but time and chance can fail.

pub mod clock;
pub mod journal;
pub mod rotator;
pub mod secret;
