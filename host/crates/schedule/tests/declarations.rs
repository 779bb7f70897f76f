//! Every field of a declaration wrong in turn: what is said, where, and what is suggested.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keybaton_schedule::catalog::Catalog;
use keybaton_schedule::connection;
use keybaton_schedule::declaration::{Input, Loaded, load};

const BASE: &str = include_str!("cases/declarations.base.yaml");

const CONNECTIONS: &str = r#"
connections:
  - name: pg-main
    kind: postgres
    endpoint: { host: db.example.org }
    admin: { user: keybaton, systemd: pg-admin }
    allow: { namespaces: [payments], plugins: [postgres-password], identities: ["app_*"] }
  - name: hub
    kind: http
    endpoint: { base: "https://hub.example.org/hub/api" }
    admin: { scheme: bearer, systemd: hub-admin }
    allow: { namespaces: ["*"], plugins: ["*"], identities: ["*"] }
"#;

fn read(text: &str) -> Loaded {
    let connections = connection::load(&[Input { name: "connections.yaml", text: CONNECTIONS }]);
    assert_eq!(connections.diagnostics, []);
    let plugins = ["postgres-password", "http-token"].map(|name| name.parse().unwrap());
    let catalog = Catalog::unknown().with_plugins(plugins).with_connections(&connections.connections);
    load(&[Input { name: "a.yaml", text }], &catalog)
}

#[test]
fn nothing_is_wrong_with_the_base() {
    let loaded = read(BASE);
    assert_eq!(loaded.diagnostics, [], "{}", loaded.render(false));
    assert_eq!(loaded.specs.len(), 2);
}

#[test]
fn every_field_wrong_in_turn_is_named_with_its_place_and_what_would_be_right() {
    support::check(include_str!("cases/declarations.txt"), BASE, |text| read(text).diagnostics);
}
