//! The memory of the host that serves: what it must not hold while a rotation waits, between rotations, and once a
//! credential was erased. Only root may look; for anybody else the tests hold it to that.

use super::{ONE, OTHER, OTHERS, Planted, connections, install_confidant, invented, other_roles, role, rotated, shown};
use crate::host::{Installation, generation};
use crate::workload::{Counts, Workload};
use keybaton_test_support::{Canary, Postgres, PostgresOptions};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long freed memory may still hold what was used a moment ago: connections and their buffers end with their idle
/// time.
const FORGOTTEN: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Looks until none of these is there any more.
async fn forgets(host: &Installation, moment: &str, planted: &Planted) {
    // What is no secret is found: the search sees this memory.
    let mut control = Canary::new();
    control.plant("the name of the namespace", "namespaces").unwrap();
    let seen = control.search_memory(host.pid());
    if !rustix::process::geteuid().is_root() {
        assert!(seen.is_err(), "only root may read the memory of a host");
        return;
    }
    assert!(!seen.unwrap().is_empty(), "the search sees nothing");
    let until = Instant::now() + FORGOTTEN;
    loop {
        let found = planted.all(|canary| canary.search_memory(host.pid()).unwrap());
        if found.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "{moment}: {:#?}", shown(&found));
        sleep(LOOK).await;
    }
}

/// A server with the role that is imported, a host, and its one workload.
async fn imported(purpose: &str, declared: &str) -> (Postgres, Installation, Workload, String) {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    let known = invented();
    role(&server, &known).await;
    let mut host = Installation::init(purpose, &connections(&server)).await;
    host.up(&[]).await;
    host.install("postgres-password").await;
    host.apply(&format!("secrets:\n{declared}")).await;
    let import = ["import", "team/one", "--attribute", "username=one_a", "--slot", "one_a"];
    assert_eq!(host.run_with(&import, &known).await.code, 0);
    host.settled("team/one").await;
    let counts = Arc::<Counts>::default();
    let web = Workload::start(&mut host, &server, ("team/one", "team/web", "web-0"), &counts).await;
    (server, host, web, known)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_memory_forgets_what_was_erased() {
    let (_server, mut host, web, known) = imported("canary-memory", ONE).await;
    let mut passwords = vec![known];
    for number in 2..=4 {
        rotated(&mut host, "team/one", number).await;
        passwords.push(web.password());
    }
    let planted = Planted::of([
        ("the imported one", passwords[0].as_str()),
        ("the second one", &passwords[1]),
        ("the third one", &passwords[2]),
    ]);
    forgets(&host, "they were erased", &planted).await;
    web.stop().await;
    host.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_waits_holds_no_value() {
    let slow = ONE.replace("minimum: 0s", "minimum: 5m").replace("deadline: 60s", "deadline: 10m");
    let (server, mut host, web, known) = imported("canary-waits", &slow.replace("lease: 2s", "lease: 10m")).await;
    let mut planted = Planted::of([("the current one", known.as_str()), ("the admin's", server.admin_password())]);
    forgets(&host, "nothing is to be done", &planted).await;

    web.stalls.store(true, Ordering::Relaxed);
    host.done(&["rotate", "team/one"]).await;
    let offered = |web: &Workload| web.offered.lock().unwrap().last().cloned();
    host.until("team/one", "offered", |_| offered(&web).is_some()).await;
    let pending = offered(&web).unwrap();
    planted.plant("the pending one", &pending);
    forgets(&host, "a workload tries what is pending", &planted).await;
    let status = host.done(&["status", "team/one"]).await;
    assert_eq!((generation(&status, "pending"), offered(&web)), (Some(2), Some(pending.clone())), "{status:#}");

    web.stalls.store(false, Ordering::Relaxed);
    host.until("team/one", "committed", |status| generation(status, "current") == Some(2)).await;
    host.until("team/one", "adopted", |_| web.password() == pending).await;
    forgets(&host, "what is previous drains", &planted).await;
    let status = host.done(&["status", "team/one"]).await;
    assert_eq!(generation(&status, "previous"), Some(1), "{status:#}");
    web.stop().await;
    host.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn between_rotations_it_holds_no_admin_no_token_and_nothing_that_a_guest_has_read() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    other_roles(&server).await;
    let mut host = Installation::init("canary-idle", &connections(&server)).await;
    host.up(&[]).await;
    host.install("postgres-password").await;
    install_confidant(&mut host).await;
    host.apply(&format!("secrets:\n{OTHERS}")).await;
    let mut planted = Planted::of([("the admin's of the server", server.admin_password())]);
    let counts = Arc::<Counts>::default();
    let mut replicas = Vec::new();
    for (secret, replica) in OTHER {
        rotated(&mut host, secret, 1).await;
        replicas.push(Workload::start(&mut host, &server, (secret, "team/web", replica), &counts).await);
    }
    for ((secret, _), replica) in OTHER.iter().zip(&replicas) {
        planted.plant(&format!("the first of {secret}"), &replica.password());
        rotated(&mut host, secret, 2).await;
        planted.plant(&format!("the second of {secret}"), &replica.password());
    }
    // As long as a workload listens, the host has its request, and with it who that is.
    for replica in replicas {
        replica.stop().await;
    }
    planted.plant_tokens(&host);
    forgets(&host, "all are rotated", &planted).await;
    host.down().await;
}
