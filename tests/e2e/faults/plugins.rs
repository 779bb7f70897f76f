//! Real plugins, in which one call of one secret goes wrong; and a note of what was called and of every value that came
//! to be. It makes up how a call ended, never what it did.

use async_trait::async_trait;
use keybaton_engine::harness::{FaultyRotator, Trace};
use keybaton_engine::ports::rotator::{
    CallRecorder, CallRequest, Description, Finding, Profiled, RecordError, RecordedReply, Rotator,
};
use keybaton_engine::ports::secret::Seal;
use keybaton_protocol::event::{HostAnswer, Outcome};
use keybaton_protocol::fault::Fault;
use keybaton_protocol::ids::{Digest, Generation, Millis, OperationId, Ordinal, PluginName, SecretName};
use keybaton_protocol::step::CallKind;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) kind: CallKind,
    pub(super) generation: Generation,
    pub(super) operation: OperationId,
}

impl Made {
    /// Whether it is another run of the same thing.
    pub(super) fn of(&self, other: &Self) -> bool {
        self.kind == other.kind && self.generation == other.generation
    }
}

/// What one secret's calls did.
#[derive(Default)]
struct Note {
    made: Vec<Made>,
    seen: Vec<String>,
}

type Notes = Arc<Mutex<HashMap<SecretName, Note>>>;

/// The plugins of one host.
pub(super) struct Plugins {
    /// Notes what it calls.
    noting: Arc<Noting>,
    traces: Mutex<HashMap<SecretName, Arc<Trace>>>,
}

impl Plugins {
    pub(super) fn new(inner: Arc<dyn Rotator>) -> Self {
        Self { noting: Arc::new(Noting { inner, notes: Notes::default() }), traces: Mutex::default() }
    }

    /// From here on a secret's calls go by this trace, counted from 0.
    pub(super) fn set(&self, secret: &SecretName, trace: Arc<Trace>) {
        self.traces.lock().unwrap().insert(secret.clone(), trace);
    }

    /// Calls of a secret that reached its plugin.
    pub(super) fn made(&self, secret: &SecretName) -> Vec<Made> {
        self.noting.notes.lock().unwrap().get(secret).map(|note| note.made.clone()).unwrap_or_default()
    }

    /// Every value that a host call yielded for a secret, in order.
    pub(super) fn seen(&self, secret: &SecretName) -> Vec<String> {
        self.noting.notes.lock().unwrap().get(secret).map(|note| note.seen.clone()).unwrap_or_default()
    }
}

#[async_trait]
impl Rotator for Plugins {
    async fn describe(&self, plugin: &PluginName) -> Result<Description, Fault> {
        self.noting.describe(plugin).await
    }

    async fn profile(&self, plugin: &PluginName, settings: &str) -> Result<Profiled, Fault> {
        self.noting.profile(plugin, settings).await
    }

    async fn validate(&self, plugin: &PluginName, settings: &str) -> Result<Vec<Finding>, Fault> {
        self.noting.validate(plugin, settings).await
    }

    async fn preflight(&self, request: CallRequest) -> Result<Vec<Finding>, Fault> {
        self.noting.preflight(request).await
    }

    async fn call(&self, request: CallRequest, recorder: Arc<dyn CallRecorder>) -> Outcome {
        let trace = self.traces.lock().unwrap().get(&request.secret).cloned();
        let Some(trace) = trace else { return self.noting.call(request, recorder).await };
        FaultyRotator::new(Arc::clone(&self.noting) as _, trace).call(request, recorder).await
    }
}

struct Noting {
    inner: Arc<dyn Rotator>,
    notes: Notes,
}

#[async_trait]
impl Rotator for Noting {
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
        let made = Made { kind: request.kind, generation: request.generation, operation: request.operation.clone() };
        self.notes.lock().unwrap().entry(request.secret.clone()).or_default().made.push(made);
        let recorder =
            NotingRecorder { inner: recorder, secret: request.secret.clone(), notes: Arc::clone(&self.notes) };
        self.inner.call(request, Arc::new(recorder)).await
    }
}

struct NotingRecorder {
    inner: Arc<dyn CallRecorder>,
    secret: SecretName,
    notes: Notes,
}

#[async_trait]
impl CallRecorder for NotingRecorder {
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
        self.inner.sent(ordinal, request, deadline, summary).await
    }

    async fn answered(
        &self,
        ordinal: Ordinal,
        request: Digest,
        answer: HostAnswer,
        reply: Vec<u8>,
        seals: Vec<Seal>,
    ) -> Result<(), RecordError> {
        let text = |seal: &Seal| String::from_utf8(seal.bytes.expose().to_vec()).unwrap();
        if let Some(note) = self.notes.lock().unwrap().get_mut(&self.secret) {
            note.seen.extend(seals.iter().map(text));
        }
        self.inner.answered(ordinal, request, answer, reply, seals).await
    }
}
