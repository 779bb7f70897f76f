//! Connection files read again by SIGHUP: what is right is taken over and told, what is wrong changes nothing and is named.

use crate::host::Installation;
use keybaton_test_support::{Postgres, PostgresOptions};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// `NOT_FOUND` of `keybaton --help`.
const NOT_FOUND: i32 = 6;

/// How long the host may take to read its files again.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection whose admin is the server's, at whatever port.
fn connection(server: &Postgres, name: &str, port: u16, plugins: &str) -> String {
    format!(
        "  - name: {name}\n    kind: postgres\n    endpoint: {{ host: 127.0.0.1, port: {port}, dbname: postgres }}\n    \
         tls: {{ mode: disable }}\n    admin: {{ user: {admin}, file: '{password}' }}\n    \
         allow: {{ namespaces: [team], plugins: [{plugins}], identities: ['*'], loopback: true }}\n",
        admin = server.admin_user(),
        password = server.admin_password_file().display(),
    )
}

/// Its consumer never answers.
const DECLARED: &str = "secrets:\n  - name: team/one\n    plugin: postgres-password\n    connection: main\n    \
                        settings: { roles: [one_a, one_b], group: one_owner }\n    cadence: { manual: true }\n    \
                        consumers: { web: { members: [web-0] } }\n    \
                        overlap: { minimum: 0s, quiet: 1s, soak: 0s }\n    \
                        stragglers: { deadline: 10m, then: hold }\n";

/// Reads of the files that are in the audit log.
async fn acts(host: &mut Installation) -> Vec<Value> {
    let audit = host.done(&["audit", "show"]).await;
    let entries = audit["entries"].as_array().unwrap().iter();
    entries.filter(|it| it["action"] == "connections.reload").cloned().collect()
}

/// Writes the file, tells the host, and waits for what it says in the audit log.
async fn reloaded(host: &mut Installation, connections: &[String]) -> Value {
    let before = acts(host).await.len();
    std::fs::write(host.dir.join("connections/all.yaml"), format!("connections:\n{}", connections.concat())).unwrap();
    host.hang_up();
    let until = Instant::now() + PATIENCE;
    loop {
        let mut acts = acts(host).await;
        if acts.len() > before {
            return acts.pop().unwrap();
        }
        assert!(Instant::now() < until, "the host did not read its files again");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn listed(host: &mut Installation) -> Vec<String> {
    let all = host.done(&["connection", "list"]).await;
    let target = |one: &Value| one["target"].as_str().unwrap().to_owned();
    all["connections"].as_array().unwrap().iter().map(target).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_files_are_read_again_all_or_none() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    server.execute("CREATE ROLE one_owner NOLOGIN").await.unwrap();
    let port = server.port();
    let main = connection(&server, "main", port, "postgres-password");
    let mut host = Installation::init("reload", &format!("connections:\n{main}")).await;
    host.up(&[]).await;
    host.install("postgres-password").await;
    host.apply(DECLARED).await;

    let wider = connection(&server, "main", port, "postgres-password, http-token");
    let second = connection(&server, "second", 2, "http-token");
    let act = reloaded(&mut host, &[wider.clone(), second.clone()]).await;
    assert_eq!((&act["verdict"], &act["detail"]), (&"done".into(), &"added: second; changed: main".into()), "{act:#}");
    let target = |name: &str, port: u16| format!("{name}: postgres://127.0.0.1:{port}/postgres");
    let both = [target("main", port), target("second", 2)];
    assert_eq!(listed(&mut host).await, both);
    assert_eq!(host.done(&["connection", "test", "main"]).await["works"], true, "the new one is in use");

    host.done(&["rotate", "team/one"]).await;
    host.settled("team/one").await;
    host.done(&["rotate", "team/one"]).await;
    let waits = |status: &Value| status["rotation"]["waiting"].as_str().is_some_and(|what| what.contains("web-0"));
    host.until("team/one", "waiting for its consumer", waits).await;
    let own = format!("file: '{}'", server.admin_password_file().display());
    for (sentence, files, expected) in [
        ("a key that is none", vec![wider.clone(), second.replace("endpoint", "endpiont")], "all.yaml:10:5: "),
        ("a connection that is used and gone", vec![second.clone()], "team/one is rotated over it"),
        ("a circle", vec![wider.replace(&own, "secret: team/one"), second.clone()], "logs in with `team/one` itself"),
        (
            "no authority there",
            vec![wider.clone(), second.replace("mode: disable", "ca: /none.pem")],
            "the CA /none.pem",
        ),
        (
            "elsewhere in the middle of a rotation",
            vec![connection(&server, "main", 3, "postgres-password"), second.clone()],
            "what was begun for team/one is not over",
        ),
    ] {
        let act = reloaded(&mut host, &files).await;
        let verdict = act["verdict"].as_str().unwrap();
        assert!(verdict.starts_with("refused") && verdict.contains(expected), "{sentence}: {act:#}");
        assert_eq!(listed(&mut host).await, both, "{sentence}: nothing has changed");
    }

    let act = reloaded(&mut host, &[wider.clone(), connection(&server, "second", 4, "http-token")]).await;
    assert_eq!(act["detail"], "changed: second", "{act:#}");
    assert_eq!(listed(&mut host).await, [target("main", port), target("second", 4)]);
    let act = reloaded(&mut host, &[wider]).await;
    assert_eq!(act["detail"], "removed: second", "{act:#}");
    host.ends(&["connection", "test", "second"], NOT_FOUND).await;
    host.down().await;
}
