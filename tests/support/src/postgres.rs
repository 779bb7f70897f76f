//! A throw-away PostgreSQL on loopback: passwords by SCRAM-SHA-256, an administrator, its own folder. It never
//! trusts a connection: the administrator logs in with a password too, also at the Unix socket.

mod admin;
mod server;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::{Account, Error, Process, Result, Scratch, free_port, random_hex};

pub use admin::Login;

/// How long the server may take to answer a login, and to stop.
const READY: Duration = Duration::from_secs(30);
/// How often a port that was taken meanwhile is replaced by another.
const PORT_ATTEMPTS: u32 = 3;
/// How long the sessions of a killed server get to notice, before it is started anew.
const LEAVING: Duration = Duration::from_millis(100);
/// The superuser `initdb` makes.
const ADMIN: &str = "postgres";

/// A server certificate for [`PostgresOptions::tls`].
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// The certificate chain, PEM.
    pub certificate_pem: String,
    /// Its private key, PEM.
    pub key_pem: String,
    /// Whether a TCP connection without TLS is refused.
    pub required: bool,
    /// The authority of client certificates, PEM; they are asked for where `rules` say so.
    pub client_ca_pem: Option<String>,
    /// Lines of `pg_hba.conf` for TCP, instead of passwords for everybody.
    pub rules: Option<String>,
}

/// What a [`Postgres`] is to be like. The default suits most tests.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// TLS with this certificate; without one the server has no TLS.
    pub tls: Option<ServerTls>,
    /// `log_statement=all`, connections and disconnections logged: to look for passwords in the log.
    pub log_statements: bool,
    /// Whether writes reach the disk before they are answered, as in production: for benchmarks.
    pub durable: bool,
    /// Further server settings, `name=value`.
    pub settings: Vec<String>,
}

/// A running PostgreSQL server. Dropping it kills the server and removes its files.
#[derive(Debug)]
pub struct Postgres {
    options: PostgresOptions,
    process: Option<Process>, // before the folder: fields drop in this order
    folder: Scratch,
    account: Option<Account>,
    port: u16,
    password: String,
    password_file: PathBuf,
}

impl Postgres {
    /// Makes a database cluster and starts a server on it; it answers logins when this returns.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not get ready in 30 s.
    pub async fn start(options: PostgresOptions) -> Result<Self> {
        let account = Account::for_servers()?;
        let folder = Scratch::new("pg", account.clone())?;
        let password = random_hex(16)?;
        let password_file = folder.write("admin-password", password.as_bytes())?;
        let mut postgres =
            Self { options, process: None, folder, account, port: free_port()?, password, password_file };
        server::make_cluster(&postgres).await?;
        for attempt in 1.. {
            match postgres.up().await {
                Err(Error::Ended { log, .. }) if attempt < PORT_ATTEMPTS && log.contains("could not bind") => {
                    postgres.port = free_port()?;
                }
                outcome => return outcome.map(|()| postgres),
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// Starts the server again on its port and data after [`Postgres::down`] or [`Postgres::kill`].
    ///
    /// # Errors
    /// The server ended at once or does not answer in 30 s.
    pub async fn up(&mut self) -> Result<()> {
        let end = Instant::now() + READY;
        loop {
            let mut process = server::launch(self)?;
            match server::ready(self, &mut process).await {
                Ok(()) => {
                    self.process = Some(process);
                    return Ok(());
                }
                Err(Error::Ended { log, .. }) if still_leaving(&log) && Instant::now() < end => sleep(LEAVING).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Stops the server by SIGINT: sessions are cut, committed work is kept, files stay.
    ///
    /// # Errors
    /// The server still ran after 30 s and was killed.
    pub async fn down(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.stop(Signal::INT, READY).await.map(drop),
            None => Ok(()),
        }
    }

    /// `kill -9` to every process of the server, as a power cut would.
    ///
    /// # Errors
    /// The system refuses the signal.
    pub fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().map(drop),
            None => Ok(()),
        }
    }

    /// The TCP port on 127.0.0.1; it stays the same over `down` and `up`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the Unix socket, which libpq and tokio-postgres take as a host.
    #[must_use]
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// The administrator's user name.
    #[must_use]
    pub fn admin_user(&self) -> &str {
        ADMIN
    }

    /// The administrator's password.
    #[must_use]
    pub fn admin_password(&self) -> &str {
        &self.password
    }

    /// A file that holds the administrator's password and nothing else, mode 0600.
    #[must_use]
    pub fn admin_password_file(&self) -> &Path {
        &self.password_file
    }

    /// The id of the server's process group; `None` while it is down.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// All the server has logged so far, over all its starts.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn log(&self) -> Result<String> {
        let path = self.log_file();
        let bytes = std::fs::read(&path).map_err(Error::io(format!("read {}", path.display())))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The server's log.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.folder.join("postgres.err")
    }

    /// The folder that holds everything of this server.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Whether the server did not start because sessions of the killed one are not gone yet: each leads a process group of
/// its own, which the signal did not reach.
fn still_leaving(log: &str) -> bool {
    log.lines().rev().take(3).any(|line| line.contains("pre-existing shared memory block"))
}
