//! A secret at rest is loaded from one record of it, however much has happened before.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keybaton_engine::ports::journal::Part;
use keybaton_engine::views::Standing;
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::Seq;
use keybaton_protocol::step::PlanKind;
use support::bench::{Fleet, lone, name};

const SECRET: &str = "prod/app";

async fn rotated(times: usize) -> Fleet {
    let fleet = Fleet::new(vec![lone(SECRET)]).await;
    fleet.run(SECRET, PlanKind::Issue, Standing::Idle).await;
    for _ in 0..times {
        fleet.run(SECRET, PlanKind::Rotate, Standing::Idle).await;
    }
    fleet
}

#[tokio::test(start_paused = true)]
async fn a_load_reads_no_more_after_a_thousand_rotations_than_after_ten() {
    let mut reads = Vec::new();
    for rotations in [10, 1_000] {
        let mut fleet = rotated(rotations).await;
        let whole = fleet.journal.events(&name(SECRET)).len();
        assert!(whole > rotations * 10, "there is a history of {whole} events");
        fleet.restart().await;
        assert_eq!(fleet.engine.status(&name(SECRET)).await.unwrap().summary.standing, Standing::Idle);
        reads.push(fleet.journal.loaded());
    }
    assert!(reads.iter().all(|read| (1..=64).contains(read)), "events read: {reads:?}");
}

#[tokio::test(start_paused = true)]
async fn a_load_from_the_record_shows_what_was_shown_before_and_writes_nothing() {
    for times in 1..8 {
        let mut fleet = rotated(times).await;
        let secret = name(SECRET);
        let shown = fleet.engine.status(&secret).await.unwrap();
        let (mark, length) = (fleet.journal.mark(&secret), fleet.journal.events(&secret).len());
        let appends = fleet.journal.appends();
        fleet.restart().await;
        let mut loaded = fleet.engine.status(&secret).await.unwrap();
        // Only its clock tells that it was looked at later.
        loaded.summary.due_at = shown.summary.due_at;
        assert_eq!(loaded, shown, "after {times}");
        assert_eq!(fleet.journal.mark(&secret), mark);
        assert_eq!((fleet.journal.events(&secret).len(), fleet.journal.appends()), (length, appends));
    }
}

#[tokio::test(start_paused = true)]
async fn the_record_shares_the_write_that_ends_a_rotation() {
    let fleet = rotated(12).await;
    let events = fleet.journal.events(&name(SECRET));
    let settled: Vec<_> = events.iter().filter(|it| matches!(it.event, Event::Settled(_))).collect();
    assert!(settled.len() >= 3, "{} events, {} records", events.len(), settled.len());
    for record in settled {
        let before = &events[usize::try_from(record.seq.0).unwrap() - 2];
        assert!(matches!(before.event, Event::Finished { .. }), "{before:?}");
        assert_eq!(before.at, record.at);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_in_the_middle_of_a_rotation_says_which_one_it_is() {
    let fleet = rotated(4).await;
    let (engine, secret) = (&fleet.engine, name(SECRET));
    let whole = engine.history(&secret, Part::After(Seq(0)), usize::MAX).await.unwrap();
    for first in 0..whole.len() {
        let page = engine.history(&secret, Part::After(Seq(first as u64)), 1).await.unwrap();
        assert_eq!(page, whole[first..=first]);
    }
}
