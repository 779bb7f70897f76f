//! A look at the target before anything starts: is it reachable, permitted, and as keybaton left it. Changes nothing, and
//! is not journalled. Of one secret alone: it holds nothing that others wait for but their connection's limit of calls.

use crate::actor::known_at;
use crate::board::SecretId;
use crate::call::unseal;
use crate::consumers::look;
use crate::error::EngineError;
use crate::ports::rotator::{CallRequest, Finding};
use crate::shared::Shared;
use keybaton_protocol::fault::{FailureClass, Fault};
use keybaton_protocol::ids::{Digest, Generation, Place, PluginName, SecretName};
use keybaton_protocol::step::CallKind;
use std::sync::Arc;

/// What is to be looked at.
pub(crate) struct Subject<'a> {
    pub(crate) secret: &'a SecretName,
    /// Where it has a journal: what it knows is told to the plugin, so that it does not take keybaton's own credential
    /// for a stranger's.
    pub(crate) journalled: Option<SecretId>,
    pub(crate) plugin: &'a PluginName,
    pub(crate) component: Digest,
    pub(crate) connection: &'a str,
    pub(crate) target: &'a str,
    pub(crate) settings: &'a str,
    pub(crate) timeout_ms: u64,
}

/// The plugin's findings at one place, or why it could not look. The outer error is the store's or the engine's.
pub(crate) async fn preflight(
    shared: &Arc<Shared>,
    subject: &Subject<'_>,
    place: &Place,
) -> Result<Result<Vec<Finding>, Fault>, EngineError> {
    let (known, wanted) = match subject.journalled {
        None => (Vec::new(), Vec::new()),
        Some(id) => {
            let place = place.clone();
            look(shared, id, move |secret, _| {
                let held = secret.generations().values().filter(|it| it.known() && !it.removed());
                let fields = held
                    .flat_map(|it| it.fields().iter().map(|(field, label)| (it.number, field.clone(), label.clone())));
                (known_at(secret, &place), fields.collect())
            })
            .await?
        }
    };
    let _leave = shared.limits.enter(subject.connection).await;
    let values = unseal(shared, subject.secret, wanted).await?;
    let request = CallRequest {
        secret: subject.secret.clone(),
        rotation: None,
        plugin: subject.plugin.clone(),
        component: subject.component,
        kind: CallKind::Observe,
        generation: Generation(0),
        id: None,
        operation: "plan".parse().expect("a constant that follows the grammar"),
        attempt: 1,
        deadline: shared.wall().plus(subject.timeout_ms),
        target: subject.target.to_owned(),
        place: place.clone(),
        settings: subject.settings.to_owned(),
        known,
        values,
        offered: Vec::new(),
    };
    Ok(shared.rotator.preflight(request).await)
}

/// Whether no call can come to anything, whatever the target would say: no such plugin, or nothing that it may do.
pub(crate) fn is_certain(fault: &Fault) -> bool {
    fault.class == FailureClass::Denied || fault.code.starts_with("plugin.")
}
