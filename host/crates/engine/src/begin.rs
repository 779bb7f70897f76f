//! The one door through which rotations start: asks the plugin, pins what the rotation runs on, asks the protocol.

use crate::actor::{Asked, Item};
use crate::board::{SecretId, Spec};
use crate::engine::Import;
use crate::error::EngineError;
use crate::ports::rotator::{Finding, Profiled};
use crate::ports::secret::Seal;
use crate::scheduler::StartPermit;
use crate::shared::Shared;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::{Minted, Pins};
use keybaton_protocol::ids::{Author, RotationId, SealLabel, SecretName, Seq};
use keybaton_protocol::step::PlanKind;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Starts a rotation of an `issue`, `rotate` or `retire` plan.
pub(crate) async fn begin(
    shared: &Arc<Shared>,
    id: SecretId,
    kind: PlanKind,
    cause: &str,
    author: Author,
    permit: Option<StartPermit>,
) -> Result<RotationId, EngineError> {
    let (name, spec) = declared(shared, id)?;
    if kind == PlanKind::Adopt {
        let reason = "a credential that exists is taken over by an import".to_owned();
        return Err(EngineError::Refused { secret: (*name).clone(), code: "invalid", reason });
    }
    let pins = Box::new(pins(shared, &name, &spec).await?);
    let rotation = draw(shared);
    let command = Command::Start { rotation: rotation.clone(), kind, cause: cause.to_owned(), author, pins };
    ask(shared, id, command, Vec::new(), permit).await?;
    Ok(rotation)
}

/// Takes over a credential that exists.
pub(crate) async fn import(shared: &Arc<Shared>, id: SecretId, import: Import) -> Result<RotationId, EngineError> {
    let (name, spec) = declared(shared, id)?;
    let pins = Box::new(pins(shared, &name, &spec).await?);
    let rotation = draw(shared);
    let mut fields = Vec::with_capacity(import.fields.len());
    let mut supplied = Vec::with_capacity(import.fields.len());
    for (field, bytes) in import.fields {
        let label: SealLabel = format!("import/{field}").parse().map_err(|_| EngineError::Refused {
            secret: (*name).clone(),
            code: "invalid",
            reason: format!("`{field}` is not a field name: printable ASCII without a space, 120 characters at most"),
        })?;
        fields.push((field, label.clone()));
        supplied.push(Seal { label, bytes });
    }
    let minted = Minted { id: import.id, attributes: import.attributes, facts: Vec::new(), fields };
    let command =
        Command::Import { rotation: rotation.clone(), minted, slot: import.slot, author: import.author, pins };
    ask(shared, id, command, supplied, None).await?;
    Ok(rotation)
}

/// Puts a command to a secret's actor and waits for it to be durable.
pub(crate) async fn ask(
    shared: &Arc<Shared>,
    id: SecretId,
    command: Command,
    supplied: Vec<Seal>,
    permit: Option<StartPermit>,
) -> Result<Seq, EngineError> {
    let (done, told) = oneshot::channel();
    let asked = Asked { command, supplied, permit, done: Some(done) };
    shared.ask(id, Item::Command(asked))?;
    told.await.unwrap_or(Err(EngineError::Stopping))
}

fn declared(shared: &Shared, id: SecretId) -> Result<(Arc<SecretName>, Arc<Spec>), EngineError> {
    let board = shared.board();
    let cell = board.cell(id);
    let name = Arc::clone(&cell.name);
    let spec = cell.spec.clone().ok_or_else(|| EngineError::Unmanaged((*name).clone()))?;
    if board.is_frozen(id) {
        let reason = "its host, namespace, connection or plugin is frozen; thaw it first".to_owned();
        return Err(EngineError::Refused { secret: (*name).clone(), code: "frozen", reason });
    }
    Ok((name, spec))
}

async fn pins(shared: &Shared, name: &SecretName, spec: &Spec) -> Result<Pins, EngineError> {
    let Profiled { profile, component } = profile(shared, name, spec).await?;
    Ok(Pins {
        spec: spec.digest,
        plugin: (*spec.plugin).clone(),
        component,
        policy: spec.policy.at(&profile),
        profile,
        settings: spec.settings.to_string(),
        target: spec.target.to_string(),
        places: spec.places.to_vec(),
    })
}

/// What the plugin says of these settings; refused where it finds them wrong.
async fn profile(shared: &Shared, name: &SecretName, spec: &Spec) -> Result<Profiled, EngineError> {
    let findings = shared.rotator.validate(&spec.plugin, &spec.settings).await.map_err(EngineError::Plugin)?;
    let fatal: Vec<Finding> = findings.into_iter().filter(|finding| finding.fatal).collect();
    if !fatal.is_empty() {
        return Err(EngineError::Plan { secret: name.clone(), findings: fatal });
    }
    shared.rotator.profile(&spec.plugin, &spec.settings).await.map_err(EngineError::Plugin)
}

/// A rotation's identifier: a UUID of version 7 (RFC 9562, section 5.7), so that they sort by time.
fn draw(shared: &Shared) -> RotationId {
    let mut bytes = shared.random_bytes::<16>();
    bytes[..6].copy_from_slice(&shared.wall().0.to_be_bytes()[2..]);
    bytes[6] = bytes[6] & 0x0f | 0x70;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    text.parse().expect("36 printable characters")
}
