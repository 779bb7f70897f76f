//! Connections: what is read, every field wrong in turn, and nothing secret in what is said about it.

mod support;

use keybaton_schedule::connection::{Admin, Connection, Endpoint, Param, Source, TlsMode, load};
use keybaton_schedule::declaration::Input;

const BASE: &str = include_str!("cases/connections.base.yaml");
const CASES: &str = include_str!("cases/connections.txt");

fn read(text: &str) -> Vec<Connection> {
    let loaded = load(&[Input { name: "c.yaml", text }]);
    assert_eq!(loaded.diagnostics, [], "{}", loaded.render(false));
    loaded.connections
}

#[test]
fn the_base_is_read_as_it_stands() {
    let connections = read(BASE);
    let [postgres, hub] = connections.as_slice() else { panic!("two connections") };
    let endpoint = Endpoint::Postgres { host: "db.example.org".into(), port: 5433, dbname: "app".into() };
    assert_eq!(postgres.endpoint, endpoint);
    assert_eq!(postgres.tls.mode, TlsMode::VerifyFull);
    assert_eq!(postgres.tls.ca.as_deref(), Some("/etc/keybaton/ca.pem"));
    assert_eq!(postgres.tls.client, Some(("/etc/c.pem".into(), "/etc/k.pem".into())));
    let password = Source::Systemd("pg-admin".into());
    assert_eq!(postgres.admin, Admin::Password { user: Some("keybaton".into()), password });
    assert_eq!((postgres.limits.in_flight, postgres.limits.per_second, postgres.limits.burst), (4, 10, 20));
    assert!(postgres.allow.namespace(&"team-x".parse().unwrap()));
    assert!(!postgres.allow.namespace(&"billing".parse().unwrap()));
    assert!(postgres.allow.identity("app_a"));
    assert!(!postgres.allow.identity("postgres"));
    assert!(postgres.allow.addresses.permit("10.1.2.3".parse().unwrap()).is_ok());
    assert!(postgres.allow.addresses.permit("10.2.2.3".parse().unwrap()).is_err());

    let endpoint = Endpoint::Http {
        secure: true,
        host: "hub.example.org".into(),
        port: 8443,
        path: "/hub/api".into(),
        check: Some("/user".into()),
    };
    assert_eq!(hub.endpoint, endpoint);
    let token = Source::Secret("infra/hub-admin".parse().unwrap());
    assert_eq!(hub.admin, Admin::Bearer { prefix: "token".into(), token });
    let [mint] = hub.allow.endpoints.as_slice() else { panic!("one endpoint") };
    assert_eq!((mint.method.as_str(), mint.path.as_str()), ("POST", "/hub/api/users/{user}/tokens"));
    assert_eq!(mint.params, [("user".to_owned(), Param::Identity)]);
    assert_eq!(mint.captures, ["json:/token"]);
    assert_eq!((hub.limits.in_flight, hub.limits.per_second, hub.limits.burst), (8, 20, 40));
}

#[test]
fn this_machine_may_be_reached_without_tls_and_by_any_of_its_names() {
    let text = r#"
connections:
  - name: local
    kind: http
    endpoint: { base: "http://[::1]:8000" }
    tls: { mode: disable }
    admin: { scheme: basic, user: admin, env: HUB_PASSWORD }
    allow: { namespaces: ["*"], plugins: ["*"], identities: ["*"], loopback: true }
---
connections:
  - name: own-header
    kind: http
    endpoint: { base: "https://api.example.org" }
    admin: { scheme: header, header: X-Api-Key, systemd: api-key }
    limits: { timeout: 5s }
    allow: { namespaces: ["*"], plugins: ["*"], identities: ["*"] }
  - name: mutual
    kind: http
    endpoint: { base: "https://api.example.org" }
    admin: { scheme: mtls, certificate: /etc/c.pem, file: /etc/k.pem }
    allow: { namespaces: ["*"], plugins: ["*"], identities: ["*"] }
"#;
    let connections = read(text);
    assert_eq!(connections[0].endpoint.host(), "::1");
    assert_eq!(connections[0].endpoint.port(), 8000);
    assert_eq!(connections[0].tls.mode, TlsMode::Disable);
    let value = Source::Systemd("api-key".into());
    assert_eq!(connections[1].admin, Admin::Header { name: "x-api-key".into(), value });
    assert_eq!(connections[1].limits.timeout_ms, 5000);
    let key = Source::File("/etc/k.pem".into());
    assert_eq!(connections[2].admin, Admin::Mtls { certificate: Some("/etc/c.pem".into()), key });
}

#[test]
fn every_field_wrong_in_turn_is_named_with_its_place_and_what_would_be_right() {
    support::check(CASES, BASE, |text| load(&[Input { name: "c.yaml", text }]).diagnostics);
}

#[test]
fn a_secret_that_was_put_into_the_file_is_not_shown() {
    let source = "systemd: pg-admin";
    for wrong in [
        "password: hunter2hunter2",
        "token: hunter2hunter2, rubbish: 1",
        "systemd: \"hunter2 hunter2\"",
        "file: hunter2hunter2",
        "env: hunter2-hunter2",
        "pasword: hunter2",
        "password: hunter2{",
        "key: |\n        hunter2\n        hunter2",
    ] {
        let wrong = match wrong.contains('\n') {
            true => {
                BASE.replace("{ user: keybaton, systemd: pg-admin }", &format!("\n      user: keybaton\n      {wrong}"))
            }
            false => BASE.replace(source, wrong),
        };
        let loaded = load(&[Input { name: "c.yaml", text: &wrong }]);
        assert!(!loaded.diagnostics.is_empty(), "{wrong}");
        let told = format!("{:?} {} {:?}", loaded.diagnostics, loaded.render(true), loaded.sources);
        assert!(!told.contains("hunter2"), "{told}");
    }
    let wrong = BASE.replace("https://hub.example.org", "https://admin:hunter2@hub.example.org");
    let loaded = load(&[Input { name: "c.yaml", text: &wrong }]);
    assert!(!loaded.render(false).contains("hunter2"), "{}", loaded.render(false));
}
