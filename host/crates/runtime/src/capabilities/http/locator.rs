//! Where in an answer a secret is: chained open text such as `json:/privateKeyData | base64 | json:/private_key`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// Steps of one locator.
const STEPS: usize = 6;

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum First {
    /// A JSON pointer (RFC 6901) into the body.
    Json(String),
    /// A header, in lower case.
    Header(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Then {
    Base64,
    Base64Url,
    Json(String),
}

/// A parsed locator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Locator {
    pub(crate) first: First,
    then: Vec<Then>,
}

impl Locator {
    /// Reads a locator.
    ///
    /// # Errors
    /// What is wrong, with the list of steps there are.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut steps = text.split('|').map(str::trim);
        let first = match steps.next().unwrap_or_default() {
            step if step.starts_with("json:") => First::Json(pointer(step)?),
            step => match step.strip_prefix("header:") {
                Some(name) if !name.is_empty() => First::Header(name.to_ascii_lowercase()),
                _ => return Err(unknown(text, "begins with json:/POINTER or header:NAME")),
            },
        };
        let then = steps
            .map(|step| match step {
                "base64" => Ok(Then::Base64),
                "base64url" => Ok(Then::Base64Url),
                step if step.starts_with("json:") => pointer(step).map(Then::Json),
                _ => Err(unknown(text, "goes on with base64, base64url or json:/POINTER")),
            })
            .collect::<Result<Vec<_>, _>>()?;
        if then.len() > STEPS {
            return Err(unknown(text, "has at most 6 steps after the first"));
        }
        Ok(Self { first, then })
    }

    /// What the later steps make of what the first one found.
    pub(crate) fn follow(&self, mut value: Zeroizing<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
        for step in &self.then {
            value = match step {
                Then::Base64 => Zeroizing::new(STANDARD.decode(value.as_slice()).ok()?),
                Then::Base64Url => Zeroizing::new(URL_SAFE_NO_PAD.decode(value.trim_ascii_end()).ok()?),
                Then::Json(pointer) => {
                    let mut json: serde_json::Value = serde_json::from_slice(&value).ok()?;
                    text(json.pointer_mut(pointer)?.take())?
                }
            };
        }
        Some(value)
    }
}

/// A JSON value as the bytes of a secret: a text as it is, an object or array as JSON; nothing else can be one.
pub(crate) fn text(value: serde_json::Value) -> Option<Zeroizing<Vec<u8>>> {
    match value {
        serde_json::Value::String(text) => Some(Zeroizing::new(text.into_bytes())),
        value @ (serde_json::Value::Object(_) | serde_json::Value::Array(_)) => {
            Some(Zeroizing::new(value.to_string().into_bytes()))
        }
        _ => None,
    }
}

fn pointer(step: &str) -> Result<String, String> {
    let pointer = step.strip_prefix("json:").unwrap_or_default();
    if pointer.is_empty() || pointer.starts_with('/') {
        Ok(pointer.to_owned())
    } else {
        Err(unknown(step, "has a JSON pointer, which begins with /"))
    }
}

fn unknown(text: &str, rule: &str) -> String {
    format!("`{}` is no locator: one {rule}", crate::limits::cut(text, 120).escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_followed_to_its_end() {
        let inner = serde_json::json!({ "private_key": "-----BEGIN" }).to_string();
        for (locator, found, expected) in [
            ("json:/token", "abc", Some("abc")),
            ("json:/k | base64", "YWJj", Some("abc")),
            ("json:/k | base64url", "YT8-", Some("a?>")),
            ("json:/privateKeyData | base64 | json:/private_key", &STANDARD.encode(&inner), Some("-----BEGIN")),
            ("json:/privateKeyData | base64 | json:/other", &STANDARD.encode(&inner), None),
            ("json:/k | base64", "not base64!", None),
            ("header:X-Token|base64", "YWJj", Some("abc")),
        ] {
            let locator = Locator::parse(locator).unwrap();
            let got = locator.follow(Zeroizing::new(found.as_bytes().to_vec()));
            assert_eq!(got.as_deref().map(Vec::as_slice), expected.map(str::as_bytes), "{locator:?}");
        }
    }

    #[test]
    fn what_is_no_locator_says_why() {
        for (text, expected) in [
            ("token", "begins with json:/POINTER"),
            ("json:token", "begins with /"),
            ("header:", "begins with"),
            ("json:/a | gzip", "goes on with base64"),
            ("json:/a|base64|base64|base64|base64|base64|base64|base64", "at most 6"),
        ] {
            let problem = Locator::parse(text).unwrap_err();
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }
}
