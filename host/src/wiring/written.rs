//! A declaration in force, written down as the store keeps it: the declaration format itself, as JSON (which is YAML).
//! What is read back is the same spec, whatever the file it came from looked like.

use keybaton_protocol::policy::{Members, Quorum, WaveSize};
use keybaton_schedule::catalog::Catalog;
use keybaton_schedule::declaration::{Input, Loaded, load};
use keybaton_schedule::spec::{Rhythm, Spec};
use keybaton_schedule::units::shown;
use serde_json::{Map, Value, json};

/// The spec as one declaration.
pub(crate) fn written(spec: &Spec) -> String {
    let policy = &spec.policy;
    let mut secret = json!({
        "name": spec.name.to_string(),
        "plugin": spec.plugin.as_str(),
        "connection": spec.connection.as_str(),
        "settings": settings(spec),
        "cadence": cadence(spec),
        "overlap": {
            "minimum": shown(policy.overlap_min_ms),
            "quiet": shown(policy.quiet_ms),
            "soak": shown(policy.soak_ms),
            "accept_gap": policy.accept_gap,
        },
        "consumers": consumers(spec),
        "stragglers": {
            "quorum": match policy.stragglers.quorum {
                Quorum::All => "all".to_owned(),
                Quorum::Percent(share) => format!("{share}%"),
            },
            "deadline": or_never(policy.stragglers.deadline_ms),
            "then": policy.stragglers.then.name(),
            "max_age": or_never(policy.stragglers.max_age_ms),
            "before_expiry": shown(policy.stragglers.before_expiry_ms),
        },
        "limits": {
            "staged_lease": shown(policy.staged_lease_ms),
            "call_timeout": shown(policy.call_timeout_ms),
            "attempts": {
                "cap": policy.attempts.cap,
                "first_pause": shown(policy.attempts.base_ms),
                "longest_pause": shown(policy.attempts.max_ms),
            },
        },
    });
    if !spec.after.is_empty() {
        secret["after"] = spec.after.iter().map(ToString::to_string).collect();
    }
    if let Some(stagger) = &spec.stagger {
        secret["stagger"] =
            json!({ "group": stagger.group, "at_least": shown(stagger.at_least_ms), "at_once": stagger.at_once });
    }
    if let Some(waves) = waves(spec) {
        secret["waves"] = waves;
    }
    json!({ "secrets": [secret] }).to_string()
}

/// Reads what [`written`] wrote; several at once, so that what they share is shared.
pub(crate) fn read(texts: &[(String, String)]) -> Loaded {
    let inputs: Vec<Input<'_>> = texts.iter().map(|(name, text)| Input { name, text }).collect();
    load(&inputs, &Catalog::unknown())
}

fn settings(spec: &Spec) -> Value {
    serde_json::from_str(spec.settings.json()).expect("settings are canonical JSON")
}

fn or_never(ms: Option<u64>) -> String {
    ms.map_or_else(|| "never".to_owned(), shown)
}

fn cadence(spec: &Spec) -> Value {
    let cadence = &spec.cadence;
    let mut fields = Map::new();
    match &cadence.rhythm {
        Rhythm::None if cadence.before_expiry_ms.is_none() => drop(fields.insert("manual".into(), true.into())),
        Rhythm::None => {}
        Rhythm::Every(ms) => drop(fields.insert("every".into(), shown(*ms).into())),
        Rhythm::Cron(cron) => {
            fields.insert("cron".into(), cron.text().into());
            fields.insert("zone".into(), cron.zone().name().into());
        }
    }
    if let Some(ms) = cadence.before_expiry_ms {
        fields.insert("before_expiry".into(), shown(ms).into());
    }
    if cadence.jitter_ms > 0 {
        fields.insert("jitter".into(), shown(cadence.jitter_ms).into());
    }
    if cadence.pause {
        fields.insert("pause".into(), true.into());
    }
    if !cadence.windows.is_empty() {
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let windows = cadence.windows.iter().map(|window| {
            json!({
                "days": window.days.names().collect::<Vec<_>>(),
                "from": clock(window.from),
                "to": clock(window.to),
                "zone": window.zone.name(),
            })
        });
        fields.insert("windows".into(), windows.collect());
    }
    Value::Object(fields)
}

fn waves(spec: &Spec) -> Option<Value> {
    let waves = &spec.policy.waves;
    if waves.sizes.is_empty() {
        return None;
    }
    let sizes = waves.sizes.iter().map(|size| match size {
        WaveSize::Count(count) => json!(count),
        WaveSize::Percent(share) => json!(format!("{share}%")),
        WaveSize::Rest => json!("rest"),
    });
    let mut fields = json!({ "sizes": sizes.collect::<Vec<_>>(), "soak": shown(waves.soak_ms) });
    if waves.max_unavailable > 0 {
        fields["max_unavailable"] = waves.max_unavailable.into();
    }
    Some(fields)
}

fn consumers(spec: &Spec) -> Value {
    let one = |consumer: &keybaton_protocol::policy::ConsumerPolicy| {
        let mut fields = json!({
            "kind": consumer.kind.name(),
            "role": consumer.role.name(),
            "required": consumer.required,
            "ready": consumer.ready.name(),
            "adopted": consumer.adopted.name(),
        });
        match &consumer.members {
            Members::Listed(replicas) => {
                fields["members"] = replicas.iter().map(|replica| replica.as_str()).collect();
            }
            Members::Count(count) => fields["count"] = (*count).into(),
        }
        if let Some(ms) = consumer.uses_every_ms {
            fields["uses_every"] = shown(ms).into();
        }
        (consumer.name.to_string(), fields)
    };
    Value::Object(spec.policy.consumers.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keybaton_schedule::change::canonical;

    const FULL: &str = "
secrets:
  - name: payments/db
    plugin: postgres-password
    connection: pg-main
    settings: { roles: [app_a, app_b], group: app, note: 'a \"b\" {c}' }
    cadence: { cron: '0 3 * * 1', zone: Europe/Berlin, before_expiry: 20d, jitter: 10m, pause: true,
               windows: [{ days: [mon, sat], from: '22:00', to: '04:30', zone: Asia/Kolkata }] }
    stagger: { group: payments, at_least: 10m }
    after: [payments/ca]
    overlap: { minimum: 1h, quiet: 10m, soak: 1d, accept_gap: true }
    consumers:
      app: { members: [a, b], uses_every: 5m }
      ci: { kind: external, count: 1, required: false, adopted: target }
      jwt: { role: verifies, count: 3 }
    stragglers: { quorum: 90%, deadline: 10m, then: rollback, max_age: 1d, before_expiry: 6h }
    waves: { sizes: [1, 25%, rest], max_unavailable: 1, soak: 5m }
    limits: { staged_lease: 2h, call_timeout: 45s, attempts: { cap: 7, first_pause: 2s, longest_pause: 3m } }
  - name: payments/ca
    plugin: http-token
    connection: hub
    settings: {}
    cadence: { every: 30d }
    consumers: { app: { count: 1 } }
  - name: payments/by-hand
    plugin: http-token
    connection: hub
    settings: {}
    cadence: { manual: true }
    consumers: { app: { count: 1 } }
";

    #[test]
    fn what_is_written_down_reads_back_as_the_same_declaration() {
        let loaded = load(&[Input { name: "full.yaml", text: FULL }], &Catalog::unknown());
        assert!(loaded.diagnostics.is_empty(), "{}", loaded.render(false));
        assert_eq!(loaded.specs.len(), 3);
        for spec in &loaded.specs {
            let others = loaded.specs.iter().map(|spec| (spec.name.to_string(), written(spec))).collect::<Vec<_>>();
            let back = read(&others);
            assert!(back.diagnostics.is_empty(), "{}", back.render(false));
            let back = back.specs.iter().find(|back| back.name == spec.name).expect("it is there");
            assert_eq!(canonical(back), canonical(spec), "{}", written(spec));
        }
    }
}
