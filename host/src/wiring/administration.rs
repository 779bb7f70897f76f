//! The host's own business behind the API: declarations, plugins, connections, backup. Shows no admin identity.

use super::host::Host;
use async_trait::async_trait;
use keybaton_api::model::{
    ApplyReport, ApproveRequest, BackupReport, ConnectionTest, ConnectionView, FileInput, Overview, PlanReport,
    PluginView,
};
use keybaton_api::ports::{Administration, ApplyOrder, Caller, Dependants, Failure, FailureKind};
use keybaton_engine::ports::backup::BackupError;
use keybaton_engine::ports::identities::ConsumerId;
use keybaton_protocol::ids::SecretName;
use keybaton_schedule::connection::{Connection, Source};
use keybaton_schedule::spec::Spec;
use std::path::Path;

#[async_trait]
impl Administration for Host {
    async fn plan(&self, files: Vec<FileInput>, prune: bool, caller: &Caller) -> Result<PlanReport, Failure> {
        Ok(self.planned(&files, prune, caller).await?.report)
    }

    async fn apply(&self, order: ApplyOrder, caller: &Caller) -> Result<ApplyReport, Failure> {
        self.applied(order, caller).await
    }

    async fn secrets_of(&self, consumer: &ConsumerId) -> Result<Vec<SecretName>, Failure> {
        let force = self.force.lock().await;
        let names = |spec: &Spec| {
            *spec.name.namespace() == consumer.namespace
                && spec.policy.consumers.iter().any(|one| one.name == consumer.name)
        };
        Ok(force.specs.iter().filter(|spec| names(spec)).map(|spec| spec.name.clone()).collect())
    }

    async fn dependants_of(&self, secret: &SecretName) -> Result<Dependants, Failure> {
        let force = self.force.lock().await;
        let logs_in =
            |connection: &&Connection| matches!(connection.admin.source(), Source::Secret(name) if name == secret);
        let connections: Vec<_> = force.connections.iter().filter(logs_in).map(|one| one.name.clone()).collect();
        let rests = |spec: &&Spec| connections.contains(&*spec.connection) || spec.after.contains(secret);
        Ok(Dependants {
            secrets: force.specs.iter().filter(rests).map(|spec| spec.name.clone()).collect(),
            connections: connections.iter().map(ToString::to_string).collect(),
        })
    }

    async fn plugins(&self) -> Result<Vec<PluginView>, Failure> {
        self.plugin_views().await
    }

    async fn add_plugin(&self, component: Vec<u8>, signature: Option<Vec<u8>>) -> Result<PluginView, Failure> {
        self.keep_component(&component, signature.as_deref()).await
    }

    async fn approve_plugin(&self, name: &str, asked: ApproveRequest, _caller: &Caller) -> Result<PluginView, Failure> {
        self.approve_component(name, &asked).await
    }

    async fn connections(&self) -> Result<Vec<ConnectionView>, Failure> {
        self.connection_views().await
    }

    async fn test_connection(&self, name: &str) -> Result<ConnectionTest, Failure> {
        self.connection_test(name).await
    }

    async fn backup(&self, to: &str) -> Result<BackupReport, Failure> {
        let copied = self.stores.backups.back_up(Path::new(to)).await.map_err(|error| match error {
            BackupError::Refused { .. } => Failure::new(FailureKind::Invalid, format!("no backup was made: {error}")),
            BackupError::Storage(error) => error.into(),
        })?;
        Ok(BackupReport {
            to: to.to_owned(),
            bytes: copied.bytes,
            included: super::kept::included(),
            not_included: super::kept::missing(&self.installation),
        })
    }

    async fn overview(&self) -> Result<Overview, Failure> {
        self.overview_now().await
    }

    async fn ready(&self) -> Result<(), Failure> {
        self.soundness.ready()?;
        self.stores
            .audit
            .entries(0, 1)
            .await
            .map(drop)
            .map_err(|error| Failure::new(FailureKind::Unavailable, format!("the store does not answer: {error}")))
    }
}
