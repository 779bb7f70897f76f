//! Tokens within requests and answers: no Clone, no Display, no Serialize; zeroized on drop. An answer that shows one
//! writes itself, once and when it is told to: see `reveal` of each.

use crate::sensitive::Draft;
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// A token's text, for its holder alone.
pub struct TokenText(Zeroizing<String>);

impl TokenText {
    /// Takes the text.
    #[must_use]
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The text, for whoever shows it to its holder, or is to look whether it is good.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(redacted)")
    }
}

impl<'de> Deserialize<'de> for TokenText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

/// Takes text that stands in the received buffer as it is: what had to be unescaped was copied by the parser, who does
/// not zeroize, and is no token. What is refused is not quoted.
struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = TokenText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<TokenText, E> {
        Ok(TokenText(Zeroizing::new(text.to_owned())))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<TokenText, E> {
        Err(E::custom("a token has no escapes"))
    }
}

/// A right to enrol, with its token: shown once, to the operator who made it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct EnrolmentGrant {
    /// As whom.
    pub consumer: String,
    /// Names it, for `enrolments` and for withdrawing it.
    pub id: String,
    /// `kbe_<id>_<secret>_<pin>`: the single-use token and the pin of the host's authority.
    #[schema(value_type = String)]
    pub token: TokenText,
    /// Until when it may be used.
    pub expires_at: u64,
}

/// An operator with its token: shown once.
#[derive(Debug, Deserialize, ToSchema)]
pub struct OperatorGrant {
    /// Its name.
    pub name: String,
    /// The public part of the token.
    pub id: String,
    /// `kb_<id>_<secret>`.
    #[schema(value_type = String)]
    pub token: TokenText,
    /// Until when it may be used, if it ends.
    pub expires_at: Option<u64>,
}

/// An enrolment token is exchanged.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// As it was given, with or without the pin.
    #[schema(value_type = String)]
    pub token: TokenText,
}

/// An identity, for its holder alone. Spans rather than instants: the holder's clock may differ.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Enrolled {
    /// `namespace/name`.
    pub consumer: String,
    /// The bearer token.
    #[schema(value_type = String)]
    pub token: TokenText,
    /// It ends after this long.
    pub expires_in_s: u64,
    /// It should be renewed after this long.
    pub renew_in_s: u64,
}

impl EnrolmentGrant {
    /// The answer as JSON with the token in it, in memory that is zeroized: for its one reader.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<Vec<u8>> {
        let Self { consumer, id, token, expires_at } = self;
        document(token, &[("consumer", consumer), ("id", id), ("expires_at", expires_at)])
    }
}

impl OperatorGrant {
    /// The answer as JSON with the token in it, in memory that is zeroized: for its one reader.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<Vec<u8>> {
        let Self { name, id, token, expires_at } = self;
        document(token, &[("name", name), ("id", id), ("expires_at", expires_at)])
    }
}

impl Enrolled {
    /// The answer as JSON with the token in it, in memory that is zeroized: for its one reader.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<Vec<u8>> {
        let Self { consumer, token, expires_in_s, renew_in_s } = self;
        document(token, &[("consumer", consumer), ("expires_in_s", expires_in_s), ("renew_in_s", renew_in_s)])
    }
}

fn document(token: &TokenText, public: &[(&str, &dyn Public)]) -> Zeroizing<Vec<u8>> {
    let mut draft = Draft::default();
    draft.text("{\"token\":").quoted(token.expose());
    for (name, value) in public {
        draft.text(",").json(name).text(":");
        value.write(&mut draft);
    }
    draft.text("}").finish()
}

/// A member that anybody may read.
trait Public {
    fn write(&self, draft: &mut Draft<'_>);
}

impl<T: Serialize> Public for T {
    fn write(&self, draft: &mut Draft<'_>) {
        draft.json(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;

    const TOKEN: &str = "kb_0123456789abcdef_00ff";

    fn token() -> TokenText {
        TokenText::new(Zeroizing::new(TOKEN.to_owned()))
    }

    fn read_back<T: DeserializeOwned>(document: &[u8]) -> T {
        let text = std::str::from_utf8(document).unwrap();
        serde_json::from_slice(document).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[test]
    fn what_is_revealed_reads_back_and_nothing_else_shows_the_token() {
        let enrolment =
            EnrolmentGrant { consumer: "a/b".to_owned(), id: "1".to_owned(), token: token(), expires_at: 7 };
        let operator =
            |expires_at| OperatorGrant { name: "quo\"te".to_owned(), id: "2".to_owned(), token: token(), expires_at };
        let enrolled = Enrolled { consumer: "a/b".to_owned(), token: token(), expires_in_s: 9, renew_in_s: 3 };
        let back: EnrolmentGrant = read_back(&enrolment.reveal());
        assert_eq!((back.consumer.as_str(), back.id.as_str(), back.expires_at), ("a/b", "1", 7));
        assert_eq!(back.token.expose(), TOKEN);
        for ends in [None, Some(8)] {
            let back: OperatorGrant = read_back(&operator(ends).reveal());
            assert_eq!((back.name.as_str(), back.id.as_str(), back.expires_at), ("quo\"te", "2", ends));
            assert_eq!(back.token.expose(), TOKEN);
        }
        let back: Enrolled = read_back(&enrolled.reveal());
        assert_eq!((back.consumer.as_str(), back.expires_in_s, back.renew_in_s), ("a/b", 9, 3));
        assert_eq!(back.token.expose(), TOKEN);
        let shown = format!("{enrolment:?} {:?} {enrolled:?} {:?}", operator(None), EnrolRequest { token: token() });
        assert_eq!(shown.matches("redacted").count(), 4, "{shown}");
        assert!(!shown.contains(TOKEN), "{shown}");
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_quoted() {
        for body in ["{\"token\":\"kb_\\u0030123\"}", "{\"token\":[\"kb_0123\"]}", "{\"token\":\"kb_0123}"] {
            let error = serde_json::from_str::<EnrolRequest>(body).unwrap_err().to_string();
            assert!(!error.contains("123"), "{body}: {error}");
        }
        assert!(serde_json::from_str::<EnrolRequest>("{\"token\":\"kb_0123\"}").is_ok());
    }
}
