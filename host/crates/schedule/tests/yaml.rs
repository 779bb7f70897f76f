//! Files as they come: several documents, anchors, other alphabets, bombs, rubbish; and how problems look.

use keybaton_schedule::catalog::Catalog;
use keybaton_schedule::connection;
use keybaton_schedule::declaration::{Input, Loaded, load};
use keybaton_schedule::{MAX_ALIASED_NODES, MAX_DEPTH};
use proptest::prelude::*;

const BASE: &str = include_str!("cases/declarations.base.yaml");
const CONNECTIONS: &str = include_str!("cases/connections.base.yaml");

fn read(text: &str) -> Loaded {
    load(&[Input { name: "a.yaml", text }], &Catalog::unknown())
}

fn secret(name: &str, more: &str) -> String {
    format!(
        "  - {{ name: {name}, plugin: p, connection: c, settings: {{}}, cadence: {{ every: 1d }}, consumers: {{}}{more} }}\n"
    )
}

#[test]
fn files_and_documents_are_read_together() {
    let one = format!("secrets:\n{}---\nsecrets:\n{}", secret("a/one", ", after: [a/three]"), secret("a/two", ""));
    let other = format!("# a comment\nsecrets:\n{}", secret("a/three", ""));
    let inputs = [("one", one.as_str()), ("empty", ""), ("comment", "# nothing yet\n"), ("other", &other)];
    let inputs = inputs.map(|(name, text)| Input { name, text });
    let loaded = load(&inputs, &Catalog::unknown());
    assert_eq!(loaded.diagnostics, [], "{}", loaded.render(false));
    let names: Vec<String> = loaded.specs.iter().map(|spec| spec.name.to_string()).collect();
    assert_eq!(names, ["a/one", "a/two", "a/three"]);
}

#[test]
fn problems_of_all_files_come_together_and_in_order() {
    let one = format!("secrets:\n{}", secret("a/one", ", nonsense: 1"));
    let other = format!("secrets:\n{}{}", secret("a/one", ""), secret("a/two", ", after: [a/no]"));
    let inputs = [Input { name: "one.yaml", text: &one }, Input { name: "other.yaml", text: &other }];
    let loaded = load(&inputs, &Catalog::unknown());
    let found: Vec<(&str, &str)> = loaded.diagnostics.iter().map(|d| (d.place.file.as_str(), d.code)).collect();
    assert_eq!(
        found,
        [("one.yaml", "unknown-key"), ("other.yaml", "duplicate-secret"), ("other.yaml", "unknown-secret")]
    );
    assert_eq!(loaded.diagnostics[1].related[0].place.file, "one.yaml");
}

#[test]
fn an_alias_stands_for_the_whole_of_its_anchor() {
    let text = "x-usual: &usual { every: 30d, jitter: 1h }\nsecrets:\n\
        - { name: a/b, plugin: p, connection: c, settings: {}, cadence: *usual, consumers: {} }\n\
        - { name: a/c, plugin: p, connection: c, settings: {}, cadence: *usual, consumers: {} }\n";
    let loaded = read(text);
    assert_eq!(loaded.diagnostics, [], "{}", loaded.render(false));
    assert_eq!(loaded.specs[0].cadence.jitter_ms, 3_600_000);
    assert!(std::sync::Arc::ptr_eq(&loaded.specs[0].cadence, &loaded.specs[1].cadence), "what is equal is kept once");
}

#[test]
fn a_few_bytes_cannot_stand_for_a_million_values() {
    let mut bomb = "x-a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in b'b'..=b'i' {
        let (here, below) = (char::from(level), char::from(level - 1));
        bomb.push_str(&format!("x-{here}: &{here} [{}]\n", vec![format!("*{below}"); 10].join(", ")));
    }
    let loaded = read(&bomb);
    assert_eq!(loaded.diagnostics[0].code, "yaml-alias");
    assert!(loaded.diagnostics[0].message.contains(&MAX_ALIASED_NODES.to_string()));
    let deep = format!("secrets: {}", "[".repeat(MAX_DEPTH + 1));
    assert_eq!(read(&deep).diagnostics[0].code, "too-deep");
    let levels = (0..20).map(|n| format!("x-l{}: &l{} [*l{n}]\n", n + 1, n + 1)).collect::<String>();
    let nested = format!("x-l0: &l0 {}{}\n{levels}", "[".repeat(20), "]".repeat(20));
    assert_eq!(read(&nested).diagnostics[0].code, "yaml-alias");
}

#[test]
fn columns_count_characters_whatever_their_bytes() {
    let text = format!("secrets:\n{}", secret("a/b", ", x-ä: 'ö😀', nonsense: 1"));
    let found = &read(&text).diagnostics;
    let line = text.lines().nth(1).unwrap();
    let column = line[..line.find("nonsense").unwrap()].chars().count() + 1;
    assert_eq!((found[0].place.line, found[0].place.column as usize), (2, column));
    assert_eq!(found[0].text, "nonsense");

    let long = format!("# {}\n{text}", "é".repeat(1000));
    assert_eq!(read(&long).diagnostics[0].text, "nonsense");
    let windows = text.replace('\n', "\r\n");
    assert_eq!(
        (read(&windows).diagnostics[0].place.line, read(&windows).diagnostics[0].text.as_str()),
        (2, "nonsense")
    );
}

#[test]
fn what_a_plugin_finds_is_shown_where_it_stands() {
    let loaded = read(BASE);
    let spec = &loaded.specs[0];
    assert_eq!(spec.settings.json(), r#"{"connection":"pg-main","group":"app","roles":["app_a","app_b"]}"#);
    let repeated = read(&BASE.replace("settings: { roles", "settings: { connection: pg-main, roles"));
    assert_eq!(repeated.diagnostics, [], "saying the same connection again is no mistake");
    assert_eq!(repeated.specs[0].settings, spec.settings);
    for (pointer, line, column, text) in [
        ("/settings/roles/1", 5, 32, "app_b"),
        ("/settings/group", 5, 47, "app"),
        ("/settings/roles/7", 5, 24, "[app_a, app_b]"),
        ("/settings/nothing", 5, 15, "{ roles: [app_a, app_b], group: app }"),
        ("/connection", 4, 17, "pg-main"),
        ("", 2, 5, "name: payments/db"),
    ] {
        let found = loaded.finding(spec, pointer, "plugin", "not so");
        assert_eq!((found.place.line, found.place.column, found.text.as_str()), (line, column, text), "{pointer}");
    }
}

#[test]
fn problems_look_like_this() {
    let text = BASE
        .replace("every: 30d", "evry: 30d")
        .replace("consumers: {}", "consumers: {}\n    after: [payments/db]")
        .replace("call_timeout: 30s", "call_timeout: 30");
    let rendered = read(&text).render(false);
    assert_eq!(rendered, include_str!("cases/rendered.txt"), "as it is now:\n<<<\n{rendered}>>>");
    let coloured = read(&text).render(true);
    assert!(coloured.contains("\u{1b}["), "colour was asked for");
    assert!(!rendered.contains('\u{1b}'));
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let text = format!("secrets:\n{}", secret("a/b", ", \"non\\e[31msense\": 1, \"x\u{202e}y\": 2"));
    let rendered = read(&text).render(false);
    assert!(!rendered.contains('\u{1b}') && !rendered.contains('\u{202e}'), "{rendered:?}");
}

#[test]
fn problems_are_data_too() {
    let text = format!("secrets:\n{}", secret("a/b", ", nonsense: 1"));
    let json = serde_json::to_value(&read(&text).diagnostics).unwrap();
    assert_eq!(json[0]["code"], "unknown-key");
    assert_eq!(json[0]["file"], "a.yaml");
    assert_eq!(json[0]["line"], 2);
    assert!(json[0]["column"].is_u64() && json[0]["message"].is_string() && json[0]["expected"].is_string());
    assert!(json[0].get("suggestion").is_none());
}

#[test]
fn thousands_of_problems_are_counted_not_listed() {
    let text = format!("secrets:\n{}", "  - 1\n".repeat(5000));
    let found = read(&text).diagnostics;
    assert_eq!(found.len(), 1001);
    assert_eq!(found[1000].message, "4000 more problems are not shown");
}

fn both(text: &str) {
    let inputs = [Input { name: "a.yaml", text }];
    let loaded = load(&inputs, &Catalog::unknown());
    let _: String = loaded.render(true);
    let _: String = connection::load(&inputs).render(false);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,200}") {
        both(&text);
    }

    #[test]
    fn no_yaml_like_text_is_too_strange(parts in prop::collection::vec(prop::sample::select(vec![
        "secrets:", "connections:", "\n", "\n  ", "\n- ", "- ", "name: ", "a/b", "{", "}", "[", "]", ",", ": ", "&a ", "*a", "!!str ", "'",
        "\"", "|", ">-", "? ", "---\n", "...\n", "%YAML 1.2\n", "\t", "#", "<<: ", "settings: ", "cadence: ", "every: 1d", "ä", "\u{feff}", "\r", "\0", "~",
    ]), 0..60)) {
        both(&parts.concat());
    }

    #[test]
    fn no_edit_of_a_good_file_is_too_strange(at in any::<prop::sample::Index>(), length in 0..20_usize, with in "\\PC{0,5}") {
        for base in [BASE, CONNECTIONS] {
            let from = at.index(base.len());
            let to = (from + length).min(base.len());
            both(&format!("{}{with}{}", &base[..from], &base[to..]));
        }
    }
}
