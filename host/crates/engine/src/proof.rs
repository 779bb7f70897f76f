//! Proof of possession: what a consumer computes over a challenge, and how it is checked. Never stores or logs a proof.
//!
//! Byte layout, for whoever writes a client (`u32` is big-endian; `len(x)` is the length of x as `u32`):
//!
//! ```text
//! fields  = u32(number of secret fields)
//!           then for each field, by name in ascending byte order:
//!             len(name) name len(value) value
//! key     = HKDF-SHA-256(salt = the generation's 32 bytes, ikm = fields, info = "keybaton-proof-v1", 32 bytes)
//! message = for each part in this order: len(part) part
//!             "keybaton-proof-v1"
//!             epoch         u32
//!             purpose       its name: "ready", "failed", "adopted", "released", "dropped", "cry"
//!             rotation      the rotation's identifier
//!             consumer      the consumer's name, without namespace
//!             replica
//!             incarnation
//!             generation    u32
//!             nonce         32 bytes
//! proof   = HMAC-SHA-256(key, message), 32 bytes
//! ```
//!
//! HKDF is RFC 5869, HMAC is RFC 2104. Vectors: `tests/proof-vectors.json` of this crate.

use crate::requests::{Challenge, Nonce};
use aws_lc_rs::{hkdf, hmac};
use keybaton_protocol::ids::Epoch;
use zeroize::Zeroizing;

/// Goes into the key and into the message, so that neither serves any other protocol.
pub const DOMAIN: &[u8] = b"keybaton-proof-v1";

/// Length of a proof, of a salt and of a nonce in bytes.
pub const LENGTH: usize = 32;

/// Why a proof was refused. Each is told apart on purpose: none of them helps a liar to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Never given out, used already, or expired.
    #[error("the challenge is unknown, used or expired; ask for a new one")]
    Nonce,
    /// The challenge was given to somebody else.
    #[error("the challenge was given to another consumer or replica")]
    Stranger,
    /// The challenge was for another purpose.
    #[error("the challenge was for another purpose")]
    Purpose,
    /// The challenge was for another generation or rotation.
    #[error("the challenge was for another generation or rotation")]
    Generation,
    /// The generation is not one this consumer is offered, or it is gone.
    #[error("the generation is stale, or was never offered to this consumer")]
    Stale,
    /// The bytes do not match.
    #[error("the proof does not match")]
    Mismatch,
    /// The generation has no secret field: nothing can be proven.
    #[error("the generation has no secret field to prove possession of")]
    NoSecretField,
    /// Only `store`, `holder` and `process` can be stated by a consumer itself.
    #[error("a consumer can't state evidence of this kind")]
    Kind,
}

/// Computes the proof: the host's half, and the reference for clients. `fields` in any order.
#[must_use]
pub fn prove(
    fields: &[(&str, &[u8])],
    salt: &[u8],
    challenge: &Challenge,
    epoch: Epoch,
    nonce: &Nonce,
) -> [u8; LENGTH] {
    let mut proof = [0; LENGTH];
    proof.copy_from_slice(hmac::sign(&key(fields, salt), &message(challenge, epoch, nonce)).as_ref());
    proof
}

/// Compares in constant time.
///
/// # Errors
/// [`ProofError::NoSecretField`] where there is nothing to prove with, [`ProofError::Mismatch`] otherwise.
pub fn check(
    fields: &[(&str, &[u8])],
    salt: &[u8],
    challenge: &Challenge,
    epoch: Epoch,
    nonce: &Nonce,
    proof: &[u8],
) -> Result<(), ProofError> {
    if fields.is_empty() {
        return Err(ProofError::NoSecretField);
    }
    hmac::verify(&key(fields, salt), &message(challenge, epoch, nonce), proof).map_err(|_| ProofError::Mismatch)
}

fn key(fields: &[(&str, &[u8])], salt: &[u8]) -> hmac::Key {
    let encoded = encode_fields(fields);
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&encoded);
    hmac::Key::from(
        extracted.expand(&[DOMAIN], hmac::HMAC_SHA256).expect("32 bytes are far below HKDF's limit of 255 blocks"),
    )
}

/// The canonical encoding of a credential's secret fields. Wiped when dropped.
fn encode_fields(fields: &[(&str, &[u8])]) -> Zeroizing<Vec<u8>> {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| name.as_bytes());
    let size = sorted.iter().map(|(name, value)| 8 + name.len() + value.len()).sum::<usize>();
    // Reserved in full, so that no growth leaves an unwiped copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(4 + size));
    out.extend_from_slice(&length(sorted.len()));
    for (name, value) in sorted {
        part(&mut out, name.as_bytes());
        part(&mut out, value);
    }
    out
}

fn message(challenge: &Challenge, epoch: Epoch, nonce: &Nonce) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    part(&mut out, DOMAIN);
    part(&mut out, &epoch.0.to_be_bytes());
    part(&mut out, challenge.purpose.name().as_bytes());
    part(&mut out, challenge.rotation.as_str().as_bytes());
    part(&mut out, challenge.consumer.as_str().as_bytes());
    part(&mut out, challenge.replica.as_str().as_bytes());
    part(&mut out, challenge.incarnation.as_str().as_bytes());
    part(&mut out, &challenge.generation.0.to_be_bytes());
    part(&mut out, &nonce.0);
    out
}

fn part(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length(bytes.len()));
    out.extend_from_slice(bytes);
}

fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}
