//! Connections as capabilities need them: where, as whom, who may use them, how much at once. The files they come from
//! are the host's. Every check here is made inside the capability, and a refusal is a value that says what to grant.

mod opened;

pub(crate) use opened::{Opened, Using};

use crate::identity::{Given, SecretSource, Sourced};
use crate::manifest::Endpoint;
use keybaton_protocol::ids::ConnectionName;
use keybaton_schedule::connection::{Addresses, Pattern};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// A named way to a target.
#[derive(Debug)]
pub struct Connection {
    /// Its name.
    pub name: ConnectionName,
    /// Who may use it.
    pub access: Access,
    /// How much at once.
    pub limits: ConnectionLimits,
    /// Where and as whom.
    pub target: Target,
}

/// Who may use a connection, and for which identities at the target. Nobody, unless listed.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Namespaces whose secrets may be rotated over it.
    pub namespaces: Vec<Pattern>,
    /// Plugins.
    pub plugins: Vec<Pattern>,
    /// Identities (roles, users, accounts) that may be touched.
    pub identities: Vec<Pattern>,
}

/// How much a connection carries at once.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Host calls under way at the same time.
    pub concurrency: u16,
    /// Host calls started per second, and how many at once after a pause.
    pub rate: Option<(f64, u32)>,
    /// Longest one host call may take, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { concurrency: 8, rate: None, timeout_ms: crate::limits::HOST_CALL_TIMEOUT_MS }
    }
}

/// What a connection leads to.
#[derive(Debug)]
pub enum Target {
    /// A PostgreSQL server.
    Postgres(PostgresTarget),
    /// An HTTP API.
    Http(HttpTarget),
}

/// How the way to a server is protected.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Whose word is taken for who the server is.
    pub trust: Trust,
    /// The name that the server's certificate must bear, where that is not the host that is connected to.
    pub server_name: Option<String>,
    /// A certificate of the host's own that every connection presents, whoever it acts as.
    pub client: Option<ClientCertificate>,
}

/// Trust in a server.
#[derive(Debug, Clone)]
pub enum Trust {
    /// No TLS: loopback or a network that is trusted.
    Off,
    /// These roots only, PEM.
    Roots(Vec<u8>),
    /// The machine's roots.
    System,
}

/// A certificate and its key; read again at each use, so that new files are taken without a restart.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// Certificate chain, PEM.
    pub certificate: Arc<dyn SecretSource>,
    /// Private key, PEM.
    pub key: Arc<dyn SecretSource>,
}

impl Tls {
    /// No TLS.
    #[must_use]
    pub const fn off() -> Self {
        Self::trusting(Trust::Off)
    }

    /// TLS with this trust, under the host's own name, without a client certificate.
    #[must_use]
    pub const fn trusting(trust: Trust) -> Self {
        Self { trust, server_name: None, client: None }
    }

    pub(crate) const fn is_off(&self) -> bool {
        matches!(self.trust, Trust::Off)
    }
}

/// A PostgreSQL server.
#[derive(Debug)]
pub struct PostgresTarget {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database to log in to.
    pub database: String,
    /// Trust.
    pub tls: Tls,
    /// Admin.
    pub admin: Option<PostgresAdmin>,
    /// Which addresses may be dialled, once its name is resolved.
    pub addresses: Arc<Addresses>,
}

impl PostgresTarget {
    /// A server on this machine, without TLS.
    #[must_use]
    pub fn here(port: u16, database: &str, user: &str, password: Arc<dyn SecretSource>) -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port,
            database: database.to_owned(),
            tls: Tls::off(),
            admin: Some(PostgresAdmin { user: Some(user.to_owned()), password }),
            addresses: Arc::new(Addresses { loopback: true, ..Addresses::default() }),
        }
    }
}

/// How the admin logs in to PostgreSQL.
#[derive(Debug, Clone)]
pub struct PostgresAdmin {
    /// The role; `None` takes the public field `username` of the password's source.
    pub user: Option<String>,
    /// Its password.
    pub password: Arc<dyn SecretSource>,
}

/// An HTTP API.
#[derive(Debug)]
pub struct HttpTarget {
    /// Scheme, host, port and a path prefix; requests go nowhere else. The host is the name in the server's certificate.
    pub base_url: reqwest::Url,
    /// What is dialled, where that is not the URL's host.
    pub dial: Option<String>,
    /// Path below the base that answers only who is logged in: by it an admin identity is tried.
    pub check: Option<String>,
    /// Trust.
    pub tls: Tls,
    /// Admin.
    pub admin: Option<HttpAdmin>,
    /// Which addresses may be dialled, once its name is resolved.
    pub addresses: Arc<Addresses>,
    /// Concrete endpoints, which open endpoints of a manifest must fit.
    pub endpoints: Vec<Endpoint>,
}

/// How the admin authenticates over HTTP.
#[derive(Debug, Clone)]
pub enum HttpAdmin {
    /// `Authorization: PREFIX TOKEN` (`Bearer`, `token`).
    Bearer {
        /// The word before the token.
        prefix: String,
        /// The token.
        token: Arc<dyn SecretSource>,
    },
    /// RFC 7617.
    Basic {
        /// User; `None` takes the public field `username` of the password's source.
        user: Option<String>,
        /// Password.
        password: Arc<dyn SecretSource>,
    },
    /// A header of the API's own.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: Arc<dyn SecretSource>,
    },
    /// A client certificate.
    Mtls {
        /// Certificate chain, PEM; `None` takes the public field `certificate` of the key's source.
        certificate: Option<Arc<dyn SecretSource>>,
        /// Private key, PEM (PKCS#8).
        key: Arc<dyn SecretSource>,
    },
}

impl HttpAdmin {
    pub(crate) fn source(&self) -> &Arc<dyn SecretSource> {
        match self {
            Self::Bearer { token: source, .. }
            | Self::Basic { password: source, .. }
            | Self::Header { value: source, .. }
            | Self::Mtls { key: source, .. } => source,
        }
    }

    /// The same admin with its secret from elsewhere.
    pub(crate) fn with(&self, source: Arc<dyn SecretSource>) -> Self {
        let mut admin = self.clone();
        match &mut admin {
            Self::Bearer { token: own, .. }
            | Self::Basic { password: own, .. }
            | Self::Header { value: own, .. }
            | Self::Mtls { key: own, .. } => *own = source,
        }
        admin
    }
}

/// All connections, replaceable while calls run; a plugin's call keeps those it began with.
#[derive(Debug, Default)]
pub struct Connections(RwLock<Snapshot>);

/// All connections, as they were at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot(Arc<HashMap<ConnectionName, Arc<Opened>>>);

impl Snapshot {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Opened>> {
        self.0.get(&name.parse::<ConnectionName>().ok()?).cloned()
    }
}

impl Connections {
    /// No connections.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts these in the place of all there were.
    pub fn replace(&self, connections: Vec<Connection>) {
        let opened = connections.into_iter().map(|c| (c.name.clone(), Arc::new(Opened::new(c)))).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Snapshot(Arc::new(opened));
    }

    /// Puts these in the place of those of the same names, takes the ones away that are gone, and keeps all others with
    /// what they have open.
    pub fn change(&self, connections: Vec<Connection>, gone: &[ConnectionName]) {
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut all: HashMap<_, _> = now.0.iter().map(|(name, opened)| (name.clone(), Arc::clone(opened))).collect();
        gone.iter().for_each(|name| drop(all.remove(name)));
        for connection in connections {
            let name = connection.name.clone();
            let opened = match all.get(&name) {
                Some(before) => Opened::after(connection, before),
                None => Opened::new(connection),
            };
            all.insert(name, Arc::new(opened));
        }
        *now = Snapshot(Arc::new(all));
    }

    /// Logs in as the connection's admin and comes back; `None` where there is no such connection. Changes nothing.
    ///
    /// # Errors
    /// The inner one: why it does not work, for the operator. It holds no secret.
    pub async fn test(&self, name: &str) -> Option<Result<String, String>> {
        self.probed(name, None).await
    }

    /// The same, with this value in the place of what the admin's source would give: whether it would work.
    ///
    /// # Errors
    /// As [`Connections::test`].
    pub async fn try_out(&self, name: &str, value: Sourced) -> Option<Result<String, String>> {
        self.probed(name, Some(Arc::new(Given(value)))).await
    }

    async fn probed(&self, name: &str, instead: Option<Arc<dyn SecretSource>>) -> Option<Result<String, String>> {
        let opened = self.get(name)?;
        let within_ms = opened.connection.limits.timeout_ms;
        let tested = match &opened.connection.target {
            Target::Postgres(_) => crate::capabilities::sql::probe(&opened, instead, within_ms).await,
            Target::Http(_) => crate::capabilities::http::probe(&opened, instead, within_ms).await,
        };
        Some(tested.map_err(|refusal| refusal.message))
    }

    /// Closes what is idle under another mark of the admin's source, and answers whether nothing is left that was
    /// opened under one. Host calls that began before the source changed are waited for so, never cut.
    #[must_use]
    pub fn left_all_but(&self, name: &str, mark: u64) -> bool {
        let Some(opened) = self.get(name) else { return true };
        opened.sessions.keep(mark);
        opened.in_use.only(mark)
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Opened>> {
        self.snapshot().get(name)
    }

    /// What a call that begins now goes by.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::EnvironmentSource;

    fn connection(name: &str, port: u16) -> Connection {
        let source = Arc::new(EnvironmentSource("NOT_SET".to_owned()));
        Connection {
            name: name.parse().unwrap(),
            access: Access::default(),
            limits: ConnectionLimits::default(),
            target: Target::Postgres(PostgresTarget::here(port, "postgres", "nobody", source)),
        }
    }

    fn port(opened: &Opened) -> u16 {
        match &opened.connection.target {
            Target::Postgres(target) => target.port,
            Target::Http(_) => 0,
        }
    }

    #[test]
    fn a_call_keeps_what_it_began_with_and_the_next_one_finds_the_change() {
        let connections = Connections::new();
        connections.replace(vec![connection("moved", 1), connection("gone", 2), connection("same", 3)]);
        let call = connections.snapshot();
        let login = call.get("moved").unwrap().in_use.enter(7);
        connections.change(vec![connection("moved", 11), connection("new", 4)], &["gone".parse().unwrap()]);
        let next = connections.snapshot();
        for (name, before, after) in
            [("moved", Some(1), Some(11)), ("gone", Some(2), None), ("same", Some(3), Some(3)), ("new", None, Some(4))]
        {
            assert_eq!(call.get(name).map(|it| port(&it)), before, "{name} for a call that was under way");
            assert_eq!(next.get(name).map(|it| port(&it)), after, "{name} for the next one");
        }
        let (same, kept) = (call.get("same").unwrap(), next.get("same").unwrap());
        assert!(Arc::ptr_eq(&same, &kept), "what did not change keeps its sessions and its limits");
        assert!(!connections.left_all_but("moved", 8), "who logged in before the change is still waited for");
        drop(login);
        assert!(connections.left_all_but("moved", 8));
    }
}
