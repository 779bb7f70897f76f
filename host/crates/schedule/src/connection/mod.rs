//! Connections: named ways to a target, the host's own files. Plain data; sources of identity are described, never read.

mod address;
mod admin;
mod endpoint;
pub mod login;
mod pattern;
mod read;
mod requests;

pub use address::{Addresses, Network, Refused};
pub use admin::{Admin, Source};
pub use endpoint::{Endpoint, Tls, TlsMode};
pub use pattern::Pattern;
pub use read::{LoadedConnections, load};
pub use requests::{AllowedRequest, Param};

use crate::diagnostic::Span;
use crate::units::SECOND;
use keybaton_protocol::ids::{ConnectionName, Namespace, PluginName};

/// Every kind of mapping of the format, by its name in the schema, and its keys.
pub const KEYS: &[(&str, &[&[&str]])] = &[
    ("ConnectionFile", &[read::FILE_KEYS]),
    ("ConnectionFields", &[read::CONNECTION_KEYS]),
    ("EndpointFields", &[endpoint::POSTGRES_KEYS, endpoint::HTTP_KEYS]),
    ("TlsFields", &[endpoint::TLS_KEYS]),
    ("AdminFields", &[admin::ADMIN_KEYS]),
    ("ConnectionLimitsFields", &[read::LIMITS_KEYS]),
    ("AllowFields", &[read::ALLOW_KEYS]),
    ("RequestFields", &[requests::REQUEST_KEYS]),
];

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its name.
    pub name: ConnectionName,
    /// Where the target is.
    pub endpoint: Endpoint,
    /// How the way there is protected.
    pub tls: Tls,
    /// As whom the host acts at the target.
    pub admin: Admin,
    /// How hard it may be used.
    pub limits: Limits,
    /// Who may use it, and for what.
    pub allow: Allow,
    /// Where it is declared.
    pub origin: Span,
}

/// How hard a connection may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most calls under way together.
    pub in_flight: u32,
    /// Calls per second, over time.
    pub per_second: u32,
    /// Calls that may come at once before `per_second` holds them back.
    pub burst: u32,
    /// Longest one call may take, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { in_flight: 8, per_second: 20, burst: 40, timeout_ms: 30 * SECOND }
    }
}

/// Who may use a connection, and for what. What is not allowed is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// Namespaces of secrets.
    pub namespaces: Vec<Pattern>,
    /// Plugins.
    pub plugins: Vec<Pattern>,
    /// Identities at the target: roles, users, accounts.
    pub identities: Vec<Pattern>,
    /// Addresses that may be connected to, checked after resolution.
    pub addresses: Addresses,
    /// HTTP only: requests that may pass where a plugin leaves the choice open.
    pub endpoints: Vec<AllowedRequest>,
}

impl Allow {
    /// Whether secrets of a namespace may use it.
    #[must_use]
    pub fn namespace(&self, namespace: &Namespace) -> bool {
        self.namespaces.iter().any(|pattern| pattern.matches(namespace.as_str()))
    }

    /// Whether a plugin may use it.
    #[must_use]
    pub fn plugin(&self, plugin: &PluginName) -> bool {
        self.plugins.iter().any(|pattern| pattern.matches(plugin.as_str()))
    }

    /// Whether an identity at the target may be touched through it.
    #[must_use]
    pub fn identity(&self, identity: &str) -> bool {
        self.identities.iter().any(|pattern| pattern.matches(identity))
    }
}
