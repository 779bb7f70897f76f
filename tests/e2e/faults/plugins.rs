//! Real plugins, in which one call of one secret goes wrong; and a note of what was called and of every value that came
//! to be. It makes up how a call ended, never what it did.

use async_trait::async_trait;
use keybaton_engine::harness::{Answered, Around, Beside, Calls, FaultyCalls, HostCalls, Trace};
use keybaton_engine::ports::rotator::{CallRecorder, CallRequest, Rotator};
use keybaton_engine::ports::secret::Seal;
use keybaton_protocol::event::Outcome;
use keybaton_protocol::ids::{Generation, OperationId, SecretName};
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
type Traces = Arc<Mutex<HashMap<SecretName, Arc<Trace>>>>;

/// What becomes of the calls of one host's plugins.
#[derive(Default)]
pub(super) struct Plugins {
    notes: Notes,
    traces: Traces,
}

impl Plugins {
    /// These plugins, with calls that go wrong, and a note of those that are made.
    pub(super) fn around(&self, inner: Arc<dyn Rotator>) -> Arc<dyn Rotator> {
        let noting = Around::new(inner, Noting(Arc::clone(&self.notes)));
        Arc::new(Around::new(Arc::new(noting), Failing(Arc::clone(&self.traces))))
    }

    /// From here on a secret's calls go by this trace, counted from 0.
    pub(super) fn set(&self, secret: &SecretName, trace: Arc<Trace>) {
        self.traces.lock().unwrap().insert(secret.clone(), trace);
    }

    /// Calls of a secret that reached its plugin.
    pub(super) fn made(&self, secret: &SecretName) -> Vec<Made> {
        self.notes.lock().unwrap().get(secret).map(|note| note.made.clone()).unwrap_or_default()
    }

    /// Every value that a host call yielded for a secret, in order.
    pub(super) fn seen(&self, secret: &SecretName) -> Vec<String> {
        self.notes.lock().unwrap().get(secret).map(|note| note.seen.clone()).unwrap_or_default()
    }
}

struct Failing(Traces);

#[async_trait]
impl Calls for Failing {
    async fn call(&self, inner: &dyn Rotator, request: CallRequest, recorder: Arc<dyn CallRecorder>) -> Outcome {
        let trace = self.0.lock().unwrap().get(&request.secret).cloned();
        match trace {
            Some(trace) => FaultyCalls(trace).call(inner, request, recorder).await,
            None => inner.call(request, recorder).await,
        }
    }
}

struct Noting(Notes);

#[async_trait]
impl Calls for Noting {
    async fn call(&self, inner: &dyn Rotator, request: CallRequest, recorder: Arc<dyn CallRecorder>) -> Outcome {
        let made = Made { kind: request.kind, generation: request.generation, operation: request.operation.clone() };
        self.0.lock().unwrap().entry(request.secret.clone()).or_default().made.push(made);
        let values = Values { secret: request.secret.clone(), notes: Arc::clone(&self.0) };
        inner.call(request, Arc::new(Beside::new(recorder, values))).await
    }
}

/// Notes what host calls yield.
struct Values {
    secret: SecretName,
    notes: Notes,
}

#[async_trait]
impl HostCalls for Values {
    async fn ended(&self, answered: Answered) -> Answered {
        let text = |seal: &Seal| String::from_utf8(seal.bytes.expose().to_vec()).unwrap();
        if let Some(note) = self.notes.lock().unwrap().get_mut(&self.secret) {
            note.seen.extend(answered.seals.iter().map(text));
        }
        answered
    }
}
