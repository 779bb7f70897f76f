//! An answer: read within limits, captures taken out, then scrubbed. What the guest gets holds no secret the host knows.

use super::locator::{self, First, Locator};
use super::pool::Prepared;
use crate::capabilities::address::Unresolved;
use crate::capabilities::{chain, tls};
use crate::limits;
use crate::record::{Clean, Yield};
use crate::refusal::Refusal;
use crate::scrub::{PLACEHOLDER, Scrubber};
use crate::secret::Held;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_protocol::fault::Blame;
use keybaton_protocol::ids::SealLabel;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zeroize::Zeroizing;

/// A captured secret shorter than this is none: it could not be scrubbed, and would be guessed.
const CAPTURE_BYTES: usize = 8;
/// Headers given to the guest.
const HEADERS: usize = 64;
/// Bytes of all headers given to the guest.
const HEADER_BYTES: usize = 16 << 10;

/// A capture of this request.
pub(super) struct Wanted {
    pub(super) locator: Locator,
    pub(super) required: bool,
    pub(super) label: SealLabel,
}

/// An answer as it is journalled and given to the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    body: String,
    /// Labels of the captured secrets, in the order of the captures.
    pub(super) captured: Vec<Option<String>>,
}

impl Answer {
    pub(super) fn body(&self) -> Result<Vec<u8>, base64::DecodeError> {
        STANDARD.decode(&self.body)
    }
}

impl Clean for Answer {
    fn clean(&mut self, scrubber: &mut Scrubber) {
        for (_, value) in &mut self.headers {
            *value = scrubber.text(value);
        }
        // What does not decode was never an answer's body; nothing of it may pass.
        self.body = self.body().map_or_else(|_| String::new(), |body| STANDARD.encode(scrubber.bytes(&body)));
    }
}

/// Sends the request and reads its answer.
pub(super) async fn exchange(prepared: Prepared, wanted: Vec<Wanted>, mutates: bool, within_ms: u64) -> Yield<Answer> {
    let Prepared { client, request, admin, _using, _slot } = prepared;
    let exchanging = async {
        let response = client.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = read(response).await?;
        Ok::<_, reqwest::Error>((status, headers, body))
    };
    match tokio::time::timeout(Duration::from_millis(within_ms), exchanging).await {
        Ok(Ok((status, headers, body))) => {
            // A refusal of the credential did nothing. If the admin's has been replaced, the next call takes the new one.
            if matches!(status, 401 | 403)
                && let Some((source, mark)) = &admin
                && source.refused(*mark).await
            {
                let what = format!("the server answered {status}: the admin credential has just been replaced");
                return Err(Refusal::retryable("connection.admin", what)).into();
            }
            if mutates && is_doubtful(status) {
                let what = format!("the server answered {status}, which does not tell whether it did it");
                return Err(Refusal::lost(&format!("http.status-{status}"), what)).into();
            }
            match body {
                Some(body) => answer(status, &headers, body, wanted, mutates),
                None => Err(unread(mutates)).into(),
            }
        }
        Ok(Err(error)) => Err(broken(&error, mutates)).into(),
        Err(_) if mutates => {
            Err(Refusal::lost("http.lost", format!("no answer within {within_ms} ms, after the request had left")))
                .into()
        }
        Err(_) => Err(Refusal::retryable("http.timeout", format!("no answer within {within_ms} ms"))).into(),
    }
}

/// Statuses of a mutating request that leave open whether it was carried out (RFC 9110 section 15.6): a server or
/// gateway failed somewhere on the way. 501, 503 and 505 say that it was not.
const fn is_doubtful(status: u16) -> bool {
    status >= 500 && !matches!(status, 501 | 503 | 505)
}

fn unread(mutates: bool) -> Refusal {
    let what = format!("the answer is longer than {} bytes", limits::REPLY_BYTES);
    if mutates {
        Refusal::lost("http.too-much", what)
    } else {
        Refusal::permanent(Blame::Target, "http.too-much", what)
    }
}

fn broken(error: &reqwest::Error, mutates: bool) -> Refusal {
    // The URL is in the transcript already; errors would repeat it.
    let text = chain(error);
    if let Some(forbidden) = forbidden(error) {
        return Refusal::denied("connection.address", forbidden);
    }
    if let Some(refusal) = tls::explained(error) {
        // The handshake failed, whichever side noticed: no request was read.
        refusal
    } else if error.is_connect() || error.is_builder() {
        Refusal::retryable("http.connect", text)
    } else if mutates {
        Refusal::lost("http.lost", format!("{text}, after the request had left"))
    } else {
        Refusal::retryable("http.connection", text)
    }
}

fn forbidden(error: &reqwest::Error) -> Option<String> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(Unresolved::Forbidden(forbidden)) = cause.downcast_ref::<Unresolved>() {
            return Some(forbidden.to_string());
        }
        source = cause.source();
    }
    None
}

/// The body, or nothing if it is too long.
async fn read(mut response: reqwest::Response) -> Result<Option<Zeroizing<Vec<u8>>>, reqwest::Error> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limits::REPLY_BYTES {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

fn answer(
    status: u16,
    headers: &HeaderMap,
    body: Zeroizing<Vec<u8>>,
    wanted: Vec<Wanted>,
    mutates: bool,
) -> Yield<Answer> {
    let mut json: Option<serde_json::Value> = if wanted.is_empty() { None } else { serde_json::from_slice(&body).ok() };
    let mut secrets: Vec<Held> = Vec::new();
    let mut captured = Vec::with_capacity(wanted.len());
    for want in wanted {
        let found = find(&want.locator, headers, json.as_mut()).and_then(|value| want.locator.follow(value));
        match found {
            Some(value) if value.len() < CAPTURE_BYTES => {
                return Yield {
                    answer: Err(unmatched(status, headers, mutates, "is too short to be a secret")),
                    secrets,
                };
            }
            Some(mut value) => {
                captured.push(Some(want.label.as_str().to_owned()));
                secrets.push(Held::new(SecretBytes::new(std::mem::take(&mut *value)), want.label, None));
            }
            None if want.required => {
                return Yield { answer: Err(unmatched(status, headers, mutates, "did not match")), secrets };
            }
            None => captured.push(None),
        }
    }
    let body = match json {
        Some(json) if !secrets.is_empty() => Zeroizing::new(json.to_string().into_bytes()),
        _ => body,
    };
    Yield { answer: Ok(Answer { status, headers: shown(headers), body: STANDARD.encode(&*body), captured }), secrets }
}

/// Takes the value out of the answer; a placeholder stays.
fn find(locator: &Locator, headers: &HeaderMap, json: Option<&mut serde_json::Value>) -> Option<Zeroizing<Vec<u8>>> {
    match &locator.first {
        First::Header(name) => headers.get(name).map(|value| Zeroizing::new(value.as_bytes().to_vec())),
        First::Json(pointer) => {
            let place = json?.pointer_mut(pointer)?;
            locator::text(std::mem::replace(place, PLACEHOLDER.into()))
        }
    }
}

/// A required capture that is not there: the body may hold the secret elsewhere, so nobody sees it. After a mutating
/// request that was accepted, a credential may be live that nobody holds: only an observation can tell.
fn unmatched(status: u16, headers: &HeaderMap, mutates: bool, how: &str) -> Refusal {
    let what = format!("the server answered {status}; a required capture {how}, so the body is withheld");
    let code = format!("http.status-{status}");
    match status {
        200..=299 if mutates => Refusal::lost("http.capture", what),
        200..=299 => Refusal::permanent(Blame::Target, "http.capture", what),
        408 | 425 | 429 | 503 => Refusal::retryable(&code, what).after_ms(retry_after_ms(headers)),
        _ => Refusal::permanent(Blame::Target, &code, what),
    }
}

/// `Retry-After` in seconds (RFC 9110 section 10.2.3); its date form is left to the step's own back-off.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.saturating_mul(1_000))
}

fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut bytes = 0;
    headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "set-cookie" | "authorization" | "www-authenticate"))
        .take(HEADERS)
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .take_while(|(name, value)| {
            bytes += name.len() + value.len();
            bytes <= HEADER_BYTES
        })
        .collect()
}
