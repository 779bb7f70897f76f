//! PostgreSQL's verifier of a password: what lets a server check it and nobody log in (RFC 5802 section 3 and RFC 7677,
//! written as the manual's chapter on `pg_authid` has it). The salted password, which is as good as the password, is
//! zeroized.
//!
//! Its iterations are most of what a rotation computes. Keyed once, as here, they cost half of what the client library's
//! own function takes, which keys each of them anew, and leaves the salted password in memory.

use crate::refusal::Refusal;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// What PostgreSQL itself uses, and the least that RFC 7677 allows.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("not zero");
/// As many bytes as PostgreSQL's own.
const SALT_BYTES: usize = 16;
/// Of SHA-256.
const KEY_BYTES: usize = 32;

/// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, with a new salt each time.
pub(super) fn verifier(password: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let mut salt = [0; SALT_BYTES];
    SystemRandom::new().fill(&mut salt).map_err(|_| Refusal::host("host.random", "the system gives no randomness"))?;
    Ok(salted(password, &salt))
}

fn salted(password: &[u8], salt: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, salt, &prepared(password), key.as_mut());
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
    let client = hmac::sign(&key, b"Client Key");
    let stored = digest::digest(&digest::SHA256, client.as_ref());
    let server = hmac::sign(&key, b"Server Key");
    let (salt, stored, server) = (STANDARD.encode(salt), STANDARD.encode(stored), STANDARD.encode(server));
    Zeroizing::new(format!("SCRAM-SHA-256${ITERATIONS}:{salt}${stored}:{server}").into_bytes())
}

/// RFC 4013, as far as the password can be prepared: PostgreSQL takes any other as its bytes.
fn prepared(password: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = std::str::from_utf8(password).ok().and_then(|text| stringprep::saslprep(text).ok());
    Zeroizing::new(text.map_or_else(|| password.to_vec(), |text| text.into_owned().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use postgres_protocol::password::scram_sha_256;

    /// What stands between the iterations and the keys.
    fn salt_of(verifier: &str) -> Vec<u8> {
        let salt = verifier.split(['$', ':']).nth(2).unwrap();
        STANDARD.decode(salt).unwrap()
    }

    #[test]
    fn a_verifier_is_the_client_librarys_own_under_the_same_salt() {
        let long = "x".repeat(200);
        // Soft hyphens vanish and `ª` becomes `a` (RFC 4013 section 3); a control character and mixed directions are
        // no text that can be prepared; the last is none at all.
        let passwords: &[&[u8]] = &[
            b"pencil",
            b"",
            b" a\"'$:\\ ",
            long.as_bytes(),
            "I\u{ad}X \u{aa} \u{2168} ü\u{a0}".as_bytes(),
            b"tab\there",
            "\u{627}1".as_bytes(),
            b"\xff\xfe",
        ];
        for password in passwords {
            let theirs = scram_sha_256(password);
            let ours = salted(password, &salt_of(&theirs));
            assert_eq!(String::from_utf8_lossy(&ours), theirs, "{}", password.escape_ascii());
        }
    }

    #[test]
    fn each_verifier_has_a_salt_of_its_own() {
        let salts = [(); 3].map(|()| salt_of(std::str::from_utf8(&verifier(b"pw").unwrap()).unwrap()));
        assert!(salts.iter().all(|salt| salt.len() == SALT_BYTES));
        assert!(salts[0] != salts[1] && salts[1] != salts[2] && salts[0] != salts[2]);
    }
}
