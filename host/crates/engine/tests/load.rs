//! Many secrets at once: rotations in flight together, and declarations that only wait. Bounds are wide: a benchmark
//! of its own measures; this holds that nothing grows with what exists.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keybaton_engine::ListQuery;
use keybaton_engine::declared::{Anchor, Cadence, Declared};
use keybaton_engine::views::Standing;
use keybaton_protocol::ids::{Millis, SecretName};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::step::PlanKind;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::bench::{Fleet, author, declared, name, policy};

struct Yearly;

impl Cadence for Yearly {
    fn next_due(&self, _: &SecretName, anchor: Anchor, _: Millis) -> Option<Millis> {
        anchor.rotated_at.map(|at| at.plus(365 * 86_400_000))
    }

    fn window(&self, _: &SecretName, _: Anchor, at: Millis) -> Option<Millis> {
        Some(at)
    }

    fn cause(&self) -> &'static str {
        "every"
    }
}

fn many(count: usize) -> Vec<Declared> {
    let lone = Arc::new(Policy { consumers: Vec::new(), overlap_min_ms: 0, soak_ms: 0, ..policy() });
    let cadence: Arc<dyn Cadence> = Arc::new(Yearly);
    (0..count)
        .map(|n| Declared {
            cadence: Some(Arc::clone(&cadence)),
            policy: Arc::clone(&lone),
            connection: format!("c-{}", n % 64).parse().unwrap(),
            ..declared(&name(&format!("team-{}/secret-{n}", n % 100)), r#"{"overlap":"replace"}"#)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_rotations_with_256_in_flight_all_end() {
    const COUNT: usize = 500;
    let fleet = Arc::new(Fleet::new(many(COUNT)).await);
    let in_flight = Arc::new(tokio::sync::Semaphore::new(256));
    let began = Instant::now();
    let mut work = tokio::task::JoinSet::new();
    for n in 0..COUNT {
        let (fleet, in_flight) = (Arc::clone(&fleet), Arc::clone(&in_flight));
        work.spawn(async move {
            let _leave = in_flight.acquire().await.unwrap();
            let secret = name(&format!("team-{}/secret-{n}", n % 100));
            for kind in [PlanKind::Issue, PlanKind::Rotate] {
                fleet.engine.begin(&secret, kind, "operator", author()).await.unwrap();
                while fleet.engine.status(&secret).await.unwrap().summary.standing != Standing::Idle {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
    }
    while let Some(done) = work.join_next().await {
        done.unwrap();
    }
    let took = began.elapsed();
    println!("{COUNT} issues and {COUNT} rotations in {took:?}, {} appends", fleet.journal.appends());
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(fleet.engine.shutdown().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_declared_secrets_take_little_room_and_start_soon() {
    const COUNT: usize = 100_000;
    let all = many(COUNT);
    let before = resident();
    let began = Instant::now();
    let fleet = Fleet::new(Vec::new()).await;
    fleet.engine.declare(all.clone(), author()).await.unwrap();
    let took = began.elapsed();
    drop(all);
    let each = resident().saturating_sub(before) / COUNT;
    println!("{COUNT} declared in {took:?}, {each} bytes each at most");
    assert!(each < 2_048, "{each} bytes each");
    assert!(took < Duration::from_secs(20), "{took:?}");
    let page = fleet.engine.list(&ListQuery { limit: 10, ..ListQuery::default() });
    assert_eq!(page.len(), 10);
    let after: SecretName = page[9].secret.parse().unwrap();
    let next = fleet.engine.list(&ListQuery { limit: 1, after: Some(after), ..ListQuery::default() });
    assert!(next[0].secret > page[9].secret);
}

/// Resident memory in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}
