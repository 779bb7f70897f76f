//! What to start and how. It never inherits standard input: a program that asks a question gets its end at once.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::Pid;

use super::{Guard, Process};
use crate::{Account, Error, Result};

/// A program to start in a process group of its own.
#[derive(Debug)]
pub struct Launch {
    name: String,
    command: Command,
    input: Option<Vec<u8>>,
}

impl Launch {
    /// `program`, called `name` in messages and in the names of its output files.
    #[must_use]
    pub fn new(name: &str, program: impl AsRef<OsStr>) -> Self {
        Self { name: name.to_owned(), command: Command::new(program), input: None }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Takes a variable out of its environment.
    #[must_use]
    pub fn without_env(mut self, key: &str) -> Self {
        self.command.env_remove(key);
        self
    }

    /// The folder it starts in.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// What it reads from standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// The account it runs under; only root can name another than its own.
    #[must_use]
    pub fn account(mut self, account: Option<&Account>) -> Self {
        if let Some(account) = account {
            self.command.uid(account.uid).gid(account.gid);
        }
        self
    }

    /// Starts it, with its output appended to `NAME.out` and `NAME.err` in the folder `logs`.
    ///
    /// # Errors
    /// The program or the log files can't be opened.
    pub fn start(mut self, logs: &Path) -> Result<Process> {
        let (stdout, out) = self.log(logs, "out")?;
        let (stderr, err) = self.log(logs, "err")?;
        let stdin = self.stdin(logs)?;
        let child = self.command.stdin(stdin).stdout(out).stderr(err).process_group(0).spawn();
        let mut child = child.map_err(Error::io(format!("start {}", self.name)))?;
        let group = Pid::from_child(&child);
        let guard = match Guard::over(child.id()) {
            Ok(guard) => guard,
            Err(error) => {
                // Without a guard it could outlive us: it does not run at all.
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        Ok(Process { name: self.name, child, group, guard, ended: None, stdout, stderr })
    }

    fn log(&self, folder: &Path, stream: &str) -> Result<(PathBuf, File)> {
        let path = folder.join(format!("{}.{stream}", self.name));
        let file = File::options().create(true).append(true).open(&path);
        Ok((path.clone(), file.map_err(Error::io(format!("open {}", path.display())))?))
    }

    /// Through an unlinked file: a pipe would need somebody to feed it.
    fn stdin(&mut self, folder: &Path) -> Result<Stdio> {
        let Some(input) = self.input.take() else {
            return Ok(Stdio::null());
        };
        let path = folder.join(format!("{}.in", self.name));
        let failed = || Error::io(format!("write {}", path.display()));
        fs::write(&path, input).map_err(failed())?;
        let file = File::open(&path).map_err(failed())?;
        fs::remove_file(&path).map_err(failed())?;
        Ok(file.into())
    }
}
