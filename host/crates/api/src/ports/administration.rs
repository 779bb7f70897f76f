//! What operators ask of the host as a whole: declarations, plugins, connections, backup.
//! The host implements it; no answer here can hold a secret value.

use super::Failure;
use crate::model::{
    ApplyReport, ApproveRequest, BackupReport, ConnectionTest, ConnectionView, FileInput, Overview, PlanReport,
    PluginView,
};
use async_trait::async_trait;
use keybaton_engine::ports::identities::ConsumerId;
use keybaton_protocol::ids::{Author, Namespace, SecretName};

/// The operator on whose behalf something is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its name, as it goes into journals.
    pub author: Author,
    /// Where it may act; `None` is everywhere. Declarations of other namespaces are to be refused.
    pub namespaces: Option<Vec<Namespace>>,
}

/// What `apply` is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyOrder {
    /// The declaration files.
    pub files: Vec<FileInput>,
    /// Even where it weakens what is in force.
    pub allow_weaker: bool,
    /// Secrets in force that the files do not name become unmanaged.
    pub prune: bool,
}

/// What rests on a secret, besides its consumers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dependants {
    /// Connections that log in with it.
    pub connections: Vec<String>,
    /// Secrets that use such a connection, or are declared to come after it.
    pub secrets: Vec<SecretName>,
}

/// The host's own business. Mutating methods are audited by the caller, and run to their end even if the client is
/// gone.
#[async_trait]
pub trait Administration: Send + Sync {
    /// What these declarations would change, what blocks them and what they weaken. Changes nothing.
    async fn plan(&self, files: Vec<FileInput>, prune: bool, caller: &Caller) -> Result<PlanReport, Failure>;
    /// Puts declarations into force. A blocked plan is a report with `applied: false`, not a failure.
    async fn apply(&self, order: ApplyOrder, caller: &Caller) -> Result<ApplyReport, Failure>;
    /// Secrets whose declarations in force name this consumer.
    async fn secrets_of(&self, consumer: &ConsumerId) -> Result<Vec<SecretName>, Failure>;
    /// What stops working with this secret, besides its consumers.
    async fn dependants_of(&self, secret: &SecretName) -> Result<Dependants, Failure>;
    /// Plugins: added, approved, in use.
    async fn plugins(&self) -> Result<Vec<PluginView>, Failure>;
    /// Keeps a component, with its signature where it has one, and shows what it asks for. Loads nothing.
    async fn add_plugin(&self, component: Vec<u8>, signature: Option<Vec<u8>>) -> Result<PluginView, Failure>;
    /// Grants what it asks for and locks its digest and signer.
    async fn approve_plugin(&self, name: &str, asked: ApproveRequest, caller: &Caller) -> Result<PluginView, Failure>;
    /// Connections, without their admin identities.
    async fn connections(&self) -> Result<Vec<ConnectionView>, Failure>;
    /// Logs in as the admin and comes back.
    async fn test_connection(&self, name: &str) -> Result<ConnectionTest, Failure>;
    /// Copies the store while the host runs, into a directory on the host that must not exist.
    async fn backup(&self, to: &str) -> Result<BackupReport, Failure>;
    /// How the host stands.
    async fn overview(&self) -> Result<Overview, Failure>;
    /// Whether requests can be served: the store answers, the engine runs.
    async fn ready(&self) -> Result<(), Failure>;
}
