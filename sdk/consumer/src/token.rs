//! Tokens as a workload holds them: the one it enrols with, and the one it is known by. No Clone, no Display, no
//! Serialize; zeroized on drop. What leaves is a header or a body that was asked for by name, zeroized with its last user.

use crate::Error;
use crate::pin::Pin;
use bytes::Bytes;
use reqwest::header::HeaderValue;
use std::fmt;
use zeroize::Zeroizing;

/// A token's text.
pub(crate) struct Token(Zeroizing<String>);

impl Token {
    pub(crate) fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The text, for the request or the file that is to carry it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// The value of an `authorization` header, marked so that nobody prints it.
    pub(crate) fn authorization(&self) -> Result<HeaderValue, Error> {
        const SCHEME: &[u8] = b"Bearer ";
        let mut text = Zeroizing::new(Vec::with_capacity(SCHEME.len() + self.0.len()));
        text.extend_from_slice(SCHEME);
        text.extend_from_slice(self.0.as_bytes());
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).map_err(|_| Error::Token)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// What `keybaton consumer enrol` printed: a single-use token and the pin of the host's authority.
pub(crate) struct EnrolmentToken {
    pub(crate) token: Token,
    pub(crate) pin: Pin,
}

impl EnrolmentToken {
    /// `kbe_<id>_<secret>_<pin>`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let (token, pin) = text.rsplit_once('_').ok_or(Error::Token)?;
        let shaped = token.strip_prefix("kbe_").is_some_and(|rest| rest.split('_').count() == 2);
        let pin = Pin::parse(pin).filter(|_| shaped).ok_or(Error::Token)?;
        Ok(Self { token: Token::new(token), pin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_without_its_pin_is_refused() {
        let pin = "0".repeat(64);
        assert!(EnrolmentToken::parse(&format!(" kbe_0123456789abcdef_aa_{pin}\n")).is_ok());
        for bad in
            ["", "kbe_", "kbe_a_b", &format!("kb_a_b_{pin}"), &format!("kbe_a_{pin}"), &format!("kbe_a_b_c_{pin}")]
        {
            assert!(EnrolmentToken::parse(bad).is_err(), "`{bad}` was taken");
        }
    }

    #[test]
    fn a_token_goes_out_in_a_header_and_nowhere_else() {
        let token = Token::new("kb_0123456789abcdef_00");
        let value = token.authorization().unwrap();
        assert_eq!(value.to_str().unwrap(), "Bearer kb_0123456789abcdef_00");
        let shown = format!("{token:?} {value:?}");
        assert!(!shown.contains("0123"), "{shown}");
        assert!(Token::new("kb_\n").authorization().is_err(), "a header cannot carry it");
    }
}
