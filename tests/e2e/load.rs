//! Rotations under load: what consumers notice of them.

use crate::host::Installation;
use crate::workload::{Counts, Workload};
use keybaton_test_support::{Postgres, PostgresOptions};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Rotations under load, one after another.
const ROTATIONS: usize = 3;
/// Pause before each of them: workloads are at work, not only being rotated.
const BETWEEN: Duration = Duration::from_secs(1);
/// Queries that each test makes at least, so that it says something.
const QUERIES_MIN: u64 = 100;
/// How often it is looked whether they are made: a busy machine makes few.
const LOOKS_MAX: u32 = 60;

/// One connection to this server for these roles.
pub(crate) fn connections(server: &Postgres, identities: &str) -> String {
    format!(
        r#"connections:
  - name: main
    kind: postgres
    endpoint: {{ host: 127.0.0.1, port: {port}, dbname: postgres }}
    tls: {{ mode: disable }}
    admin: {{ user: {admin}, file: "{password}" }}
    limits: {{ in_flight: 8, per_second: 500, burst: 500 }}
    allow: {{ namespaces: [team], plugins: [postgres-password], identities: [{identities}], loopback: true }}
"#,
        port = server.port(),
        admin = server.admin_user(),
        password = server.admin_password_file().display(),
    )
}

async fn under_load(purpose: &str, settings: &str, overlap: &str) -> Arc<Counts> {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    server.execute("CREATE ROLE app_owner NOLOGIN").await.unwrap();
    let mut host = Installation::init(purpose, &connections(&server, "app, app_a, app_b, app_owner")).await;
    host.up(&[]).await;
    host.install("postgres-password").await;
    let declared = format!(
        "secrets:\n  - name: team/app\n    plugin: postgres-password\n    connection: main\n    settings: {settings}\n    \
         cadence: {{ manual: true }}\n    consumers:\n      web: {{ members: [web-0, web-1, web-2] }}\n    \
         overlap: {{ minimum: 0s, {overlap} }}\n    stragglers: {{ deadline: 60s, then: hold }}\n    \
         limits: {{ staged_lease: 60s }}\n"
    );
    host.apply(&declared).await;
    host.done(&["rotate", "team/app"]).await;
    host.settled("team/app").await;
    let counts = Arc::<Counts>::default();
    let mut replicas = Vec::new();
    for replica in ["web-0", "web-1", "web-2"] {
        replicas.push(Workload::start(&mut host, &server, ("team/app", "team/web", replica), &counts).await);
    }
    for _ in 0..ROTATIONS {
        tokio::time::sleep(BETWEEN).await;
        host.done(&["rotate", "team/app"]).await;
        host.settled("team/app").await;
        assert_eq!(host.ending("team/app").await, "completed");
    }
    // What was ended must not be missed afterwards either.
    tokio::time::sleep(BETWEEN).await;
    let queries = || counts.queries.load(Ordering::Relaxed);
    for _ in 0..LOOKS_MAX {
        if queries() >= QUERIES_MIN {
            break;
        }
        tokio::time::sleep(BETWEEN).await;
    }
    for replica in replicas {
        replica.stop().await;
    }
    host.down().await;
    assert!(queries() >= QUERIES_MIN, "{} queries say little", queries());
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_a_failed_query_while_two_roles_take_turns() {
    let counts = under_load("load-turns", "{ roles: [app_a, app_b], group: app_owner }", "quiet: 1s, soak: 1s").await;
    assert_eq!(counts.failed.load(Ordering::Relaxed), 0, "failed queries");
    // However long a login takes: its handle keeps the role it was begun with alive.
    assert_eq!(counts.refused.load(Ordering::Relaxed), 0, "logins that had to fall over");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_role_fall_over_hides_the_gap() {
    let counts = under_load("load-one", "{ role: app }", "quiet: 0s, accept_gap: true").await;
    assert_eq!(counts.failed.load(Ordering::Relaxed), 0, "failed queries");
}
