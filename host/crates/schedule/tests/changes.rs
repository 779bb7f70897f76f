//! What an edit changes and weakens, and which bytes are digested.

use keybaton_schedule::catalog::Catalog;
use keybaton_schedule::change::{Change, canonical, changes};
use keybaton_schedule::declaration::{Input, load};
use keybaton_schedule::spec::Spec;

const BASE: &str = include_str!("cases/declarations.base.yaml");

fn read(text: &str) -> Vec<Spec> {
    let loaded = load(&[Input { name: "a.yaml", text }], &Catalog::unknown());
    assert_eq!(loaded.diagnostics, [], "{}", loaded.render(false));
    loaded.specs
}

/// `key: old -> new (what is lost)` for every key of the one secret that changed.
fn told(old: &str, new: &str) -> Vec<String> {
    let found = changes(&read(old), &read(new));
    let [Change::Changed { keys, .. }] = found.as_slice() else { panic!("one secret changed: {found:?}") };
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let show = |key: &keybaton_schedule::change::KeyChange| {
        let how = key.weakens.map(|how| format!(" ({how})")).unwrap_or_default();
        format!("{}: {} -> {}{how}", key.key, or_none(&key.old), or_none(&key.new))
    };
    keys.iter().map(show).collect()
}

#[test]
fn each_edit_names_its_key_and_what_it_weakens() {
    let table = [
        ("quorum: 80%", "quorum: 50%", "stragglers.quorum: 80% -> 50% (fewer consumers are waited for)"),
        ("quorum: 80%", "quorum: all", "stragglers.quorum: 80% -> all"),
        ("then: hold", "then: force", "stragglers.then: hold -> force (goes on without those that did not answer)"),
        ("then: hold", "then: rollback", "stragglers.then: hold -> rollback"),
        ("deadline: 10m", "deadline: 5m", "stragglers.deadline: 10m -> 5m"),
        ("max_age: 1d }", "max_age: never }", "stragglers.max_age: 1d -> never (a held rotation escalates later)"),
        (
            "required: true",
            "required: false",
            "consumers.app.required: true -> false (a required consumer is no longer waited for)",
        ),
        ("required: false", "required: true", "consumers.report.required: false -> true"),
        (
            "adopted: process",
            "adopted: attested",
            "consumers.app.adopted: process -> attested (weaker evidence is enough to have adopted)",
        ),
        ("adopted: process", "adopted: target", "consumers.app.adopted: process -> target"),
        (
            "ready: holder",
            "ready: attested",
            "consumers.app.ready: holder -> attested (weaker evidence is enough to be ready)",
        ),
        ("ready: holder", "ready: process", "consumers.app.ready: holder -> process"),
        (
            "uses_every: 1d",
            "uses_every: 12h",
            "consumers.app.uses_every: 1d -> 12h (a shorter silence is taken for disuse)",
        ),
        ("role: uses", "role: verifies", "consumers.app.role: uses -> verifies"),
        ("count: 2", "count: 1", "consumers.report.count: 2 -> 1 (fewer replicas are waited for)"),
        (
            "[app-1, app-2]",
            "[app-1, app-3]",
            "consumers.app.members: app-1, app-2 -> app-1, app-3 (fewer replicas are waited for)",
        ),
        ("[app-1, app-2]", "[app-1, app-2, app-3]", "consumers.app.members: app-1, app-2 -> app-1, app-2, app-3"),
        ("minimum: 1h", "minimum: 30m", "overlap.minimum: 1h -> 30m (the old credential is given up sooner)"),
        ("minimum: 1h", "minimum: 2h", "overlap.minimum: 1h -> 2h"),
        ("quiet: 1d", "quiet: 0s", "overlap.quiet: 1d -> 0s (disuse of the old credential is watched for less time)"),
        ("soak: 2d", "soak: 1d", "overlap.soak: 2d -> 1d (the old credential can be enabled again for less time)"),
        (
            "accept_gap: false",
            "accept_gap: true",
            "overlap.accept_gap: false -> true (a moment with only one working value is accepted)",
        ),
        (
            "staged_lease: 1h",
            "staged_lease: 1m",
            "limits.staged_lease: 1h -> 1m (a staged credential may be destroyed sooner)",
        ),
        ("call_timeout: 30s", "call_timeout: 20s", "limits.call_timeout: 30s -> 20s"),
        ("cap: 5", "cap: 6", "limits.attempts.cap: 5 -> 6"),
        (
            "sizes: [1, 25%, rest]",
            "sizes: [rest]",
            "waves.sizes: 1, 25%, rest -> rest (replicas switch in fewer waves)",
        ),
        ("max_unavailable: 1", "max_unavailable: 2", "waves.max_unavailable: 1 -> 2 (more replicas switch at once)"),
        ("soak: 5m", "soak: 1m", "waves.soak: 5m -> 1m (a wave is watched for less time)"),
        ("every: 30d", "every: 60d", "cadence.every: 30d -> 60d (a credential lives longer)"),
        ("every: 30d", "every: 20d", "cadence.every: 30d -> 20d"),
        ("pause: false", "pause: true", "cadence.pause: - -> true (it no longer rotates by itself)"),
        ("jitter: 10m", "jitter: 20m", "cadence.jitter: 10m -> 20m"),
        ("days: [mon, tue]", "days: [mon]", "cadence.windows: mon+tue 22:00-04:00 UTC -> mon 22:00-04:00 UTC"),
        ("0 3 * * mon", "0 4 * * mon", "cadence.cron: 0 3 * * mon in UTC -> 0 4 * * mon in UTC"),
        (
            "before_expiry: 20d",
            "before_expiry: 10d",
            "cadence.before_expiry: 20d -> 10d (less time is left before a credential expires)",
        ),
        ("    after: [payments/ca]\n", "", "after: payments/ca -> - (it no longer waits for another secret)"),
        ("at_least: 10m", "at_least: 5m", "stagger.at_least: 10m -> 5m (rotations of the group start closer together)"),
        ("at_once: 2", "at_once: 3", "stagger.at_once: 2 -> 3 (more rotations of the group run together)"),
        ("plugin: http-token", "plugin: other", "plugin: http-token -> other"),
        (
            "group: app }",
            "group: b }",
            "settings: {\"connection\":\"pg-main\",\"group\":\"app\",\"roles\":[\"app_a\",\"app_b\"]} -> {\"connection\":\"pg-main\",\"group\":\"b\",\"roles\":[\"app_a\",\"app_b\"]}",
        ),
    ];
    for (old, new, expected) in table {
        assert!(BASE.contains(old), "{old}");
        assert_eq!(told(BASE, &BASE.replace(old, new)), [expected], "{old} -> {new}");
    }
}

#[test]
fn a_deadline_brought_forward_weakens_only_what_then_goes_on_by_force() {
    let force = BASE.replace("then: hold", "then: force");
    let sooner = force.replace("deadline: 10m", "deadline: 5m");
    assert_eq!(
        told(&force, &sooner),
        ["stragglers.deadline: 10m -> 5m (goes on sooner without those that did not answer)"]
    );
}

#[test]
fn a_required_consumer_that_is_taken_out_weakens_and_an_optional_one_does_not() {
    let without_report = BASE.replace("      report: { count: 2, required: false }\n", "");
    assert!(told(BASE, &without_report).iter().all(|line| !line.contains('(')));
    let from = BASE.find("      app:\n").unwrap();
    let to = BASE.find("      report:").unwrap();
    let without_app = format!("{}{}", &BASE[..from], &BASE[to..]);
    let lost: Vec<String> = told(BASE, &without_app).into_iter().filter(|line| line.contains('(')).collect();
    assert_eq!(lost, ["consumers.app.required: true -> - (a required consumer is no longer waited for)"]);
}

#[test]
fn secrets_come_and_go_by_name() {
    let renamed = BASE
        .replace("after: [payments/ca]", "after: [payments/root]")
        .replace("name: payments/ca", "name: payments/root");
    let found = changes(&read(BASE), &read(&renamed));
    let names: Vec<String> = found.iter().map(|change| change.name().to_string()).collect();
    assert_eq!(names, ["payments/ca", "payments/db", "payments/root"]);
    assert!(matches!(found[0], Change::Removed { .. }));
    assert!(matches!(found[2], Change::Added { .. }));
    assert_eq!(changes(&read(BASE), &read(BASE)), []);
}

#[test]
fn a_new_secret_is_held_against_the_defaults() {
    let found = changes(&[], &read(BASE));
    let weaker = |name: &str| {
        let change = found.iter().find(|change| change.name().to_string() == name).unwrap();
        change.weaker().map(|key| key.key.clone()).collect::<Vec<_>>()
    };
    assert_eq!(weaker("payments/db"), ["consumers.report.required", "stragglers.quorum"]);
    assert_eq!(weaker("payments/ca"), Vec::<String>::new());
}

#[test]
fn the_same_declaration_in_other_words_has_the_same_bytes() {
    let plain = read(BASE);
    let reworded = BASE
        .replace("every: 30d", "every: 720h")
        .replace(
            "{ roles: [app_a, app_b], group: app }",
            "\n      group: 'app'\n      roles:\n        - app_a\n        - \"app_b\"",
        )
        .replace("members: [app-1, app-2]", "members: [app-2, app-1]")
        .replace("        kind: client\n", "")
        .replace("secrets:", "# a comment\nsecrets:");
    let reworded = read(&reworded);
    for (one, other) in plain.iter().zip(&reworded) {
        assert_eq!(canonical(one), canonical(other));
    }
    assert_eq!(changes(&plain, &reworded), []);
}

#[test]
fn every_change_changes_the_bytes() {
    let mut seen = std::collections::HashSet::from([canonical(&read(BASE)[0])]);
    for (old, new) in [
        ("name: payments/db", "name: payments/dc"),
        ("plugin: postgres-password", "plugin: postgres-passwords"),
        ("connection: pg-main", "connection: pg-main2"),
        ("[app_a, app_b]", "[app_b, app_a]"),
        ("every: 30d", "every: 31d"),
        ("zone: UTC", "zone: Europe/Berlin"),
        ("pause: false", "pause: true"),
        ("group: databases", "group: database"),
        ("kind: client\n", "kind: external\n        x-kind: 1\n"),
        ("deadline: 10m", "deadline: never"),
    ] {
        let mut text = BASE.replacen(old, new, 1);
        if new.contains("external") {
            text = text.replace("ready: holder", "ready: attested").replace("adopted: process", "adopted: target");
        }
        if new.contains("never") {
            text = text.replace(", then: hold", "");
        }
        assert!(seen.insert(canonical(&read(&text)[0])), "{old} -> {new}");
    }
}

#[test]
fn the_bytes_do_not_change_with_a_release() {
    let text =
        "secrets:\n- { name: a/b, plugin: p, connection: c, settings: {}, cadence: { every: 1d }, consumers: {} }\n";
    let bytes = canonical(&read(text)[0]);
    let shown: String = bytes.iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '.' }).collect();
    assert_eq!(shown, include_str!("cases/canonical.txt").trim_end(), "a journal pins digests of this form");
}
