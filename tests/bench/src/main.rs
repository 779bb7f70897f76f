//! The benchmarks: keybaton beside its bounds and its peers, all measured in one run. Prints a table, and writes the same
//! to `bench.json` in cargo's target folder. A missed goal is printed as missed; nothing is asserted about time.
//!
//! `keybaton-bench [--quick] [NAME…]`, where NAME is one of `call`, `durable`, `history`, `postgres`, `scheduler`; all by default.
//! `--quick` is for trying it out: its numbers mean nothing.

mod call;
mod component;
mod durable;
mod fleet;
mod heap;
mod history;
mod postgres;
mod progress;
mod report;
mod scheduler;
mod stats;
mod world;

use report::Row;
use std::process::ExitCode;
use std::time::Duration;

/// Whatever keeps a benchmark from running. None of them is handled; all are shown.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Before anything is counted.
    pub(crate) warm_up: Duration,
    /// How often a rate is taken; the median counts.
    pub(crate) windows: usize,
    /// For how long each time.
    pub(crate) window: Duration,
    /// Single operations that are timed one by one.
    pub(crate) singles: usize,
    /// Rotations that a secret has behind it.
    pub(crate) rotations: &'static [usize],
    /// Declared secrets.
    pub(crate) secrets: &'static [usize],
    /// Secrets that fall due in one second.
    pub(crate) due: usize,
}

const FULL: Scale = Scale {
    warm_up: Duration::from_secs(2),
    windows: 5,
    window: Duration::from_secs(2),
    singles: 2_000,
    // Ten years of one an hour are the last.
    rotations: &[10, 1_000, 87_600],
    secrets: &[1_000, 100_000, 1_000_000],
    due: 10_000,
};

const QUICK: Scale = Scale {
    warm_up: Duration::from_millis(200),
    windows: 2,
    window: Duration::from_millis(300),
    singles: 20,
    rotations: &[10, 100],
    secrets: &[1_000, 2_000],
    due: 500,
};

const ALL: [&str; 5] = ["call", "durable", "history", "postgres", "scheduler"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("keybaton-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(arguments: &[String]) -> Result<(), Failure> {
    let scale = if arguments.iter().any(|argument| argument == "--quick") { QUICK } else { FULL };
    let mut named: Vec<&str> = arguments.iter().map(String::as_str).filter(|name| *name != "--quick").collect();
    if let Some(unknown) = named.iter().find(|name| !ALL.contains(name)) {
        return Err(format!("there is no benchmark `{unknown}`; there are {}", ALL.join(", ")).into());
    }
    if named.is_empty() {
        named = ALL.to_vec();
    }
    let mut rows = Vec::new();
    for name in named {
        rows.extend(bench(name, &scale).await?);
    }
    // The table first: what was measured is shown even where it cannot be kept.
    println!("{}", report::table(&rows));
    let path = world::target().join("bench.json");
    std::fs::create_dir_all(world::target())?;
    std::fs::write(&path, format!("{:#}\n", report::json(&rows)))
        .map_err(|error| format!("the table could not be kept in {}: {error}", path.display()))?;
    println!("\nthe same in {}", path.display());
    Ok(())
}

async fn bench(name: &str, scale: &Scale) -> Result<Vec<Row>, Failure> {
    match name {
        "call" => call::run(scale).await,
        "durable" => durable::run(scale).await,
        "history" => history::run(scale).await,
        "postgres" => postgres::run(scale).await,
        "scheduler" => scheduler::run(scale).await,
        other => Err(format!("`{other}` is not to be run").into()),
    }
}
