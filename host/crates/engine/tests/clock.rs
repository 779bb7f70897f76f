//! A wall clock that is set while a host runs, or while none does: what waits has as long to go as before, and the step is
//! named.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keybaton_engine::declared::{Anchor, Cadence, Declared};
use keybaton_engine::ports::freezes::Scope;
use keybaton_engine::views::Standing;
use keybaton_protocol::command::Command;
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{Millis, SecretName};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::step::{CallKind, PlanKind};
use std::sync::Arc;
use std::time::Duration;
use support::bench::{Bench, Fleet, author, lone, name, policy};
use tokio::time::Instant;

const HOUR_MS: u64 = 3_600_000;
const AHEAD: i64 = 3_600_000;
const BACK: i64 = -3_600_000;
const OVERLAP_MS: u64 = 600_000;
const SECRET: &str = "payments/db";

async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Waits for nobody, and for ten minutes.
fn waiting() -> Declared {
    let policy = Policy { consumers: Vec::new(), overlap_min_ms: OVERLAP_MS, soak_ms: 0, ..policy() };
    Declared { policy: Arc::new(policy), ..lone(SECRET) }
}

fn events(fleet: &Fleet, of: impl Fn(&Event) -> bool) -> Vec<Event> {
    fleet.journal.events(&name(SECRET)).into_iter().map(|it| it.event).filter(of).collect()
}

fn steps(fleet: &Fleet) -> Vec<Event> {
    events(fleet, |it| matches!(it, Event::ClockStepped { .. }))
}

/// A rotation whose overlap has just begun, and since when.
async fn draining() -> (Fleet, Instant) {
    let fleet = Fleet::new(vec![waiting()]).await;
    fleet.run(SECRET, PlanKind::Issue, Standing::Idle).await;
    fleet.run(SECRET, PlanKind::Rotate, Standing::Waiting).await;
    (fleet, Instant::now())
}

/// How long the overlap took, in milliseconds.
async fn over(fleet: &Fleet, since: Instant) -> u64 {
    while !fleet.journal.events(&name(SECRET)).iter().any(|it| matches!(it.event, Event::RetirementOpened { .. })) {
        pass(100).await;
        assert!(since.elapsed() < Duration::from_millis(3 * HOUR_MS), "it waits for the clock");
    }
    u64::try_from(since.elapsed().as_millis()).unwrap()
}

fn in_time(took_ms: u64) -> bool {
    (OVERLAP_MS - 500..OVERLAP_MS + 2_000).contains(&took_ms)
}

#[tokio::test(start_paused = true)]
async fn what_waits_goes_on_after_its_own_time_however_the_clock_is_set() {
    for by_ms in [AHEAD, BACK] {
        let (fleet, since) = draining().await;
        pass(200_000).await;
        fleet.clock.step(by_ms);
        let took_ms = over(&fleet, since).await;
        assert!(in_time(took_ms), "{by_ms}: {took_ms} ms");
        assert_eq!(steps(&fleet), [Event::ClockStepped { by_ms }], "it is on record once");
        assert_eq!(events(&fleet, |it| *it == Event::ClockResumed).len(), 1, "one process measured all of it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_ahead_for_a_while_delays_nothing_once_it_is_right_again() {
    for away_ms in [1_000, 60_000, OVERLAP_MS] {
        let (fleet, since) = draining().await;
        fleet.clock.step(AHEAD);
        pass(away_ms).await;
        // Somebody looks while it is ahead, so that it is on record.
        fleet.engine.status(&name(SECRET)).await.unwrap();
        fleet.clock.step(BACK);
        let took_ms = over(&fleet, since).await;
        assert!(in_time(took_ms), "{away_ms}: {took_ms} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_while_no_host_runs_delays_nothing_and_is_named() {
    let (mut fleet, _) = draining().await;
    fleet.clock.step(BACK);
    fleet.restart().await;
    let since = Instant::now();
    let took_ms = over(&fleet, since).await;
    assert!(in_time(took_ms), "what passed before the restart was not on record: {took_ms} ms");
    let by: Vec<_> =
        steps(&fleet).into_iter().map(|it| if let Event::ClockStepped { by_ms } = it { by_ms } else { 0 }).collect();
    assert!(matches!(by[..], [by_ms] if (BACK - 1_000..BACK + 1_000).contains(&by_ms)), "{by:?}");
    let named = fleet.engine.clock_steps();
    assert!(matches!(named[..], [step] if step.at_start && step.by_ms < BACK / 2), "{named:?}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_away_counts_none_of_the_time_in_which_it_was() {
    let (mut fleet, _) = draining().await;
    assert!(fleet.engine.shutdown().await);
    pass(24 * HOUR_MS).await;
    fleet.restart().await;
    let took_ms = over(&fleet, Instant::now()).await;
    assert!(in_time(took_ms), "{took_ms} ms");
    assert_eq!(events(&fleet, |it| *it == Event::ClockResumed).len(), 2, "both processes say since when they measure");
    assert_eq!(fleet.engine.clock_steps(), [], "a host may be away for as long as it likes");
}

#[tokio::test(start_paused = true)]
async fn a_timer_of_minutes_costs_no_record_and_its_secret_is_let_go_meanwhile() {
    let (fleet, since) = draining().await;
    let (rows, length) = (fleet.journal.appends(), fleet.journal.events(&name(SECRET)).len());
    pass(OVERLAP_MS - 5_000).await;
    assert_eq!((fleet.journal.appends(), fleet.journal.events(&name(SECRET)).len()), (rows, length));
    assert!(in_time(over(&fleet, since).await));
    assert_eq!(events(&fleet, |it| *it == Event::Ticked), []);
}

#[tokio::test(start_paused = true)]
async fn a_step_is_logged_once_counted_and_told_and_puts_nothing_on_record_of_who_waits_for_nothing() {
    let fleet = Fleet::new(vec![waiting()]).await;
    fleet.run(SECRET, PlanKind::Issue, Standing::Idle).await;
    let length = fleet.journal.events(&name(SECRET)).len();
    fleet.clock.step(AHEAD);
    // The scheduler looks by itself.
    pass(31_000).await;
    let told = fleet.engine.clock_steps();
    assert!(matches!(told[..], [step] if step.by_ms == AHEAD && !step.at_start), "{told:?}");
    fleet.clock.step(BACK);
    pass(31_000).await;
    let metrics = fleet.engine.metrics();
    for line in ["keybaton_clock_steps_total{name=\"ahead\"} 1", "keybaton_clock_steps_total{name=\"back\"} 1"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert_eq!(fleet.journal.events(&name(SECRET)).len(), length);
    fleet.run(SECRET, PlanKind::Rotate, Standing::Waiting).await;
    assert_eq!(steps(&fleet), [], "ahead and back is where it was");
}

#[tokio::test(start_paused = true)]
async fn a_journal_written_while_the_clock_was_ahead_goes_on_at_once_when_it_is_right_again() {
    let fleet = Fleet::new(vec![waiting()]).await;
    fleet.clock.step(AHEAD);
    fleet.run(SECRET, PlanKind::Issue, Standing::Idle).await;
    fleet.clock.step(BACK);
    let since = Instant::now();
    fleet.run(SECRET, PlanKind::Rotate, Standing::Waiting).await;
    assert!(in_time(over(&fleet, since).await));
    let dates: Vec<_> = fleet.journal.events(&name(SECRET)).iter().map(|it| it.at).collect();
    let back = dates.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert_eq!((back, steps(&fleet)), (1, vec![Event::ClockStepped { by_ms: BACK }]));
    let now = dates.last().unwrap().0;
    let started = fleet.journal.events(&name(SECRET)).into_iter().rfind(|it| matches!(it.event, Event::Started { .. }));
    assert!(now - started.unwrap().at.0 < OVERLAP_MS + 5_000, "what came after is dated by the right clock");
}

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

#[tokio::test(start_paused = true)]
async fn the_pause_after_a_rotation_that_failed_is_as_long_as_it_was_and_a_due_time_is_a_date() {
    let started = |fleet: &Fleet| events(fleet, |it| matches!(it, Event::Started { kind: PlanKind::Rotate, .. })).len();
    let fleet = Fleet::new(vec![Declared { cadence: Some(Arc::new(Hourly)), ..lone(SECRET) }]).await;
    fleet.run(SECRET, PlanKind::Issue, Standing::Idle).await;
    fleet.clock.step(AHEAD);
    pass(31_000).await;
    assert_eq!(started(&fleet), 1, "by the clock it is due");
    fleet.engine.freeze(Scope::Host, author()).await.unwrap();
    pass(4 * HOUR_MS).await;
    fleet.fail_from_now_on(SECRET);
    fleet.engine.thaw(Scope::Host, author()).await.unwrap();
    pass(10_000).await;
    let status = fleet.engine.status(&name(SECRET)).await.unwrap();
    assert_eq!(status.summary.standing, Standing::Held, "its target is down");
    let abandon = Command::Abandon { reason: "drill".to_owned(), author: author() };
    fleet.engine.command(&name(SECRET), abandon).await.unwrap();
    let before = started(&fleet);
    fleet.clock.step(BACK);
    pass(40_000).await;
    assert!(started(&fleet) > before, "it does not wait for an hour");
}

const SLOW: &str = r#"{"overlap":"alternate","slots":["a","b"],"soft_disable":true,"slow_ms":1500}"#;

#[tokio::test(start_paused = true)]
async fn a_host_that_only_follows_dates_nothing_back_and_waits_no_longer_once_it_leads_again() {
    for by_ms in [AHEAD, BACK] {
        let mut bench = Bench::new(SLOW).await;
        bench.begin(PlanKind::Issue).await;
        bench.rest().await;
        bench.begin(PlanKind::Rotate).await;
        while !bench.replay().calls().values().any(|call| call.kind == CallKind::Install) {
            pass(50).await;
        }
        bench.journal.usurp(&bench.secret());
        bench.clock.step(by_ms);
        pass(30_000).await;
        let dates: Vec<_> = bench.journal.events(&bench.secret()).iter().map(|it| it.at).collect();
        assert!(dates.is_sorted(), "{by_ms}: {dates:?}");
        let stepped = |bench: &Bench| {
            let events = bench.journal.events(&bench.secret());
            events.iter().filter(|it| matches!(it.event, Event::ClockStepped { .. })).count()
        };
        assert_eq!(stepped(&bench), 0, "{by_ms}: whoever leads says so");
        bench.journal.abdicate(&bench.secret());
        bench.rest().await;
        bench.check("after the lease came back");
        assert_eq!(stepped(&bench), usize::from(by_ms < 0), "{by_ms}");
    }
}
