//! Starts by cadence: the queue of due secrets, the permits, and what follows a refusal. Same door as an operator's.

use super::gates::{Gate, ask};
use crate::board::SecretId;
use crate::shared::Shared;
use keybaton_protocol::admit::BY_COMPROMISE;
use keybaton_protocol::ids::Millis;
use keybaton_protocol::step::PlanKind;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use tokio::sync::{Notify, OwnedSemaphorePermit};

/// Who starts by cadence, in journals and audits.
pub(crate) const AUTHOR: &str = "keybaton-scheduler";

/// Due secrets in order of coming up, each at most once: bounded by the number of secrets.
#[derive(Debug, Default)]
pub(crate) struct ReadyQueue {
    order: VecDeque<SecretId>,
    queued: HashSet<SecretId>,
}

impl ReadyQueue {
    pub(crate) fn push(&mut self, id: SecretId) {
        if self.queued.insert(id) {
            self.order.push_back(id);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<SecretId> {
        let id = self.order.pop_front()?;
        self.queued.remove(&id);
        Some(id)
    }
}

/// Held by a rotation that cadence started, until it first waits for somebody, or ends.
#[derive(Debug)]
pub(crate) struct StartPermit {
    permit: Option<OwnedSemaphorePermit>,
    bell: Arc<Notify>,
}

impl Drop for StartPermit {
    fn drop(&mut self) {
        // The permit first, so that whoever the bell wakes finds it.
        drop(self.permit.take());
        self.bell.notify_one();
    }
}

/// Starts as many due secrets as permits and gates allow.
pub(super) fn start_ready(shared: &Arc<Shared>, now: Millis) {
    while !shared.is_stopping() {
        let Ok(permit) = Arc::clone(&shared.starts).try_acquire_owned() else { return };
        let Some(id) = next(shared, now) else { return };
        let permit = StartPermit { permit: Some(permit), bell: Arc::clone(&shared.bell) };
        let shared = Arc::clone(shared);
        let tracked = Arc::clone(&shared.tasks);
        tracked.spawn(async move { by_cadence(&shared, id, permit).await });
    }
}

/// The next queued secret to which no gate objects.
fn next(shared: &Shared, now: Millis) -> Option<SecretId> {
    let mut board = shared.board();
    while let Some(id) = board.ready.pop() {
        match ask(&mut board, id, now) {
            Gate::Open => {
                if let Some(due) = board.cell(id).due {
                    shared.metrics.started_late(now.since(due));
                }
                board.starting(id, now);
                return Some(id);
            }
            Gate::Later(at, why) => {
                board.block(id, why);
                board.set_timer(id, super::Kind::Due, Some(at));
            }
            Gate::Behind(key, why) => {
                board.block(id, why);
                board.wait_behind(key, id);
            }
            Gate::Shut(why) => {
                board.no_longer_overdue(id);
                board.block(id, why);
            }
        }
    }
    None
}

async fn by_cadence(shared: &Arc<Shared>, id: SecretId, permit: StartPermit) {
    let cause = {
        let board = shared.board();
        let cell = board.cell(id);
        let cadence = cell.spec.as_ref().and_then(|spec| spec.cadence.as_ref());
        if cell.urgent { BY_COMPROMISE } else { cadence.map_or("cadence", |cadence| cadence.cause()) }
    };
    if shared.journal.is_shared() && !still_due(shared, id).await {
        return;
    }
    let author = AUTHOR.parse().expect("a constant that follows the grammar");
    let started = crate::begin::begin(shared, id, PlanKind::Rotate, cause, author, Some(permit)).await;
    if let Err(error) = started {
        tracing::warn!(secret = %shared.board().cell(id).name, %error, "a due rotation could not start");
        let now = shared.wall();
        shared.board().refused(id, &error.to_string(), now, &shared.options);
        shared.bell.notify_one();
    }
}

/// On a shared store another host may have rotated it a moment ago: its actor reads on in the journal and tells the board
/// how the secret stands by now.
async fn still_due(shared: &Arc<Shared>, id: SecretId) -> bool {
    // Where it can't be read the start itself says why.
    let Ok(mark) = crate::consumers::look(shared, id, |_, _| ()).await.map(|()| shared.board().cell(id).mark) else {
        return true;
    };
    let mut board = shared.board();
    let now = shared.wall();
    let due = super::next_due(board.cell(id), now).is_some_and(|due| due <= now) && !mark.closed;
    if !due || mark.open {
        board.not_due(id);
    }
    due && !mark.open
}
