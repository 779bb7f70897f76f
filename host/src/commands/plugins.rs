//! `plugin`: add, approve, list, inspect, pack. `inspect` and `pack` need no host, and run nothing of a component.

use crate::cli::{Common, PluginArgs, PluginCommand};
use crate::client::Client;
use crate::commands::on_tokio;
use crate::commands::plugin_view::in_full;
use crate::exit::{Context, Exit, Failure};
use crate::output::{Output, Tone, paint};
use crate::wiring::components;
use keybaton_api::model::{ApproveRequest, PluginState, PluginView, Plugins};
use keybaton_protocol::fault::Blame;
use keybaton_runtime::catalog::{inspect, signature_beside, signer_of};
use keybaton_runtime::limits::SIGNATURE_BYTES;
use keybaton_runtime::pack::pack;
use std::path::{Path, PathBuf};

/// Runs a `plugin` command.
pub(crate) fn run(common: &Common, output: &Output, asked: PluginArgs) -> Result<Exit, Failure> {
    match asked.command {
        PluginCommand::Pack { module, manifest, output: to } => packed(output, &module, &manifest, &to),
        PluginCommand::Inspect { component, signature } => inspected(output, &component, signature),
        PluginCommand::Add { component, signature } => {
            let bytes = read(&component)?;
            let signature = signature_of(&component, signature)?;
            let added: PluginView =
                on_tokio(async { Client::new(common)?.add_component(bytes, signature.as_deref()).await })?;
            output.result(&added, |output, added| {
                output.line(in_full(added));
                if added.differences.is_empty() {
                    output.note(format!("`keybaton plugin approve {}` grants this and locks the digest", added.name));
                }
            });
            Ok(Exit::Done)
        }
        PluginCommand::Approve { name, digest, signer, unsigned } => {
            let request = ApproveRequest { digest, signer: signer.map(key).transpose()?, unsigned };
            let path = format!("/v1/plugins/{name}/approve");
            let approved: PluginView = on_tokio(async { Client::new(common)?.post(&path, &request).await })?;
            output.result(&approved, |output, approved| {
                output.line(format!("{} {} {}", paint(Tone::Good, "approved"), approved.name, approved.digest));
                if let Some(signer) = &approved.signer {
                    output.note(format!("its next version must be signed by {}, too", signer.fingerprint));
                }
            });
            Ok(Exit::Done)
        }
        PluginCommand::List => {
            let all: Plugins = on_tokio(async { Client::new(common)?.get("/v1/plugins").await })?;
            output.result(&all, table);
            Ok(Exit::Done)
        }
    }
}

fn table(output: &Output, all: &Plugins) {
    let mut table = output.table(&["plugin", "version", "state", "digest", "signer", "used by", "summary"]);
    for one in &all.plugins {
        let digest: String = one.digest.chars().take(19).collect();
        let signer = one.signer.as_ref().map_or("-", |signer| signer.fingerprint.as_str());
        let used_by = one.used_by.to_string();
        table.add_row([&one.name, &one.version, state(one.state), &digest, signer, &used_by, &one.summary]);
    }
    output.line(table.to_string());
}

fn state(state: PluginState) -> &'static str {
    match state {
        PluginState::Added => "added",
        PluginState::Approved => "approved",
        PluginState::Superseded => "superseded",
    }
}

fn packed(output: &Output, module: &Path, manifest: &Path, to: &Path) -> Result<Exit, Failure> {
    let text =
        std::fs::read_to_string(manifest).failed(Exit::Invalid, format!("cannot read {}", manifest.display()))?;
    let (component, inspection) = pack(&read(module)?, &text)
        .failed(Exit::Invalid, format!("{} was not packed", module.display()))
        .map_err(|failure| failure.blame(Blame::Guest))?;
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).failed(Exit::Failed, format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(to, &component).failed(Exit::Failed, format!("cannot write {}", to.display()))?;
    let made =
        serde_json::json!({ "component": to, "digest": inspection.digest.to_string(), "bytes": component.len() });
    output.result(&made, |output, _| {
        output.line(format!(
            "{} {} ({} bytes, {})",
            paint(Tone::Good, "packed"),
            to.display(),
            component.len(),
            inspection.digest
        ));
    });
    Ok(Exit::Done)
}

fn inspected(output: &Output, component: &Path, signature: Option<PathBuf>) -> Result<Exit, Failure> {
    let bytes = read(component)?;
    let inspection = inspect(&bytes);
    let signature = signature_of(component, signature)?;
    let signer = signature.map(|signature| signer_of(&bytes, &signature)).transpose();
    let mut shown = components::view(&inspection, PluginState::Added, signer.as_ref().ok().and_then(Option::as_ref));
    if let Err(error) = &signer {
        shown.differences.push(format!("its signature does not hold: {}", components::chain(error)));
    }
    output.result(&shown, |output, shown| {
        output.line(in_full(shown));
        output.line(String::new());
        for (what, list) in [("imports", &inspection.imports), ("exports", &inspection.exports)] {
            let list = if list.is_empty() { "nothing".to_owned() } else { list.join(", ") };
            output.line(format!("  {what:<10}  {list}"));
        }
        output.line(format!("  size        {} bytes", inspection.bytes));
    });
    Ok(if shown.differences.is_empty() { Exit::Done } else { Exit::Invalid })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).failed(Exit::Invalid, format!("cannot read {}", path.display()))
}

/// The signature that was named, or the one that lies beside the component.
fn signature_of(component: &Path, named: Option<PathBuf>) -> Result<Option<Vec<u8>>, Failure> {
    let (path, must) = match named {
        Some(path) => (path, true),
        None => (signature_beside(component), false),
    };
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must => Ok(None),
        Ok(found) if found.len() > SIGNATURE_BYTES as u64 => {
            let what = format!("{} is no signature: it has {} bytes", path.display(), found.len());
            Err(Failure::new(Exit::Invalid, what))
        }
        _ => read(&path).map(Some),
    }
}

/// A public key as it was typed, or out of its file. A key has a space in it, after its type.
fn key(text: String) -> Result<String, Failure> {
    if text.trim().contains(' ') {
        return Ok(text);
    }
    let read = std::fs::read_to_string(&text);
    read.map(|key| key.trim().to_owned())
        .failed(Exit::Invalid, format!("cannot read the key in {text}"))
        .map_err(|failure| failure.help("`--signer` takes a public key in quotes (\"ssh-ed25519 AAAA…\") or its file"))
}
