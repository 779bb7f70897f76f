//! Components added to an installation, and their approval. Nothing here runs a component.

use super::host::Host;
use keybaton_api::model::{ApproveRequest, PluginState, PluginView, SignerView};
use keybaton_api::ports::{Failure, FailureKind};
use keybaton_runtime::catalog::{
    Approval, CatalogError, Grants, Inspection, NAMESPACE, Signer, Trust, inspect, signature_beside, signer_of,
};
use keybaton_runtime::manifest::{Endpoint, Manifest};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Subdirectory of the components that were added and not yet approved.
const ADDED: &str = "added";
/// Most components that wait for approval.
const ADDED_MAX: usize = 256;

/// A component that waits for approval.
struct Added {
    at: SystemTime,
    path: PathBuf,
    bytes: Vec<u8>,
    signature: Option<Vec<u8>>,
    inspection: Inspection,
}

impl Host {
    fn added_dir(&self) -> PathBuf {
        self.installation.components().join(ADDED)
    }

    /// Keeps a component for approval, with its signature where it has one.
    pub(crate) async fn keep_component(&self, bytes: &[u8], signature: Option<&[u8]>) -> Result<PluginView, Failure> {
        let _force = self.force.lock().await;
        let inspection = inspect(bytes);
        if inspection.manifest.is_none() {
            let what = format!("this is no plugin: {}", inspection.problems.join("; "));
            return Err(Failure::new(FailureKind::Invalid, what));
        }
        let signer = signature.map(|signature| signer_of(bytes, signature)).transpose().map_err(|error| {
            let what = format!("the signature does not hold, and nothing was kept: {}", chain(&error));
            Failure::new(FailureKind::Invalid, what)
                .help(format!("have it signed by `ssh-keygen -Y sign -f KEY -n {NAMESPACE} COMPONENT`"))
        })?;
        if self.added().len() >= ADDED_MAX {
            let what = format!("{ADDED_MAX} components wait for approval already");
            return Err(Failure::new(FailureKind::Refused, what).help("approve or remove some"));
        }
        let dir = self.added_dir();
        let path = dir.join(format!("{}.wasm", hex(&inspection)));
        let kept = std::fs::create_dir_all(&dir)
            .and_then(|()| keep_signature(&path, signature))
            .and_then(|()| std::fs::write(&path, bytes));
        kept.map_err(|error| Failure::new(FailureKind::Internal, format!("cannot keep the component: {error}")))?;
        Ok(view(&inspection, PluginState::Added, signer.as_ref()))
    }

    /// Locks the digest of an added component with all that it asks for, and whose signature it and its next carry.
    pub(crate) async fn approve_component(&self, name: &str, asked: &ApproveRequest) -> Result<PluginView, Failure> {
        let trust = trust(asked)?;
        let mut force = self.force.lock().await;
        let mut candidates = self.added();
        candidates.retain(|added| {
            let named = added.inspection.manifest.as_ref().is_some_and(|manifest| manifest.name.as_str() == name);
            named && asked.digest.as_ref().is_none_or(|digest| added.inspection.digest.to_string() == *digest)
        });
        candidates.sort_by_key(|added| added.at);
        let Some(added) = candidates.pop() else {
            return Err(Failure::new(FailureKind::NotFound, format!("no component of plugin {name} was added"))
                .help("`keybaton plugin add COMPONENT` adds one"));
        };
        let mut catalog = force.catalog.clone();
        let approval = Approval { bytes: &added.bytes, signature: added.signature.as_deref(), trust, grants: None };
        let signer = catalog.approve_as(approval).map_err(|error| refused(&error))?.signer.clone();
        let saved = catalog.lock().save(&self.installation.lock());
        saved
            .map_err(|error| Failure::new(FailureKind::Internal, format!("nothing was approved: {}", chain(&error))))?;
        self.runtime.set_catalog(catalog.clone());
        force.catalog = catalog;
        let tidied = std::fs::remove_file(&added.path).and_then(|()| keep_signature(&added.path, None));
        if let Err(error) = tidied {
            tracing::warn!(path = %added.path.display(), %error, "an approved component stays among the added ones");
        }
        let grants = added.inspection.manifest.as_ref().map(Grants::all_of);
        let used_by = force.specs.iter().filter(|spec| spec.plugin.as_str() == name).count() as u64;
        let shown = view(&added.inspection, PluginState::Approved, signer.as_ref());
        Ok(PluginView { grants: grants.map(|grants| granted(&grants)).unwrap_or_default(), used_by, ..shown })
    }

    /// Everything added and approved.
    pub(crate) async fn plugin_views(&self) -> Result<Vec<PluginView>, Failure> {
        let force = self.force.lock().await;
        let mut views = Vec::new();
        for entry in force.catalog.lock().entries() {
            let path = self.installation.components().join(format!("{}.wasm", bare(&entry.digest.to_string())));
            let state = if entry.retained { PluginState::Superseded } else { PluginState::Approved };
            let read = std::fs::read(&path);
            let Ok(bytes) = read else {
                return Err(Failure::new(FailureKind::Damaged, format!("{} is locked and not there", path.display())));
            };
            let inspection = inspect(&bytes);
            let mut shown = view(&inspection, state, entry.signer.as_ref());
            shown.used_by =
                force.specs.iter().filter(|spec| *spec.plugin == entry.name && !entry.retained).count() as u64;
            shown.grants = granted(&entry.grants);
            if inspection.digest != entry.digest {
                shown.differences.push(format!("the file was changed after its approval: {}", inspection.digest));
            } else if let Err(error) = force.catalog.check_signature(entry, &bytes) {
                shown.differences.push(chain(&error));
            }
            if let Some(manifest) = &inspection.manifest {
                shown.differences.extend(entry.grants.differences(manifest));
            }
            views.push(shown);
        }
        views.extend(self.added().iter().map(Added::shown));
        Ok(views)
    }

    fn added(&self) -> Vec<Added> {
        let Ok(entries) = std::fs::read_dir(self.added_dir()) else { return Vec::new() };
        let components = entries.filter_map(Result::ok).filter(|entry| {
            let path = entry.path();
            path.extension().is_some_and(|extension| extension == "wasm")
        });
        components.filter_map(|entry| Added::read(entry.path())).collect()
    }
}

impl Added {
    fn read(path: PathBuf) -> Option<Self> {
        let at = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
        let bytes = std::fs::read(&path).ok()?;
        let signature = std::fs::read(signature_beside(&path)).ok();
        let inspection = inspect(&bytes);
        Some(Self { at, path, bytes, signature, inspection })
    }

    fn shown(&self) -> PluginView {
        let signer = self.signature.as_ref().map(|signature| signer_of(&self.bytes, signature)).transpose();
        let mut shown = view(&self.inspection, PluginState::Added, signer.as_ref().ok().and_then(Option::as_ref));
        shown.differences.extend(signer.err().map(|error| format!("its signature does not hold: {}", chain(&error))));
        shown
    }
}

/// What is kept beside a component: this signature, or none.
fn keep_signature(component: &Path, signature: Option<&[u8]>) -> std::io::Result<()> {
    let path = signature_beside(component);
    match signature {
        Some(signature) => std::fs::write(path, signature),
        None => match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

fn trust(asked: &ApproveRequest) -> Result<Trust, Failure> {
    let invalid = |what: String| Failure::new(FailureKind::Invalid, format!("{what}; nothing was approved"));
    match (&asked.signer, asked.unsigned) {
        (Some(_), true) => Err(invalid("a signer is named, and `unsigned` is said".to_owned())),
        (Some(key), false) => key.parse().map(Trust::Signer).map_err(|error| invalid(chain(&error))),
        (None, true) => Ok(Trust::Unsigned),
        (None, false) => Ok(Trust::AsLocked),
    }
}

/// Why a component was not approved, and what to do about it.
fn refused(error: &CatalogError) -> Failure {
    let failure = Failure::new(FailureKind::Refused, format!("nothing was approved: {}", chain(error)));
    match error {
        CatalogError::Unsigned { .. } => failure.help(
            "add it with its signature (`keybaton plugin add COMPONENT --signature FILE`), or say what is meant: \
             `plugin approve --signer KEY` takes another signer, `--unsigned` none",
        ),
        CatalogError::Signature { .. } => failure.help(
            "if it should be so, `plugin approve --signer KEY` takes another signer, `--unsigned` none; if not, ask \
             whoever sent it",
        ),
        _ => failure,
    }
}

/// An error with its causes, outermost first.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn bare(digest: &str) -> &str {
    digest.trim_start_matches("sha256:")
}

fn hex(inspection: &Inspection) -> String {
    bare(&inspection.digest.to_string()).to_owned()
}

/// What a component is and asks for, as people are shown it.
pub(crate) fn view(inspection: &Inspection, state: PluginState, signer: Option<&Signer>) -> PluginView {
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
        grants: Vec::new(),
        differences: inspection.problems.clone(),
        signer: signer.map(|signer| SignerView { key: signer.to_string(), fingerprint: signer.fingerprint() }),
        used_by: 0,
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
