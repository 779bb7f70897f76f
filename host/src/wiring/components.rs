//! Components added to an installation, and their approval. Nothing here runs a component.

use super::host::Host;
use keybaton_api::model::{PluginState, PluginView};
use keybaton_api::ports::{Failure, FailureKind};
use keybaton_runtime::catalog::{Grants, Inspection, inspect};
use keybaton_runtime::manifest::{Endpoint, Manifest};
use std::path::PathBuf;
use std::time::SystemTime;

/// Subdirectory of the components that were added and not yet approved.
const ADDED: &str = "added";
/// Most components that wait for approval.
const ADDED_MAX: usize = 256;

impl Host {
    fn added_dir(&self) -> PathBuf {
        self.installation.components().join(ADDED)
    }

    /// Keeps a component for approval.
    pub(crate) async fn keep_component(&self, bytes: &[u8]) -> Result<PluginView, Failure> {
        let _force = self.force.lock().await;
        let inspection = inspect(bytes);
        if inspection.manifest.is_none() {
            let what = format!("this is no plugin: {}", inspection.problems.join("; "));
            return Err(Failure::new(FailureKind::Invalid, what));
        }
        if self.added().len() >= ADDED_MAX {
            let what = format!("{ADDED_MAX} components wait for approval already");
            return Err(Failure::new(FailureKind::Refused, what).help("approve or remove some"));
        }
        let dir = self.added_dir();
        let name = format!("{}.wasm", inspection.digest.to_string().trim_start_matches("sha256:"));
        let kept = std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(dir.join(name), bytes));
        kept.map_err(|error| Failure::new(FailureKind::Internal, format!("cannot keep the component: {error}")))?;
        Ok(view(&inspection, PluginState::Added, Vec::new(), 0))
    }

    /// Locks the digest of an added component with all that it asks for.
    pub(crate) async fn approve_component(&self, name: &str, digest: Option<&str>) -> Result<PluginView, Failure> {
        let mut force = self.force.lock().await;
        let mut candidates = self.added();
        candidates.retain(|(_, _, inspection)| {
            let named = inspection.manifest.as_ref().is_some_and(|manifest| manifest.name.as_str() == name);
            named && digest.is_none_or(|digest| inspection.digest.to_string() == digest)
        });
        candidates.sort_by_key(|(at, _, _)| *at);
        let Some((_, bytes, inspection)) = candidates.pop() else {
            return Err(Failure::new(FailureKind::NotFound, format!("no component of plugin {name} was added"))
                .help("`keybaton plugin add COMPONENT` adds one"));
        };
        let mut catalog = force.catalog.clone();
        let refused = |error: &dyn std::fmt::Display| Failure::new(FailureKind::Refused, error.to_string());
        catalog.approve(&bytes, None).map_err(|error| refused(&error))?;
        catalog.lock().save(&self.installation.lock()).map_err(|error| refused(&error))?;
        self.runtime.set_catalog(catalog.clone());
        force.catalog = catalog;
        let stale = self.added_dir().join(format!("{}.wasm", hex(&inspection)));
        if let Err(error) = std::fs::remove_file(&stale) {
            tracing::warn!(path = %stale.display(), %error, "an approved component stays among the added ones");
        }
        let grants =
            inspection.manifest.as_ref().map(Grants::all_of).map(|grants| granted(&grants)).unwrap_or_default();
        let used = force.specs.iter().filter(|spec| spec.plugin.as_str() == name).count() as u64;
        Ok(view(&inspection, PluginState::Approved, grants, used))
    }

    /// Everything added and approved.
    pub(crate) async fn plugin_views(&self) -> Result<Vec<PluginView>, Failure> {
        let force = self.force.lock().await;
        let mut views = Vec::new();
        for entry in force.catalog.lock().entries() {
            let path = self.installation.components().join(format!("{}.wasm", bare(&entry.digest.to_string())));
            let used = force.specs.iter().filter(|spec| *spec.plugin == entry.name && !entry.retained).count() as u64;
            let state = if entry.retained { PluginState::Superseded } else { PluginState::Approved };
            let read = std::fs::read(&path);
            let Ok(bytes) = read else {
                return Err(Failure::new(FailureKind::Damaged, format!("{} is locked and not there", path.display())));
            };
            let inspection = inspect(&bytes);
            let mut shown = view(&inspection, state, granted(&entry.grants), used);
            if inspection.digest != entry.digest {
                shown.differences.push(format!("the file was changed after its approval: {}", inspection.digest));
            }
            if let Some(manifest) = &inspection.manifest {
                shown.differences.extend(entry.grants.differences(manifest));
            }
            views.push(shown);
        }
        let waiting = self.added();
        views.extend(waiting.iter().map(|(_, _, found)| view(found, PluginState::Added, Vec::new(), 0)));
        Ok(views)
    }

    fn added(&self) -> Vec<(SystemTime, Vec<u8>, Inspection)> {
        let Ok(entries) = std::fs::read_dir(self.added_dir()) else { return Vec::new() };
        let read = |entry: std::fs::DirEntry| {
            let at = entry.metadata().and_then(|metadata| metadata.modified()).ok()?;
            let bytes = std::fs::read(entry.path()).ok()?;
            let inspection = inspect(&bytes);
            Some((at, bytes, inspection))
        };
        entries.filter_map(Result::ok).filter_map(read).collect()
    }
}

fn bare(digest: &str) -> &str {
    digest.trim_start_matches("sha256:")
}

fn hex(inspection: &Inspection) -> String {
    bare(&inspection.digest.to_string()).to_owned()
}

/// What a component is and asks for, as people are shown it.
pub(crate) fn view(inspection: &Inspection, state: PluginState, grants: Vec<String>, used_by: u64) -> PluginView {
    let manifest = inspection.manifest.as_ref();
    let text = |read: fn(&Manifest) -> String| manifest.map(read).unwrap_or_default();
    PluginView {
        name: text(|manifest| manifest.name.to_string()),
        version: text(|manifest| manifest.version.to_string()),
        contract: text(|manifest| manifest.contract.clone()),
        digest: inspection.digest.to_string(),
        state,
        summary: text(|manifest| manifest.summary.clone()),
        asks: manifest.map(asks).unwrap_or_default(),
        grants,
        differences: inspection.problems.clone(),
        used_by,
    }
}

fn asks(manifest: &Manifest) -> Vec<String> {
    let interfaces = manifest.imports.iter().map(|name| format!("interface {name}"));
    let templates = manifest.templates.iter().map(|template| {
        let changes = if template.permit.mutates { ", changes the target" } else { "" };
        format!("statement {} (as {}{changes}): {}", template.permit.name, template.permit.acting, template)
    });
    let endpoints = manifest.endpoints.iter().map(|endpoint| {
        let changes = if endpoint.permit.mutates { ", changes the target" } else { "" };
        let captures = if endpoint.captures.is_empty() {
            String::new()
        } else {
            format!(", captures {}", endpoint.captures.join(", "))
        };
        let Endpoint { permit, method, path, .. } = endpoint;
        format!("endpoint {} (as {}{changes}{captures}): {method} {path}", permit.name, permit.acting)
    });
    interfaces.chain(templates).chain(endpoints).collect()
}

fn granted(grants: &Grants) -> Vec<String> {
    let interfaces = grants.imports.iter().map(|name| format!("interface {name}"));
    let templates = grants.templates.iter().map(|name| format!("statement {name}"));
    let endpoints = grants.endpoints.iter().map(|name| format!("endpoint {name}"));
    interfaces.chain(templates).chain(endpoints).collect()
}
