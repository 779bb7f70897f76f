//! Arguments of the commands that operate on secrets.

use clap::Args;
use std::path::PathBuf;

/// A secret by name.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// `namespace/name`.
    pub(crate) secret: String,
}

/// A secret, and why.
#[derive(Debug, Args)]
pub(crate) struct Reasoned {
    /// `namespace/name`.
    pub(crate) secret: String,
    /// Why; goes into the journal and the audit log.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

/// `plan`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keybaton plan schedules/
  keybaton plan --exit-code schedules/   in a pull request: 0 no change, 3 changes, 4 blocked or invalid")]
pub(crate) struct Plan {
    /// Declaration files, or directories of them.
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// As `apply --prune`: secrets in force that these files do not name would become unmanaged.
    #[arg(long)]
    pub(crate) prune: bool,
    /// Exit with 3 where something would change.
    #[arg(long)]
    pub(crate) exit_code: bool,
    /// Only parse and check the files, without asking a host.
    #[arg(long)]
    pub(crate) offline: bool,
}

/// `apply`.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// Declaration files, or directories of them.
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Do it even where it is weaker than what is in force; for a new secret, than the defaults.
    #[arg(long)]
    pub(crate) allow_weaker: bool,
    /// Secrets in force that these files do not name become unmanaged (never destroyed).
    #[arg(long)]
    pub(crate) prune: bool,
}

/// `import`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keybaton import payments/db --attribute username=app_a --field password < password.txt
  keybaton import payments/db --attribute username=app_a --unknown")]
pub(crate) struct Import {
    /// `namespace/name`.
    pub(crate) secret: String,
    /// The secret field the value belongs to.
    #[arg(long, default_value = "password")]
    pub(crate) field: String,
    /// A public field, as NAME=VALUE; repeatable.
    #[arg(long = "attribute", value_name = "NAME=VALUE")]
    pub(crate) attributes: Vec<String>,
    /// Read the value from this file; default: standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The value is not known: it can't be served, verified or put back.
    #[arg(long, conflicts_with = "file")]
    pub(crate) unknown: bool,
    /// The target's own id of the credential, where it has one.
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// The slot it is in, where the target has slots taken in turn (the role's name, for two roles).
    #[arg(long)]
    pub(crate) slot: Option<String>,
}

/// `rotate`.
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// `namespace/name`.
    pub(crate) secret: String,
    /// Why; goes into the journal and the audit log.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    /// Follow it until it ends.
    #[arg(long)]
    pub(crate) wait: bool,
}

/// `status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// `namespace/name`; default: all.
    pub(crate) secret: Option<String>,
}

/// `watch`.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// `namespace/name`.
    pub(crate) secret: String,
    /// Leave when no rotation is running.
    #[arg(long)]
    pub(crate) until_idle: bool,
    /// From the beginning, and every record on a line of its own.
    #[arg(long)]
    pub(crate) all: bool,
}

/// `history`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keybaton history payments/db                   rotation by rotation, each plugin call on one line
  keybaton history payments/db --all             every record of the journal
  keybaton history payments/db --before 5120     what came before that record")]
pub(crate) struct History {
    /// `namespace/name`.
    pub(crate) secret: String,
    /// Every record on a line of its own, each host call too.
    #[arg(long)]
    pub(crate) all: bool,
    /// The newest so many records.
    #[arg(long, value_name = "RECORDS", default_value_t = 1_000)]
    pub(crate) limit: u64,
    /// Only records before this one.
    #[arg(long, value_name = "RECORD")]
    pub(crate) before: Option<u64>,
}

/// `compromise`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keybaton compromise payments/db --generation 4 --dry-run     what it would break
  keybaton compromise payments/db --generation 4 --disable-first --reason 'in a public log' --yes")]
pub(crate) struct Compromise {
    /// `namespace/name`.
    pub(crate) secret: String,
    /// Which generation.
    #[arg(long)]
    pub(crate) generation: u32,
    /// End it before consumers have switched.
    #[arg(long)]
    pub(crate) disable_first: bool,
    /// How it is known; goes into the audit log.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    /// Only say what it would break.
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Do it. Without this it says what it would break, and ends with 5.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `override`.
#[derive(Debug, Args)]
pub(crate) struct Override {
    /// `namespace/name`.
    pub(crate) secret: String,
    /// Which generation may end.
    #[arg(long)]
    pub(crate) generation: u32,
    /// Why; goes into the journal and the audit log.
    #[arg(long)]
    pub(crate) reason: String,
}

/// A secret, or a wider scope.
#[derive(Debug, Args)]
#[group(id = "scope", required = true, multiple = false)]
pub(crate) struct Scoped {
    /// `namespace/name`.
    pub(crate) secret: Option<String>,
    /// Everything on this host.
    #[arg(long)]
    pub(crate) all: bool,
    /// All secrets of a namespace.
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// All secrets on a connection.
    #[arg(long, value_name = "NAME")]
    pub(crate) connection: Option<String>,
    /// All secrets of a plugin.
    #[arg(long, value_name = "NAME")]
    pub(crate) plugin: Option<String>,
}
