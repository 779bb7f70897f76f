//! Kills a process group when the one who started it is gone, however that went. It never acts while the starter
//! lives: it waits on a pipe whose other end only the starter holds.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use crate::{Error, Result};

/// A line means that the group has ended; the pipe's end without one, that the starter was killed. `kill -s` is
/// the one way to name a signal before a group that every sh understands.
const SCRIPT: &str = r#"read -r _ || kill -s KILL -- "-$1""#;

#[derive(Debug)]
pub(super) struct Guard {
    shell: Child,
}

impl Guard {
    /// Watches over the process group `group`.
    pub(super) fn over(group: u32) -> Result<Self> {
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "guard", &group.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0) // what interrupts the starter must not end its guard first
            .spawn()
            .map_err(Error::io("start a guard over a process group"))?;
        Ok(Self { shell })
    }

    /// Ends the guard without a kill. A second call does nothing.
    pub(super) fn dismiss(&mut self) {
        if let Some(mut pipe) = self.shell.stdin.take() {
            // Either fails only where the guard is gone already.
            let _ = pipe.write_all(b"\n");
            let _ = self.shell.wait();
        }
    }
}
