//! Any journal, seen by a host that may end at any write. What was kept stays kept for the next host.

use super::faults::{Dead, Moment, Trace};
use crate::ports::journal::{
    Append, Changes, Cursor, Indexed, Journal, JournalError, Lease, Opened, Part, Recorded, Reply, Wanted,
};
use async_trait::async_trait;
use keybaton_protocol::ids::{CallId, Epoch, SecretName, Seq};
use std::sync::Arc;

/// The journal of one life of a host.
pub struct FaultyJournal {
    inner: Arc<dyn Journal>,
    trace: Arc<Trace>,
}

impl FaultyJournal {
    /// Wraps a journal for one life.
    #[must_use]
    pub fn new(inner: Arc<dyn Journal>, trace: Arc<Trace>) -> Self {
        Self { inner, trace }
    }

    fn alive(&self) -> Result<(), JournalError> {
        if self.trace.is_dead() { Err(dead(Dead)) } else { Ok(()) }
    }
}

fn dead(_: Dead) -> JournalError {
    JournalError::Unavailable { detail: "this host has ended".to_owned() }
}

#[async_trait]
impl Journal for FaultyJournal {
    async fn append(&self, append: Append) -> Result<Seq, JournalError> {
        self.trace.pass(Moment::BeforeAppend).map_err(dead)?;
        let seq = self.inner.append(append).await?;
        self.trace.pass(Moment::AfterAppend).map_err(dead)?;
        Ok(seq)
    }

    async fn read(&self, secret: &SecretName, after: Seq) -> Result<Vec<Recorded>, JournalError> {
        self.alive()?;
        self.inner.read(secret, after).await
    }

    async fn read_settled(&self, secret: &SecretName) -> Result<Vec<Recorded>, JournalError> {
        self.alive()?;
        self.inner.read_settled(secret).await
    }

    async fn page(&self, secret: &SecretName, part: Part, limit: usize) -> Result<Vec<Recorded>, JournalError> {
        self.alive()?;
        self.inner.page(secret, part, limit).await
    }

    async fn index(&self) -> Result<Vec<Indexed>, JournalError> {
        self.alive()?;
        self.inner.index().await
    }

    async fn replies(&self, secret: &SecretName, call: CallId) -> Result<Vec<Reply>, JournalError> {
        self.alive()?;
        self.inner.replies(secret, call).await
    }

    async fn open(&self, secret: &SecretName, wanted: Vec<Wanted>) -> Result<Vec<Opened>, JournalError> {
        self.alive()?;
        self.inner.open(secret, wanted).await
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    async fn changes(&self, after: Option<Cursor>) -> Result<Changes, JournalError> {
        self.alive()?;
        self.inner.changes(after).await
    }

    async fn lease(&self, secret: &SecretName, holder: &str, for_ms: u64) -> Result<Lease, JournalError> {
        self.alive()?;
        self.inner.lease(secret, holder, for_ms).await
    }

    async fn epoch(&self) -> Result<Epoch, JournalError> {
        self.alive()?;
        self.inner.epoch().await
    }
}
