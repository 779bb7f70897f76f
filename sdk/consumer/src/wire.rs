//! What goes over the wire. Values are decoded straight from the received, zeroized buffer; the types that hold them
//! cannot be serialized or printed.

use crate::Error;
use crate::credential::Credential;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use zeroize::Zeroizing;

/// What may be held now, and what the host waits for.
pub(crate) struct Delivery {
    pub(crate) generations: Vec<Delivered>,
    pub(crate) asks: Vec<Ask>,
    /// How long a pending generation may be held without another fetch.
    pub(crate) staged_lease_ms: Option<u64>,
    /// How long the host had waited when it gave the lease.
    pub(crate) waited_ms: u64,
}

/// What a replica knows already when it waits for news, and how long it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) holds: Vec<u32>,
    pub(crate) uses: Option<u32>,
    pub(crate) at_most: Duration,
}

/// One generation.
pub(crate) struct Delivered {
    pub(crate) pending: bool,
    pub(crate) use_now: bool,
    /// Whether the target accepts it already; `None` where the host does not say.
    pub(crate) live: Option<bool>,
    pub(crate) credential: Credential,
}

/// A statement that the host waits for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Ask {
    pub(crate) purpose: String,
    pub(crate) generation: u32,
    pub(crate) rotation: String,
}

impl Ask {
    /// Whether it asks for a generation to be held no longer.
    pub(crate) fn gives_back(&self) -> bool {
        matches!(self.purpose.as_str(), "released" | "dropped")
    }
}

#[derive(Deserialize)]
struct DeliveryText<'a> {
    #[serde(borrow)]
    generations: Vec<DeliveredText<'a>>,
    asks: Vec<Ask>,
    #[serde(default)]
    staged_lease_ms: Option<u64>,
    #[serde(default)]
    waited_ms: u64,
}

#[derive(Deserialize)]
struct DeliveredText<'a> {
    generation: u32,
    role: String,
    use_now: bool,
    #[serde(default)]
    live: Option<bool>,
    attributes: BTreeMap<String, String>,
    // Base64 needs no escapes, so every value is a piece of the buffer, never a copy.
    #[serde(borrow)]
    fields: BTreeMap<String, &'a str>,
    #[serde(borrow)]
    salt: &'a str,
}

impl Delivery {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Error> {
        let text: DeliveryText<'_> = serde_json::from_slice(body).map_err(|_| Error::Answer("a delivery"))?;
        let generations = text.generations.into_iter().map(DeliveredText::decode).collect::<Result<_, _>>()?;
        let DeliveryText { asks, staged_lease_ms, waited_ms, .. } = text;
        Ok(Self { generations, asks, staged_lease_ms, waited_ms })
    }
}

impl DeliveredText<'_> {
    fn decode(self) -> Result<Delivered, Error> {
        let fields = self.fields.into_iter().map(|(name, value)| Ok((name, decode(value)?)));
        let fields = fields.collect::<Result<BTreeMap<_, _>, Error>>()?;
        let credential = Credential::new(self.generation, self.attributes, fields, decode(self.salt)?);
        Ok(Delivered { pending: self.role == "pending", use_now: self.use_now, live: self.live, credential })
    }
}

fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(base64::decoded_len_estimate(text.len())));
    STANDARD.decode_vec(text, &mut bytes).map_err(|_| Error::Answer("a value is not base64"))?;
    Ok(bytes)
}

/// Carries a token, and is written into zeroized memory alone.
#[derive(Serialize)]
pub(crate) struct EnrolRequest<'a> {
    pub(crate) token: &'a str,
}

#[derive(Deserialize)]
pub(crate) struct Enrolled<'a> {
    pub(crate) consumer: String,
    #[serde(borrow)]
    pub(crate) token: &'a str,
    pub(crate) renew_in_s: u64,
}

#[derive(Serialize, Clone, Copy)]
pub(crate) struct Challenge<'a> {
    pub(crate) secret: &'a str,
    pub(crate) replica: &'a str,
    pub(crate) incarnation: &'a str,
    pub(crate) rotation: &'a str,
    pub(crate) generation: u32,
    pub(crate) purpose: &'a str,
}

#[derive(Deserialize)]
pub(crate) struct Challenged {
    pub(crate) nonce: String,
    pub(crate) epoch: u32,
}

#[derive(Serialize)]
pub(crate) struct Acknowledge<'a> {
    #[serde(flatten)]
    pub(crate) challenge: Challenge<'a>,
    pub(crate) nonce: &'a str,
    pub(crate) proof: &'a str,
    pub(crate) evidence: &'a str,
    pub(crate) reason: &'a str,
}

#[derive(Deserialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) detail: String,
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Changed {
    pub(crate) secret: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"secret":"payments/db","epoch":1,"seq":9,"generations":[
        {"generation":2,"role":"pending","use_now":false,"attributes":{"username":"b"},
         "fields":{"password":"cGFzcw=="},"salt":"AAAA"},
        {"generation":1,"role":"current","use_now":true,"attributes":{},"fields":{},"salt":""}],
        "asks":[{"purpose":"ready","generation":2,"rotation":"r","patience_ms":null}]}"#;

    #[test]
    fn a_delivery_is_read() {
        let delivery = Delivery::parse(BODY.as_bytes()).unwrap();
        let first = &delivery.generations[0];
        assert_eq!(first.credential.secret("password"), Some(&b"pass"[..]));
        assert_eq!(first.credential.attribute("username"), Some("b"));
        assert_eq!((first.use_now, delivery.generations[1].use_now), (false, true));
        assert_eq!(delivery.asks[0].purpose, "ready");
    }

    #[test]
    fn what_is_no_delivery_is_refused_without_being_quoted() {
        for bad in ["", "{}", "[]", &BODY.replace("cGFzcw==", "c*"), &BODY.replace("\"seq\":9", "\"seq\":")] {
            let error = Delivery::parse(bad.as_bytes()).err().unwrap();
            assert!(!error.to_string().contains("cGFz"), "{error}");
        }
    }
}
