//! The peer: a bare loop with the same client library that issues the same statements and makes the same login, and
//! keeps no record of anything.

use crate::Failure;
use crate::stats::Samples;
use keybaton_test_support::Postgres;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls};

/// The plugin's own statements, with the parameters where PostgreSQL wants them.
#[derive(Debug, Clone)]
pub(super) struct Statements {
    /// What the server says of a role, `$1`.
    pub(super) role: String,
    /// Who is logged in.
    pub(super) login: String,
}

/// One role, and the session that changes its password.
struct Bare {
    admin: Client,
    login: Config,
    role: String,
    statements: Arc<Statements>,
}

/// So many of them.
pub(super) struct Bares(Vec<Bare>);

impl Bares {
    pub(super) async fn new(server: &Postgres, statements: Statements, in_flight: usize) -> Result<Self, Failure> {
        let statements = Arc::new(statements);
        let mut all = Vec::with_capacity(in_flight);
        for number in 0..in_flight {
            let role = format!("bare_{number}");
            server.execute(&format!("CREATE ROLE {role} NOLOGIN")).await?;
            let admin = server.tcp(server.admin_user(), server.admin_password(), "postgres");
            let admin = connect(&admin).await?;
            let login = server.tcp(&role, "", "postgres");
            all.push(Bare { admin, login, role, statements: Arc::clone(&statements) });
        }
        Ok(Self(all))
    }

    /// Rotations per second over one window, after a warm-up.
    pub(super) async fn rate(&mut self, warm_up: Duration, window: Duration) -> Result<f64, Failure> {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut running = JoinSet::new();
        for mut bare in self.0.drain(..) {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            running.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    bare.rotate().await?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, Failure>(bare)
            });
        }
        tokio::time::sleep(warm_up).await;
        let (before, began) = (done.load(Ordering::Relaxed), Instant::now());
        tokio::time::sleep(window).await;
        let rate = (done.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        self.0 = running.join_all().await.into_iter().collect::<Result<_, _>>()?;
        Ok(rate)
    }

    /// One alone, so many times.
    pub(super) async fn alone(&mut self, times: usize) -> Result<Samples, Failure> {
        let bare = self.0.first_mut().ok_or("there is no role")?;
        let mut samples = Samples::default();
        for _ in 0..times {
            let began = Instant::now();
            bare.rotate().await?;
            samples.push(began.elapsed());
        }
        Ok(samples)
    }
}

impl Bare {
    async fn rotate(&mut self) -> Result<(), Failure> {
        let password = password()?;
        let parameter: (&(dyn ToSql + Sync), Type) = (&self.role, Type::TEXT);
        if self.admin.query_typed(&self.statements.role, &[parameter]).await?.len() != 1 {
            return Err(format!("there is no role {}", self.role).into());
        }
        let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
        self.admin.simple_query(&format!("ALTER ROLE {} LOGIN PASSWORD '{verifier}'", self.role)).await?;
        self.login.password(&password);
        let login = connect(&self.login).await?;
        let rows = login.query_typed(&self.statements.login, &[]).await?;
        match rows.first().map(|row| row.get::<_, &str>(0)) {
            Some(role) if role == self.role => Ok(()),
            other => Err(format!("{} is taken for {other:?}", self.role).into()),
        }
    }
}

/// As many letters and digits as the plugin asks for.
fn password() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| "no randomness")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The connection's driver ends with the client.
async fn connect(config: &Config) -> Result<Client, Failure> {
    let (client, driver) = config.connect(NoTls).await?;
    tokio::spawn(driver);
    Ok(client)
}
