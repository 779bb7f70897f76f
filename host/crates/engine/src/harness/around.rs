//! Any rotator, with somebody between it and the engine: around its calls, and around the host calls they make. What a
//! plugin says of itself passes unchanged, and so does all that nobody takes in hand.

use crate::ports::rotator::{
    CallRecorder, CallRequest, Description, Finding, Profiled, RecordError, RecordedReply, Rotator, Until,
};
use crate::ports::secret::Seal;
use async_trait::async_trait;
use keybaton_protocol::event::{HostAnswer, Outcome};
use keybaton_protocol::fault::Fault;
use keybaton_protocol::ids::{Digest, Ordinal, PluginName};
use std::sync::Arc;

/// Who makes a rotator's calls.
#[async_trait]
pub trait Calls: Send + Sync {
    /// One call: made, made otherwise, or not made.
    async fn call(&self, inner: &dyn Rotator, request: CallRequest, recorder: Arc<dyn CallRecorder>) -> Outcome;
}

/// A rotator whose calls somebody else makes.
pub struct Around<C> {
    inner: Arc<dyn Rotator>,
    calls: C,
}

impl<C: Calls> Around<C> {
    /// Wraps a rotator.
    #[must_use]
    pub fn new(inner: Arc<dyn Rotator>, calls: C) -> Self {
        Self { inner, calls }
    }
}

#[async_trait]
impl<C: Calls> Rotator for Around<C> {
    async fn describe(&self, plugin: &PluginName) -> Result<Description, Fault> {
        self.inner.describe(plugin).await
    }

    async fn profile(&self, plugin: &PluginName, settings: &str) -> Result<Profiled, Fault> {
        self.inner.profile(plugin, settings).await
    }

    async fn validate(&self, plugin: &PluginName, settings: &str) -> Result<Vec<Finding>, Fault> {
        self.inner.validate(plugin, settings).await
    }

    async fn preflight(&self, request: CallRequest) -> Result<Vec<Finding>, Fault> {
        self.inner.preflight(request).await
    }

    async fn call(&self, request: CallRequest, recorder: Arc<dyn CallRecorder>) -> Outcome {
        self.calls.call(&*self.inner, request, recorder).await
    }
}

/// How a host call ended, on its way to the record.
#[derive(Debug)]
pub struct Answered {
    /// How it ended.
    pub answer: HostAnswer,
    /// What the guest is told.
    pub reply: Vec<u8>,
    /// What it yielded.
    pub seals: Vec<Seal>,
}

/// Who stands beside each host call. What is not said otherwise does nothing.
#[async_trait]
pub trait HostCalls: Send + Sync {
    /// It is asked for; without an answer on record it will be made.
    async fn asked(&self, _on_record: bool) {}
    /// It is to be put on record as sent.
    async fn sending(&self) {}
    /// It is on record as sent, and has not left.
    async fn sent(&self) {}
    /// It has ended, and how is not on record. Answers what is to be put there.
    async fn ended(&self, answered: Answered) -> Answered {
        answered
    }
}

/// A recorder with somebody beside each host call.
pub struct Beside<H> {
    inner: Arc<dyn CallRecorder>,
    host_calls: H,
}

impl<H: HostCalls> Beside<H> {
    /// Wraps a recorder.
    #[must_use]
    pub fn new(inner: Arc<dyn CallRecorder>, host_calls: H) -> Self {
        Self { inner, host_calls }
    }
}

#[async_trait]
impl<H: HostCalls> CallRecorder for Beside<H> {
    async fn recorded(&self, ordinal: Ordinal, request: Digest) -> Result<Option<RecordedReply>, RecordError> {
        let recorded = self.inner.recorded(ordinal, request).await?;
        self.host_calls.asked(recorded.is_some()).await;
        Ok(recorded)
    }

    async fn sent(&self, ordinal: Ordinal, request: Digest, for_ms: u64, summary: &str) -> Result<(), RecordError> {
        self.host_calls.sending().await;
        self.inner.sent(ordinal, request, for_ms, summary).await?;
        self.host_calls.sent().await;
        Ok(())
    }

    async fn answered(
        &self,
        ordinal: Ordinal,
        request: Digest,
        answer: HostAnswer,
        reply: Vec<u8>,
        seals: Vec<Seal>,
        until: Until,
    ) -> Result<(), RecordError> {
        let Answered { answer, reply, seals } = self.host_calls.ended(Answered { answer, reply, seals }).await;
        let until = if answer == HostAnswer::Answered { until } else { Until::Durable };
        self.inner.answered(ordinal, request, answer, reply, seals, until).await
    }
}
