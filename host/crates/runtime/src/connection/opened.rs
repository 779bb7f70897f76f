//! An open connection: who may use it, how much at once, and what it has open. Refusals are values that say what to grant.

use super::Connection;
use crate::capabilities::http::pool::Clients;
use crate::capabilities::sql::pool::Sessions;
use crate::refusal::Refusal;
use keybaton_protocol::ids::{Namespace, PluginName};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// A connection with what it has open.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    slots: Arc<Semaphore>,
    bucket: Mutex<(f64, Instant)>,
    pub(crate) sessions: Sessions,
    pub(crate) clients: Clients,
    pub(crate) in_use: Arc<InUse>,
}

/// How many host calls are under way as the admin, by the mark of what they logged in with.
#[derive(Debug, Default)]
pub(crate) struct InUse(Mutex<BTreeMap<u64, usize>>);

impl InUse {
    fn counts(&self) -> MutexGuard<'_, BTreeMap<u64, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one host call until the answer is dropped.
    pub(crate) fn enter(self: &Arc<Self>, mark: u64) -> Using {
        *self.counts().entry(mark).or_default() += 1;
        Using { counts: Arc::clone(self), mark }
    }

    pub(super) fn only(&self, mark: u64) -> bool {
        self.counts().keys().all(|used| *used == mark)
    }
}

/// One host call as the admin.
#[derive(Debug)]
pub(crate) struct Using {
    counts: Arc<InUse>,
    mark: u64,
}

impl Drop for Using {
    fn drop(&mut self) {
        let mut counts = self.counts.counts();
        if let Some(count) = counts.get_mut(&self.mark) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.mark);
            }
        }
    }
}

impl Opened {
    pub(super) fn new(connection: Connection) -> Self {
        let burst = connection.limits.rate.map_or(0.0, |(_, burst)| f64::from(burst.max(1)));
        Self {
            slots: Arc::new(Semaphore::new(usize::from(connection.limits.concurrency.max(1)))),
            bucket: Mutex::new((burst, Instant::now())),
            sessions: Sessions::new(usize::from(connection.limits.concurrency.max(1))),
            clients: Clients::default(),
            in_use: Arc::default(),
            connection,
        }
    }

    /// In the place of another of the same name: host calls that are under way over that one are counted on.
    pub(super) fn after(connection: Connection, before: &Self) -> Self {
        Self { in_use: Arc::clone(&before.in_use), ..Self::new(connection) }
    }

    /// Whether this plugin may use it for secrets of this namespace.
    pub(crate) fn admits(&self, namespace: &Namespace, plugin: &PluginName) -> Result<(), Refusal> {
        let (name, access) = (&self.connection.name, &self.connection.access);
        if !access.plugins.iter().any(|pattern| pattern.matches(plugin.as_str())) {
            return Err(Refusal::denied(
                "connection.plugin",
                format!("connection `{name}` is not open to plugin `{plugin}`: list it under the connection's plugins"),
            ));
        }
        if !access.namespaces.iter().any(|pattern| pattern.matches(namespace.as_str())) {
            return Err(Refusal::denied(
                "connection.namespace",
                format!("connection `{name}` is not open to namespace `{namespace}`: list it under its namespaces"),
            ));
        }
        Ok(())
    }

    /// Whether this identity at the target may be touched.
    pub(crate) fn admits_identity(&self, identity: &str) -> Result<(), Refusal> {
        if self.connection.access.identities.iter().any(|pattern| pattern.matches(identity)) {
            return Ok(());
        }
        let shown = crate::limits::cut(identity, 80);
        Err(Refusal::denied(
            "connection.identity",
            format!(
                "connection `{}` does not allow the identity `{}`: add a pattern to its identities",
                self.connection.name,
                shown.escape_debug()
            ),
        ))
    }

    /// Waits for a free slot and for the rate, at most `within_ms`.
    pub(crate) async fn enter(&self, within_ms: u64) -> Result<OwnedSemaphorePermit, Refusal> {
        let name = &self.connection.name;
        let busy = |what| Refusal::retryable("connection.busy", format!("connection `{name}` has {what} in time"));
        let end = Instant::now() + Duration::from_millis(within_ms);
        let acquired = tokio::time::timeout_at(end, Arc::clone(&self.slots).acquire_owned()).await;
        let permit = acquired.map_err(|_| busy("no free slot"))?.map_err(|_| busy("been closed and no slot"))?;
        loop {
            let wait = self.take_token();
            if wait.is_zero() {
                return Ok(permit);
            }
            if Instant::now() + wait > end {
                return Err(busy("a rate limit that lets no call start").after_ms(Some(wait.as_millis() as u64)));
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes a token, or says how long until there is one.
    fn take_token(&self) -> Duration {
        let Some((per_second, burst)) = self.connection.limits.rate else { return Duration::ZERO };
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let filled = bucket.0 + now.duration_since(bucket.1).as_secs_f64() * per_second;
        *bucket = (filled.min(f64::from(burst.max(1))), now);
        if bucket.0 >= 1.0 {
            bucket.0 -= 1.0;
            return Duration::ZERO;
        }
        Duration::from_secs_f64(((1.0 - bucket.0) / per_second.max(0.001)).clamp(0.001, 60.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{Access, ConnectionLimits, PostgresTarget, Target};
    use crate::identity::EnvironmentSource;
    use keybaton_protocol::fault::FailureClass;

    fn opened(concurrency: u16, rate: Option<(f64, u32)>) -> Arc<Opened> {
        let source = Arc::new(EnvironmentSource("NOT_SET".to_owned()));
        Arc::new(Opened::new(Connection {
            name: "main".parse().unwrap(),
            access: Access::default(),
            limits: ConnectionLimits { concurrency, rate, timeout_ms: 1_000 },
            target: Target::Postgres(PostgresTarget::here(1, "postgres", "nobody", source)),
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_calls_run_at_once_than_allowed() {
        let opened = opened(3, None);
        let most = Arc::new(Mutex::new((0_u32, 0_u32)));
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (opened, most) = (Arc::clone(&opened), Arc::clone(&most));
            calls.spawn(async move {
                let slot = opened.enter(60_000).await.unwrap();
                {
                    let mut counted = most.lock().unwrap();
                    counted.0 += 1;
                    counted.1 = counted.1.max(counted.0);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                most.lock().unwrap().0 -= 1;
                drop(slot);
            });
        }
        let began = Instant::now();
        while let Some(done) = calls.join_next().await {
            done.unwrap();
        }
        assert_eq!(*most.lock().unwrap(), (0, 3));
        assert_eq!(began.elapsed().as_millis() / 100, 7, "twenty calls of 100 ms, three at a time");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_for_a_slot_is_told_so_and_may_come_again() {
        let opened = opened(1, None);
        let slot = opened.enter(1_000).await.unwrap();
        let began = Instant::now();
        let refusal = opened.enter(500).await.unwrap_err();
        assert_eq!((refusal.class, refusal.code.as_str()), (FailureClass::Retryable, "connection.busy"));
        assert_eq!(began.elapsed().as_millis(), 500);
        drop(slot);
        drop(opened.enter(0).await.expect("the slot is free again"));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_start_at_the_rate_after_a_burst_and_no_pause_saves_up_more_than_that() {
        let opened = opened(100, Some((10.0, 5)));
        let starts = async |count: usize| {
            let began = Instant::now();
            let mut at_ms = Vec::new();
            for _ in 0..count {
                drop(opened.enter(60_000).await.unwrap());
                at_ms.push(began.elapsed().as_millis());
            }
            at_ms
        };
        assert_eq!(starts(8).await, [0, 0, 0, 0, 0, 100, 200, 300]);
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert_eq!(starts(7).await, [0, 0, 0, 0, 0, 100, 200], "an hour of silence is worth one burst");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_that_lets_nothing_start_in_time_says_when_to_come_again() {
        let opened = opened(8, Some((0.5, 1)));
        drop(opened.enter(0).await.unwrap());
        let refusal = opened.enter(1_000).await.unwrap_err();
        assert_eq!((refusal.class, refusal.code.as_str()), (FailureClass::Retryable, "connection.busy"));
        assert_eq!(refusal.retry_after_ms, Some(2_000));
        drop(opened.enter(2_000).await.expect("its slot was given back"));
    }

    #[test]
    fn what_was_begun_under_another_mark_is_seen_until_it_ends() {
        let in_use = Arc::<InUse>::default();
        assert!(in_use.only(2), "nothing is under way");
        let (old, also_old, new) = (in_use.enter(1), in_use.enter(1), in_use.enter(2));
        for (ended, only) in [(old, false), (also_old, true), (new, true)] {
            drop(ended);
            assert_eq!(in_use.only(2), only);
        }
        assert!(in_use.only(1), "and nothing is kept of it");
    }
}
