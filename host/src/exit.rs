//! Exit codes and failures of commands: each code means one thing, and is documented in the README.

use keybaton_protocol::fault::Blame;
use std::fmt;
use std::process::ExitCode;

/// What a finished command tells the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; for `plan --exit-code`: nothing would change.
    Done = 0,
    /// It failed at the target, in a plugin or in the host.
    Failed = 1,
    /// The command line is wrong (clap's own code).
    Usage = 2,
    /// `plan --exit-code`: something would change.
    Changes = 3,
    /// Declarations, connections or settings are wrong, or a plan is blocked.
    Invalid = 4,
    /// The secret's state does not allow it.
    Refused = 5,
    /// No such secret, plugin, connection or consumer.
    NotFound = 6,
    /// The host cannot be reached, or does not accept the token.
    Unreachable = 7,
    /// Stored data is damaged, or an audit chain is broken.
    Damaged = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked, for the person who asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The code the shell gets.
    pub(crate) exit: Exit,
    /// What failed.
    pub(crate) what: String,
    /// Whose fault it is, where that is known.
    pub(crate) blame: Option<Blame>,
    /// What to do next.
    pub(crate) help: Option<String>,
    /// Causes, outermost first.
    pub(crate) causes: Vec<String>,
}

impl Failure {
    /// A failure with this code.
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), blame: None, help: None, causes: Vec::new() }
    }

    /// Says what to do next.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says whose fault it is.
    #[must_use]
    pub(crate) fn blame(mut self, blame: Blame) -> Self {
        self.blame = Some(blame);
        self
    }

    /// Adds the chain of causes.
    #[must_use]
    pub(crate) fn because(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.causes.push(error.to_string());
            next = error.source();
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Lets `?` attach what was being done to an error.
pub(crate) trait Context<T> {
    /// Fails with this code and these words, keeping the error as the cause.
    fn failed(self, exit: Exit, what: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: std::error::Error> Context<T> for Result<T, E> {
    fn failed(self, exit: Exit, what: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(exit, what).because(&error))
    }
}
