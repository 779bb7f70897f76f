//! What a rotation runs on, and what a credential was made with: plugin, target, settings, policy. Pure data; holds no
//! secret value.

use crate::ids::{Digest, Place, PluginName};
use crate::policy::Policy;
use crate::profile::Profile;

/// Everything a rotation runs on, pinned when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pins {
    /// Digest of the declaration as applied.
    pub spec: Digest,
    /// The plugin.
    pub plugin: PluginName,
    /// Its bytes.
    pub component: Digest,
    /// What it said of the target.
    pub profile: Profile,
    /// What the operator asked.
    pub policy: Policy,
    /// The plugin's settings, as JSON that passed `validate`.
    pub settings: String,
    /// Identity of the target (connection and what it points at).
    pub target: String,
    /// Where each plugin call is made.
    pub places: Vec<Place>,
}

impl Pins {
    /// Whether both act on the same target by the same plugin: what is live for one is live for the other.
    #[must_use]
    pub fn same_target(&self, other: &Self) -> bool {
        self.plugin == other.plugin && self.target == other.target
    }

    /// Whether both act on the same credentials of that target, as far as the host can tell: the settings are the same,
    /// letter by letter, and the plugin said the same of the overlap.
    #[must_use]
    pub fn same_site(&self, other: &Self) -> bool {
        self.same_target(other) && self.settings == other.settings && self.profile.overlap == other.profile.overlap
    }
}
