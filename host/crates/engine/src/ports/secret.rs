//! Secret bytes: owned once, zeroized on drop, never cloned, printed or serialized.

use keybaton_protocol::ids::SealLabel;
use std::fmt;
use zeroize::Zeroizing;

/// Bytes that must not leave the sealed store, the runtime and the port between them.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes ownership of the bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the one who renders, seals or proves with them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// A second owner, where two calls need the same value. Named so that every copy can be found.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(Zeroizing::new(self.0.to_vec()))
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(redacted)")
    }
}

/// A secret value and the label under which it is sealed within its generation.
#[derive(Debug)]
pub struct Seal {
    /// Unique within the generation.
    pub label: SealLabel,
    /// The value.
    pub bytes: SecretBytes,
}
