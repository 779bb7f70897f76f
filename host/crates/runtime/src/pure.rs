//! The exports that touch nothing: `describe`, `profile`, `validate`. Run with the log linked and everything else a trap.

use crate::bindings::exports::keybaton::rotator::rotator::Finding as WireFinding;
use crate::bindings::keybaton::rotator::types::Failure;
use crate::breakage;
use crate::convert::{self, broken};
use crate::documents::{self, Described};
use crate::limits;
use crate::manifest::Stage;
use crate::plugin::{Plugin, store};
use crate::state::CallState;
use keybaton_engine::ports::rotator::Finding;
use keybaton_protocol::fault::Fault;
use std::sync::Arc;
use wasmtime::component::{ComponentNamedList, Lift, Lower};
use wasmtime::{Engine, Store};

/// What the plugin says of itself, held against its manifest.
pub(crate) async fn describe(engine: &Engine, plugin: &Plugin) -> Result<Described, Fault> {
    let (text,): (String,) = run(engine, plugin, "describe", ()).await?.0;
    let wrong = |why: String| broken("guest.encoding", format!("`describe` answered what it must not: {why}"));
    bounded(&text, "describe")?;
    let described = documents::described(&text).map_err(wrong)?;
    let manifest = &plugin.allowed.manifest;
    if described.name != manifest.name.as_str() || described.version != manifest.version.to_string() {
        let (name, version) = (limits::cut(&described.name, 64), limits::cut(&described.version, 40));
        return Err(wrong(format!(
            "it says `{}` {}, its manifest `{}` {}",
            name.escape_debug(),
            version.escape_debug(),
            manifest.name,
            manifest.version
        )));
    }
    Ok(described)
}

/// What the target can do under these settings, as JSON.
pub(crate) async fn profile(engine: &Engine, plugin: &Plugin, settings: &str) -> Result<String, Fault> {
    let (answer, mut store) = run::<_, (Result<String, Failure>,)>(engine, plugin, "profile", (settings,)).await?;
    let text = answer.0.map_err(|failure| convert::failure(failure, None, &mut store.data_mut().scrubber))?;
    bounded(&text, "profile")?;
    Ok(text)
}

/// What the plugin says of settings that match its schema.
pub(crate) async fn validate(engine: &Engine, plugin: &Plugin, settings: &str) -> Result<Vec<WireFinding>, Fault> {
    let (answer, mut store) =
        run::<_, (Result<Vec<WireFinding>, Failure>,)>(engine, plugin, "validate", (settings,)).await?;
    answer.0.map_err(|failure| convert::failure(failure, None, &mut store.data_mut().scrubber))
}

fn bounded(text: &str, export: &str) -> Result<(), Fault> {
    if text.len() > limits::DOCUMENT_BYTES {
        return Err(broken("guest.size", format!("`{export}` answered more than {} bytes", limits::DOCUMENT_BYTES)));
    }
    Ok(())
}

/// Where settings do not match the schema.
pub(crate) fn against_schema(schema: &serde_json::Value, settings: &str) -> Vec<Finding> {
    let fatal = |path: String, message: String| Finding { path, message, fatal: true };
    let settings: serde_json::Value = match serde_json::from_str(settings) {
        Ok(settings) => settings,
        Err(error) => return vec![fatal(String::new(), format!("the settings are no JSON: {error}"))],
    };
    match jsonschema::validator_for(schema) {
        Ok(validator) => validator
            .iter_errors(&settings)
            .take(limits::LIST_ENTRIES)
            .map(|error| {
                let message = error.to_string();
                fatal(error.instance_path().to_string(), limits::cut(&message, limits::MESSAGE_BYTES).to_owned())
            })
            .collect(),
        Err(error) => vec![fatal(String::new(), format!("the plugin's schema cannot be used: {error}"))],
    }
}

async fn run<P, R>(engine: &Engine, plugin: &Plugin, export: &str, arguments: P) -> Result<(R, Store<CallState>), Fault>
where
    P: ComponentNamedList + Lower + Send + Sync,
    R: ComponentNamedList + Lift + Send + Sync + 'static,
{
    let limits = plugin.allowed.grants.limits;
    let state = CallState::new(Stage::Pure, Arc::clone(&plugin.allowed), limits, None);
    let mut store = store(engine, state, limits.fuel).map_err(|error| broken("host.store", format!("{error:#}")))?;
    match plugin.call(&mut store, &plugin.pure, export, arguments).await {
        Ok(answer) => Ok((answer, store)),
        Err(error) => Err(breakage::fault(&error, store.data_mut())),
    }
}
