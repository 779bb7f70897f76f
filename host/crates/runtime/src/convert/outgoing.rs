//! What a plugin is told: the context, the target with its generations, and handles.

use crate::bindings::keybaton::rotator::types::{Context, Generation, Target, ValueRef};
use crate::record::Break;
use crate::secret::Held;
use crate::state::CallState;
use keybaton_engine::ports::rotator::{CallRequest, Known};
use keybaton_protocol::ids::{Millis, Place};
use wasmtime::component::Resource;

/// The arguments of a call, as the bindings take them.
pub(crate) struct Arguments {
    pub(crate) context: Context,
    pub(crate) target: Target,
    pub(crate) offered: Vec<(String, String)>,
    pub(crate) secrets: Vec<Resource<Held>>,
}

/// Builds them, with the values as owned handles in the state's table.
pub(crate) fn arguments(request: CallRequest, now: Millis, state: &mut CallState) -> Result<Arguments, Break> {
    let mut secrets = Vec::with_capacity(request.values.len());
    let mut values = Vec::with_capacity(request.values.len());
    for (index, value) in request.values.into_iter().enumerate() {
        let generation = value.generation;
        secrets.push(state.give_secret(Held::new(value.bytes, value.label, Some(generation)))?);
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        values.push(ValueRef { generation: generation.0, field: value.field, index });
    }
    let context = Context {
        operation: request.operation.as_str().to_owned(),
        attempt: request.attempt,
        remaining_ms: request.deadline.since(now),
        generation: request.generation.0,
        id: request.id.map(|id| id.as_str().to_owned()),
    };
    let place = (request.place != Place::only()).then(|| request.place.as_str().to_owned());
    let target = Target {
        id: request.target,
        place,
        settings: request.settings,
        generations: request.known.into_iter().map(generation).collect(),
        values,
    };
    Ok(Arguments { context, target, offered: request.offered, secrets })
}

fn generation(known: Known) -> Generation {
    Generation {
        number: Some(known.generation.0),
        id: known.id.map(|id| id.as_str().to_owned()),
        slot: known.slot,
        role: known.role.to_owned(),
        state: "unknown".to_owned(),
        created_unix: None,
        expires_unix: None,
        last_used_unix: None,
        live_uses: None,
        attributes: known.attributes,
        facts: known.facts,
    }
}
