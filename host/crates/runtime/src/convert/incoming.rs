//! What a guest answers: checked against the limits, scrubbed, parsed. What does not fit is the guest's breakage.

use super::broken;
use crate::bindings::exports::keybaton::rotator::rotator::{Created, Finding as WireFinding, Observed, Verdict};
use crate::bindings::keybaton::rotator::types::{Failure, FailureClass as Wire};
use crate::limits::{self, CODE_BYTES, LIST_ENTRIES, MESSAGE_BYTES, TEXT_BYTES};
use crate::record::Ledger;
use crate::scrub::Scrubber;
use crate::state::{CallState, Tried};
use keybaton_engine::ports::rotator::{EXPIRES_FACT, Finding};
use keybaton_protocol::event::{Live, Minted, Outcome};
use keybaton_protocol::fault::{Blame, FailureClass, Fault};
use keybaton_protocol::ids::{Millis, Slot, TargetId};
use std::collections::BTreeSet;

/// Bytes of a public field; a certificate chain is one.
const FIELD_BYTES: usize = 64 << 10;
/// Bytes of all public fields together.
const FIELDS_BYTES: usize = 256 << 10;
/// Public fields of one generation.
const FIELDS: usize = 64;
/// Bytes of a field's name.
const NAME_BYTES: usize = 64;

fn encoding(what: impl std::fmt::Display) -> Fault {
    broken("guest.encoding", format!("the plugin's answer breaks its contract: {what}"))
}

/// A text for people: scrubbed, cut, on one line.
fn message(text: &str, scrubber: &mut Scrubber) -> String {
    // Scrubbed before it is cut, so that no half of a secret stays.
    let clean = scrubber.text(limits::cut(text, 1 << 20));
    let line: String = clean.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    limits::cut(&line, MESSAGE_BYTES).to_owned()
}

/// Public fields: names without surprises, values bounded and scrubbed.
fn fields(what: &str, fields: Vec<(String, String)>, scrubber: &mut Scrubber) -> Result<Vec<(String, String)>, Fault> {
    if fields.len() > FIELDS {
        return Err(encoding(format!("more than {FIELDS} {what}")));
    }
    let (mut seen, mut bytes) = (BTreeSet::new(), 0);
    let mut clean = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_');
        if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(plain) {
            let shown = limits::cut(&name, NAME_BYTES).escape_debug().to_string();
            return Err(encoding(format!("`{}` is no name of {what}", scrubber.text(&shown))));
        }
        bytes += value.len();
        if value.len() > FIELD_BYTES || bytes > FIELDS_BYTES {
            return Err(encoding(format!("`{name}` of {what} is too long")));
        }
        if !seen.insert(name.clone()) {
            return Err(encoding(format!("`{name}` of {what} is there twice")));
        }
        clean.push((name, scrubber.text(&value)));
    }
    Ok(clean)
}

fn target_id(text: &str, scrubber: &mut Scrubber) -> Result<TargetId, Fault> {
    let clean = scrubber.text(text);
    clean.parse().map_err(|error| encoding(format!("an id: {error}")))
}

/// Facts of a mutating call.
pub(crate) fn facts(facts: Vec<(String, String)>, state: &mut CallState) -> Result<Outcome, Fault> {
    fields("facts", facts, &mut state.scrubber).map(Outcome::Done)
}

/// A minted credential. Its secrets were generated or captured in this call: a guest cannot supply one, nor pass off an
/// old one as new.
pub(crate) fn created(created: Created, state: &mut CallState) -> Result<Outcome, Fault> {
    let mut names = BTreeSet::new();
    let mut minted = Vec::with_capacity(created.secrets.len());
    if created.secrets.len() > FIELDS {
        return Err(encoding(format!("more than {FIELDS} secret fields")));
    }
    for (name, handle) in created.secrets {
        let held = state.table.delete(handle).map_err(|error| broken("guest.handle", error.to_string()))?;
        if held.generation.is_some() {
            return Err(broken(
                "guest.reused-secret",
                format!("the secret field `{name}` is one of an older generation"),
            ));
        }
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_');
        if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(plain) || !names.insert(name.clone()) {
            return Err(encoding(format!("`{}` as a secret field", limits::cut(&name, NAME_BYTES).escape_debug())));
        }
        minted.push((name, held.label));
    }
    let generation = created.generation;
    let attributes = fields("attributes", generation.attributes, &mut state.scrubber)?;
    if let Some((name, _)) = attributes.iter().find(|(name, _)| names.contains(name)) {
        return Err(encoding(format!("`{name}` is a public and a secret field")));
    }
    let mut facts = fields("facts", generation.facts, &mut state.scrubber)?;
    if let Some(expires) = generation.expires_unix {
        facts.retain(|(name, _)| name != EXPIRES_FACT);
        facts.push((EXPIRES_FACT.to_owned(), expires.to_string()));
    }
    Ok(Outcome::Created(Minted {
        id: generation.id.map(|id| target_id(&id, &mut state.scrubber)).transpose()?,
        attributes,
        facts,
        fields: minted,
    }))
}

/// What is live. Every entry has an id, and no id is there twice.
pub(crate) fn observed(observed: Observed, began_at: Millis, state: &mut CallState) -> Result<Outcome, Fault> {
    if observed.generations.len() > LIST_ENTRIES {
        return Err(encoding(format!("more than {LIST_ENTRIES} generations")));
    }
    let mut seen = BTreeSet::new();
    let mut live = Vec::with_capacity(observed.generations.len());
    for generation in observed.generations {
        let id = generation.id.ok_or_else(|| encoding("an observed generation without an id"))?;
        let id = target_id(&id, &mut state.scrubber)?;
        if !seen.insert(id.clone()) {
            return Err(encoding(format!("the id `{id}` is observed twice")));
        }
        let slot = generation.slot.map(|slot| slot.parse::<Slot>()).transpose();
        let active = match generation.state.as_str() {
            "inactive" => false,
            // What is not known to be off counts as on.
            _ => true,
        };
        live.push(Live {
            id,
            slot: slot.map_err(|error| encoding(format!("a slot: {error}")))?,
            active,
            created_at: millis(generation.created_unix)?,
            expires_at: millis(generation.expires_unix)?,
            last_used_at: millis(generation.last_used_unix)?,
            live_uses: generation.live_uses,
        });
    }
    Ok(Outcome::Observed { began_at, live })
}

fn millis(unix: Option<u64>) -> Result<Option<Millis>, Fault> {
    unix.map(|seconds| seconds.checked_mul(1_000).map(Millis).ok_or_else(|| encoding("a time beyond all calendars")))
        .transpose()
}

/// What `verify` found. The target's own answer to the generation, in this very call, is what is believed: nothing works
/// that it did not let in, and nothing is refused that it did not refuse. What it lets in and the plugin will not have,
/// such as a login that acts as somebody else, is live all the same: that is a fault, and no refusal.
pub(crate) fn verdict(verdict: Verdict, state: &mut CallState) -> Result<Outcome, Fault> {
    let tried = state.business.as_ref().map_or(Tried::Untold, |business| business.tried);
    match (verdict, tried) {
        (Verdict::Works, Tried::LetIn) => Ok(Outcome::Works),
        (Verdict::Works, Tried::Untold | Tried::Refused) => {
            Err(broken("guest.unproven", "the plugin says that the credential works, and the target did not let it in"))
        }
        (Verdict::Refused(reason), Tried::Refused) => Ok(Outcome::Refused(message(&reason, &mut state.scrubber))),
        (Verdict::Refused(reason), Tried::LetIn) => Err(Fault {
            class: FailureClass::Permanent,
            blame: Blame::Target,
            code: "verify.unfit".to_owned(),
            message: message(&reason, &mut state.scrubber),
            retry_after_ms: None,
        }),
        (Verdict::Refused(_), Tried::Untold) => Err(broken(
            "guest.unproven",
            "the plugin says that the credential is refused, and the target did not say so",
        )),
    }
}

/// Findings of `validate` and `preflight`.
pub(crate) fn findings(findings: Vec<WireFinding>, scrubber: &mut Scrubber) -> Result<Vec<Finding>, Fault> {
    if findings.len() > LIST_ENTRIES {
        return Err(encoding(format!("more than {LIST_ENTRIES} findings")));
    }
    let convert = |finding: WireFinding| {
        if finding.path.len() > TEXT_BYTES {
            return Err(encoding("a finding's path is too long"));
        }
        let (path, message) = (message(&finding.path, scrubber), message(&finding.message, scrubber));
        Ok(Finding { path, message, fatal: finding.fatal })
    };
    findings.into_iter().map(convert).collect()
}

/// A failure that the guest answered with. `ambiguous` and `denied` are the host's alone to say: a guest passes them on
/// only where the host said them in this very call, and then the host's own words count.
pub(crate) fn failure(failure: Failure, ledger: Option<&Ledger>, scrubber: &mut Scrubber) -> Fault {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_');
    let code = failure.code;
    if code.is_empty() || code.len() > CODE_BYTES || !code.bytes().all(plain) {
        let shown = scrubber.text(limits::cut(&code, CODE_BYTES));
        return encoding(format!("`{}` is no failure code", shown.escape_debug()));
    }
    let said = ledger.and_then(|ledger| ledger.said(&code));
    let class = match failure.class {
        Wire::Retryable => FailureClass::Retryable,
        Wire::Permanent => FailureClass::Permanent,
        Wire::Unsupported => FailureClass::Unsupported,
        Wire::Ambiguous | Wire::Denied => {
            let claimed = if failure.class == Wire::Denied { FailureClass::Denied } else { FailureClass::Ambiguous };
            return match said.filter(|said| said.class == claimed) {
                Some(said) => said.into(),
                None => broken(
                    "guest.claims",
                    format!(
                        "the plugin says `{claimed}` ({code}), which is the host's alone to say, and the host did not"
                    ),
                ),
            };
        }
    };
    let blame = match said {
        Some(said) => said.blame,
        None if code.starts_with("settings.") => Blame::Operator,
        None if class == FailureClass::Unsupported => Blame::Guest,
        None => Blame::Target,
    };
    let message = message(&failure.message, scrubber);
    Fault { class, blame, code, message, retry_after_ms: failure.retry_after_ms.map(u64::from) }
}
