//! Arguments of the commands by which people change what a rotation goes by: members, words, places, operators.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `member …`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keybaton member list payments/db                                    who is expected, and what each has shown
  keybaton member drop payments/db --consumer api --replica api-7 --reason 'host burnt down'

What is changed here holds until the declaration is applied anew or a rotation starts: change that too.")]
pub(crate) struct MemberArgs {
    #[command(subcommand)]
    pub(crate) command: MemberCommand,
}

/// What to do with members.
#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// Show every consumer's members: what they hold, and with what evidence.
    List {
        /// `namespace/name`.
        secret: String,
    },
    /// Wait no more for a replica that is gone for good.
    Drop(Member),
    /// Expect one more replica.
    Add(Member),
}

/// One replica.
#[derive(Debug, Args)]
pub(crate) struct Member {
    /// `namespace/name`.
    pub(crate) secret: String,
    /// Of which consumer.
    #[arg(long)]
    pub(crate) consumer: String,
    /// Which replica; where replicas are counted, one is counted in or out.
    #[arg(long)]
    pub(crate) replica: String,
    /// Why; goes into the audit log.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

/// `attest`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keybaton attest payments/db --consumer batch --generation 4 --as adopted \\
      --reason 'restarted it, saw it log in as app_b' --expires 4h
  keybaton attest payments/db                          what waits for an approval
  keybaton attest payments/db --approve 3f2a9c0d11e4b7a6   as another operator

A word counts only where the declaration asks for `attested`, once another operator has approved it, until it expires.")]
pub(crate) struct Attest {
    /// `namespace/name`.
    pub(crate) secret: String,
    /// About which consumer.
    #[arg(long, requires_all = ["generation", "reason", "expires"])]
    pub(crate) consumer: Option<String>,
    /// About which replica; may be left out where there is only one.
    #[arg(long, requires = "consumer")]
    pub(crate) replica: Option<String>,
    /// About which generation.
    #[arg(long, requires = "consumer")]
    pub(crate) generation: Option<u32>,
    /// What is said of it.
    #[arg(long = "as", value_parser = ["ready", "adopted", "released", "dropped"], default_value = "adopted")]
    pub(crate) purpose: String,
    /// How it is known; goes into the journal and the audit log.
    #[arg(long, requires = "consumer")]
    pub(crate) reason: Option<String>,
    /// For how long it counts: `90m`, `4h`, `2d`.
    #[arg(long, requires = "consumer", value_parser = minutes, value_name = "SPAN")]
    pub(crate) expires: Option<u32>,
    /// Approve another operator's word.
    #[arg(long, value_name = "ID", conflicts_with_all = ["consumer", "withdraw"])]
    pub(crate) approve: Option<String>,
    /// Withdraw a word that nobody has approved.
    #[arg(long, value_name = "ID", conflicts_with = "consumer")]
    pub(crate) withdraw: Option<String>,
}

/// `repin`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keybaton plugin add fixed.wasm && keybaton plugin approve postgres-password
  keybaton repin payments/db --reason 'install failed on locked roles'")]
pub(crate) struct Repin {
    /// `namespace/name`.
    pub(crate) secret: String,
    /// The digest that must be the approved one, `sha256:…`.
    #[arg(long)]
    pub(crate) digest: Option<String>,
    /// Why; goes into the audit log.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

/// `place …`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keybaton place list fleet/deploy-key
  keybaton place drop fleet/deploy-key web-17 --reason 'switched off for a week'
  keybaton place scrap fleet/deploy-key web-18 --reason 'its disk is destroyed'
  keybaton place return fleet/deploy-key web-17       it is brought level before it counts")]
pub(crate) struct PlaceArgs {
    #[command(subcommand)]
    pub(crate) command: PlaceCommand,
}

/// What to do with places.
#[derive(Debug, Subcommand)]
pub(crate) enum PlaceCommand {
    /// Show every place of the target, and how each generation stands there.
    List {
        /// `namespace/name`.
        secret: String,
    },
    /// Say that a place is away: no rotation waits for it. What is on there stays named and ends when it is back.
    Drop(Place),
    /// Take a place out that is gone for good, and every credential that was there with it.
    Scrap(Place),
    /// Take a place in, or back.
    #[command(alias = "add")]
    Return(Place),
}

/// One place.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// `namespace/name`.
    pub(crate) secret: String,
    /// Which place.
    pub(crate) place: String,
    /// Why; goes into the audit log.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

/// `operator …`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keybaton operator add grace > grace.token            everywhere, without an end
  keybaton operator add ci --namespace payments --days 90
  keybaton operator remove grace                       the last one who may do everything stays
  keybaton operator reset --offline                    a new token where the last one is lost; the host is stopped")]
pub(crate) struct OperatorArgs {
    #[command(subcommand)]
    pub(crate) command: OperatorCommand,
}

/// What to do with operators.
#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    /// Make an operator and print its token, once.
    Add {
        /// Its name, as it goes into journals and the audit log.
        name: String,
        /// Where it may act; repeatable. Without it: everywhere, and on the host itself.
        #[arg(long = "namespace", value_name = "NAME")]
        namespaces: Vec<String>,
        /// After how many days its token ends.
        #[arg(long)]
        days: Option<u32>,
    },
    /// List operators whose tokens are good.
    List,
    /// Remove an operator: its tokens are good no longer.
    Remove {
        /// Its name.
        name: String,
    },
    /// Make a new token for an operator whose token is lost: with the key-encryption key, while the host is stopped.
    Reset(Reset),
}

/// `operator reset`.
#[derive(Debug, Args)]
pub(crate) struct Reset {
    /// Its name. It may do everything everywhere; its earlier tokens are good no longer.
    #[arg(default_value = "operator")]
    pub(crate) name: String,
    /// On the store itself: needs the key-encryption key and a stopped host.
    #[arg(long)]
    pub(crate) offline: bool,
    /// Where the token goes (mode 0600); default: `operator.token` in the installation's directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
}

/// `reconcile`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keybaton reconcile --all                       what a restore holds: matches, ahead, partly, lost, foreign,
                                                 unreachable; what matches goes on
  keybaton reconcile payments/db                 the same for one, and what to do next
  keybaton reconcile payments/db --accept lost --reason 'the server was rebuilt'
  keybaton reconcile payments/db --no-wait       5 where it has not been compared yet")]
pub(crate) struct Reconcile {
    /// `namespace/name`.
    #[arg(required_unless_present = "all")]
    pub(crate) secret: Option<String>,
    /// Every secret that is held by a restore; those that match their targets go on.
    #[arg(long, conflicts_with = "secret")]
    pub(crate) all: bool,
    /// Accept that what the journal knows is lost, because the target refuses it: nothing is current any more, and
    /// nothing at the target is touched.
    #[arg(long, value_parser = ["lost"], requires = "reason", conflicts_with = "all")]
    pub(crate) accept: Option<String>,
    /// Why it is accepted; goes into the journal and the audit log.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    /// Do not wait for the comparison.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// How long to wait for it: `90m`, `4h`.
    #[arg(long, default_value = "10m", value_parser = minutes, value_name = "SPAN")]
    pub(crate) timeout: u32,
}

/// A span in whole minutes.
fn minutes(text: &str) -> Result<u32, String> {
    let help = || "a span is a number with `m`, `h` or `d` behind it, such as 90m".to_owned();
    let (number, factor) = match text.split_at_checked(text.len().saturating_sub(1)) {
        Some((number, "m")) => (number, 1),
        Some((number, "h")) => (number, 60),
        Some((number, "d")) => (number, 24 * 60),
        _ => return Err(help()),
    };
    let number: u32 = number.parse().map_err(|_| help())?;
    number.checked_mul(factor).filter(|minutes| *minutes > 0).ok_or_else(help)
}

#[cfg(test)]
mod tests {
    use super::minutes;

    #[test]
    fn spans_are_whole_minutes() {
        for (text, expected) in [("1m", 1), ("90m", 90), ("4h", 240), ("2d", 2_880)] {
            assert_eq!(minutes(text), Ok(expected), "{text}");
        }
        for text in ["", "m", "0m", "4", "4s", "-4h", "4 h", "h4", "99999999d", "4hé"] {
            assert!(minutes(text).is_err(), "{text}");
        }
    }
}
