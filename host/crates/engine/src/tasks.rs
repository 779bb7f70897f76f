//! Tasks that a shutdown waits for. Counts them; never cuts one short.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// A count of running tasks, and a bell for when there are none.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    running: AtomicUsize,
    idle: Notify,
}

/// Counts one task until dropped, a panic included.
struct Counted(Arc<Tasks>);

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
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
        let counted = Counted(Arc::clone(self));
        tokio::spawn(async move {
            let _counted = counted;
            task.await;
        });
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
