//! A host that kills itself: decorators around the journal's and the plugins' ports that count moments and, at the one
//! that was ordered, send this very process SIGKILL. They change nothing else, and are in no product.
//!
//! Before a journal write, while no host call is on its way, disk and target are as they were at the moment before it:
//! after the write before that one, or after a host call. That is a moment of its own kind, so that a host which is
//! killed there has been killed here too. [`FusedJournal`] holds it to that: nothing was written in between.

use super::order::{Kill, MOMENTS, Moment};
use async_trait::async_trait;
use keybaton_engine::harness::{Answered, Around, Beside, Calls, HostCalls};
use keybaton_engine::ports::journal::{
    Append, Changes, Cursor, Indexed, Journal, JournalError, Lease, Opened, Part, Recorded, Reply, Wanted,
};
use keybaton_engine::ports::rotator::{CallRecorder, CallRequest, Rotator};
use keybaton_engine::ports::secret::Seal;
use keybaton_protocol::event::Outcome;
use keybaton_protocol::ids::{CallId, Epoch, SecretName, Seq};
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
    passed: [u64; MOMENTS.len()],
    /// Host calls that have left, or are about to, and have not been answered.
    away: u32,
    /// Where the journal ended after its last write.
    written: Option<Seq>,
}

impl Fuse {
    pub(super) fn new(seen: File) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), seen: Mutex::new(seen) })
    }

    /// From here on moments are counted, from 0.
    pub(super) fn arm(&self, kill: Kill) {
        let mut state = self.state.lock().unwrap();
        *state = State { kill: Some(kill), passed: [0; MOMENTS.len()], away: 0, written: state.written };
    }

    /// No longer; answers how many moments of the ordered kind there were.
    pub(super) fn disarm(&self) -> u64 {
        let mut state = self.state.lock().unwrap();
        state.kill.take().map_or(0, |kill| state.passed[kill.moment as usize])
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

    fn leaves(&self) {
        self.state.lock().unwrap().away += 1;
    }

    fn is_back(&self) {
        let mut state = self.state.lock().unwrap();
        state.away = state.away.saturating_sub(1);
    }

    /// Whether a host call is on its way, and where the journal ended after its last write.
    fn since(&self) -> (bool, Option<Seq>) {
        let state = self.state.lock().unwrap();
        (state.away > 0, state.written)
    }

    fn wrote(&self, seq: Seq) {
        self.state.lock().unwrap().written = Some(seq);
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

impl FusedJournal {
    /// Nobody has written since the last write that was counted. A panic would end a task, and not this life.
    async fn unmoved(&self, secret: &SecretName, written: Seq) {
        let since = self.inner.read(secret, written).await;
        if !since.as_ref().is_ok_and(Vec::is_empty) {
            eprintln!("the journal has moved on from {written:?} between two moments: {since:?}");
            std::process::abort();
        }
    }
}

#[async_trait]
impl Journal for FusedJournal {
    async fn append(&self, append: Append) -> Result<Seq, JournalError> {
        self.fuse.pass(Moment::BeforeAppend);
        let (away, written) = self.fuse.since();
        match written {
            _ if away => self.fuse.pass(Moment::AmidHostCall),
            Some(written) => self.unmoved(&append.secret, written).await,
            None => {}
        }
        let seq = self.inner.append(append).await?;
        self.fuse.wrote(seq);
        self.fuse.pass(Moment::AfterAppend);
        Ok(seq)
    }

    async fn read(&self, secret: &SecretName, after: Seq) -> Result<Vec<Recorded>, JournalError> {
        self.inner.read(secret, after).await
    }

    async fn read_settled(&self, secret: &SecretName) -> Result<Vec<Recorded>, JournalError> {
        self.inner.read_settled(secret).await
    }

    async fn page(&self, secret: &SecretName, part: Part, limit: usize) -> Result<Vec<Recorded>, JournalError> {
        self.inner.page(secret, part, limit).await
    }

    async fn index(&self) -> Result<Vec<Indexed>, JournalError> {
        self.inner.index().await
    }

    async fn replies(&self, secret: &SecretName, call: CallId) -> Result<Vec<Reply>, JournalError> {
        self.inner.replies(secret, call).await
    }

    async fn open(&self, secret: &SecretName, wanted: Vec<Wanted>) -> Result<Vec<Opened>, JournalError> {
        self.inner.open(secret, wanted).await
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    async fn changes(&self, after: Option<Cursor>) -> Result<Changes, JournalError> {
        self.inner.changes(after).await
    }

    async fn lease(&self, secret: &SecretName, holder: &str, for_ms: u64) -> Result<Lease, JournalError> {
        self.inner.lease(secret, holder, for_ms).await
    }

    async fn epoch(&self) -> Result<Epoch, JournalError> {
        self.inner.epoch().await
    }
}

/// Any plugins, in a host that ends around a host call.
pub(super) fn fused(inner: Arc<dyn Rotator>, fuse: Arc<Fuse>) -> Around<FusedCalls> {
    Around::new(inner, FusedCalls(fuse))
}

pub(super) struct FusedCalls(Arc<Fuse>);

#[async_trait]
impl Calls for FusedCalls {
    async fn call(&self, inner: &dyn Rotator, request: CallRequest, recorder: Arc<dyn CallRecorder>) -> Outcome {
        inner.call(request, Arc::new(Beside::new(recorder, FusedHostCalls(Arc::clone(&self.0))))).await
    }
}

struct FusedHostCalls(Arc<Fuse>);

#[async_trait]
impl HostCalls for FusedHostCalls {
    async fn asked(&self, on_record: bool) {
        if !on_record {
            self.0.pass(Moment::BeforeHostCall);
            self.0.leaves();
        }
    }

    /// One that has to be on record first has not left yet.
    async fn sending(&self) {
        self.0.is_back();
    }

    async fn sent(&self) {
        self.0.pass(Moment::BeforeHostCall);
        self.0.leaves();
    }

    async fn ended(&self, answered: Answered) -> Answered {
        self.0.note(&answered.seals);
        self.0.pass(Moment::AfterHostCall);
        self.0.is_back();
        answered
    }
}
