//! Slows down addresses that fail to authenticate. Holds counters only; reads no clock. What
//! it counts in is time that has passed, so that nobody is locked out, or let in, because the clock was set.
//!
//! Tokens have 256 bits, so this is against load and noise, not against guessing. An address that workloads share must
//! not be lockable by one of them: identities that were good lately pass all the same.

use crate::limits::{FAILED_AUTH_BURST, FAILED_AUTH_REFILL_MS, MAX_KNOWN_GOOD, MAX_THROTTLED_ADDRESSES};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Mutex;

/// How often each address failed, and who is known.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: HashMap<IpAddr, Failures>,
    known: HashSet<String>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    at_ms: u64,
}

impl Failures {
    /// What is left of it at `now_ms`: one is forgiven per refill.
    fn left(self, now_ms: u64) -> u32 {
        let forgiven = now_ms.saturating_sub(self.at_ms) / FAILED_AUTH_REFILL_MS;
        self.count.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }
}

impl Throttle {
    /// Whether a caller may try. `Err` is how long to wait, in milliseconds.
    ///
    /// # Errors
    /// The address failed too often, and this identity is not known to be good.
    pub(crate) fn admit(&self, address: IpAddr, id: Option<&str>, now_ms: u64) -> Result<(), u64> {
        let state = self.lock();
        if id.is_some_and(|id| state.known.contains(id)) {
            return Ok(());
        }
        match state.failures.get(&address) {
            Some(failures) if failures.left(now_ms) >= FAILED_AUTH_BURST => {
                Err(FAILED_AUTH_REFILL_MS - now_ms.saturating_sub(failures.at_ms) % FAILED_AUTH_REFILL_MS)
            }
            _ => Ok(()),
        }
    }

    /// A caller was not who it said.
    pub(crate) fn failed(&self, address: IpAddr, now_ms: u64) {
        let mut state = self.lock();
        let left = state.failures.get(&address).map_or(0, |failures| failures.left(now_ms));
        if state.failures.len() >= MAX_THROTTLED_ADDRESSES && !state.failures.contains_key(&address) {
            forget_oldest(&mut state.failures);
        }
        state
            .failures
            .insert(address, Failures { count: left.saturating_add(1).min(FAILED_AUTH_BURST), at_ms: now_ms });
    }

    /// A caller was who it said. Answers whether that is news.
    pub(crate) fn succeeded(&self, id: &str) -> bool {
        let mut state = self.lock();
        if state.known.contains(id) {
            return false;
        }
        if state.known.len() >= MAX_KNOWN_GOOD {
            state.known.clear();
        }
        state.known.insert(id.to_owned())
    }

    /// An identity is good no longer.
    pub(crate) fn forget(&self, id: &str) {
        self.lock().known.remove(id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Counters stay meaningful whatever a panicking holder left in them.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn forget_oldest(failures: &mut HashMap<IpAddr, Failures>) {
    let oldest = failures.iter().min_by_key(|(_, failures)| failures.at_ms).map(|(address, _)| *address);
    if let Some(oldest) = oldest {
        failures.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const NOW: u64 = 1_000_000;

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(n))
    }

    fn exhausted() -> Throttle {
        let throttle = Throttle::default();
        for _ in 0..FAILED_AUTH_BURST {
            assert_eq!(throttle.admit(address(1), None, NOW), Ok(()));
            throttle.failed(address(1), NOW);
        }
        throttle
    }

    #[test]
    fn an_address_that_fails_too_often_waits_and_others_do_not() {
        let throttle = exhausted();
        assert_eq!(throttle.admit(address(1), None, NOW), Err(FAILED_AUTH_REFILL_MS));
        assert_eq!(throttle.admit(address(1), None, NOW + 1_000), Err(FAILED_AUTH_REFILL_MS - 1_000));
        assert_eq!(throttle.admit(address(2), None, NOW), Ok(()));
    }

    #[test]
    fn waiting_is_forgiven_one_by_one() {
        let throttle = exhausted();
        let later = NOW + FAILED_AUTH_REFILL_MS;
        assert_eq!(throttle.admit(address(1), None, later), Ok(()));
        throttle.failed(address(1), later);
        assert!(throttle.admit(address(1), None, later).is_err());
    }

    #[test]
    fn a_known_identity_is_not_locked_out_by_its_neighbours() {
        let throttle = exhausted();
        assert!(throttle.succeeded("abc"));
        assert!(!throttle.succeeded("abc"), "known already");
        assert_eq!(throttle.admit(address(1), Some("abc"), NOW), Ok(()));
        assert!(throttle.admit(address(1), Some("abd"), NOW).is_err());
        throttle.forget("abc");
        assert!(throttle.admit(address(1), Some("abc"), NOW).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        for n in 0..u32::try_from(MAX_THROTTLED_ADDRESSES).unwrap() + 10 {
            throttle.failed(address(n), NOW + u64::from(n));
        }
        assert_eq!(throttle.lock().failures.len(), MAX_THROTTLED_ADDRESSES);
        assert!(!throttle.lock().failures.contains_key(&address(0)), "the oldest goes first");
    }
}
