//! Time and chance as the engine is given them. Nothing else in this crate reads a wall clock or draws
//! a number; pauses and lease lengths are measured with tokio's monotonic clock.

use keybaton_protocol::ids::Millis;

/// The wall clock. May jump: the engine takes `max(wall, last event)` and caps what a jump can end.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch, as the machine has them now.
    fn wall(&self) -> Millis;
}

/// Randomness fit for nonces and identifiers (a CSPRNG of the operating system).
pub trait Random: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, bytes: &mut [u8]);
}
