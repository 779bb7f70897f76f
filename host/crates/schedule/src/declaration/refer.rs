//! The plugin and the connection that a secret refers to, held against the catalog.

use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::yaml::{Fields, Reader};
use keybaton_protocol::ids::{ConnectionName, PluginName, SecretName};

/// The plugin; one that is not installed is noted.
pub(super) fn plugin(reader: &mut Reader<'_>, secret: &Fields<'_>, catalog: &Catalog) -> Option<PluginName> {
    let node = reader.need(secret, "plugin")?;
    let plugin: PluginName = reader.name(node, "`plugin`")?;
    if let Some(known) = catalog.plugins().filter(|known| !known.contains(&plugin)) {
        let problem = Diagnostic::new("unknown-plugin", node.span, format!("no plugin `{plugin}` is installed"));
        reader.push(problem.suggest_among(plugin.as_str(), known.iter().map(|plugin| plugin.as_str())));
    }
    Some(plugin)
}

/// The connection; one that does not exist, or is not open to this secret, is noted.
pub(super) fn connection(
    reader: &mut Reader<'_>,
    secret: &Fields<'_>,
    catalog: &Catalog,
    name: Option<&SecretName>,
    plugin: Option<&PluginName>,
) -> Option<ConnectionName> {
    let node = reader.need(secret, "connection")?;
    let connection: ConnectionName = reader.name(node, "`connection`")?;
    let Some(known) = catalog.connections() else { return Some(connection) };
    let Some(allow) = known.get(&connection) else {
        let message = format!("there is no connection `{connection}`");
        let problem = Diagnostic::new("unknown-connection", node.span, message);
        reader.push(problem.suggest_among(connection.as_str(), known.keys().map(|name| name.as_str())));
        return Some(connection);
    };
    let mut denied = |what: String| {
        let message = format!("the connection `{connection}` is not open to {what}");
        reader.push(Diagnostic::new("connection-denied", node.span, message));
    };
    if let Some(namespace) = name.map(SecretName::namespace).filter(|namespace| !allow.namespace(namespace)) {
        denied(format!("the namespace `{namespace}`"));
    }
    // One that is not installed has been noted as such.
    let installed = |plugin: &&PluginName| catalog.plugins().is_none_or(|known| known.contains(*plugin));
    if let Some(plugin) = plugin.filter(installed).filter(|plugin| !allow.plugin(plugin)) {
        denied(format!("the plugin `{plugin}`"));
    }
    Some(connection)
}
