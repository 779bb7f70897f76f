//! The kept JSON Schemas are those of the types, the types have the readers' keys, and the examples fit both.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use keybaton_schedule::catalog::Catalog;
use keybaton_schedule::declaration::{Input, load};
use keybaton_schedule::format::{connection_schema, declaration_schema, pretty};
use keybaton_schedule::{connection, declaration};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const DECLARATIONS: &str = include_str!("../../../../schedules/keybaton.schema.json");
const CONNECTIONS: &str = include_str!("../../../../schedules/connections.schema.json");
const README: &str = include_str!("../../../../schedules/README.md");

const EXAMPLES: &[(&str, &str)] = &[
    ("postgres-password.yaml", include_str!("../../../../schedules/postgres-password.yaml")),
    ("http-token.yaml", include_str!("../../../../schedules/http-token.yaml")),
    ("base", include_str!("cases/declarations.base.yaml")),
];
const CONNECTION_EXAMPLES: &[(&str, &str)] = &[
    ("host/examples/connections.yaml", include_str!("../../../examples/connections.yaml")),
    ("base", include_str!("cases/connections.base.yaml")),
];

#[test]
fn the_kept_schemas_are_up_to_date() {
    let how = "run `cargo run -p keybaton-schedule --example schema -- declarations > schedules/keybaton.schema.json`, \
               and the same with `connections` for connections.schema.json";
    assert!(pretty(&declaration_schema()) == DECLARATIONS, "{how}");
    assert!(pretty(&connection_schema()) == CONNECTIONS, "{how}");
}

/// Keys of the mapping of a name in a schema.
fn keys(schema: &Value, name: &str) -> BTreeSet<String> {
    let properties = |at: &Value| at["properties"].as_object().map(|map| map.keys().cloned().collect());
    let found = if name.ends_with("File") { properties(schema) } else { properties(&schema["$defs"][name]) };
    found.unwrap_or_else(|| panic!("{name} is in the schema"))
}

fn owned<'k>(keys: impl IntoIterator<Item = &'k &'k str>) -> BTreeSet<String> {
    keys.into_iter().map(|key| (*key).to_owned()).collect()
}

#[test]
fn the_schema_has_the_keys_that_are_read_and_the_guide_names_them() {
    let schema = declaration_schema();
    for (name, known) in declaration::KEYS {
        assert_eq!(keys(&schema, name), owned(*known), "{name}");
    }
    let schema = connection_schema();
    for (name, known) in connection::KEYS {
        assert_eq!(keys(&schema, name), owned(known.iter().copied().flatten()), "{name}");
    }
    let all = declaration::KEYS.iter().flat_map(|(_, keys)| *keys);
    let all = all.chain(connection::KEYS.iter().flat_map(|(_, keys)| keys.iter().copied().flatten()));
    for key in all {
        assert!(README.contains(&format!("`{key}`")), "schedules/README.md says nothing about `{key}`");
    }
}

/// Reads YAML into JSON by way of the declaration reader: as the settings of a secret that holds the whole file.
fn as_json(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n");
    let wrap = |document: &str| {
        let inner: String = document.lines().map(|line| format!("      {line}\n")).collect();
        let text = format!(
            "secrets:\n  - name: a/b\n    plugin: p\n    connection: c\n    cadence: {{ manual: true }}\n    consumers: {{}}\n    settings:\n{inner}"
        );
        let loaded = load(&[Input { name: "wrapped", text: &text }], &Catalog::unknown());
        assert_eq!(loaded.diagnostics, [], "{}", loaded.render(false));
        let mut json: Value = serde_json::from_str(loaded.specs[0].settings.json()).unwrap();
        json.as_object_mut().unwrap().remove("connection");
        json
    };
    documents.map(wrap).collect()
}

fn complaints(schema: &Value, instance: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn every_example_is_read_and_fits_its_schema() {
    for (name, text) in EXAMPLES {
        let loaded = load(&[Input { name, text }], &Catalog::unknown());
        assert_eq!(loaded.diagnostics, [], "{}", loaded.render(false));
        assert!(!loaded.specs.is_empty(), "{name}");
        for document in as_json(text) {
            assert_eq!(complaints(&declaration_schema(), &document), Vec::<String>::new(), "{name}");
        }
    }
    for (name, text) in CONNECTION_EXAMPLES {
        let loaded = connection::load(&[Input { name, text }]);
        assert_eq!(loaded.diagnostics, [], "{}", loaded.render(false));
        for document in as_json(text) {
            assert_eq!(complaints(&connection_schema(), &document), Vec::<String>::new(), "{name}");
        }
    }
}

#[test]
fn the_examples_refer_to_connections_that_are_open_to_them() {
    let inputs: Vec<Input<'_>> = CONNECTION_EXAMPLES[..1].iter().map(|(name, text)| Input { name, text }).collect();
    let connections = connection::load(&inputs).connections;
    let plugins = ["postgres-password", "http-token"].map(|name| name.parse().unwrap());
    let catalog = Catalog::unknown().with_plugins(plugins).with_connections(&connections);
    let inputs: Vec<Input<'_>> = EXAMPLES[..2].iter().map(|(name, text)| Input { name, text }).collect();
    let loaded = load(&inputs, &catalog);
    assert_eq!(loaded.diagnostics, [], "{}", loaded.render(false));
}

#[test]
fn the_schema_refuses_what_an_editor_should_mark() {
    let good = as_json(EXAMPLES[2].1).remove(0);
    let spoil = |pointer: &str, value: Value| {
        let mut spoilt = good.clone();
        *spoilt.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is in the base")) = value;
        complaints(&declaration_schema(), &spoilt).len()
    };
    for (pointer, value) in [
        ("/secrets/0/name", json!("Payments/db")),
        ("/secrets/0/cadence/every", json!(30)),
        ("/secrets/0/cadence/every", json!("30 days")),
        ("/secrets/0/cadence/windows/0/from", json!("25:00")),
        ("/secrets/0/consumers/app/kind", json!("agent")),
        ("/secrets/0/consumers/app/ready", json!("store")),
        ("/secrets/0/consumers/app/adopted", json!("holder")),
        ("/secrets/0/consumers/report/count", json!(0)),
        ("/secrets/0/stragglers/quorum", json!("0%")),
        ("/secrets/0/waves/sizes/1", json!("101%")),
        ("/secrets/0/overlap", json!({ "minimun": "1h" })),
        ("/secrets/0/settings", json!("none")),
        ("/secrets", json!({})),
    ] {
        assert!(spoil(pointer, value.clone()) > 0, "{pointer} = {value}");
    }
}
