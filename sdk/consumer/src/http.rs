//! Requests to the host: bounded, without redirects or proxies, over TLS that trusts the pinned authority alone.
//! Bodies that carry values are collected into zeroized memory. Logs nothing.

use crate::Error;
use crate::pin::{Pin, client_config};
use crate::token::Token;
use crate::wire::Problem;
use bytes::Bytes;
use futures::StreamExt;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Method, RequestBuilder, Response, Url, redirect};
use serde::Serialize;
use std::time::Duration;
use zeroize::Zeroizing;

/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for an ordinary request; a slow host gets this long.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(40);
/// A stream that is silent for longer is dead: the host sends a comment every 15 seconds.
const STREAM_SILENCE: Duration = Duration::from_secs(50);
/// Largest answer that is read.
const MAX_ANSWER_BYTES: usize = 4 * 1_024 * 1_024;
/// Room for what is sent: more than an enrolment takes.
const BODY_BYTES: usize = 1_024;
/// Largest text of a problem that is kept.
const MAX_DETAIL_CHARS: usize = 500;

/// A host, as one workload sees it.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client,
    base: Url,
}

impl Http {
    pub(crate) fn new(url: &str, pin: Pin) -> Result<Self, Error> {
        let base = Url::parse(url).ok().filter(|url| url.scheme() == "https" && url.host().is_some());
        let base = base.ok_or_else(|| Error::Address(url.to_owned()))?;
        let client = Client::builder()
            .tls_backend_preconfigured(client_config(pin)?)
            .https_only(true)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(STREAM_SILENCE)
            .user_agent(concat!("keybaton-consumer/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(Error::Unreachable)?;
        Ok(Self { client, base })
    }

    pub(crate) async fn get(
        &self,
        path: &str,
        query: &[(&str, String)],
        token: &Token,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let request = self.request(Method::GET, path, query, Some(token))?;
        collect(request.timeout(REQUEST_TIMEOUT)).await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        token: Option<&Token>,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        // One body carries an enrolment token: reserved in full, and zeroized with its last user.
        let mut text = Zeroizing::new(Vec::with_capacity(BODY_BYTES));
        serde_json::to_writer(&mut *text, body).map_err(|_| Error::Answer("a request can't be written"))?;
        let body = Bytes::from_owner(text);
        let request = self.request(Method::POST, path, &[], token)?.header(CONTENT_TYPE, "application/json").body(body);
        collect(request.timeout(REQUEST_TIMEOUT)).await
    }

    /// Opens a stream of server-sent events.
    pub(crate) async fn stream(&self, path: &str, token: &Token) -> Result<Response, Error> {
        let request = self.request(Method::GET, path, &[], Some(token))?.header(ACCEPT, "text/event-stream");
        let response = tokio::time::timeout(REQUEST_TIMEOUT, request.send()).await;
        let response = response.map_err(|_| Error::Answer("nothing came in time"))?.map_err(Error::Unreachable)?;
        if response.status().is_success() { Ok(response) } else { Err(refused(response).await) }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        token: Option<&Token>,
    ) -> Result<RequestBuilder, Error> {
        let mut url = self.base.join(path).map_err(|_| Error::Address(path.to_owned()))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.client.request(method, url);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token.authorization()?);
        }
        Ok(request)
    }
}

async fn collect(request: RequestBuilder) -> Result<Zeroizing<Vec<u8>>, Error> {
    let response = request.send().await.map_err(|error| Error::Unreachable(error.without_url()))?;
    if response.status().is_success() { read(response).await } else { Err(refused(response).await) }
}

async fn read(response: Response) -> Result<Zeroizing<Vec<u8>>, Error> {
    let length = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(4_096);
    let mut body = Zeroizing::new(Vec::with_capacity(length.min(MAX_ANSWER_BYTES)));
    let mut parts = response.bytes_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| Error::Unreachable(error.without_url()))?;
        if body.len() + part.len() > MAX_ANSWER_BYTES {
            return Err(Error::Answer("it is too long"));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

async fn refused(response: Response) -> Error {
    let status = response.status().as_u16();
    let problem = read(response).await.ok().and_then(|body| serde_json::from_slice::<Problem>(&body).ok());
    let cut = |text: String| text.chars().take(MAX_DETAIL_CHARS).collect();
    match problem {
        Some(Problem { kind, title, detail, reason }) => Error::Refused {
            kind: cut(kind.rsplit('/').next().unwrap_or_default().to_owned()),
            status,
            title: cut(title),
            detail: cut(detail),
            reason: reason.map(cut),
        },
        None => Error::Refused {
            kind: "unknown".to_owned(),
            status,
            title: "the host answered with no problem details".to_owned(),
            detail: format!("HTTP status {status}"),
            reason: None,
        },
    }
}
