//! Tasks that a shutdown waits for. Counts them; never cuts one short, and knows when the runtime has.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// A count of running tasks, and a bell for when there are none.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    running: AtomicUsize,
    idle: Notify,
    cut: AtomicBool,
}

/// Counts one task until dropped, a panic included.
struct Counted {
    tasks: Arc<Tasks>,
    ended: bool,
}

impl Counted {
    fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if !self.ended && !std::thread::panicking() {
            self.tasks.cut.store(true, Ordering::Release);
        }
        if self.tasks.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.tasks.idle.notify_waiters();
        }
    }
}

impl Tasks {
    /// Spawns a task that is waited for.
    pub(crate) fn spawn<F>(self: &Arc<Self>, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.running.fetch_add(1, Ordering::AcqRel);
        let counted = Counted { tasks: Arc::clone(self), ended: false };
        tokio::spawn(async move {
            task.await;
            counted.end();
        });
    }

    /// Whether the runtime has dropped a task, as it does with all of them, and with each new one, once it ends.
    pub(crate) fn are_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Resolves when no task is running.
    pub(crate) async fn idle(&self) {
        loop {
            let bell = self.idle.notified();
            tokio::pin!(bell);
            bell.as_mut().enable();
            if self.running.load(Ordering::Acquire) == 0 {
                return;
            }
            bell.await;
        }
    }
}
