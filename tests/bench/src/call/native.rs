//! The peer: a minimal native process over pipes, spawned for each call, or kept for all of them.

use crate::Failure;
use crate::stats::Samples;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

/// The second binary of this package.
const PLUGIN: &str = "native-plugin";

/// The plugin, found beside this program. `cargo run` builds only what it runs, so it is built first where cargo runs this.
pub(super) fn built() -> Result<PathBuf, Failure> {
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", env!("CARGO_PKG_NAME"), "--bin", PLUGIN]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        if !build.current_dir(crate::world::root()).status()?.success() {
            return Err(format!("`{PLUGIN}` could not be built").into());
        }
    }
    let beside = std::env::current_exe()?.with_file_name(PLUGIN);
    if beside.exists() { Ok(beside) } else { Err(format!("there is no {}", beside.display()).into()) }
}

/// A running plugin.
struct Running {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    line: String,
}

impl Running {
    fn spawn(plugin: &Path) -> Result<Self, Failure> {
        let mut child = Command::new(plugin).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().ok_or("no pipe to the plugin")?;
        let output = BufReader::new(child.stdout.take().ok_or("no pipe from the plugin")?);
        Ok(Self { child, input, output, line: String::new() })
    }

    fn say(&mut self, line: &Value) -> Result<Value, Failure> {
        writeln!(self.input, "{line}")?;
        self.line.clear();
        self.output.read_line(&mut self.line)?;
        Ok(serde_json::from_str(&self.line)?)
    }

    /// One call, with the host's answer to its one host call.
    fn call(&mut self, settings: &Value, generation: u32) -> Result<(), Failure> {
        let asked = self.say(&json!({ "call": "create", "generation": generation, "settings": settings }))?;
        if asked["ask"] != "password" {
            return Err(format!("the native plugin asks for {asked}").into());
        }
        let mut password = [0; 32];
        aws_lc_rs::rand::fill(&mut password).map_err(|_| "no randomness")?;
        let made = self.say(&json!({ "handle": 1 }))?;
        if made["id"].is_string() { Ok(()) } else { Err(format!("the native plugin answers {made}").into()) }
    }

    /// Ends it and waits for its end.
    fn end(self) -> Result<(), Failure> {
        let Self { mut child, input, output, .. } = self;
        drop((input, output));
        if child.wait()?.success() { Ok(()) } else { Err("the native plugin failed".into()) }
    }
}

/// A process for each call: spawned, called, waited for.
pub(super) fn spawned(plugin: &Path, settings: &Value, times: usize) -> Result<Samples, Failure> {
    let mut samples = Samples::default();
    for generation in 1..=u32::try_from(times)? {
        let began = Instant::now();
        let mut running = Running::spawn(plugin)?;
        running.call(settings, generation)?;
        running.end()?;
        samples.push(began.elapsed());
    }
    Ok(samples)
}

/// One process for all calls.
pub(super) fn kept(plugin: &Path, settings: &Value, times: usize) -> Result<Samples, Failure> {
    let mut samples = Samples::default();
    let mut running = Running::spawn(plugin)?;
    for generation in 1..=u32::try_from(times)? {
        let began = Instant::now();
        running.call(settings, generation)?;
        samples.push(began.elapsed());
    }
    running.end()?;
    Ok(samples)
}
