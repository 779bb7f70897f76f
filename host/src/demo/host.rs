//! The demo's host: a real `keybaton serve` of its own, driven by the same binary's commands. Reads no credential.

use crate::exit::{Context, Exit, Failure};
use keybaton_api::model::{Begun, EnrolmentGrant, History, HistoryEvent, SecretStatus, TokenText};
use keybaton_test_support::{Launch, Process, Signal};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the host may take to answer after a start.
const UP: Duration = Duration::from_secs(60);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// An installation and the process that serves it.
pub(super) struct Host {
    binary: PathBuf,
    pub(super) dir: PathBuf,
    folder: PathBuf,
    pub(super) url: String,
    process: Option<Process>,
}

impl Host {
    /// Makes an installation below `folder` with this connections file.
    pub(super) async fn init(folder: &Path, connections: &str) -> Result<Self, Failure> {
        let binary = std::env::current_exe().failed(Exit::Failed, "cannot find this program")?;
        let port = keybaton_test_support::free_port().failed(Exit::Failed, "cannot find a free port")?;
        let dir = folder.join("installation");
        let host =
            Self { binary, dir, folder: folder.to_owned(), url: format!("https://127.0.0.1:{port}"), process: None };
        host.command::<serde_json::Value>(&["init", "--listen", &format!("127.0.0.1:{port}")]).await?;
        let file = host.dir.join("connections").join("demo.yaml");
        std::fs::write(&file, connections).failed(Exit::Failed, "cannot write the connections")?;
        Ok(host)
    }

    /// Starts serving, and waits until it answers.
    pub(super) async fn up(&mut self) -> Result<(), Failure> {
        let dir = self.dir.as_os_str();
        let launch = Launch::new("host", &self.binary).args(["--dir".as_ref(), dir, "serve".as_ref()]);
        self.process = Some(launch.start(&self.folder).failed(Exit::Failed, "cannot start the host")?);
        let end = Instant::now() + UP;
        loop {
            match self.command::<serde_json::Value>(&["status"]).await {
                Ok(_) => return Ok(()),
                Err(failure) if Instant::now() > end => return Err(failure.help(self.said())),
                Err(_) => sleep(LOOK).await,
            }
            if let Some(process) = &mut self.process
                && process.ended().failed(Exit::Failed, "cannot look at the host")?.is_some()
            {
                return Err(Failure::new(Exit::Failed, "the host ended at once").help(self.said()));
            }
        }
    }

    /// What the host's log says last.
    pub(super) fn said(&self) -> String {
        self.process.as_ref().map(Process::tail).unwrap_or_default()
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) -> Result<(), Failure> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill().map(drop).failed(Exit::Failed, "cannot kill the host")
    }

    /// An orderly stop.
    pub(super) async fn down(&mut self) -> Result<(), Failure> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let stopped = process.stop(Signal::TERM, UP).await;
        stopped.map(drop).failed(Exit::Failed, "the host did not stop in order")
    }

    /// Runs a command of this binary on the installation and reads its JSON.
    pub(super) async fn command<T: DeserializeOwned>(&self, args: &[&str]) -> Result<T, Failure> {
        let ran = tokio::process::Command::new(&self.binary)
            .arg("--dir")
            .arg(&self.dir)
            .arg("--json")
            .args(args)
            .env_remove("KEYBATON_HOST")
            .env_remove("KEYBATON_TOKEN_FILE")
            .output()
            .await
            .failed(Exit::Failed, "cannot run a command")?;
        let said = String::from_utf8_lossy(&ran.stdout);
        if !ran.status.success() {
            let what = format!("`keybaton {}` failed ({})", args.join(" "), ran.status);
            return Err(
                Failure::new(Exit::Failed, what).help(format!("{said}{}", String::from_utf8_lossy(&ran.stderr)))
            );
        }
        serde_json::from_str(&said).failed(Exit::Failed, format!("`keybaton {}` said no JSON", args.join(" ")))
    }

    /// Starts a rotation (the first one of a secret issues its credential); answers its identifier.
    pub(super) async fn rotate(&self, secret: &str) -> Result<String, Failure> {
        Ok(self.command::<Begun>(&["rotate", secret, "--reason", "demo"]).await?.rotation)
    }

    /// A single-use token for one replica of a consumer.
    pub(super) async fn enrol(&self, consumer: &str) -> Result<TokenText, Failure> {
        Ok(self.command::<EnrolmentGrant>(&["consumer", "enrol", consumer]).await?.token)
    }

    /// Where a secret stands.
    pub(super) async fn status(&self, secret: &str) -> Result<SecretStatus, Failure> {
        self.command(&["status", secret]).await
    }

    /// What happened to a secret after a position.
    pub(super) async fn events(&self, secret: &str, after: u64) -> Result<Vec<HistoryEvent>, Failure> {
        let all: History = self.command(&["history", secret]).await?;
        Ok(all.events.into_iter().filter(|event| event.seq > after).collect())
    }
}
