//! The scheduler's loop: sleeps until something is due. No polling, and no work for what is not due.

use super::start::start_ready;
use super::timers::Kind;
use crate::shared::Shared;
use std::sync::Arc;
use std::time::Duration;

/// Timers taken in one tick; more are taken in the next, after others had their turn.
const TICK: usize = 1_024;

/// The longest sleep: a wall clock that is set is noticed within this time, in milliseconds.
const LONGEST_SLEEP_MS: u64 = 30_000;

/// Runs until the engine stops.
pub(crate) async fn run(shared: Arc<Shared>) {
    while !shared.is_stopping() {
        let more = tick(&shared);
        if more {
            tokio::task::yield_now().await;
            continue;
        }
        let next = shared.board().next_timer();
        let sleep_ms = next.map_or(LONGEST_SLEEP_MS, |at| at.since(shared.wall()).min(LONGEST_SLEEP_MS));
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(sleep_ms)) => {}
            () = shared.bell.notified() => {}
            () = shared.stopped() => {}
        }
    }
}

/// One look. Answers whether there is more to do at once.
fn tick(shared: &Arc<Shared>) -> bool {
    let mut wakes = Vec::new();
    let mut taken = 0;
    let now;
    {
        let mut board = shared.board();
        now = board.follow_clock().now;
        while taken < TICK {
            let Some((id, kind)) = board.pop_timer(now) else { break };
            taken += 1;
            match kind {
                Kind::Due => board.due(id),
                Kind::Wake => wakes.push(id),
            }
        }
        let (overdue, oldest) = board.overdue();
        shared.metrics.ticked(now, overdue, oldest);
    }
    for id in wakes {
        shared.wake(id);
    }
    start_ready(shared, now);
    taken == TICK
}
