//! HTTP clients: one per plugin and connection, so that no grant rides on another's open connections; a new one for
//! each candidate and each client certificate.

use super::request::{Assembled, Auth};
use crate::capabilities::address::{Checked, check_literal};
use crate::capabilities::tls::{self, Identity};
use crate::capabilities::unavailable;
use crate::connection::{HttpTarget, Opened, Target, Using};
use crate::identity::SecretSource;
use crate::refusal::Refusal;
use keybaton_protocol::fault::Blame;
use keybaton_protocol::ids::PluginName;
use reqwest::{Client, header::HeaderValue, redirect};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use zeroize::Zeroizing;

/// Readings of the admin's credential within one host call: where it has just been replaced, the next one is taken.
const ADMIN_TRIES: usize = 4;
/// Clients of one connection.
const CLIENTS: usize = 64;
/// How long reaching a server may take, in milliseconds.
const CONNECT_MS: u64 = 10_000;
/// How long an idle connection is kept.
const IDLE_FOR: Duration = Duration::from_secs(30);
/// Idle connections kept per client.
const IDLE: usize = 8;

/// Clients by plugin, each with the digest of the client certificate it presents.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<HashMap<PluginName, ([u8; 32], Client)>>);

/// A request ready to leave.
pub(super) struct Prepared {
    pub(super) client: Client,
    pub(super) request: reqwest::Request,
    /// Where the admin's credential comes from, and the mark of the one that goes along.
    pub(super) admin: Option<(Arc<dyn SecretSource>, u64)>,
    pub(super) _using: Option<Using>,
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
    check_literal(target.dial.as_deref().or(target.base_url.host_str()), &target.addresses)?;
    let mut request = assembled.into_request()?;
    let (credential, using) = counted(opened, auth).await?;
    if let Some((header, value)) = credential.header {
        let mut value = HeaderValue::from_bytes(&value).map_err(|_| match credential.is_candidate {
            true => Refusal::misuse("guest.candidate", "the credential cannot stand in a header"),
            false => {
                let what = format!("the admin credential of `{}` cannot stand in a header", opened.connection.name);
                Refusal::permanent(Blame::Operator, "connection.admin", what)
            }
        })?;
        value.set_sensitive(true);
        request.headers_mut().insert(header, value);
    }
    let identity = match (credential.identity, &target.tls.client) {
        (Some(identity), _) => Some(identity),
        (None, Some(client)) => Some(Identity::read(client).await.map_err(|error| {
            let what = format!("the connection's client certificate: {}", crate::capabilities::chain(&error));
            Refusal::permanent(Blame::Operator, "connection.tls", what)
        })?),
        (None, None) => None,
    };
    let client = match credential.is_candidate {
        false => opened.clients.get(plugin, target, identity.as_ref())?,
        true => build(target, identity.as_ref(), 0)?,
    };
    let admin = credential.source.map(|source| (source, credential.mark));
    Ok(Prepared { client, request, admin, _using: using, _slot: slot })
}

/// The credential, counted under the mark it had when it was read and has after it was counted.
async fn counted(opened: &Opened, auth: Auth) -> Result<(Credential, Option<Using>), Refusal> {
    let Some(source) = auth.source().cloned() else {
        let credential = auth.resolve().await.map_err(|error| unavailable(opened, &error))?;
        return Ok((credential, None));
    };
    for _ in 0..ADMIN_TRIES {
        let credential = auth.clone().resolve().await.map_err(|error| unavailable(opened, &error))?;
        let using = opened.in_use.enter(credential.mark);
        if source.mark() == credential.mark {
            return Ok((credential, Some(using)));
        }
    }
    Err(Refusal::host("connection.admin", "the admin credential kept changing"))
}

/// Asks as the admin for what only the admin is told (the connection's `check`), else for the base URL: then any answer
/// but a refusal of the credential or a server's fault will do. `instead` stands in for where the credential comes from.
pub(crate) async fn probe(
    opened: &Opened,
    instead: Option<Arc<dyn SecretSource>>,
    within_ms: u64,
) -> Result<String, Refusal> {
    let Target::Http(target) = &opened.connection.target else {
        return Err(Refusal::host("host.connection", "the connection has changed its kind"));
    };
    let admin = match (&target.admin, instead) {
        (Some(admin), Some(instead)) => Some(admin.with(instead)),
        (admin, _) => admin.clone(),
    };
    let Some(check) = &target.check else {
        let status = ask(opened, target.base_url.clone(), admin.map_or(Auth::Nobody, Auth::Admin), within_ms).await?;
        return Ok(format!("answered {status}"));
    };
    let base = target.base_url.as_str().trim_end_matches('/');
    let url: reqwest::Url = format!("{base}{check}")
        .parse()
        .map_err(|_| Refusal::permanent(Blame::Operator, "connection.check", "`check` makes no URL".to_owned()))?;
    let status = ask(opened, url.clone(), admin.map_or(Auth::Nobody, Auth::Admin), within_ms).await?;
    if !(200..300).contains(&status) {
        let what = format!("the server answered {status} to {check}, which is to answer the admin");
        return Err(Refusal::permanent(Blame::Operator, "connection.check", what));
    }
    match ask(opened, url, Auth::Nobody, within_ms).await {
        Ok(200..300) => {
            let what = format!("{check} answers everybody, so it does not tell whether the admin credential works");
            Err(Refusal::permanent(Blame::Operator, "connection.check", what))
        }
        _ => Ok(format!("answered {status} to {check}")),
    }
}

/// One GET; the status, if it refuses no credential and tells of no fault.
async fn ask(opened: &Opened, url: reqwest::Url, auth: Auth, within_ms: u64) -> Result<u16, Refusal> {
    let plugin = "probe".parse().expect("`probe` is a label");
    let prepared = prepare(opened, &plugin, auth, Assembled::get(url), within_ms).await?;
    let Prepared { client, request, _using, _slot, .. } = prepared;
    let asked = tokio::time::timeout(Duration::from_millis(within_ms), client.execute(request)).await;
    let answered = asked.map_err(|_| Refusal::retryable("http.timeout", format!("no answer within {within_ms} ms")))?;
    let answered = answered.map_err(|error| {
        tls::explained(&error).unwrap_or_else(|| {
            let what = format!("cannot ask: {}", crate::capabilities::chain(&error));
            Refusal::retryable("http.connection", what)
        })
    })?;
    match answered.status().as_u16() {
        status @ (401 | 403) => Err(Refusal::permanent(
            Blame::Operator,
            "connection.admin",
            format!("the server answered {status}: it does not accept the admin credential here"),
        )),
        status @ 500.. => Err(Refusal::retryable("http.status", format!("the server answered {status}"))),
        status => Ok(status),
    }
}

impl Clients {
    /// A plugin's client; a new one where the certificate has been replaced, so that nothing rides on the old one.
    fn get(&self, plugin: &PluginName, target: &HttpTarget, identity: Option<&Identity>) -> Result<Client, Refusal> {
        let digest = identity.map_or([0; 32], Identity::digest);
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.get(plugin).filter(|(presents, _)| *presents == digest) {
            return Ok(client.clone());
        }
        let client = build(target, identity, IDLE)?;
        if clients.len() < CLIENTS || clients.contains_key(plugin) {
            clients.insert(plugin.clone(), (digest, client.clone()));
        }
        Ok(client)
    }
}

fn build(target: &HttpTarget, identity: Option<&Identity>, idle: usize) -> Result<Client, Refusal> {
    let wrong = |what: String| Refusal::permanent(Blame::Operator, "connection.tls", what);
    let checked = Checked { allowed: Arc::clone(&target.addresses), dial: target.dial.clone() };
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .connect_timeout(Duration::from_millis(CONNECT_MS))
        .pool_idle_timeout(IDLE_FOR)
        .pool_max_idle_per_host(idle)
        .user_agent(concat!("keybaton/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(Arc::new(checked));
    if let Some(config) = tls::config(&target.tls, identity)? {
        builder = builder.tls_backend_preconfigured(config);
    }
    builder.build().map_err(|error| wrong(format!("no HTTP client: {error}")))
}

/// A credential as it goes on the wire.
#[derive(Clone)]
pub(super) struct Credential {
    pub(super) header: Option<(reqwest::header::HeaderName, Zeroizing<Vec<u8>>)>,
    pub(super) identity: Option<Identity>,
    pub(super) is_candidate: bool,
    /// Of an admin: where it comes from, and the mark of this one.
    pub(super) source: Option<Arc<dyn SecretSource>>,
    pub(super) mark: u64,
}

impl Credential {
    pub(super) const fn nobody(is_candidate: bool) -> Self {
        Self { header: None, identity: None, is_candidate, source: None, mark: 0 }
    }
}
