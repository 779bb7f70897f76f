//! What every route shares: the engine, the ports and the counters. Built once by the host; decides nothing.

use crate::ages::Ages;
use crate::ca::Pin;
use crate::limits::{MAX_ENDED, MAX_STREAMS_PER_IDENTITY, MAX_WAITS_PER_IDENTITY};
use crate::ports::Administration;
use crate::problem::{Kind, Problem};
use crate::throttle::Throttle;
use keybaton_engine::Engine;
use keybaton_engine::ports::audit::{AuditEntry, AuditLog, Verdict};
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::identities::{Enrolment, Identities, Identity};
use keybaton_engine::ports::proposals::Proposals;
use keybaton_protocol::ids::Millis;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long identities live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// A consumer's bearer token, in seconds. Renewed at a third of it, so that a host that is down for most of it
    /// locks nobody out.
    pub consumer_s: u64,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { consumer_s: 3 * 24 * 3_600 }
    }
}

/// What the API is built of.
pub struct Parts {
    /// The engine.
    pub engine: Engine,
    /// Who may call.
    pub identities: Arc<dyn Identities>,
    /// Words of people that wait for somebody else's approval.
    pub proposals: Arc<dyn Proposals>,
    /// The host's own business.
    pub administration: Arc<dyn Administration>,
    /// The audit log.
    pub audit: Arc<dyn AuditLog>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The pin of the host's authority, for enrolment tokens.
    pub pin: Pin,
    /// The authority's certificate, PEM.
    pub ca_pem: String,
    /// How long identities live.
    pub lifetimes: Lifetimes,
}

/// Shared by all routes. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    throttle: Throttle,
    ages: Ages,
    held: Mutex<HashMap<(Open, String), usize>>,
    /// Held while a word is kept: of two, each must see the other when it looks for room.
    proposals: tokio::sync::Mutex<()>,
    /// Held while operators are added or removed: of two, each must not take the other for the last one.
    operators: tokio::sync::Mutex<()>,
    stopping: watch::Sender<bool>,
    /// Identities that were withdrawn or superseded in this process; whoever waits on behalf of one is told.
    ended: watch::Sender<HashSet<String>>,
}

/// Where a request came from; put on every request by the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Over the network.
    Remote(IpAddr),
    /// Over the Unix socket, which only the host's own user can open.
    Local,
}

impl Peer {
    /// The address that failed authentications count against.
    #[must_use]
    pub fn address(self) -> IpAddr {
        match self {
            Self::Remote(address) => address,
            Self::Local => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Remote(address) => write!(f, "{address}"),
            Self::Local => f.write_str("local"),
        }
    }
}

impl Context {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let inner = Inner {
            parts,
            throttle: Throttle::default(),
            ages: Ages::default(),
            held: Mutex::default(),
            proposals: tokio::sync::Mutex::default(),
            operators: tokio::sync::Mutex::default(),
            stopping: watch::Sender::new(false),
            ended: watch::Sender::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.inner.parts
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.parts.engine
    }

    /// Nobody else adds to what waits for an approval meanwhile.
    pub(crate) async fn proposals_alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.proposals.lock().await
    }

    /// Nobody else changes who the operators are meanwhile.
    pub(crate) async fn operators_alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.operators.lock().await
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.inner.throttle
    }

    /// The date.
    pub(crate) fn now(&self) -> Millis {
        self.inner.parts.clock.wall()
    }

    /// What has passed since some instant of this process's life, whatever the date is set to.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        self.inner.parts.clock.elapsed_ms()
    }

    /// Remembers since when an enrolment is there.
    pub(crate) fn enrolment_made(&self, id: &str, at: Millis) {
        self.inner.ages.begin(id, at, self.elapsed_ms());
    }

    /// The date by which an enrolment is judged: the one that it would be if nobody had set the clock since it was made
    /// here, or today's, if another process made it.
    pub(crate) fn enrolment_date(&self, id: &str) -> Millis {
        self.inner.ages.date(id, self.elapsed_ms()).unwrap_or_else(|| self.now())
    }

    /// Enrolments that can still be used.
    pub(crate) async fn open_enrolments(&self) -> Result<Vec<Enrolment>, Problem> {
        let unused = self.parts().identities.enrolments().await?;
        Ok(unused.into_iter().filter(|one| one.is_good(self.enrolment_date(&one.id))).collect())
    }

    /// Ends every stream of events, so that a shutdown does not wait for them.
    pub fn stop(&self) {
        self.inner.stopping.send_replace(true);
    }

    /// Becomes true when streams are to end.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.inner.stopping.subscribe()
    }

    /// An identity is good no longer: whatever waits on its behalf ends now, before it is given anything.
    pub(crate) fn ended(&self, id: &str) {
        self.throttle().forget(id);
        self.inner.ended.send_modify(|ended| {
            if ended.len() >= MAX_ENDED {
                ended.clear();
            }
            ended.insert(id.to_owned());
        });
    }

    /// Answers once the identity is good no longer.
    pub(crate) async fn until_ended(&self, identity: &Identity) {
        let mut ended = self.inner.ended.subscribe();
        let expired = async {
            match identity.expires_at {
                Some(end) => tokio::time::sleep(Duration::from_millis(end.since(self.now()))).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = expired => {}
            // The sender lives as long as this context does.
            _ = ended.wait_for(|ended| ended.contains(&identity.id)) => {}
        }
    }

    /// Counts something that stays open against its identity.
    ///
    /// # Errors
    /// The identity holds as many as it may.
    pub(crate) fn hold_open(&self, what: Open, id: &str) -> Result<OpenSlot, Problem> {
        let key = (what, id.to_owned());
        let mut held = self.inner.held.lock().unwrap_or_else(PoisonError::into_inner);
        let open = held.entry(key.clone()).or_default();
        let (most, name) = match what {
            Open::Stream => (MAX_STREAMS_PER_IDENTITY, "holds too many streams open"),
            Open::Wait => (MAX_WAITS_PER_IDENTITY, "has too many fetches waiting"),
        };
        if *open >= most {
            return Err(Problem::new(Kind::Overloaded, format!("this identity {name}"))
                .help("close some, or enrol each replica on its own"));
        }
        *open += 1;
        Ok(OpenSlot { context: self.clone(), key })
    }

    /// Carries out something that is to be audited: records that it was asked, does it on a task of its own (a client
    /// that goes away cuts nothing in half), records what came of it.
    ///
    /// # Errors
    /// The problem of the work itself; or that the audit log took no entry, and then nothing was done.
    pub(crate) async fn audited<T: Send + 'static>(
        &self,
        entry: AuditEntry,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        self.parts().audit.record(entry.clone()).await.map_err(|error| {
            Problem::new(Kind::Unavailable, format!("the audit log takes no entry ({error}); nothing was done"))
        })?;
        let context = self.clone();
        let done = tokio::spawn(async move {
            let outcome = work.await;
            let verdict = match &outcome {
                Ok(_) => Verdict::Done,
                Err(problem) => Verdict::Refused(problem.kind().name().to_owned()),
            };
            let action = entry.action.clone();
            let after = AuditEntry { at: context.now(), verdict, ..entry };
            if let Err(error) = context.parts().audit.record(after).await {
                tracing::error!(action, %error, "the audit log took no outcome; the request itself is on record");
            }
            outcome
        });
        done.await.unwrap_or_else(|_| Err(Problem::new(Kind::Internal, "the request ended in a panic")))
    }
}

/// What may be held open by an identity, each counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Open {
    /// A stream of events.
    Stream,
    /// A fetch that waits for news.
    Wait,
}

/// Something that is open; given back on drop.
pub(crate) struct OpenSlot {
    context: Context,
    key: (Open, String),
}

impl Drop for OpenSlot {
    fn drop(&mut self) {
        let mut held = self.context.inner.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = held.get_mut(&self.key) {
            *open -= 1;
            if *open == 0 {
                held.remove(&self.key);
            }
        }
    }
}
