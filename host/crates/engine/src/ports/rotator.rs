//! Plugins as the engine calls them: one call, one answer, with every host call on the record.

use super::secret::{Seal, SecretBytes};
use async_trait::async_trait;
use keybaton_protocol::event::{HostAnswer, Outcome};
use keybaton_protocol::fault::Fault;
use keybaton_protocol::ids::{
    Digest, Generation, Millis, OperationId, Ordinal, Place, PluginName, RotationId, SealLabel, SecretName, TargetId,
};
use keybaton_protocol::profile::Profile;
use keybaton_protocol::step::CallKind;
use std::sync::Arc;

pub use keybaton_protocol::event::EXPIRES_FACT;

/// A finding of `validate` or `preflight`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where in the settings (a JSON pointer), or empty.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Whether a rotation may not start.
    pub fatal: bool,
}

/// What a locked plugin says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: PluginName,
    /// Digest of its component.
    pub component: Digest,
    /// JSON Schema of its settings.
    pub settings_schema: String,
    /// One line for people.
    pub summary: String,
}

/// A generation as the plugin is shown it, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its number; the plugin sees it as text.
    pub generation: Generation,
    /// The target's id of it.
    pub id: Option<TargetId>,
    /// The slot it is in.
    pub slot: Option<String>,
    /// `pending`, `current`, `previous`, `retiring`, `orphan`, `foreign`.
    pub role: &'static str,
    /// Public fields.
    pub attributes: Vec<(String, String)>,
    /// Facts of earlier calls.
    pub facts: Vec<(String, String)>,
}

/// A secret value handed to the plugin as a handle.
#[derive(Debug)]
pub struct Value {
    /// Of which generation.
    pub generation: Generation,
    /// Which field.
    pub field: String,
    /// Under which label it is sealed.
    pub label: SealLabel,
    /// The bytes; the guest never sees them.
    pub bytes: SecretBytes,
}

/// One call of a plugin's export.
#[derive(Debug)]
pub struct CallRequest {
    /// For whom.
    pub secret: SecretName,
    /// In which rotation, where there is one.
    pub rotation: Option<RotationId>,
    /// The plugin.
    pub plugin: PluginName,
    /// The bytes pinned for this rotation.
    pub component: Digest,
    /// Which export.
    pub kind: CallKind,
    /// The generation the call is about.
    pub generation: Generation,
    /// The target's id of it, where known (`disable`, `enable`, `destroy`).
    pub id: Option<TargetId>,
    /// The idempotency key.
    pub operation: OperationId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// No host call starts after this instant.
    pub deadline: Millis,
    /// Identity of the target.
    pub target: String,
    /// Where.
    pub place: Place,
    /// Settings, as JSON that passed `validate`.
    pub settings: String,
    /// Generations the plugin is told of.
    pub known: Vec<Known>,
    /// Handles it gets.
    pub values: Vec<Value>,
    /// Public material a consumer brought (a CSR).
    pub offered: Vec<(String, String)>,
}

/// What the runtime puts on record while a call runs. Implemented by the engine over its journal.
#[async_trait]
pub trait CallRecorder: Send + Sync {
    /// The journalled answer to this host call of a resumed step, if there is one.
    /// A different request under the same ordinal is the guest's fault.
    async fn recorded(&self, ordinal: Ordinal, request: Digest) -> Result<Option<RecordedReply>, RecordError>;
    /// Makes durable that a mutating host call is about to leave, and that it can take effect for so many milliseconds
    /// from now. `summary` is redacted, for people.
    async fn sent(&self, ordinal: Ordinal, request: Digest, for_ms: u64, summary: &str) -> Result<(), RecordError>;
    /// Puts on record how it ended, what the guest is told, and every secret it yielded.
    async fn answered(
        &self,
        ordinal: Ordinal,
        request: Digest,
        answer: HostAnswer,
        reply: Vec<u8>,
        seals: Vec<Seal>,
        until: Until,
    ) -> Result<(), RecordError>;
}

/// How long the guest waits for an answer to be put on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until it is durable.
    Durable,
    /// Until it is in line: durable no later than anything that is put on record after it.
    InLine,
}

/// An answer out of the journal.
#[derive(Debug)]
pub struct RecordedReply {
    /// As it was recorded.
    pub body: Vec<u8>,
    /// The secrets it yielded.
    pub seals: Vec<Seal>,
}

/// Why a host call could not be put on record; it is then not made.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The guest asked for something else than it did before the crash.
    #[error("host call {ordinal:?} differs from the one on record")]
    Mismatch {
        /// Which one.
        ordinal: Ordinal,
    },
    /// The lease is lost or too short: this host decides nothing more here.
    #[error("the lease does not outlive the call")]
    Lease,
    /// The journal does not take it.
    #[error("the journal is unavailable: {0}")]
    Unavailable(String),
}

/// What `profile` answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profiled {
    /// Parsed and checked.
    pub profile: Profile,
    /// Digest of the component that said it.
    pub component: Digest,
    /// What of the target is the secret's alone under these settings: no other secret may claim it of the same target.
    pub claims: Vec<String>,
}

/// Plugins, by name for what is locked now and by digest for what is pinned.
#[async_trait]
pub trait Rotator: Send + Sync {
    /// What the locked plugin says of itself.
    async fn describe(&self, plugin: &PluginName) -> Result<Description, Fault>;
    /// What the target can do under these settings.
    async fn profile(&self, plugin: &PluginName, settings: &str) -> Result<Profiled, Fault>;
    /// Whether the settings make sense.
    async fn validate(&self, plugin: &PluginName, settings: &str) -> Result<Vec<Finding>, Fault>;
    /// Whether the target is reachable and as expected; changes nothing.
    async fn preflight(&self, request: CallRequest) -> Result<Vec<Finding>, Fault>;
    /// Calls an export. Every failure is an `Outcome::Failed` with its blame.
    async fn call(&self, request: CallRequest, recorder: Arc<dyn CallRecorder>) -> Outcome;
}
