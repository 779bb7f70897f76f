//! An enrolled workload's connection: requests as its identity, renewal of it, and hints from the host's stream.
//! Two processes may share one identity's directory: whoever is refused looks whether the other has renewed it.

use crate::Error;
use crate::backoff::Backoff;
use crate::encode::random_name;
use crate::events::{Event, Events};
use crate::http::Http;
use crate::identity::{Identity, Shelf, now_s};
use crate::pin::Pin;
use crate::token::{EnrolmentToken, Token};
use crate::wire::{Acknowledge, Challenge, Challenged, Changed, Delivery, EnrolRequest, Enrolled, Wait};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

const WATCH: &str = "/v1/consumer/watch";
/// Secrets whose fetches wait at the host. A connection carries only so many requests, and statements are to find room.
const MAX_WAITS: usize = 64;
/// Longest sleep between two looks at the clock: machines are suspended, and clocks are set.
const RENEWAL_CHECK: Duration = Duration::from_secs(60);

/// Shared by a client and all its secrets.
pub(crate) struct Session {
    http: Http,
    shelf: Shelf,
    identity: RwLock<Arc<Identity>>,
    pub(crate) replica: String,
    /// Drawn anew at each start: what an earlier life said counts no longer.
    pub(crate) incarnation: String,
    ears: Mutex<HashMap<String, Vec<Weak<Notify>>>>,
    waits: Arc<Semaphore>,
}

impl Session {
    /// Exchanges a single-use token for an identity and keeps it.
    pub(crate) async fn enrol(url: &str, token: &str, shelf: &Shelf) -> Result<(), Error> {
        let enrolment = EnrolmentToken::parse(token)?;
        let http = Http::new(url, enrolment.pin)?;
        let body = http.post("/v1/enrol", &EnrolRequest { token: enrolment.token.expose() }, None).await?;
        shelf.store(&received(&body, url.to_owned(), enrolment.pin)?)
    }

    pub(crate) fn open(shelf: Shelf, replica: String) -> Result<Self, Error> {
        let identity = shelf.load()?;
        Ok(Self {
            http: Http::new(&identity.url, identity.pin)?,
            shelf,
            identity: RwLock::new(Arc::new(identity)),
            replica,
            incarnation: random_name()?,
            ears: Mutex::default(),
            waits: Arc::new(Semaphore::new(MAX_WAITS)),
        })
    }

    pub(crate) fn identity(&self) -> Arc<Identity> {
        self.identity.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Leave for one secret's fetches to wait at the host; the others are fetched when a hint comes and from time to time.
    pub(crate) fn may_wait(&self) -> Option<OwnedSemaphorePermit> {
        self.waits.clone().try_acquire_owned().ok()
    }

    /// What may be held now; with `wait`, once there is news for whoever knows that.
    pub(crate) async fn fetch(&self, secret: &str, wait: Option<Wait>) -> Result<Delivery, Error> {
        let path = format!("/v1/consumer/secrets/{secret}");
        let mut query = vec![("replica", self.replica.clone()), ("incarnation", self.incarnation.clone())];
        if let Some(wait) = wait {
            let holds = wait.holds.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            query.extend([("wait_ms", wait.at_most.as_millis().to_string()), ("holds", holds)]);
            query.extend(wait.uses.map(|uses| ("uses", uses.to_string())));
        }
        let identity = self.identity();
        let body = match self.http.get(&path, &query, &identity.token).await {
            Err(error) if error.is_unauthenticated() => {
                let renewed = self.reload(&identity).ok_or(error)?;
                self.http.get(&path, &query, &renewed.token).await?
            }
            other => other?,
        };
        Delivery::parse(&body)
    }

    pub(crate) async fn challenge(&self, challenge: Challenge<'_>) -> Result<Challenged, Error> {
        let body = self.post("/v1/consumer/challenge", &challenge).await?;
        serde_json::from_slice(&body).map_err(|_| Error::Answer("a challenge"))
    }

    pub(crate) async fn acknowledge(&self, statement: &Acknowledge<'_>) -> Result<(), Error> {
        self.post("/v1/consumer/acknowledge", statement).await.map(drop)
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, Error> {
        let identity = self.identity();
        match self.http.post(path, body, Some(&identity.token)).await {
            Err(error) if error.is_unauthenticated() => {
                let renewed = self.reload(&identity).ok_or(error)?;
                self.http.post(path, body, Some(&renewed.token)).await
            }
            other => other,
        }
    }

    /// The identity on disk, if it is another one than was refused: a process beside this one has renewed it.
    fn reload(&self, refused: &Identity) -> Option<Arc<Identity>> {
        let found = self.shelf.load().ok().filter(|found| found.token.expose() != refused.token.expose())?;
        let found = Arc::new(found);
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = found.clone();
        Some(found)
    }

    /// Renews the identity. The new one is used only once it is on disk: its first use ends the old one.
    async fn renew(&self) -> Result<(), Error> {
        let old = self.identity();
        if self.reload(&old).is_some_and(|found| found.renew_in_s() > 0) {
            return Ok(());
        }
        let old = self.identity();
        let body = self.http.post("/v1/renew", &serde_json::json!({}), Some(&old.token)).await?;
        let new = received(&body, old.url.clone(), old.pin)?;
        self.shelf.store(&new)?;
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(())
    }

    /// Keeps the identity renewed, for ever.
    pub(crate) async fn keep_renewed(self: Arc<Self>) {
        let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(300));
        loop {
            let left = Duration::from_secs(self.identity().renew_in_s());
            if !left.is_zero() {
                tokio::time::sleep(left.min(RENEWAL_CHECK)).await;
                continue;
            }
            match self.renew().await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    let pause = backoff.pause();
                    tracing::warn!(%error, retry_in_ms = pause.as_millis(), "the identity could not be renewed yet");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Listens for hints, for ever; whoever waits for a secret is woken. Polling goes on beside it.
    pub(crate) async fn keep_watching(self: Arc<Self>) {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
        loop {
            match self.watch(&mut backoff).await {
                Ok(()) => tracing::debug!("the host ended the stream; coming back"),
                Err(error) => tracing::debug!(%error, "no stream from the host; polling meanwhile"),
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    async fn watch(&self, backoff: &mut Backoff) -> Result<(), Error> {
        let identity = self.identity();
        let response = match self.http.stream(WATCH, &identity.token).await {
            Err(error) if error.is_unauthenticated() => {
                let renewed = self.reload(&identity).ok_or(error)?;
                self.http.stream(WATCH, &renewed.token).await?
            }
            other => other?,
        };
        let mut events = Events::new(response);
        while let Some(Event { name, data }) = events.next().await? {
            backoff.reset();
            match name.as_str() {
                "changed" => match serde_json::from_str::<Changed>(&data) {
                    Ok(changed) => self.wake(Some(&changed.secret)),
                    Err(_) => self.wake(None),
                },
                // `open`, and whatever a newer host says: looking once more is never wrong.
                _ => self.wake(None),
            }
        }
        Ok(())
    }

    /// Is to be woken when the host says that this secret changed.
    pub(crate) fn listen(&self, secret: &str, ear: &Arc<Notify>) {
        let mut ears = self.ears.lock().unwrap_or_else(PoisonError::into_inner);
        let of_secret = ears.entry(secret.to_owned()).or_default();
        of_secret.retain(|ear| ear.strong_count() > 0);
        of_secret.push(Arc::downgrade(ear));
    }

    fn wake(&self, secret: Option<&str>) {
        let ears = self.ears.lock().unwrap_or_else(PoisonError::into_inner);
        let named = ears.iter().filter(|(name, _)| secret.is_none_or(|secret| secret == name.as_str()));
        named.flat_map(|(_, ears)| ears).filter_map(Weak::upgrade).for_each(|ear| ear.notify_one());
    }
}

fn received(body: &[u8], url: String, pin: Pin) -> Result<Identity, Error> {
    let enrolled: Enrolled<'_> = serde_json::from_slice(body).map_err(|_| Error::Answer("an identity"))?;
    Ok(Identity {
        url,
        pin,
        consumer: enrolled.consumer,
        token: Token::new(enrolled.token),
        received_at_s: now_s(),
        renew_in_s: enrolled.renew_in_s,
    })
}
