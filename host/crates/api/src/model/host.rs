//! The host as a whole: overview, plugins, connections, audit, backup. No admin identity is ever shown.

use super::Standing;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// How the host stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// The binary's version.
    pub version: String,
    /// The installation's identifier.
    pub installation: String,
    /// Bumped by every restore.
    pub epoch: u32,
    /// Since when this process serves.
    pub started_at: u64,
    /// How many secrets stand how.
    pub standings: BTreeMap<Standing, u64>,
    /// The longest overdue secret and since when.
    pub oldest_overdue: Option<Overdue>,
    /// Steps of the wall clock that were noticed since this process serves, oldest first.
    #[serde(default)]
    pub clock_steps: Vec<ClockStep>,
    /// Plugins that are approved.
    pub plugins: u64,
    /// Connections that are known.
    pub connections: u64,
}

/// Somebody set the wall clock, or the machine slept. What takes time takes no longer and no shorter for it; dates are
/// those of the clock as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClockStep {
    /// When it was noticed, by the clock as it was set.
    pub at: u64,
    /// How long ago that is, in milliseconds.
    pub ago_ms: u64,
    /// By how many milliseconds: ahead, or (below zero) back.
    pub by_ms: i64,
    /// It was noticed when a journal was read whose last event is dated after the clock. Else while the host ran.
    pub at_start: bool,
}

/// A secret that should have been rotated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Overdue {
    /// Which.
    pub secret: String,
    /// Since when.
    pub due_at: u64,
}

/// How far a plugin has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PluginState {
    /// Kept, never loaded.
    Added,
    /// Locked: its digest and grants are in `keybaton.lock`.
    Approved,
    /// Replaced by a newer digest, kept while a rotation is pinned to it.
    Superseded,
}

/// A plugin's component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginView {
    /// Its name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// Version of the contract it was built for.
    pub contract: String,
    /// `sha256:…` of the component.
    pub digest: String,
    /// How far it has come.
    pub state: PluginState,
    /// One line for people.
    pub summary: String,
    /// What it asks for, one line each.
    pub asks: Vec<String>,
    /// What it was granted, one line each.
    pub grants: Vec<String>,
    /// Where manifest, imports and grants do not agree, one line each.
    pub differences: Vec<String>,
    /// Whose signature it carries, once added; whose it must carry, once approved. Absent: nobody's.
    #[serde(default)]
    pub signer: Option<SignerView>,
    /// Secrets that declare it.
    pub used_by: u64,
}

/// A public key by which components are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignerView {
    /// OpenSSH's one-line form.
    pub key: String,
    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
}

/// All plugins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plugins {
    /// By name, then newest first.
    pub plugins: Vec<PluginView>,
}

/// Approve which digest, signed by whom?
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    /// `sha256:…`; absent: the newest that was added.
    #[serde(default)]
    pub digest: Option<String>,
    /// OpenSSH public key by which it, and each version after it, must be signed; absent: the locked version's signer,
    /// or whoever signed this one.
    #[serde(default)]
    pub signer: Option<String>,
    /// Nobody's signature is asked for, from now on.
    #[serde(default)]
    pub unsigned: bool,
}

/// A connection, without its admin identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionView {
    /// Its name.
    pub name: String,
    /// `postgres`, `http`, …
    pub kind: String,
    /// What it points at.
    pub target: String,
    /// Where the admin identity comes from, never what it is.
    pub admin_from: String,
    /// Namespaces that may use it.
    pub namespaces: Vec<String>,
    /// Plugins that may use it.
    pub plugins: Vec<String>,
    /// Secrets that declare it.
    pub used_by: u64,
}

/// All connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Connections {
    /// By name.
    pub connections: Vec<ConnectionView>,
}

/// Result of logging in as the admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionTest {
    /// Which connection.
    pub name: String,
    /// Whether it worked.
    pub works: bool,
    /// What the target said, scrubbed.
    pub detail: String,
    /// How long it took.
    pub took_ms: u64,
}

/// Where a backup goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// A directory on the host that must not exist yet.
    pub to: String,
}

/// A backup was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupReport {
    /// Where it is.
    pub to: String,
    /// Its size.
    pub bytes: u64,
    /// What is in it, one line each.
    pub included: Vec<String>,
    /// What is not in it and must be kept elsewhere (the key-encryption key), one line each.
    pub not_included: Vec<String>,
}

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Position in the chain.
    pub seq: u64,
    /// When.
    pub at: u64,
    /// Who.
    pub actor: String,
    /// From where.
    pub from: String,
    /// What.
    pub action: String,
    /// On what.
    pub subject: String,
    /// Reasons and parameters.
    pub detail: String,
    /// `asked`, `done`, `refused: ` with the problem's name, or `failed: ` with what went wrong.
    pub verdict: String,
}

/// The newest audit entries, newest last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditLog {
    /// Entries.
    pub entries: Vec<AuditEntry>,
}

/// Whether the audit log's hash chain holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditReport {
    /// It does.
    pub intact: bool,
    /// How many entries were checked.
    pub entries: u64,
    /// The chain's newest hash, as hex: to be compared with a checkpoint kept elsewhere.
    pub head: String,
    /// The first entry that does not fit, if any.
    pub broken_at: Option<u64>,
}

/// A health check's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`.
    pub status: String,
}
