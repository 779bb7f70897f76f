//! Connections as capabilities need them: where, as whom, who may use them, how much at once. The files they come from
//! are the host's. Every check here is made inside the capability, and a refusal is a value that says what to grant.

use crate::capabilities::http::pool::Clients;
use crate::capabilities::sql::pool::Sessions;
use crate::identity::SecretSource;
use crate::manifest::Endpoint;
use crate::refusal::Refusal;
use keybaton_protocol::ids::{ConnectionName, Namespace, PluginName};
use keybaton_schedule::connection::{Addresses, Pattern};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

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

/// Trust in a server.
#[derive(Debug, Clone)]
pub enum Tls {
    /// None: loopback or a network that is trusted.
    Off,
    /// These roots only, PEM.
    Roots(Vec<u8>),
    /// The machine's roots.
    System,
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
    /// Admin: user and where the password is.
    pub admin: Option<(String, Arc<dyn SecretSource>)>,
}

/// An HTTP API.
#[derive(Debug)]
pub struct HttpTarget {
    /// Scheme, host, port and a path prefix; requests go nowhere else.
    pub base_url: reqwest::Url,
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
        /// User.
        user: String,
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
        /// Certificate chain, PEM.
        certificate: Arc<dyn SecretSource>,
        /// Private key, PEM (PKCS#8).
        key: Arc<dyn SecretSource>,
    },
}

/// All connections, replaceable while calls run; a call keeps the one it began with.
#[derive(Debug, Default)]
pub struct Connections(RwLock<HashMap<ConnectionName, Arc<Opened>>>);

impl Connections {
    /// No connections.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts these in the place of all there were.
    pub fn replace(&self, connections: Vec<Connection>) {
        let opened = connections.into_iter().map(|c| (c.name.clone(), Arc::new(Opened::new(c)))).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = opened;
    }

    /// Logs in as the connection's admin and comes back; `None` where there is no such connection. Changes nothing.
    ///
    /// # Errors
    /// The inner one: why it does not work, for the operator. It holds no secret.
    pub async fn test(&self, name: &str) -> Option<Result<String, String>> {
        let opened = self.get(name)?;
        let within_ms = opened.connection.limits.timeout_ms;
        let tested = match &opened.connection.target {
            Target::Postgres(_) => crate::capabilities::sql::probe(&opened, within_ms).await,
            Target::Http(_) => crate::capabilities::http::probe(&opened, within_ms).await,
        };
        Some(tested.map_err(|refusal| refusal.message))
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Opened>> {
        let name = name.parse().ok()?;
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&name).cloned()
    }
}

/// A connection with what it has open.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    slots: Arc<Semaphore>,
    bucket: Mutex<(f64, Instant)>,
    pub(crate) sessions: Sessions,
    pub(crate) clients: Clients,
}

impl Opened {
    fn new(connection: Connection) -> Self {
        let burst = connection.limits.rate.map_or(0.0, |(_, burst)| f64::from(burst.max(1)));
        Self {
            slots: Arc::new(Semaphore::new(usize::from(connection.limits.concurrency.max(1)))),
            bucket: Mutex::new((burst, Instant::now())),
            sessions: Sessions::default(),
            clients: Clients::default(),
            connection,
        }
    }

    /// Whether this plugin may use it for secrets of this namespace.
    pub(crate) fn admits(&self, namespace: &Namespace, plugin: &PluginName) -> Result<(), Refusal> {
        let (name, access) = (&self.connection.name, &self.connection.access);
        if !access.plugins.iter().any(|pattern| pattern.matches(plugin.as_str())) {
            return Err(Refusal::denied(
                "connection.plugin",
                format!("connection `{name}` is not open to plugin `{plugin}`: list it under the connection's plugins"),
            ));
        }
        if !access.namespaces.iter().any(|pattern| pattern.matches(namespace.as_str())) {
            return Err(Refusal::denied(
                "connection.namespace",
                format!("connection `{name}` is not open to namespace `{namespace}`: list it under its namespaces"),
            ));
        }
        Ok(())
    }

    /// Whether this identity at the target may be touched.
    pub(crate) fn admits_identity(&self, identity: &str) -> Result<(), Refusal> {
        if self.connection.access.identities.iter().any(|pattern| pattern.matches(identity)) {
            return Ok(());
        }
        let shown = crate::limits::cut(identity, 80);
        Err(Refusal::denied(
            "connection.identity",
            format!(
                "connection `{}` does not allow the identity `{}`: add a pattern to its identities",
                self.connection.name,
                shown.escape_debug()
            ),
        ))
    }

    /// Waits for a free slot and for the rate, at most `within_ms`.
    pub(crate) async fn enter(&self, within_ms: u64) -> Result<OwnedSemaphorePermit, Refusal> {
        let name = &self.connection.name;
        let busy = |what| Refusal::retryable("connection.busy", format!("connection `{name}` has {what} in time"));
        let end = Instant::now() + Duration::from_millis(within_ms);
        let acquired = tokio::time::timeout_at(end, Arc::clone(&self.slots).acquire_owned()).await;
        let permit = acquired.map_err(|_| busy("no free slot"))?.map_err(|_| busy("been closed and no slot"))?;
        loop {
            let wait = self.take_token();
            if wait.is_zero() {
                return Ok(permit);
            }
            if Instant::now() + wait > end {
                return Err(busy("a rate limit that lets no call start").after_ms(Some(wait.as_millis() as u64)));
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes a token, or says how long until there is one.
    fn take_token(&self) -> Duration {
        let Some((per_second, burst)) = self.connection.limits.rate else { return Duration::ZERO };
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let filled = bucket.0 + now.duration_since(bucket.1).as_secs_f64() * per_second;
        *bucket = (filled.min(f64::from(burst.max(1))), now);
        if bucket.0 >= 1.0 {
            bucket.0 -= 1.0;
            return Duration::ZERO;
        }
        Duration::from_secs_f64(((1.0 - bucket.0) / per_second.max(0.001)).clamp(0.001, 60.0))
    }
}
