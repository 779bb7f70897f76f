//! Logging in to PostgreSQL. Every login has its own time-out; errors name the server, never a password.

use super::sqlstate;
use crate::capabilities::chain;
use crate::connection::{PostgresTarget, Tls};
use crate::refusal::Refusal;
use keybaton_protocol::fault::Blame;
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};
use rustls_platform_verifier::BuilderVerifierExt;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A session, and the way to cancel what it runs.
pub(crate) struct Session {
    pub(super) client: Client,
    pub(super) as_admin: bool,
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

pub(super) async fn open(
    target: &PostgresTarget,
    user: &str,
    password: &[u8],
    as_admin: bool,
    within_ms: u64,
) -> Result<Session, Refusal> {
    let place = format!("{}:{}", target.host, target.port);
    let mut config = Config::new();
    config
        .host(&target.host)
        .port(target.port)
        .dbname(&target.database)
        .user(user)
        .password(password)
        .application_name("keybaton")
        .connect_timeout(Duration::from_millis(within_ms))
        .ssl_mode(if matches!(target.tls, Tls::Off) { SslMode::Disable } else { SslMode::Require });
    let tls = tls(&target.tls)?;
    let logging_in = async {
        match tls.clone() {
            Some(tls) => config.connect(tls).await.map(|(client, connection)| {
                tokio::spawn(async move { drop(connection.await) });
                client
            }),
            None => config.connect(NoTls).await.map(|(client, connection)| {
                tokio::spawn(async move { drop(connection.await) });
                client
            }),
        }
    };
    match tokio::time::timeout(Duration::from_millis(within_ms), logging_in).await {
        Ok(Ok(client)) => Ok(Session { client, as_admin, tls }),
        Ok(Err(error)) => Err(match error.as_db_error() {
            Some(answered) => sqlstate::refusal(answered, as_admin),
            None => Refusal::retryable("sql.connection", format!("cannot log in to {place}: {}", chain(&error))),
        }),
        Err(_) => Err(Refusal::retryable("sql.connection", format!("{place} did not let us in within {within_ms} ms"))),
    }
}

fn tls(tls: &Tls) -> Result<Option<MakeRustlsConnect>, Refusal> {
    let wrong = |what: String| Refusal::permanent(Blame::Operator, "connection.tls", what);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = || {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        builder.with_safe_default_protocol_versions().map_err(|error| wrong(error.to_string()))
    };
    let config = match tls {
        Tls::Off => return Ok(None),
        Tls::Roots(pem) => builder()?.with_root_certificates(roots(pem).map_err(wrong)?).with_no_client_auth(),
        Tls::System => {
            let verified = builder()?.with_platform_verifier().map_err(|error| wrong(error.to_string()))?;
            verified.with_no_client_auth()
        }
    };
    Ok(Some(MakeRustlsConnect::new(config)))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("the connection's roots: {error}"))?;
        roots.add(certificate).map_err(|error| format!("the connection's roots: {error}"))?;
    }
    if roots.is_empty() { Err("the connection's roots hold no certificate".to_owned()) } else { Ok(roots) }
}
