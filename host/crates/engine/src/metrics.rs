//! What operators watch, as OpenMetrics. Labels are closed sets or plugin names; never a secret's name or value.

use keybaton_protocol::fault::Fault;
use keybaton_protocol::ids::Millis;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    name: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndedAs {
    kind: &'static str,
    ending: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallOf {
    plugin: String,
    export: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultOf {
    plugin: String,
    blame: &'static str,
    class: &'static str,
}

type Timed = Family<Named, Histogram, fn() -> Histogram>;

/// The engine's metrics.
pub(crate) struct Metrics {
    registry: Registry,
    due: Gauge,
    oldest_overdue: Gauge<f64, AtomicU64>,
    last_tick: Gauge<f64, AtomicU64>,
    ticked_at_ms: AtomicU64,
    lateness: Histogram,
    started: Family<Named, Counter>,
    finished: Family<EndedAs, Counter>,
    last_tick_age: Gauge<f64, AtomicU64>,
    phases: Timed,
    steps: Timed,
    waits: Timed,
    calls: Family<CallOf, Histogram, fn() -> Histogram>,
    faults: Family<FaultOf, Counter>,
    pub(crate) calls_in_flight: Gauge,
    pub(crate) loaded: Gauge,
    pub(crate) damaged: Gauge,
    pub(crate) appends: Counter,
    pub(crate) append_seconds: Histogram,
    pub(crate) conflicts: Counter,
    pub(crate) store_failures: Counter,
    held: Family<Named, Counter>,
    proofs_refused: Family<Named, Counter>,
    clock_steps: Family<Named, Counter>,
}

/// From a tenth of a millisecond to a month: one call and a whole overlap fit the same scale.
fn seconds() -> Histogram {
    Histogram::new([
        0.000_1,
        0.000_5,
        0.001,
        0.005,
        0.01,
        0.05,
        0.1,
        0.5,
        1.0,
        5.0,
        30.0,
        120.0,
        600.0,
        3_600.0,
        21_600.0,
        86_400.0,
        604_800.0,
        2_592_000.0,
    ])
}

#[expect(clippy::cast_precision_loss, reason = "a metric in seconds needs no more than 52 bits of milliseconds")]
fn to_seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("keybaton"),
            due: Gauge::default(),
            oldest_overdue: Gauge::default(),
            last_tick: Gauge::default(),
            ticked_at_ms: AtomicU64::new(0),
            lateness: seconds(),
            started: Family::default(),
            finished: Family::default(),
            last_tick_age: Gauge::default(),
            phases: Timed::new_with_constructor(seconds),
            steps: Timed::new_with_constructor(seconds),
            waits: Timed::new_with_constructor(seconds),
            calls: Family::new_with_constructor(seconds),
            faults: Family::default(),
            calls_in_flight: Gauge::default(),
            loaded: Gauge::default(),
            damaged: Gauge::default(),
            appends: Counter::default(),
            append_seconds: seconds(),
            conflicts: Counter::default(),
            store_failures: Counter::default(),
            held: Family::default(),
            proofs_refused: Family::default(),
            clock_steps: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        let s = || Unit::Seconds;
        r.register("due", "Secrets that are due and have not started", self.due.clone());
        r.register_with_unit(
            "oldest_overdue",
            "For how long the oldest of them has been due",
            s(),
            self.oldest_overdue.clone(),
        );
        r.register_with_unit("last_tick", "When the scheduler last looked, Unix time", s(), self.last_tick.clone());
        r.register_with_unit(
            "last_tick_age",
            "How long ago the scheduler last looked; it sleeps for 30 s at most",
            s(),
            self.last_tick_age.clone(),
        );
        r.register_with_unit("lateness", "From due to started, by cadence", s(), self.lateness.clone());
        r.register("rotations_started", "Rotations started, by kind", self.started.clone());
        r.register("rotations_finished", "Rotations over, by kind and ending", self.finished.clone());
        r.register_with_unit("phase", "Time spent in each phase", s(), self.phases.clone());
        r.register_with_unit("step", "Time spent in each step", s(), self.steps.clone());
        r.register_with_unit("wait", "Time spent waiting, by what for", s(), self.waits.clone());
        r.register_with_unit("call", "Duration of plugin calls", s(), self.calls.clone());
        r.register("faults", "Failed plugin calls, by whose fault", self.faults.clone());
        r.register("calls_in_flight", "Plugin calls under way", self.calls_in_flight.clone());
        r.register("loaded", "Secrets whose state is in memory", self.loaded.clone());
        r.register("damaged", "Secrets whose stored journal or values are damaged", self.damaged.clone());
        r.register("appends", "Journal writes", self.appends.clone());
        r.register_with_unit("append", "Duration of journal writes", s(), self.append_seconds.clone());
        r.register("conflicts", "Journal writes decided again after another's", self.conflicts.clone());
        r.register("store_failures", "Journal writes and reads that failed", self.store_failures.clone());
        r.register("held", "Rotations held, by reason", self.held.clone());
        r.register("proofs_refused", "Proofs of possession refused, by reason", self.proofs_refused.clone());
        r.register("clock_steps", "Times that the wall clock was set, ahead or back", self.clock_steps.clone());
    }

    /// As of now: what grows by itself is brought up to date.
    pub(crate) fn text(&self, now: Millis, overdue: usize, oldest: Option<Millis>) -> String {
        self.overdue(now, overdue, oldest);
        let ticked_ms = self.ticked_at_ms.load(Ordering::Relaxed);
        self.last_tick_age.set(to_seconds(now.since(Millis(ticked_ms))));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(crate) fn ticked(&self, now: Millis, overdue: usize, oldest: Option<Millis>) {
        self.overdue(now, overdue, oldest);
        self.ticked_at_ms.store(now.0, Ordering::Relaxed);
        self.last_tick.set(to_seconds(now.0));
    }

    fn overdue(&self, now: Millis, overdue: usize, oldest: Option<Millis>) {
        self.due.set(i64::try_from(overdue).unwrap_or(i64::MAX));
        self.oldest_overdue.set(oldest.map_or(0.0, |due| to_seconds(now.since(due))));
    }

    pub(crate) fn started_late(&self, ms: u64) {
        self.lateness.observe(to_seconds(ms));
    }

    pub(crate) fn started(&self, kind: &'static str) {
        self.started.get_or_create(&Named { name: kind }).inc();
    }

    pub(crate) fn finished(&self, kind: &'static str, ending: &'static str) {
        self.finished.get_or_create(&EndedAs { kind, ending }).inc();
    }

    pub(crate) fn phase_took(&self, phase: &'static str, ms: u64) {
        self.phases.get_or_create(&Named { name: phase }).observe(to_seconds(ms));
    }

    pub(crate) fn step_took(&self, step: &'static str, ms: u64) {
        self.steps.get_or_create(&Named { name: step }).observe(to_seconds(ms));
    }

    pub(crate) fn waited(&self, for_what: &'static str, ms: u64) {
        self.waits.get_or_create(&Named { name: for_what }).observe(to_seconds(ms));
    }

    pub(crate) fn called(&self, plugin: &str, export: &'static str, ms: u64) {
        self.calls.get_or_create(&CallOf { plugin: plugin.to_owned(), export }).observe(to_seconds(ms));
    }

    pub(crate) fn fault(&self, plugin: &str, fault: &Fault) {
        let labels = FaultOf { plugin: plugin.to_owned(), blame: fault.blame.name(), class: fault.class.name() };
        self.faults.get_or_create(&labels).inc();
    }

    pub(crate) fn held(&self, reason: &'static str) {
        self.held.get_or_create(&Named { name: reason }).inc();
    }

    /// How many steps of the clock there were so far.
    pub(crate) fn clock_steps(&self, (ahead, back): (u64, u64)) {
        for (name, count) in [("ahead", ahead), ("back", back)] {
            self.clock_steps.get_or_create(&Named { name }).inner().store(count, Ordering::Relaxed);
        }
    }

    pub(crate) fn proof_refused(&self, reason: &'static str) {
        self.proofs_refused.get_or_create(&Named { name: reason }).inc();
    }
}
