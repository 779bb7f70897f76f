//! The operator's side of the API: requests over the Unix socket or HTTPS. Holds the token, never a secret value.

use crate::cli::Common;
use crate::exit::{Context, Exit, Failure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt;
use keybaton_protocol::fault::Blame;
use reqwest::header::{AUTHORIZATION, HeaderValue, InvalidHeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long connecting to the host may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take; `plan` asks plugins, and plugins ask targets.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest line of an event stream that is kept, in bytes.
const EVENT_LINE_LIMIT: usize = 1 << 20;

/// A connection to a host, as an operator.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    /// The token, where nothing prints it: made once, and zeroized with its last request.
    authorization: HeaderValue,
}

/// What the API says when it does not do what it was asked (RFC 9457).
#[derive(Debug, serde::Deserialize)]
struct Problem {
    title: String,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    blame: Option<String>,
    #[serde(default)]
    help: Option<String>,
}

impl Client {
    /// To the host that the command line names.
    pub(crate) fn new(common: &Common) -> Result<Self, Failure> {
        let token_file = common.token_file.clone().unwrap_or_else(|| common.dir.join("operator.token"));
        let token = std::fs::read_to_string(&token_file)
            .map(Zeroizing::new)
            .failed(Exit::Unreachable, format!("cannot read the operator's token in {}", token_file.display()))
            .map_err(|failure| failure.help("`keybaton init` writes one; `--token-file` names another"))?;
        let mut builder = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).no_proxy();
        let base = if let Some(host) = &common.host {
            let ca_file = common.dir.join("ca.pem");
            let pem = std::fs::read(&ca_file)
                .failed(Exit::Unreachable, format!("cannot read the host's CA in {}", ca_file.display()))?;
            let ca = reqwest::Certificate::from_pem(&pem).failed(Exit::Invalid, "the CA file holds no certificate")?;
            builder = builder.tls_certs_only([ca]).https_only(true);
            host.trim_end_matches('/').to_owned()
        } else {
            builder = builder.unix_socket(common.dir.join("keybaton.sock"));
            "http://keybaton".to_owned()
        };
        let http = builder.build().failed(Exit::Failed, "cannot set up the client")?;
        let authorization = bearer(token.trim()).failed(Exit::Invalid, "the token file holds no token")?;
        Ok(Self { http, base, authorization })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).header(AUTHORIZATION, self.authorization.clone())
    }

    /// Reads a resource.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.answer(self.request(Method::GET, path).timeout(ANSWER_TIMEOUT)).await
    }

    /// Removes a resource.
    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.answer(self.request(Method::DELETE, path).timeout(ANSWER_TIMEOUT)).await
    }

    /// Asks for something to be done.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.answer(self.request(Method::POST, path).timeout(ANSWER_TIMEOUT).json(body)).await
    }

    /// Sends a component, with its signature where it has one.
    pub(crate) async fn add_component<T: DeserializeOwned>(
        &self,
        component: Vec<u8>,
        signature: Option<&[u8]>,
    ) -> Result<T, Failure> {
        let mut request = self.request(Method::POST, "/v1/plugins").timeout(ANSWER_TIMEOUT);
        if let Some(signature) = signature {
            request = request.header("keybaton-signature", STANDARD.encode(signature));
        }
        self.answer(request.header("content-type", "application/wasm").body(component)).await
    }

    /// Sends bytes that are not JSON of ours (an import's body).
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        path: &str,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<T, Failure> {
        let request = self.request(Method::POST, path).timeout(ANSWER_TIMEOUT);
        self.answer(request.header("content-type", content_type).body(body)).await
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let response = self.checked(request).await?;
        let body = response.bytes().await.failed(Exit::Unreachable, "the host's answer broke off")?;
        let text: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(text)
            .failed(Exit::Failed, "the host's answer is not what this client knows")
            .map_err(|failure| failure.help("are host and client of the same version?"))
    }

    async fn checked(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let sent = request.send().await.failed(Exit::Unreachable, format!("cannot reach the host at {}", self.base));
        let response = sent.map_err(|failure| failure.help("is `keybaton serve` running on this installation?"))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.unwrap_or_default();
        Err(failure(status, &body))
    }

    /// Follows a stream of server-sent events; `each` answers whether to go on.
    pub(crate) async fn events(
        &self,
        path: &str,
        mut each: impl AsyncFnMut(&str, &str) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let response = self.checked(self.request(Method::GET, path).header("accept", "text/event-stream")).await?;
        let mut stream = response.bytes_stream();
        let (mut pending, mut name, mut data) = (Vec::new(), String::new(), String::new());
        while let Some(chunk) = stream.next().await {
            pending.extend_from_slice(&chunk.failed(Exit::Unreachable, "the stream of events broke off")?);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                let line = line.trim_end();
                if let Some(text) = line.strip_prefix("event:") {
                    name = text.trim().to_owned();
                } else if let Some(text) = line.strip_prefix("data:") {
                    data.push_str(text.trim_start());
                } else if line.is_empty() && !(name.is_empty() && data.is_empty()) {
                    if !each(&name, &data).await? {
                        return Ok(());
                    }
                    name.clear();
                    data.clear();
                }
            }
            if pending.len() > EVENT_LINE_LIMIT {
                return Err(Failure::new(Exit::Failed, "the host sends a line without an end").blame(Blame::Host));
            }
        }
        Ok(())
    }
}

/// The value of an `authorization` header.
fn bearer(token: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    const SCHEME: &[u8] = b"Bearer ";
    let mut text = Zeroizing::new(Vec::with_capacity(SCHEME.len() + token.len()));
    text.extend_from_slice(SCHEME);
    text.extend_from_slice(token.as_bytes());
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A problem document as a failure with the right exit code.
fn failure(status: StatusCode, body: &[u8]) -> Failure {
    let exit = match status {
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Exit::Refused,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::SERVICE_UNAVAILABLE => Exit::Unreachable,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::PAYLOAD_TOO_LARGE => Exit::Invalid,
        _ => Exit::Failed,
    };
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => {
            let mut failure = Failure::new(exit, problem.title);
            failure.causes.extend(problem.detail);
            failure.help = problem.help;
            failure.blame = problem.blame.as_deref().and_then(Blame::from_name);
            failure
        }
        Err(_) => Failure::new(exit, format!("the host answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_becomes_a_failure_with_its_exit_code() {
        let body = br#"{"title":"refused","detail":"a rotation is open","blame":"operator","help":"abandon it"}"#;
        for (status, exit) in [
            (StatusCode::CONFLICT, Exit::Refused),
            (StatusCode::NOT_FOUND, Exit::NotFound),
            (StatusCode::UNAUTHORIZED, Exit::Unreachable),
            (StatusCode::UNPROCESSABLE_ENTITY, Exit::Invalid),
            (StatusCode::INTERNAL_SERVER_ERROR, Exit::Failed),
        ] {
            let failure = failure(status, body);
            assert_eq!(failure.exit, exit, "{status}");
            assert_eq!(failure.blame, Some(Blame::Operator));
            assert_eq!(failure.help.as_deref(), Some("abandon it"));
        }
    }

    #[test]
    fn a_token_goes_out_in_a_header_that_nobody_prints() {
        let value = bearer("kb_0123456789abcdef_00").unwrap();
        assert_eq!(value.to_str().unwrap(), "Bearer kb_0123456789abcdef_00");
        assert!(!format!("{value:?}").contains("0123"), "{value:?}");
        assert!(bearer("kb_\n").is_err(), "a file with anything else in it is refused");
    }

    #[test]
    fn an_answer_that_is_no_problem_document_names_its_status() {
        assert!(failure(StatusCode::BAD_GATEWAY, b"<html>").what.contains("502"));
    }
}
