//! A secret in the workload's hands: what to use now, what to fall over to, and how the host is told.

use crate::Error;
use crate::client::Client;
use crate::credential::Credential;
use crate::held::Held;
use crate::trial::{Trial, TrialFailure, trial};
use crate::worker::{Calls, Worker};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Pause between two rounds over all candidates: at a target with one slot both may be refused for an instant.
const ROUND_PAUSE: Duration = Duration::from_millis(100);
/// Rounds over all candidates.
const ROUNDS: u32 = 3;
/// How long a newer delivery is waited for when every candidate was refused.
const REFRESH_WAIT: Duration = Duration::from_secs(3);

/// What an operation with a credential came to, if it failed.
#[derive(Debug)]
pub enum Failed<E> {
    /// The target refused the credential: the next one is tried.
    Refused(E),
    /// Something else: answered to the caller as it is.
    Other(E),
}

/// Why [`Secret::with_fallback`] failed.
#[derive(Debug, thiserror::Error)]
pub enum FallbackError<E> {
    /// Nothing is held yet.
    #[error("no credential of {0} is held yet")]
    NoCredential(String),
    /// The target refused every credential that is held; this is what it said to the last.
    #[error("the target refuses every credential that is held")]
    Refused(#[source] E),
    /// The operation failed for another reason.
    #[error(transparent)]
    Other(E),
}

/// A secret about to be opened.
#[must_use = "nothing is fetched before it is opened"]
pub struct SecretBuilder {
    client: Client,
    name: String,
    trial: Option<Trial>,
}

impl SecretBuilder {
    pub(crate) fn new(client: Client, name: &str) -> Self {
        Self { client, name: name.to_owned(), trial: None }
    }

    /// How to try a credential for real: connect, authenticate, come back. It is called with pending credentials
    /// before anything depends on them, and with the new current one after the switch. With it, this replica answers
    /// with the evidence of a process that authenticated. Without it, `ready` means only that it holds the credential,
    /// and `adopted` waits until [`Secret::with_fallback`] or [`Secret::confirm_use`] tell of real use.
    pub fn try_pending<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Credential) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), TrialFailure>> + Send + 'static,
    {
        self.trial = Some(trial(callback));
        self
    }

    /// Starts fetching and answering. Does not wait for the first credential: see [`Secret::ready`].
    ///
    /// # Errors
    /// [`Error::Name`] if the name is none. Must be called within tokio.
    pub fn open(self) -> Result<Secret, Error> {
        let Self { client, name, trial } = self;
        let label = |part: &str| {
            (1..=63).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        if !name.split_once('/').is_some_and(|(namespace, name)| label(namespace) && label(name)) {
            return Err(Error::Name { what: "secret name (`namespace/name`)", text: name });
        }
        let (held, calls) = (Arc::new(Held::new()), Calls::default());
        client.session.listen(&name, &calls.ear);
        let worker = Worker::new(&client, name.clone(), held.clone(), calls.clone(), trial);
        let mut running = JoinSet::new();
        let answers = worker.answers();
        running.spawn(worker.run());
        Ok(Secret { inner: Arc::new(Inner { name, held, calls, answers, client, _running: running }) })
    }
}

/// A secret. Cheap to clone; all clones are the same one. It goes on with what it holds whatever becomes of the host.
#[derive(Clone)]
pub struct Secret {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    held: Arc<Held>,
    calls: Calls,
    answers: crate::answer::Answers,
    client: Client,
    _running: JoinSet<()>,
}

impl Secret {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The credential to use now, as the host tells this replica; `None` before the first came.
    #[must_use]
    pub fn current(&self) -> Option<Credential> {
        self.inner.held.current()
    }

    /// Every credential that is held, in the order in which they are to be tried. One that verifies what others present
    /// accepts all of them. Each is a handle: while one of an older generation lives, this replica has not adopted the
    /// new one ([`Options::old_handles`](crate::Options::old_handles)).
    #[must_use]
    pub fn candidates(&self) -> Vec<Credential> {
        self.inner.held.candidates()
    }

    /// Waits for the first credential.
    ///
    /// # Errors
    /// [`Error::NoCredential`] after `patience`; it is still fetched, so ask again.
    pub async fn ready(&self, patience: Duration) -> Result<Credential, Error> {
        let mut news = self.inner.held.news();
        let came = async {
            loop {
                if let Some(current) = self.current() {
                    return current;
                }
                if news.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(patience, came).await.map_err(|_| Error::NoCredential(self.inner.name.clone()))
    }

    /// Waits until something else is held or to be used than at the last call on this receiver.
    #[must_use]
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.held.news()
    }

    /// Does something with the credential to use; if the target refuses it, with the others. What works is remembered,
    /// and told to the host as evidence that this process uses it.
    ///
    /// # Errors
    /// [`FallbackError`]; the operation is repeated only after [`Failed::Refused`], so nothing is done twice.
    pub async fn with_fallback<T, E, F, Fut>(&self, mut operation: F) -> Result<T, FallbackError<E>>
    where
        F: FnMut(Credential) -> Fut,
        Fut: Future<Output = Result<T, Failed<E>>>,
    {
        let mut news = self.inner.held.news();
        let (mut refused, mut refusals) = (None, Vec::new());
        for round in 0..ROUNDS {
            news.mark_unchanged();
            // One handle at a time: those of the others must not look as if they were in use.
            for generation in self.inner.held.order() {
                let Some(credential) = self.inner.held.get(generation) else { continue };
                match operation(credential).await {
                    Ok(done) => {
                        self.inner.held.note_use(generation, &refusals);
                        return Ok(done);
                    }
                    Err(Failed::Other(error)) => return Err(FallbackError::Other(error)),
                    Err(Failed::Refused(error)) => {
                        refused = Some(error);
                        refusals.push(generation);
                    }
                }
            }
            if round + 1 < ROUNDS {
                self.inner.calls.refresh.notify_one();
                let wait = if round == 0 { ROUND_PAUSE } else { REFRESH_WAIT };
                let _either = tokio::time::timeout(wait, news.changed()).await;
            }
        }
        match refused {
            Some(error) => Err(FallbackError::Refused(error)),
            None => Err(FallbackError::NoCredential(self.inner.name.clone())),
        }
    }

    /// Tells that this process authenticated with a credential, where it does not go through
    /// [`Secret::with_fallback`]: a connection pool that logged in anew, say.
    pub fn confirm_use(&self, credential: &Credential) {
        self.inner.held.note_use(credential.generation(), &[]);
        self.inner.calls.ear.notify_one();
    }

    /// Cries: what was adopted does not work here after all. The host makes the previous one good again if it still
    /// can. The reason goes into its journal: put no value into it.
    ///
    /// # Errors
    /// [`Error::NotHeld`] if no rotation of that generation runs here; the host's refusal otherwise.
    pub async fn cry(&self, credential: &Credential, reason: &str) -> Result<(), Error> {
        self.inner.answers.cry(&self.inner.client.session, credential, reason).await
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.inner.name).finish_non_exhaustive()
    }
}
