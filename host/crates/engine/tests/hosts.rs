//! A host among others and under trouble: shutdown, a store that fails, another host's lease, a restored database,
//! freezes, and what people order in mid-rotation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keybaton_engine::EngineError;
use keybaton_engine::harness::{Temper, acknowledgement};
use keybaton_engine::ports::freezes::Scope;
use keybaton_engine::ports::journal::{JournalError, Part};
use keybaton_engine::proof::ProofError;
use keybaton_engine::requests::{Challenge, Fetch};
use keybaton_engine::views::Standing;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::Event;
use keybaton_protocol::evidence::{EvidenceKind, Purpose};
use keybaton_protocol::ids::{Generation, Seq};
use keybaton_protocol::offer::Known;
use keybaton_protocol::step::{CallKind, Ending, PlanKind};
use std::sync::mpsc;
use std::time::Duration;
use support::bench::{Bench, author};

const ALTERNATE: &str = r#"{"overlap":"alternate","slots":["a","b"],"soft_disable":true}"#;
const SLOW: &str = r#"{"overlap":"alternate","slots":["a","b"],"soft_disable":true,"slow_ms":1500}"#;

async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

async fn issued(settings: &str) -> Bench {
    let mut bench = Bench::new(settings).await;
    bench.begin(PlanKind::Issue).await;
    bench.rest().await;
    bench
}

fn has(bench: &Bench, test: impl Fn(&Event) -> bool) -> bool {
    bench.journal.events(&bench.secret()).iter().any(|it| test(&it.event))
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_calls_in_flight_end_journals_them_and_begins_nothing() {
    let mut bench = issued(SLOW).await;
    bench.begin(PlanKind::Rotate).await;
    while !bench.replay().calls().values().any(|call| call.kind == CallKind::Install) {
        pass(100).await;
    }
    assert!(bench.engine.shutdown().await, "it ends within its time");
    let secret = bench.replay();
    assert_eq!(secret.calls().len(), 0, "the call in flight has ended on record");
    assert!(!has(&bench, |it| matches!(it, Event::Interrupted { .. })));
    let length = bench.journal.events(&bench.secret()).len();
    pass(60_000).await;
    assert_eq!(bench.journal.events(&bench.secret()).len(), length, "nothing was begun");
    let refused = bench.engine.begin(&bench.secret(), PlanKind::Rotate, "operator", author()).await;
    assert!(matches!(refused, Err(EngineError::Stopping)), "{refused:?}");
    bench.reincarnate(Default::default()).await;
    bench.rest().await;
    bench.check("after a clean restart");
    assert_eq!(bench.replay().current(), Some(Generation(2)));
}

/// More than the lists that a runtime of two threads keeps its tasks in.
const HELD: usize = 64;

#[test]
fn an_engine_whose_runtime_ends_under_it_refuses_instead_of_beginning_actors_without_end() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let bench = runtime.block_on(issued(ALTERNATE));
    let (engine, secret) = (bench.engine.clone(), bench.secret());
    let (held, released) = mpsc::channel::<()>();
    let ((begins, began), (answers, answered)) = (mpsc::channel(), mpsc::channel());
    // A runtime that ends drops its tasks list by list, each from its oldest: with some younger ones in every list, the
    // last of them goes after all tasks of the engine. It takes no new one then.
    for _ in 0..HELD {
        let held = held.clone();
        runtime.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
    }
    drop(held);
    runtime.spawn(async move {
        begins.send(()).unwrap();
        released.recv().unwrap_err();
        let replica = "web-0".parse().unwrap();
        let fetch = Fetch { secret, consumer: "web".parse().unwrap(), replica, incarnation: "life-1".parse().unwrap() };
        answers.send(engine.fetch(fetch).await.err()).unwrap();
    });
    began.recv().unwrap();
    runtime.shutdown_background();
    let answer = answered.recv_timeout(Duration::from_secs(20)).expect("it answers");
    assert!(matches!(answer, Some(EngineError::Stopping)), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_loses_no_fact_and_answers_requests_at_once() {
    let mut bench = issued(SLOW).await;
    bench.begin(PlanKind::Rotate).await;
    while !bench.target.census().iter().any(|cred| cred.id == "cred-2") {
        pass(100).await;
    }
    bench.journal.away(true);
    let refused = bench.engine.begin(&bench.secret(), PlanKind::Rotate, "operator", author()).await;
    assert!(refused.is_err(), "{refused:?}");
    pass(20_000).await;
    bench.journal.away(false);
    bench.rest().await;
    bench.check("after the store came back");
    assert_eq!(bench.replay().current(), Some(Generation(2)));
    let installs = bench.target.effects().iter().filter(|it| it.contains("install")).count();
    assert_eq!(installs, 2, "the fact was kept, so the step did not run again: {:?}", bench.target.effects());
}

#[tokio::test(start_paused = true)]
async fn a_host_that_lost_its_lease_decides_nothing_more_and_its_facts_are_kept() {
    let mut bench = issued(SLOW).await;
    bench.begin(PlanKind::Rotate).await;
    while !bench.replay().calls().values().any(|call| call.kind == CallKind::Install) {
        pass(50).await;
    }
    bench.journal.usurp(&bench.secret());
    let before = bench.journal.events(&bench.secret()).len();
    pass(30_000).await;
    let after = bench.journal.events(&bench.secret());
    let facts = |it: &Event| matches!(it, Event::Sent { .. } | Event::Answered { .. } | Event::Ended { .. });
    assert!(after[before..].iter().all(|it| facts(&it.event)), "{:?}", &after[before..]);
    assert!(after[before..].iter().any(|it| matches!(it.event, Event::Ended { .. })), "how the call ended is a fact");
    bench.journal.abdicate(&bench.secret());
    pass(60_000).await;
    bench.rest().await;
    bench.check("after the lease came back");
}

#[tokio::test(start_paused = true)]
async fn another_hosts_write_is_read_and_decided_on_again() {
    let mut bench = issued(ALTERNATE).await;
    bench.consumers.temper(0, Temper::Silent);
    bench.begin(PlanKind::Rotate).await;
    for _ in 0..5 {
        bench.round().await;
        pass(100).await;
    }
    bench.journal.intrude(&bench.secret(), Event::Frozen { author: "eve".parse().unwrap() });
    bench.consumers.temper(0, Temper::Willing);
    for _ in 0..5 {
        bench.round().await;
        pass(1_000).await;
    }
    let status = bench.engine.status(&bench.secret()).await.unwrap();
    assert_eq!(status.summary.standing, Standing::Frozen, "what the other wrote counts");
    bench.engine.command(&bench.secret(), Command::Thaw { author: author() }).await.unwrap();
    bench.rest().await;
    bench.check("after a conflict");
}

#[tokio::test(start_paused = true)]
async fn a_restored_secret_is_held_until_it_is_reconciled() {
    let mut bench = issued(ALTERNATE).await;
    assert!(bench.engine.shutdown().await);
    bench.journal.restore();
    bench.reincarnate(Default::default()).await;
    let refused = bench.engine.begin(&bench.secret(), PlanKind::Rotate, "operator", author()).await;
    assert!(matches!(refused, Err(EngineError::Refused { .. })), "{refused:?}");
    pass(5_000).await;
    assert!(has(&bench, |it| matches!(it, Event::Restored { .. })));
    bench.engine.reconcile(&bench.secret(), author()).await.unwrap();
    bench.begin(PlanKind::Rotate).await;
    bench.rest().await;
    bench.check("after a restore");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_was_declared_after_a_restore_is_not_held_by_it() {
    let mut bench = Bench::new(ALTERNATE).await;
    bench.journal.restore();
    bench.reincarnate(Default::default()).await;
    bench.begin(PlanKind::Issue).await;
    bench.rest().await;
    assert_eq!(bench.replay().epoch(), bench.journal.epoch_now(), "its journal begins in this epoch");
    bench.reincarnate(Default::default()).await;
    pass(5_000).await;
    assert!(!has(&bench, |it| matches!(it, Event::Restored { .. })), "it is older than no restore");
    bench.begin(PlanKind::Rotate).await;
    bench.rest().await;
    bench.check("after a restart in the same epoch");
}

#[tokio::test(start_paused = true)]
async fn what_a_restore_holds_is_listed_with_what_to_do_next() {
    let mut bench = issued(ALTERNATE).await;
    assert!(bench.engine.comparisons().await.unwrap().is_empty());
    assert!(bench.engine.shutdown().await);
    bench.journal.restore();
    bench.reincarnate(Default::default()).await;
    bench.engine.comparisons().await.unwrap();
    pass(5_000).await;
    let all = bench.engine.comparisons().await.unwrap();
    assert_eq!(all.iter().map(|it| (it.outcome.as_str(), it.current)).collect::<Vec<_>>(), [("matches", Some(1))]);
    assert!(all[0].advice.contains(&bench.secret().to_string()), "{}", all[0].advice);
    let lost = bench.engine.accept_lost(&bench.secret(), "drill".to_owned(), author()).await;
    assert!(matches!(lost, Err(EngineError::Refused { code: "conflict", .. })), "it works: {lost:?}");
    bench.engine.reconcile(&bench.secret(), author()).await.unwrap();
    assert!(bench.engine.comparisons().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_frozen_connection_stops_a_rotation_between_calls_and_a_thaw_lets_it_go_on() {
    let mut bench = issued(SLOW).await;
    bench.begin(PlanKind::Rotate).await;
    let scope = Scope::Connection("main".parse().unwrap());
    bench.engine.freeze(scope.clone(), author()).await.unwrap();
    for _ in 0..20 {
        bench.round().await;
        pass(1_000).await;
    }
    assert_eq!(bench.target.census().len(), 1, "nothing new is done at the target");
    assert_eq!(bench.engine.freezes().await.unwrap().len(), 1);
    bench.reincarnate(Default::default()).await;
    pass(5_000).await;
    assert_eq!(bench.target.census().len(), 1, "a freeze outlives its host");
    bench.engine.thaw(scope, author()).await.unwrap();
    bench.rest().await;
    bench.check("after a thaw");
    assert_eq!(bench.replay().current(), Some(Generation(2)));
}

#[tokio::test(start_paused = true)]
async fn people_can_give_back_revert_and_abandon_in_mid_rotation() {
    type Order = fn() -> Command;
    let orders: [(&str, bool, Order, Ending, u32); 4] = [
        ("rollback", false, || Command::Rollback { reason: String::new(), author: author() }, Ending::RolledBack, 1),
        ("revert", true, || Command::Revert { reason: String::new(), author: author() }, Ending::Reverted, 1),
        (
            "abandon in prepare",
            false,
            || Command::Abandon { reason: String::new(), author: author() },
            Ending::Abandoned,
            1,
        ),
        (
            "abandon in commit",
            true,
            || Command::Abandon { reason: String::new(), author: author() },
            Ending::Abandoned,
            2,
        ),
    ];
    for (what, committed, order, ending, current) in orders {
        let mut bench = issued(ALTERNATE).await;
        bench.begin(PlanKind::Rotate).await;
        bench.consumers.temper(0, Temper::Silent);
        for _ in 0..10 {
            bench.round().await;
            pass(100).await;
        }
        if committed {
            bench.consumers.temper(0, Temper::Willing);
            while !bench.replay().rotation().is_some_and(|it| it.committed) {
                bench.round().await;
            }
            bench.consumers.temper(0, Temper::Silent);
        }
        bench.engine.command(&bench.secret(), order()).await.unwrap();
        bench.consumers.temper(0, Temper::Willing);
        bench.rest().await;
        bench.check(what);
        let secret = bench.replay();
        assert_eq!(secret.finished().unwrap().1, ending, "{what}");
        assert_eq!(secret.current(), Some(Generation(current)), "{what}");
        bench.begin(PlanKind::Rotate).await;
        bench.rest().await;
        bench.check(&format!("a rotation after {what}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_compromised_current_is_rotated_at_once_without_waiting_for_a_due_time() {
    let mut bench = issued(ALTERNATE).await;
    let order = Command::Compromise { generation: Generation(1), disable_first: false, author: author() };
    bench.engine.command(&bench.secret(), order).await.unwrap();
    pass(1_000).await;
    assert!(has(
        &bench,
        |it| matches!(it, Event::Started { kind: PlanKind::Rotate, cause, .. } if cause == "compromise")
    ));
    bench.rest().await;
    bench.check("after a compromise");
    assert_eq!(bench.replay().current(), Some(Generation(2)));
}

#[tokio::test(start_paused = true)]
async fn history_tells_the_whole_story_in_order_and_metrics_count_it() {
    let mut bench = issued(ALTERNATE).await;
    bench.begin(PlanKind::Rotate).await;
    bench.rest().await;
    let history = bench.engine.history(&bench.secret(), Part::After(Seq(0)), usize::MAX).await.unwrap();
    assert!(history.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1 && pair[1].at >= pair[0].at));
    let told: Vec<_> = history.iter().map(|entry| entry.event.as_str()).collect();
    let story = ["started", "intended", "staged", "committed", "draining", "retirement-closed", "finished"];
    let mut from = told.iter().rposition(|it| *it == "started").unwrap();
    for event in story {
        let at = told[from..].iter().position(|it| *it == event);
        from += at.unwrap_or_else(|| panic!("no {event} after {from} in {told:?}"));
    }
    assert!(history.iter().all(|entry| !entry.text.is_empty()));
    let later = bench.engine.history(&bench.secret(), Part::Before(None), 1).await.unwrap();
    assert_eq!(later, history[history.len() - 1..], "a page knows the rotation that it begins in");
    let metrics = bench.engine.metrics();
    for line in [
        "keybaton_rotations_started_total{name=\"rotate\"} 1",
        "keybaton_rotations_finished_total{kind=\"rotate\",ending=\"completed\"} 1",
        "keybaton_calls_in_flight 0",
        "keybaton_step_seconds_count{name=\"stage\"}",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "no `{line}` in\n{metrics}");
    }
}

/// Longer than any lease in these tests, and the pause after which a host looks whether one has run out.
const LEASE_AND_MORE: u64 = 120_000;

async fn in_mid_install(bench: &mut Bench) {
    bench.begin(PlanKind::Rotate).await;
    while !bench.replay().calls().values().any(|call| call.kind == CallKind::Install) {
        pass(50).await;
    }
}

fn fetch(bench: &Bench) -> Fetch {
    Fetch {
        secret: bench.secret(),
        consumer: "web".parse().unwrap(),
        replica: "web-0".parse().unwrap(),
        incarnation: "life-1".parse().unwrap(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_sees_anothers_running_call_takes_over_when_that_host_dies_and_its_lease_runs_out() {
    let mut bench = issued(SLOW).await;
    bench.journal.share();
    in_mid_install(&mut bench).await;
    let other = bench.beside().await;
    // It has looked, and waits for a call that is not its own.
    pass(10_000).await;
    assert!(!has(&bench, |it| matches!(it, Event::Interrupted { .. })), "the call of a living host is left to it");
    bench.rest().await;
    in_mid_install(&mut bench).await;
    pass(100).await;
    bench.move_to(other);
    pass(LEASE_AND_MORE).await;
    assert!(has(&bench, |it| matches!(it, Event::Interrupted { .. })), "the other host says that it was cut off");
    bench.rest().await;
    bench.check("after a take-over");
    assert_eq!(bench.replay().current(), Some(Generation(3)));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_follows_answers_who_waits_at_it_when_the_other_stages_and_offers_what_the_journal_says_now() {
    let mut bench = issued(ALTERNATE).await;
    let (other, _trace) = bench.beside().await;
    bench.consumers.temper(0, Temper::Silent);
    let first = other.fetch(fetch(&bench)).await.unwrap();
    assert_eq!(first.generations.len(), 1);
    let known = Known { generations: [Generation(1)].into(), use_now: Some(Generation(1)) };
    let (waiting, asked) = (other.clone(), fetch(&bench));
    let news = tokio::spawn(async move { waiting.fetch_news(asked, known, Duration::from_secs(3_600)).await });
    pass(1_000).await;
    assert!(!news.is_finished());
    bench.begin(PlanKind::Rotate).await;
    let told = tokio::time::timeout(Duration::from_secs(10), news).await.expect("it is told soon").unwrap().unwrap();
    assert!(told.generations.iter().any(|it| it.generation == Generation(2)), "{told:?}");
    bench.consumers.temper(0, Temper::Willing);
    bench.rest().await;
    // Asked in the very moment: what the other host did is not waited for, it is read.
    let now = other.fetch(fetch(&bench)).await.unwrap();
    let offered: Vec<_> = now.generations.iter().map(|it| (it.generation, it.use_now)).collect();
    assert_eq!(offered, [(Generation(2), true)], "what was ended by the other host is not offered by this one");
    let status = other.status(&bench.secret()).await.unwrap();
    assert_eq!(status.summary.standing, Standing::Idle);
}

#[tokio::test(start_paused = true)]
async fn a_freeze_and_a_thaw_at_one_host_hold_at_all_of_them_at_once() {
    let mut bench = issued(SLOW).await;
    let (other, _trace) = bench.beside().await;
    bench.begin(PlanKind::Rotate).await;
    let scope = Scope::Connection("main".parse().unwrap());
    other.freeze(scope.clone(), author()).await.unwrap();
    assert_eq!(bench.engine.freezes().await.unwrap().len(), 1, "asked for at the other, it is there");
    for _ in 0..20 {
        bench.round().await;
        pass(1_000).await;
    }
    assert_eq!(bench.target.census().len(), 1, "the host that leads does nothing new at the target");
    let refused = bench.engine.begin(&bench.secret(), PlanKind::Rotate, "operator", author()).await;
    assert!(matches!(refused, Err(EngineError::Refused { code: "frozen", .. })), "{refused:?}");
    other.thaw(scope, author()).await.unwrap();
    bench.rest().await;
    bench.check("after a thaw at the other host");
    assert_eq!(bench.replay().current(), Some(Generation(2)));
}

#[tokio::test(start_paused = true)]
async fn each_life_of_a_host_is_another_holder_of_leases() {
    let mut bench = issued(ALTERNATE).await;
    let first = bench.journal.holder(&bench.secret());
    bench.reincarnate(Default::default()).await;
    bench.begin(PlanKind::Rotate).await;
    bench.rest().await;
    let second = bench.journal.holder(&bench.secret());
    assert!(first.len() == 32 && second.len() == 32 && first != second, "{first} {second}");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_secret_is_shown_as_damaged_and_begins_nothing_until_it_is_restored() {
    let mut bench = issued(ALTERNATE).await;
    bench.reincarnate(Default::default()).await;
    pass(10_000).await;
    bench.journal.spoil(&bench.secret());
    let refused = bench.engine.begin(&bench.secret(), PlanKind::Rotate, "operator", author()).await;
    assert!(refused.is_err(), "{refused:?}");
    let status = bench.engine.status(&bench.secret()).await;
    let damaged = |error: &EngineError| matches!(error, EngineError::Journal(JournalError::Damaged { detail }) if detail.contains("(row 1)"));
    assert!(status.as_ref().is_err_and(damaged), "{status:?}");
    let list = bench.engine.list(&Default::default());
    assert_eq!(list[0].standing, Standing::Damaged);
    assert!(bench.engine.metrics().contains("keybaton_damaged 1"));
}

#[tokio::test(start_paused = true)]
async fn what_one_host_challenged_a_replica_to_it_states_at_any_other_and_once() {
    let mut bench = issued(ALTERNATE).await;
    let (other, _trace) = bench.beside().await;
    bench.consumers.temper(0, Temper::Silent);
    bench.begin(PlanKind::Rotate).await;
    let staged = async {
        loop {
            let delivery = bench.engine.fetch(fetch(&bench)).await.unwrap();
            if delivery.asks.iter().any(|ask| ask.purpose == Purpose::Ready) {
                return delivery;
            }
            pass(50).await;
        }
    };
    let delivery = tokio::time::timeout(Duration::from_secs(60), staged).await.expect("it is staged");
    let pending = delivery.generations.iter().find(|it| it.generation == Generation(2)).unwrap();
    let fields: Vec<_> = pending.fields.iter().map(|(name, bytes)| (name.as_str(), bytes.expose())).collect();
    let Fetch { secret, consumer, replica, incarnation } = fetch(&bench);
    let challenge = Challenge {
        secret,
        consumer,
        replica,
        incarnation,
        rotation: delivery.rotation.clone(),
        generation: Generation(2),
        purpose: Purpose::Ready,
    };
    let salt = pending.salt.expose();
    let said = acknowledgement(&other, &fields, salt, challenge, EvidenceKind::Process).await.unwrap();
    bench.engine.acknowledge(said.clone()).await.unwrap();
    for host in [&bench.engine, &other] {
        let again = host.acknowledge(said.clone()).await;
        assert!(matches!(again, Err(EngineError::Proof(ProofError::Nonce))), "{again:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_on_a_shared_store_that_keeps_no_nonces_does_not_start() {
    let bench = issued(ALTERNATE).await;
    assert!(bench.without_nonces().await.is_ok(), "alone on a store, a host keeps them itself");
    bench.journal.share();
    let refused = bench.without_nonces().await;
    assert!(refused.as_ref().is_err_and(|error| error.to_string().contains("nonces")));
}
