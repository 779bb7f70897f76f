//! Arguments of the commands that set an installation up and look after it.

use clap::{Args, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

/// `init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The directory to make; default: `--dir`.
    pub(crate) into: Option<PathBuf>,
    /// Where the key-encryption key goes (a new file, mode 0600); default: beside the directory, `DIR.kek`.
    #[arg(long, value_name = "FILE")]
    pub(crate) kek: Option<PathBuf>,
    /// Address the HTTPS API will listen on.
    #[arg(long, default_value = "127.0.0.1:8844")]
    pub(crate) listen: String,
    /// Names and addresses in the server certificate; repeatable.
    #[arg(long = "san", default_values_t = ["localhost".to_owned(), "127.0.0.1".to_owned()])]
    pub(crate) sans: Vec<String>,
}

/// `serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Log as JSON lines.
    #[arg(long)]
    pub(crate) log_json: bool,
    /// Log filter, as `RUST_LOG` has it.
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub(crate) log: String,
}

/// `plugin …`.
#[derive(Debug, Args)]
pub(crate) struct PluginArgs {
    #[command(subcommand)]
    pub(crate) command: PluginCommand,
}

/// What to do with a plugin.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Copy a component into the installation and show what it asks for.
    Add {
        /// The component.
        component: PathBuf,
        /// Its signature, as `ssh-keygen -Y sign -n keybaton-plugin` makes it; default: COMPONENT.sig, if it is there.
        #[arg(long, value_name = "FILE")]
        signature: Option<PathBuf>,
    },
    /// Grant what a plugin asks for, and lock its digest and its signer.
    Approve {
        /// The plugin's name.
        name: String,
        /// Which digest, where several were added; default: the newest.
        #[arg(long)]
        digest: Option<String>,
        /// Whose signature this version and each further one must carry: an OpenSSH public key, or its file; default:
        /// the signer of the approved version, or of this one where there is none.
        #[arg(long, value_name = "KEY", conflicts_with = "unsigned")]
        signer: Option<String>,
        /// Ask for nobody's signature from now on.
        #[arg(long)]
        unsigned: bool,
    },
    /// List plugins: added, approved, in use.
    List,
    /// Show a component's manifest, imports, signer and what does not agree.
    Inspect {
        /// The component.
        component: PathBuf,
        /// Its signature; default: COMPONENT.sig, if it is there.
        #[arg(long, value_name = "FILE")]
        signature: Option<PathBuf>,
    },
    /// Make a component of a core module and its manifest.
    Pack {
        /// The core module, as cargo builds it for wasm32-unknown-unknown.
        module: PathBuf,
        /// plugin.toml.
        #[arg(long)]
        manifest: PathBuf,
        /// Where the component goes.
        #[arg(long, short)]
        output: PathBuf,
    },
}

/// `connection …`.
#[derive(Debug, Args)]
pub(crate) struct ConnectionArgs {
    #[command(subcommand)]
    pub(crate) command: ConnectionCommand,
}

/// What to do with connections.
#[derive(Debug, Subcommand)]
pub(crate) enum ConnectionCommand {
    /// List them.
    List,
    /// Log in as the admin and come back.
    Test {
        /// Its name.
        name: String,
    },
}

/// `consumer …`.
#[derive(Debug, Args)]
pub(crate) struct ConsumerArgs {
    #[command(subcommand)]
    pub(crate) command: ConsumerCommand,
}

/// What to do with consumers.
#[derive(Debug, Subcommand)]
pub(crate) enum ConsumerCommand {
    /// Print a single-use enrolment token and the CA's pin.
    Enrol {
        /// `namespace/name` of the consumer.
        consumer: String,
        /// How long the token may be used, in minutes.
        #[arg(long, default_value_t = 15)]
        minutes: u32,
        /// Which replica is enrolled; without it, the identity stands for the replica that its first request names.
        #[arg(long)]
        replica: Option<String>,
    },
    /// List enrolled consumers, and which replica each identity stands for.
    List,
    /// Have an identity stand for another replica: its workload kept it and got another name.
    Rebind {
        /// Which identity, as `list` names it.
        identity: String,
        /// Which replica it stands for from now on.
        replica: String,
        /// Why, for the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Withdraw a consumer's identities.
    Revoke {
        /// `namespace/name` of the consumer.
        consumer: String,
    },
}

/// `audit …`.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    pub(crate) command: AuditCommand,
}

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check the whole chain.
    Verify,
    /// Print the newest entries.
    Show {
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
}

/// `backup`.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Directory to make; must not exist.
    pub(crate) to: PathBuf,
}

/// `restore`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keybaton restore --guide                 each step for this installation, in order, and how far it has come
  keybaton restore /backup/2026-11-22      make the store from a backup")]
pub(crate) struct Restore {
    /// The backup.
    #[arg(required_unless_present = "guide")]
    pub(crate) from: Option<PathBuf>,
    /// Tell each step of a restore for this installation, in order, and change nothing.
    #[arg(long)]
    pub(crate) guide: bool,
}

/// `key …`.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    pub(crate) command: KeyCommand,
}

/// What to do with the key-encryption key.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a new key and wrap every data key anew (the host must be stopped).
    Rotate {
        /// Where the new key goes (a new file, mode 0600).
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

/// `demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Directory with the packed plugins.
    #[arg(long, default_value = "target/components")]
    pub(crate) components: PathBuf,
    /// Keep the demo's folder, with its logs, instead of removing it.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// `completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell.
    pub(crate) shell: Shell,
}
