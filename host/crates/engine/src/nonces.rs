//! Challenges that are out: single-use, expiring, bounded. In memory only: a restart forgets them, and clients ask again.
//! They end by the time that has passed; no step of the wall clock ends one, or keeps it.

use crate::proof::ProofError;
use crate::requests::{Challenge, Nonce};
use keybaton_protocol::ids::{ConsumerName, Epoch, Namespace};
use std::collections::{HashMap, VecDeque};

/// What a nonce was given for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) challenge: Challenge,
    pub(crate) epoch: Epoch,
    /// When it ends, in milliseconds of the clock that nobody sets.
    pub(crate) ends_ms: u64,
}

/// Nonces that one consumer may have out at once. A flood costs its sender only: its own oldest are forgotten.
const PER_CONSUMER: usize = 1_024;

/// The table. The caller draws the nonces.
#[derive(Debug)]
pub(crate) struct Nonces {
    given: HashMap<Nonce, Given>,
    by_consumer: HashMap<(Namespace, ConsumerName), VecDeque<Nonce>>,
    bound: usize,
}

impl Nonces {
    pub(crate) fn new(bound: usize) -> Self {
        Self { given: HashMap::new(), by_consumer: HashMap::new(), bound }
    }

    /// Remembers a nonce. `false`: the table is full of nonces that are still good.
    pub(crate) fn give(&mut self, nonce: Nonce, given: Given, now_ms: u64) -> bool {
        if self.given.len() >= self.bound {
            self.sweep(now_ms);
            if self.given.len() >= self.bound {
                return false;
            }
        }
        let key = (given.challenge.secret.namespace().clone(), given.challenge.consumer.clone());
        let mine = self.by_consumer.entry(key).or_default();
        while mine.len() >= PER_CONSUMER {
            if let Some(oldest) = mine.pop_front() {
                self.given.remove(&oldest);
            }
        }
        mine.push_back(nonce);
        self.given.insert(nonce, given);
        true
    }

    /// Uses a nonce up, whatever comes of it, and tells whether it was given for exactly this.
    pub(crate) fn take(&mut self, nonce: &Nonce, claimed: &Challenge, now_ms: u64) -> Result<Given, ProofError> {
        let given = self.given.get(nonce).ok_or(ProofError::Nonce)?;
        let owner = &given.challenge;
        // Somebody else's nonce is left alone: a thief must not be able to use it up.
        if owner.secret != claimed.secret
            || owner.consumer != claimed.consumer
            || owner.replica != claimed.replica
            || owner.incarnation != claimed.incarnation
        {
            return Err(ProofError::Stranger);
        }
        let given = self.forget(nonce).ok_or(ProofError::Nonce)?;
        if given.ends_ms < now_ms {
            Err(ProofError::Nonce)
        } else if given.challenge.purpose != claimed.purpose {
            Err(ProofError::Purpose)
        } else if given.challenge != *claimed {
            Err(ProofError::Generation)
        } else {
            Ok(given)
        }
    }

    fn forget(&mut self, nonce: &Nonce) -> Option<Given> {
        let given = self.given.remove(nonce)?;
        let key = (given.challenge.secret.namespace().clone(), given.challenge.consumer.clone());
        if let Some(mine) = self.by_consumer.get_mut(&key) {
            // Taken soon after it was given, so it is near the end.
            if let Some(at) = mine.iter().rposition(|other| other == nonce) {
                mine.remove(at);
            }
            if mine.is_empty() {
                self.by_consumer.remove(&key);
            }
        }
        Some(given)
    }

    fn sweep(&mut self, now_ms: u64) {
        self.given.retain(|_, given| given.ends_ms >= now_ms);
        let given = &self.given;
        self.by_consumer.retain(|_, mine| {
            mine.retain(|nonce| given.contains_key(nonce));
            !mine.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Given, Nonces, PER_CONSUMER};
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

    fn give(nonces: &mut Nonces, n: usize, consumer: &str, now: u64) -> bool {
        let given = Given { challenge: challenge(consumer), epoch: Epoch(0), ends_ms: now + 100 };
        nonces.give(nonce(n), given, now)
    }

    #[test]
    fn a_nonce_is_good_once_and_a_thief_does_not_use_it_up() {
        let mut nonces = Nonces::new(10);
        assert!(give(&mut nonces, 1, "web", 0));
        let stolen = nonces.take(&nonce(1), &challenge("thief"), 1);
        assert_eq!(stolen, Err(ProofError::Stranger));
        assert!(nonces.take(&nonce(1), &challenge("web"), 1).is_ok());
        assert_eq!(nonces.take(&nonce(1), &challenge("web"), 1), Err(ProofError::Nonce));
    }

    #[test]
    fn a_flood_costs_its_sender_only_and_the_table_stays_bounded() {
        let mut nonces = Nonces::new(PER_CONSUMER + 10);
        assert!(give(&mut nonces, 0, "quiet", 0));
        for n in 1..=PER_CONSUMER * 3 {
            assert!(give(&mut nonces, n, "flood", 0));
        }
        assert!(nonces.given.len() <= PER_CONSUMER + 1);
        assert!(nonces.take(&nonce(0), &challenge("quiet"), 1).is_ok());
        assert_eq!(nonces.take(&nonce(1), &challenge("flood"), 1), Err(ProofError::Nonce), "its oldest went");
    }

    #[test]
    fn a_full_table_refuses_until_nonces_expire() {
        let mut nonces = Nonces::new(2);
        assert!(give(&mut nonces, 1, "a", 0) && give(&mut nonces, 2, "b", 0));
        assert!(!give(&mut nonces, 3, "c", 50));
        assert!(give(&mut nonces, 3, "c", 101), "the expired ones made room");
        assert_eq!(nonces.take(&nonce(1), &challenge("a"), 101), Err(ProofError::Nonce));
    }
}
