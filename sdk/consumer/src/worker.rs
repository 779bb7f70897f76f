//! The work behind one secret: wait at the host for news, hold what came, and answer what is asked, each ask on a task
//! of its own so that a slow trial holds nothing up. While something is asked, fetch when told or when it is time. Never
//! gives up; what is held outlives every failure.

use crate::Error;
use crate::answer::{Answers, Evidence};
use crate::backoff::Backoff;
use crate::client::{Client, Options};
use crate::held::Held;
use crate::session::Session;
use crate::trial::Trial;
use crate::wire::{Ask, Delivery, Wait};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

/// A statement that is still asked for is made anew after this long: the host may have withdrawn it.
const RESTATE: Duration = Duration::from_secs(30);
/// The host is let wait for news at most so long, and is then asked anew: it answers within half a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// At least so long between two fetches that bring nothing new.
const PAUSE: Duration = Duration::from_millis(250);
/// Asks that are answered at once; the host asks a few at most.
const MAX_ASKS: usize = 16;

pub(crate) struct Worker {
    session: Arc<Session>,
    options: Arc<Options>,
    secret: Arc<str>,
    held: Arc<Held>,
    ear: Arc<Notify>,
    refresh: Arc<Notify>,
    news: watch::Receiver<u64>,
    answers: Answers,
    running: JoinSet<Option<Evidence>>,
    asks: Vec<Asked>,
    waits: Option<OwnedSemaphorePermit>,
}

/// A request that is under way.
struct Fetching {
    asked_at: Instant,
    /// Whether the host may take its time.
    waits: bool,
    answer: Pin<Box<dyn Future<Output = Result<Delivery, Error>> + Send>>,
}

/// The host's answer to what is under way, and for ever none where nothing is.
async fn answer(fetching: &mut Option<Fetching>) -> (Fetching, Result<Delivery, Error>) {
    let answer = match fetching {
        Some(fetching) => fetching.answer.as_mut().await,
        None => std::future::pending().await,
    };
    (fetching.take().expect("it has just answered"), answer)
}

/// What has a secret fetched.
#[derive(Clone, Default)]
pub(crate) struct Calls {
    /// The host hints that there may be news, or the application has told something.
    pub(crate) ear: Arc<Notify>,
    /// The application has nothing that works.
    pub(crate) refresh: Arc<Notify>,
}

/// An ask, and how far it is.
struct Asked {
    ask: Ask,
    task: Option<Id>,
    /// When it was last answered, or given up.
    answered: Option<Instant>,
}

impl Worker {
    pub(crate) fn new(client: &Client, name: String, held: Arc<Held>, calls: Calls, trial: Option<Trial>) -> Self {
        let Calls { ear, refresh } = calls;
        let secret: Arc<str> = name.into();
        let answers = Answers::new(secret.clone(), held.clone(), trial, client.options.clone());
        Self {
            session: client.session.clone(),
            options: client.options.clone(),
            secret,
            news: held.news(),
            held,
            ear,
            refresh,
            answers,
            running: JoinSet::new(),
            asks: Vec::new(),
            waits: client.session.may_wait(),
        }
    }

    pub(crate) fn answers(&self) -> Answers {
        self.answers.clone()
    }

    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
        let mut fetching: Option<Fetching> = None;
        let (mut next, mut again) = (Instant::now(), false);
        loop {
            if fetching.is_none() && next <= Instant::now() {
                (fetching, again) = (Some(self.fetch(self.wait())), false);
            }
            self.held.expire(Instant::now());
            self.follow();
            let (idle, lease) = (fetching.is_none(), self.held.lease());
            tokio::select! {
                (fetched, answer) = answer(&mut fetching) => {
                    // What came up since it was asked is in the answer to a fetch that waits, but maybe in no other.
                    let pause = self.fetched(&fetched, answer, &mut backoff);
                    next = Instant::now() + if again && !fetched.waits { Duration::ZERO } else { pause };
                }
                () = tokio::time::sleep_until(next), if idle => {}
                () = tokio::time::sleep_until(lease.unwrap_or(next)), if lease.is_some() => {}
                () = self.ear.notified() => (next, again) = (Instant::now(), true),
                // Whoever has nothing that works is not to wait for news.
                () = self.refresh.notified() => (fetching, again) = (Some(self.fetch(None)), false),
                _ = self.news.changed() => {}
                Some(done) = self.running.join_next_with_id() => {
                    self.ended(done);
                    (next, again) = (Instant::now(), true);
                }
            }
        }
    }

    /// Asks the host; with `wait`, it may take its time.
    fn fetch(&self, wait: Option<Wait>) -> Fetching {
        let (session, secret) = (self.session.clone(), self.secret.clone());
        // The host counts a lease from when it wrote the fetch down, which is never before it was asked.
        let (asked_at, waits) = (Instant::now(), wait.is_some());
        Fetching { asked_at, waits, answer: Box::pin(async move { session.fetch(&secret, wait).await }) }
    }

    /// What the next fetch waits for, if it may: the host must not be waiting for this replica itself.
    fn wait(&self) -> Option<Wait> {
        self.waits.as_ref().and_then(|_| self.held.wait(self.renewal().min(LONGEST_WAIT)))
    }

    /// How long what is held may go without another fetch: a lease is renewed well before it ends.
    fn renewal(&self) -> Duration {
        self.held.lease_for().map_or(self.options.poll, |lease| self.options.poll.min(lease / 3))
    }

    /// Takes in what came; answers how long to pause before the next time.
    fn fetched(&mut self, fetching: &Fetching, answer: Result<Delivery, Error>, backoff: &mut Backoff) -> Duration {
        match answer {
            Ok(delivery) => {
                backoff.reset();
                let before = self.wait().map(|wait| (wait.holds, wait.uses));
                self.held.take(delivery, fetching.asked_at);
                match self.wait().map(|wait| (wait.holds, wait.uses)) {
                    None => self.renewal(),
                    // A host that answers at once though nothing is new is not asked without pause.
                    after if fetching.waits && after == before => PAUSE.saturating_sub(fetching.asked_at.elapsed()),
                    Some(_) => Duration::ZERO,
                }
            }
            Err(error) => {
                let pause = backoff.pause();
                tracing::warn!(secret = &*self.secret, %error, "not fetched; going on with what is held");
                pause
            }
        }
    }

    /// Starts an answer for every ask that has none, and forgets asks that are over.
    fn follow(&mut self) {
        let asked = self.held.asks();
        self.asks.retain(|known| asked.contains(&known.ask));
        for ask in asked.into_iter().take(MAX_ASKS) {
            let index = match self.asks.iter().position(|known| known.ask == ask) {
                Some(index) => index,
                None => {
                    self.asks.push(Asked { ask: ask.clone(), task: None, answered: None });
                    self.asks.len() - 1
                }
            };
            if is_due(&self.asks[index]) {
                let (answers, session) = (self.answers.clone(), self.session.clone());
                let task = self.running.spawn(async move { answers.answer(&session, &ask).await });
                self.asks[index].task = Some(task.id());
            }
        }
    }

    fn ended(&mut self, done: Result<(Id, Option<Evidence>), tokio::task::JoinError>) {
        let id = match done {
            Ok((id, _)) => id,
            Err(error) => {
                tracing::error!(secret = &*self.secret, "a trial panicked");
                error.id()
            }
        };
        if let Some(known) = self.asks.iter_mut().find(|known| known.task == Some(id)) {
            known.task = None;
            known.answered = Some(Instant::now());
        }
    }
}

/// Nobody answers it at the moment, and it was not answered lately.
fn is_due(known: &Asked) -> bool {
    known.task.is_none() && known.answered.is_none_or(|at| at.elapsed() >= RESTATE)
}
