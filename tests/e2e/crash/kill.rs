//! A host that kills itself: decorators around the journal's and the plugins' ports that count moments and, at the one
//! that was ordered, send this very process SIGKILL. They change nothing else, and are in no product.

use super::order::{Kill, Moment};
use async_trait::async_trait;
use keybaton_engine::ports::journal::{
    Append, Freeze, Indexed, Journal, JournalError, Lease, Opened, Recorded, Reply, Scope, Wanted,
};
use keybaton_engine::ports::rotator::{
    CallRecorder, CallRequest, Description, Finding, Profiled, RecordError, RecordedReply, Rotator,
};
use keybaton_engine::ports::secret::Seal;
use keybaton_protocol::event::{HostAnswer, Outcome};
use keybaton_protocol::fault::Fault;
use keybaton_protocol::ids::{Author, CallId, Digest, Epoch, Millis, Ordinal, PluginName, SecretName, Seq};
use rustix::process::{Signal, getpid, kill_process};
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex};

/// What a life counts, and where it ends.
pub(super) struct Fuse {
    state: Mutex<State>,
    /// Every value that a host call yielded, before anybody else has it: `hex` and a line feed each.
    seen: Mutex<File>,
}

#[derive(Default)]
struct State {
    kill: Option<Kill>,
    passed: [u64; 4],
}

impl Fuse {
    pub(super) fn new(seen: File) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), seen: Mutex::new(seen) })
    }

    /// From here on moments are counted, from 0.
    pub(super) fn arm(&self, kill: Kill) {
        *self.state.lock().unwrap() = State { kill: Some(kill), passed: [0; 4] };
    }

    /// No longer; answers how many moments of the ordered kind there were.
    pub(super) fn disarm(&self) -> u64 {
        let state = std::mem::take(&mut *self.state.lock().unwrap());
        state.kill.map_or(0, |kill| state.passed[kill.moment as usize])
    }

    fn pass(&self, moment: Moment) {
        let mut state = self.state.lock().unwrap();
        let Some(kill) = state.kill else { return };
        let nth = state.passed[moment as usize];
        state.passed[moment as usize] += 1;
        if kill == (Kill { moment, nth }) {
            kill_process(getpid(), Signal::KILL).unwrap();
            // The lock is kept: nothing else passes while the signal is on its way.
            std::thread::park();
        }
    }

    fn note(&self, seals: &[Seal]) {
        let hex = |seal: &Seal| seal.bytes.expose().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let lines: String = seals.iter().map(|seal| hex(seal) + "\n").collect();
        self.seen.lock().unwrap().write_all(lines.as_bytes()).unwrap();
    }
}

/// Any journal, in a host that ends at a write.
pub(super) struct FusedJournal {
    pub(super) inner: Arc<dyn Journal>,
    pub(super) fuse: Arc<Fuse>,
}

#[async_trait]
impl Journal for FusedJournal {
    async fn append(&self, append: Append) -> Result<Seq, JournalError> {
        self.fuse.pass(Moment::BeforeAppend);
        let seq = self.inner.append(append).await?;
        self.fuse.pass(Moment::AfterAppend);
        Ok(seq)
    }

    async fn read(&self, secret: &SecretName, after: Seq) -> Result<Vec<Recorded>, JournalError> {
        self.inner.read(secret, after).await
    }

    async fn index(&self) -> Result<Vec<Indexed>, JournalError> {
        self.inner.index().await
    }

    async fn freezes(&self) -> Result<Vec<Freeze>, JournalError> {
        self.inner.freezes().await
    }

    async fn freeze(&self, freeze: Freeze) -> Result<(), JournalError> {
        self.inner.freeze(freeze).await
    }

    async fn thaw(&self, scope: Scope, author: Author, at: Millis) -> Result<(), JournalError> {
        self.inner.thaw(scope, author, at).await
    }

    async fn replies(&self, secret: &SecretName, call: CallId) -> Result<Vec<Reply>, JournalError> {
        self.inner.replies(secret, call).await
    }

    async fn open(&self, secret: &SecretName, wanted: Vec<Wanted>) -> Result<Vec<Opened>, JournalError> {
        self.inner.open(secret, wanted).await
    }

    async fn lease(&self, secret: &SecretName, holder: &str, for_ms: u64) -> Result<Lease, JournalError> {
        self.inner.lease(secret, holder, for_ms).await
    }

    async fn epoch(&self) -> Result<Epoch, JournalError> {
        self.inner.epoch().await
    }
}

/// Any plugins, in a host that ends around a host call.
pub(super) struct FusedRotator {
    pub(super) inner: Arc<dyn Rotator>,
    pub(super) fuse: Arc<Fuse>,
}

#[async_trait]
impl Rotator for FusedRotator {
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
        let recorder = Arc::new(FusedRecorder { inner: recorder, fuse: Arc::clone(&self.fuse) });
        self.inner.call(request, recorder).await
    }
}

struct FusedRecorder {
    inner: Arc<dyn CallRecorder>,
    fuse: Arc<Fuse>,
}

#[async_trait]
impl CallRecorder for FusedRecorder {
    async fn recorded(&self, ordinal: Ordinal, request: Digest) -> Result<Option<RecordedReply>, RecordError> {
        let recorded = self.inner.recorded(ordinal, request).await?;
        if recorded.is_none() {
            self.fuse.pass(Moment::BeforeHostCall);
        }
        Ok(recorded)
    }

    async fn sent(
        &self,
        ordinal: Ordinal,
        request: Digest,
        deadline: Millis,
        summary: &str,
    ) -> Result<(), RecordError> {
        self.inner.sent(ordinal, request, deadline, summary).await?;
        self.fuse.pass(Moment::BeforeHostCall);
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
        self.fuse.note(&seals);
        self.fuse.pass(Moment::AfterHostCall);
        self.inner.answered(ordinal, request, answer, reply, seals).await
    }
}
