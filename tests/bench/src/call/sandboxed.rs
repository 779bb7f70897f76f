//! The real plugin in the real runtime: a fresh store and instance for each call, with a record in memory.

use crate::Failure;
use crate::stats::Samples;
use crate::world::Wall;
use async_trait::async_trait;
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::rotator::{CallRecorder, CallRequest, RecordError, RecordedReply, Rotator, Until};
use keybaton_engine::ports::secret::Seal;
use keybaton_protocol::event::{HostAnswer, Outcome};
use keybaton_protocol::ids::{Digest, Generation, Ordinal, Place};
use keybaton_protocol::step::CallKind;
use keybaton_runtime::Runtime;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Keeps what is recorded, as a journal without a disk would.
#[derive(Default)]
struct Memory(Mutex<Vec<(Vec<u8>, Vec<Seal>)>>);

#[async_trait]
impl CallRecorder for Memory {
    async fn recorded(&self, _: Ordinal, _: Digest) -> Result<Option<RecordedReply>, RecordError> {
        Ok(None)
    }

    async fn sent(&self, _: Ordinal, _: Digest, _: u64, _: &str) -> Result<(), RecordError> {
        Ok(())
    }

    async fn answered(
        &self,
        _: Ordinal,
        _: Digest,
        _: HostAnswer,
        reply: Vec<u8>,
        seals: Vec<Seal>,
        _: Until,
    ) -> Result<(), RecordError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((reply, seals));
        Ok(())
    }
}

/// So many calls of `create`, one after the other.
pub(super) async fn calls(
    runtime: &Runtime,
    component: Digest,
    settings: &Value,
    times: usize,
) -> Result<Samples, Failure> {
    let settings = settings.to_string();
    let mut samples = Samples::default();
    for generation in 1..=u32::try_from(times)? {
        let record = Arc::new(Memory::default());
        let began = Instant::now();
        let outcome = runtime.call(request(component, &settings, generation)?, Arc::clone(&record) as _).await;
        samples.push(began.elapsed());
        let kept = record.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Outcome::Created(minted) if minted.fields.len() == 1 && kept.len() == 1 && kept[0].1.len() == 1 => {}
            other => return Err(format!("`create` ended with {other:?}, {} host calls on record", kept.len()).into()),
        }
    }
    Ok(samples)
}

fn request(component: Digest, settings: &str, generation: u32) -> Result<CallRequest, Failure> {
    Ok(CallRequest {
        secret: "bench/app".parse()?,
        rotation: None,
        plugin: "postgres-password".parse()?,
        component,
        kind: CallKind::Create,
        generation: Generation(generation),
        id: None,
        operation: format!("bench/app/{generation}/create").parse()?,
        attempt: 1,
        deadline: Wall.wall().plus(20_000),
        target: "main:bench".to_owned(),
        place: Place::only(),
        settings: settings.to_owned(),
        known: Vec::new(),
        values: Vec::new(),
        offered: Vec::new(),
    })
}
