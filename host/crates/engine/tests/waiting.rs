//! Fetches that wait: what they are told, when, and that it is on record before they are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keybaton_engine::harness::acknowledgement;
use keybaton_engine::requests::{Challenge, Delivery, Fetch};
use keybaton_engine::{EngineError, Options};
use keybaton_protocol::event::Event;
use keybaton_protocol::evidence::{EvidenceKind, Purpose};
use keybaton_protocol::ids::{Generation, Seq};
use keybaton_protocol::offer::Known;
use keybaton_protocol::step::PlanKind;
use std::time::Duration;
use support::bench::Bench;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const ALTERNATE: &str = r#"{"overlap":"alternate","slots":["a","b"],"soft_disable":true}"#;
const NONE: &str = r#"{"overlap":"none"}"#;
/// Each call takes its time.
const SLOW: &str = r#"{"overlap":"alternate","slots":["a","b"],"soft_disable":true,"slow_ms":1500}"#;
const LONG: Duration = Duration::from_secs(600);

/// A secret with its first credential.
async fn issued(settings: &str) -> Bench {
    let mut bench = Bench::new(settings).await;
    bench.begin(PlanKind::Issue).await;
    bench.rest().await;
    bench
}

fn fetch(bench: &Bench, replica: &str) -> Fetch {
    Fetch {
        secret: bench.secret(),
        consumer: "web".parse().unwrap(),
        replica: replica.parse().unwrap(),
        incarnation: "life-1".parse().unwrap(),
    }
}

/// A fetch of one who knows this, under way.
async fn waits(
    bench: &Bench,
    replica: &str,
    known: Known,
    wait: Duration,
) -> JoinHandle<Result<Delivery, EngineError>> {
    let (engine, fetch) = (bench.engine.clone(), fetch(bench, replica));
    let waiting = tokio::spawn(async move { engine.fetch_news(fetch, known, wait).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    waiting
}

async fn known(bench: &Bench, replica: &str) -> Known {
    bench.engine.fetch(fetch(bench, replica)).await.unwrap().known()
}

/// `web-0` says that it is ready for what is staged.
async fn ready(bench: &Bench, staged: &Delivery) {
    let pending = &staged.generations[0];
    let fields: Vec<_> = pending.fields.iter().map(|(name, bytes)| (name.as_str(), bytes.expose())).collect();
    let Fetch { secret, consumer, replica, incarnation } = fetch(bench, "web-0");
    let (rotation, generation, purpose) = (staged.rotation.clone(), pending.generation, Purpose::Ready);
    let challenge = Challenge { secret, consumer, replica, incarnation, rotation, generation, purpose };
    let salt = pending.salt.expose();
    let said = acknowledgement(&bench.engine, &fields, salt, challenge, EvidenceKind::Process).await.unwrap();
    bench.engine.acknowledge(said).await.unwrap();
}

fn asks(delivery: &Delivery) -> Vec<(Purpose, u32)> {
    delivery.asks.iter().map(|ask| (ask.purpose, ask.generation.0)).collect()
}

fn position(bench: &Bench, wanted: impl Fn(&Event) -> bool) -> Option<Seq> {
    bench.journal.events(&bench.secret()).iter().find(|it| wanted(&it.event)).map(|it| it.seq)
}

fn fetched(bench: &Bench, replica: &str, generation: u32) -> Option<Seq> {
    position(bench, |event| {
        matches!(event, Event::Fetched { replica: who, generation: which, .. }
            if who.as_str() == replica && which.0 == generation)
    })
}

#[tokio::test(start_paused = true)]
async fn what_is_staged_is_given_to_who_waits_in_the_write_that_stages_it() {
    for settings in [ALTERNATE, NONE] {
        let mut bench = issued(settings).await;
        let waiting = waits(&bench, "web-0", known(&bench, "web-0").await, LONG).await;
        let mut writes = bench.engine.subscribe();
        bench.begin(PlanKind::Rotate).await;
        let delivery = waiting.await.unwrap().unwrap();
        assert_eq!(asks(&delivery), [(Purpose::Ready, 2)], "{settings}");
        assert_eq!(delivery.generations[0].role, "pending", "{settings}");
        let (staged, given) = (position(&bench, |it| matches!(it, Event::Staged)), fetched(&bench, "web-0", 2));
        let (staged, given) = (staged.unwrap(), given.expect("it is on record"));
        while let Ok(written) = writes.try_recv() {
            assert_eq!(written.seq >= staged, written.seq >= given, "{settings}: one write holds both");
        }
        assert!(delivery.seq >= given, "{settings}: it answers for what is on record");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_when_to_switch_and_of_nothing_before_that() {
    let mut bench = issued(ALTERNATE).await;
    bench.begin(PlanKind::Rotate).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let staged = bench.engine.fetch(fetch(&bench, "web-0")).await.unwrap();
    ready(&bench, &staged).await;
    let waiting = waits(&bench, "web-0", staged.known(), LONG).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!waiting.is_finished(), "the other replica is not ready");
    bench.round().await;
    let told = waiting.await.unwrap().unwrap();
    assert_eq!(told.generations.iter().find(|it| it.use_now).unwrap().generation, Generation(2), "both are ready");
    assert_eq!(asks(&told), [(Purpose::Adopted, 2)]);
    let at_once = Instant::now();
    let again = bench.engine.fetch_news(fetch(&bench, "web-0"), told.known(), LONG).await.unwrap();
    assert_eq!(
        (asks(&again), at_once.elapsed()),
        (asks(&told), Duration::ZERO),
        "what is asked is no news, and urgent"
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_answered_when_the_time_is_over() {
    let bench = issued(ALTERNATE).await;
    let (began, before) = (Instant::now(), bench.journal.events(&bench.secret()).len());
    let known = known(&bench, "web-0").await;
    let delivery = bench.engine.fetch_news(fetch(&bench, "web-0"), known.clone(), LONG).await.unwrap();
    assert_eq!((began.elapsed(), delivery.known()), (LONG, known));
    assert_eq!(bench.journal.events(&bench.secret()).len(), before, "nothing is on record of it");
}

#[tokio::test(start_paused = true)]
async fn who_knows_something_else_is_answered_at_once() {
    let bench = issued(ALTERNATE).await;
    let right = known(&bench, "web-0").await;
    let nothing = Known::default();
    let more = Known { generations: [Generation(1), Generation(7)].into(), ..right.clone() };
    let uses_another = Known { use_now: Some(Generation(7)), ..right.clone() };
    for wrong in [nothing, more, uses_another] {
        let began = Instant::now();
        let delivery = bench.engine.fetch_news(fetch(&bench, "web-0"), wrong, LONG).await.unwrap();
        assert_eq!((began.elapsed(), delivery.known()), (Duration::ZERO, right.clone()));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_on_record_of_who_waited_and_went() {
    let mut bench = issued(ALTERNATE).await;
    let waiting = waits(&bench, "web-0", known(&bench, "web-0").await, LONG).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    bench.begin(PlanKind::Rotate).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(position(&bench, |it| matches!(it, Event::Staged)).is_some());
    assert_eq!(fetched(&bench, "web-0", 2), None);
    bench.rest().await;
    bench.check("after a consumer that went");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_waits_longer_than_its_secret_is_kept_in_memory() {
    let mut bench = issued(ALTERNATE).await;
    let waiting = waits(&bench, "web-0", known(&bench, "web-0").await, LONG).await;
    tokio::time::sleep(Duration::from_millis(2 * Options::default().linger_ms)).await;
    assert!(bench.engine.metrics().contains("keybaton_loaded 0"), "{}", bench.engine.metrics());
    bench.begin(PlanKind::Rotate).await;
    assert_eq!(asks(&waiting.await.unwrap().unwrap()), [(Purpose::Ready, 2)]);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_host_that_ends_is_told_so() {
    let bench = issued(ALTERNATE).await;
    let waiting = waits(&bench, "web-0", known(&bench, "web-0").await, LONG).await;
    assert!(bench.engine.shutdown().await);
    assert!(matches!(waiting.await.unwrap(), Err(EngineError::Stopping)));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_gives_nothing_out_and_those_who_wait_are_answered_after_it() {
    let mut bench = issued(SLOW).await;
    let waiting = waits(&bench, "web-0", known(&bench, "web-0").await, LONG).await;
    bench.begin(PlanKind::Rotate).await;
    bench.journal.away(true);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(!waiting.is_finished(), "nothing is told that is not on record");
    assert_eq!(fetched(&bench, "web-0", 2), None);
    bench.journal.away(false);
    assert_eq!(asks(&waiting.await.unwrap().unwrap()), [(Purpose::Ready, 2)]);
    assert!(fetched(&bench, "web-0", 2).is_some());
    bench.rest().await;
    bench.check("after a store that was away");
}

#[tokio::test(start_paused = true)]
async fn what_another_host_writes_in_between_costs_nobody_the_answer() {
    let mut bench = issued(SLOW).await;
    let waiting = waits(&bench, "web-0", known(&bench, "web-0").await, LONG).await;
    bench.begin(PlanKind::Rotate).await;
    for life in ["life-2", "life-3", "life-4"] {
        let (consumer, replica) = ("web".parse().unwrap(), "web-1".parse().unwrap());
        let (incarnation, generation) = (life.parse().unwrap(), Generation(1));
        bench.journal.intrude(&bench.secret(), Event::Fetched { consumer, replica, incarnation, generation });
        tokio::time::sleep(Duration::from_millis(1_000)).await;
    }
    assert_eq!(asks(&waiting.await.unwrap().unwrap()), [(Purpose::Ready, 2)]);
    let given = |event: &Event| matches!(event, Event::Fetched { replica, generation: Generation(2), .. } if replica.as_str() == "web-0");
    let times = bench.journal.events(&bench.secret()).iter().filter(|it| given(&it.event)).count();
    assert_eq!(times, 1, "it is on record once");
}

#[tokio::test(start_paused = true)]
async fn so_many_may_wait_for_one_secret_and_no_more() {
    let bench = issued(ALTERNATE).await;
    let known = known(&bench, "web-0").await;
    let mut all = Vec::new();
    for _ in 0..4_096 {
        all.push(waits(&bench, "web-0", known.clone(), LONG).await);
    }
    let one_more = bench.engine.fetch_news(fetch(&bench, "web-0"), known.clone(), LONG).await;
    assert!(matches!(one_more, Err(EngineError::Overloaded)), "{one_more:?}");
    all.pop().unwrap().abort();
    let one_more = waits(&bench, "web-0", known, LONG).await;
    assert!(!one_more.is_finished(), "there is room again");
}
