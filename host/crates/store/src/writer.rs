//! The one thread that writes. It takes what is waiting, runs it in one transaction and syncs once; answers go out only
//! after the commit. One piece of work that fails takes nothing else with it.

use crate::clock::Clock;
use crate::crypto::Integrity;
use crate::error::StoreError;
use crate::kek::Kek;
use crate::state::State;
use crate::tx::Tx;
use rusqlite::Connection;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Work that may wait for the writer; more waits outside, in its callers.
const QUEUE_MAX: usize = 1024;
/// Work that shares one commit.
const BATCH_MAX: usize = 512;
/// After this long without work, erased values are cut out of the write-ahead log.
const IDLE: Duration = Duration::from_secs(1);
/// Longest time that they may stay there while the store is busy; the log is then written anew from its beginning.
const ERASED_IN_LOG_MAX: Duration = Duration::from_secs(10);

/// The key-encryption key, exchanged by `rewrap`.
pub(crate) type SharedKek = Arc<RwLock<Arc<Kek>>>;

trait Work: Send {
    /// Runs within the transaction; again, if other work spoiled it.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError>;
    /// Answers, after the commit or its failure.
    fn finish(self: Box<Self>, failed: Option<StoreError>);
}

struct Call<T, F> {
    run: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send> Work for Call<T, F> {
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        self.value = Some((self.run)(tx)?);
        Ok(())
    }

    fn finish(self: Box<Self>, failed: Option<StoreError>) {
        let answer = match (failed, self.value) {
            (None, Some(value)) => Ok(value),
            (failed, _) => Err(failed.unwrap_or(StoreError::Closed)),
        };
        // Nobody may be waiting any more; what was committed stays.
        drop(self.reply.send(answer));
    }
}

type Queued = (Box<dyn Work>, OwnedSemaphorePermit);

/// Work that is committed and not answered yet; answered when it is dropped, wherever that happens.
struct Committed(Vec<Queued>);

impl Drop for Committed {
    fn drop(&mut self) {
        self.0.drain(..).for_each(|(work, _room)| work.finish(None));
    }
}

/// Answers at most this many are given by the writer itself.
const ANSWERED_HERE_MAX: usize = 2;

impl Committed {
    /// Waking a runtime from outside costs a system call for each answer; waking it once, and answering from within,
    /// costs one for all. A runtime that has ended drops what it is given, which answers as well.
    fn answer(self, runtime: Option<&Handle>) {
        match runtime {
            Some(runtime) if self.0.len() > ANSWERED_HERE_MAX => drop(runtime.spawn(async move { drop(self) })),
            _ => drop(self),
        }
    }
}

type Submitted = (Job, OwnedSemaphorePermit);

enum Job {
    Shared(Box<dyn Work>),
    Alone(Box<dyn FnOnce(&mut Writer) + Send>),
}

/// The way to the writer thread.
pub(crate) struct WriterHandle {
    jobs: Option<Sender<Submitted>>,
    room: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl WriterHandle {
    pub(crate) fn start(writer: Writer) -> Result<Self, StoreError> {
        let (jobs, inbox) = channel();
        let thread = std::thread::Builder::new()
            .name("keybaton-store-writer".to_owned())
            .spawn(move || writer.serve(&inbox))
            .map_err(StoreError::io("start the writer of", "keybaton.db"))?;
        Ok(Self { jobs: Some(jobs), room: Arc::new(Semaphore::new(QUEUE_MAX)), thread: Some(thread) })
    }

    /// Runs `run` in a transaction that it may share. `run` must be repeatable, and must refuse (as a value) only
    /// before it has written anything: an error undoes and repeats the transaction without it.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        run: impl FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.submit(Job::Shared(Box::new(Call { run, value: None, reply }))).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs `run` between two transactions, with the writer to itself.
    pub(crate) async fn alone<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.submit(Job::Alone(Box::new(move |writer| drop(reply.send(run(writer)))))).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn submit(&self, job: Job) -> Result<(), StoreError> {
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send((job, room)).map_err(|_| StoreError::Closed)
    }
}

impl Drop for WriterHandle {
    /// What was submitted is still committed and answered.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer had died");
        }
    }
}

/// The writer thread's own.
pub(crate) struct Writer {
    pub(crate) conn: Connection,
    pub(crate) keys: Arc<Integrity>,
    pub(crate) kek: SharedKek,
    pub(crate) state: State,
    clock: Clock,
    erased: bool,
    cut_at: Instant,
    /// Where the store was opened, if that was within a runtime.
    runtime: Option<Handle>,
}

impl Writer {
    pub(crate) fn new(conn: Connection, keys: Arc<Integrity>, kek: SharedKek, state: State) -> Self {
        let clock = Clock::start(state.clock_ms);
        Self {
            conn,
            keys,
            kek,
            state,
            clock,
            erased: false,
            cut_at: Instant::now(),
            runtime: Handle::try_current().ok(),
        }
    }

    fn serve(mut self, inbox: &Receiver<Submitted>) {
        loop {
            let first = match inbox.recv_timeout(IDLE) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => {
                    self.forget();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut batch = Vec::new();
            self.gather(first, inbox, &mut batch);
            self.commit(batch);
            if self.cut_at.elapsed() >= ERASED_IN_LOG_MAX {
                self.forget();
            }
        }
        self.forget();
    }

    /// Takes what is waiting, as far as it can share a commit; what cannot is run between two.
    fn gather(&mut self, first: Submitted, inbox: &Receiver<Submitted>, batch: &mut Vec<Queued>) {
        let mut next = Some(first);
        while let Some((job, room)) = next {
            match job {
                Job::Shared(work) => batch.push((work, room)),
                Job::Alone(run) => {
                    self.commit(std::mem::take(batch));
                    run(self);
                }
            }
            next = if batch.len() < BATCH_MAX { inbox.try_recv().ok() } else { None };
        }
    }

    fn commit(&mut self, mut batch: Vec<Queued>) {
        while !batch.is_empty() {
            match self.transaction(&mut batch) {
                Ok(()) => {
                    Committed(batch).answer(self.runtime.as_ref());
                    return;
                }
                Err((Some(spoiler), error)) => batch.swap_remove(spoiler).0.finish(Some(error)),
                Err((None, error)) => {
                    tracing::error!(error = %error.for_ports(), "a commit failed; nothing of it was kept");
                    batch.into_iter().for_each(|(work, _room)| work.finish(Some(error.shared())));
                    return;
                }
            }
        }
    }

    /// One transaction; on failure nothing is kept, and the index says whose failure it was, if anybody's.
    fn transaction(&mut self, batch: &mut [Queued]) -> Result<(), (Option<usize>, StoreError)> {
        let kek = Arc::clone(&self.kek.read().expect("no holder of the key panics while it exchanges it"));
        let before = self.state.clone();
        let changes = self.conn.total_changes();
        let outcome = self.attempt(batch, &kek, changes);
        if outcome.is_err() {
            self.state = before;
            if !self.conn.is_autocommit()
                && let Err(error) = self.conn.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "a transaction could not be rolled back");
            }
        }
        outcome
    }

    fn attempt(&mut self, batch: &mut [Queued], kek: &Kek, changes: u64) -> Result<(), (Option<usize>, StoreError)> {
        let nobody = |error: StoreError| (None, error);
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(|error| nobody(error.into()))?;
        let now_ms = self.clock.now(self.state.clock_ms);
        self.state.clock_ms = now_ms;
        for (index, (work, _)) in batch.iter_mut().enumerate() {
            let mut tx = Tx {
                conn: &self.conn,
                keys: &self.keys,
                kek,
                state: &mut self.state,
                now_ms,
                erased: &mut self.erased,
            };
            work.run(&mut tx).map_err(|error| (Some(index), error))?;
        }
        if self.conn.total_changes() == changes {
            return self.conn.execute_batch("ROLLBACK").map_err(|error| nobody(error.into()));
        }
        self.state.save(&self.conn, &self.keys).map_err(nobody)?;
        self.conn.execute_batch("COMMIT").map_err(|error| nobody(error.into()))
    }

    /// After an erasure, moves everything out of the write-ahead log and cuts it off: it still held the wrapped keys.
    /// A reader in the way only delays that to the next time.
    fn forget(&mut self) {
        if self.erased && self.cut_log() {
            self.erased = false;
        }
    }

    /// Moves everything into the database and cuts the log off. `false` where a reader was in the way: nothing is lost,
    /// and nothing was cut.
    pub(crate) fn cut_log(&mut self) -> bool {
        self.cut_at = Instant::now();
        let busy = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        matches!(busy, Ok(0))
    }
}
