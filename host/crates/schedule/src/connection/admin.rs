//! As whom the host acts at a target, and where that identity comes from. Describes sources; opens none.

use super::endpoint::Endpoint;
use super::read::path;
use crate::diagnostic::Diagnostic;
use crate::units::listed;
use crate::yaml::{Fields, Kind, Node, Reader};
use keybaton_protocol::ids::SecretName;

/// Keys of `admin`.
pub(super) const ADMIN_KEYS: &[&str] =
    &["scheme", "user", "prefix", "header", "certificate", "file", "env", "systemd", "secret"];

/// What is expected where a source is named.
const NAME: &str = "the name of the source, not its value";

const SOURCES: &[&str] = &["file", "env", "systemd", "secret"];

/// As whom the host acts at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admin {
    /// A user and a password: a PostgreSQL login, or HTTP basic authentication (RFC 7617).
    Password {
        /// The user; `None` with a managed secret that says it itself.
        user: Option<String>,
        /// The password.
        password: Source,
    },
    /// `Authorization: PREFIX TOKEN`: a bearer token (RFC 6750), or one behind another word.
    Bearer {
        /// The word before the token: `Bearer`, `token`.
        prefix: String,
        /// The token.
        token: Source,
    },
    /// A header of the API's own.
    Header {
        /// Its name, lower case.
        name: String,
        /// Its value.
        value: Source,
    },
    /// A client certificate.
    Mtls {
        /// A file with the certificate chain, PEM; `None` with a managed secret that has it beside the key.
        certificate: Option<String>,
        /// The private key, PEM.
        key: Source,
    },
}

impl Admin {
    /// Where the secret part of the identity comes from.
    #[must_use]
    pub fn source(&self) -> &Source {
        match self {
            Self::Password { password: source, .. }
            | Self::Bearer { token: source, .. }
            | Self::Header { value: source, .. }
            | Self::Mtls { key: source, .. } => source,
        }
    }
}

/// Where a secret of the host's own comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file that only the host's user can read.
    File(String),
    /// A variable of the host's environment.
    Env(String),
    /// A systemd credential, by its name.
    Systemd(String),
    /// A secret that this installation manages; the connection is a consumer of it.
    Secret(SecretName),
}

#[derive(Clone, Copy, PartialEq)]
enum Scheme {
    Password,
    Basic,
    Bearer,
    Header,
    Mtls,
}

const HTTP_SCHEMES: &[(&str, Scheme)] =
    &[("bearer", Scheme::Bearer), ("header", Scheme::Header), ("basic", Scheme::Basic), ("mtls", Scheme::Mtls)];

/// Reads `admin` for an endpoint.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, postgres: bool) -> Option<Admin> {
    if refuse_values(reader, node) {
        return None;
    }
    let fields = reader.fields(node, "`admin`", ADMIN_KEYS)?;
    let words: &[(&str, Scheme)] = match postgres {
        true => &[("password", Scheme::Password)],
        false => HTTP_SCHEMES,
    };
    let scheme = match (fields.get("scheme"), postgres) {
        (Some(node), _) => reader.choice(node, "`scheme`", words),
        (None, true) => Some(Scheme::Password),
        (None, false) => {
            let _: Option<&Node> = reader.need(&fields, "scheme");
            None
        }
    };
    let source = source(reader, &fields);
    let scheme = scheme?;
    let takes_user = matches!(scheme, Scheme::Password | Scheme::Basic);
    superfluous(reader, &fields, "user", takes_user);
    superfluous(reader, &fields, "certificate", scheme == Scheme::Mtls);
    superfluous(reader, &fields, "prefix", scheme == Scheme::Bearer);
    superfluous(reader, &fields, "header", scheme == Scheme::Header);
    // A managed secret says itself for whom it is, and whose key it is.
    let told = fields.get("secret").is_some();
    let needed = |reader: &mut Reader<'_>, key| match fields.get(key) {
        None if told => Some(None),
        _ => reader.need(&fields, key).map(Some),
    };
    match scheme {
        Scheme::Password | Scheme::Basic => {
            let user = match needed(reader, "user")? {
                Some(node) => Some(reader.text(node, "`user`")?.to_owned()),
                None => None,
            };
            Some(Admin::Password { user, password: source? })
        }
        Scheme::Bearer => {
            let prefix =
                fields.get("prefix").map_or(Some("Bearer".to_owned()), |node| header(reader, node, "`prefix`"));
            Some(Admin::Bearer { prefix: prefix?, token: source? })
        }
        Scheme::Header => {
            let name = reader.need(&fields, "header").and_then(|node| header(reader, node, "`header`"))?;
            Some(Admin::Header { name: name.to_ascii_lowercase(), value: source? })
        }
        Scheme::Mtls => {
            let certificate = match needed(reader, "certificate")? {
                Some(node) => Some(path(reader, node, "`certificate`", false)?),
                None => None,
            };
            Some(Admin::Mtls { certificate, key: source? })
        }
    }
}

/// A word that may stand in a header: a token of RFC 9110 §5.6.2, fewer signs.
fn header(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<String> {
    word(reader, node, what, "one word of letters, digits and dashes", |b| b.is_ascii_alphanumeric() || b == b'-')
}

/// A secret itself has no place in the file: it is named as such, and not repeated. Answers whether one was there.
fn refuse_values(reader: &mut Reader<'_>, node: &Node) -> bool {
    let Kind::Map(entries) = &node.kind else { return false };
    let mut found = false;
    for (key, value) in entries.iter().filter(|(key, _)| !ADMIN_KEYS.contains(&key.text())) {
        // A misspelt key may hold a secret too.
        reader.conceal(value.span);
        if matches!(key.text(), "password" | "token" | "bearer" | "key" | "value" | "passphrase") {
            let message = format!("a connection never holds a secret itself, as in `{}`", key.text());
            let problem = Diagnostic::new("secret-in-file", value.span, message).expected("where it comes from");
            reader.push(problem.suggest(format!("use {}", listed(SOURCES, "or"))));
            found = true;
        }
    }
    found
}

fn superfluous(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str, wanted: bool) {
    if !wanted && fields.get(key).is_some() {
        let problem = Diagnostic::new("conflict", fields.at(key), format!("this scheme has no `{key}`"));
        reader.push(problem.suggest(format!("leave `{key}` out")));
    }
}

fn source(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Source> {
    let given: Vec<&str> = SOURCES.iter().copied().filter(|key| fields.get(key).is_some()).collect();
    match given.as_slice() {
        [] => {
            let problem =
                Diagnostic::new("missing-key", fields.span, "`admin` does not say where its secret comes from");
            reader.push(problem.expected(format!("one of {}", listed(SOURCES, "or"))));
            return None;
        }
        [_] => {}
        [first, second, ..] => {
            let message = format!("`{second}` and `{first}` exclude each other");
            let problem = Diagnostic::new("conflict", fields.at(second), message);
            reader.push(problem.also(fields.at(first), format!("`{first}` here")));
        }
    }
    let key = *given.first()?;
    let node = fields.get(key)?;
    match key {
        "file" => path(reader, node, "`file`", true).map(Source::File),
        "env" => word(reader, node, "`env`", NAME, |b| b.is_ascii_alphanumeric() || b == b'_').map(Source::Env),
        "systemd" => word(reader, node, "`systemd`", NAME, |b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            .map(Source::Systemd),
        _ => reader.name(node, "`secret`").map(Source::Secret),
    }
}

/// A name made of few letters, neither a path nor an expression.
fn word(
    reader: &mut Reader<'_>,
    node: &Node,
    what: &str,
    expected: &str,
    allowed: impl Fn(u8) -> bool,
) -> Option<String> {
    let text = reader.text(node, what)?;
    if text.len() <= 255 && text.bytes().all(allowed) && !text.starts_with('.') {
        return Some(text.to_owned());
    }
    let message = format!("{what} is not a name");
    // It may be the secret itself, put here by mistake.
    reader.conceal(node.span);
    reader.push(Diagnostic::new("bad-name", node.span, message).expected(expected));
    None
}

/// A credential that is about to be rotated is tried before it is relied on, which takes a request that only the admin
/// is answered.
pub(super) fn can_be_tried(reader: &mut Reader<'_>, fields: &Fields<'_>, admin: &Admin, endpoint: &Endpoint) {
    if let (Source::Secret(name), Endpoint::Http { check: None, .. }) = (admin.source(), endpoint) {
        let message = format!("an admin identity from `{name}` cannot be tried without `check`");
        let problem = Diagnostic::new("missing-key", fields.at("endpoint"), message).also(fields.at("admin"), "here");
        reader.push(problem.expected("`check` in `endpoint`: a path that answers only who is logged in"));
    }
}

/// The admin of an endpoint whose TLS has a client certificate as well may be only one of the two.
pub(super) fn one_certificate(reader: &mut Reader<'_>, fields: &Fields<'_>, admin: &Admin, endpoint: &Endpoint) {
    let client = fields.get("tls").and_then(|tls| tls.get("certificate"));
    if let (Admin::Mtls { .. }, Some(client), Endpoint::Http { .. }) = (admin, client, endpoint) {
        let problem = Diagnostic::new("conflict", client.span, "the admin brings its own client certificate");
        reader.push(problem.also(fields.at("admin"), "here"));
    }
}
