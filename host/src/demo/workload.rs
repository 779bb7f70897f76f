//! The demo's workloads: the client SDK as an application would use it, querying without pause and counting.
//! They keep a copy of each credential they were given, to try at the end what is refused.

use crate::exit::{Context, Exit, Failure};
use keybaton_consumer::{Client, Credential, Failed, Options, Secret, TrialFailure};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

/// Pause between two queries of one replica.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a replica waits for its first credential.
const FIRST: Duration = Duration::from_secs(60);

/// What using a credential answered.
pub(super) enum Used {
    /// It works.
    Works,
    /// The server refuses it.
    Refused,
    /// It could not be told.
    Unsure(String),
}

/// Uses a credential (its public name, its value) at a real server.
pub(super) type Use =
    Arc<dyn Fn(String, Zeroizing<String>) -> Pin<Box<dyn Future<Output = Used> + Send>> + Send + Sync>;

/// A credential a workload was given.
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) value: Zeroizing<String>,
}

/// What all workloads of a secret share.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) queries: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) seen: Mutex<BTreeMap<u32, Seen>>,
    complaints: Mutex<Vec<String>>,
}

impl Ledger {
    fn note(&self, credential: &Credential, name: &str, field: &str) -> (String, Zeroizing<String>) {
        let name = credential.attribute(name).unwrap_or_default().to_owned();
        let value = credential.secret_text(field).unwrap_or_default().to_owned();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entry(credential.generation())
            .or_insert_with(|| Seen { name: name.clone(), value: Zeroizing::new(value.clone()) });
        (name, Zeroizing::new(value))
    }

    /// Why queries failed, if any did.
    pub(super) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How a replica behaves when it is asked to try a pending credential.
#[derive(Default)]
pub(super) struct Temper {
    /// Takes this long, in milliseconds.
    pub(super) slow_ms: AtomicU64,
    /// Refuses the next one.
    pub(super) refuses_once: AtomicBool,
    /// Does not answer while set.
    pub(super) stalls: AtomicBool,
}

/// Which secret a replica uses, and how.
pub(super) struct Job {
    pub(super) secret: &'static str,
    pub(super) name_attribute: &'static str,
    pub(super) field: &'static str,
    pub(super) using: Use,
    pub(super) ledger: Arc<Ledger>,
}

/// One running replica.
pub(super) struct Workload {
    pub(super) temper: Arc<Temper>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
    _secret: Secret,
}

impl Workload {
    /// Enrols, fetches, and starts to query.
    pub(super) async fn start(url: &str, token: &str, replica: &str, state: &Path, job: &Job) -> Result<Self, Failure> {
        let state = state.join(replica);
        let client = Client::open_or_enrol(url, token, &state, Options::new(replica)).await;
        let client = client.failed(Exit::Failed, format!("replica {replica} cannot enrol"))?;
        let temper = Arc::new(Temper::default());
        let trial = (temper.clone(), job.ledger.clone(), job.using.clone(), job.name_attribute, job.field);
        let secret = client
            .secret(job.secret)
            .try_pending(move |credential| {
                let (temper, ledger, using, attribute, field) = trial.clone();
                async move { tried(&temper, &ledger, &using, credential, attribute, field).await }
            })
            .open()
            .failed(Exit::Failed, "cannot open the secret")?;
        secret.ready(FIRST).await.failed(Exit::Failed, format!("replica {replica} got no credential"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(queries(
            secret.clone(),
            stop.clone(),
            job.ledger.clone(),
            job.using.clone(),
            (job.name_attribute, job.field),
        ));
        Ok(Self { temper, stop, task, _secret: secret })
    }

    /// Lets the query under way end.
    pub(super) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        // A replica that panicked has failed queries to show for it.
        let _ended = self.task.await;
    }
}

/// Tries a credential for real, in the replica's own temper.
async fn tried(
    temper: &Temper,
    ledger: &Ledger,
    using: &Use,
    credential: Credential,
    attribute: &str,
    field: &str,
) -> Result<(), TrialFailure> {
    tokio::time::sleep(Duration::from_millis(temper.slow_ms.load(Ordering::Relaxed))).await;
    while temper.stalls.load(Ordering::Relaxed) {
        tokio::time::sleep(PAUSE).await;
    }
    let (name, value) = ledger.note(&credential, attribute, field);
    if temper.refuses_once.swap(false, Ordering::Relaxed) {
        return Err(TrialFailure::unfit("this replica cannot use it (as the demo told it to say)"));
    }
    match using(name, value).await {
        Used::Works => Ok(()),
        Used::Refused => Err(TrialFailure::refused("the server refuses it")),
        Used::Unsure(why) => Err(TrialFailure::unsure(why)),
    }
}

/// Queries without end, by whichever credential works.
async fn queries(
    secret: Secret,
    stop: Arc<AtomicBool>,
    ledger: Arc<Ledger>,
    using: Use,
    (attribute, field): (&'static str, &'static str),
) {
    while !stop.load(Ordering::Relaxed) {
        let done = secret
            .with_fallback(|credential| {
                let (name, value) = ledger.note(&credential, attribute, field);
                let using = using.clone();
                async move {
                    match using(name, value).await {
                        Used::Works => Ok(()),
                        Used::Refused => Err(Failed::Refused("the server refuses it".to_owned())),
                        Used::Unsure(why) => Err(Failed::Other(why)),
                    }
                }
            })
            .await;
        ledger.queries.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = done {
            ledger.failed.fetch_add(1, Ordering::Relaxed);
            ledger.complaints.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
