//! The engine's port to plugins: one call, one store, one instance, one answer.

use crate::breakage;
use crate::cache::Cache;
use crate::catalog::{Catalog, CatalogError};
use crate::connection::Connections;
use crate::convert;
use crate::documents::{self, Described, Profiling};
use crate::manifest::Stage;
use crate::plugin::{LoadError, Plugin, store};
use crate::pure;
use crate::record::Ledger;
use crate::scrub::Scrubber;
use crate::setup::Machine;
use crate::state::{Business, CallState, Tried};
use async_trait::async_trait;
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::rotator::{
    CallRecorder, CallRequest, Description, Finding, Profiled, RecordError, RecordedReply, Rotator, Until,
};
use keybaton_engine::ports::secret::Seal;
use keybaton_protocol::event::{HostAnswer, Outcome};
use keybaton_protocol::fault::{Blame, FailureClass, Fault};
use keybaton_protocol::ids::{Digest, Millis, Ordinal, PluginName};
use keybaton_protocol::step::CallKind;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use wasmtime::{MemoryCreator, Store};

/// Compiled plugins kept at once.
const LOADED: usize = 64;

/// The runtime: what is approved, what is connected, and the engine that runs it.
pub struct Runtime {
    machine: Machine,
    clock: Arc<dyn Clock>,
    catalog: RwLock<Arc<Catalog>>,
    connections: Arc<Connections>,
    loaded: Mutex<HashMap<Digest, Arc<Plugin>>>,
    cache: Option<Arc<Cache>>,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// This machine cannot run components.
#[derive(Debug, thiserror::Error)]
#[error("the WebAssembly engine cannot be set up on this machine: {0}")]
pub struct SetupError(String);

impl Runtime {
    /// A runtime over these components and connections.
    ///
    /// # Errors
    /// When wasmtime cannot run here.
    pub fn new(catalog: Catalog, connections: Arc<Connections>, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        Self::on(None, catalog, connections, clock)
    }

    /// The same, with guests' linear memories made by the caller, who can look into them while they live and when they
    /// end: for tests that no secret is ever in one. The host gives none, and no option, file or variable makes it.
    ///
    /// # Errors
    /// When wasmtime cannot run here.
    pub fn with_memories(
        memories: Arc<dyn MemoryCreator>,
        catalog: Catalog,
        connections: Arc<Connections>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        Self::on(Some(memories), catalog, connections, clock)
    }

    fn on(
        memories: Option<Arc<dyn MemoryCreator>>,
        catalog: Catalog,
        connections: Arc<Connections>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        let machine = Machine::new(memories).map_err(|error| SetupError(format!("{error:#}")))?;
        let catalog = RwLock::new(Arc::new(catalog));
        Ok(Self { machine, clock, catalog, connections, loaded: Mutex::default(), cache: None })
    }

    /// Keeps compiled components there, so that the next start need not compile them.
    #[must_use]
    pub fn with_cache(mut self, cache: Cache) -> Self {
        self.cache = Some(Arc::new(cache));
        self
    }

    /// Takes over a changed lock. Calls under way keep what they began with.
    pub fn set_catalog(&self, catalog: Catalog) {
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalog);
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The connections, to be changed when their files do.
    #[must_use]
    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The plugin of a digest, compiled at its first use.
    async fn plugin(&self, digest: Digest) -> Result<Arc<Plugin>, Fault> {
        if let Some(plugin) = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(&digest) {
            return Ok(Arc::clone(plugin));
        }
        let (catalog, engine, cache) = (self.catalog(), self.machine.engine.clone(), self.cache.clone());
        let loading = tokio::task::spawn_blocking(move || {
            let (bytes, entry) = catalog.bytes(digest)?;
            Plugin::load(&engine, cache.as_deref(), &bytes, entry)
        });
        let plugin = match loading.await {
            Ok(Ok(plugin)) => Arc::new(plugin),
            Ok(Err(error)) => return Err(unloadable(&error)),
            Err(error) => return Err(host_fault("host.load", error.to_string())),
        };
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.len() >= LOADED {
            loaded.clear();
        }
        loaded.insert(digest, Arc::clone(&plugin));
        Ok(plugin)
    }

    async fn active(&self, name: &PluginName) -> Result<Arc<Plugin>, Fault> {
        let digest = self.catalog().active(name).map(|entry| entry.digest);
        self.plugin(digest.map_err(|error| unloadable(&error.into()))?).await
    }

    /// What a plugin says of itself.
    async fn described(&self, plugin: &Plugin) -> Result<Arc<Described>, Fault> {
        match plugin.said.itself() {
            Some(described) => Ok(described),
            None => Ok(plugin.said.note_itself(pure::describe(&self.machine.engine, plugin).await?)),
        }
    }

    fn ledger(&self, request: &CallRequest, recorder: Arc<dyn CallRecorder>, most: u32) -> Ledger {
        let operation = crate::catalog::digest_of(request.operation.as_str().as_bytes());
        let short: String = operation.to_string().trim_start_matches("sha256:").chars().take(16).collect();
        let prefix = format!("{}-{short}-{}", request.kind, request.attempt);
        Ledger::new(recorder, Arc::clone(&self.clock), request.deadline, prefix, most)
    }

    async fn run(&self, request: CallRequest, stage: Stage, recorder: Arc<dyn CallRecorder>) -> Result<Answer, Fault> {
        let plugin = self.plugin(request.component).await?;
        let limits = plugin.allowed.grants.limits;
        let ledger = self.ledger(&request, recorder, limits.host_calls);
        let business = Business {
            secret: request.secret.clone(),
            subject: request.generation,
            tried: Tried::default(),
            ledger: ledger.clone(),
            connections: self.connections.snapshot(),
        };
        let state = CallState::new(stage, Arc::clone(&plugin.allowed), limits, Some(business));
        let mut store =
            store(&self.machine.engine, state, limits.fuel).map_err(|e| host_fault("host.store", format!("{e:#}")))?;
        let answer = call(&plugin, &mut store, request, stage, self.clock.wall()).await;
        let state = store.data_mut();
        if state.log.dropped() > 0 {
            let (plugin, dropped) = (&plugin.allowed.manifest.name, state.log.dropped());
            tracing::warn!(%plugin, dropped, "a guest logged more than it may");
        }
        // Whatever the guest says: a mutating call left and nobody knows how it ended.
        match ledger.lost() {
            Some(lost) => Err(lost.into()),
            None => answer,
        }
    }
}

/// What a call that did not fail yields.
enum Answer {
    Outcome(Outcome),
    Findings(Vec<Finding>),
}

async fn call(
    plugin: &Plugin,
    store: &mut Store<CallState>,
    request: CallRequest,
    stage: Stage,
    began_at: Millis,
) -> Result<Answer, Fault> {
    let broke = |error: wasmtime::Error, store: &mut Store<CallState>| breakage::fault(&error, store.data_mut());
    let arguments = convert::arguments(request, began_at, store.data_mut());
    let arguments = arguments.map_err(|cause| broke(cause.into(), store))?;
    let convert::Arguments { context, target, offered, secrets } = arguments;
    macro_rules! ask {
        ($export:literal $(, $argument:expr)*) => {
            match plugin.call(store, &plugin.full, $export, (&context, &target, $($argument),*)).await {
                Err(error) => return Err(broke(error, store)),
                Ok((Err(failure),)) => return Err(failed(failure, store)),
                Ok((Ok(answer),)) => answer,
            }
        };
    }
    let kind = match stage {
        Stage::Preflight => {
            let findings = ask!("preflight", &secrets);
            return convert::findings(findings, &mut store.data_mut().scrubber).map(Answer::Findings);
        }
        Stage::Call(kind) => kind,
        Stage::Pure => return Err(host_fault("host.stage", "a pure export has no business".to_owned())),
    };
    let outcome = match kind {
        CallKind::Observe => {
            let observed = ask!("observe", &secrets);
            convert::observed(observed, began_at, store.data_mut())
        }
        CallKind::Create => {
            let created = ask!("create", &offered, &secrets);
            convert::created(created, store.data_mut())
        }
        CallKind::Verify => convert::verdict(ask!("verify", &secrets), store.data_mut()),
        CallKind::Install => convert::facts(ask!("install", &secrets), store.data_mut()),
        CallKind::Promote => convert::facts(ask!("promote", &secrets), store.data_mut()),
        CallKind::Disable => convert::facts(ask!("disable", &secrets), store.data_mut()),
        CallKind::Enable => convert::facts(ask!("enable", &secrets), store.data_mut()),
        CallKind::Destroy => convert::facts(ask!("destroy", &secrets), store.data_mut()),
    };
    outcome.map(Answer::Outcome)
}

fn failed(failure: crate::bindings::keybaton::rotator::types::Failure, store: &mut Store<CallState>) -> Fault {
    let state = store.data_mut();
    let ledger = state.business.as_ref().map(|business| business.ledger.clone());
    convert::failure(failure, ledger.as_ref(), &mut state.scrubber)
}

fn host_fault(code: &str, message: String) -> Fault {
    Fault { class: FailureClass::Retryable, blame: Blame::Host, code: code.to_owned(), message, retry_after_ms: None }
}

/// A plugin that does not load. An approved one that contradicts itself is the guest's; the rest is the operator's.
fn unloadable(error: &LoadError) -> Fault {
    let (code, blame) = match error {
        LoadError::Catalog(CatalogError::Unknown(_) | CatalogError::Unlocked(_)) => {
            ("plugin.not-approved", Blame::Operator)
        }
        LoadError::Catalog(CatalogError::BelowFloor { .. }) => ("plugin.below-floor", Blame::Operator),
        LoadError::Catalog(CatalogError::Changed { .. }) => ("plugin.changed", Blame::Operator),
        LoadError::Catalog(CatalogError::File { .. }) => ("plugin.file", Blame::Host),
        LoadError::Catalog(
            CatalogError::Unsigned { .. } | CatalogError::SignatureGone { .. } | CatalogError::Signature { .. },
        ) => ("plugin.signature", Blame::Operator),
        LoadError::Catalog(CatalogError::Disagrees { .. }) | LoadError::Link { .. } => {
            ("plugin.disagrees", Blame::Guest)
        }
    };
    let message = crate::capabilities::chain(error);
    Fault { class: FailureClass::Permanent, blame, code: code.to_owned(), message, retry_after_ms: None }
}

/// For `preflight`, which changes nothing and so leaves nothing behind.
struct Unrecorded;

#[async_trait]
impl CallRecorder for Unrecorded {
    async fn recorded(&self, _: Ordinal, _: Digest) -> Result<Option<RecordedReply>, RecordError> {
        Ok(None)
    }

    async fn sent(&self, _: Ordinal, _: Digest, _: u64, _: &str) -> Result<(), RecordError> {
        Err(RecordError::Unavailable("a call that is not recorded must not change the target".to_owned()))
    }

    async fn answered(
        &self,
        _: Ordinal,
        _: Digest,
        _: HostAnswer,
        _: Vec<u8>,
        _: Vec<Seal>,
        _: Until,
    ) -> Result<(), RecordError> {
        Ok(())
    }
}

#[async_trait]
impl Rotator for Runtime {
    async fn describe(&self, name: &PluginName) -> Result<Description, Fault> {
        let plugin = self.active(name).await?;
        let described = self.described(&plugin).await?;
        let (name, component) = (plugin.allowed.manifest.name.clone(), plugin.digest);
        let settings_schema = described.settings_schema.to_string();
        Ok(Description { name, component, settings_schema, summary: described.summary.clone() })
    }

    async fn profile(&self, name: &PluginName, settings: &str) -> Result<Profiled, Fault> {
        let plugin = self.active(name).await?;
        let component = plugin.digest;
        if let Some(Profiling { profile, claims }) = plugin.said.profile(settings) {
            return Ok(Profiled { profile, component, claims });
        }
        let text = pure::profile(&self.machine.engine, &plugin, settings).await?;
        let answer = documents::profile(&text)
            .map_err(|why| convert::broken("guest.encoding", format!("`profile` answered what it must not: {why}")))?;
        plugin.said.note_profile(settings, &answer);
        let Profiling { profile, claims } = answer;
        Ok(Profiled { profile, component, claims })
    }

    async fn validate(&self, name: &PluginName, settings: &str) -> Result<Vec<Finding>, Fault> {
        let plugin = self.active(name).await?;
        if let Some(findings) = plugin.said.findings(settings) {
            return Ok(findings);
        }
        let described = self.described(&plugin).await?;
        let findings = pure::against_schema(&described.settings_schema, settings);
        if !findings.is_empty() {
            return Ok(findings);
        }
        let findings = pure::validate(&self.machine.engine, &plugin, settings).await?;
        let findings = convert::findings(findings, &mut Scrubber::default())?;
        plugin.said.note_findings(settings, &findings);
        Ok(findings)
    }

    async fn preflight(&self, request: CallRequest) -> Result<Vec<Finding>, Fault> {
        match self.run(request, Stage::Preflight, Arc::new(Unrecorded)).await? {
            Answer::Findings(findings) => Ok(findings),
            Answer::Outcome(_) => Err(host_fault("host.stage", "preflight answered as another export".to_owned())),
        }
    }

    async fn call(&self, request: CallRequest, recorder: Arc<dyn CallRecorder>) -> Outcome {
        let stage = Stage::Call(request.kind);
        match self.run(request, stage, recorder).await {
            Ok(Answer::Outcome(outcome)) => outcome,
            Ok(Answer::Findings(_)) => Outcome::Failed(host_fault("host.stage", "findings of no preflight".to_owned())),
            Err(fault) => Outcome::Failed(fault),
        }
    }
}
