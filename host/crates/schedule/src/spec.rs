//! A declared secret, parsed: what to rotate, through which plugin, when and how carefully. Plain data, without a clock.
//!
//! Parts that many declarations have in common are shared, so that a million of them fit into memory; `tests/size.rs`
//! holds what one costs.

use crate::diagnostic::Span;
use crate::time::{Cron, Window};
use keybaton_protocol::ids::{ConnectionName, PluginName, SecretName};
use keybaton_protocol::policy::Policy;
use std::fmt;
use std::sync::Arc;

/// One declared secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// `namespace/name`.
    pub name: SecretName,
    /// The plugin that rotates it.
    pub plugin: Arc<PluginName>,
    /// The connection to its target.
    pub connection: Arc<ConnectionName>,
    /// What the plugin is told, its connection included; opaque here.
    pub settings: Settings,
    /// When it rotates.
    pub cadence: Arc<Cadence>,
    /// Which others it must not start together with.
    pub stagger: Option<Arc<Stagger>>,
    /// Secrets that go first when both are due; sorted.
    pub after: Box<[SecretName]>,
    /// How a rotation proceeds.
    pub policy: Arc<Policy>,
    /// Where it is declared.
    pub origin: Span,
}

/// A plugin's settings: JSON with sorted keys and no spaces, so that equal settings are equal text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Settings(Arc<str>);

impl Settings {
    pub(crate) fn new(canonical: &str) -> Self {
        Self(canonical.into())
    }

    /// The settings as JSON text.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When a secret is due. All times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cadence {
    /// The regular beat.
    pub rhythm: Rhythm,
    /// Due this long before the current credential expires, if it does.
    pub before_expiry_ms: Option<u64>,
    /// Rotations start only in these; empty means at any time.
    pub windows: Vec<Window>,
    /// Longest delay that is added, evenly spread over the secrets; 0 adds none.
    pub jitter_ms: u64,
    /// No rotation starts by itself.
    pub pause: bool,
}

/// The regular beat of a cadence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Rhythm {
    /// None: only before expiry, or by hand.
    None,
    /// This long after the last rotation, in milliseconds.
    Every(u64),
    /// At the times of a cron expression.
    Cron(Arc<Cron>),
}

/// Secrets of one group do not start within `at_least` of each other, nor more than `at_once` run together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stagger {
    /// The group, across namespaces.
    pub group: String,
    /// Shortest time between two starts, in milliseconds.
    pub at_least_ms: u64,
    /// Most rotations of the group that are under way together.
    pub at_once: u32,
}
