//! One declared secret. What it says of others is checked when all are read.

use super::share::Shared;
use super::{cadence, consumers, policy, refer, settings};
use crate::catalog::Catalog;
use crate::diagnostic::{Diagnostic, Span};
use crate::spec::{Spec, Stagger};
use crate::units::LONGEST;
use crate::yaml::{Node, Reader};
use keybaton_protocol::ids::{Namespace, SecretName};
use std::sync::Arc;

/// Keys of a secret.
pub(super) const SECRET_KEYS: &[&str] = &[
    "name",
    "plugin",
    "connection",
    "settings",
    "cadence",
    "stagger",
    "after",
    "overlap",
    "consumers",
    "stragglers",
    "waves",
    "limits",
];
/// Keys of `stagger`.
pub(super) const STAGGER_KEYS: &[&str] = &["group", "at_least", "at_once"];

/// Most secrets that another may come after.
const MAX_AFTER: usize = 64;

/// A secret as read, with the places that later checks point at.
pub(super) struct Declared {
    pub(super) name: SecretName,
    pub(super) at: Span,
    pub(super) after: Vec<(SecretName, Span)>,
    pub(super) stagger: Option<(Arc<Stagger>, Span)>,
    /// None if any part is missing or wrong.
    pub(super) spec: Option<Spec>,
}

/// Reads one secret; none if it has no name, so that nothing can be said of it together with others.
pub(super) fn read(reader: &mut Reader<'_>, shared: &mut Shared, catalog: &Catalog, node: &Node) -> Option<Declared> {
    let fields = reader.fields(node, "the secret", SECRET_KEYS)?;
    let name_node = reader.need(&fields, "name");
    let name = name_node.and_then(|node| reader.name::<SecretName>(node, "`name`"));
    let plugin = refer::plugin(reader, &fields, catalog);
    let connection = refer::connection(reader, &fields, catalog, name.as_ref(), plugin.as_ref());
    let settings = reader.need(&fields, "settings").and_then(|node| settings::read(reader, node, connection.as_ref()));
    let cadence = reader.need(&fields, "cadence").and_then(|node| cadence::read(reader, shared, node));
    let stagger = fields.get("stagger").map(|node| (stagger(reader, node), node.get("at_least").unwrap_or(node).span));
    let after = fields.get("after").map_or_else(Vec::new, |node| after(reader, node));
    let consumers = reader.need(&fields, "consumers").and_then(|node| consumers::read(reader, node));
    let consumers = consumers.unwrap_or_default();
    let policy = policy::read(reader, &fields, consumers);

    let name = name?;
    let stagger = stagger.and_then(|(stagger, at)| Some((shared.staggers.one(stagger?), at)));
    let mut names: Vec<SecretName> = after.iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    let whole = || {
        Some(Spec {
            name: name.clone(),
            plugin: shared.plugins.one(plugin?),
            connection: shared.connections.one(connection?),
            settings: settings?,
            cadence: shared.cadences.one(cadence?),
            stagger: stagger.as_ref().map(|(stagger, _)| Arc::clone(stagger)),
            after: names.into(),
            policy: shared.policies.one(policy),
            origin: node.span,
        })
    };
    let spec = whole();
    let at = name_node.map_or(node.span, |node| node.span);
    Some(Declared { name, at, after, stagger, spec })
}

fn stagger(reader: &mut Reader<'_>, node: &Node) -> Option<Stagger> {
    let fields = reader.fields(node, "`stagger`", STAGGER_KEYS)?;
    let group = reader.need(&fields, "group").and_then(|node| reader.name::<Namespace>(node, "`group`"));
    let at_least = match fields.get("at_least") {
        Some(node) => reader.duration(node, "`at_least`", 0..=LONGEST),
        None => Some(0),
    };
    let at_once = match fields.get("at_once") {
        Some(node) => reader.count(node, "`at_once`", 1..=10_000),
        None => Some(1),
    };
    Some(Stagger { group: group?.as_str().to_owned(), at_least_ms: at_least?, at_once: at_once? })
}

fn after(reader: &mut Reader<'_>, node: &Node) -> Vec<(SecretName, Span)> {
    let mut places = Vec::new();
    let names = reader.set(node, "`after`", |reader, item| {
        let name = reader.name::<SecretName>(item, "a name in `after`")?;
        places.push((name.clone(), item.span));
        Some(name)
    });
    if places.len() > MAX_AFTER {
        let message = format!("`after` names more than {MAX_AFTER} secrets");
        reader.push(Diagnostic::new("too-many", node.span, message));
        places.truncate(MAX_AFTER);
    }
    let names = names.unwrap_or_default();
    let mut once = names.into_iter().peekable();
    // A name that stood twice has been noted; here it stands once.
    places.retain(|(name, _)| once.next_if(|next| next == name).is_some());
    places
}
