//! The host's own business behind the API: declarations, plugins, connections, audit, backup. Shows no admin identity.

use super::host::Host;
use async_trait::async_trait;
use keybaton_api::model::{
    ApplyReport, ApproveRequest, AuditEntry, AuditReport, BackupReport, ConnectionTest, ConnectionView, FileInput,
    Overview, PlanReport, PluginView,
};
use keybaton_api::ports::{Administration, ApplyOrder, Caller, ConsumerId, Dependants, Failure, FailureKind};
use keybaton_protocol::ids::SecretName;
use keybaton_schedule::connection::{Connection, Source};
use keybaton_schedule::spec::Spec;
use keybaton_store::{AuditError, AuditOutcome};
use std::path::Path;

/// Audit entries that one request may ask for.
const AUDIT_LIMIT: usize = 10_000;

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
        let made = self.store.backup(Path::new(to)).await;
        let manifest =
            made.map_err(|error| Failure::new(FailureKind::Invalid, format!("no backup was made: {error}")))?;
        Ok(BackupReport {
            to: to.to_owned(),
            bytes: manifest.bytes,
            included: super::kept::included(),
            not_included: super::kept::missing(&self.installation),
        })
    }

    async fn verify_audit(&self) -> Result<AuditReport, Failure> {
        match self.store.audit_verify().await {
            Ok(report) => Ok(AuditReport {
                intact: true,
                entries: report.entries,
                head: report.head.to_string(),
                broken_at: None,
            }),
            Err(AuditError::Broken(broken)) => {
                Ok(AuditReport { intact: false, entries: broken.at, head: broken.why, broken_at: Some(broken.at) })
            }
            Err(AuditError::Store(error)) => Err(super::store_failed(&error)),
        }
    }

    async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, Failure> {
        let limit = (limit as usize).clamp(1, AUDIT_LIMIT);
        let report = self.verify_audit().await?;
        let after = report.entries.saturating_sub(limit as u64);
        let entries = self.store.audit_entries(after, limit).await;
        let entries = entries.map_err(|error| Failure::new(FailureKind::Damaged, error.to_string()))?;
        let view = |one: keybaton_store::Audited| {
            let (actor, from) = one.entry.who.split_once(" from ").unwrap_or((&one.entry.who, ""));
            AuditEntry {
                seq: one.seq,
                at: one.entry.at.0,
                actor: actor.to_owned(),
                from: from.to_owned(),
                action: one.entry.what,
                subject: one.entry.on,
                detail: one.entry.detail,
                verdict: match one.entry.outcome {
                    AuditOutcome::Done => "done".to_owned(),
                    AuditOutcome::Refused(why) => format!("refused: {why}"),
                    AuditOutcome::Failed(why) => format!("failed: {why}"),
                },
            }
        };
        Ok(entries.into_iter().map(view).collect())
    }

    async fn overview(&self) -> Result<Overview, Failure> {
        self.overview_now().await
    }

    async fn ready(&self) -> Result<(), Failure> {
        self.soundness.ready()?;
        self.store
            .audit_entries(0, 1)
            .await
            .map(drop)
            .map_err(|error| Failure::new(FailureKind::Unavailable, format!("the store does not answer: {error}")))
    }
}
