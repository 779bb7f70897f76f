//! What the tests drive: packed components, and an installation of the real binary, found beside this executable.

use keybaton_test_support::{Launch, Process, Scratch, Signal, free_port};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// How long the host may take to answer after a start, and to stop.
const UP: Duration = Duration::from_secs(60);
/// How long a rotation may take.
const TURN: Duration = Duration::from_secs(60);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// The folder that cargo builds into: `TARGET/PROFILE`, above this executable's `deps`.
fn built() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    this.parent().and_then(|deps| deps.parent()).expect("TARGET/PROFILE/deps/e2e").to_owned()
}

/// The real binary.
pub(crate) fn keybaton() -> PathBuf {
    let binary = built().join("keybaton");
    assert!(binary.exists(), "{} is missing: `make test` builds it, and so does `cargo build`", binary.display());
    binary
}

/// A component as `make plugins` packs it.
pub(crate) fn component(plugin: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../target/components/{plugin}.wasm"))
}

/// What a command said.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Standard output, as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("no JSON ({error}): {}{}", self.out, self.err))
    }
}

/// An installation, the process that serves it, and all that commands on it have said.
pub(crate) struct Installation {
    pub(crate) dir: PathBuf,
    pub(crate) url: String,
    pub(crate) folder: Scratch,
    process: Option<Process>,
    starts: u32,
    said: Vec<u8>,
    tokens: Vec<String>,
}

impl Installation {
    /// `keybaton init`, with these connection files.
    pub(crate) async fn init(purpose: &str, connections: &str) -> Self {
        let folder = Scratch::new(purpose, None).unwrap();
        let listen = format!("127.0.0.1:{}", free_port().unwrap());
        let dir = folder.join("installation");
        let url = format!("https://{listen}");
        let mut host = Self { dir, url, folder, process: None, starts: 0, said: Vec::new(), tokens: Vec::new() };
        host.done(&["init", "--listen", &listen]).await;
        std::fs::write(host.dir.join("connections/all.yaml"), connections).unwrap();
        host
    }

    /// `keybaton serve`, until it answers.
    pub(crate) async fn up(&mut self, args: &[&str]) {
        self.starts += 1;
        let name = format!("host-{}", self.starts);
        let launch =
            Launch::new(&name, keybaton()).args([Path::new("--dir"), &self.dir, Path::new("serve")]).args(args);
        self.process = Some(launch.start(self.folder.path()).unwrap());
        let until = Instant::now() + UP;
        while self.run(&["status"]).await.code != 0 {
            let process = self.process.as_mut().unwrap();
            assert!(process.ended().unwrap().is_none() && Instant::now() < until, "{}", process.tail());
            sleep(LOOK).await;
        }
    }

    /// SIGTERM, and an orderly end.
    pub(crate) async fn down(&mut self) {
        let mut process = self.process.take().expect("it is up");
        let ended = process.stop(Signal::TERM, UP).await.unwrap();
        assert!(ended.success(), "{ended}: {}", process.tail());
    }

    /// SIGKILL.
    pub(crate) fn killed(&mut self) {
        self.process.take().expect("it is up").kill().unwrap();
    }

    /// SIGHUP: it reads its connection files again.
    pub(crate) fn hang_up(&mut self) {
        self.process.as_mut().expect("it is up").signal(Signal::HUP).unwrap();
    }

    /// The process that serves.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("it is up").id()
    }

    /// Everything that commands on it have printed so far.
    pub(crate) fn said(&self) -> &[u8] {
        &self.said
    }

    /// Runs a command on it, with `--json`.
    pub(crate) async fn run(&mut self, args: &[&str]) -> Ran {
        self.run_with(args, "").await
    }

    /// The same, with this on standard input.
    pub(crate) async fn run_with(&mut self, args: &[&str], input: &str) -> Ran {
        self.run_as_given(&[&["--json"], args].concat(), input).await
    }

    /// Runs a command on it, for people unless told otherwise.
    pub(crate) async fn run_as_given(&mut self, args: &[&str], input: &str) -> Ran {
        let mut child = Command::new(keybaton())
            .arg("--dir")
            .arg(&self.dir)
            .args(args)
            .env_remove("KEYBATON_HOST")
            .env_remove("KEYBATON_TOKEN_FILE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // Not every command reads it to its end.
        let _unread = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
        let ran = child.wait_with_output().await.unwrap();
        self.said.extend_from_slice(&ran.stdout);
        self.said.extend_from_slice(&ran.stderr);
        Ran {
            code: ran.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&ran.stdout).into_owned(),
            err: String::from_utf8_lossy(&ran.stderr).into_owned(),
        }
    }

    /// Runs a command that must succeed; answers its JSON.
    pub(crate) async fn done(&mut self, args: &[&str]) -> Value {
        self.ends(args, 0).await.json()
    }

    /// Runs a command that must end with this exit code.
    pub(crate) async fn ends(&mut self, args: &[&str], code: i32) -> Ran {
        let ran = self.run(args).await;
        assert_eq!(ran.code, code, "`keybaton {}`: {}{}", args.join(" "), ran.out, ran.err);
        ran
    }

    /// Adds and approves a component.
    pub(crate) async fn install(&mut self, plugin: &str) {
        let file = component(plugin);
        assert!(file.exists(), "{} is missing: `make plugins` builds it", file.display());
        self.done(&["plugin", "add", file.to_str().unwrap()]).await;
        self.done(&["plugin", "approve", plugin]).await;
    }

    /// Writes declarations down and puts them in force; tests wait for less than an operator would.
    pub(crate) async fn apply(&mut self, declarations: &str) -> String {
        let file = self.folder.write("declared.yaml", declarations.as_bytes()).unwrap().display().to_string();
        self.done(&["apply", "--allow-weaker", &file]).await;
        file
    }

    /// Waits until a secret's status is as asked.
    pub(crate) async fn until(&mut self, secret: &str, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + TURN;
        loop {
            let status = self.done(&["status", secret]).await;
            if so(&status) {
                return status;
            }
            if Instant::now() > until {
                let history = self.run(&["history", secret]).await.out;
                let log = self.process.as_ref().map(Process::tail).unwrap_or_default();
                panic!("never {what}: {status:#}\n{history}\n{log}");
            }
            sleep(LOOK).await;
        }
    }

    /// Waits until nothing of a secret is open.
    pub(crate) async fn settled(&mut self, secret: &str) -> Value {
        let still = |status: &Value| {
            let open = status["retirements"].as_array().is_some_and(|open| !open.is_empty());
            status["rotation"].is_null() && !open
        };
        self.until(secret, "settled", still).await
    }

    /// How the newest rotation of a secret ended.
    pub(crate) async fn ending(&mut self, secret: &str) -> String {
        let history = self.done(&["history", secret]).await;
        let ends = history["events"].as_array().unwrap().iter().rev().find(|it| it["event"] == "finished");
        ends.map(|it| it["parts"]["ending"].as_str().unwrap().to_owned()).unwrap_or_default()
    }

    /// A single-use token for a replica of a consumer.
    pub(crate) async fn enrol(&mut self, consumer: &str) -> String {
        self.given(&["consumer", "enrol", consumer]).await
    }

    /// Runs a command that answers with a token. Whoever asks is given it: it is the one thing said that is secret.
    pub(crate) async fn given(&mut self, args: &[&str]) -> String {
        let before = self.said.len();
        let token = self.done(args).await["token"].as_str().unwrap().to_owned();
        self.said.truncate(before);
        self.tokens.push(token.clone());
        token
    }

    /// Every token that commands were given so far.
    pub(crate) fn tokens(&self) -> &[String] {
        &self.tokens
    }
}

/// The generation in a role, of a status.
pub(crate) fn generation(status: &Value, role: &str) -> Option<u64> {
    let all = status["generations"].as_array()?;
    all.iter().find(|it| it["role"] == role)?["generation"].as_u64()
}
