//! The command line: what can be asked, with help and examples. Parses only; does nothing.

mod operate;
mod people;
mod setup;

use clap::{Args, Parser, Subcommand};
pub(crate) use operate::*;
pub(crate) use people::*;
pub(crate) use setup::*;
use std::path::PathBuf;

/// Rotates secrets in two phases: no old credential ends before everyone who needs the new one is using it.
#[derive(Debug, Parser)]
#[command(name = "keybaton", version, max_term_width = 100, propagate_version = true)]
#[command(after_help = "Examples:
  keybaton init ./kb                     make keys, a CA and the first operator's token
  keybaton --dir ./kb serve              run the host
  keybaton plan schedules/               what would change, what blocks it, what it weakens
  keybaton rotate payments/db            start a rotation now
  keybaton watch payments/db             live phases, and who is being waited for

Exit codes: 0 done · 1 failed · 2 usage · 3 plan has changes · 4 invalid or blocked · 5 refused by state
            6 not found · 7 host unreachable or token refused · 8 stored data damaged")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The installation's directory, as `init` made it.
    #[arg(long, global = true, env = "KEYBATON_DIR", default_value = "keybaton", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// One JSON document instead of text (a line per event for `watch`).
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No remarks, no progress.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// No colours (as does NO_COLOR, or a pipe).
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// File with the operator's token; default: `operator.token` in the installation's directory.
    #[arg(long, global = true, env = "KEYBATON_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Address of a host elsewhere (https://…); default: the Unix socket in the installation's directory.
    #[arg(long, global = true, env = "KEYBATON_HOST", value_name = "URL")]
    pub(crate) host: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make keys, a CA and the first operator's token.
    Init(Init),
    /// Run the host: scheduler, engine, API.
    Serve(Serve),
    /// Show what declarations would change, what blocks them and what they weaken.
    Plan(Plan),
    /// Put declarations into force.
    Apply(Apply),
    /// Take over an existing credential: observed and verified, nothing changed at the target.
    Import(Import),
    /// Start a rotation now (or issue the first credential).
    Rotate(Rotate),
    /// End a secret: consumers release it, then it is destroyed at the target.
    Retire(Reasoned),
    /// Show where secrets stand.
    Status(Status),
    /// Follow a secret live: phases, who is being waited for, with what evidence so far.
    Watch(Watch),
    /// Show everything that happened to a secret.
    History(History),
    /// Give the pending credential back.
    Rollback(Reasoned),
    /// Put the previous credential back after commit.
    Revert(Reasoned),
    /// Leave a rotation; the secret can be started again.
    Abandon(Reasoned),
    /// Lift a hold.
    Release(Named),
    /// Say that a generation is known to others; it ends as soon as it can.
    Compromise(Compromise),
    /// Let a credential end without the evidence its gate asks for; recorded with name and reason.
    #[command(visible_alias = "force")]
    Override(Override),
    /// Show, drop and add the replicas that a rotation waits for.
    Member(MemberArgs),
    /// Give a person's word in place of a machine's evidence; another operator approves it.
    Attest(Attest),
    /// Give the running rotation the policy of the declaration in force.
    Repolicy(Reasoned),
    /// Let the running rotation go on with the component that is approved now.
    Repin(Repin),
    /// Show, drop and return the places of a target.
    Place(PlaceArgs),
    /// Start no new mutation on a secret, or in a wider scope.
    Freeze(Scoped),
    /// Allow mutations again.
    Thaw(Scoped),
    /// Add, approve, list, inspect and pack plugins.
    Plugin(PluginArgs),
    /// List and test connections.
    Connection(ConnectionArgs),
    /// Enrol consumers.
    Consumer(ConsumerArgs),
    /// Add, list and remove operators.
    Operator(OperatorArgs),
    /// Check the audit log's hash chain.
    Audit(AuditArgs),
    /// Copy the store while the host runs.
    Backup(Backup),
    /// Make an installation from a backup, under a new epoch, held until reconciled.
    Restore(Restore),
    /// Compare a restored secret with its target, and free it.
    Reconcile(Reconcile),
    /// Rotate the key-encryption key.
    Key(KeyArgs),
    /// Look for what would go wrong: permissions, clock, disk, plugins, connections.
    Doctor,
    /// Rotate real credentials under live traffic, on throw-away servers.
    Demo(Demo),
    /// Print completions for a shell.
    Completions(Completions),
}
