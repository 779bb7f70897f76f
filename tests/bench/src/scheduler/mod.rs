//! The scheduler with ever more declared secrets: how long a start takes, what a secret costs in memory, what a tick
//! costs, and how late rotations begin when very many fall due at once.

mod cpu;
mod plan;
mod prepare;

use crate::durable::Instant;
use crate::progress::say;
use crate::report::{Goal, Row};
use crate::stats::{Samples, millis};
use crate::world::{self, Wall, author};
use crate::{Failure, Scale, heap};
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::freezes::Scope;
use keybaton_engine::{Engine, Options};
use keybaton_protocol::policy::Policy;
use keybaton_schedule::spec::{Cadence, Rhythm};
use plan::{Beat, Plan, Planned, Watched};
use std::ops::Range;
use std::sync::Arc;
use std::time::{self, Duration};

/// Bytes of one declared secret that are aimed at.
const GOAL_BYTES: f64 = 1_024.0;
const MONTH_MS: u64 = 30 * 24 * 3_600_000;
/// Ticks whose cost is measured, each with one secret due, and the time between two of them.
const TICKS: usize = 500;
const TICK_EVERY_MS: u64 = 2;
/// How long everything that is due may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between a declaration and its first due secret, beyond the time that the declaration takes.
const AHEAD_MS: u64 = 500;
/// Times as long as declaring took the first time, when nothing was there to be compared with.
const DECLARING: u64 = 4;

/// Runs it.
pub(crate) async fn run(scale: &Scale) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for secrets in scale.secrets {
        rows.extend(sized(*secrets, scale.due).await?);
    }
    Ok(rows)
}

/// Everything about one number of secrets.
async fn sized(secrets: usize, due: usize) -> Result<Vec<Row>, Failure> {
    let (label, due) = (format!("scheduler, {} secrets", grouped(secrets)), due.min(secrets / 4));
    say(&label, "preparing its store");
    let policy = Arc::new(world::policy(false));
    let disk = prepare::store(secrets, due, &policy).await?;
    let fixed = fixed_bytes().await?;
    say(&label, "starting");
    let bench = Bench::start(&disk, secrets, &policy).await?;
    let (took, bytes) = (bench.took, (bench.bytes - fixed) as f64 / secrets as f64);
    let alone = bench.late(due..2 * due, true).await?;
    say(&label, &format!("{} due in one second", grouped(due)));
    let rotating = bench.late(0..due, false).await?;
    let tick = bench.tick(2 * due..2 * due + TICKS.min(secrets / 4)).await?;
    bench.engine.shutdown().await;
    let row = |what: &str, value, unit| Row::new(format!("{label}: {what}"), value, unit);
    let lateness = |what: &str, late: &Samples| {
        row(&format!("lateness p99, {} due in one second, {what}", grouped(due)), millis(late.p99()), "ms")
    };
    Ok(vec![
        row("start", millis(took), "ms"),
        row("memory of one", bytes, "B").goal(Goal::Below(GOAL_BYTES)),
        row("CPU of a tick with one due", tick.as_secs_f64() * 1e6, "µs"),
        lateness("until the scheduler starts each", &alone),
        lateness("while all of them rotate durably", &rotating),
    ])
}

/// What an engine without any secret allocates.
async fn fixed_bytes() -> Result<i64, Failure> {
    let disk = world::Disk::new()?;
    heap::begin();
    let engine =
        world::engine(Arc::new(disk.store.clone()), &disk.store, Arc::new(Instant), Options::default()).await?;
    let fixed = heap::end();
    engine.shutdown().await;
    Ok(fixed)
}

struct Bench {
    engine: Engine,
    secrets: usize,
    policy: Arc<Policy>,
    usual: Arc<Cadence>,
    plan: Arc<Plan>,
    /// What the start took, and allocated.
    took: Duration,
    bytes: i64,
    /// What declaring all of them took, the making of the declarations included.
    declaring: Duration,
}

impl Bench {
    /// A start: the index is read, and everything declared.
    async fn start(disk: &world::Disk, secrets: usize, policy: &Arc<Policy>) -> Result<Self, Failure> {
        let plan = Arc::new(Plan::default());
        let usual = Arc::new(Cadence {
            rhythm: Rhythm::Every(MONTH_MS),
            before_expiry_ms: None,
            windows: Vec::new(),
            jitter_ms: MONTH_MS / 30,
            pause: false,
        });
        let options = Options { calls_per_connection: 256, ..Options::default() };
        let rotator = Arc::new(Watched(Arc::clone(&plan)));
        heap::begin();
        let began = time::Instant::now();
        let engine = world::engine(Arc::new(disk.store.clone()), &disk.store, rotator, options).await?;
        let reading = began.elapsed();
        let (policy, took, declaring) = (Arc::clone(policy), reading, Duration::ZERO);
        let mut bench = Self { engine, secrets, policy, usual, plan, took, bytes: 0, declaring };
        let making = time::Instant::now();
        bench.took += bench.declare().await?;
        bench.declaring = making.elapsed();
        bench.bytes = heap::end();
        Ok(bench)
    }

    /// Declares all of them; answers how long that took, the making of the declarations left out.
    async fn declare(&self) -> Result<Duration, Failure> {
        let planned = || Planned { usual: Arc::clone(&self.usual), plan: Arc::clone(&self.plan) };
        let all = prepare::declarations(0..self.secrets, &self.policy, Some(&planned))?;
        let began = time::Instant::now();
        self.engine.declare(all, author()).await?;
        Ok(began.elapsed())
    }

    /// Lets these fall due one after the other, once all are declared again.
    async fn beat(&self, secrets: Range<usize>, over_ms: u64, refused: bool) -> Result<(), Failure> {
        let ahead_ms = u64::try_from(self.declaring.as_millis())?.saturating_mul(DECLARING) + AHEAD_MS;
        let from = Wall.wall().plus(ahead_ms);
        self.plan.set(Beat { secrets, from, over_ms, refused });
        self.declare().await?;
        let left_ms = from.since(Wall.wall());
        if left_ms == 0 {
            return Err("declaring took longer than foreseen: secrets were due before they were declared".into());
        }
        tokio::time::sleep(Duration::from_millis(left_ms)).await;
        Ok(())
    }

    /// How late each of these begins when all fall due within a second.
    async fn late(&self, secrets: Range<usize>, refused: bool) -> Result<Samples, Failure> {
        let due = secrets.len();
        self.beat(secrets, 1_000, refused).await?;
        let began = time::Instant::now();
        let done = || self.plan.began().len() >= due && (refused || self.plan.ended() >= due);
        while !done() {
            if began.elapsed() > PATIENCE {
                let (begun, ended) = (self.plan.began().len(), self.plan.ended());
                return Err(format!("of {due} due rotations, {begun} began and {ended} ended").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(self.plan.began())
    }

    /// CPU time of a tick in which one secret falls due. Everything is frozen, so that nothing starts.
    async fn tick(&self, secrets: Range<usize>) -> Result<Duration, Failure> {
        let ticks = secrets.len();
        self.engine.freeze(Scope::Host, author()).await?;
        let over_ms = ticks as u64 * TICK_EVERY_MS;
        self.beat(secrets, over_ms, true).await?;
        let before = cpu::used()?;
        tokio::time::sleep(Duration::from_millis(over_ms)).await;
        Ok((cpu::used()? - before) / u32::try_from(ticks)?)
    }
}

fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}
