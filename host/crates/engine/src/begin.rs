//! The one door through which rotations start: asks the plugin, looks at the target as a plan does, pins what the rotation
//! runs on, asks the protocol.

use crate::actor::{Asked, Item};
use crate::board::{SecretId, Spec};
use crate::engine::Import;
use crate::error::EngineError;
use crate::ports::rotator::{Finding, Profiled};
use crate::ports::secret::Seal;
use crate::preflight::{Subject, is_certain, preflight};
use crate::scheduler::StartPermit;
use crate::shared::Shared;
use keybaton_protocol::admit::BY_COMPROMISE;
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
    let (name, spec) = declared(shared, id).await?;
    if kind == PlanKind::Adopt {
        let reason = "a credential that exists is taken over by an import".to_owned();
        return Err(EngineError::Refused { secret: (*name).clone(), code: "invalid", reason });
    }
    let (pins, claims) = pins(shared, &name, &spec).await?;
    let urgent = cause == BY_COMPROMISE || shared.board().cell(id).urgent;
    look_first(shared, id, &name, &spec, &pins, &claims, Start { kind, urgent }).await?;
    let pins = Box::new(pins);
    let rotation = draw(shared);
    let command = Command::Start { rotation: rotation.clone(), kind, cause: cause.to_owned(), author, pins };
    ask(shared, id, command, Vec::new(), permit).await?;
    Ok(rotation)
}

/// What it looks for depends on.
#[derive(Clone, Copy)]
struct Start {
    kind: PlanKind,
    /// The current value is known to others: only what is certain to fail is held back.
    urgent: bool,
}

/// Refuses a start that would come to nothing, or harm another secret. An end waits for nothing but what it needs itself.
async fn look_first(
    shared: &Arc<Shared>,
    id: SecretId,
    name: &SecretName,
    spec: &Spec,
    pins: &Pins,
    claims: &[String],
    start: Start,
) -> Result<(), EngineError> {
    let ends = start.kind == PlanKind::Retire;
    if !start.urgent
        && !ends
        && let Some(reason) = crate::claims::clash(shared, id, spec, claims).await
    {
        return Err(EngineError::Refused { secret: name.clone(), code: "conflict", reason });
    }
    if proven_just_now(shared, id) {
        return Ok(());
    }
    let subject = Subject {
        secret: name,
        journalled: Some(id).filter(|id| shared.board().cell(*id).journalled),
        plugin: &spec.plugin,
        component: pins.component,
        connection: spec.connection.as_str(),
        target: &spec.target,
        settings: &spec.settings,
        timeout_ms: pins.policy.call_timeout_ms,
    };
    for place in spec.places.iter() {
        match preflight(shared, &subject, place).await? {
            Err(fault) if !start.urgent || is_certain(&fault) => {
                return Err(EngineError::Preflight { secret: name.clone(), fault });
            }
            Ok(findings) if !start.urgent && !ends => {
                let findings: Vec<Finding> = findings.into_iter().filter(|finding| finding.fatal).collect();
                if !findings.is_empty() {
                    return Err(EngineError::Plan { secret: name.clone(), findings });
                }
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// Whether a rotation has proven the current credential at the target a moment ago.
fn proven_just_now(shared: &Shared, id: SecretId) -> bool {
    let rotated_at = shared.board().cell(id).mark.rotated_at;
    rotated_at.is_some_and(|at| shared.wall().since(at) < shared.options.look_again_ms)
}

/// Takes over a credential that exists.
pub(crate) async fn import(shared: &Arc<Shared>, id: SecretId, import: Import) -> Result<RotationId, EngineError> {
    let (name, spec) = declared(shared, id).await?;
    let (pins, claims) = pins(shared, &name, &spec).await?;
    if let Some(reason) = crate::claims::clash(shared, id, &spec, &claims).await {
        return Err(EngineError::Refused { secret: (*name).clone(), code: "conflict", reason });
    }
    let pins = Box::new(pins);
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

async fn declared(shared: &Arc<Shared>, id: SecretId) -> Result<(Arc<SecretName>, Arc<Spec>), EngineError> {
    if shared.journal.is_shared() {
        shared.read_freezes().await?;
    }
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

/// What a rotation runs on, and what the settings claim of the target.
async fn pins(shared: &Shared, name: &SecretName, spec: &Spec) -> Result<(Pins, Vec<String>), EngineError> {
    let Profiled { profile, component, claims } = profile(shared, name, spec).await?;
    let pins = Pins {
        spec: spec.digest,
        plugin: (*spec.plugin).clone(),
        component,
        policy: spec.policy.at(&profile),
        profile,
        settings: spec.settings.to_string(),
        target: spec.target.to_string(),
        places: spec.places.to_vec(),
    };
    Ok((pins, claims))
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
