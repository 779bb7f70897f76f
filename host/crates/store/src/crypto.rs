//! Ciphers, MACs and digests of the store, and how their inputs are bound together. Knows no table and no policy.
//!
//! Values are sealed with AES-256-GCM-SIV (RFC 8452) under random 96-bit nonces. Plain GCM would do for a data key that
//! seals a handful of values, but the key-encryption key wraps a data key for every generation there ever is, and
//! virtual machines are snapshotted and cloned together with the state of their random generator: GCM with a repeated
//! nonce gives up its authentication key, GCM-SIV only shows that two plaintexts are equal.

use crate::error::StoreError;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, hmac, rand};
use zeroize::Zeroizing;

/// Length of keys, salts and digests, in bytes.
pub(crate) const KEY_LEN: usize = 32;
/// Length of an installation's id, in bytes.
pub(crate) const INSTALLATION_LEN: usize = 16;
/// Length of the authentication tag, in bytes.
const TAG_LEN: usize = 16;
/// First byte of everything sealed: AES-256-GCM-SIV, nonce, ciphertext, tag.
const SEALED_V1: u8 = 1;

/// A SHA-256 digest, or an HMAC by it.
pub(crate) type Hash = [u8; KEY_LEN];

/// Bytes from the operating system's generator.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, StoreError> {
    let mut bytes = Zeroizing::new([0; N]);
    rand::fill(&mut *bytes).map_err(|_| StoreError::Crypto { doing: "draw random bytes" })?;
    Ok(bytes)
}

/// Each part behind its length, so that no two lists of parts have the same bytes.
pub(crate) fn bind(parts: &[&[u8]]) -> Vec<u8> {
    let mut bound = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        bound.extend_from_slice(&length(part));
        bound.extend_from_slice(part);
    }
    bound
}

fn length(part: &[u8]) -> [u8; 4] {
    u32::try_from(part.len())
        .expect("no bound part reaches 4 GiB: records and names are capped far below")
        .to_be_bytes()
}

/// SHA-256 over length-prefixed parts.
pub(crate) fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&length(part));
        context.update(part);
    }
    to_hash(context.finish().as_ref())
}

/// HMAC-SHA-256 over length-prefixed parts.
pub(crate) fn mac(key: &hmac::Key, parts: &[&[u8]]) -> Hash {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&length(part));
        context.update(part);
    }
    to_hash(context.sign().as_ref())
}

fn to_hash(bytes: &[u8]) -> Hash {
    bytes.try_into().expect("SHA-256 yields 32 bytes")
}

/// Comparison in constant time.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
        text
    })
}

/// One key of the AEAD. The library wipes the schedule when it is dropped.
pub(crate) struct Cipher(LessSafeKey);

impl Cipher {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM_SIV, key).expect("AES-256 keys have 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Seals under a fresh nonce; the plaintext's only copy made here becomes the ciphertext in place.
    pub(crate) fn seal(&self, bound_to: &[&[u8]], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = Zeroizing::new(Vec::with_capacity(1 + NONCE_LEN + plain.len() + TAG_LEN));
        sealed.push(SEALED_V1);
        sealed.extend_from_slice(&*nonce);
        sealed.extend_from_slice(plain);
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(bind(bound_to)),
                &mut sealed[1 + NONCE_LEN..],
            )
            .map_err(|_| StoreError::Crypto { doing: "seal" })?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(std::mem::take(&mut *sealed))
    }

    /// Opens, or answers `None` if anything differs: key, binding, or a bit of what was sealed.
    pub(crate) fn open(&self, bound_to: &[&[u8]], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
        if *version != SEALED_V1 {
            return None;
        }
        let mut plain = Zeroizing::new(text.to_vec());
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let length = self.0.open_in_place(nonce, Aad::from(bind(bound_to)), &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

/// The keys by which the store proves its own rows to itself, all derived from the installation key.
pub(crate) struct Integrity {
    /// Which installation: part of every binding.
    pub(crate) installation: [u8; INSTALLATION_LEN],
    /// Authenticates single rows.
    pub(crate) rows: hmac::Key,
    /// Hides what rows add to their collection's sum.
    pub(crate) sums: hmac::Key,
    /// Authenticates backup manifests.
    pub(crate) manifests: hmac::Key,
    /// Seals the store's own state.
    pub(crate) state: Cipher,
}

impl Integrity {
    /// Derives them by HKDF-SHA-256 (RFC 5869), the installation's id as salt.
    pub(crate) fn derive(installation: [u8; INSTALLATION_LEN], root: &[u8; KEY_LEN]) -> Result<Self, StoreError> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &installation).extract(root);
        let key = |purpose: &'static str| -> Result<Zeroizing<[u8; KEY_LEN]>, StoreError> {
            let failed = |_| StoreError::Crypto { doing: "derive a key" };
            let mut bytes = Zeroizing::new([0; KEY_LEN]);
            let info = [purpose.as_bytes()];
            prk.expand(&info, hkdf::HKDF_SHA256).map_err(failed)?.fill(&mut *bytes).map_err(failed)?;
            Ok(bytes)
        };
        let hmac_key = |purpose| key(purpose).map(|bytes| hmac::Key::new(hmac::HMAC_SHA256, &*bytes));
        Ok(Self {
            installation,
            rows: hmac_key("keybaton-store-rows-v1")?,
            sums: hmac_key("keybaton-store-sums-v1")?,
            manifests: hmac_key("keybaton-store-manifests-v1")?,
            state: Cipher::new(&*key("keybaton-store-state-v1")?),
        })
    }
}
