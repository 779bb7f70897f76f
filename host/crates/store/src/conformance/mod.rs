//! What every implementation of a port on a store must do: one suite a port, each a list of sentences, for this store's
//! tests and those of other stores. A suite panics with what does not hold. Each sentence has a store of its own.

pub mod audit;
pub mod backup;
pub mod freezes;
pub mod identities;
pub mod inspect;
pub mod journal;
pub mod nonces;
pub mod proposals;
pub mod specs;
pub mod values;

pub use journal::{salt, unseal};

use keybaton_engine::ports::storage::StorageError;
use keybaton_protocol::ids::Millis;
use std::path::{Path, PathBuf};
use std::task::Poll;

/// A store for one sentence, as two hosts see it.
pub trait Place {
    /// The implementation.
    type Store;
    /// The store at one of the hosts, 0 or 1. A store that only one host can open gives the same one to both.
    fn host(&self, number: usize) -> &Self::Store;
    /// Both hosts end, and begin again.
    fn restart(&mut self);
    /// Somebody who has the database and no key edits one record of this kind, behind the store's back.
    fn edit(&self, kind: Kind);
    /// A folder that does not exist yet, on the machine of the hosts.
    fn folder(&self) -> PathBuf;
    /// The store that comes of a backup, opened by a host of its own.
    fn restored(&self, from: &Path) -> Self::Store;
    /// The sentence holds; whatever else can be proven of the store is proven now.
    fn end(self) -> impl Future<Output = ()>;
}

/// What a store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The newest row of a journal.
    Journal,
    /// An entry of the audit log.
    Audit,
    /// A freeze.
    Freezes,
    /// An identity.
    Identities,
    /// An enrolment.
    Enrolments,
    /// A proposal.
    Proposals,
    /// A declaration.
    Specs,
    /// A value of the host's own.
    Values,
}

/// A suite: `check` holds an implementation to every sentence.
macro_rules! suite {
    ($($port:path),+ => $($sentence:ident),+ $(,)?) => {
        /// Holds an implementation to every sentence here, each on a place of its own.
        ///
        /// # Panics
        /// At the first thing that does not hold.
        pub async fn check<P: $crate::conformance::Place>(new: impl Fn() -> P)
        where
            P::Store: $($port +)+ Sync,
        {
            $({
                let mut place = new();
                $sentence(&mut place).await;
                place.end().await;
            })+
        }
    };
}
pub(crate) use suite;

pub(crate) const AT: Millis = Millis(1_700_000_000_000);
pub(crate) const MINUTE_MS: u64 = 60_000;

pub(crate) fn parsed<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("`{text}` follows the grammar"))
}

/// What a store that works answers.
#[track_caller]
pub(crate) fn works<T, E: std::error::Error>(outcome: Result<T, E>) -> T {
    outcome.unwrap_or_else(|error| panic!("a store that works does what is asked: {error}"))
}

/// A read of what was edited.
#[track_caller]
pub(crate) fn is_damage<T>(outcome: Result<T, StorageError>) {
    let outcome = outcome.err();
    assert!(matches!(outcome, Some(StorageError::Damaged { .. })), "what was edited is named as damage: {outcome:?}");
}

/// Drives all of these at once; answers in their order.
pub(crate) async fn all<F: Future>(these: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = these.into_iter().map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        let mut open = false;
        for (one, outcome) in waiting.iter_mut().filter(|(_, outcome)| outcome.is_none()) {
            match one.as_mut().poll(context) {
                Poll::Ready(value) => *outcome = Some(value),
                Poll::Pending => open = true,
            }
        }
        if open { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    waiting.into_iter().filter_map(|(_, outcome)| outcome).collect()
}
