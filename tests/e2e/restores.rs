//! Restores, by the real binary on a real PostgreSQL: a backup that is older than the target and the consumers. Nothing
//! that works ends by it, and each secret has a way on.

use crate::host::{Installation, generation};
use crate::load::connections;
use crate::workload::{Counts, Workload};
use keybaton_test_support::{Login, Postgres, PostgresOptions};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Exit codes as `keybaton --help` documents them.
const DONE: i32 = 0;
const FAILED: i32 = 1;
const REFUSED: i32 = 5;
const UNREACHABLE: i32 = 7;

async fn served(purpose: &str, declared: &str) -> (Postgres, Installation) {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    server.execute("CREATE ROLE app_owner NOLOGIN").await.unwrap();
    let mut host = Installation::init(purpose, &connections(&server, "\"*\"")).await;
    host.up(&[]).await;
    host.install("postgres-password").await;
    host.apply(declared).await;
    (server, host)
}

fn one_role(name: &str) -> String {
    format!(
        "  - name: team/{name}\n    plugin: postgres-password\n    connection: main\n    \
         settings: {{ role: {name} }}\n    cadence: {{ manual: true }}\n    \
         consumers: {{ job: {{ members: [job-0], required: false }} }}\n    \
         overlap: {{ minimum: 0s, quiet: 0s, soak: 0s, accept_gap: true }}\n"
    )
}

/// The store of the backup takes the place of the one that was in use.
async fn restored(host: &mut Installation, backup: &str) -> Value {
    host.down().await;
    std::fs::remove_dir_all(host.dir.join("data")).unwrap();
    let report = host.done(&["restore", backup]).await;
    host.up(&[]).await;
    report
}

async fn verifier(server: &Postgres, role: &str) -> String {
    let rows = server.rows(&format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{role}'")).await.unwrap();
    rows[0][0].clone().expect("it has a password")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_credential_may_be_put_back_or_accepted_as_lost() {
    let declared = format!("secrets:\n{}", one_role("solo"));
    let (server, mut host) = served("restore-lost", &declared).await;
    host.ends(&["rotate", "team/solo", "--wait"], DONE).await;
    let old = verifier(&server, "solo").await;
    let backup = host.folder.join("backup").display().to_string();
    let made = host.done(&["backup", &backup]).await;
    assert!(made["not_included"].to_string().contains("operators' tokens"), "{made}");
    host.ends(&["rotate", "team/solo", "--wait"], DONE).await;
    let live = verifier(&server, "solo").await;
    assert_ne!(live, old);

    let report = restored(&mut host, &backup).await;
    assert_eq!((&report["secrets"], &report["token_is_good"]), (&1.into(), &true.into()), "{report}");
    let listed = host.ends(&["reconcile", "--all"], REFUSED).await.json();
    assert_eq!(listed["secrets"][0]["outcome"], "lost", "{listed:#}");
    assert!(
        listed["secrets"][0]["advice"].as_str().unwrap().contains("reconcile team/solo --accept lost"),
        "{listed:#}"
    );
    let refused = host.ends(&["reconcile", "team/solo"], REFUSED).await;
    assert!(refused.out.contains("reconcile team/solo --accept lost"), "{}", refused.out);

    // The stored password is put back at the server: the comparison is done again, and the secret goes on.
    server.execute(&format!("ALTER ROLE solo PASSWORD '{old}'")).await.unwrap();
    let listed = host.ends(&["reconcile", "--all"], DONE).await.json();
    assert_eq!(
        (&listed["secrets"][0]["outcome"], &listed["secrets"][0]["released"]),
        (&"matches".into(), &true.into())
    );
    host.ends(&["rotate", "team/solo", "--wait"], DONE).await;

    // What is declared after a restore is held by none.
    host.apply(&format!("secrets:\n{}{}", one_role("solo"), one_role("later"))).await;
    host.ends(&["rotate", "team/later", "--wait"], DONE).await;
    host.down().await;
    host.up(&[]).await;
    assert!(host.done(&["status", "team/later"]).await["held"].is_null(), "it is older than no restore");

    // Once more, and this time nobody has the stored password: the loss is accepted, and what is in use is imported.
    restored(&mut host, &backup).await;
    host.ends(&["reconcile", "team/solo", "--accept", "lost"], 2).await; // it needs a reason
    let before = verifier(&server, "solo").await;
    host.ends(&["reconcile", "team/solo", "--accept", "lost", "--reason", "nobody has it"], DONE).await;
    assert_eq!(verifier(&server, "solo").await, before, "nothing at the target was touched");
    let status = host.done(&["status", "team/solo"]).await;
    assert_eq!((&status["summary"]["standing"], generation(&status, "current")), (&"new".into(), None), "{status:#}");
    server.execute("ALTER ROLE solo PASSWORD 'known to somebody'").await.unwrap();
    let import = ["import", "team/solo", "--attribute", "username=solo"];
    let ran = host.run_with(&import, "known to somebody\n").await;
    assert_eq!(ran.code, DONE, "{}{}", ran.out, ran.err);
    let status = host.settled("team/solo").await;
    assert!(generation(&status, "current").is_some(), "{status:#}");
    host.ends(&["rotate", "team/solo", "--wait"], DONE).await;
    let history = host.done(&["history", "team/solo"]).await.to_string();
    assert!(history.contains("nobody has it"), "the reason is on record");
    host.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credential_in_use_outlives_a_restore_to_a_backup_that_takes_it_for_pending() {
    let declared = "secrets:\n  - name: team/app\n    plugin: postgres-password\n    connection: main\n    \
         settings: { roles: [app_a, app_b], group: app_owner }\n    cadence: { manual: true }\n    \
         consumers: { web: { members: [web-0] } }\n    overlap: { minimum: 20s, quiet: 1s, soak: 0s }\n    \
         stragglers: { deadline: 10m, then: hold }\n    limits: { staged_lease: 2s }\n";
    let (server, mut host) = served("restore-ahead", declared).await;
    host.ends(&["rotate", "team/app"], DONE).await;
    let counts = Arc::<Counts>::default();
    let web = Workload::start(&mut host, &server, ("team/app", "team/web", "web-0"), &counts).await;
    host.settled("team/app").await;
    web.stalls.store(true, Ordering::Relaxed);
    host.ends(&["rotate", "team/app"], DONE).await;
    host.until("team/app", "staged", |status| status["rotation"]["step"] == "stage").await;
    while web.offered.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let backup = host.folder.join("backup").display().to_string();
    host.done(&["backup", &backup]).await;
    web.stalls.store(false, Ordering::Relaxed);
    host.until("team/app", "draining", |status| status["rotation"]["step"] == "drain").await;
    let newer = web.password();

    restored(&mut host, &backup).await;
    let listed = host.ends(&["reconcile", "--all"], REFUSED).await.json();
    assert_eq!(
        (&listed["secrets"][0]["outcome"], &listed["secrets"][0]["newer"]),
        (&"ahead".into(), &2.into()),
        "{listed:#}"
    );
    // Longer than the staged lease that the backup knows of.
    tokio::time::sleep(Duration::from_secs(3)).await;
    host.ends(&["reconcile", "team/app"], DONE).await;
    let status = host.settled("team/app").await;
    assert_eq!(generation(&status, "current"), Some(2), "{status:#}");
    assert_eq!(server.login("app_b", &newer).await.unwrap(), Login::Works, "the one in use was kept");
    let history = host.done(&["history", "team/app"]).await;
    let ends = |it: &&Value| {
        let export = it["parts"]["export"].as_str().unwrap_or_default();
        it["event"] == "intended" && ["disable", "destroy"].contains(&export)
    };
    let ended: Vec<_> = history["events"].as_array().unwrap().iter().filter(ends).collect();
    assert!(ended.iter().all(|it| it["parts"]["generation"] == "1"), "the live one was never ended: {ended:#?}");
    assert!(!ended.is_empty(), "and the old one was");
    web.stop().await;
    assert_eq!(counts.failed.load(Ordering::Relaxed), 0, "failed queries");
    host.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_whose_token_is_lost_gets_in_with_the_key_file() {
    let declared = format!("secrets:\n{}", one_role("solo"));
    let (_server, mut host) = served("restore-token", &declared).await;
    let token = host.dir.join("operator.token");
    let old = std::fs::read(&token).unwrap();
    host.ends(&["operator", "reset", "--offline"], FAILED).await; // the host runs
    assert_eq!(std::fs::read(&token).unwrap(), old, "nothing was changed");
    host.down().await;
    std::fs::remove_file(&token).unwrap();
    let reset = host.done(&["operator", "reset", "--offline"]).await;
    assert_eq!(reset["revoked"], 1, "{reset}");
    host.up(&[]).await;
    host.done(&["status"]).await;
    let new = std::fs::read(&token).unwrap();
    std::fs::write(&token, &old).unwrap();
    host.ends(&["status"], UNREACHABLE).await;
    std::fs::write(&token, new).unwrap();
    let audit = host.done(&["audit", "show"]).await;
    let entries = audit["entries"].as_array().unwrap();
    assert!(entries.iter().any(|it| it["action"] == "operator.reset" && it["from"] == "offline"), "{audit:#}");
    let guide = host.done(&["restore", "--guide"]).await;
    assert!(guide["steps"].as_array().unwrap().len() > 6 && guide.to_string().contains("reconcile --all"), "{guide:#}");
    host.down().await;
}
