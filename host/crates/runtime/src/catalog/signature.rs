//! Signatures of components, as `ssh-keygen -Y sign -n keybaton-plugin` makes them (OpenSSH's PROTOCOL.sshsig). Holds
//! public keys only, signs nothing, and never reads a key out of a signature as one that may be trusted.

use crate::limits::{SIGNATURE_BYTES, TEXT_BYTES};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, LineEnding, PublicKey, SshSig};
use std::fmt;
use std::str::FromStr;

/// The namespace of these signatures: what is signed for another purpose is worth nothing here.
pub const NAMESPACE: &str = "keybaton-plugin";

/// Why a key cannot be a signer.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// It is no public key in OpenSSH's one-line form.
    #[error("this is no OpenSSH public key (`ssh-ed25519 AAAA… comment`, one line): {detail}")]
    Unreadable {
        /// What is wrong with it.
        detail: String,
    },
    /// Its algorithm is none that is checked here.
    #[error(
        "keys of type {algorithm} are not supported: use ssh-ed25519 (`ssh-keygen -t ed25519`) or ecdsa-sha2-nistp256"
    )]
    KeyType {
        /// Its name.
        algorithm: String,
    },
}

/// Why a signature is worth nothing for a component.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// It is not in OpenSSH's form, or cut off.
    #[error("it cannot be read ({detail}): `ssh-keygen -Y sign -f KEY -n {NAMESPACE} FILE` makes one")]
    Unreadable {
        /// What is wrong with it.
        detail: String,
    },
    /// The key that made it cannot be a signer.
    #[error("its key cannot be a signer's")]
    Key(#[source] SignerError),
    /// It was made for another purpose.
    #[error("it was made for the namespace `{found}`, not for `{NAMESPACE}`")]
    Namespace {
        /// That of the signature.
        found: String,
    },
    /// Somebody else made it.
    #[error("it was made by {found}, not by {expected}")]
    OtherKey {
        /// Fingerprint of the key that is asked for.
        expected: String,
        /// Fingerprint of the key that made it.
        found: String,
    },
    /// It is not one of these bytes.
    #[error("it does not fit: the component was changed after {signer} signed it, or it is another file's signature")]
    Bytes {
        /// Fingerprint of the key that it names.
        signer: String,
    },
}

/// A public key by which components are signed. Two are the same when their keys are; comments do not count.
#[derive(Debug, Clone)]
pub struct Signer(PublicKey);

impl Signer {
    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    fn of(key: PublicKey) -> Result<Self, SignerError> {
        match key.algorithm() {
            Algorithm::Ed25519 | Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 } => Ok(Self(key)),
            other => Err(SignerError::KeyType { algorithm: other.as_str().to_owned() }),
        }
    }
}

impl PartialEq for Signer {
    fn eq(&self, other: &Self) -> bool {
        self.0.key_data() == other.0.key_data()
    }
}

impl Eq for Signer {}

impl FromStr for Signer {
    type Err = SignerError;

    fn from_str(text: &str) -> Result<Self, SignerError> {
        let unreadable = |detail: &str| SignerError::Unreadable { detail: detail.to_owned() };
        let text = text.trim();
        if text.len() > TEXT_BYTES {
            return Err(unreadable("it is too long"));
        }
        if text.chars().any(char::is_control) {
            return Err(unreadable("it has more than one line, or control characters"));
        }
        Self::of(PublicKey::from_openssh(text).map_err(|error| unreadable(&error.to_string()))?)
    }
}

impl fmt::Display for Signer {
    /// The one-line form, with its comment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_openssh().map_err(|_| fmt::Error)?)
    }
}

/// Who made this signature of these bytes. Whether that key may be trusted is the caller's to know.
///
/// # Errors
/// When it cannot be read, was made for another purpose, or does not fit the bytes.
pub fn signer_of(bytes: &[u8], signature: &[u8]) -> Result<Signer, SignatureError> {
    let (signature, signer) = read(signature)?;
    fits(&signature, &signer, bytes)?;
    Ok(signer)
}

/// Holds a signature against the one key that is trusted.
///
/// # Errors
/// As [`signer_of`], and when another key made it.
pub fn signed_by(bytes: &[u8], signature: &[u8], expected: &Signer) -> Result<(), SignatureError> {
    let (signature, signer) = read(signature)?;
    if signer != *expected {
        return Err(SignatureError::OtherKey { expected: expected.fingerprint(), found: signer.fingerprint() });
    }
    fits(&signature, expected, bytes)
}

fn read(text: &[u8]) -> Result<(SshSig, Signer), SignatureError> {
    let unreadable = |detail: String| SignatureError::Unreadable { detail };
    if text.len() > SIGNATURE_BYTES {
        return Err(unreadable(format!("it has {} bytes, at most {SIGNATURE_BYTES} are read", text.len())));
    }
    let signature = SshSig::from_pem(text.trim_ascii()).map_err(|error| unreadable(error.to_string()))?;
    if signature.version() != SshSig::VERSION {
        return Err(unreadable(format!("its version is {}", signature.version())));
    }
    // The reader forgives lengths that are not meant. One signature is one text, apart from its line ends.
    let meant = signature.to_pem(LineEnding::LF).map_err(|error| unreadable(error.to_string()))?;
    if !bare(meant.as_bytes()).eq(bare(text)) {
        return Err(unreadable("it is not written as its form asks".to_owned()));
    }
    let signer = Signer::of(signature.public_key().clone().into()).map_err(SignatureError::Key)?;
    Ok((signature, signer))
}

/// A text without its spaces and line ends.
fn bare(text: &[u8]) -> impl Iterator<Item = &u8> {
    text.iter().filter(|byte| !byte.is_ascii_whitespace())
}

fn fits(signature: &SshSig, signer: &Signer, bytes: &[u8]) -> Result<(), SignatureError> {
    if signature.namespace() != NAMESPACE {
        return Err(SignatureError::Namespace { found: signature.namespace().escape_debug().to_string() });
    }
    let verified = signer.0.verify(NAMESPACE, bytes, signature);
    verified.map_err(|_| SignatureError::Bytes { signer: signer.fingerprint() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssh_key::PrivateKey;
    use ssh_key::private::Ed25519Keypair;

    const BYTES: &[u8] = b"component bytes";

    // Made by OpenSSH 9.2: `ssh-keygen -Y sign -f KEY -n keybaton-plugin FILE`; nobody has kept the keys.
    const ED25519: &str = include_str!("../../tests/signatures/ed25519.sig");
    const ED25519_KEY: &str = include_str!("../../tests/signatures/ed25519.pub");
    const ECDSA: &str = include_str!("../../tests/signatures/ecdsa.sig");
    const ECDSA_KEY: &str = include_str!("../../tests/signatures/ecdsa.pub");
    const RSA: &str = include_str!("../../tests/signatures/rsa.sig");
    const RSA_KEY: &str = include_str!("../../tests/signatures/rsa.pub");

    /// Of a key of ours, for whatever namespace and hash.
    fn signed(seed: u8, namespace: &str, hash: HashAlg) -> String {
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]));
        key.sign(namespace, hash, BYTES).unwrap().to_pem(LineEnding::LF).unwrap()
    }

    #[test]
    fn what_openssh_signed_is_known_by_its_key() {
        for (key, signature) in [(ED25519_KEY, ED25519), (ECDSA_KEY, ECDSA)] {
            let key: Signer = key.parse().unwrap();
            assert_eq!(signer_of(BYTES, signature.as_bytes()).unwrap(), key);
            signed_by(BYTES, signature.as_bytes(), &key).unwrap();
            let windows = signature.replace('\n', "\r\n") + "\r\n\r\n";
            signed_by(BYTES, windows.as_bytes(), &key).expect("other line ends change nothing");
        }
        let short = signed(1, NAMESPACE, HashAlg::Sha256);
        assert!(signer_of(BYTES, short.as_bytes()).is_ok(), "either hash of the form");
    }

    #[test]
    fn a_signature_that_is_worth_nothing_says_why() {
        let key: Signer = ED25519_KEY.parse().unwrap();
        let cut = &ED25519[..ED25519.len() / 2];
        let lines = ED25519.lines().enumerate().filter(|(at, _)| *at != 2);
        let lacking: String = lines.map(|(_, line)| format!("{line}\n")).collect();
        let other = signed(1, NAMESPACE, HashAlg::Sha512);
        let git = signed(1, "git", HashAlg::Sha512);
        let long = format!("{ED25519}{}", "\n".repeat(SIGNATURE_BYTES));
        for (sentence, bytes, signature, expected) in [
            ("edited bytes", &b"component byteS"[..], ED25519, "it does not fit"),
            ("no bytes at all", b"", ED25519, "it does not fit"),
            ("cut off", BYTES, cut, "it cannot be read"),
            ("a part left out", BYTES, &lacking, "it cannot be read"),
            ("empty", BYTES, "", "it cannot be read"),
            ("a key in its place", BYTES, ED25519_KEY, "it cannot be read"),
            ("endless", BYTES, &long, "at most 4096 are read"),
            ("another key", BYTES, &other, "not by SHA256:"),
            ("another key of another type", BYTES, ECDSA, "not by SHA256:"),
            ("a key type that is not supported", BYTES, RSA, "its key cannot be a signer's"),
        ] {
            let error = signed_by(bytes, signature.as_bytes(), &key).expect_err(sentence).to_string();
            assert!(error.contains(expected), "{sentence}: {error}");
        }
        let error = signer_of(BYTES, git.as_bytes()).expect_err("another purpose").to_string();
        assert!(error.contains("for the namespace `git`"), "{error}");
    }

    #[test]
    fn a_signature_with_any_byte_changed_is_worth_nothing() {
        let key: Signer = ED25519_KEY.parse().unwrap();
        let body = ED25519.find('\n').unwrap() + 1..ED25519.rfind("\n-----END").unwrap();
        for at in body.filter(|at| ED25519.as_bytes()[*at] != b'\n') {
            let mut edited = ED25519.as_bytes().to_vec();
            edited[at] = if edited[at] == b'A' { b'B' } else { b'A' };
            assert!(signed_by(BYTES, &edited, &key).is_err(), "character {at}");
        }
    }

    #[test]
    fn a_key_that_cannot_be_a_signer_says_why() {
        let p384 = "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBAGDttO8dzFlTWH4Dx5u9NxUrb7P\
                    He9M639yO1eVD3u8zK23d88XHBKcjAJv5QRETXtIRRSHg5gQUYNwTuJAFewhyl8yoR6cTdIfLMn1sM5Aw8n+LU+TD0RlcP2Q799M9g==";
        let two = format!("{}\n{}", ED25519_KEY.trim(), ECDSA_KEY.trim());
        let swapped = ED25519_KEY.replace("ssh-ed25519 ", "ssh-rsa ");
        for (sentence, text, expected) in [
            ("an RSA key", RSA_KEY, "keys of type ssh-rsa are not supported"),
            ("another curve", p384, "keys of type ecdsa-sha2-nistp384 are not supported"),
            ("a signature", ED25519, "more than one line"),
            ("two keys", &two, "more than one line"),
            ("another type than it says", &swapped, "no OpenSSH public key"),
            ("cut off", &ED25519_KEY[..40], "no OpenSSH public key"),
            ("nothing", "", "no OpenSSH public key"),
        ] {
            let error = text.parse::<Signer>().expect_err(sentence).to_string();
            assert!(error.contains(expected), "{sentence}: {error}");
        }
    }

    #[test]
    fn a_signer_is_its_key_and_not_its_comment() {
        let key: Signer = ED25519_KEY.parse().unwrap();
        let renamed: Signer = ED25519_KEY.replace("fixture@ed25519", "somebody else").parse().unwrap();
        assert_eq!(key, renamed);
        assert_ne!(key, ECDSA_KEY.parse().unwrap());
        assert_eq!(key.to_string(), ED25519_KEY.trim());
        assert_eq!(key.fingerprint(), include_str!("../../tests/signatures/ed25519.fingerprint").trim());
    }
}
