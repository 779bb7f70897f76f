//! A request out of its parts, and as whom it is sent. Secrets enter here and go nowhere but onto the wire.

use super::pool::Credential;
use crate::bindings::keybaton::rotator::http::Request;
use crate::bindings::keybaton::rotator::types::{Candidate, Identity, Part};
use crate::capabilities::{candidate_field, candidate_param, only_params, rendered, tls, user_of};
use crate::connection::{HttpAdmin, HttpTarget, Opened};
use crate::identity::{SecretSource, SourceError};
use crate::limits;
use crate::refusal::Refusal;
use crate::secret::Held;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Headers that are the host's to set (RFC 9110 section 7.6.1, and those that carry identity or framing).
const HOSTS_OWN: &[&str] = &[
    "host",
    "authorization",
    "proxy-authorization",
    "cookie",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "expect",
    "proxy-connection",
    "forwarded",
    "x-forwarded-for",
    "x-real-ip",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// A request whose parts are in place.
pub(super) struct Assembled {
    method: reqwest::Method,
    url: reqwest::Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Zeroizing<Vec<u8>>,
}

impl Assembled {
    /// A bare read of this URL.
    pub(super) fn get(url: reqwest::Url) -> Self {
        Self { method: reqwest::Method::GET, url, headers: Vec::new(), body: Zeroizing::default() }
    }

    pub(super) fn into_request(mut self) -> Result<reqwest::Request, Refusal> {
        let mut request = reqwest::Request::new(self.method, self.url);
        for (name, value) in self.headers {
            request.headers_mut().append(name, value);
        }
        if !self.body.is_empty() {
            *request.body_mut() = Some(std::mem::take(&mut *self.body).into());
        }
        Ok(request)
    }
}

pub(super) fn assemble(target: &HttpTarget, req: &Request, secrets: &[Held]) -> Result<Assembled, Refusal> {
    let misuse = |what: &str| Refusal::misuse("guest.request", what);
    let base = target.base_url.as_str().trim_end_matches('/');
    let text = format!("{base}{}", req.path);
    let url: reqwest::Url = text.parse().map_err(|_| misuse("the path makes no URL"))?;
    // The path was matched as text; it must also be sent as that text, to that origin.
    if url.as_str() != text || url.origin() != target.base_url.origin() {
        return Err(Refusal::denied("http.endpoint", "the path does not stay as it is in a URL"));
    }
    let mut headers = Vec::with_capacity(req.headers.len());
    for (name, parts) in &req.headers {
        headers.push(header(name, parts, secrets)?);
    }
    let method = reqwest::Method::from_bytes(req.method.as_bytes()).map_err(|_| misuse("the method is none"))?;
    Ok(Assembled { method, url, headers, body: join(&req.body, secrets)? })
}

fn header(name: &str, parts: &[Part], secrets: &[Held]) -> Result<(HeaderName, HeaderValue), Refusal> {
    let shown = limits::cut(name, 64).escape_debug();
    let name: HeaderName =
        name.parse().map_err(|_| Refusal::misuse("guest.request", format!("`{shown}` is no header's name")))?;
    if HOSTS_OWN.contains(&name.as_str()) {
        return Err(Refusal::denied("http.header", format!("the header `{name}` is the host's to set")));
    }
    let value = join(parts, secrets)?;
    let mut value = HeaderValue::from_bytes(&value)
        .map_err(|_| Refusal::misuse("guest.request", format!("the value of `{name}` cannot stand in a header")))?;
    value.set_sensitive(parts.iter().any(|part| matches!(part, Part::Secret(_))));
    Ok((name, value))
}

fn join(parts: &[Part], secrets: &[Held]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let mut joined = Zeroizing::new(Vec::new());
    for part in parts {
        match part {
            Part::Text(text) => joined.extend_from_slice(text.as_bytes()),
            Part::Bytes(bytes) => joined.extend_from_slice(bytes),
            Part::Secret(part) => joined.extend_from_slice(&rendered(part, secrets)?),
        }
    }
    Ok(joined)
}

/// As whom a request is sent, before its secrets are read.
#[derive(Clone)]
pub(super) enum Auth {
    Nobody,
    Admin(HttpAdmin),
    Candidate(Credential),
}

pub(super) fn auth(
    opened: &Opened,
    target: &HttpTarget,
    identity: &Identity,
    secrets: &[Held],
) -> Result<Auth, Refusal> {
    match identity {
        Identity::None => Ok(Auth::Nobody),
        Identity::Admin => target.admin.clone().map(Auth::Admin).ok_or_else(|| {
            let name = &opened.connection.name;
            Refusal::denied("connection.admin", format!("connection `{name}` has no admin identity"))
        }),
        Identity::Candidate(candidate) => candidate_of(opened, candidate, secrets).map(Auth::Candidate),
    }
}

fn candidate_of(opened: &Opened, candidate: &Candidate, secrets: &[Held]) -> Result<Credential, Refusal> {
    let missing = |what: &str| Refusal::misuse("guest.candidate", format!("the parameter `{what}` is missing"));
    let misuse = |what: &str| Refusal::misuse("guest.candidate", what);
    let mut credential = Credential::nobody(true);
    match candidate.scheme.as_str() {
        "bearer" => {
            only_params(candidate, &["prefix"])?;
            let token = candidate_field(candidate, "token", secrets)?;
            credential.header = Some(bearer(candidate_param(candidate, "prefix").unwrap_or("Bearer"), token.expose()));
        }
        "basic" => {
            only_params(candidate, &["user"])?;
            let user = candidate_param(candidate, "user").ok_or_else(|| missing("user"))?;
            opened.admits_identity(user)?;
            credential.header = Some(basic(user, candidate_field(candidate, "password", secrets)?.expose()));
        }
        "header" => {
            only_params(candidate, &["header"])?;
            let name = candidate_param(candidate, "header").ok_or_else(|| missing("header"))?;
            let name: HeaderName = name.parse().map_err(|_| misuse("the header's name is none"))?;
            if HOSTS_OWN.contains(&name.as_str()) {
                return Err(Refusal::denied("http.header", format!("the header `{name}` is the host's to set")));
            }
            let value = candidate_field(candidate, "value", secrets)?.expose().to_vec();
            credential.header = Some((name, Zeroizing::new(value)));
        }
        "mtls" => {
            only_params(candidate, &["certificate"])?;
            let certificate = candidate_param(candidate, "certificate").ok_or_else(|| missing("certificate"))?;
            let key = candidate_field(candidate, "key", secrets)?;
            credential.identity = Some(identity_of(certificate.as_bytes(), key.expose()));
        }
        other => {
            let shown = limits::cut(other, 40).escape_debug();
            return Err(Refusal::denied(
                "http.scheme",
                format!("there is no scheme `{shown}`; there are bearer, basic, header, mtls"),
            ));
        }
    }
    Ok(credential)
}

impl Auth {
    /// Reads what has to be read.
    pub(super) async fn resolve(self) -> Result<Credential, SourceError> {
        let admin = match self {
            Self::Nobody => return Ok(Credential::nobody(false)),
            Self::Candidate(credential) => return Ok(credential),
            Self::Admin(admin) => admin,
        };
        let had = admin.source().read().await?;
        let secret = had.secret.expose();
        let mut credential = Credential { mark: had.mark, ..Credential::nobody(false) };
        match &admin {
            HttpAdmin::Bearer { prefix, .. } => credential.header = Some(bearer(prefix, secret)),
            HttpAdmin::Basic { user, .. } => {
                credential.header = Some(basic(user_of(user.as_deref(), &had)?, secret));
            }
            HttpAdmin::Header { name, .. } => {
                let name = name.parse().map_err(|_| SourceError::Other(format!("`{name}` is no header's name")))?;
                credential.header = Some((name, Zeroizing::new(secret.to_vec())));
            }
            HttpAdmin::Mtls { certificate: Some(certificate), .. } => {
                let certificate = certificate.read().await?;
                credential.identity = Some(identity_of(certificate.secret.expose(), secret));
            }
            HttpAdmin::Mtls { certificate: None, .. } => {
                let own = had.public("certificate").ok_or_else(|| {
                    SourceError::Other("it has no public field `certificate`: set `certificate`".to_owned())
                })?;
                credential.identity = Some(identity_of(own.as_bytes(), secret));
            }
        }
        credential.source = Some(Arc::clone(admin.source()));
        Ok(credential)
    }

    /// Where the admin's secret comes from.
    pub(super) fn source(&self) -> Option<&Arc<dyn SecretSource>> {
        match self {
            Self::Admin(admin) => Some(admin.source()),
            Self::Nobody | Self::Candidate(_) => None,
        }
    }
}

fn bearer(prefix: &str, token: &[u8]) -> (HeaderName, Zeroizing<Vec<u8>>) {
    (AUTHORIZATION, Zeroizing::new([prefix.as_bytes(), b" ", token].concat()))
}

fn basic(user: &str, password: &[u8]) -> (HeaderName, Zeroizing<Vec<u8>>) {
    let pair = Zeroizing::new([user.as_bytes(), b":", password].concat());
    let encoded = Zeroizing::new(STANDARD.encode(pair.as_slice()));
    (AUTHORIZATION, Zeroizing::new([b"Basic ", encoded.as_bytes()].concat()))
}

fn identity_of(certificate: &[u8], key: &[u8]) -> tls::Identity {
    tls::Identity { certificate: certificate.to_vec(), key: Zeroizing::new(key.to_vec()) }
}
