//! Challenges that are out: single-use, expiring, bounded. Where one host alone writes to the store they are in its memory
//! ([`crate::nonces::InProcess`]); hosts that share a store share them through it, so that a replica may state at one host
//! what another one challenged it to, and once only.

use super::storage::StorageError;
use crate::proof::ProofError;
use crate::requests::{Challenge, Nonce};
use async_trait::async_trait;
use keybaton_protocol::ids::Epoch;

/// What a nonce was given for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// What is to be stated with it.
    pub challenge: Challenge,
    /// In which epoch of the installation.
    pub epoch: Epoch,
}

impl Given {
    /// Whether it was given to whom claims it: this consumer's replica, in this life, about this secret. Somebody else's
    /// is left alone: a thief must not be able to use it up.
    #[must_use]
    pub fn is_owned(&self, claimed: &Challenge) -> bool {
        let own = &self.challenge;
        own.secret == claimed.secret
            && own.consumer == claimed.consumer
            && own.replica == claimed.replica
            && own.incarnation == claimed.incarnation
    }

    /// Whether it was given for exactly this. By then it is used up, whatever the answer.
    ///
    /// # Errors
    /// In what the two differ.
    pub fn for_this(self, claimed: &Challenge) -> Result<Self, ProofError> {
        if self.challenge.purpose != claimed.purpose {
            Err(ProofError::Purpose)
        } else if self.challenge != *claimed {
            Err(ProofError::Generation)
        } else {
            Ok(self)
        }
    }
}

/// Nonces that one consumer may have out at once. A flood costs its sender only: its own oldest are forgotten.
pub const PER_CONSUMER: usize = 1_024;

/// The table of nonces. The caller draws them; the table's own clock, which nobody sets, ends them. They need not outlive
/// a restart of all hosts: whoever holds one that is forgotten asks again.
#[async_trait]
pub trait Nonces: Send + Sync {
    /// Remembers a nonce for `for_ms` milliseconds. `false`: the table is full of nonces that are still good.
    async fn give(&self, nonce: Nonce, given: Given, for_ms: u64) -> Result<bool, StorageError>;
    /// Uses a nonce up and tells what it was given for; of several callers at once, on whichever host, one is told.
    /// The inner error is `Nonce` where there is none or it has ended, else as [`Given::is_owned`] (`Stranger`, and
    /// nothing is used up) and [`Given::for_this`] say.
    async fn take(&self, nonce: &Nonce, claimed: &Challenge) -> Result<Result<Given, ProofError>, StorageError>;
}
