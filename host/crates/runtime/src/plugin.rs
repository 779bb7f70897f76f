//! A loaded plugin: compiled once for its digest, linked with exactly what it was granted.

use crate::bindings::PluginWithRevealPre;
use crate::bindings::keybaton::rotator as wire;
use crate::cache::Cache;
use crate::catalog::{CatalogError, Entry, inspect};
use crate::manifest::CONTRACT;
use crate::said::Said;
use crate::state::{Allowed, CallState};
use keybaton_protocol::ids::{Digest, PluginName};
use std::collections::HashMap;
use std::sync::Arc;
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, HasSelf, InstancePre, Lift, Linker, Lower,
};
use wasmtime::{Engine, Store};

/// Why a plugin does not load.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The catalog does not give it out.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// It was approved, but this host cannot link it.
    #[error("{name} cannot be linked: {detail}")]
    Link {
        /// The plugin.
        name: PluginName,
        /// What wasmtime said.
        detail: String,
    },
}

/// A plugin ready to be called. Each call gets a store and an instance of its own.
pub(crate) struct Plugin {
    pub(crate) digest: Digest,
    pub(crate) allowed: Arc<Allowed>,
    /// With the granted interfaces.
    pub(crate) full: InstancePre<CallState>,
    /// With the log alone; everything else traps.
    pub(crate) pure: InstancePre<CallState>,
    pub(crate) said: Said,
    exports: HashMap<&'static str, ComponentExportIndex>,
}

/// What every plugin exports, by the contract's names.
const EXPORTS: [&str; 12] = [
    "describe",
    "profile",
    "validate",
    "preflight",
    "observe",
    "create",
    "install",
    "verify",
    "promote",
    "disable",
    "enable",
    "destroy",
];

impl Plugin {
    /// Compiles and links approved bytes.
    pub(crate) fn load(engine: &Engine, cache: Option<&Cache>, bytes: &[u8], entry: &Entry) -> Result<Self, LoadError> {
        let inspection = inspect(bytes);
        let mut problems = inspection.problems;
        let Some(manifest) = inspection.manifest else {
            return Err(CatalogError::Disagrees { name: entry.name.clone(), problems }.into());
        };
        problems.extend(entry.grants.differences(&manifest));
        if manifest.name != entry.name || manifest.version != entry.version {
            let (is, was) = (&manifest, &entry);
            problems.push(format!("it is {} {}, the lock says {} {}", is.name, is.version, was.name, was.version));
        }
        if !problems.is_empty() {
            return Err(CatalogError::Disagrees { name: entry.name.clone(), problems }.into());
        }
        let failed =
            |error: wasmtime::Error| LoadError::Link { name: entry.name.clone(), detail: format!("{error:#}") };
        let component = match cache {
            Some(cache) => cache.component(engine, entry.digest, bytes),
            None => Component::new(engine, bytes),
        };
        let component = component.map_err(failed)?;
        let full = granted(engine, &entry.grants.imports).and_then(|linker| linker.instantiate_pre(&component));
        let full = full.map_err(failed)?;
        // That all exports are there and of the contract's types is checked here, once.
        PluginWithRevealPre::new(full.clone()).map_err(failed)?;
        let exports = exports(&component).map_err(failed)?;
        let pure = pure(engine, &component).map_err(failed)?;
        let allowed = Arc::new(Allowed { manifest, grants: entry.grants.clone() });
        Ok(Self { digest: entry.digest, allowed, full, pure, said: Said::default(), exports })
    }

    /// Calls one export of a fresh instance. Only that one is looked up: the generated bindings would want all resources
    /// linked, and would look up and check all of them anew for each call.
    pub(crate) async fn call<P, R>(
        &self,
        store: &mut Store<CallState>,
        linked: &InstancePre<CallState>,
        export: &str,
        arguments: P,
    ) -> wasmtime::Result<R>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let export = self.exports.get(export).ok_or_else(|| missing(export))?;
        let instance = linked.instantiate_async(&mut *store).await?;
        instance.get_typed_func::<P, R>(&mut *store, export)?.call_async(&mut *store, arguments).await
    }
}

/// Where each export of the contract is in the component.
fn exports(component: &Component) -> wasmtime::Result<HashMap<&'static str, ComponentExportIndex>> {
    let interface = format!("keybaton:rotator/rotator@{CONTRACT}");
    let interface = component.get_export_index(None, &interface).ok_or_else(|| missing(&interface))?;
    let index = |name| component.get_export_index(Some(&interface), name).ok_or_else(|| missing(name));
    EXPORTS.into_iter().map(|name| Ok((name, index(name)?))).collect()
}

fn missing(export: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the export `{export}` is missing"))
}

type This = HasSelf<CallState>;

/// A linker with the granted interfaces and nothing else.
fn granted(engine: &Engine, imports: &std::collections::BTreeSet<String>) -> wasmtime::Result<Linker<CallState>> {
    let mut linker = Linker::new(engine);
    wire::types::add_to_linker::<_, This>(&mut linker, |state| state)?;
    for import in imports {
        match import.as_str() {
            "secrets" => wire::secrets::add_to_linker::<_, This>(&mut linker, |state| state)?,
            "keygen" => wire::keygen::add_to_linker::<_, This>(&mut linker, |state| state)?,
            "sql" => wire::sql::add_to_linker::<_, This>(&mut linker, |state| state)?,
            "http" => wire::http::add_to_linker::<_, This>(&mut linker, |state| state)?,
            "log" => wire::log::add_to_linker::<_, This>(&mut linker, |state| state)?,
            "reveal" => wire::reveal::add_to_linker::<_, This>(&mut linker, |state| state)?,
            other => wasmtime::bail!("there is no interface `{other}`"),
        }
    }
    Ok(linker)
}

/// For exports that are pure: a call of anything but the log traps.
fn pure(engine: &Engine, component: &Component) -> wasmtime::Result<InstancePre<CallState>> {
    let mut linker = Linker::new(engine);
    wire::log::add_to_linker::<_, This>(&mut linker, |state| state)?;
    linker.define_unknown_imports_as_traps(component)?;
    linker.instantiate_pre(component)
}

/// A store for one call.
pub(crate) fn store(engine: &Engine, state: CallState, fuel: u64) -> wasmtime::Result<Store<CallState>> {
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.meter);
    store.set_fuel(fuel)?;
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    store.set_hostcall_fuel(crate::limits::TRANSFER_BYTES);
    store.set_max_component_handles(crate::limits::HANDLES * 2);
    Ok(store)
}
