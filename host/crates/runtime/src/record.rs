//! Every host call on the record: ordinal and digest, an answer from the journal where there is one, `sent` before a
//! mutating one leaves, its outcome whether the guest lives or not. Never journals a secret; never sends unrecorded.

use crate::limits;
use crate::refusal::Refusal;
use crate::reply;
use crate::scrub::Scrubber;
use crate::secret::Held;
use aws_lc_rs::digest::{SHA256, digest};
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::rotator::{CallRecorder, RecordError, Until};
use keybaton_engine::ports::secret::Seal;
use keybaton_protocol::event::HostAnswer;
use keybaton_protocol::ids::{Digest, Millis, Ordinal, SealLabel};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// A guest call that cannot go on; ends it as a trap, with the blame in the type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Break {
    /// The guest asked for something else than it did before the crash.
    #[error("host call {0} is not the one on record: the plugin is not deterministic")]
    Mismatch(u32),
    /// The guest handed over more than it may.
    #[error("{what} exceeds its limit of {limit}")]
    Limit {
        /// Code of the fault.
        code: &'static str,
        /// What.
        what: &'static str,
        /// In its unit.
        limit: u64,
    },
    /// A handle that is not the guest's.
    #[error("the handle does not exist: {0}")]
    Forged(String),
    /// The journal did not take it: nothing more is done.
    #[error("{0}")]
    Journal(String),
}

/// What a capability yields: the answer for the guest and the record, and the secrets in it.
pub(crate) struct Yield<T> {
    pub(crate) answer: Result<T, Refusal>,
    pub(crate) secrets: Vec<Held>,
}

/// An answer that can be scrubbed of secrets, before it is recorded and before the guest sees it.
pub(crate) trait Clean {
    fn clean(&mut self, scrubber: &mut Scrubber);
}

impl<T: Clean> Yield<T> {
    fn tidy(&mut self, scrubber: &mut Scrubber) {
        for held in &self.secrets {
            scrubber.learn(held.expose());
        }
        match &mut self.answer {
            Ok(answer) => answer.clean(scrubber),
            Err(refusal) => {
                refusal.message = limits::cut(&scrubber.text(&refusal.message), limits::MESSAGE_BYTES).to_owned();
            }
        }
    }
}

impl<T> From<Result<T, Refusal>> for Yield<T> {
    fn from(answer: Result<T, Refusal>) -> Self {
        Self { answer, secrets: Vec::new() }
    }
}

/// What became of the call as a whole, shared with host calls that outlive the guest.
#[derive(Debug, Default)]
struct Fate {
    lost: Option<Refusal>,
    sent: bool,
    refused: Vec<Refusal>,
}

/// The record of one plugin call.
#[derive(Clone)]
pub(crate) struct Ledger {
    recorder: Arc<dyn CallRecorder>,
    clock: Arc<dyn Clock>,
    /// When the call's time is up, as milliseconds of the clock that nobody sets.
    ends_ms: u64,
    label_prefix: String,
    next: u32,
    most: u32,
    fate: Arc<Mutex<Fate>>,
}

/// A host call about to be made.
pub(crate) struct Entry {
    pub(crate) ordinal: Ordinal,
    digest: Digest,
}

impl Ledger {
    pub(crate) fn new(
        recorder: Arc<dyn CallRecorder>,
        clock: Arc<dyn Clock>,
        deadline: Millis,
        label_prefix: String,
        most: u32,
    ) -> Self {
        let ends_ms = clock.elapsed_ms().saturating_add(deadline.since(clock.wall()));
        Self { recorder, clock, ends_ms, label_prefix, next: 0, most, fate: Arc::default() }
    }

    /// Counts the call and looks it up. `Ok(Err)`: refused as a value.
    pub(crate) async fn begin<T: DeserializeOwned>(&mut self, request: &Canon) -> Result<Begun<T>, Break> {
        if self.next >= self.most {
            return Err(Break::Limit {
                code: "guest.host-calls",
                what: "the number of host calls",
                limit: self.most.into(),
            });
        }
        let entry = Entry { ordinal: Ordinal(self.next), digest: request.digest() };
        self.next += 1;
        match self.recorder.recorded(entry.ordinal, entry.digest).await {
            Ok(Some(recorded)) => {
                let answer =
                    reply::decode(&recorded.body).map_err(|why| Break::Journal(format!("a recorded reply: {why}")))?;
                let secrets = recorded.seals.into_iter().map(|seal| Held::new(seal.bytes, seal.label, None)).collect();
                let answered = Yield { answer, secrets };
                self.note(answered.answer.as_ref().err());
                Ok(Begun::Recorded(answered))
            }
            Ok(None) if self.remaining_ms() == 0 => {
                let late = Refusal::host("host.deadline", "the call's time is up: no further host call is made");
                self.note(Some(&late));
                Ok(Begun::Recorded(Err(late).into()))
            }
            Ok(None) => Ok(Begun::Fresh(entry)),
            Err(RecordError::Mismatch { ordinal }) => Err(Break::Mismatch(ordinal.0)),
            Err(error) => Err(Break::Journal(error.to_string())),
        }
    }

    /// Time left for a host call, in milliseconds.
    pub(crate) fn remaining_ms(&self) -> u64 {
        self.ends_ms.saturating_sub(self.clock.elapsed_ms())
    }

    /// A label for a secret of this host call, unique within the generation.
    pub(crate) fn label(&self, entry: &Entry, index: usize) -> SealLabel {
        let text = format!("{}-{}-{index}", self.label_prefix, entry.ordinal.0);
        text.parse().expect("a prefix of hex, digits and dashes, and two numbers are a label")
    }

    /// Records how a call ended that changes nothing: a read, a generated key, a refusal. What it yielded has gone
    /// nowhere yet, and can be had again: the guest does not wait for the disk.
    pub(crate) async fn settle<T: Serialize + Clean>(
        &self,
        entry: &Entry,
        yielded: Yield<T>,
        scrubber: &mut Scrubber,
    ) -> Result<Yield<T>, Break> {
        self.settle_until(entry, yielded, scrubber, Until::InLine).await
    }

    /// The same for what must not reach the guest before it is durable.
    pub(crate) async fn settle_until<T: Serialize + Clean>(
        &self,
        entry: &Entry,
        mut yielded: Yield<T>,
        scrubber: &mut Scrubber,
        until: Until,
    ) -> Result<Yield<T>, Break> {
        yielded.tidy(scrubber);
        let answer = match &yielded.answer {
            Ok(_) => HostAnswer::Answered,
            Err(refusal) if refusal.is_lost() => HostAnswer::Lost,
            Err(_) => HostAnswer::NotDone,
        };
        self.note(yielded.answer.as_ref().err());
        self.answered(entry, answer, &yielded, until).await?;
        Ok(yielded)
    }

    /// Makes a mutating call: `sent` is durable before it leaves; it runs on a task of its own, which records how it
    /// ended even when nobody waits for it any more.
    pub(crate) async fn mutate<T, F>(
        &self,
        entry: Entry,
        summary: &str,
        timeout_ms: u64,
        mut scrubber: Scrubber,
        work: F,
    ) -> Result<Yield<T>, Break>
    where
        T: Serialize + Clean + Send + Sync + 'static,
        F: Future<Output = Yield<T>> + Send + 'static,
    {
        let summary = scrubber.text(summary);
        match self.recorder.sent(entry.ordinal, entry.digest, timeout_ms, &summary).await {
            Ok(()) => self.fate().sent = true,
            Err(error) => return Err(Break::Journal(error.to_string())),
        }
        let ledger = self.clone();
        let task = tokio::spawn(async move {
            let mut yielded = work.await;
            yielded.tidy(&mut scrubber);
            ledger.note(yielded.answer.as_ref().err());
            let answer = match &yielded.answer {
                Err(refusal) if refusal.is_lost() => HostAnswer::Lost,
                Err(refusal) if refusal.class == keybaton_protocol::fault::FailureClass::Retryable => {
                    HostAnswer::NotDone
                }
                _ => HostAnswer::Answered,
            };
            // A secret that the target minted is live there: nothing goes on before it is safe here.
            let until = if yielded.secrets.is_empty() { Until::InLine } else { Until::Durable };
            ledger.answered(&entry, answer, &yielded, until).await.map(|()| yielded)
        });
        match task.await {
            Ok(Ok(yielded)) => Ok(yielded),
            Ok(Err(unrecorded)) => {
                self.note(Some(&Refusal::lost(
                    "host.unrecorded",
                    "the outcome of a call that left could not be recorded",
                )));
                Err(unrecorded)
            }
            Err(_) => {
                self.note(Some(&Refusal::lost("host.panic", "the host failed while a mutating call was under way")));
                Err(Break::Journal("a mutating host call did not end".to_owned()))
            }
        }
    }

    async fn answered<T: Serialize>(
        &self,
        entry: &Entry,
        answer: HostAnswer,
        yielded: &Yield<T>,
        until: Until,
    ) -> Result<(), Break> {
        let until = if answer == HostAnswer::Answered { until } else { Until::Durable };
        let body = reply::encode(&yielded.answer).map_err(|error| Break::Journal(error.to_string()))?;
        let seals = yielded
            .secrets
            .iter()
            .map(|held| Seal { label: held.label.clone(), bytes: held.bytes.duplicate() })
            .collect();
        self.recorder
            .answered(entry.ordinal, entry.digest, answer, body, seals, until)
            .await
            .map_err(|error| Break::Journal(error.to_string()))
    }

    fn fate(&self) -> std::sync::MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a refusal, so that the guest's own failure can be held against it.
    pub(crate) fn note(&self, refusal: Option<&Refusal>) {
        let Some(refusal) = refusal else { return };
        let mut fate = self.fate();
        if refusal.is_lost() && fate.lost.is_none() {
            fate.lost = Some(refusal.clone());
        }
        fate.refused.push(refusal.clone());
    }

    /// The first mutating call of which nobody knows how it ended.
    pub(crate) fn lost(&self) -> Option<Refusal> {
        self.fate().lost.clone()
    }

    /// Whether a mutating call has left.
    pub(crate) fn sent(&self) -> bool {
        self.fate().sent
    }

    /// What the host itself said under this code in this call, last first.
    pub(crate) fn said(&self, code: &str) -> Option<Refusal> {
        self.fate().refused.iter().rev().find(|refusal| refusal.code == code).cloned()
    }
}

/// Whether a host call is on record already.
pub(crate) enum Begun<T> {
    /// Answered by the journal, or refused: nothing is to be done.
    Recorded(Yield<T>),
    /// To be made.
    Fresh(Entry),
}

/// Canonical bytes of a request: length-prefixed, secrets by label, nothing that changes from attempt to attempt.
#[derive(Default)]
pub(crate) struct Canon(Vec<u8>);

impl Canon {
    pub(crate) fn of(call: &str) -> Self {
        Self::default().text(call)
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn digest(&self) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, &self.0).as_ref());
        Digest(bytes)
    }
}
