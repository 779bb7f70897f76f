//! The engine's bounds and times. Every queue and loop of this crate takes its limit from here.

/// Limits, in the units their names end with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long a lease is taken for, in milliseconds, at least.
    pub lease_ms: u64,
    /// By how much a lease must outlive a mutating call's deadline, in milliseconds.
    pub lease_margin_ms: u64,
    /// Rotations that may be open at once by cadence; requests by people are not held back.
    pub rotations_at_once: usize,
    /// Plugin calls that may run at once on one connection.
    pub calls_per_connection: usize,
    /// Plugin calls that may run at once on the whole host.
    pub calls_at_once: usize,
    /// Secrets whose state is kept in memory; beyond it, those that only wait are let go at once.
    pub loaded: usize,
    /// How long the state of a secret that only waits is kept, in milliseconds.
    pub linger_ms: u64,
    /// Requests that may wait for one secret.
    pub mailbox: usize,
    /// Facts and requests taken into one write.
    pub batch: usize,
    /// How long a fact that nobody waits for is held back, in milliseconds, to share the write of what comes next.
    pub company_ms: u64,
    /// Nonces that may be out at once; the oldest is forgotten beyond it.
    pub nonces: usize,
    /// How long a nonce is good for, in milliseconds.
    pub nonce_ms: u64,
    /// Faults in a row of one plugin digest on one connection after which no further rotation is started there.
    pub brake_after: u32,
    /// How long the brake holds before one rotation may try again, in milliseconds.
    pub brake_ms: u64,
    /// First pause before cadence starts a secret again whose rotation did not complete, in milliseconds; doubles.
    pub restart_base_ms: u64,
    /// Longest such pause, in milliseconds.
    pub restart_max_ms: u64,
    /// How long after a rotation its target need not be looked at again before the next start, in milliseconds: that
    /// rotation has proven its credential there. A look takes about as long as a login.
    pub look_again_ms: u64,
    /// How long a shutdown waits for plugin calls in flight, in milliseconds.
    pub shutdown_ms: u64,
    /// How long to wait before the store is tried again after it was unavailable, in milliseconds.
    pub store_retry_ms: u64,
    /// How often a host asks what other hosts wrote, on a store that it shares with them, in milliseconds.
    pub follow_ms: u64,
    /// Announcements of changes that a slow subscriber may fall behind before it is told to look again.
    pub announcements: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease_ms: 60_000,
            lease_margin_ms: 5_000,
            rotations_at_once: 256,
            calls_per_connection: 16,
            calls_at_once: 256,
            loaded: 10_000,
            linger_ms: 5_000,
            mailbox: 256,
            batch: 64,
            company_ms: 5,
            nonces: 65_536,
            nonce_ms: 60_000,
            brake_after: 5,
            brake_ms: 300_000,
            restart_base_ms: 60_000,
            restart_max_ms: 3_600_000,
            look_again_ms: 5_000,
            shutdown_ms: 60_000,
            store_retry_ms: 500,
            follow_ms: 500,
            announcements: 4_096,
        }
    }
}
