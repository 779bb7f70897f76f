//! Proof of possession, from its description alone: an HMAC under a key derived from the credential's secret fields.
//!
//! `u32` is big-endian; every part of a sequence is preceded by its length as `u32`.
//!
//! ```text
//! fields  = u32(number of secret fields), then by name in ascending byte order: part(name) part(value)
//! key     = HKDF-SHA-256(salt, fields, info = "keybaton-proof-v1", 32 bytes)              RFC 5869
//! message = part("keybaton-proof-v1") part(u32 epoch) part(purpose) part(rotation) part(consumer, no namespace)
//!           part(replica) part(incarnation) part(u32 generation) part(nonce)
//! proof   = HMAC-SHA-256(key, message)                                                    RFC 2104
//! ```

use aws_lc_rs::{hkdf, hmac};
use zeroize::Zeroizing;

const DOMAIN: &[u8] = b"keybaton-proof-v1";

/// What a proof binds to.
pub(crate) struct Statement<'a> {
    pub(crate) epoch: u32,
    pub(crate) purpose: &'a str,
    pub(crate) rotation: &'a str,
    pub(crate) consumer: &'a str,
    pub(crate) replica: &'a str,
    pub(crate) incarnation: &'a str,
    pub(crate) generation: u32,
    pub(crate) nonce: &'a [u8],
}

/// The proof that whoever computes it holds these fields. `fields` in any order.
pub(crate) fn prove(fields: &[(&str, &[u8])], salt: &[u8], statement: &Statement<'_>) -> [u8; 32] {
    let encoded = encode(fields);
    let key: hmac::Key = hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(&encoded)
        .expand(&[DOMAIN], hmac::HMAC_SHA256)
        .expect("32 bytes are within HKDF's limit")
        .into();
    let mut proof = [0; 32];
    proof.copy_from_slice(hmac::sign(&key, &message(statement)).as_ref());
    proof
}

fn encode(fields: &[(&str, &[u8])]) -> Zeroizing<Vec<u8>> {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    let size: usize = sorted.iter().map(|(name, value)| 8 + name.len() + value.len()).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(4 + size));
    out.extend_from_slice(&length(sorted.len()));
    for (name, value) in sorted {
        part(&mut out, name.as_bytes());
        part(&mut out, value);
    }
    out
}

fn message(statement: &Statement<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    part(&mut out, DOMAIN);
    part(&mut out, &statement.epoch.to_be_bytes());
    for text in [statement.purpose, statement.rotation, statement.consumer, statement.replica, statement.incarnation] {
        part(&mut out, text.as_bytes());
    }
    part(&mut out, &statement.generation.to_be_bytes());
    part(&mut out, statement.nonce);
    out
}

fn part(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length(bytes.len()));
    out.extend_from_slice(bytes);
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn hex(value: &Value) -> Vec<u8> {
        let text = value.as_str().unwrap();
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// The host's own vectors, which a third implementation computed.
    #[test]
    fn a_proof_is_what_the_hosts_vectors_say() {
        let vectors = include_str!("../../../host/crates/engine/tests/proof-vectors.json");
        let vectors: Vec<Value> = serde_json::from_str(vectors).unwrap();
        assert!(vectors.len() > 1);
        for vector in &vectors {
            let text = |name: &str| vector[name].as_str().unwrap();
            let number = |name: &str| u32::try_from(vector[name].as_u64().unwrap()).unwrap();
            let fields: Vec<_> =
                vector["fields"].as_object().unwrap().iter().map(|(name, value)| (name.as_str(), hex(value))).collect();
            let mut fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_slice())).collect();
            let statement = Statement {
                epoch: number("epoch"),
                purpose: text("purpose"),
                rotation: text("rotation"),
                consumer: text("consumer"),
                replica: text("replica"),
                incarnation: text("incarnation"),
                generation: number("generation"),
                nonce: &hex(&vector["nonce"]),
            };
            for _ in 0..2 {
                let proof = prove(&fields, &hex(&vector["salt"]), &statement);
                assert_eq!(proof.as_slice(), hex(&vector["proof"]), "{}", text("title"));
                fields.reverse();
            }
        }
    }
}
