//! Any rotator, with one call going wrong, and the host ending around any host call. What left, left.

use super::around::{Answered, Beside, Calls, HostCalls};
use super::faults::{Fault, Moment, Trace};
use crate::ports::rotator::{CallRecorder, CallRequest, Rotator};
use async_trait::async_trait;
use keybaton_protocol::event::{HostAnswer, Outcome};
use keybaton_protocol::fault::{Blame, FailureClass, Fault as Failure};
use std::sync::Arc;

/// The plugin calls of one life of a host.
pub struct FaultyCalls(pub Arc<Trace>);

#[async_trait]
impl Calls for FaultyCalls {
    async fn call(&self, inner: &dyn Rotator, request: CallRequest, recorder: Arc<dyn CallRecorder>) -> Outcome {
        let fault = self.0.call(request.kind);
        let mutates = request.kind.mutates();
        let lose = matches!(fault, Some(Fault::Lost));
        let recorder = Arc::new(Beside::new(recorder, FaultyHostCalls { trace: Arc::clone(&self.0), lose }));
        match fault {
            Some(Fault::Fails(class)) => Outcome::Failed(failure(class)),
            Some(Fault::LostBefore) if mutates => Outcome::Failed(failure(FailureClass::Ambiguous)),
            Some(Fault::LostBefore) => Outcome::Failed(failure(FailureClass::Retryable)),
            Some(Fault::Lost) => {
                inner.call(request, recorder).await;
                let class = if mutates { FailureClass::Ambiguous } else { FailureClass::Retryable };
                Outcome::Failed(failure(class))
            }
            Some(Fault::Twice) => {
                inner.call(request, recorder).await;
                Outcome::Failed(failure(FailureClass::Retryable))
            }
            Some(Fault::Trap) => Outcome::Failed(trap(FailureClass::Permanent)),
            Some(Fault::TrapAfter) => {
                inner.call(request, recorder).await;
                Outcome::Failed(trap(if mutates { FailureClass::Ambiguous } else { FailureClass::Permanent }))
            }
            None => inner.call(request, recorder).await,
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

/// Host calls around which the host may end.
struct FaultyHostCalls {
    trace: Arc<Trace>,
    lose: bool,
}

impl FaultyHostCalls {
    /// A dead host's guest waits for ever: its task goes with the process.
    async fn pass(&self, moment: Moment) {
        if self.trace.pass(moment).is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl HostCalls for FaultyHostCalls {
    async fn sent(&self) {
        self.pass(Moment::BeforeHostCall).await;
    }

    async fn ended(&self, answered: Answered) -> Answered {
        self.pass(Moment::AfterHostCall).await;
        if self.lose {
            return Answered { answer: HostAnswer::Lost, reply: Vec::new(), seals: Vec::new() };
        }
        answered
    }
}
