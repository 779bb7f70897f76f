//! Consumers that vanish, answer late, or begin a new life while they are waited for: what becomes of the rotation, and
//! who can log in afterwards.

use crate::host::{Installation, generation};
use crate::workload::{Counts, Workload};
use keybaton_test_support::{Postgres, PostgresOptions};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const APP: &str = "team/app";

/// Two roles in turn, used by two replicas; generation 1 is current.
struct Site {
    server: Postgres,
    host: Installation,
    counts: Arc<Counts>,
    replicas: Vec<Workload>,
}

impl Site {
    async fn with(purpose: &str, stragglers: &str, quiet: &str) -> Self {
        let server = Postgres::start(PostgresOptions::default()).await.unwrap();
        server.execute("CREATE ROLE app_owner NOLOGIN").await.unwrap();
        let mut host = Installation::init(purpose, &crate::load::connections(&server, "\"*\"")).await;
        host.up(&[]).await;
        host.install("postgres-password").await;
        let declared = format!(
            "secrets:\n  - name: {APP}\n    plugin: postgres-password\n    connection: main\n    \
             settings: {{ roles: [app_a, app_b], group: app_owner }}\n    cadence: {{ manual: true }}\n    \
             consumers: {{ web: {{ members: [web-0, web-1] }} }}\n    \
             overlap: {{ minimum: 0s, quiet: {quiet}, soak: 0s }}\n    \
             stragglers: {stragglers}\n    limits: {{ staged_lease: 2s }}\n"
        );
        host.apply(&declared).await;
        host.done(&["rotate", APP]).await;
        host.settled(APP).await;
        let mut site = Self { server, host, counts: Arc::default(), replicas: Vec::new() };
        for replica in ["web-0", "web-1"] {
            site.joins(replica).await;
        }
        site
    }

    async fn joins(&mut self, replica: &str) {
        let joined = Workload::start(&mut self.host, &self.server, (APP, "team/web", replica), &self.counts).await;
        self.replicas.push(joined);
    }

    /// The replica that joined last is gone, without a word.
    async fn loses_the_last(&mut self) {
        self.replicas.pop().expect("there is one").stop().await;
    }

    /// Roles that can log in: they may, and have a password.
    async fn live(&self) -> Vec<String> {
        let rows = "SELECT rolname FROM pg_authid WHERE rolcanlogin AND rolpassword IS NOT NULL ORDER BY 1";
        self.server.rows(rows).await.unwrap().into_iter().map(|mut row| row.remove(0).unwrap()).collect()
    }

    /// The census is what the status names, and nobody missed anything.
    async fn ends(mut self, ending: &str, current: u64) {
        let status = self.host.settled(APP).await;
        assert_eq!(self.host.ending(APP).await, ending, "{status:#}");
        assert_eq!(generation(&status, "current"), Some(current), "{status:#}");
        assert_eq!(status["generations"].as_array().unwrap().len(), 1, "{status:#}");
        let role = if current % 2 == 1 { "app_a" } else { "app_b" };
        assert_eq!(self.live().await, [role, "postgres"]);
        for replica in std::mem::take(&mut self.replicas) {
            replica.stop().await;
        }
        assert_eq!(self.counts.failed.load(Ordering::Relaxed), 0, "failed queries");
        self.host.down().await;
    }
}

fn events(history: &Value) -> &[Value] {
    history["events"].as_array().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_vanished_is_waited_for_until_the_deadline_and_then_the_rotation_is_given_back() {
    let mut site = Site::with("absent-vanished", "{ deadline: 2s, then: rollback }", "1s").await;
    site.loses_the_last().await;
    site.host.done(&["rotate", APP]).await;
    site.ends("rolled-back", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_held_for_a_replica_that_vanished_goes_on_once_an_operator_drops_it() {
    let mut site = Site::with("absent-dropped", "{ deadline: 1s, then: hold }", "1s").await;
    site.loses_the_last().await;
    site.host.done(&["rotate", APP]).await;
    let held = |status: &Value| status["held"]["reason"] == "stragglers";
    let status = site.host.until(APP, "held", held).await;
    assert!(status.to_string().contains("web-1"), "it says for whom: {status:#}");
    assert_eq!(site.live().await, ["app_a", "app_b", "postgres"], "nothing has ended");
    let drop = ["member", "drop", APP, "--consumer", "web", "--replica", "web-1", "--reason", "its machine is gone"];
    site.host.done(&drop).await;
    site.ends("completed", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_after_the_deadline_is_still_an_answer() {
    let mut site = Site::with("absent-late", "{ deadline: 1s, then: hold }", "1s").await;
    let stalls = Arc::clone(&site.replicas[1].stalls);
    stalls.store(true, Ordering::Relaxed);
    site.host.done(&["rotate", APP]).await;
    site.host.until(APP, "held", |status| status["held"]["reason"] == "stragglers").await;
    assert_eq!(site.live().await, ["app_a", "app_b", "postgres"], "nothing has ended");
    stalls.store(false, Ordering::Relaxed);
    site.ends("completed", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_begins_a_new_life_has_to_say_again_that_it_has_switched() {
    let mut site = Site::with("absent-again", "{ deadline: 10m, then: hold }", "4s").await;
    site.host.done(&["rotate", APP]).await;
    site.host.until(APP, "draining", |status| status["rotation"]["step"] == "drain").await;
    site.loses_the_last().await;
    site.joins("web-1").await;
    site.host.settled(APP).await;
    let history = site.host.done(&["history", APP]).await;
    let said: Vec<(usize, &Value)> = events(&history)
        .iter()
        .enumerate()
        .filter(|(_, it)| {
            let parts = &it["parts"];
            let adopted = it["event"] == "stated" && parts["purpose"] == "adopted" && parts["generation"] == "2";
            adopted && parts["replica"] == "web-1"
        })
        .map(|(at, it)| (at, &it["parts"]["incarnation"]))
        .collect();
    let disabled = events(&history)
        .iter()
        .position(|it| it["event"] == "intended" && it["parts"]["export"] == "disable")
        .expect("the old one is disabled");
    let [(first, old), .., (last, new)] = said[..] else { panic!("web-1 said it in one life only: {said:?}") };
    assert!(first < last && old != new, "another life said it: {said:?}");
    assert!(last < disabled, "and before the old one ended: {said:?}, disabled at {disabled}");
    site.ends("completed", 2).await;
}
