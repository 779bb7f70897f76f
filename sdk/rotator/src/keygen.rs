//! Secrets made by the host. A plugin asks for one and gets a handle; it can never supply the bytes.

use crate::failure::Result;
use crate::host;
use crate::secret::Secret;

/// What a password must look like. The host's floor of 128 bits holds whatever is asked.
///
/// ```no_run
/// # fn f() -> keybaton_rotator::Result<()> {
/// let password = keybaton_rotator::keygen::Password::new(32).generate()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Password {
    pub(crate) length: u32,
    pub(crate) alphabet: String,
    pub(crate) required: Vec<String>,
}

impl Password {
    /// Letters and digits, this many of them (1 to 256).
    #[must_use]
    pub fn new(length: u32) -> Self {
        Self { length, alphabet: String::new(), required: Vec::new() }
    }

    /// Drawn from these characters instead: distinct printable ASCII.
    #[must_use]
    pub fn alphabet(mut self, alphabet: &str) -> Self {
        alphabet.clone_into(&mut self.alphabet);
        self
    }

    /// With at least one character out of this set; may be said more than once.
    #[must_use]
    pub fn requiring(mut self, set: &str) -> Self {
        self.required.push(set.to_owned());
        self
    }

    /// Has the host make one. It is sealed in the journal before the handle is here.
    ///
    /// # Errors
    ///
    /// `denied`, where the policy is below the host's floor or contradicts itself.
    pub fn generate(&self) -> Result<Secret> {
        host::password(self)
    }
}

/// Key algorithms that the host knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519, RFC 8032.
    Ed25519,
    /// ECDSA on P-256, FIPS 186-5.
    EcdsaP256,
    /// ECDSA on P-384, FIPS 186-5.
    EcdsaP384,
    /// RSA with a modulus of 3072 bits.
    Rsa3072,
    /// RSA with a modulus of 4096 bits.
    Rsa4096,
}

impl Algorithm {
    /// The name in the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
        }
    }
}

/// A key pair whose private half stays in the host.
#[derive(Debug)]
pub struct KeyPair(host::KeyPairHandle);

impl KeyPair {
    /// Has the host make one.
    ///
    /// # Errors
    ///
    /// `denied`, where the host does not make keys of this kind.
    pub fn generate(algorithm: Algorithm) -> Result<Self> {
        host::keypair(algorithm.name()).map(Self)
    }

    /// The public half as a line of authorized_keys, sshd(8).
    #[must_use]
    pub fn public_openssh(&self, comment: &str) -> String {
        host::public_openssh(&self.0, comment)
    }

    /// The public half as SubjectPublicKeyInfo in PEM, RFC 7468 §13.
    #[must_use]
    pub fn public_spki_pem(&self) -> String {
        host::public_spki_pem(&self.0)
    }

    /// A certificate request in PEM, RFC 2986. `subject` as `CN=…,O=…`; `sans` as `dns:`, `ip:`, `uri:`, `email:`.
    ///
    /// # Errors
    ///
    /// `permanent`, where the subject or a name cannot be written into a request.
    pub fn csr_pem(&self, subject: &str, sans: &[String]) -> Result<String> {
        host::csr_pem(&self.0, subject, sans)
    }

    /// A handle to the private half as PKCS#8 in PEM, RFC 5958.
    #[must_use]
    pub fn private(&self) -> Secret {
        host::private(&self.0)
    }
}
