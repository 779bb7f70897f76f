//! Workloads made with the client SDK: they query a real PostgreSQL without pause and count what fails.

use crate::host::Installation;
use keybaton_consumer::{Client, Credential, Failed, Options, Secret, TrialFailure};
use keybaton_test_support::Postgres;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::{Config, NoTls, error::SqlState};

/// Pause between two queries of one replica.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a replica waits for its first credential.
const FIRST: Duration = Duration::from_secs(60);

/// What replicas count together.
#[derive(Default)]
pub(crate) struct Counts {
    /// Queries made through the SDK's fall-over.
    pub(crate) queries: AtomicU64,
    /// Of these: those that no credential in hand could make.
    pub(crate) failed: AtomicU64,
    /// Logins that were refused, hidden or not.
    pub(crate) refused: AtomicU64,
}

/// One replica, running until it is stopped.
pub(crate) struct Workload {
    /// While set it answers no trial.
    pub(crate) stalls: Arc<AtomicBool>,
    /// The passwords that it was to try, newest last.
    pub(crate) offered: Arc<Mutex<Vec<String>>>,
    pub(crate) secret: Secret,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Workload {
    /// Enrols a replica of `consumer`, and lets it query with `secret`.
    pub(crate) async fn start(
        host: &mut Installation,
        server: &Postgres,
        (secret, consumer, replica): (&str, &str, &str),
        counts: &Arc<Counts>,
    ) -> Self {
        let token = host.enrol(consumer).await;
        let state = host.folder.join(&format!("state-{replica}"));
        let client = Client::open_or_enrol(&host.url, &token, &state, Options::new(replica)).await.unwrap();
        let (stalls, offered) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (port, waits, seen) = (server.port(), Arc::clone(&stalls), Arc::clone(&offered));
        let secret = client.secret(secret).try_pending(move |credential| {
            seen.lock().unwrap().extend(credential.secret_text("password").map(str::to_owned));
            tried(port, Arc::clone(&waits), credential)
        });
        let secret = secret.open().unwrap();
        secret.ready(FIRST).await.unwrap();
        let stop = Arc::<AtomicBool>::default();
        let task = tokio::spawn(query(port, secret.clone(), Arc::clone(&stop), Arc::clone(counts)));
        Self { stalls, offered, secret, stop, task }
    }

    /// The password that it uses now.
    pub(crate) fn password(&self) -> String {
        self.secret.current().expect("it holds one").secret_text("password").unwrap().to_owned()
    }

    /// Lets the query under way end.
    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
    }
}

async fn tried(port: u16, stalls: Arc<AtomicBool>, credential: Credential) -> Result<(), TrialFailure> {
    while stalls.load(Ordering::Relaxed) {
        tokio::time::sleep(PAUSE).await;
    }
    match select(port, &credential).await {
        Ok(()) => Ok(()),
        Err(Failed::Refused(why)) => Err(TrialFailure::refused(why)),
        Err(Failed::Other(why)) => Err(TrialFailure::unsure(why)),
    }
}

async fn query(port: u16, secret: Secret, stop: Arc<AtomicBool>, counts: Arc<Counts>) {
    while !stop.load(Ordering::Relaxed) {
        let done = secret.with_fallback(|credential| {
            let counts = Arc::clone(&counts);
            async move {
                let done = select(port, &credential).await;
                if matches!(done, Err(Failed::Refused(_))) {
                    counts.refused.fetch_add(1, Ordering::Relaxed);
                }
                done
            }
        });
        if let Err(error) = done.await {
            eprintln!("a query failed: {error}");
            counts.failed.fetch_add(1, Ordering::Relaxed);
        }
        counts.queries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
}

/// A login and a query, as an application without a pool makes them.
async fn select(port: u16, credential: &Credential) -> Result<(), Failed<String>> {
    let user = credential.attribute("username").unwrap_or_default();
    let password = credential.secret_text("password").unwrap_or_default();
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).dbname("postgres").user(user).password(password);
    let refused = [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION];
    let (client, connection) = config.connect(NoTls).await.map_err(|error| match error.code() {
        Some(code) if refused.contains(code) => Failed::Refused(error.to_string()),
        _ => Failed::Other(format!("{error:?}")),
    })?;
    let driving = tokio::spawn(connection);
    let read = client.query_one("SELECT 1", &[]).await;
    drop(client);
    // The session ends with its client; how it closed says nothing of the credential.
    let _closed = driving.await;
    read.map(drop).map_err(|error| Failed::Other(format!("{error:?}")))
}
