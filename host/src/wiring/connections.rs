//! Connection files as the runtime takes them: sources of identity behind their port, authorities read. Holds no admin
//! identity and no private key: each is read when a call needs it.

use super::managed::{Link, Managed};
use crate::exit::{Context, Exit, Failure};
use keybaton_engine::declared::Server;
use keybaton_protocol::fault::Blame;
use keybaton_protocol::ids::ConnectionName;
use keybaton_runtime::connection::{
    Access, ClientCertificate, Connection, ConnectionLimits, HttpAdmin, HttpTarget, PostgresAdmin, PostgresTarget,
    Target, Tls, Trust,
};
use keybaton_runtime::identity::{EnvironmentSource, FileSource, PublicFile, SecretSource, SystemdSource};
use keybaton_runtime::manifest as runtime;
use keybaton_schedule::connection::{self as declared, Admin, Endpoint, LoadedConnections, Source, TlsMode, load};
use keybaton_schedule::declaration::Input;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Reads every connection file of the directory; what is wrong with them is among what was read.
pub(crate) fn read_files(dir: &Path) -> Result<LoadedConnections, Failure> {
    let texts = crate::commands::read_yaml(&[dir.to_owned()])?;
    let inputs: Vec<Input<'_>> = texts.iter().map(|file| Input { name: &file.path, text: &file.text }).collect();
    Ok(load(&inputs))
}

/// The same, and fails with all that is wrong.
pub(crate) fn read_dir(dir: &Path) -> Result<LoadedConnections, Failure> {
    let loaded = read_files(dir)?;
    if loaded.diagnostics.is_empty() {
        return Ok(loaded);
    }
    let count = loaded.diagnostics.len();
    Err(Failure::new(Exit::Invalid, format!("{count} problems in the connection files"))
        .blame(Blame::Operator)
        .help(loaded.render(false)))
}

/// What a connection leads to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Aim {
    /// As rotations pin it.
    pub(crate) target: Arc<str>,
    /// The server, and who else logs in there.
    pub(crate) server: Arc<Server>,
}

/// What each connection leads to. Two of them to one endpoint share its server.
pub(crate) fn aims(all: &[declared::Connection]) -> BTreeMap<ConnectionName, Aim> {
    let mut servers: BTreeMap<String, Server> = BTreeMap::new();
    for connection in all {
        let endpoint = endpoint_of(connection);
        let server = servers.entry(endpoint.clone()).or_insert_with(|| Server { endpoint, logins: Vec::new() });
        server.logins.extend(login_of(connection).map(|claim| (claim, connection.name.clone())));
    }
    let servers: BTreeMap<String, Arc<Server>> =
        servers.into_iter().map(|(endpoint, server)| (endpoint, Arc::new(server))).collect();
    let aim = |connection: &declared::Connection| Aim {
        target: Arc::from(target_of(connection)),
        server: servers[&endpoint_of(connection)].clone(),
    };
    all.iter().map(|connection| (connection.name.clone(), aim(connection))).collect()
}

/// The server behind a connection, by whatever name of a connection. All databases of a PostgreSQL server share its
/// roles.
fn endpoint_of(connection: &declared::Connection) -> String {
    match &connection.endpoint {
        Endpoint::Postgres { host, port, .. } => format!("postgres://{}:{port}", host.to_ascii_lowercase()),
        Endpoint::Http { host, .. } => url(&connection.endpoint, &host.to_ascii_lowercase()),
    }
}

/// What a connection's own login is at the server, in the words of plugins' claims. One that is a managed secret is
/// that secret's to claim.
fn login_of(connection: &declared::Connection) -> Option<String> {
    match (&connection.endpoint, &connection.admin) {
        (Endpoint::Postgres { .. }, Admin::Password { user: Some(user), password })
            if !matches!(password, Source::Secret(_)) =>
        {
            Some(format!("role:{user}"))
        }
        _ => None,
    }
}

/// What a connection points at, as rotations pin it.
pub(crate) fn target_of(connection: &declared::Connection) -> String {
    match &connection.endpoint {
        Endpoint::Postgres { host, port, dbname } => format!("{}: postgres://{host}:{port}/{dbname}", connection.name),
        Endpoint::Http { .. } => format!("{}: {}", connection.name, base_url(&connection.endpoint)),
    }
}

fn base_url(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Http { host, .. } => url(endpoint, host),
        Endpoint::Postgres { .. } => String::new(),
    }
}

/// The endpoint under this host's name.
fn url(endpoint: &Endpoint, host: &str) -> String {
    match endpoint {
        Endpoint::Http { secure, port, path, .. } => {
            let scheme = if *secure { "https" } else { "http" };
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            format!("{scheme}://{host}:{port}{path}")
        }
        Endpoint::Postgres { .. } => String::new(),
    }
}

/// The authorities that were read, by connection.
pub(crate) type Authorities = BTreeMap<ConnectionName, Vec<u8>>;

/// Connections as the runtime takes them, and those among them that log in with a managed secret.
#[derive(Default)]
pub(crate) struct Opened {
    pub(crate) connections: Vec<Connection>,
    pub(crate) managed: Vec<Arc<Managed>>,
    pub(crate) authorities: Authorities,
}

impl Opened {
    /// Opens all of them. Authorities are read here; identities and keys at each use. `known` are those that log in with
    /// a managed secret already: who still does goes on as it is.
    pub(crate) fn new(
        all: &[declared::Connection],
        dir: &Path,
        link: &Arc<Link>,
        known: &[Arc<Managed>],
    ) -> Result<Self, Failure> {
        let mut opened = Self::default();
        for connection in all {
            let mut opening = Opening { connection, dir, link, known, managed: None };
            let open = opening.open()?;
            if let Target::Postgres(PostgresTarget { tls, .. }) | Target::Http(HttpTarget { tls, .. }) = &open.target
                && let Trust::Roots(pem) = &tls.trust
            {
                opened.authorities.insert(open.name.clone(), pem.clone());
            }
            opened.connections.push(open);
            opened.managed.extend(opening.managed);
        }
        Ok(opened)
    }
}

/// One connection, being opened.
struct Opening<'a> {
    connection: &'a declared::Connection,
    dir: &'a Path,
    link: &'a Arc<Link>,
    known: &'a [Arc<Managed>],
    managed: Option<Arc<Managed>>,
}

impl Opening<'_> {
    fn open(&mut self) -> Result<Connection, Failure> {
        let (allow, limits) = (&self.connection.allow, &self.connection.limits);
        Ok(Connection {
            name: self.connection.name.clone(),
            access: Access {
                namespaces: allow.namespaces.clone(),
                plugins: allow.plugins.clone(),
                identities: allow.identities.clone(),
            },
            limits: ConnectionLimits {
                concurrency: u16::try_from(limits.in_flight).unwrap_or(u16::MAX),
                rate: Some((f64::from(limits.per_second), limits.burst)),
                timeout_ms: limits.timeout_ms,
            },
            target: self.target()?,
        })
    }

    fn target(&mut self) -> Result<Target, Failure> {
        let tls = self.tls()?;
        let addresses = Arc::new(self.connection.allow.addresses.clone());
        match &self.connection.endpoint {
            Endpoint::Postgres { host, port, dbname } => {
                let Admin::Password { user, password } = &self.connection.admin else {
                    let what = format!("connection {} needs a user", self.connection.name);
                    return Err(Failure::new(Exit::Invalid, what));
                };
                Ok(Target::Postgres(PostgresTarget {
                    host: host.clone(),
                    port: *port,
                    database: dbname.clone(),
                    tls,
                    admin: Some(PostgresAdmin { user: user.clone(), password: self.source(password, "password") }),
                    addresses,
                }))
            }
            Endpoint::Http { host, check, .. } => {
                // The name in the certificate is what is asked for; where it leads is another matter.
                let named = tls.server_name.as_deref().unwrap_or(host);
                let base = url(&self.connection.endpoint, named);
                Ok(Target::Http(HttpTarget {
                    base_url: base.parse().failed(Exit::Invalid, "a base URL is none")?,
                    dial: tls.server_name.is_some().then(|| host.clone()),
                    check: check.clone(),
                    tls,
                    admin: Some(self.http_admin()),
                    addresses,
                    endpoints: endpoints(self.connection)?,
                }))
            }
        }
    }

    fn tls(&self) -> Result<Tls, Failure> {
        let tls = &self.connection.tls;
        let trust = match (tls.mode, &tls.ca) {
            (TlsMode::Disable, _) => Trust::Off,
            (TlsMode::VerifyFull, None) => Trust::System,
            (TlsMode::VerifyFull, Some(ca)) => {
                let path = self.dir.join(ca);
                let pem =
                    std::fs::read(&path).failed(Exit::Invalid, format!("cannot read the CA {}", path.display()))?;
                Trust::Roots(pem)
            }
        };
        let client = tls.client.as_ref().map(|(certificate, key)| ClientCertificate {
            certificate: Arc::new(PublicFile(self.dir.join(certificate))),
            key: Arc::new(FileSource(self.dir.join(key))),
        });
        Ok(Tls { trust, server_name: tls.server_name.clone(), client })
    }

    fn source(&mut self, source: &Source, field: &'static str) -> Arc<dyn SecretSource> {
        match source {
            Source::File(path) => Arc::new(FileSource(self.dir.join(path))),
            Source::Env(name) => Arc::new(EnvironmentSource(name.clone())),
            Source::Systemd(name) => Arc::new(SystemdSource(name.clone())),
            Source::Secret(name) => {
                let replica = self.connection.replica();
                let known = self.known.iter().find(|known| known.is(name, &replica, field)).cloned();
                let managed =
                    known.unwrap_or_else(|| Arc::new(Managed::new(self.link.clone(), name.clone(), replica, field)));
                self.managed = Some(managed.clone());
                managed
            }
        }
    }

    fn http_admin(&mut self) -> HttpAdmin {
        match &self.connection.admin {
            Admin::Password { user, password } => {
                HttpAdmin::Basic { user: user.clone(), password: self.source(password, "password") }
            }
            Admin::Bearer { prefix, token } => {
                HttpAdmin::Bearer { prefix: prefix.clone(), token: self.source(token, "token") }
            }
            Admin::Header { name, value } => {
                HttpAdmin::Header { name: name.clone(), value: self.source(value, "token") }
            }
            Admin::Mtls { certificate, key } => {
                let file = |path: &String| -> Arc<dyn SecretSource> { Arc::new(PublicFile(self.dir.join(path))) };
                HttpAdmin::Mtls { certificate: certificate.as_ref().map(file), key: self.source(key, "key") }
            }
        }
    }
}

/// The concrete requests that a plugin with open endpoints may make.
fn endpoints(connection: &declared::Connection) -> Result<Vec<runtime::Endpoint>, Failure> {
    let concrete = |one: &declared::AllowedRequest| {
        let params: Vec<String> = one.params.iter().map(|(name, kind)| format!("{name}:{}", kind_of(*kind))).collect();
        runtime::Endpoint::concrete(&one.method, &one.path, &one.query, &params, &one.captures).map_err(|why| {
            let what = format!("connection {}: endpoint {} {}: {why}", connection.name, one.method, one.path);
            Failure::new(Exit::Invalid, what).blame(Blame::Operator)
        })
    };
    connection.allow.endpoints.iter().map(concrete).collect()
}

fn kind_of(param: declared::Param) -> &'static str {
    match param {
        declared::Param::Identity => "identity",
        declared::Param::Value => "value",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_WAYS: &str = "
connections:
  - name: main
    kind: postgres
    endpoint: { host: DB.example.com, port: 5432, dbname: app }
    admin: { user: keeper, file: /etc/keeper }
    allow: { namespaces: [team], plugins: [postgres-password], identities: ['*'] }
  - name: reports
    kind: postgres
    endpoint: { host: db.example.com, port: 5432, dbname: reports }
    admin: { secret: team/reports-admin }
    allow: { namespaces: [team], plugins: [postgres-password], identities: ['*'] }
  - name: elsewhere
    kind: postgres
    endpoint: { host: db.example.com, port: 5433, dbname: app }
    admin: { user: other, file: /etc/other }
    allow: { namespaces: [team], plugins: [postgres-password], identities: ['*'] }
";

    #[test]
    fn two_ways_to_one_server_lead_to_one_server_and_its_logins_are_known() {
        let loaded = load(&[Input { name: "c.yaml", text: TWO_WAYS }]);
        assert!(loaded.diagnostics.is_empty(), "{}", loaded.render(false));
        let aims = aims(&loaded.connections);
        let of = |name: &str| &aims[&name.parse::<ConnectionName>().expect("a name")];
        assert!(Arc::ptr_eq(&of("main").server, &of("reports").server), "whatever database, and however it is written");
        assert_ne!(of("main").target, of("reports").target, "what rotations pin is the connection's own");
        let shown = |name: &str| -> Vec<String> {
            of(name).server.logins.iter().map(|(claim, connection)| format!("{claim} of {connection}")).collect()
        };
        assert_eq!(of("main").server.endpoint, "postgres://db.example.com:5432");
        assert_eq!(shown("main"), ["role:keeper of main"], "a managed login is its secret's to claim");
        assert_eq!(shown("elsewhere"), ["role:other of elsewhere"]);
    }
}
