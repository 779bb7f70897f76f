//! Requests to endpoints of the manifest, at the origin of a connection of the host's.

use crate::failure::{Failure, Result};
use crate::host;
use crate::identity::{Identity, WireIdentity};
use crate::secret::{Form, Handles, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One request. The host adds the origin and the login, and refuses what the manifest and the connection do not list.
///
/// ```no_run
/// use keybaton_rotator::{Identity, http::Request};
/// # fn f() -> keybaton_rotator::Result<()> {
/// let reply = Request::new("hub", "POST", "/hub/api/users/app/tokens")
///     .json(&serde_json::json!({ "note": "made by keybaton" }))
///     .capture("json:/token")
///     .send(Identity::Admin)?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Request<'a> {
    connection: &'a str,
    method: &'a str,
    path: String,
    headers: Vec<(String, Vec<Part<'a>>)>,
    body: Vec<Part<'a>>,
    captures: Vec<Capture>,
    timeout_ms: Option<u32>,
}

/// A piece of a body or a header.
#[derive(Debug)]
pub enum Part<'a> {
    /// Text as it is.
    Text(String),
    /// Bytes as they are.
    Bytes(Vec<u8>),
    /// A secret, rendered by the host in this form.
    Secret(&'a Secret, Form),
}

impl<'a> Request<'a> {
    /// A request to `path` (with its query, percent-encoded) of the connection of this name.
    #[must_use]
    pub fn new(connection: &'a str, method: &'a str, path: impl Into<String>) -> Self {
        Self {
            connection,
            method,
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
            captures: Vec::new(),
            timeout_ms: None,
        }
    }

    /// A header. `host`, `authorization`, `cookie` and `content-length` are the host's.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), vec![Part::Text(value.into())]));
        self
    }

    /// A JSON body, with its content type.
    ///
    /// # Panics
    ///
    /// Where `body` cannot be written as JSON (a map with keys that are no text): the plugin's own mistake.
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(self, body: &T) -> Self {
        let text = serde_json::to_string(body).expect("a request body has text keys");
        self.header("content-type", "application/json").part(Part::Text(text))
    }

    /// One more piece of the body.
    #[must_use]
    pub fn part(mut self, part: Part<'a>) -> Self {
        self.body.push(part);
        self
    }

    /// Takes a secret out of the answer before the plugin sees it. Where `locator` (`json:/token`, `header:x-token`)
    /// does not match, the call fails and the body is withheld. Each must be listed at the endpoint in the manifest.
    #[must_use]
    pub fn capture(mut self, locator: impl Into<String>) -> Self {
        self.captures.push(Capture { locator: locator.into(), required: true });
        self
    }

    /// Like [`capture`](Self::capture), for a secret that is not always there.
    #[must_use]
    pub fn capture_optional(mut self, locator: impl Into<String>) -> Self {
        self.captures.push(Capture { locator: locator.into(), required: false });
        self
    }

    /// Gives up after this many milliseconds; the host's own time-out, if it is shorter, comes first.
    #[must_use]
    pub fn timeout_ms(mut self, timeout_ms: u32) -> Self {
        self.timeout_ms = Some(timeout_ms);
        self
    }

    /// Sends it. Any status is an answer, and a redirect is not followed.
    ///
    /// # Errors
    ///
    /// As the host says it: `denied` names what is missing in the manifest, the grant or the connection; `ambiguous`
    /// means that it left and no answer came.
    pub fn send(self, acting: Identity<'a>) -> Result<Reply> {
        let mut handles = Handles::default();
        let request = WireRequest {
            acting: acting.wire(&mut handles),
            headers: self.headers.into_iter().map(|(name, parts)| (name, wire(parts, &mut handles))).collect(),
            body: wire(self.body, &mut handles),
            connection: self.connection.to_owned(),
            method: self.method.to_owned(),
            path: self.path,
            captures: self.captures,
            timeout_ms: self.timeout_ms,
        };
        host::http_send(&request, handles.list())
    }
}

fn wire<'a>(parts: Vec<Part<'a>>, handles: &mut Handles<'a>) -> Vec<WirePart> {
    let one = |part| match part {
        Part::Text(text) => WirePart::Text(text),
        Part::Bytes(bytes) => WirePart::Bytes(bytes),
        Part::Secret(secret, form) => WirePart::Secret { index: handles.index(secret), form },
    };
    parts.into_iter().map(one).collect()
}

/// A request as the contract spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WireRequest {
    pub(crate) connection: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, Vec<WirePart>)>,
    pub(crate) body: Vec<WirePart>,
    pub(crate) acting: WireIdentity,
    pub(crate) captures: Vec<Capture>,
    pub(crate) timeout_ms: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WirePart {
    Text(String),
    Bytes(Vec<u8>),
    Secret { index: u32, form: Form },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Capture {
    pub(crate) locator: String,
    pub(crate) required: bool,
}

/// What was answered, with the captured secrets taken out.
#[derive(Debug, Default)]
pub struct Reply {
    /// The status, RFC 9110 §15.
    pub status: u16,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body; placeholders stand where secrets were captured.
    pub body: Vec<u8>,
    /// One for each capture, in order; `None` for an optional one that did not match.
    pub captured: Vec<Option<Secret>>,
}

impl Reply {
    /// The value of the first header of this (lower-case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// `permanent`, where the body is no JSON or not of this shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let message = format!("the answer (status {}) is not the JSON that was expected: {error}", self.status);
            Failure::permanent("http.unexpected-body", message)
        })
    }

    /// Takes the secret of the capture at this position, counted from 0.
    ///
    /// # Errors
    ///
    /// `permanent`, where there is none: it was optional and did not match, or it was taken before.
    pub fn take(&mut self, capture: usize) -> Result<Secret> {
        self.captured.get_mut(capture).and_then(Option::take).ok_or_else(|| {
            Failure::permanent("http.nothing-captured", format!("the answer yielded no secret for capture {capture}"))
        })
    }

    /// How long the target asks to wait, in milliseconds: `retry-after` in seconds, RFC 9110 §10.2.3.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u32> {
        self.header("retry-after")?.trim().parse::<u32>().ok()?.checked_mul(1000)
    }
}

/// Percent-encodes one segment of a path: everything but the unreserved characters of RFC 3986 §2.3.
#[must_use]
pub fn segment(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let [high, low] = [byte >> 4, byte & 15].map(|nibble| char::from(HEX[usize::from(nibble)]));
            out.extend(['%', high, low]);
        }
    }
    out
}
