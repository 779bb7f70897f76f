//! Reading, on threads with connections of their own: what is seen is committed, and does not hold up the writer.

use crate::chain;
use crate::crypto::Integrity;
use crate::error::StoreError;
use crate::kek::Kek;
use crate::writer::SharedKek;
use keybaton_protocol::ids::SecretName;
use rusqlite::Connection;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Threads that read.
pub(crate) const READERS: usize = 2;
/// Reads that may wait for a thread; more waits outside, in its callers.
const QUEUE_MAX: usize = 256;
/// Reads that share one snapshot.
const SHARED_MAX: usize = 16;

/// One snapshot of the database.
pub(crate) struct View<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) keys: &'a Integrity,
    pub(crate) kek: &'a Kek,
    pub(crate) ids: &'a Ids,
}

/// Numbers of secrets that this reader has proven once: a secret keeps its number for ever.
#[derive(Default)]
pub(crate) struct Ids(RefCell<HashMap<SecretName, u64>>);

/// Numbers remembered; when there are more, all are forgotten, and proven again when next needed.
const IDS_MAX: usize = 16_384;

impl View<'_> {
    /// The number of a secret in this database, if it has a journal.
    pub(crate) fn id(&self, secret: &SecretName) -> Result<Option<u64>, StoreError> {
        if let Some(id) = self.ids.0.borrow().get(secret) {
            return Ok(Some(*id));
        }
        let Some(head) = chain::head(self.conn, self.keys, secret)? else { return Ok(None) };
        let mut ids = self.ids.0.borrow_mut();
        if ids.len() >= IDS_MAX {
            ids.clear();
        }
        ids.insert(secret.clone(), head.id);
        Ok(Some(head.id))
    }
}

type Job = (Box<dyn FnOnce(Result<View<'_>, StoreError>) + Send>, OwnedSemaphorePermit);

/// Reads that wait for a thread.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    readers: usize,
    closed: bool,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nothing panics while it holds the queue")
    }

    /// A job that nobody will take is dropped, which tells its caller.
    fn push(&self, job: Job) {
        let mut waiting = self.waiting();
        if !waiting.closed {
            waiting.jobs.push_back(job);
            self.came.notify_one();
        }
    }

    /// Takes some of what waits, or waits for something; nothing once it is closed and empty.
    fn take(&self) -> Vec<Job> {
        let waits = |waiting: &mut Waiting| waiting.jobs.is_empty() && !waiting.closed;
        let mut waiting = self.came.wait_while(self.waiting(), waits).expect("nothing panics while it holds the queue");
        let some = waiting.jobs.len().min(SHARED_MAX);
        waiting.jobs.drain(..some).collect()
    }

    fn close(&self) {
        self.waiting().closed = true;
        self.came.notify_all();
    }
}

/// One reader at work. The last one that goes, also by a panic, leaves nobody waiting.
struct AtWork<'a>(&'a Queue);

impl<'a> AtWork<'a> {
    fn at(queue: &'a Queue) -> Self {
        queue.waiting().readers += 1;
        Self(queue)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.readers -= 1;
        if waiting.readers == 0 {
            waiting.closed = true;
            waiting.jobs.clear();
        }
    }
}

/// The way to the reader threads.
pub(crate) struct Readers {
    queue: Arc<Queue>,
    room: Arc<Semaphore>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(crate) fn start(
        connections: Vec<Connection>,
        keys: &Arc<Integrity>,
        kek: &SharedKek,
    ) -> Result<Self, StoreError> {
        let queue = Arc::new(Queue::default());
        let mut threads = Vec::with_capacity(connections.len());
        for conn in connections {
            let (queue, keys, kek) = (Arc::clone(&queue), Arc::clone(keys), Arc::clone(kek));
            let thread = std::thread::Builder::new()
                .name("keybaton-store-reader".to_owned())
                .spawn(move || serve(&conn, &keys, &kek, &queue))
                .map_err(StoreError::io("start a reader of", "keybaton.db"))?;
            threads.push(thread);
        }
        let room = Arc::new(Semaphore::new(QUEUE_MAX));
        Ok(Self { queue, room, threads })
    }

    /// Runs `run` on one snapshot, on a reader thread.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        run: impl FnOnce(&View<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let job = Box::new(move |view: Result<View<'_>, StoreError>| {
            drop(reply.send(view.and_then(|view| run(&view))));
        });
        self.queue.push((job, room));
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a reader of the store had died");
            }
        }
    }
}

fn serve(conn: &Connection, keys: &Integrity, kek: &SharedKek, queue: &Queue) {
    let _at_work = AtWork::at(queue);
    let ids = Ids::default();
    loop {
        // What waits already shares the snapshot: it is taken after all of them came, so each sees what was committed
        // before it asked.
        let jobs = queue.take();
        if jobs.is_empty() {
            return;
        }
        // Held until the snapshot is given back: `rewrap` exchanges the key and the rows wrapped by it as one.
        let kek = kek.read().expect("no holder of the key panics while it exchanges it");
        match take_snapshot(conn) {
            Ok(()) => jobs.into_iter().for_each(|(job, _room)| job(Ok(View { conn, keys, kek: &kek, ids: &ids }))),
            Err(error) => {
                let error = StoreError::from(error);
                jobs.into_iter().for_each(|(job, _room)| job(Err(error.shared())));
            }
        }
        give_back(conn);
    }
}

/// Begins a transaction; its first read fixes what it sees.
fn take_snapshot(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached("BEGIN")?.execute([]).map(drop)
}

/// Ends the snapshot, if one was taken.
fn give_back(conn: &Connection) {
    if !conn.is_autocommit()
        && let Err(error) = conn.prepare_cached("ROLLBACK").and_then(|mut statement| statement.execute([]))
    {
        tracing::error!(%error, "a snapshot could not be given back");
    }
}
