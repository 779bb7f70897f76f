//! What a declaration would do, without doing it: the plugin's findings, the target's, and the protocol's.

use crate::board::SecretId;
use crate::consumers::look;
use crate::declared::{Anchor, Declared};
use crate::error::EngineError;
use crate::ports::rotator::{Finding, Profiled};
use crate::preflight::{Subject, preflight};
use crate::shared::Shared;
use crate::views::{Examination, SettingsFinding};
use keybaton_protocol::admit::admit;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::Pins;
use keybaton_protocol::fault::{Blame, FailureClass};
use keybaton_protocol::ids::Author;
use keybaton_protocol::profile::Overlap;
use keybaton_protocol::refuse;
use keybaton_protocol::state::Secret;
use keybaton_protocol::step::PlanKind;
use std::sync::Arc;

/// Examines a declaration that may or may not be applied.
pub(crate) async fn examine(shared: &Arc<Shared>, declared: &Declared) -> Result<Examination, EngineError> {
    let mut out =
        Examination { blocks: Vec::new(), warns: Vec::new(), overlap: None, due_at: None, settings: Vec::new() };
    let findings = shared.rotator.validate(&declared.plugin, &declared.settings).await.map_err(EngineError::Plugin)?;
    let shown = |one: Finding| SettingsFinding { path: one.path, message: one.message, fatal: one.fatal };
    out.settings = findings.into_iter().map(shown).collect();
    if out.settings.iter().any(|finding| finding.fatal) {
        return Ok(out);
    }
    let profiled = match shared.rotator.profile(&declared.plugin, &declared.settings).await {
        Ok(profiled) => profiled,
        Err(fault) => {
            out.blocks.push(fault.to_string());
            return Ok(out);
        }
    };
    out.overlap = Some(overlap(&profiled.profile.overlap));
    let subject = Subject {
        secret: &declared.name,
        journalled: journalled(shared, declared),
        plugin: &declared.plugin,
        component: profiled.component,
        connection: declared.connection.as_str(),
        target: &declared.target,
        settings: &declared.settings,
        timeout_ms: declared.policy.call_timeout_ms,
    };
    for place in declared.places.iter() {
        match preflight(shared, &subject, place).await? {
            Ok(findings) => sort(findings, &mut out),
            // Something of the operator's is still to come, such as the secret that the connection logs in with.
            Err(fault) if fault.class == FailureClass::Retryable && fault.blame == Blame::Operator => {
                out.warns.push(format!("the target could not be looked at yet: {fault}"));
            }
            Err(fault) => out.blocks.push(fault.to_string()),
        }
    }
    protocol(shared, declared, profiled, &mut out).await?;
    Ok(out)
}

/// Asks the protocol whether a rotation could start on this, with the secret as it stands.
async fn protocol(
    shared: &Arc<Shared>,
    declared: &Declared,
    profiled: Profiled,
    out: &mut Examination,
) -> Result<(), EngineError> {
    let pins = Pins {
        spec: declared.spec,
        plugin: declared.plugin.clone(),
        component: profiled.component,
        policy: declared.policy.at(&profiled.profile),
        profile: profiled.profile,
        settings: declared.settings.to_string(),
        target: declared.target.to_string(),
        places: declared.places.to_vec(),
    };
    let known = journalled(shared, declared).map(|id| (id, shared.board().cell(id).anchor()));
    let (refusal, anchor) = match known {
        Some((id, anchor)) => (look(shared, id, move |secret, now| refusal(secret, pins, now)).await?, anchor),
        None => {
            // What its first credential needs is little; what stands against every later rotation is told at once.
            let later = refuse(PlanKind::Rotate, &pins.profile, &pins.policy).into_iter();
            let problems =
                later.map(|problem| format!("it could not be rotated later: {}; {}", problem.what, problem.instead));
            out.warns.extend(problems);
            (refusal(&Secret::new(declared.name.clone()), pins, shared.wall()), Anchor::default())
        }
    };
    out.blocks.extend(refusal);
    out.due_at =
        declared.cadence.as_ref().and_then(|it| it.next_due(&declared.name, anchor, shared.wall())).map(|at| at.0);
    Ok(())
}

fn refusal(secret: &Secret, pins: Pins, now: keybaton_protocol::ids::Millis) -> Option<String> {
    if secret.rotation().is_some() {
        return None;
    }
    let kind = if secret.current().is_some() { PlanKind::Rotate } else { PlanKind::Issue };
    let rotation = "plan".parse().expect("a constant that follows the grammar");
    let cause = "plan".to_owned();
    let command = Command::Start { rotation, kind, cause, author: Author::host(), pins: Box::new(pins) };
    admit(secret, &command, now).err().map(|refusal| refusal.to_string())
}

fn sort(findings: Vec<Finding>, out: &mut Examination) {
    for finding in findings {
        let at = if finding.path.is_empty() { String::new() } else { format!("{}: ", finding.path) };
        let list = if finding.fatal { &mut out.blocks } else { &mut out.warns };
        list.push(format!("{at}{}", finding.message));
    }
}

fn journalled(shared: &Shared, declared: &Declared) -> Option<SecretId> {
    let board = shared.board();
    board.find(&declared.name).filter(|id| board.cell(*id).journalled)
}

fn overlap(overlap: &Overlap) -> String {
    match overlap {
        Overlap::Native(live) => format!("native({live})"),
        Overlap::Alternate(slots) => format!("alternate({})", slots.len()),
        Overlap::Replace => "replace".to_owned(),
        Overlap::None => "none".to_owned(),
    }
}
