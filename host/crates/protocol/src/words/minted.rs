//! Credentials by their names: as a target lists them, and as they were minted. Never holds a value.

use crate::ids::{Millis, SealLabel, Slot, TargetId};

/// One credential as the target lists it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Live {
    /// The target's own id of it.
    pub id: TargetId,
    /// The slot it is in, where the target has slots.
    pub slot: Option<Slot>,
    /// Whether it would be accepted now.
    pub active: bool,
    /// When the target made it.
    pub created_at: Option<Millis>,
    /// When it ends by itself.
    pub expires_at: Option<Millis>,
    /// When it was last used, as far as the target tells.
    pub last_used_at: Option<Millis>,
    /// Sessions open with it now, as far as the target tells.
    pub live_uses: Option<u32>,
}

/// What a minted or imported credential is called, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Minted {
    /// The target's id, where it has one already.
    pub id: Option<TargetId>,
    /// Public fields that consumers receive.
    pub attributes: Vec<(String, String)>,
    /// For the journal only.
    pub facts: Vec<(String, String)>,
    /// Secret fields: name, and the label under which the bytes are sealed. Empty for an unknown value.
    pub fields: Vec<(String, SealLabel)>,
}
