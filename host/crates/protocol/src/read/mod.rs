//! What the facts say: who has answered, how far a rotation has come, what time is left, and what people and consumers
//! are shown. Reads the state and never changes it.

pub mod comparison;
mod expiry;
pub mod gate;
pub mod guard;
pub mod members;
pub mod offer;
pub(crate) mod progress;
pub(crate) mod timers;
pub mod view;
