//! Making the call: leave, values, request, answer. The outcome is handed to the actor whatever has happened since.

use super::recorder::Recorder;
use crate::actor::{Fact, Item, Launch};
use crate::board::SecretId;
use crate::ports::journal::{JournalError, Reply, Wanted};
use crate::ports::rotator::{CallRequest, Value};
use crate::shared::Shared;
use keybaton_protocol::event::{Event, Outcome};
use keybaton_protocol::fault::{Blame, FailureClass, Fault};
use keybaton_protocol::ids::{CallId, Generation, Ordinal, SealLabel, SecretName};
use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::Instant;
use tracing::Instrument;

/// Makes a call whose intent is durable.
pub(crate) async fn run(shared: Arc<Shared>, id: SecretId, name: Arc<SecretName>, launch: Launch) {
    let call = &launch.call;
    let span = tracing::info_span!(
        "call",
        secret = %name,
        rotation = %call.rotation,
        step = call.step.name(),
        export = call.kind.name(),
        attempt = call.attempt,
        place = %call.place,
        plugin = %call.pins.plugin,
        call = call.call.0,
    );
    perform(shared, id, name, launch).instrument(span).await;
}

async fn perform(shared: Arc<Shared>, id: SecretId, name: Arc<SecretName>, launch: Launch) {
    let number = launch.call.call;
    let kind = launch.call.kind.name();
    let plugin = launch.call.pins.plugin.clone();
    let connection = connection(&shared, id, &launch);
    let leave = shared.limits.enter(&connection).await;
    shared.metrics.calls_in_flight.inc();
    let began = Instant::now();
    let outcome = match prepare(&shared, id, &name, launch).await {
        Ok((request, recorder)) => ask(&shared, request, recorder).await,
        Err(error) => Outcome::Failed(not_prepared(&error)),
    };
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    shared.metrics.calls_in_flight.dec();
    shared.metrics.called(plugin.as_str(), kind, took_ms);
    drop(leave);
    match &outcome {
        Outcome::Failed(fault) => tracing::warn!(%fault, took_ms, "a plugin call failed"),
        _ => tracing::debug!(took_ms, "a plugin call ended"),
    }
    let event = Event::Ended { call: number, outcome };
    let fact = Fact { events: vec![event], ends: Some(number), ..Fact::empty() };
    shared.deliver(id, Item::Fact(fact)).await;
}

/// What limits count by: the declared connection, or the pinned target of a secret that is declared no more.
fn connection(shared: &Shared, id: SecretId, launch: &Launch) -> String {
    let board = shared.board();
    let spec = board.cell(id).spec.as_ref();
    spec.map_or_else(|| launch.call.pins.target.clone(), |spec| spec.connection.as_str().to_owned())
}

async fn prepare(
    shared: &Arc<Shared>,
    id: SecretId,
    name: &Arc<SecretName>,
    launch: Launch,
) -> Result<(CallRequest, Recorder), JournalError> {
    let call = launch.call;
    let values = unseal(shared, name, launch.values).await?;
    let earlier = earlier(shared, name, &call.resumes).await?;
    let recorder = Recorder {
        shared: Arc::clone(shared),
        id,
        name: Arc::clone(name),
        call: call.call,
        generation: call.generation,
        earlier,
    };
    let request = CallRequest {
        secret: (**name).clone(),
        rotation: Some(call.rotation),
        plugin: call.pins.plugin.clone(),
        component: call.pins.component,
        kind: call.kind,
        generation: call.generation,
        id: call.orphan.or(call.id),
        operation: call.operation,
        attempt: call.attempt,
        deadline: shared.wall().plus(call.timeout_ms),
        target: call.pins.target.clone(),
        place: call.place,
        settings: call.pins.settings.clone(),
        known: launch.known,
        values,
        offered: Vec::new(),
    };
    Ok((request, recorder))
}

/// Opens the values that a call gets handles of.
pub(crate) async fn unseal(
    shared: &Shared,
    name: &SecretName,
    wanted: Vec<(Generation, String, SealLabel)>,
) -> Result<Vec<Value>, JournalError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let one_generation = |one: &[(Generation, String, SealLabel)]| Wanted {
        generation: one[0].0,
        labels: one.iter().map(|(_, _, label)| label.clone()).collect(),
        salt: false,
    };
    let asked = wanted.chunk_by(|(one, ..), (next, ..)| one == next).map(one_generation).collect();
    let opened = shared.journal.open(name, asked).await?;
    let bytes = opened.into_iter().flat_map(|opened| opened.values);
    let value = |((generation, field, label), bytes)| Value { generation, field, label, bytes };
    Ok(wanted.into_iter().zip(bytes).map(value).collect())
}

/// The replies of earlier calls of the same step, the newest for each ordinal.
async fn earlier(
    shared: &Shared,
    name: &SecretName,
    resumes: &[CallId],
) -> Result<HashMap<Ordinal, Reply>, JournalError> {
    let mut earlier = HashMap::new();
    for call in resumes {
        for reply in shared.journal.replies(name, *call).await? {
            earlier.entry(reply.ordinal).or_insert(reply);
        }
    }
    Ok(earlier)
}

/// Calls the plugin. A panic in the runtime becomes an outcome too; what it held is dropped with the call.
async fn ask(shared: &Arc<Shared>, request: CallRequest, recorder: Recorder) -> Outcome {
    let mutates = request.kind.mutates();
    let mut call = pin!(shared.rotator.call(request, Arc::new(recorder)));
    // Never polled again once it has panicked.
    let outcome = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    });
    outcome.await.unwrap_or_else(|| {
        tracing::error!("the runtime broke off");
        Outcome::Failed(Fault {
            class: if mutates { FailureClass::Ambiguous } else { FailureClass::Retryable },
            blame: Blame::Host,
            code: "host.panic".to_owned(),
            message: "keybaton itself failed during the call; the target will be observed before anything else"
                .to_owned(),
            retry_after_ms: None,
        })
    })
}

/// The call was not made at all: its values or its record could not be read.
fn not_prepared(error: &JournalError) -> Fault {
    Fault {
        class: FailureClass::Retryable,
        blame: Blame::Host,
        code: "store.unreadable".to_owned(),
        message: format!("the call was not made: {error}"),
        retry_after_ms: None,
    }
}
