//! A start looks at the target as a plan does, and at what other secrets claim of it: what would come to nothing, or end
//! another secret's credential, is not begun.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keybaton_engine::EngineError;
use keybaton_engine::declared::{Anchor, Cadence, Declared, Server};
use keybaton_engine::views::Standing;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::Event;
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::ids::{Generation, Millis, SecretName};
use keybaton_protocol::step::PlanKind;
use std::sync::Arc;
use std::time::Duration;
use support::bench::{Fleet, LOOK_AGAIN_MS, author, lone, name};
use support::target::Obstacle;

const HOUR_MS: u64 = 3_600_000;

/// Due an hour after the last rotation.
struct Hourly;

impl Cadence for Hourly {
    fn next_due(&self, _: &SecretName, anchor: Anchor, _: Millis) -> Option<Millis> {
        anchor.rotated_at.map(|at| at.plus(HOUR_MS))
    }

    fn window(&self, _: &SecretName, _: Anchor, at: Millis) -> Option<Millis> {
        Some(at)
    }

    fn cause(&self) -> &'static str {
        "every"
    }
}

async fn begin(fleet: &Fleet, secret: &str, kind: PlanKind) -> Result<(), EngineError> {
    fleet.engine.begin(&name(secret), kind, "operator", author()).await.map(drop)
}

async fn issued(all: Vec<Declared>) -> Fleet {
    let fleet = Fleet::new(all.clone()).await;
    for one in &all {
        fleet.run(&one.name.to_string(), PlanKind::Issue, Standing::Idle).await;
    }
    tokio::time::sleep(Duration::from_millis(LOOK_AGAIN_MS)).await;
    fleet
}

fn started(fleet: &Fleet, secret: &str) -> Vec<Millis> {
    let events = fleet.journal.events(&name(secret));
    let rotates = |event: &Event| matches!(event, Event::Started { kind: PlanKind::Rotate, .. });
    events.iter().filter(|it| rotates(&it.event)).map(|it| it.at).collect()
}

const FULL: Obstacle = Obstacle::Finding("the role cannot log in any more: ALTER ROLE app LOGIN");
const AWAY: Obstacle = Obstacle::Fault(FailureClass::Retryable, "sql.connection");
const UNKNOWN: Obstacle = Obstacle::Fault(FailureClass::Denied, "connection.unknown");
const UNAPPROVED: Obstacle = Obstacle::Fault(FailureClass::Permanent, "plugin.not-approved");

#[tokio::test(start_paused = true)]
async fn what_stands_in_the_way_refuses_the_start_and_nothing_is_begun() {
    let fleet = issued(vec![lone("a/one")]).await;
    let before = fleet.journal.events(&name("a/one")).len();
    for (obstacle, words) in [
        (FULL, "ALTER ROLE app LOGIN"),
        (AWAY, "it could not be looked at"),
        (UNKNOWN, "connection.unknown"),
        (UNAPPROVED, "plugin.not-approved"),
    ] {
        fleet.target.obstruct(Some(obstacle.clone()));
        let refused = begin(&fleet, "a/one", PlanKind::Rotate).await.unwrap_err().to_string();
        assert!(refused.contains(words), "{obstacle:?}: {refused}");
    }
    assert_eq!(fleet.journal.events(&name("a/one")).len(), before, "nothing was begun");
    fleet.target.obstruct(None);
    begin(&fleet, "a/one", PlanKind::Rotate).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_rotation_has_proven_a_moment_ago_is_not_looked_at_again() {
    let fleet = Fleet::new(vec![lone("a/one")]).await;
    fleet.run("a/one", PlanKind::Issue, Standing::Idle).await;
    fleet.target.obstruct(Some(FULL));
    fleet.run("a/one", PlanKind::Rotate, Standing::Idle).await;
    tokio::time::sleep(Duration::from_millis(LOOK_AGAIN_MS)).await;
    begin(&fleet, "a/one", PlanKind::Rotate).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn an_end_waits_for_no_finding_but_for_a_target_that_can_be_reached() {
    let fleet = issued(vec![lone("a/one")]).await;
    fleet.target.obstruct(Some(AWAY));
    assert!(matches!(begin(&fleet, "a/one", PlanKind::Retire).await, Err(EngineError::Preflight { .. })));
    fleet.target.obstruct(Some(FULL));
    begin(&fleet, "a/one", PlanKind::Retire).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_start_by_cadence_that_is_refused_says_why_and_pauses_longer_each_time() {
    let hourly = Declared { cadence: Some(Arc::new(Hourly)), ..lone("a/one") };
    let fleet = issued(vec![hourly]).await;
    let before = fleet.journal.events(&name("a/one")).len();
    fleet.target.obstruct(Some(AWAY));
    tokio::time::sleep(Duration::from_millis(HOUR_MS - LOOK_AGAIN_MS + 100)).await;
    let status = fleet.engine.status(&name("a/one")).await.unwrap();
    assert_eq!(status.summary.standing, Standing::Idle, "no rotation was begun");
    let why = status.blocked.unwrap();
    assert!(why.starts_with("could not start: ") && why.contains("it could not be looked at"), "{why}");
    assert_eq!(fleet.journal.events(&name("a/one")).len(), before, "{why}");
    // Refused after 0, 1, 3 and 7 seconds: the next look is at 15.
    tokio::time::sleep(Duration::from_millis(8_000)).await;
    fleet.target.obstruct(None);
    let free_at = committed(&fleet).plus(HOUR_MS + 8_100);
    tokio::time::sleep(Duration::from_millis(60_000)).await;
    let [start] = started(&fleet, "a/one")[..] else { panic!("{:?}", started(&fleet, "a/one")) };
    assert!((5_000..8_000).contains(&start.since(free_at)), "it started {} ms after", start.since(free_at));
}

fn committed(fleet: &Fleet) -> Millis {
    let events = fleet.journal.events(&name("a/one"));
    events.iter().find(|it| it.event == Event::Committed).unwrap().at
}

#[tokio::test(start_paused = true)]
async fn what_answers_a_compromise_is_held_back_only_where_nothing_can_work() {
    for (obstacle, starts) in [(FULL, true), (AWAY, true), (UNKNOWN, false), (UNAPPROVED, false)] {
        let fleet = issued(vec![lone("a/one")]).await;
        fleet.target.obstruct(Some(obstacle.clone()));
        let compromise = Command::Compromise { generation: Generation(1), disable_first: false, author: author() };
        fleet.engine.command(&name("a/one"), compromise).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(!started(&fleet, "a/one").is_empty(), starts, "{obstacle:?}");
    }
}

/// At this server, with these claims; its declaration is another each time that they differ.
fn claiming(secret: &str, endpoint: &str, claims: &[&str]) -> Declared {
    let connection = "main-db".parse().unwrap();
    let server = Server { endpoint: endpoint.to_owned(), logins: vec![("role:keybaton".to_owned(), connection)] };
    let settings = serde_json::json!({ "overlap": "native", "claims": claims }).to_string();
    let mut spec = [0; 32];
    spec[..8].copy_from_slice(&(settings.len() as u64).to_be_bytes());
    Declared {
        server: Arc::new(server),
        spec: keybaton_protocol::ids::Digest(spec),
        settings: settings.into(),
        ..lone(secret)
    }
}

#[tokio::test(start_paused = true)]
async fn two_secrets_that_name_one_thing_of_one_server_do_not_start() {
    let one = || claiming("a/one", "pg://db:5432", &["role:app"]);
    for (sentence, other, words) in [
        ("another role", claiming("a/two", "pg://db:5432", &["role:other"]), None),
        ("another server", claiming("a/two", "pg://db:5433", &["role:app"]), None),
        ("the same", claiming("a/two", "pg://db:5432", &["role:x", "role:app"]), Some(["a/two", "a/one"])),
    ] {
        let fleet = Fleet::new(vec![one(), other]).await;
        for (at, secret) in ["a/one", "a/two"].into_iter().enumerate() {
            let begun = begin(&fleet, secret, PlanKind::Issue).await;
            match words {
                None => begun.unwrap(),
                Some(others) => {
                    let refused = begun.unwrap_err().to_string();
                    assert!(refused.contains(others[at]) && refused.contains("`role:app`"), "{sentence}: {refused}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_ends_with_its_declaration() {
    let one = || claiming("a/one", "pg://db:5432", &["role:app"]);
    let fleet = Fleet::new(vec![one(), claiming("a/two", "pg://db:5432", &["role:app"])]).await;
    begin(&fleet, "a/one", PlanKind::Issue).await.unwrap_err();
    let moved = claiming("a/two", "pg://db:5432", &["role:another"]);
    fleet.engine.declare(vec![one(), moved], author()).await.unwrap();
    begin(&fleet, "a/one", PlanKind::Issue).await.unwrap();
    let back = claiming("a/two", "pg://db:5432", &["role:app"]);
    fleet.engine.declare(vec![back], author()).await.unwrap();
    begin(&fleet, "a/two", PlanKind::Issue).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_logs_in_as_is_nobody_elses_to_rotate() {
    let fleet = Fleet::new(vec![claiming("a/one", "pg://db:5432", &["role:keybaton"])]).await;
    let refused = begin(&fleet, "a/one", PlanKind::Issue).await.unwrap_err().to_string();
    assert!(refused.contains("the connection `main-db` itself logs in as"), "{refused}");
}
