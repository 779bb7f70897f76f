//! A spec as flat keys and values: the one form that is compared, shown and digested. Where it is declared is no part.

use crate::spec::{Cadence, Rhythm, Spec};
use crate::time::Window;
use crate::units::shown;
use keybaton_protocol::policy::{Members, Policy, Quorum, WaveSize};
use std::collections::BTreeMap;

/// First bytes of the canonical form; another form has another number.
const FORM: &[u8] = b"keybaton-spec-v1";

/// Keys as they are written in a declaration, and values in one spelling.
pub(super) type Keys = BTreeMap<String, String>;

/// The spec as bytes, for a digest: equal for equal specs, whatever the order or spelling in the file.
///
/// After the name of the form: the name and every key and value, each with its length before it (64 bits, big-endian).
#[must_use]
pub fn canonical(spec: &Spec) -> Vec<u8> {
    let mut bytes = FORM.to_vec();
    let mut put = |text: &str| {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    };
    put(&spec.name.to_string());
    for (key, value) in of(spec) {
        put(&key);
        put(&value);
    }
    bytes
}

pub(super) fn of(spec: &Spec) -> Keys {
    let mut keys = Keys::new();
    let mut put = |key: &str, value: String| keys.insert(key.to_owned(), value);
    put("plugin", spec.plugin.to_string());
    put("connection", spec.connection.to_string());
    put("settings", spec.settings.json().to_owned());
    if !spec.after.is_empty() {
        put("after", joined(spec.after.iter()));
    }
    if let Some(stagger) = &spec.stagger {
        put("stagger.group", stagger.group.clone());
        put("stagger.at_least", shown(stagger.at_least_ms));
        put("stagger.at_once", stagger.at_once.to_string());
    }
    cadence(&spec.cadence, &mut keys);
    policy(&spec.policy, &mut keys);
    consumers(spec, &mut keys);
    keys
}

fn joined<T: ToString>(items: impl Iterator<Item = T>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn cadence(cadence: &Cadence, keys: &mut Keys) {
    let mut put = |key: &str, value: String| keys.insert(format!("cadence.{key}"), value);
    match &cadence.rhythm {
        Rhythm::None if cadence.before_expiry_ms.is_none() => drop(put("manual", "true".to_owned())),
        Rhythm::None => {}
        Rhythm::Every(ms) => drop(put("every", shown(*ms))),
        Rhythm::Cron(cron) => drop(put("cron", format!("{} in {}", cron.text(), cron.zone().name()))),
    }
    if let Some(ms) = cadence.before_expiry_ms {
        put("before_expiry", shown(ms));
    }
    if !cadence.windows.is_empty() {
        put("windows", joined(cadence.windows.iter().map(window)));
    }
    if cadence.jitter_ms > 0 {
        put("jitter", shown(cadence.jitter_ms));
    }
    if cadence.pause {
        put("pause", "true".to_owned());
    }
}

fn window(window: &Window) -> String {
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let days: Vec<&str> = window.days.names().collect();
    format!("{} {}-{} {}", days.join("+"), clock(window.from), clock(window.to), window.zone.name())
}

fn policy(policy: &Policy, keys: &mut Keys) {
    let mut put = |key: &str, value: String| keys.insert(key.to_owned(), value);
    put("overlap.minimum", shown(policy.overlap_min_ms));
    put("overlap.quiet", shown(policy.quiet_ms));
    put("overlap.soak", shown(policy.soak_ms));
    put("overlap.accept_gap", policy.accept_gap.to_string());
    let never = |ms: Option<u64>| ms.map_or("never".to_owned(), shown);
    let quorum = match policy.stragglers.quorum {
        Quorum::All => "all".to_owned(),
        Quorum::Percent(share) => format!("{share}%"),
    };
    put("stragglers.quorum", quorum);
    put("stragglers.deadline", never(policy.stragglers.deadline_ms));
    put("stragglers.then", policy.stragglers.then.to_string());
    put("stragglers.max_age", never(policy.stragglers.max_age_ms));
    if policy.stragglers.before_expiry_ms > 0 {
        put("stragglers.before_expiry", shown(policy.stragglers.before_expiry_ms));
    }
    if !policy.waves.sizes.is_empty() {
        let size = |size: &WaveSize| match size {
            WaveSize::Count(count) => count.to_string(),
            WaveSize::Percent(share) => format!("{share}%"),
            WaveSize::Rest => "rest".to_owned(),
        };
        put("waves.sizes", joined(policy.waves.sizes.iter().map(size)));
        put("waves.soak", shown(policy.waves.soak_ms));
    }
    if policy.waves.max_unavailable > 0 {
        put("waves.max_unavailable", policy.waves.max_unavailable.to_string());
    }
    put("limits.staged_lease", shown(policy.staged_lease_ms));
    put("limits.call_timeout", shown(policy.call_timeout_ms));
    put("limits.attempts.cap", policy.attempts.cap.to_string());
    put("limits.attempts.first_pause", shown(policy.attempts.base_ms));
    put("limits.attempts.longest_pause", shown(policy.attempts.max_ms));
}

fn consumers(spec: &Spec, keys: &mut Keys) {
    for consumer in &spec.policy.consumers {
        let mut put = |key: &str, value: String| keys.insert(format!("consumers.{}.{key}", consumer.name), value);
        put("kind", consumer.kind.to_string());
        put("role", consumer.role.to_string());
        put("required", consumer.required.to_string());
        match &consumer.members {
            Members::Listed(replicas) => put("members", joined(replicas.iter())),
            Members::Count(count) => put("count", count.to_string()),
        };
        put("ready", consumer.ready.to_string());
        put("adopted", consumer.adopted.to_string());
        if let Some(ms) = consumer.uses_every_ms {
            put("uses_every", shown(ms));
        }
    }
}
