//! Starts by cadence: on time, in their windows, in order, apart from each other, and not after too many faults.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keybaton_engine::declared::{Anchor, Cadence, Declared, Stagger};
use keybaton_engine::ports::freezes::Scope;
use keybaton_engine::views::{Standing, StatusView};
use keybaton_protocol::event::{Event, Outcome};
use keybaton_protocol::ids::{Digest, Millis, SecretName};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::step::PlanKind;
use std::sync::Arc;
use std::time::Duration;
use support::bench::{Fleet, author, declared, name, policy};

/// Due this long after the last rotation; optionally only in a window that opens once an hour.
struct Every {
    ms: u64,
    window_ms: Option<u64>,
}

impl Cadence for Every {
    fn next_due(&self, _: &SecretName, anchor: Anchor, _: Millis) -> Option<Millis> {
        anchor.rotated_at.map(|at| at.plus(self.ms))
    }

    fn window(&self, _: &SecretName, _: Anchor, at: Millis) -> Option<Millis> {
        let Some(window_ms) = self.window_ms else { return Some(at) };
        let into_hour = at.0 % HOUR_MS;
        Some(if into_hour < window_ms { at } else { at.plus(HOUR_MS - into_hour) })
    }

    fn cause(&self) -> &'static str {
        "every"
    }
}

const HOUR_MS: u64 = 3_600_000;
const NATIVE: &str = r#"{"overlap":"native"}"#;

fn every(secret: &str, ms: u64) -> Declared {
    let lone = Policy { consumers: Vec::new(), overlap_min_ms: 0, soak_ms: 0, ..policy() };
    Declared {
        cadence: Some(Arc::new(Every { ms, window_ms: None })),
        policy: Arc::new(lone),
        ..declared(&name(secret), NATIVE)
    }
}

/// When the rotations of a secret started, by cadence.
fn starts(fleet: &Fleet, secret: &str) -> Vec<Millis> {
    let started = |event: &Event| matches!(event, Event::Started { kind: PlanKind::Rotate, .. });
    let events = fleet.journal.events(&name(secret));
    events.iter().filter(|it| started(&it.event)).map(|it| it.at).collect()
}

fn committed(fleet: &Fleet, secret: &str) -> Millis {
    let events = fleet.journal.events(&name(secret));
    events.iter().rfind(|it| it.event == Event::Committed).unwrap().at
}

async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

async fn status(fleet: &Fleet, secret: &str) -> StatusView {
    fleet.engine.status(&name(secret)).await.unwrap()
}

async fn issue(fleet: &Fleet, secret: &str) {
    fleet.engine.begin(&name(secret), PlanKind::Issue, "operator", author()).await.unwrap();
    while status(fleet, secret).await.summary.standing != Standing::Idle {
        pass(20).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_starts_on_time_again_and_again_and_never_before_its_first_credential() {
    let fleet = Fleet::new(vec![every("a/one", HOUR_MS), every("a/new", HOUR_MS)]).await;
    issue(&fleet, "a/one").await;
    let first = committed(&fleet, "a/one");
    pass(HOUR_MS - 5_000).await;
    assert_eq!(starts(&fleet, "a/one"), [], "not before it is due");
    pass(3 * HOUR_MS).await;
    let started = starts(&fleet, "a/one");
    assert_eq!(started.len(), 3);
    assert!(started[0].since(first.plus(HOUR_MS)) <= 1, "started {} ms late", started[0].since(first.plus(HOUR_MS)));
    assert_eq!(starts(&fleet, "a/new"), [], "what was never issued is not rotated");
    assert_eq!(status(&fleet, "a/new").await.summary.standing, Standing::New);
}

/// Due an hour before the credential ends by itself.
struct BeforeExpiry;

impl Cadence for BeforeExpiry {
    fn next_due(&self, _: &SecretName, anchor: Anchor, _: Millis) -> Option<Millis> {
        anchor.expires_at.map(|at| Millis(at.0 - HOUR_MS))
    }

    fn window(&self, _: &SecretName, _: Anchor, at: Millis) -> Option<Millis> {
        Some(at)
    }

    fn cause(&self) -> &'static str {
        "before-expiry"
    }
}

#[tokio::test(start_paused = true)]
async fn an_expiry_that_create_or_install_tells_makes_it_due_without_an_observation() {
    for (told_by, settings) in [
        ("create", r#"{"overlap":"native","expires_s":10800,"told_by":"create"}"#),
        ("create", r#"{"overlap":"native","minter":"target","expires_s":10800,"told_by":"create"}"#),
        ("install", r#"{"overlap":"native","expires_s":10800,"told_by":"install"}"#),
        ("install, after the commit", r#"{"overlap":"none","expires_s":10800,"told_by":"install"}"#),
    ] {
        let cadence: Option<Arc<dyn Cadence>> = Some(Arc::new(BeforeExpiry));
        let fleet = Fleet::new(vec![Declared { cadence, settings: settings.into(), ..every("a/one", 0) }]).await;
        issue(&fleet, "a/one").await;
        let due = status(&fleet, "a/one").await.summary.due_at.map(Millis);
        let since = due.map(|due| due.since(committed(&fleet, "a/one")) / 60_000);
        assert!(since.is_some_and(|minutes| (120..122).contains(&minutes)), "{told_by}: due after {since:?} minutes");
        pass(2 * HOUR_MS + 120_000).await;
        assert_eq!(starts(&fleet, "a/one").len(), 1, "{told_by}");
        let next = status(&fleet, "a/one").await.summary.due_at.map(Millis);
        assert!(next > due, "{told_by}: the next credential's own expiry counts");
    }
}

#[tokio::test(start_paused = true)]
async fn due_times_survive_a_restart_without_reading_idle_journals() {
    let mut fleet = Fleet::new(vec![every("a/one", HOUR_MS)]).await;
    issue(&fleet, "a/one").await;
    let due = status(&fleet, "a/one").await.summary.due_at;
    assert!(due.is_some());
    fleet.restart().await;
    let listed = fleet.engine.list(&Default::default());
    assert_eq!(listed[0].due_at, due);
    pass(HOUR_MS + 1_000).await;
    assert_eq!(starts(&fleet, "a/one").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_paused_frozen_or_outside_its_window_does_not_start_and_says_why() {
    let paused = Declared { paused: true, ..every("a/paused", HOUR_MS) };
    let windowed = Declared {
        cadence: Some(Arc::new(Every { ms: HOUR_MS, window_ms: Some(60_000) })),
        ..every("a/windowed", HOUR_MS)
    };
    let fleet = Fleet::new(vec![paused, windowed, every("b/frozen", HOUR_MS)]).await;
    for secret in ["a/paused", "a/windowed", "b/frozen"] {
        issue(&fleet, secret).await;
    }
    let scope = Scope::Namespace("b".parse().unwrap());
    fleet.engine.freeze(scope.clone(), author()).await.unwrap();
    pass(2 * HOUR_MS).await;
    assert_eq!(starts(&fleet, "a/paused"), []);
    assert_eq!(starts(&fleet, "b/frozen"), []);
    assert_eq!(status(&fleet, "b/frozen").await.blocked.unwrap(), "frozen by an operator");
    let windowed = starts(&fleet, "a/windowed");
    assert!(!windowed.is_empty() && windowed.iter().all(|at| at.0 % HOUR_MS < 60_000), "{windowed:?}");
    let refused = fleet.engine.begin(&name("b/frozen"), PlanKind::Rotate, "operator", author()).await;
    assert!(refused.unwrap_err().to_string().contains("frozen"));
    fleet.engine.thaw(scope, author()).await.unwrap();
    pass(1_000).await;
    assert_eq!(starts(&fleet, "b/frozen").len(), 1, "a thaw lets it start at once");
}

#[tokio::test(start_paused = true)]
async fn a_group_starts_apart_and_few_at_once() {
    let stagger = Arc::new(Stagger { group: "pair".to_owned(), gap_ms: 60_000, at_once: 1 });
    let member = |secret: &str| Declared { stagger: Some(Arc::clone(&stagger)), ..every(secret, HOUR_MS) };
    let names = ["a/one", "a/two", "a/three"];
    let fleet = Fleet::new(names.iter().map(|it| member(it)).collect()).await;
    for secret in names {
        issue(&fleet, secret).await;
    }
    pass(2 * HOUR_MS - 60_000).await;
    let mut all: Vec<_> = names.iter().flat_map(|it| starts(&fleet, it)).collect();
    all.sort();
    assert_eq!(all.len(), 3);
    assert!(all.windows(2).all(|pair| pair[1].since(pair[0]) >= 60_000), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn a_secret_comes_after_those_it_depends_on() {
    let leaf = Declared { after: vec![name("z/ca")].into(), ..every("a/leaf", HOUR_MS) };
    let fleet = Fleet::new(vec![leaf, every("z/ca", HOUR_MS)]).await;
    issue(&fleet, "a/leaf").await;
    issue(&fleet, "z/ca").await;
    pass(HOUR_MS + 60_000).await;
    let (leaf, ca) = (starts(&fleet, "a/leaf"), starts(&fleet, "z/ca"));
    assert_eq!((leaf.len(), ca.len()), (1, 1));
    let ended =
        fleet.journal.events(&name("z/ca")).iter().rfind(|it| matches!(it.event, Event::Finished { .. })).unwrap().at;
    assert!(leaf[0] >= ended, "the leaf started at {:?}, the CA ended at {ended:?}", leaf[0]);
}

#[tokio::test(start_paused = true)]
async fn faults_in_a_row_put_the_brake_on_for_one_connection_only() {
    let broken = |n: u64| Declared {
        connection: "broken".parse().unwrap(),
        ..every(&format!("a/broken-{n}"), HOUR_MS + n * 1_000)
    };
    let mut all: Vec<_> = (0..20).map(broken).collect();
    all.push(every("b/sound", HOUR_MS));
    let fleet = Fleet::new(all).await;
    for n in 0..20 {
        issue(&fleet, &format!("a/broken-{n}")).await;
    }
    issue(&fleet, "b/sound").await;
    fleet.fail_from_now_on("a/broken-");
    pass(HOUR_MS + 120_000).await;
    let started = (0..20).filter(|n| !starts(&fleet, &format!("a/broken-{n}")).is_empty()).count();
    assert!((1..20).contains(&started), "{started} of 20 started against a broken target");
    assert_eq!(starts(&fleet, "b/sound").len(), 1);
    let why = status(&fleet, "a/broken-19").await.blocked.unwrap();
    assert!(why.contains("too many faults"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_whose_attempts_are_used_up_is_quarantined_and_not_tried_for_ever() {
    let fleet = Fleet::new(vec![every("a/broken-0", HOUR_MS)]).await;
    issue(&fleet, "a/broken-0").await;
    fleet.fail_from_now_on("a/broken-");
    pass(8 * HOUR_MS).await;
    let status = status(&fleet, "a/broken-0").await;
    assert_eq!(status.summary.standing, Standing::Held);
    assert_eq!(status.held.unwrap().reason, "quarantined");
    assert_eq!(starts(&fleet, "a/broken-0").len(), 1);
    let events = fleet.journal.events(&name("a/broken-0"));
    let failed = events.iter().filter(|it| matches!(it.event, Event::Ended { outcome: Outcome::Failed(_), .. }));
    assert_eq!(failed.count(), 3, "as many attempts as the policy allows");
}

#[tokio::test(start_paused = true)]
async fn an_absent_declaration_leaves_the_secret_unmanaged_and_untouched() {
    let fleet = Fleet::new(vec![every("a/one", HOUR_MS), every("a/two", HOUR_MS)]).await;
    issue(&fleet, "a/one").await;
    issue(&fleet, "a/two").await;
    let census = fleet.target.census();
    fleet.engine.declare(vec![every("a/two", HOUR_MS)], author()).await.unwrap();
    assert_eq!(status(&fleet, "a/one").await.summary.standing, Standing::Unmanaged);
    assert_eq!(fleet.target.census(), census, "nothing is destroyed");
    let refused = fleet.engine.begin(&name("a/one"), PlanKind::Rotate, "operator", author()).await;
    assert!(refused.unwrap_err().to_string().contains("unmanaged"));
    pass(2 * HOUR_MS).await;
    assert_eq!(starts(&fleet, "a/one"), []);
    fleet.engine.declare(vec![every("a/one", HOUR_MS), every("a/two", HOUR_MS)], author()).await.unwrap();
    assert_eq!(status(&fleet, "a/one").await.summary.standing, Standing::Idle);
    pass(1_000).await;
    assert_eq!(starts(&fleet, "a/one").len(), 1, "declared again, it is overdue");
}

#[tokio::test(start_paused = true)]
async fn a_changed_declaration_of_a_secret_at_rest_brings_its_consumers_at_once() {
    let fleet = Fleet::new(vec![every("a/one", HOUR_MS)]).await;
    issue(&fleet, "a/one").await;
    let more = Policy { consumers: policy().consumers, ..(*every("a/one", HOUR_MS).policy).clone() };
    let changed = Declared { spec: Digest([9; 32]), policy: Arc::new(more), ..every("a/one", HOUR_MS) };
    fleet.engine.declare(vec![changed], author()).await.unwrap();
    let delivery = fleet.fetch("a/one", "web", "web-0").await.unwrap();
    assert_eq!(delivery.generations.len(), 1, "a new consumer takes what is current");
    fleet.engine.declare(vec![every("a/one", HOUR_MS)], author()).await.unwrap();
    assert!(fleet.fetch("a/one", "web", "web-0").await.is_err(), "one that left gets nothing");
}
