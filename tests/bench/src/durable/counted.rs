//! A journal that counts what is appended to it, and otherwise is the one it wraps.

use async_trait::async_trait;
use keybaton_engine::ports::journal::{
    Append, Changes, Cursor, Indexed, Journal, JournalError, Lease, Opened, Part, Recorded, Reply, Wanted,
};
use keybaton_protocol::ids::{CallId, Epoch, SecretName, Seq};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was appended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Writes that were asked for.
    pub(crate) appends: u64,
    /// Events in them.
    pub(crate) events: u64,
    /// Replies of host calls, sealed values and erasures.
    pub(crate) attached: u64,
}

/// The wrapper.
pub(crate) struct Counted {
    inner: Arc<dyn Journal>,
    counts: [AtomicU64; 3],
    loads: AtomicU64,
}

impl Counted {
    pub(crate) fn new(inner: Arc<dyn Journal>) -> Self {
        Self { inner, counts: Default::default(), loads: AtomicU64::new(0) }
    }

    /// How often a secret was loaded.
    pub(crate) fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }

    pub(crate) fn counts(&self) -> Counts {
        let [appends, events, attached] = [0, 1, 2].map(|at: usize| self.counts[at].load(Ordering::Relaxed));
        Counts { appends, events, attached }
    }
}

#[async_trait]
impl Journal for Counted {
    async fn append(&self, append: Append) -> Result<Seq, JournalError> {
        let attached = append.replies.len() + append.seals.len() + append.erase.len();
        for (count, more) in self.counts.iter().zip([1, append.events.len(), attached]) {
            count.fetch_add(more as u64, Ordering::Relaxed);
        }
        self.inner.append(append).await
    }

    async fn read(&self, secret: &SecretName, after: Seq) -> Result<Vec<Recorded>, JournalError> {
        self.inner.read(secret, after).await
    }

    async fn read_settled(&self, secret: &SecretName) -> Result<Vec<Recorded>, JournalError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        self.inner.read_settled(secret).await
    }

    async fn page(&self, secret: &SecretName, part: Part, limit: usize) -> Result<Vec<Recorded>, JournalError> {
        self.inner.page(secret, part, limit).await
    }

    async fn index(&self) -> Result<Vec<Indexed>, JournalError> {
        self.inner.index().await
    }

    async fn replies(&self, secret: &SecretName, call: CallId) -> Result<Vec<Reply>, JournalError> {
        self.inner.replies(secret, call).await
    }

    async fn open(&self, secret: &SecretName, wanted: Vec<Wanted>) -> Result<Vec<Opened>, JournalError> {
        self.inner.open(secret, wanted).await
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    async fn changes(&self, after: Option<Cursor>) -> Result<Changes, JournalError> {
        self.inner.changes(after).await
    }

    async fn lease(&self, secret: &SecretName, holder: &str, for_ms: u64) -> Result<Lease, JournalError> {
        self.inner.lease(secret, holder, for_ms).await
    }

    async fn epoch(&self) -> Result<Epoch, JournalError> {
        self.inner.epoch().await
    }
}
