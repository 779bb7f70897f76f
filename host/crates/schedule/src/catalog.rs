//! What a declaration may refer to: the installed plugins and the host's connections. Given by the caller, never looked up.

use crate::connection::{Allow, Connection};
use keybaton_protocol::ids::{ConnectionName, PluginName};
use std::collections::{BTreeMap, BTreeSet};

/// Known names; what is not given is not checked.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    plugins: Option<BTreeSet<PluginName>>,
    connections: Option<BTreeMap<ConnectionName, Allow>>,
}

impl Catalog {
    /// Checks nothing: for the form alone.
    #[must_use]
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Only these plugins exist.
    #[must_use]
    pub fn with_plugins(mut self, plugins: impl IntoIterator<Item = PluginName>) -> Self {
        self.plugins = Some(plugins.into_iter().collect());
        self
    }

    /// Only these connections exist, and they may be used as they say.
    #[must_use]
    pub fn with_connections<'c>(mut self, connections: impl IntoIterator<Item = &'c Connection>) -> Self {
        let open = connections.into_iter().map(|connection| (connection.name.clone(), connection.allow.clone()));
        self.connections = Some(open.collect());
        self
    }

    pub(crate) fn plugins(&self) -> Option<&BTreeSet<PluginName>> {
        self.plugins.as_ref()
    }

    pub(crate) fn connections(&self) -> Option<&BTreeMap<ConnectionName, Allow>> {
        self.connections.as_ref()
    }
}
