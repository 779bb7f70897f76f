//! A program in a process group of its own, with its output in files. It never outlives whoever started it:
//! dropping kills the group, and a guard does so where the starter itself was killed.

mod group;
mod guard;
mod launch;

use std::{
    fs,
    path::PathBuf,
    process::{Child, ExitStatus},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};

use crate::{Error, Result};
use guard::Guard;

pub use launch::Launch;

/// How often a process is asked whether it has ended.
const POLL: Duration = Duration::from_millis(5);
/// How long the rest of a killed group is waited for, and how often it is looked at.
const GROUP_GONE: Duration = Duration::from_secs(2);
const GROUP_POLL: Duration = Duration::from_millis(1);
/// How much of a log goes into an error.
const LOG_TAIL_LINES: usize = 25;

/// A running (or ended) program and every process it has started in its group.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    group: Pid,
    guard: Guard,
    ended: Option<ExitStatus>,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// The process id, which is the group's id too.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All it has written to standard output.
    #[must_use]
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// All it has written to standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// The files that hold standard output and standard error.
    #[must_use]
    pub fn logs(&self) -> [&std::path::Path; 2] {
        [&self.stdout, &self.stderr]
    }

    /// The last lines of standard error, for a message.
    #[must_use]
    pub fn tail(&self) -> String {
        let log = self.stderr();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// How it ended; `None` while it runs.
    ///
    /// # Errors
    /// The system does not know the process.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().map_err(Error::io(format!("wait for {}", self.name)))?;
            if self.ended.is_some() {
                self.guard.dismiss();
            }
        }
        Ok(self.ended)
    }

    /// Sends a signal to the process alone. One that has ended gets nothing.
    ///
    /// # Errors
    /// The system refuses the signal.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        kill_process(self.group, signal).map_err(|source| self.refused(source))
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// [`Error::StillRunning`] after `limit`; the process goes on.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if begun.elapsed() >= limit {
                return Err(Error::StillRunning { name: self.name.clone(), waited_ms: limit.as_millis() });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Asks it to end with `signal` and waits; what is left of its group then is killed.
    ///
    /// # Errors
    /// [`Error::StillRunning`] where it did not end within `limit` and had to be killed.
    pub async fn stop(&mut self, signal: Signal, limit: Duration) -> Result<ExitStatus> {
        self.signal(signal)?;
        let ended = self.wait(limit).await;
        self.kill()?;
        ended
    }

    /// `kill -9` to the whole group, at once; it is gone when this returns. Blocks the thread for a moment.
    ///
    /// # Errors
    /// The system refuses the signal.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        // Before the child is reaped its id can't be another's.
        if self.ended.is_none() || self.group_lives() {
            match kill_process_group(self.group, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(source) => return Err(self.refused(source)),
            }
        }
        let status = self.child.wait().map_err(Error::io(format!("wait for {}", self.name)))?;
        self.ended = Some(status);
        self.await_group();
        self.guard.dismiss();
        Ok(status)
    }

    /// A killed process of the group may still hold files and ports for a moment.
    fn await_group(&self) {
        let begun = Instant::now();
        while self.group_lives() && begun.elapsed() < GROUP_GONE {
            std::thread::sleep(GROUP_POLL);
        }
    }

    /// Whether any process of the group still runs. One that has ended but was not yet waited for does not.
    #[must_use]
    pub fn group_lives(&self) -> bool {
        // The first question is cheap and mostly enough; orphans, though, wait for init to bury them.
        test_kill_process_group(self.group).is_ok() && group::has_living(self.group.as_raw_nonzero().get())
    }

    /// An error that says how it ended and what it last wrote.
    pub(crate) fn ended_error(&self, status: ExitStatus) -> Error {
        Error::Ended { name: self.name.clone(), status, log: self.tail() }
    }

    fn refused(&self, source: rustix::io::Errno) -> Error {
        Error::Io { what: format!("signal {}", self.name), source: source.into() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to tell; the guard, still armed, tries once more when its pipe closes.
        let _ = self.kill();
    }
}

fn read(path: &std::path::Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
