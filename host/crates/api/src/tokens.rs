//! Bearer tokens and enrolment tokens: drawn, written, parsed and hashed. Keeps none, and logs none.
//!
//! A token carries 256 random bits, so a plain SHA-256 of it is stored: a slow password hash would add nothing but
//! load. `kb_` and `kbe_` are there so that scanners for leaked secrets can find one.

use crate::ca::Pin;
use aws_lc_rs::{digest, rand};
use keybaton_engine::ports::identities::TokenHash;
use std::fmt;
use zeroize::Zeroizing;

const BEARER: &str = "kb_";
const ENROLMENT: &str = "kbe_";
const ID_HEX: usize = 16;
const SECRET_BYTES: usize = 32;

/// Which of the two kinds of token a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// `kb_…`: identifies an operator or a consumer at each request.
    Bearer,
    /// `kbe_…`: exchanged once for a bearer token.
    Enrolment,
}

/// A token as its holder has it. Zeroized on drop; Debug shows the id alone.
pub struct Token {
    kind: TokenKind,
    id: String,
    /// On the heap, filled where it stays: what moves leaves copies on the stack, which nobody zeroizes.
    secret: Box<Zeroizing<[u8; SECRET_BYTES]>>,
}

impl Token {
    /// Draws a new one.
    ///
    /// # Errors
    /// The operating system gave no randomness.
    pub fn draw(kind: TokenKind) -> Result<Self, NoRandomness> {
        let mut id = [0; ID_HEX / 2];
        let mut secret = Box::new(Zeroizing::new([0; SECRET_BYTES]));
        rand::fill(&mut id).map_err(|_| NoRandomness)?;
        rand::fill(&mut **secret).map_err(|_| NoRandomness)?;
        Ok(Self { kind, id: to_hex(&id), secret })
    }

    /// Parses `kb_<id>_<secret>` or `kbe_<id>_<secret>`, with or without a pin behind it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = match text.strip_prefix(ENROLMENT) {
            Some(rest) => (TokenKind::Enrolment, rest),
            None => (TokenKind::Bearer, text.strip_prefix(BEARER)?),
        };
        let mut parts = rest.split('_');
        let (id, secret) = (parts.next()?, parts.next()?);
        let pinned = parts.next().is_none_or(|pin| kind == TokenKind::Enrolment && pin.parse::<Pin>().is_ok());
        if !pinned || parts.next().is_some() || id.len() != ID_HEX || !id.bytes().all(is_lower_hex) {
            return None;
        }
        let mut bytes = Box::new(Zeroizing::new([0; SECRET_BYTES]));
        from_hex_into(secret, &mut **bytes).then(|| Self { kind, id: id.to_owned(), secret: bytes })
    }

    /// Its public name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// What is stored of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, &**self.secret).as_ref());
        TokenHash(hash)
    }

    /// The token itself, for its holder alone: shown once, never stored.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let prefix = match self.kind {
            TokenKind::Bearer => BEARER,
            TokenKind::Enrolment => ENROLMENT,
        };
        let secret = Zeroizing::new(to_hex(&**self.secret));
        let mut text = Zeroizing::new(String::with_capacity(prefix.len() + ID_HEX + 1 + secret.len()));
        for part in [prefix, &self.id, "_", &secret] {
            text.push_str(part);
        }
        text
    }

    /// Token and the authority's pin in one string: what a consumer is given to enrol with.
    #[must_use]
    pub fn reveal_with_pin(&self, pin: Pin) -> Zeroizing<String> {
        let token = self.reveal();
        let pin = pin.to_string();
        let mut text = Zeroizing::new(String::with_capacity(token.len() + 1 + pin.len()));
        for part in [token.as_str(), "_", &pin] {
            text.push_str(part);
        }
        text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("kind", &self.kind).field("id", &self.id).finish_non_exhaustive()
    }
}

/// The operating system gave no randomness; nothing was made.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no randomness; nothing was made")]
pub struct NoRandomness;

fn is_lower_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    from_hex_into(text, &mut bytes).then_some(bytes)
}

/// Whether the text was as many lower-case digits as fill the bytes.
fn from_hex_into(text: &str, bytes: &mut [u8]) -> bool {
    if text.len() != bytes.len() * 2 || !text.bytes().all(is_lower_hex) {
        return false;
    }
    let digit = |byte: u8| if byte.is_ascii_digit() { byte - b'0' } else { byte - b'a' + 10 };
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = digit(pair[0]) << 4 | digit(pair[1]);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_its_text_says() {
        for kind in [TokenKind::Bearer, TokenKind::Enrolment] {
            let drawn = Token::draw(kind).unwrap();
            let back = Token::parse(&drawn.reveal()).unwrap();
            assert_eq!((back.kind(), back.id()), (kind, drawn.id()));
            assert!(back.hash().is(&drawn.hash()));
        }
    }

    #[test]
    fn a_pin_may_follow_an_enrolment_token_only() {
        let pin = Pin([7; 32]);
        let enrolment = Token::draw(TokenKind::Enrolment).unwrap().reveal_with_pin(pin);
        assert!(Token::parse(&enrolment).is_some());
        assert!(enrolment.ends_with(&pin.to_string()));
        let bearer = Token::draw(TokenKind::Bearer).unwrap().reveal_with_pin(pin);
        assert!(Token::parse(&bearer).is_none());
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = Token::draw(TokenKind::Bearer).unwrap().reveal().to_string();
        let cases = [
            String::new(),
            "kb_".to_owned(),
            "kb__".to_owned(),
            good.to_uppercase(),
            good[..good.len() - 1].to_owned(),
            format!("{good}0"),
            format!("{good}_"),
            format!("{good}_00"),
            good.replacen("kb_", "kc_", 1),
            good.replace('_', "-"),
            "kb_0123456789abcdeg_".to_owned() + &"0".repeat(64),
            "kb_é123456789abcdef_".to_owned() + &"0".repeat(64),
        ];
        for case in cases {
            assert!(Token::parse(&case).is_none(), "`{case}` was taken for a token");
        }
    }

    #[test]
    fn debug_shows_the_id_and_no_secret() {
        let token = Token::draw(TokenKind::Bearer).unwrap();
        let shown = format!("{token:?} {:?}", token.hash());
        assert!(shown.contains(token.id()));
        assert!(!shown.contains(&to_hex(&**token.secret)));
    }
}
