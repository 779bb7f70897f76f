//! Time and chance as the engine is given them. Nothing else in this crate reads a wall clock or draws
//! a number; pauses and lease lengths are measured with tokio's monotonic clock.

use keybaton_protocol::ids::Millis;

/// The machine's clocks.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch, as the machine has them now. Somebody may set that: see
    /// [`crate::clock::HostClock`].
    fn wall(&self) -> Millis;
    /// Milliseconds that have passed since some instant of this process's life, by a clock that nobody sets.
    fn elapsed_ms(&self) -> u64;
}

/// Randomness fit for nonces and identifiers (a CSPRNG of the operating system).
pub trait Random: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, bytes: &mut [u8]);
}
