//! Handles to secrets that stay in the host, and the forms in which the host renders them. No secret bytes, ever.

use crate::host::Handle;
use std::borrow::Cow;
use std::fmt;

/// A handle to a secret that lives in the host.
///
/// A plugin can pass it on, and nothing else: it has no bytes, no length, no equality.
pub struct Secret(Handle);

impl Secret {
    pub(crate) fn from_handle(handle: Handle) -> Self {
        Self(handle)
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.0
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn into_handle(self) -> Handle {
        self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How the host renders a secret into a statement or a request. The vocabulary is the host's and open: one that it
/// does not know is denied with the list of those that it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    name: Cow<'static, str>,
    input: Vec<u8>,
}

impl Form {
    /// The bytes as they are.
    pub const RAW: Self = Self::constant("raw");
    /// Base64 with padding, RFC 4648 §4.
    pub const BASE64: Self = Self::constant("base64");
    /// Base64 for URLs without padding, RFC 4648 §5.
    pub const BASE64URL: Self = Self::constant("base64url");
    /// Hexadecimal, RFC 4648 §8, in lower case.
    pub const HEX: Self = Self::constant("hex");
    /// Percent-encoded, RFC 3986 §2.1.
    pub const URL: Self = Self::constant("url");
    /// The inside of a JSON string, RFC 8259 §7.
    pub const JSON_STRING: Self = Self::constant("json-string");
    /// A salted verifier as PostgreSQL stores it, RFC 5803.
    pub const SCRAM_SHA_256: Self = Self::constant("scram-sha-256");

    const fn constant(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), input: Vec::new() }
    }

    /// Any form of the host's vocabulary.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Cow::Owned(name.into()), input: Vec::new() }
    }

    /// HMAC-SHA-256 over `message` under the secret, RFC 2104, in base64.
    #[must_use]
    pub fn hmac_sha256_base64(message: impl Into<Vec<u8>>) -> Self {
        Self { name: Cow::Borrowed("hmac-sha256-base64"), input: message.into() }
    }

    /// The name in the host's vocabulary.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the form works on beside the secret; empty for most.
    #[must_use]
    pub fn input(&self) -> &[u8] {
        &self.input
    }
}

/// Collects the handles of one host call, each once, and numbers them.
#[derive(Debug, Default)]
pub(crate) struct Handles<'a>(Vec<&'a Secret>);

impl<'a> Handles<'a> {
    pub(crate) fn index(&mut self, secret: &'a Secret) -> u32 {
        let index = self.0.iter().position(|known| std::ptr::eq(*known, secret)).unwrap_or_else(|| {
            self.0.push(secret);
            self.0.len() - 1
        });
        u32::try_from(index).expect("a call has far fewer handles than fit a u32")
    }

    pub(crate) fn list(&self) -> &[&'a Secret] {
        &self.0
    }
}
