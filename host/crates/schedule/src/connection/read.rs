//! Connection files: texts to connections, with everything that is wrong with all of them. Opens no file.

use super::address::{Addresses, Network};
use super::pattern::Pattern;
use super::{Allow, Connection, Limits, admin, endpoint, requests};
use crate::declaration::{Input, entries};
use crate::diagnostic::{Diagnostic, Problems, Sources, Span, render};
use crate::units::{MINUTE, SECOND, shortened};
use crate::yaml::{Kind, Node, Reader, documents};
use keybaton_protocol::ids::ConnectionName;
use std::collections::HashMap;

/// Keys of a file.
pub(super) const FILE_KEYS: &[&str] = &["connections"];
/// Keys of a connection.
pub(super) const CONNECTION_KEYS: &[&str] = &["name", "kind", "endpoint", "tls", "admin", "limits", "allow"];
/// Keys of `limits`.
pub(super) const LIMITS_KEYS: &[&str] = &["in_flight", "per_second", "burst", "timeout"];
/// Keys of `allow`.
pub(super) const ALLOW_KEYS: &[&str] =
    &["namespaces", "plugins", "identities", "addresses", "private", "loopback", "endpoints"];

/// What was read.
#[derive(Debug)]
pub struct LoadedConnections {
    /// The connections, in the order of the files; with any diagnostic, those that could be read.
    pub connections: Vec<Connection>,
    /// All that is wrong, by file and position.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts, without what looked like a secret.
    pub sources: Sources,
}

impl LoadedConnections {
    /// The diagnostics as text for people.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        render(&self.diagnostics, &self.sources, colour)
    }
}

/// Reads connection files. All errors of all files come together.
#[must_use]
pub fn load(inputs: &[Input<'_>]) -> LoadedConnections {
    let mut sources = Sources::default();
    let mut problems = Problems::default();
    let mut connections = Vec::new();
    let mut names: HashMap<ConnectionName, Span> = HashMap::new();
    for input in inputs {
        let file = sources.add(input.name, input.text);
        for document in documents(input.text, file, &mut problems) {
            let mut reader = Reader { problems: &mut problems };
            for node in entries(&mut reader, &document, "connections", FILE_KEYS) {
                connections.extend(connection(&mut reader, &mut names, node));
            }
        }
    }
    for span in problems.concealed() {
        sources.mask(span);
    }
    // What cannot be read may be anything, a secret too.
    for span in problems.unreadable() {
        sources.mask(sources.line(span));
    }
    LoadedConnections { connections, diagnostics: problems.finish(&sources), sources }
}

fn connection(reader: &mut Reader<'_>, names: &mut HashMap<ConnectionName, Span>, node: &Node) -> Option<Connection> {
    let fields = reader.fields(node, "the connection", CONNECTION_KEYS)?;
    let name = reader.need(&fields, "name").and_then(|node| name(reader, names, node));
    let kinds = [("postgres", true), ("http", false)];
    let postgres = reader.need(&fields, "kind").and_then(|node| reader.choice(node, "`kind`", &kinds));
    let endpoint = reader.need(&fields, "endpoint");
    let endpoint = endpoint.zip(postgres).and_then(|(node, postgres)| match postgres {
        true => endpoint::postgres(reader, node),
        false => endpoint::http(reader, node),
    });
    let tls = endpoint::tls(reader, &fields, endpoint.as_ref());
    let admin = reader.need(&fields, "admin");
    let admin = admin.zip(postgres).and_then(|(node, postgres)| admin::read(reader, node, postgres));
    let limits = fields.get("limits").map_or(Some(Limits::default()), |node| limits(reader, node));
    let allow = reader.need(&fields, "allow").and_then(|node| allow(reader, node, postgres));
    if let (Some(admin), Some(endpoint)) = (&admin, &endpoint) {
        admin::one_certificate(reader, &fields, admin, endpoint);
        admin::can_be_tried(reader, &fields, admin, endpoint);
    }
    if let (Some(allow), Some(endpoint)) = (&allow, &endpoint) {
        endpoint::reachable(reader, &fields, endpoint, &allow.addresses);
    }
    Some(Connection {
        name: name?,
        endpoint: endpoint?,
        tls: tls?,
        admin: admin?,
        limits: limits?,
        allow: allow?,
        origin: node.span,
    })
}

fn name(reader: &mut Reader<'_>, names: &mut HashMap<ConnectionName, Span>, node: &Node) -> Option<ConnectionName> {
    let name: ConnectionName = reader.name(node, "`name`")?;
    if let Some(first) = names.get(&name) {
        let problem = Diagnostic::new("duplicate-connection", node.span, format!("`{name}` is declared twice"));
        reader.push(problem.also(*first, "first here"));
        return None;
    }
    names.insert(name.clone(), node.span);
    Some(name)
}

fn limits(reader: &mut Reader<'_>, node: &Node) -> Option<Limits> {
    let fields = reader.fields(node, "`limits`", LIMITS_KEYS)?;
    let usual = Limits::default();
    let mut count = |key: &str, usual: u32, most: u32| match fields.get(key) {
        Some(node) => reader.count(node, &format!("`{key}`"), 1..=most),
        None => Some(usual),
    };
    let in_flight = count("in_flight", usual.in_flight, 10_000);
    let per_second = count("per_second", usual.per_second, 1_000_000);
    let burst = count("burst", per_second.map_or(usual.burst, |rate| rate.saturating_mul(2)), 2_000_000);
    let timeout = match fields.get("timeout") {
        Some(node) => reader.duration(node, "`timeout`", SECOND..=10 * MINUTE),
        None => Some(usual.timeout_ms),
    };
    Some(Limits { in_flight: in_flight?, per_second: per_second?, burst: burst?, timeout_ms: timeout? })
}

fn allow(reader: &mut Reader<'_>, node: &Node, postgres: Option<bool>) -> Option<Allow> {
    let fields = reader.fields(node, "`allow`", ALLOW_KEYS)?;
    let mut patterns = |key: &'static str| reader.need(&fields, key).and_then(|node| patterns(reader, node, key));
    let (namespaces, plugins, identities) = (patterns("namespaces"), patterns("plugins"), patterns("identities"));
    let mut flag = |key: &str| fields.get(key).map_or(Some(false), |node| reader.flag(node, &format!("`{key}`")));
    let (private, loopback) = (flag("private"), flag("loopback"));
    let networks = fields.get("addresses").map_or(Some(Vec::new()), |node| {
        let open = Addresses { networks: Vec::new(), private: private?, loopback: loopback? };
        reader.set(node, "`addresses`", |reader, item| network(reader, item, &open))
    });
    let endpoints = fields.get("endpoints").map_or(Some(Vec::new()), |node| requests::read(reader, node));
    if postgres == Some(true) && fields.get("endpoints").is_some() {
        let problem = Diagnostic::new("conflict", fields.at("endpoints"), "a postgres connection has no `endpoints`");
        reader.push(problem.suggest("leave `endpoints` out"));
    }
    let addresses = Addresses { networks: networks?, private: private?, loopback: loopback? };
    let (namespaces, plugins, identities) = (namespaces?, plugins?, identities?);
    Some(Allow { namespaces, plugins, identities, addresses, endpoints: endpoints? })
}

fn patterns(reader: &mut Reader<'_>, node: &Node, key: &str) -> Option<Vec<Pattern>> {
    reader.set(node, &format!("`{key}`"), |reader, item| {
        let text = match &item.kind {
            Kind::Scalar(scalar) if &*scalar.text == "*" => "*",
            _ => reader.text(item, "a pattern")?,
        };
        let pattern = Pattern::parse(text);
        if pattern.is_none() {
            let problem = Diagnostic::new("bad-pattern", item.span, format!("`{}` is not a pattern", shortened(text)));
            reader.push(problem.expected("a name, or one with a single `*` first or last"));
        }
        pattern
    })
}

fn network(reader: &mut Reader<'_>, node: &Node, open: &Addresses) -> Option<Network> {
    let text = reader.text(node, "an address")?;
    let Some(network) = Network::parse(text) else {
        let message = format!("`{}` is not a block of addresses", shortened(text));
        let problem = Diagnostic::new("bad-network", node.span, message);
        reader.push(problem.expected("CIDR such as 10.1.0.0/16, with no bits set past the prefix"));
        return None;
    };
    if let Err(why) = open.permit(network.first()) {
        // A block that starts at a special address (0.0.0.0/0) may still hold others.
        if network.is_narrow() {
            let help = match why {
                super::Refused::Private => "add `private: true`",
                super::Refused::Loopback => "add `loopback: true`",
                super::Refused::Special | super::Refused::Elsewhere => "leave it out",
            };
            let problem = Diagnostic::new("conflict", node.span, format!("`{text}` is never reached: {why}"));
            reader.push(problem.suggest(help));
        }
    }
    Some(network)
}

/// An absolute path, as text. One of something private is not repeated if it is none: it may be the thing itself.
pub(super) fn path(reader: &mut Reader<'_>, node: &Node, what: &str, private: bool) -> Option<String> {
    let text = reader.text(node, what)?;
    let plain = text.starts_with('/') && text.len() <= 4096 && !text.chars().any(char::is_control);
    if plain && !text.split('/').any(|part| part == "..") {
        return Some(text.to_owned());
    }
    let problem = Diagnostic::new("bad-path", node.span, format!("{what} is not an absolute path"));
    if private {
        reader.conceal(node.span);
    }
    reader.push(problem.expected("a path from the root, without `..`"));
    None
}

/// A TCP port.
pub(super) fn port(reader: &mut Reader<'_>, node: &Node) -> Option<u16> {
    reader.count(node, "`port`", 1..=65_535).and_then(|port| u16::try_from(port).ok())
}
