//! Logging in to PostgreSQL. Every login has its own time-out and goes to an address that was checked; errors name the
//! server, never a password.

use super::sqlstate;
use crate::capabilities::address::{Unresolved, resolved};
use crate::capabilities::chain;
use crate::capabilities::tls::{self, Identity};
use crate::connection::PostgresTarget;
use crate::refusal::Refusal;
use keybaton_protocol::fault::Blame;
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How the sessions of an admin are called at the server. Those of a trial are `keybaton`: plugins do not count them as
/// use of a credential, but an admin's are use of the one it logged in with.
const ADMIN_APPLICATION: &str = "keybaton-admin";
const TRIAL_APPLICATION: &str = "keybaton";

/// A session, and the way to cancel what it runs.
pub(crate) struct Session {
    pub(super) client: Client,
    pub(super) as_admin: bool,
    /// Of what the admin logged in with.
    pub(super) mark: u64,
    tls: Option<MakeRustlsConnect>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    /// Asks the server to stop the running statement; whether it does shows in the statement's own answer.
    pub(super) async fn cancel(&self) {
        let token = self.client.cancel_token();
        let _ = match self.tls.clone() {
            Some(tls) => token.cancel_query(tls).await,
            None => token.cancel_query(NoTls).await,
        };
    }
}

/// As whom a session is opened.
pub(super) struct Who<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a [u8],
    pub(super) as_admin: bool,
    /// It only finds out whether it would be let in.
    pub(super) trial: bool,
    pub(super) mark: u64,
}

pub(super) async fn open(target: &PostgresTarget, who: &Who<'_>, within_ms: u64) -> Result<Session, Refusal> {
    let place = format!("{}:{}", target.host, target.port);
    let opening = async {
        let config = config(target, who, &place, within_ms).await?;
        let tls = secured(target).await?;
        let client = match log_in(&config, tls.clone()).await {
            Ok(client) => client,
            Err(error) => return Err(unopened(&error, &place, who.as_admin)),
        };
        Ok(Session { client, as_admin: who.as_admin, mark: who.mark, tls })
    };
    match tokio::time::timeout(Duration::from_millis(within_ms), opening).await {
        Ok(opened) => opened,
        Err(_) => Err(Refusal::retryable("sql.connection", format!("{place} did not let us in within {within_ms} ms"))),
    }
}

/// The host by the name that its certificate must bear, at the addresses that were checked.
async fn config(target: &PostgresTarget, who: &Who<'_>, place: &str, within_ms: u64) -> Result<Config, Refusal> {
    let found = resolved(&target.host, target.port, &target.addresses).await.map_err(|why| match why {
        Unresolved::Forbidden(why) => Refusal::denied("connection.address", why.to_string()),
        Unresolved::Unknown(_) => Refusal::retryable("sql.connection", format!("{place} {}", chain(&why))),
    })?;
    if found.is_empty() {
        return Err(Refusal::retryable("sql.connection", format!("{place} has no address")));
    }
    let application = if who.as_admin && !who.trial { ADMIN_APPLICATION } else { TRIAL_APPLICATION };
    let mut config = Config::new();
    config
        .dbname(&target.database)
        .user(who.user)
        .password(who.password)
        .application_name(application)
        .connect_timeout(Duration::from_millis(within_ms))
        .ssl_mode(if target.tls.is_off() { SslMode::Disable } else { SslMode::Require });
    for address in found {
        config.host(target.tls.server_name.as_ref().unwrap_or(&target.host)).hostaddr(address.ip());
        config.port(address.port());
    }
    Ok(config)
}

async fn secured(target: &PostgresTarget) -> Result<Option<MakeRustlsConnect>, Refusal> {
    let identity = match &target.tls.client {
        None => None,
        Some(client) => Some(Identity::read(client).await.map_err(|error| {
            let what = format!("the connection's client certificate: {}", chain(&error));
            Refusal::permanent(Blame::Operator, "connection.tls", what)
        })?),
    };
    Ok(tls::config(&target.tls, identity.as_ref())?.map(MakeRustlsConnect::new))
}

async fn log_in(config: &Config, tls: Option<MakeRustlsConnect>) -> Result<Client, tokio_postgres::Error> {
    match tls {
        Some(tls) => config.connect(tls).await.map(|(client, connection)| {
            tokio::spawn(async move { drop(connection.await) });
            client
        }),
        None => config.connect(NoTls).await.map(|(client, connection)| {
            tokio::spawn(async move { drop(connection.await) });
            client
        }),
    }
}

fn unopened(error: &tokio_postgres::Error, place: &str, as_admin: bool) -> Refusal {
    match error.as_db_error() {
        Some(answered) => sqlstate::refusal(answered, as_admin),
        None => tls::explained(error).map_or_else(
            || Refusal::retryable("sql.connection", format!("cannot log in to {place}: {}", chain(error))),
            |refusal| refusal.at(place),
        ),
    }
}
