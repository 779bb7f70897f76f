//! Challenges that are out at a host that shares its store with nobody. In memory only: a restart forgets them, and clients
//! ask again. They end by the time that has passed; no step of the wall clock ends one, or keeps it.

use crate::clock::HostClock;
use crate::ports::nonces::{Given, Nonces, PER_CONSUMER};
use crate::ports::storage::StorageError;
use crate::proof::ProofError;
use crate::requests::{Challenge, Nonce};
use async_trait::async_trait;
use keybaton_protocol::ids::{ConsumerName, Namespace};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The table of one process.
pub struct InProcess {
    clock: Arc<HostClock>,
    table: Mutex<Table>,
}

impl InProcess {
    /// A table of at most `bound` nonces that are good.
    #[must_use]
    pub fn new(bound: usize, clock: Arc<HostClock>) -> Self {
        Self { clock, table: Mutex::new(Table::new(bound)) }
    }

    /// A panic under it has been reported; what it leaves out of step costs somebody a second try.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Nonces for InProcess {
    async fn give(&self, nonce: Nonce, given: Given, for_ms: u64) -> Result<bool, StorageError> {
        let now_ms = self.clock.elapsed_ms();
        Ok(self.table().give(nonce, Out { given, ends_ms: now_ms.saturating_add(for_ms) }, now_ms))
    }

    async fn take(&self, nonce: &Nonce, claimed: &Challenge) -> Result<Result<Given, ProofError>, StorageError> {
        let now_ms = self.clock.elapsed_ms();
        Ok(self.table().take(nonce, claimed, now_ms))
    }
}

/// A nonce that is out.
#[derive(Debug)]
struct Out {
    given: Given,
    /// When it ends, in milliseconds of the clock that nobody sets.
    ends_ms: u64,
}

#[derive(Debug)]
struct Table {
    out: HashMap<Nonce, Out>,
    by_consumer: HashMap<(Namespace, ConsumerName), VecDeque<Nonce>>,
    bound: usize,
}

fn owner(given: &Given) -> (Namespace, ConsumerName) {
    (given.challenge.secret.namespace().clone(), given.challenge.consumer.clone())
}

impl Table {
    fn new(bound: usize) -> Self {
        Self { out: HashMap::new(), by_consumer: HashMap::new(), bound }
    }

    fn give(&mut self, nonce: Nonce, out: Out, now_ms: u64) -> bool {
        if self.out.len() >= self.bound {
            self.sweep(now_ms);
            if self.out.len() >= self.bound {
                return false;
            }
        }
        let mine = self.by_consumer.entry(owner(&out.given)).or_default();
        while mine.len() >= PER_CONSUMER {
            if let Some(oldest) = mine.pop_front() {
                self.out.remove(&oldest);
            }
        }
        mine.push_back(nonce);
        self.out.insert(nonce, out);
        true
    }

    fn take(&mut self, nonce: &Nonce, claimed: &Challenge, now_ms: u64) -> Result<Given, ProofError> {
        if !self.out.get(nonce).ok_or(ProofError::Nonce)?.given.is_owned(claimed) {
            return Err(ProofError::Stranger);
        }
        let out = self.forget(nonce).ok_or(ProofError::Nonce)?;
        if out.ends_ms < now_ms { Err(ProofError::Nonce) } else { out.given.for_this(claimed) }
    }

    fn forget(&mut self, nonce: &Nonce) -> Option<Out> {
        let out = self.out.remove(nonce)?;
        let key = owner(&out.given);
        if let Some(mine) = self.by_consumer.get_mut(&key) {
            // Taken soon after it was given, so it is near the end.
            if let Some(at) = mine.iter().rposition(|other| other == nonce) {
                mine.remove(at);
            }
            if mine.is_empty() {
                self.by_consumer.remove(&key);
            }
        }
        Some(out)
    }

    fn sweep(&mut self, now_ms: u64) {
        self.out.retain(|_, out| out.ends_ms >= now_ms);
        let out = &self.out;
        self.by_consumer.retain(|_, mine| {
            mine.retain(|nonce| out.contains_key(nonce));
            !mine.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Out, Table};
    use crate::ports::nonces::{Given, PER_CONSUMER};
    use crate::proof::ProofError;
    use crate::requests::{Challenge, Nonce};
    use keybaton_protocol::evidence::Purpose;
    use keybaton_protocol::ids::{Epoch, Generation};

    fn nonce(n: usize) -> Nonce {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
        Nonce(bytes)
    }

    fn challenge(consumer: &str) -> Challenge {
        Challenge {
            secret: "a/db".parse().unwrap(),
            consumer: consumer.parse().unwrap(),
            replica: "r-0".parse().unwrap(),
            incarnation: "i1".parse().unwrap(),
            rotation: "rot".parse().unwrap(),
            generation: Generation(2),
            purpose: Purpose::Ready,
        }
    }

    fn give(nonces: &mut Table, n: usize, consumer: &str, now: u64) -> bool {
        let given = Given { challenge: challenge(consumer), epoch: Epoch(0) };
        nonces.give(nonce(n), Out { given, ends_ms: now + 100 }, now)
    }

    #[test]
    fn a_nonce_is_good_once_and_a_thief_does_not_use_it_up() {
        let mut nonces = Table::new(10);
        assert!(give(&mut nonces, 1, "web", 0));
        let stolen = nonces.take(&nonce(1), &challenge("thief"), 1);
        assert_eq!(stolen, Err(ProofError::Stranger));
        assert!(nonces.take(&nonce(1), &challenge("web"), 1).is_ok());
        assert_eq!(nonces.take(&nonce(1), &challenge("web"), 1), Err(ProofError::Nonce));
    }

    #[test]
    fn a_flood_costs_its_sender_only_and_the_table_stays_bounded() {
        let mut nonces = Table::new(PER_CONSUMER + 10);
        assert!(give(&mut nonces, 0, "quiet", 0));
        for n in 1..=PER_CONSUMER * 3 {
            assert!(give(&mut nonces, n, "flood", 0));
        }
        assert!(nonces.out.len() <= PER_CONSUMER + 1);
        assert!(nonces.take(&nonce(0), &challenge("quiet"), 1).is_ok());
        assert_eq!(nonces.take(&nonce(1), &challenge("flood"), 1), Err(ProofError::Nonce), "its oldest went");
    }

    #[test]
    fn a_full_table_refuses_until_nonces_expire() {
        let mut nonces = Table::new(2);
        assert!(give(&mut nonces, 1, "a", 0) && give(&mut nonces, 2, "b", 0));
        assert!(!give(&mut nonces, 3, "c", 50));
        assert!(give(&mut nonces, 3, "c", 101), "the expired ones made room");
        assert_eq!(nonces.take(&nonce(1), &challenge("a"), 101), Err(ProofError::Nonce));
    }
}
