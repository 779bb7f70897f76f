//! The host in one piece: what is in force, and the parts that run it. Built once, by `serve`.

use super::circles::{ADVICE, circle_of};
use super::connections::{self, Aim};
use super::declared::{declared, digest_of};
use super::soundness::Soundness;
use super::stores::Stores;
use super::written;
use crate::config::Installation;
use keybaton_api::model::{ClockStep, ConnectionTest, ConnectionView, Overdue, Overview, Standing};
use keybaton_api::ports::{Failure, FailureKind};
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::specs::Applied;
use keybaton_engine::{Engine, ListQuery};
use keybaton_protocol::ids::{Author, Millis};
use keybaton_runtime::Runtime;
use keybaton_runtime::catalog::Catalog;
use keybaton_schedule::connection::{Admin, Connection, Source};
use keybaton_schedule::spec::Spec;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// The host's parts.
pub(crate) struct Host {
    pub(crate) installation: Installation,
    pub(crate) stores: Stores,
    pub(crate) engine: Engine,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) started_at: Millis,
    /// What of the store is known to be damaged.
    pub(crate) soundness: Arc<Soundness>,
    /// Only one request changes what is in force at a time.
    pub(crate) force: Mutex<InForce>,
}

/// What is in force.
pub(crate) struct InForce {
    /// Declarations, by name.
    pub(crate) specs: Vec<Spec>,
    /// Connections, as read.
    pub(crate) connections: Vec<Connection>,
    /// Approved components.
    pub(crate) catalog: Catalog,
}

impl Host {
    /// Reads the declarations in force out of the store and hands them to the engine.
    pub(crate) async fn declare_stored(&self) -> Result<usize, Failure> {
        let stored = self.stores.specs.applied().await?;
        let texts: Vec<(String, String)> = stored.into_iter().map(|spec| (spec.name.to_string(), spec.body)).collect();
        let loaded = written::read(&texts);
        if let Some(problem) = loaded.diagnostics.first() {
            let what = format!("the stored declaration {} cannot be read: {}", problem.place.file, problem.message);
            return Err(Failure::new(FailureKind::Damaged, what));
        }
        let mut force = self.force.lock().await;
        let circle =
            |spec: &Spec| circle_of(spec, &loaded.specs, &force.connections).map(|why| format!("{}: {why}", spec.name));
        if let Some(why) = loaded.specs.iter().find_map(circle) {
            let what = format!("the connection files and the declarations are at odds: {why}");
            return Err(Failure::new(FailureKind::Invalid, what).help(ADVICE));
        }
        force.specs = loaded.specs;
        self.declare(&force, Author::host()).await?;
        Ok(force.specs.len())
    }

    /// Makes the declarations in force the engine's.
    pub(crate) async fn declare(&self, force: &InForce, author: Author) -> Result<(), Failure> {
        let aims = connections::aims(&force.connections);
        let unknown = Aim { target: Arc::from("unknown connection"), ..Aim::default() };
        let aim = |spec: &Spec| aims.get(&*spec.connection).unwrap_or(&unknown);
        let all = force.specs.iter().map(|spec| declared(spec, aim(spec), &force.connections));
        let all = all.collect();
        self.engine
            .declare(all, author)
            .await
            .map_err(|error| Failure::new(FailureKind::Unavailable, error.to_string()))
    }

    /// Keeps declarations in the store, then in force.
    pub(crate) async fn keep(&self, force: &mut InForce, specs: Vec<Spec>, by: &Author) -> Result<(), Failure> {
        let now = self.clock.wall();
        let kept = specs
            .iter()
            .map(|spec| Applied {
                name: spec.name.clone(),
                body: written::written(spec),
                digest: digest_of(spec),
                applied_at: now,
                by: by.clone(),
            })
            .collect();
        let is_kept = |old: &&Spec| specs.iter().any(|new| new.name == old.name);
        let gone = force.specs.iter().filter(|old| !is_kept(old)).map(|old| old.name.clone()).collect();
        self.stores.specs.apply(kept, gone).await?;
        force.specs = specs;
        self.declare(force, by.clone()).await
    }

    pub(crate) async fn connection_views(&self) -> Result<Vec<ConnectionView>, Failure> {
        let force = self.force.lock().await;
        let view = |connection: &Connection| ConnectionView {
            name: connection.name.to_string(),
            kind: connection.endpoint.kind().to_owned(),
            target: connections::target_of(connection),
            admin_from: admin_from(&connection.admin),
            namespaces: connection.allow.namespaces.iter().map(ToString::to_string).collect(),
            plugins: connection.allow.plugins.iter().map(ToString::to_string).collect(),
            used_by: force.specs.iter().filter(|spec| *spec.connection == connection.name).count() as u64,
        };
        Ok(force.connections.iter().map(view).collect())
    }

    pub(crate) async fn connection_test(&self, name: &str) -> Result<ConnectionTest, Failure> {
        let began = self.clock.wall();
        let tested = self.runtime.connections().test(name).await;
        let took_ms = self.clock.wall().since(began);
        match tested {
            None => Err(Failure::new(FailureKind::NotFound, format!("there is no connection {name}"))),
            Some(Ok(detail)) => Ok(ConnectionTest { name: name.to_owned(), works: true, detail, took_ms }),
            Some(Err(detail)) => Ok(ConnectionTest { name: name.to_owned(), works: false, detail, took_ms }),
        }
    }

    pub(crate) async fn overview_now(&self) -> Result<Overview, Failure> {
        let now = self.clock.wall().0;
        let mut standings: BTreeMap<Standing, u64> = BTreeMap::new();
        let mut oldest: Option<Overdue> = None;
        let mut query = ListQuery::default();
        loop {
            let page = self.engine.list(&query);
            let Some(last) = page.last() else { break };
            query.after = last.secret.parse().ok();
            for line in page {
                *standings.entry(Standing::from(line.standing)).or_default() += 1;
                if let Some(due_at) = line.due_at.filter(|due| *due <= now)
                    && oldest.as_ref().is_none_or(|oldest| due_at < oldest.due_at)
                {
                    oldest = Some(Overdue { secret: line.secret, due_at });
                }
            }
        }
        let epoch = self
            .stores
            .journal
            .epoch()
            .await
            .map_err(|error| Failure::new(FailureKind::Unavailable, error.to_string()))?;
        let force = self.force.lock().await;
        Ok(Overview {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            installation: self.installation.dir.display().to_string(),
            epoch: epoch.0,
            started_at: self.started_at.0,
            standings,
            oldest_overdue: oldest,
            clock_steps: self.engine.clock_steps().into_iter().map(shown).collect(),
            plugins: force.catalog.lock().entries().iter().filter(|entry| !entry.retained).count() as u64,
            connections: force.connections.len() as u64,
        })
    }
}

fn shown(step: keybaton_engine::clock::ClockStep) -> ClockStep {
    ClockStep { at: step.at.0, ago_ms: step.ago_ms, by_ms: step.by_ms, at_start: step.at_start }
}

fn admin_from(admin: &Admin) -> String {
    match admin.source() {
        Source::File(path) => format!("file {path}"),
        Source::Env(name) => format!("environment {name}"),
        Source::Systemd(name) => format!("systemd credential {name}"),
        Source::Secret(name) => format!("secret {name}"),
    }
}
