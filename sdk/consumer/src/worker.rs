//! The work behind one secret: fetch when told or when it is time, hold what came, and answer what is asked, each ask
//! on a task of its own so that a slow trial holds nothing up. Never gives up; what is held outlives every failure.

use crate::Error;
use crate::answer::{Answers, Evidence};
use crate::backoff::Backoff;
use crate::client::{Client, Options};
use crate::held::Held;
use crate::session::Session;
use crate::trial::Trial;
use crate::wire::{Ask, Delivery};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

/// A statement that is still asked for is made anew after this long: the host may have withdrawn it.
const RESTATE: Duration = Duration::from_secs(30);
/// Asks that are answered at once; the host asks a few at most.
const MAX_ASKS: usize = 16;

pub(crate) struct Worker {
    session: Arc<Session>,
    options: Arc<Options>,
    secret: Arc<str>,
    held: Arc<Held>,
    ear: Arc<Notify>,
    news: watch::Receiver<u64>,
    answers: Answers,
    running: JoinSet<Option<Evidence>>,
    asks: Vec<Asked>,
}

/// An ask, and how far it is.
struct Asked {
    ask: Ask,
    task: Option<Id>,
    /// When it was last answered, or given up.
    answered: Option<Instant>,
}

impl Worker {
    pub(crate) fn new(client: &Client, name: String, held: Arc<Held>, ear: Arc<Notify>, trial: Option<Trial>) -> Self {
        let secret: Arc<str> = name.into();
        let answers = Answers::new(secret.clone(), held.clone(), trial, client.options.clone());
        Self {
            session: client.session.clone(),
            options: client.options.clone(),
            secret,
            news: held.news(),
            held,
            ear,
            answers,
            running: JoinSet::new(),
            asks: Vec::new(),
        }
    }

    pub(crate) fn answers(&self) -> Answers {
        self.answers.clone()
    }

    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
        let mut next = Instant::now();
        loop {
            if next <= Instant::now() {
                next = Instant::now() + self.fetch(&mut backoff).await;
            }
            self.held.expire(Instant::now());
            self.follow();
            let lease = self.held.lease().unwrap_or(next);
            tokio::select! {
                () = tokio::time::sleep_until(next.min(lease)) => {}
                () = self.ear.notified() => next = Instant::now(),
                _ = self.news.changed() => {}
                Some(done) = self.running.join_next_with_id() => {
                    self.ended(done);
                    next = Instant::now();
                }
            }
        }
    }

    /// Fetches once; answers how long to wait before the next time.
    async fn fetch(&mut self, backoff: &mut Backoff) -> Duration {
        // The host counts a lease from when it wrote the fetch down, which is never before it was asked.
        let asked_at = Instant::now();
        match self.fetched().await {
            Ok(delivery) => {
                backoff.reset();
                let lease = delivery.staged_lease_ms.map(Duration::from_millis);
                self.held.take(delivery, asked_at);
                // A lease is renewed well before it ends.
                lease.map_or(self.options.poll, |lease| self.options.poll.min(lease / 3))
            }
            Err(error) => {
                let pause = backoff.pause();
                tracing::warn!(secret = &*self.secret, %error, "not fetched; going on with what is held");
                pause
            }
        }
    }

    /// The host's answer, however long it takes; a lease that runs out meanwhile is not waited with.
    async fn fetched(&self) -> Result<Delivery, Error> {
        let mut fetch = std::pin::pin!(self.session.fetch(&self.secret));
        loop {
            let lease = self.held.lease();
            tokio::select! {
                fetched = &mut fetch => return fetched,
                () = tokio::time::sleep_until(lease.unwrap_or_else(Instant::now)), if lease.is_some() => {
                    self.held.expire(Instant::now());
                }
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
