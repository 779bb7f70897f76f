//! HTTP clients: one per plugin and connection, so that no grant rides on another's open connections; a new one for
//! each candidate and each client certificate.

use super::address::{Checked, check_literal};
use super::request::{Assembled, Auth};
use crate::connection::{HttpTarget, Opened, Target, Tls};
use crate::identity::SourceError;
use crate::refusal::Refusal;
use keybaton_protocol::fault::Blame;
use keybaton_protocol::ids::PluginName;
use reqwest::{Client, header::HeaderValue, redirect};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use zeroize::Zeroizing;

/// Clients of one connection.
const CLIENTS: usize = 64;
/// How long reaching a server may take, in milliseconds.
const CONNECT_MS: u64 = 10_000;
/// How long an idle connection is kept.
const IDLE_FOR: Duration = Duration::from_secs(30);
/// Idle connections kept per client.
const IDLE: usize = 8;

/// Clients by plugin.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<HashMap<PluginName, Client>>);

/// A request ready to leave.
pub(super) struct Prepared {
    pub(super) client: Client,
    pub(super) request: reqwest::Request,
    pub(super) _slot: OwnedSemaphorePermit,
}

/// Takes a slot, reads the admin's credential, finds or builds the client. Nothing has left yet.
pub(super) async fn prepare(
    opened: &Opened,
    plugin: &PluginName,
    auth: Auth,
    assembled: Assembled,
    within_ms: u64,
) -> Result<Prepared, Refusal> {
    let Target::Http(target) = &opened.connection.target else {
        return Err(Refusal::host("host.connection", "the connection has changed its kind"));
    };
    let slot = opened.enter(within_ms).await?;
    check_literal(target.base_url.host_str(), &target.addresses)?;
    let mut request = assembled.into_request()?;
    let name = &opened.connection.name;
    let credential = auth.resolve().await.map_err(|error| unavailable(name.as_str(), &error))?;
    if let Some((header, value)) = credential.header {
        let mut value = HeaderValue::from_bytes(&value)
            .map_err(|_| Refusal::misuse("guest.candidate", "the credential cannot stand in a header"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(header, value);
    }
    let client = match (credential.identity, credential.is_candidate) {
        (None, false) => opened.clients.get(plugin, target)?,
        (identity, _) => build(target, identity.as_ref().map(|pem| pem.as_slice()), 0)?,
    };
    Ok(Prepared { client, request, _slot: slot })
}

/// Asks the base URL as the admin. Any answer but a refusal of the credential or a server's fault will do.
pub(crate) async fn probe(opened: &Opened, within_ms: u64) -> Result<String, Refusal> {
    let Target::Http(target) = &opened.connection.target else {
        return Err(Refusal::host("host.connection", "the connection has changed its kind"));
    };
    let admin = target.admin.clone().map_or(Auth::Nobody, Auth::Admin);
    let plugin = "probe".parse().expect("`probe` is a label");
    let assembled = Assembled::get(target.base_url.clone());
    let Prepared { client, request, _slot } = prepare(opened, &plugin, admin, assembled, within_ms).await?;
    let asked = tokio::time::timeout(Duration::from_millis(within_ms), client.execute(request)).await;
    let answered = asked.map_err(|_| Refusal::retryable("http.timeout", format!("no answer within {within_ms} ms")))?;
    let answered = answered.map_err(|error| {
        Refusal::retryable("http.connection", format!("cannot ask: {}", crate::capabilities::chain(&error)))
    })?;
    match answered.status().as_u16() {
        status @ (401 | 403) => Err(Refusal::permanent(
            Blame::Operator,
            "connection.admin",
            format!("the server answered {status}: it does not accept the admin credential here"),
        )),
        status @ 500.. => Err(Refusal::retryable("http.status", format!("the server answered {status}"))),
        status => Ok(format!("answered {status}")),
    }
}

impl Clients {
    fn get(&self, plugin: &PluginName, target: &HttpTarget) -> Result<Client, Refusal> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(plugin) {
            return Ok(client.clone());
        }
        let client = build(target, None, IDLE)?;
        if clients.len() < CLIENTS {
            clients.insert(plugin.clone(), client.clone());
        }
        Ok(client)
    }
}

fn build(target: &HttpTarget, identity: Option<&[u8]>, idle: usize) -> Result<Client, Refusal> {
    let wrong = |what: String| Refusal::permanent(Blame::Operator, "connection.tls", what);
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .connect_timeout(Duration::from_millis(CONNECT_MS))
        .pool_idle_timeout(IDLE_FOR)
        .pool_max_idle_per_host(idle)
        .user_agent(concat!("keybaton/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(Arc::new(Checked(Arc::clone(&target.addresses))));
    if let Tls::Roots(pem) = &target.tls {
        let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| wrong(error.to_string()))?;
        builder = builder.tls_certs_only(roots);
    }
    if let Some(pem) = identity {
        let identity = reqwest::Identity::from_pem(pem)
            .map_err(|_| wrong("the client certificate and key are not usable PEM".to_owned()))?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(|error| wrong(format!("no HTTP client: {error}")))
}

fn unavailable(name: &str, error: &SourceError) -> Refusal {
    let what = format!("the admin credential of `{name}`: {}", crate::capabilities::chain(error));
    Refusal::permanent(Blame::Operator, "connection.admin", what)
}

/// A credential as it goes on the wire.
pub(super) struct Credential {
    pub(super) header: Option<(reqwest::header::HeaderName, Zeroizing<Vec<u8>>)>,
    pub(super) identity: Option<Zeroizing<Vec<u8>>>,
    pub(super) is_candidate: bool,
}
