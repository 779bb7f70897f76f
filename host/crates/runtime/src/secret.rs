//! Secrets as handles: the bytes stay here, a guest holds a number. Never prints, compares or measures for a guest.

use keybaton_engine::ports::secret::SecretBytes;
use keybaton_protocol::ids::{Generation, SealLabel};
use std::sync::Arc;

/// What stands behind a guest's handle.
#[derive(Debug, Clone)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Held {
    /// The bytes; zeroized when the last user of this call is done.
    pub(crate) bytes: Arc<SecretBytes>,
    /// Under which label they are sealed.
    pub(crate) label: SealLabel,
    /// Of which generation; `None` for what this call itself yielded.
    pub(crate) generation: Option<Generation>,
}

impl Held {
    pub(crate) fn new(bytes: SecretBytes, label: SealLabel, generation: Option<Generation>) -> Self {
        Self { bytes: Arc::new(bytes), label, generation }
    }

    /// The name of this secret in request digests and transcripts: never derived from its bytes.
    pub(crate) fn name(&self) -> String {
        match self.generation {
            Some(Generation(number)) => format!("{number}/{}", self.label),
            None => format!("new/{}", self.label),
        }
    }

    pub(crate) fn expose(&self) -> &[u8] {
        self.bytes.expose()
    }
}
