//! Where a target is and how the way there is protected. Parses; resolves and connects to nothing.

use super::address::{Addresses, Refused};
use super::read::{path, port};
use crate::diagnostic::Diagnostic;
use crate::units::shortened;
use crate::yaml::{Fields, Kind, Node, Reader};
use std::net::{IpAddr, Ipv4Addr};

/// Keys of the endpoint of a PostgreSQL server.
pub(super) const POSTGRES_KEYS: &[&str] = &["host", "port", "dbname"];
/// Keys of the endpoint of an HTTP API.
pub(super) const HTTP_KEYS: &[&str] = &["base", "check"];
/// Keys of `tls`.
pub(super) const TLS_KEYS: &[&str] = &["mode", "ca", "server_name", "certificate", "key"];

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A PostgreSQL server.
    Postgres {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
        /// The database to connect to.
        dbname: String,
    },
    /// An HTTP API.
    Http {
        /// Whether it is `https`.
        secure: bool,
        /// A name or an address; an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
        /// What every request path begins with: empty, or with a slash first and none last.
        path: String,
        /// A path below it that answers only who is logged in: by it an admin identity is tried.
        check: Option<String>,
    },
}

impl Endpoint {
    /// The name or address of the target.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::Postgres { host, .. } | Self::Http { host, .. } => host,
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Postgres { port, .. } | Self::Http { port, .. } => *port,
        }
    }

    /// `postgres` or `http`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Postgres { .. } => "postgres",
            Self::Http { .. } => "http",
        }
    }
}

/// How the way to a target is protected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Whether and how.
    pub mode: TlsMode,
    /// A file with the certificates to trust, PEM; the system's otherwise.
    pub ca: Option<String>,
    /// The name that the target's certificate must bear, if not the endpoint's host.
    pub server_name: Option<String>,
    /// Files with a certificate and a key of the host's own, PEM.
    pub client: Option<(String, String)>,
}

/// Whether and how a way is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// TLS, with the chain and the name checked.
    #[default]
    VerifyFull,
    /// None; only to this machine itself.
    Disable,
}

/// Reads the endpoint of a PostgreSQL server.
pub(super) fn postgres(reader: &mut Reader<'_>, node: &Node) -> Option<Endpoint> {
    let fields = reader.fields(node, "the endpoint", POSTGRES_KEYS)?;
    let host = reader.need(&fields, "host").and_then(|node| host(reader, node));
    let port = fields.get("port").map_or(Some(5432), |node| port(reader, node));
    let dbname = match fields.get("dbname") {
        Some(node) => reader.text(node, "`dbname`").map(str::to_owned),
        None => Some("postgres".to_owned()),
    };
    Some(Endpoint::Postgres { host: host?, port: port?, dbname: dbname? })
}

/// Reads the endpoint of an HTTP API.
pub(super) fn http(reader: &mut Reader<'_>, node: &Node) -> Option<Endpoint> {
    let fields = reader.fields(node, "the endpoint", HTTP_KEYS)?;
    let check = fields.get("check").map(|node| check(reader, node));
    let node = reader.need(&fields, "base")?;
    let text = reader.text(node, "`base`")?;
    let parsed = base(text);
    if let Err(why) = &parsed {
        // What stands before an `@` may be a password.
        let message = format!("`base` {why}");
        let problem =
            Diagnostic::new("bad-url", node.span, message).expected("a URL such as https://hub.example.org/api");
        if text.contains('@') {
            reader.conceal(node.span);
        }
        reader.push(problem);
    }
    let (mut endpoint, wanted) = (parsed.ok()?, check.map_or(Some(None), |check| check.map(Some))?);
    if let Endpoint::Http { check, .. } = &mut endpoint {
        *check = wanted;
    }
    Some(endpoint)
}

/// A path without parameters, below the base.
fn check(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node, "`check`")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&b);
    let path = text.starts_with('/') && text.bytes().all(plain) && !text.contains("//");
    if path && text.len() <= 1024 && !text.split('/').any(|part| matches!(part, "." | "..")) {
        return Some(text.to_owned());
    }
    let problem = Diagnostic::new("bad-path", node.span, format!("`check` cannot be `{}`", shortened(text)));
    reader.push(problem.expected("a path below `base` such as /hub/api/user, without parameters or a query"));
    None
}

/// Takes a base URL apart.
fn base(text: &str) -> Result<Endpoint, &'static str> {
    let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err("is no http or https URL"),
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    if rest.contains('@') {
        return Err("may not hold a user or a password: `admin` says where they come from");
    }
    if rest.contains(['?', '#']) {
        return Err("may not have a query or a fragment");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']').ok_or("has no closing bracket")?,
        None => authority.find(':').map_or((authority, ""), |at| authority.split_at(at)),
    };
    let default = if secure { 443 } else { 80 };
    let port = match port.strip_prefix(':') {
        Some(digits) => digits.parse().ok().filter(|port| *port > 0).ok_or("has no valid port")?,
        None if port.is_empty() => default,
        None => return Err("has no valid port"),
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:/".contains(&b);
    if !is_host(host) {
        return Err("has no valid host");
    }
    if !path.bytes().all(allowed) || path.split('/').any(|part| matches!(part, "." | "..")) || path.contains("//") {
        return Err("has a path with more than plain segments");
    }
    let path = path.trim_end_matches('/').to_owned();
    Ok(Endpoint::Http { secure, host: host.to_ascii_lowercase(), port, path, check: None })
}

fn host(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node, "`host`")?;
    if is_host(text) {
        return Some(text.to_ascii_lowercase());
    }
    let problem = Diagnostic::new("bad-host", node.span, format!("`host` cannot be `{}`", shortened(text)));
    let problem = problem.expected("a DNS name or an IP address");
    reader.push(if text.contains("://") { problem.suggest("give the host alone, without a scheme") } else { problem });
    None
}

/// A DNS name or an address. Names whose last label is a number are refused: resolvers take them for addresses.
fn is_host(text: &str) -> bool {
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or("");
    let numeric = last.starts_with(|c: char| c.is_ascii_digit());
    text.len() <= 253 && !numeric && text.split('.').all(label)
}

/// An endpoint that `allow` keeps out of reach leads nowhere. Names are judged when they are resolved.
pub(super) fn reachable(reader: &mut Reader<'_>, fields: &Fields<'_>, endpoint: &Endpoint, allow: &Addresses) {
    let here = endpoint.host() == "localhost";
    let address = if here { Some(Ipv4Addr::LOCALHOST.into()) } else { endpoint.host().parse::<IpAddr>().ok() };
    let Some(why) = address.and_then(|address| allow.permit(address).err()) else { return };
    let help = match why {
        Refused::Private => "add `private: true` to `allow`",
        Refused::Loopback => "add `loopback: true` to `allow`",
        Refused::Elsewhere => "add it to `addresses` in `allow`",
        Refused::Special => "give another host",
    };
    // A name of this machine may stand for its IPv6 address.
    if here && why == Refused::Elsewhere {
        return;
    }
    let problem = Diagnostic::new("conflict", fields.at("endpoint"), format!("the endpoint is never reached: {why}"));
    reader.push(problem.suggest(help));
}

/// Whether a host is this machine itself, whatever a resolver says.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Reads `tls`; without it the way is protected and fully checked.
pub(super) fn tls(reader: &mut Reader<'_>, connection: &Fields<'_>, endpoint: Option<&Endpoint>) -> Option<Tls> {
    let node = connection.get("tls");
    let tls = match node {
        Some(node) => read_tls(reader, node)?,
        None => Tls::default(),
    };
    let endpoint = endpoint?;
    let at = node.and_then(|node| node.get("mode")).or(node).map_or(connection.span, |node| node.span);
    let at = if node.is_some() { at } else { connection.at("endpoint") };
    let plain = tls.mode == TlsMode::Disable;
    if plain && !is_here(endpoint.host()) {
        let problem = Diagnostic::new("tls-needed", at, "without TLS only this machine itself may be reached");
        reader.push(problem.suggest("use localhost, 127.0.0.1 or ::1 as the host, or TLS"));
    }
    if let (Endpoint::Http { .. }, Some(name)) = (endpoint, &tls.server_name)
        && name.parse::<IpAddr>().is_ok()
    {
        let at = node.and_then(|node| node.get("server_name")).map_or(connection.span, |node| node.span);
        let problem = Diagnostic::new("bad-host", at, "over HTTP, `server_name` is a DNS name");
        reader.push(problem.suggest("leave it out, and give the address in `base`"));
    }
    if let Endpoint::Http { secure, .. } = endpoint
        && *secure == plain
    {
        let scheme = if *secure { "https" } else { "http" };
        let problem = Diagnostic::new(
            "conflict",
            at,
            format!("the scheme is {scheme}, but TLS is {}", if plain { "off" } else { "on" }),
        );
        let help =
            if *secure { "leave `tls.mode` out" } else { "use https, or `tls: { mode: disable }` on this machine" };
        reader.push(problem.suggest(help));
    }
    Some(tls)
}

fn read_tls(reader: &mut Reader<'_>, node: &Node) -> Option<Tls> {
    let fields = reader.fields(node, "`tls`", TLS_KEYS)?;
    let mode = fields.get("mode").map_or(Some(TlsMode::VerifyFull), |node| mode(reader, node));
    let mut file =
        |key: &'static str| fields.get(key).map(|node| path(reader, node, &format!("`{key}`"), key == "key"));
    let (ca, certificate, key) = (file("ca"), file("certificate"), file("key"));
    let server_name = fields.get("server_name").map(|node| host(reader, node));
    if certificate.is_some() != key.is_some() {
        let (here, other) = if key.is_some() { ("key", "certificate") } else { ("certificate", "key") };
        let message = format!("`{here}` without `{other}`");
        reader.push(Diagnostic::new("missing-key", fields.at(here), message));
    }
    if mode == Some(TlsMode::Disable)
        && let Some(key) = TLS_KEYS[1..].iter().find(|key| fields.get(key).is_some())
    {
        let message = format!("`{key}` has no effect without TLS");
        let problem = Diagnostic::new("conflict", fields.at(key), message);
        reader.push(problem.also(fields.at("mode"), "disabled here"));
    }
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate?, key?)),
        _ => None,
    };
    Some(Tls {
        mode: mode?,
        ca: ca.map_or(Some(None), |ca| ca.map(Some))?,
        server_name: server_name.map_or(Some(None), |name| name.map(Some))?,
        client,
    })
}

/// libpq's halves of checking are refused with the reason.
fn mode(reader: &mut Reader<'_>, node: &Node) -> Option<TlsMode> {
    if let Kind::Scalar(scalar) = &node.kind
        && matches!(&*scalar.text, "allow" | "prefer" | "require" | "verify-ca")
    {
        let message = format!("`{}` does not make sure who answers", scalar.text);
        let problem = Diagnostic::new("bad-choice", node.span, message).expected("`verify-full` or `disable`");
        reader.push(problem.suggest("name the authority in `ca`, and in `server_name` the name in the certificate"));
        return None;
    }
    reader.choice(node, "`mode`", &[("verify-full", TlsMode::VerifyFull), ("disable", TlsMode::Disable)])
}
