//! An applied declaration as the engine runs it, and when it is due. Holds no files and parses nothing.

use keybaton_protocol::ids::{ConnectionName, Digest, Millis, Place, PluginName, SecretName};
use keybaton_protocol::policy::Policy;
use std::sync::Arc;

/// One secret, declared and applied. Whoever applies keeps declarations durable and declares them again at start.
#[derive(Clone)]
pub struct Declared {
    /// Its name.
    pub name: SecretName,
    /// Digest of the declaration as applied; pinned by each rotation.
    pub spec: Digest,
    /// The plugin that rotates it.
    pub plugin: PluginName,
    /// The connection it uses; limits of concurrency and the brake count by it.
    pub connection: ConnectionName,
    /// Identity of the target (connection and what it points at); pinned.
    pub target: Arc<str>,
    /// The server behind the connection, by whatever connections it is reached; kept once.
    pub server: Arc<Server>,
    /// Where each plugin call is made; [`Place::only`] for a target that is one.
    pub places: Arc<[Place]>,
    /// The plugin's settings, as JSON. Validated against the plugin when a rotation starts.
    pub settings: Arc<str>,
    /// What the operator asked; equal policies are kept once.
    pub policy: Arc<Policy>,
    /// When it is due; shared between secrets, so it must tell them apart by name alone. `None`: only on request.
    pub cadence: Option<Arc<dyn Cadence>>,
    /// Secrets of one group start at least `gap_ms` apart.
    pub stagger: Option<Arc<Stagger>>,
    /// Secrets that must not be in mid-rotation when this one starts (its CA, its connection's own login).
    pub after: Arc<[SecretName]>,
    /// Not started by cadence while set; requests still are.
    pub paused: bool,
}

/// A server, and who logs in there beside the secrets. Secrets of one server must not claim the same of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Server {
    /// What it is, without the name of a connection: `postgres://db.example.com:5432`.
    pub endpoint: String,
    /// What the logins of connections claim of it, and which connection's each is: `role:keybaton`, `main-db`.
    pub logins: Vec<(String, ConnectionName)>,
}

/// An exclusion group in time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stagger {
    /// Its name, for people.
    pub group: String,
    /// Least time between two starts in the group, in milliseconds.
    pub gap_ms: u64,
    /// How many of the group may be rotating at once; 0 is no limit.
    pub at_once: u32,
}

/// What a due time is computed from: facts of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Anchor {
    /// When the current credential became current.
    pub rotated_at: Option<Millis>,
    /// When it ends by itself, if it does.
    pub expires_at: Option<Millis>,
}

/// When a secret is due: pure and deterministic, jitter drawn from the name as seed, so that it is never re-rolled.
pub trait Cadence: Send + Sync {
    /// The next due instant after the anchor, or `None` when nothing is scheduled (never issued, no expiry known). One
    /// that was missed may move, and whether it was is seen by `now`; otherwise the moment of asking changes nothing.
    fn next_due(&self, secret: &SecretName, anchor: Anchor, now: Millis) -> Option<Millis>;
    /// The earliest instant, not before `at`, at which a start is allowed (windows); `None` if there is none. A
    /// credential that would expire first does not wait for a window.
    fn window(&self, secret: &SecretName, anchor: Anchor, at: Millis) -> Option<Millis>;
    /// For people and the journal's `cause`: `every`, `cron`, `before-expiry`.
    fn cause(&self) -> &'static str;
}
