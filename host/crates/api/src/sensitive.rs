//! JSON that carries secret values, written into one buffer of exactly the right size and zeroized with it.
//!
//! Serde's writer grows its buffer and leaves freed copies behind; this one measures first. Beyond the buffer the bytes
//! are the TLS library's, which encrypts them in place. Never formats, logs or clones a value.

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use zeroize::Zeroizing;

enum Piece<'a> {
    Text(String),
    Secret(&'a [u8]),
    Quoted(&'a str),
}

/// A JSON document in pieces, some of them secret.
#[derive(Default)]
pub(crate) struct Draft<'a> {
    pieces: Vec<Piece<'a>>,
}

impl<'a> Draft<'a> {
    /// Adds JSON syntax, word for word.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.pieces.push(Piece::Text(text.to_owned()));
        self
    }

    /// Adds a public value.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> &mut Self {
        // Only maps with keys that are no text can fail, and none is given.
        let text = serde_json::to_string(value).expect("public values of this API are plain JSON");
        self.pieces.push(Piece::Text(text));
        self
    }

    /// Adds secret bytes as a base64 string.
    pub(crate) fn base64(&mut self, secret: &'a [u8]) -> &mut Self {
        self.pieces.push(Piece::Secret(secret));
        self
    }

    /// Adds secret text that needs no escapes (a token) as a string.
    pub(crate) fn quoted(&mut self, secret: &'a str) -> &mut Self {
        let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        debug_assert!(secret.bytes().all(plain), "needs escapes");
        self.pieces.push(Piece::Quoted(secret));
        self
    }

    /// Writes it all, once.
    #[must_use]
    pub(crate) fn finish(&self) -> Zeroizing<Vec<u8>> {
        let length = self.pieces.iter().map(Piece::length).sum();
        let mut out = Zeroizing::new(vec![0; length]);
        let mut at = 0;
        for piece in &self.pieces {
            at += piece.write(&mut out[at..]);
        }
        debug_assert_eq!(at, length, "the measure and the writing disagree");
        out
    }
}

impl Piece<'_> {
    fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Secret(bytes) => encoded_length(bytes) + 2,
            Self::Quoted(text) => text.len() + 2,
        }
    }

    fn write(&self, out: &mut [u8]) -> usize {
        match self {
            Self::Text(text) => {
                out[..text.len()].copy_from_slice(text.as_bytes());
                text.len()
            }
            Self::Secret(bytes) => {
                let end = encoded_length(bytes) + 1;
                out[0] = b'"';
                out[end] = b'"';
                STANDARD.encode_slice(bytes, &mut out[1..end]).expect("the slice has the encoded length");
                end + 1
            }
            Self::Quoted(text) => {
                let end = text.len() + 1;
                out[0] = b'"';
                out[1..end].copy_from_slice(text.as_bytes());
                out[end] = b'"';
                end + 1
            }
        }
    }
}

fn encoded_length(bytes: &[u8]) -> usize {
    base64::encoded_len(bytes.len(), true).expect("a credential is far smaller than memory")
}

/// Answers a finished document; nobody on the way may keep it.
#[must_use]
pub(crate) fn answer(document: Zeroizing<Vec<u8>>) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")];
    (headers, Body::from(Bytes::from_owner(Owned(document)))).into_response()
}

struct Owned(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_the_json_it_says() {
        for secret in [&b""[..], b"a", b"ab", b"abc", &[0xff; 100]] {
            let mut draft = Draft::default();
            draft.text("{\"name\":").json(&"quo\"te").text(",\"value\":").base64(secret).text("}");
            let document = draft.finish();
            assert_eq!(document.len(), document.capacity(), "the buffer would have grown");
            let value: serde_json::Value = serde_json::from_slice(&document).unwrap();
            assert_eq!(value["name"], "quo\"te");
            assert_eq!(STANDARD.decode(value["value"].as_str().unwrap()).unwrap(), secret);
        }
    }
}
