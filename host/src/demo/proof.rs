//! What the demo claims, checked against the servers themselves, not against what keybaton says of them.

use super::story::{DATABASE, HUB_USER, Story, TOKEN};
use super::workload::{Seen, Use, Used};
use crate::exit::{Context, Exit, Failure};
use keybaton_test_support::{Login, Postgres};
use serde::Serialize;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use tokio_postgres::{Config, NoTls, error::SqlState};

/// Rotations after the first credentials were issued that the demo must show.
const ROTATIONS_MIN: u64 = 3;

/// The demo's counts, and every claim that turned out not to be so.
#[derive(Debug, Serialize)]
pub(super) struct Proven {
    rotations: u64,
    rolled_back: u64,
    crashes: u64,
    queries: u64,
    failed: u64,
    old_refused: u64,
    pub(super) broken: Vec<String>,
}

impl Proven {
    /// The line that the demo ends with.
    pub(super) fn line(&self) -> String {
        format!(
            "demo: rotations={} rolled_back={} crashes={} queries={} failed={} old_refused={}",
            self.rotations, self.rolled_back, self.crashes, self.queries, self.failed, self.old_refused
        )
    }

    /// Asks the servers.
    pub(super) async fn of(story: &Story<'_>) -> Result<Self, Failure> {
        let ledgers = [&story.database, &story.token];
        let sum = |read: fn(&super::workload::Ledger) -> u64| ledgers.iter().map(|ledger| read(ledger)).sum::<u64>();
        let mut proven = Self {
            rotations: story.completed,
            rolled_back: story.rolled_back,
            crashes: story.crashes,
            queries: sum(|ledger| ledger.queries.load(Ordering::Relaxed)),
            failed: sum(|ledger| ledger.failed.load(Ordering::Relaxed)),
            old_refused: 0,
            broken: Vec::new(),
        };
        proven.hold(proven.rotations >= ROTATIONS_MIN, "fewer rotations than promised");
        proven.hold(proven.rolled_back >= 1, "no rotation was rolled back");
        proven.hold(proven.crashes >= 1, "the host was not killed");
        proven.hold(proven.queries > 0 && proven.failed == 0, "a query failed");
        for complaint in ledgers.iter().flat_map(|ledger| ledger.complaints()).take(5) {
            proven.broken.push(format!("a query failed: {complaint}"));
        }
        proven.database(story).await?;
        proven.token(story).await?;
        proven.log(story)?;
        Ok(proven)
    }

    fn hold(&mut self, so: bool, otherwise: &str) {
        if !so {
            self.broken.push(otherwise.to_owned());
        }
    }

    /// Each password a workload was ever given: only the current one logs in, and only one of the two roles may.
    async fn database(&mut self, story: &Story<'_>) -> Result<(), Failure> {
        let current = current_generation(story, DATABASE).await?;
        for (generation, Seen { name, value }) in taken(&story.database) {
            let login = story.postgres.login(&name, &value).await.failed(Exit::Failed, "cannot ask PostgreSQL")?;
            self.judge(DATABASE, generation, current, matches!(login, Login::Works));
        }
        let live = story.postgres.rows("SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname LIKE 'app%'").await;
        let live = live.failed(Exit::Failed, "cannot ask PostgreSQL")?.len();
        self.hold(live == 1, &format!("{live} of the two roles can log in"));
        Ok(())
    }

    /// Each token likewise; and the hub lists exactly one.
    async fn token(&mut self, story: &Story<'_>) -> Result<(), Failure> {
        let current = current_generation(story, TOKEN).await?;
        for (generation, Seen { value, .. }) in taken(&story.token) {
            let who = story.hub.whoami(&value).await.failed(Exit::Failed, "cannot ask JupyterHub")?;
            self.judge(TOKEN, generation, current, who.is_some());
        }
        let live = story.hub.tokens(HUB_USER).await.failed(Exit::Failed, "cannot ask JupyterHub")?.len();
        self.hold(live == 1, &format!("{live} tokens are live at the hub"));
        Ok(())
    }

    fn judge(&mut self, secret: &str, generation: u32, current: u32, works: bool) {
        if generation == current {
            self.hold(works, &format!("the current credential of {secret} is refused"));
        } else if works {
            self.broken.push(format!("generation {generation} of {secret} still works"));
        } else {
            self.old_refused += 1;
        }
    }

    /// No clear password in the server's log, which recorded every statement.
    fn log(&mut self, story: &Story<'_>) -> Result<(), Failure> {
        let log = story.postgres.log().failed(Exit::Failed, "cannot read PostgreSQL's log")?;
        self.hold(log.contains("SCRAM-SHA-256$"), "PostgreSQL's log shows no statement that sets a verifier");
        let seen = story.database.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = seen.values().any(|seen| log.contains(seen.value.as_str()));
        drop(seen);
        self.hold(!shown, "a clear password is in PostgreSQL's log");
        Ok(())
    }
}

fn taken(ledger: &super::workload::Ledger) -> Vec<(u32, Seen)> {
    let seen = std::mem::take(&mut *ledger.seen.lock().unwrap_or_else(PoisonError::into_inner));
    seen.into_iter().collect()
}

async fn current_generation(story: &Story<'_>, secret: &str) -> Result<u32, Failure> {
    let status = story.host.status(secret).await?;
    let current = status.generations.iter().find(|known| known.role == "current");
    current.map(|known| known.generation).ok_or_else(|| Failure::new(Exit::Failed, format!("{secret} has none")))
}

/// How a workload connects with a user and a password.
type Connect = dyn Fn(&str, &str) -> Config + Send + Sync;

/// Where the workloads query.
#[derive(Clone)]
pub(super) struct PostgresUse(Arc<Connect>);

impl PostgresUse {
    /// That server.
    pub(super) fn of(postgres: &Postgres) -> Self {
        let port = postgres.port();
        Self(Arc::new(move |user, password| {
            let mut config = Config::new();
            config.host("127.0.0.1").port(port).dbname("postgres").user(user).password(password);
            config
        }))
    }
}

/// Logs in and reads the ledger.
pub(super) fn postgres_use(server: PostgresUse) -> Use {
    Arc::new(move |user, password| {
        let config = (server.0)(&user, &password);
        Box::pin(async move {
            match config.connect(NoTls).await {
                Ok((client, connection)) => {
                    let driving = tokio::spawn(connection);
                    let read = client.query_one("SELECT sum(balance) FROM ledger", &[]).await;
                    drop(client);
                    // The session ends with its client; how it closed says nothing of the credential.
                    let _closed = driving.await;
                    read.map_or_else(|error| Used::Unsure(error.to_string()), |_| Used::Works)
                }
                Err(error) => match error.code() {
                    Some(code) if refuses(code) => Used::Refused,
                    _ => Used::Unsure(error.to_string()),
                },
            }
        })
    })
}

fn refuses(code: &SqlState) -> bool {
    *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
}

/// Asks the hub who the token's bearer is.
pub(super) fn hub_use(origin: String) -> Use {
    let http = reqwest::Client::new();
    Arc::new(move |_, token| {
        let request = http.get(format!("{origin}/hub/api/user")).header("authorization", format!("token {}", *token));
        Box::pin(async move {
            match request.send().await {
                Ok(answer) if answer.status().is_success() => Used::Works,
                Ok(answer) if matches!(answer.status().as_u16(), 401 | 403) => Used::Refused,
                Ok(answer) => Used::Unsure(format!("the hub answered {}", answer.status())),
                Err(error) => Used::Unsure(error.to_string()),
            }
        })
    })
}
