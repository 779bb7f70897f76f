//! A connection that logs in with a secret managed here: it is a consumer of that secret, and rotates others meanwhile.

use crate::host::{Installation, generation};
use keybaton_test_support::{JupyterHub, JupyterHubOptions, Postgres, PostgresOptions};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the host may take to read its files again.
const PATIENCE: Duration = Duration::from_secs(20);
/// `DONE` of `keybaton --help`.
const DONE: i32 = 0;
/// `NOT_FOUND` of the same.
const NOT_FOUND: i32 = 6;

const ADMIN: &str = "team/admin";
const APP: &str = "team/app";
/// `INVALID` of `keybaton --help`.
const INVALID: i32 = 4;
/// `REFUSED` of the same.
const REFUSED: i32 = 5;

fn connections(server: &Postgres) -> String {
    let via = |name: &str, secret: &str| {
        format!(
            "  - name: {name}\n    kind: postgres\n    endpoint: {{ host: 127.0.0.1, port: {port} }}\n    \
             tls: {{ mode: disable }}\n    admin: {{ secret: {secret} }}\n    \
             limits: {{ in_flight: 8, per_second: 500, burst: 500 }}\n    \
             allow: {{ namespaces: [team], plugins: [postgres-password], identities: ['*'], loopback: true }}\n",
            port = server.port(),
        )
    };
    crate::load::connections(server, "\"*\"") + &via("via", ADMIN) + &via("via-app", APP)
}

fn secret(name: &str, connection: &str, roles: &str) -> String {
    format!(
        "  - name: {name}\n    plugin: postgres-password\n    connection: {connection}\n    \
         settings: {{ roles: [{roles}_a, {roles}_b], group: {roles}_owner }}\n    cadence: {{ manual: true }}\n    \
         consumers: {{}}\n    overlap: {{ minimum: 0s, quiet: 1s, soak: 1s }}\n    \
         stragglers: {{ deadline: 10m, then: hold }}\n    limits: {{ staged_lease: 60s }}\n"
    )
}

/// A server on which `admin_owner` may do what it takes to rotate others, and no more.
async fn server() -> Postgres {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    let groups = "CREATE ROLE admin_owner NOLOGIN CREATEROLE; CREATE ROLE app_owner NOLOGIN; \
                  GRANT pg_signal_backend, app_owner TO admin_owner";
    server.execute(groups).await.unwrap();
    server
}

/// Roles that could log in: they may, and have a password.
async fn live(server: &Postgres) -> Vec<String> {
    let rows = "SELECT rolname FROM pg_authid WHERE rolcanlogin AND rolpassword IS NOT NULL ORDER BY 1";
    server.rows(rows).await.unwrap().into_iter().map(|mut row| row.remove(0).unwrap()).collect()
}

async fn turned(host: &mut Installation, secret: &str) -> Value {
    host.done(&["rotate", secret]).await;
    let status = host.settled(secret).await;
    assert_eq!(host.ending(secret).await, "completed", "{secret}");
    status
}

async fn logged_in(host: &mut Installation) -> String {
    let tested = host.done(&["connection", "test", "via"]).await;
    assert_eq!(tested["works"], true, "{tested}");
    tested["detail"].as_str().unwrap().to_owned()
}

fn found(events: &[Value], event: &str, so: impl Fn(&Value) -> bool) -> Option<usize> {
    events.iter().rposition(|it| it["event"] == event && so(&it["parts"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_is_rotated_and_then_rotates_with_what_it_was_given() {
    let server = server().await;
    let mut host = Installation::init("logins", &connections(&server)).await;
    host.up(&[]).await;
    host.install("postgres-password").await;
    let declared = format!("secrets:\n{}{}", secret(ADMIN, "main", "admin"), secret(APP, "via", "app"));
    host.apply(&declared).await;
    let tested = host.run(&["connection", "test", "via"]).await;
    assert!(tested.out.contains("issue or import it first"), "{}{}", tested.out, tested.err);

    turned(&mut host, ADMIN).await;
    assert!(logged_in(&mut host).await.contains("admin_a"));
    turned(&mut host, APP).await;
    assert_eq!(live(&server).await, ["admin_a", "app_a", "postgres"]);

    // It switches, says so, and only then the old one goes.
    let status = turned(&mut host, ADMIN).await;
    assert_eq!(generation(&status, "current"), Some(2), "{status:#}");
    let history = host.done(&["history", ADMIN]).await;
    let events = history["events"].as_array().unwrap();
    let shown = || events.iter().map(|it| format!("{} {}\n", it["event"], it["parts"])).collect::<String>();
    let of = |generation: u64| move |parts: &Value| parts["generation"].as_str() == Some(&generation.to_string());
    let said = |purpose: &'static str, kind: &'static str| {
        let own = |parts: &Value| parts["consumer"] == "connections" && parts["replica"] == "via";
        let stated =
            move |parts: &Value| own(parts) && of(2)(parts) && parts["purpose"] == purpose && parts["evidence"] == kind;
        found(events, "stated", stated).unwrap_or_else(|| panic!("{purpose} by {kind}: {}", shown()))
    };
    let ended = found(events, "intended", |parts| of(1)(parts) && parts["export"] == "disable");
    let ended = ended.unwrap_or_else(|| panic!("generation 1 was disabled: {}", shown()));
    assert!(said("ready", "holder") < said("adopted", "process") && said("adopted", "process") < ended, "{}", shown());
    assert!(logged_in(&mut host).await.contains("admin_b"));
    let sessions = server.rows("SELECT usename FROM pg_stat_activity WHERE usename = 'admin_a'").await.unwrap();
    assert!(sessions.is_empty(), "nothing is left of the old admin: {sessions:?}");
    assert_eq!(live(&server).await, ["admin_b", "app_a", "postgres"]);

    // The other secret goes on, over a restart too.
    turned(&mut host, APP).await;
    host.down().await;
    host.up(&[]).await;
    assert!(logged_in(&mut host).await.contains("admin_b"));
    turned(&mut host, APP).await;
    turned(&mut host, ADMIN).await;
    assert!(logged_in(&mut host).await.contains("admin_a"));
    assert_eq!(live(&server).await, ["admin_a", "app_a", "postgres"], "the census is what the journals name");
    host.down().await;
}

/// Has the host read these files, until a login over `via` ends so.
async fn reloaded(host: &mut Installation, files: &str, code: i32) {
    std::fs::write(host.dir.join("connections/all.yaml"), files).unwrap();
    host.hang_up();
    let until = Instant::now() + PATIENCE;
    loop {
        let tested = host.run(&["connection", "test", "via"]).await;
        if tested.code == code {
            return;
        }
        assert!(Instant::now() < until, "{}{}", tested.out, tested.err);
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_comes_with_a_reload_is_waited_for_until_it_goes_with_another() {
    let server = server().await;
    let all = connections(&server);
    let (main, _) = all.split_once("  - name: via\n").unwrap();
    let mut host = Installation::init("logins-reload", main).await;
    host.up(&[]).await;
    host.install("postgres-password").await;
    host.apply(&format!("secrets:\n{}", secret(ADMIN, "main", "admin"))).await;
    turned(&mut host, ADMIN).await;

    reloaded(&mut host, &all, DONE).await;
    assert!(logged_in(&mut host).await.contains("admin_a"));
    turned(&mut host, ADMIN).await;
    let history = host.done(&["history", ADMIN]).await;
    let adopted = |parts: &Value| parts["consumer"] == "connections" && parts["purpose"] == "adopted";
    assert!(found(history["events"].as_array().unwrap(), "stated", adopted).is_some(), "{history:#}");
    assert!(logged_in(&mut host).await.contains("admin_b"));

    reloaded(&mut host, main, NOT_FOUND).await;
    turned(&mut host, ADMIN).await;
    assert_eq!(live(&server).await, ["admin_a", "postgres"]);
    host.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_connection_cannot_log_in_with_is_given_back_and_the_old_one_stays() {
    let server = server().await;
    server.execute("CREATE DATABASE vault").await.unwrap();
    // `main`, by which the admin is rotated, stays where it was.
    let port = server.port();
    let files = connections(&server).replace(&format!("port: {port} }}"), &format!("port: {port}, dbname: vault }}"));
    let mut host = Installation::init("logins-failed", &files).await;
    host.up(&[]).await;
    host.install("postgres-password").await;
    host.apply(&format!("secrets:\n{}", secret(ADMIN, "main", "admin"))).await;
    turned(&mut host, ADMIN).await;
    assert!(logged_in(&mut host).await.contains("admin_a"));

    // The next role works everywhere but where the connection leads.
    server
        .execute("REVOKE CONNECT ON DATABASE vault FROM PUBLIC; GRANT CONNECT ON DATABASE vault TO admin_a")
        .await
        .unwrap();
    host.done(&["rotate", ADMIN]).await;
    host.settled(ADMIN).await;
    assert_eq!(host.ending(ADMIN).await, "rolled-back");
    let history = host.done(&["history", ADMIN]).await;
    let events = history["events"].as_array().unwrap();
    for purpose in ["failed", "released"] {
        let said = found(events, "stated", |parts| parts["purpose"] == purpose && parts["generation"] == "2");
        assert!(said.is_some(), "it says that it {purpose}: {history:#}");
    }
    assert_eq!(live(&server).await, ["admin_a", "postgres"]);
    assert!(logged_in(&mut host).await.contains("admin_a"));
    host.down().await;
}

/// A hub, and two ways to it: as the service it trusts, and as a user with its rights, by a token that is managed here.
fn ways(hub: &JupyterHub) -> String {
    let way = |name: &str, admin: &str| {
        format!(
            "  - name: {name}\n    kind: http\n    endpoint: {{ base: '{base}', check: /hub/api/users }}\n    \
             tls: {{ mode: disable }}\n    admin: {{ scheme: bearer, prefix: token, {admin} }}\n    \
             limits: {{ per_second: 500, burst: 500 }}\n    allow:\n      namespaces: [team]\n      \
             plugins: [http-token]\n      identities: ['*']\n      loopback: true\n      endpoints:\n        \
             - {{ method: GET, path: '/hub/api/users/{{user}}/tokens', params: {{ user: identity }} }}\n        \
             - {{ method: POST, path: '/hub/api/users/{{user}}/tokens', params: {{ user: identity }}, \
             captures: ['json:/token'] }}\n        \
             - {{ method: DELETE, path: '/hub/api/users/{{user}}/tokens/{{id}}', \
             params: {{ user: identity, id: value }} }}\n        - {{ method: GET, path: /hub/api/user }}\n",
            base = hub.origin(),
        )
    };
    let file = format!("file: '{}'", hub.admin_token_file().display());
    format!("connections:\n{}{}", way("hub", &file), way("as-boss", "secret: team/boss"))
}

fn token(name: &str, connection: &str, user: &str) -> String {
    let text = include_str!("../../plugins/http-token/tests/jupyterhub.json");
    let mut settings: Value = serde_json::from_str(text).unwrap();
    settings["values"]["user"] = user.into();
    settings["usage"]["resolution-ms"] = 1_000.into();
    settings.as_object_mut().unwrap().remove("connection");
    format!(
        "  - name: {name}\n    plugin: http-token\n    connection: {connection}\n    settings: {settings}\n    \
         cadence: {{ manual: true }}\n    consumers: {{}}\n    \
         overlap: {{ minimum: 0s, quiet: 2s, soak: 0s }}\n    limits: {{ staged_lease: 60s }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_admin_s_is_rotated_and_then_mints_others() {
    let hub = JupyterHub::start_with_admin(JupyterHubOptions::default(), "boss").await.unwrap();
    hub.create_user("svc-app").await.unwrap();
    let mut host = Installation::init("logins-hub", &ways(&hub)).await;
    host.up(&[]).await;
    host.install("http-token").await;
    let declared = token("team/boss", "hub", "boss") + &token("team/svc", "as-boss", "svc-app");
    host.apply(&format!("secrets:\n{declared}")).await;
    for turn in 1..=2 {
        for secret in ["team/boss", "team/svc"] {
            let status = turned(&mut host, secret).await;
            assert_eq!(generation(&status, "current"), Some(turn), "{secret}");
        }
    }
    let tested = host.done(&["connection", "test", "as-boss"]).await;
    assert_eq!(tested["works"], true, "{tested}");
    for user in ["boss", "svc-app"] {
        let live = hub.tokens(user).await.unwrap();
        assert_eq!(live.len(), 1, "{user}: {live:?}");
    }
    host.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_lock_the_host_out_is_refused_before_anything_changes() {
    let server = server().await;
    let mut host = Installation::init("logins-refused", &connections(&server)).await;
    host.up(&[]).await;
    host.install("postgres-password").await;
    let in_force = format!("secrets:\n{}{}", secret(ADMIN, "main", "admin"), secret(APP, "via", "app"));
    host.apply(&in_force).await;
    for (sentence, declared, text) in [
        ("over itself", secret(ADMIN, "via", "admin"), "the connection `via` logs in with `team/admin` itself"),
        (
            "in a circle of two",
            secret(ADMIN, "via-app", "admin") + &secret(APP, "via", "app"),
            "`via-app` logs in with `team/app`, `via` logs in with `team/admin`",
        ),
        (
            "the files alone are a circle with what is in force",
            secret(ADMIN, "via-app", "admin"),
            "depends on the secret",
        ),
        (
            "a consumer of the reserved name",
            secret(APP, "main", "app").replace("consumers: {}", "consumers: { connections: { count: 1 } }"),
            "stands for the connections",
        ),
    ] {
        let file = host.folder.write("wrong.yaml", format!("secrets:\n{declared}").as_bytes()).unwrap();
        let ran = host.ends(&["apply", "--allow-weaker", file.to_str().unwrap()], INVALID).await;
        assert!(ran.out.contains(text) || ran.err.contains(text), "{sentence}: {}{}", ran.out, ran.err);
    }
    let only = host.folder.write("only.yaml", format!("secrets:\n{}", secret(APP, "main", "app")).as_bytes()).unwrap();
    let ran = host.ends(&["apply", "--prune", "--allow-weaker", only.to_str().unwrap()], INVALID).await;
    assert!(ran.out.contains("the connection `via` logs in with it"), "{}{}", ran.out, ran.err);
    let ran = host.ends(&["consumer", "enrol", "team/connections"], REFUSED).await;
    assert!(
        ran.err.contains("nobody enrols as it") || ran.out.contains("nobody enrols as it"),
        "{}{}",
        ran.out,
        ran.err
    );

    // Connection files that make a circle of what is in force keep the host from starting.
    host.down().await;
    let files = host.dir.join("connections/all.yaml");
    let circle = connections(&server).replacen("file: \"", "x-file: \"", 1).replacen(
        "user: postgres",
        &format!("secret: {APP}"),
        1,
    );
    std::fs::write(&files, circle).unwrap();
    let ran = host.run(&["serve"]).await;
    assert_eq!(ran.code, INVALID, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("at odds") || ran.out.contains("at odds"), "{}{}", ran.out, ran.err);
    assert_eq!(live(&server).await, ["postgres"]);
}
