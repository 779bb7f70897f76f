//! Looking for damage before it is met. Changes nothing, and mends nothing.

use super::storage::StorageError;
use async_trait::async_trait;
use keybaton_protocol::ids::SecretName;

/// One thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Whose journal or values are damaged; `None` where it is no single secret's.
    pub secret: Option<SecretName>,
    /// Where and what.
    pub detail: String,
}

impl Damage {
    /// What a person is to do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self.secret {
            Some(_) => {
                "keybaton does nothing for this secret, and its credential at the target stays as it is; the others go \
                 on. Stop the host and restore the newest backup to bring it back"
            }
            None => "stop the host and restore the newest backup",
        }
    }
}

/// A store that can prove itself while it is in use.
#[async_trait]
pub trait Inspect: Send + Sync {
    /// Looks through everything that is stored, gently: it rests far longer than it works. `found` is told of each damage
    /// at once. Fails where the store could not be read, which is not the same as damage.
    async fn look_through(&self, found: &mut (dyn FnMut(Damage) + Send)) -> Result<(), StorageError>;
}
