//! Taking over a credential: the one request that carries values towards the host. They are accepted and never
//! answered, zeroized on drop, and Debug does not show them.

use crate::sensitive::Draft;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// A value on its way in. There is no way to serialize one, save [`ImportRequest::to_body`].
pub struct WriteOnly(Zeroizing<Vec<u8>>);

impl WriteOnly {
    /// Takes the bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives the bytes to whoever seals them.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.0)
    }
}

impl fmt::Debug for WriteOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriteOnly(redacted)")
    }
}

impl<'de> Deserialize<'de> for WriteOnly {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let mut bytes = Zeroizing::new(Vec::with_capacity(base64::decoded_len_estimate(text.len())));
        // The decoder's own error would quote the offending byte.
        STANDARD
            .decode_vec(text.as_bytes(), &mut bytes)
            .map_err(|_| serde::de::Error::custom("a field's value is not base64"))?;
        Ok(Self(bytes))
    }
}

/// A credential that exists, to be taken over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// The target's own id of it, where it has one.
    #[serde(default)]
    pub id: Option<String>,
    /// The slot it is in, where the target has slots that are taken in turn.
    #[serde(default)]
    pub slot: Option<String>,
    /// Public fields, such as `username`.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Secret fields, base64; none with `unknown`.
    #[serde(default)]
    #[schema(write_only, value_type = BTreeMap<String, String>)]
    pub fields: BTreeMap<String, WriteOnly>,
    /// The value is not known: it can't be served, verified or put back.
    #[serde(default)]
    pub unknown: bool,
}

impl ImportRequest {
    /// The request as JSON, in memory that is zeroized on drop.
    #[must_use]
    pub fn to_body(&self) -> Zeroizing<Vec<u8>> {
        let mut draft = Draft::default();
        draft.text("{\"id\":").json(&self.id).text(",\"slot\":").json(&self.slot);
        draft.text(",\"attributes\":").json(&self.attributes);
        draft.text(",\"fields\":{");
        for (index, (name, value)) in self.fields.iter().enumerate() {
            draft.text(if index == 0 { "" } else { "," }).json(name).text(":").base64(&value.0);
        }
        draft.text("},\"unknown\":").json(&self.unknown).text("}");
        draft.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> ImportRequest {
        ImportRequest {
            id: Some("AKIA\"1".to_owned()),
            slot: Some("app_a".to_owned()),
            attributes: BTreeMap::from([("username".to_owned(), "app_a".to_owned())]),
            fields: BTreeMap::from([
                ("password".to_owned(), WriteOnly::new(b"hunter2\xff".to_vec())),
                ("second \"one\"".to_owned(), WriteOnly::new(Vec::new())),
            ]),
            unknown: false,
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let back: ImportRequest = serde_json::from_slice(&sample().to_body()).unwrap();
        assert_eq!((back.id, back.slot, back.attributes), (sample().id, sample().slot, sample().attributes));
        let fields: Vec<_> = back.fields.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        let expected: Vec<_> = sample().fields.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        assert_eq!(fields, expected);
    }

    #[test]
    fn debug_shows_no_value() {
        let shown = format!("{:?}", sample());
        assert!(shown.contains("password") && !shown.contains("hunter2") && !shown.contains("104"), "{shown}");
    }

    #[test]
    fn a_value_that_is_no_base64_is_refused_without_being_quoted() {
        let error = serde_json::from_str::<ImportRequest>(r#"{"fields":{"password":"hunter2!"}}"#).unwrap_err();
        assert!(!error.to_string().contains("hunter2") && !error.to_string().contains('!'), "{error}");
    }
}
