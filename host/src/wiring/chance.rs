//! Time and randomness of the machine, as the ports want them. The only clock and the only dice of the host.

use keybaton_engine::ports::clock::{Clock, Random};
use keybaton_protocol::ids::Millis;
use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Some instant of this process's life.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(ORIGIN.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The operating system's random numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("the operating system gives randomness, or the process must not go on");
    }
}
