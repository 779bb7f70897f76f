//! Any rotator, with one call going wrong, and the host ending around any host call. What left, left.

use super::faults::{Fault, Moment, Trace};
use crate::ports::rotator::{
    CallRecorder, CallRequest, Description, Finding, Profiled, RecordError, RecordedReply, Rotator,
};
use crate::ports::secret::Seal;
use async_trait::async_trait;
use keybaton_protocol::event::{HostAnswer, Outcome};
use keybaton_protocol::fault::{Blame, FailureClass, Fault as Failure};
use keybaton_protocol::ids::{Digest, Millis, Ordinal, PluginName};
use std::sync::Arc;

/// The plugins of one life of a host.
pub struct FaultyRotator {
    inner: Arc<dyn Rotator>,
    trace: Arc<Trace>,
}

impl FaultyRotator {
    /// Wraps a rotator for one life.
    #[must_use]
    pub fn new(inner: Arc<dyn Rotator>, trace: Arc<Trace>) -> Self {
        Self { inner, trace }
    }
}

#[async_trait]
impl Rotator for FaultyRotator {
    async fn describe(&self, plugin: &PluginName) -> Result<Description, Failure> {
        self.inner.describe(plugin).await
    }

    async fn profile(&self, plugin: &PluginName, settings: &str) -> Result<Profiled, Failure> {
        self.inner.profile(plugin, settings).await
    }

    async fn validate(&self, plugin: &PluginName, settings: &str) -> Result<Vec<Finding>, Failure> {
        self.inner.validate(plugin, settings).await
    }

    async fn preflight(&self, request: CallRequest) -> Result<Vec<Finding>, Failure> {
        self.inner.preflight(request).await
    }

    async fn call(&self, request: CallRequest, recorder: Arc<dyn CallRecorder>) -> Outcome {
        let fault = self.trace.call(request.kind);
        let mutates = request.kind.mutates();
        let lose = matches!(fault, Some(Fault::Lost));
        let recorder = Arc::new(FaultyRecorder { inner: recorder, trace: Arc::clone(&self.trace), lose });
        match fault {
            Some(Fault::Fails(class)) => Outcome::Failed(failure(class)),
            Some(Fault::LostBefore) if mutates => Outcome::Failed(failure(FailureClass::Ambiguous)),
            Some(Fault::LostBefore) => Outcome::Failed(failure(FailureClass::Retryable)),
            Some(Fault::Lost) => {
                self.inner.call(request, recorder).await;
                let class = if mutates { FailureClass::Ambiguous } else { FailureClass::Retryable };
                Outcome::Failed(failure(class))
            }
            Some(Fault::Twice) => {
                self.inner.call(request, recorder).await;
                Outcome::Failed(failure(FailureClass::Retryable))
            }
            Some(Fault::Trap) => Outcome::Failed(trap(FailureClass::Permanent)),
            Some(Fault::TrapAfter) => {
                self.inner.call(request, recorder).await;
                Outcome::Failed(trap(if mutates { FailureClass::Ambiguous } else { FailureClass::Permanent }))
            }
            None => self.inner.call(request, recorder).await,
        }
    }
}

fn failure(class: FailureClass) -> Failure {
    Failure {
        class,
        blame: Blame::Target,
        code: "harness.injected".to_owned(),
        message: "made to fail by the harness".to_owned(),
        retry_after_ms: None,
    }
}

/// As the runtime says it: a plugin that breaks down is to blame, and once it has sent something, nobody knows.
fn trap(class: FailureClass) -> Failure {
    Failure { class, blame: Blame::Guest, code: "guest.trap".to_owned(), ..failure(class) }
}

/// A recorder on which the host may end.
struct FaultyRecorder {
    inner: Arc<dyn CallRecorder>,
    trace: Arc<Trace>,
    lose: bool,
}

impl FaultyRecorder {
    /// A dead host's guest waits for ever: its task goes with the process.
    async fn pass(&self, moment: Moment) {
        if self.trace.pass(moment).is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl CallRecorder for FaultyRecorder {
    async fn recorded(&self, ordinal: Ordinal, request: Digest) -> Result<Option<RecordedReply>, RecordError> {
        self.inner.recorded(ordinal, request).await
    }

    async fn sent(
        &self,
        ordinal: Ordinal,
        request: Digest,
        deadline: Millis,
        summary: &str,
    ) -> Result<(), RecordError> {
        self.inner.sent(ordinal, request, deadline, summary).await?;
        self.pass(Moment::BeforeHostCall).await;
        Ok(())
    }

    async fn answered(
        &self,
        ordinal: Ordinal,
        request: Digest,
        answer: HostAnswer,
        reply: Vec<u8>,
        seals: Vec<Seal>,
    ) -> Result<(), RecordError> {
        self.pass(Moment::AfterHostCall).await;
        if self.lose {
            let lost = HostAnswer::Lost;
            return self.inner.answered(ordinal, request, lost, Vec::new(), Vec::new()).await;
        }
        self.inner.answered(ordinal, request, answer, reply, seals).await
    }
}
