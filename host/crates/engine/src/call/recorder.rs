//! Puts every host call of a running plugin call on record through the secret's actor, and answers resumed ones from it.

use crate::actor::{Fact, Item};
use crate::board::SecretId;
use crate::ports::journal::{Reply, Wanted};
use crate::ports::rotator::{CallRecorder, RecordError, RecordedReply, Until};
use crate::ports::secret::Seal;
use crate::shared::Shared;
use async_trait::async_trait;
use keybaton_protocol::event::{Event, HostAnswer};
use keybaton_protocol::ids::{CallId, Digest, Generation, Millis, Ordinal, SealLabel, SecretName};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The recorder of one plugin call.
pub(super) struct Recorder {
    pub(super) shared: Arc<Shared>,
    pub(super) id: SecretId,
    pub(super) name: Arc<SecretName>,
    pub(super) call: CallId,
    pub(super) generation: Generation,
    /// What earlier calls of the same step were answered; newest first where several answer one ordinal.
    pub(super) earlier: HashMap<Ordinal, Reply>,
}

impl Recorder {
    async fn fact(&self, event: Event, fact: Fact) -> Result<(), RecordError> {
        let (done, told) = oneshot::channel();
        let fact = Fact { events: vec![event], done: Some(done), ..fact };
        self.shared.deliver(self.id, Item::Fact(fact)).await;
        told.await.unwrap_or_else(|_| Err(RecordError::Unavailable("the engine has ended".to_owned())))
    }

    /// What a host call on record yielded.
    async fn yielded(&self, labels: Vec<SealLabel>) -> Result<Vec<Seal>, RecordError> {
        if labels.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = Wanted { generation: self.generation, labels: labels.clone(), salt: false };
        let opened = self.shared.journal.open(&self.name, vec![wanted]).await;
        let opened = opened.map_err(|error| RecordError::Unavailable(error.to_string()))?;
        let values = opened.into_iter().flat_map(|one| one.values);
        Ok(labels.into_iter().zip(values).map(|(label, bytes)| Seal { label, bytes }).collect())
    }
}

#[async_trait]
impl CallRecorder for Recorder {
    async fn recorded(&self, ordinal: Ordinal, request: Digest) -> Result<Option<RecordedReply>, RecordError> {
        let Some(reply) = self.earlier.get(&ordinal) else { return Ok(None) };
        if reply.request != request {
            return Err(RecordError::Mismatch { ordinal });
        }
        let (labels, body) = open_envelope(&reply.body).ok_or_else(|| {
            RecordError::Unavailable(format!("the reply on record for host call {} is damaged", ordinal.0))
        })?;
        Ok(Some(RecordedReply { body: body.to_vec(), seals: self.yielded(labels).await? }))
    }

    async fn sent(&self, ordinal: Ordinal, request: Digest, for_ms: u64, summary: &str) -> Result<(), RecordError> {
        tracing::debug!(ordinal = ordinal.0, summary, "a host call leaves");
        // Its deadline is reckoned from the instant at which it goes on record.
        let event = Event::Sent { call: self.call, ordinal, request, deadline: Millis(0) };
        self.fact(event, Fact { leaves: Some(for_ms), ..Fact::empty() }).await
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
        let body = envelope(&seals, &reply);
        let reply = Reply { call: self.call, ordinal, request, body };
        let event = Event::Answered { call: self.call, ordinal, request, answer };
        let seals: Vec<_> = seals.into_iter().map(|seal| (self.generation, seal)).collect();
        // Only an answer can be given again; what was lost or not done is asked anew.
        let replies = if answer == HostAnswer::Answered { vec![reply] } else { Vec::new() };
        if until == Until::InLine {
            // Whatever the guest makes of it reaches the target, or the journal, through the same mailbox after it. If
            // the host dies before it is written, the call counts as not answered, as it would have a moment earlier.
            let fact = Fact { events: vec![event], seals, replies, patient: true, ..Fact::empty() };
            self.shared.deliver(self.id, Item::Fact(fact)).await;
            return Ok(());
        }
        self.fact(event, Fact { seals, replies, ..Fact::empty() }).await
    }
}

/// The version of the envelope around a recorded reply.
const ENVELOPE: u8 = 1;

/// `1`, the number of labels (`u16`, big-endian), each label with its length (`u8`), then the runtime's body.
fn envelope(seals: &[Seal], body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(3 + body.len() + 32 * seals.len());
    out.push(ENVELOPE);
    out.extend_from_slice(&u16::try_from(seals.len()).unwrap_or(u16::MAX).to_be_bytes());
    for seal in seals {
        let label = seal.label.as_str().as_bytes();
        // Labels have at most 128 bytes.
        out.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(label);
    }
    out.extend_from_slice(body);
    out
}

fn open_envelope(bytes: &[u8]) -> Option<(Vec<SealLabel>, &[u8])> {
    let (&version, rest) = bytes.split_first()?;
    let (count, mut rest) = rest.split_at_checked(2)?;
    if version != ENVELOPE {
        return None;
    }
    let count = u16::from_be_bytes([count[0], count[1]]);
    let mut labels = Vec::new();
    for _ in 0..count {
        let (&length, after) = rest.split_first()?;
        let (label, after) = after.split_at_checked(usize::from(length))?;
        labels.push(std::str::from_utf8(label).ok()?.parse().ok()?);
        rest = after;
    }
    Some((labels, rest))
}

#[cfg(test)]
mod tests {
    use super::{envelope, open_envelope};
    use crate::ports::secret::{Seal, SecretBytes};

    #[test]
    fn an_envelope_gives_back_labels_and_body_and_refuses_what_is_cut_short() {
        let seals: Vec<_> = ["call-1/0/password", "call-1/0/key"]
            .iter()
            .map(|label| Seal { label: label.parse().unwrap(), bytes: SecretBytes::new(b"hidden".to_vec()) })
            .collect();
        let bytes = envelope(&seals, b"body");
        let (labels, body) = open_envelope(&bytes).unwrap();
        assert_eq!(
            labels.iter().map(|label| label.as_str()).collect::<Vec<_>>(),
            ["call-1/0/password", "call-1/0/key"]
        );
        assert_eq!(body, b"body");
        assert!(!bytes.windows(6).any(|part| part == b"hidden"));
        for cut in 0..bytes.len() - body.len() {
            assert!(open_envelope(&bytes[..cut]).is_none(), "cut at {cut}");
        }
        assert!(open_envelope(&[2, 0, 0]).is_none(), "another version");
    }
}
