//! Durable rotations per second: the engine on the real store, all steps, every host call and acknowledgement on record,
//! against a target that answers at once; and beside it what SQLite alone could take.

mod counted;
mod instant;
mod raw;

use crate::fleet::Fleet;
use crate::progress::say;
use crate::report::{Beside, Goal, Row};
use crate::stats::median;
use crate::world::{self, Disk, author};
use crate::{Failure, Scale};
pub(crate) use counted::Counted;
use counted::Counts;
pub(crate) use instant::{Instant, PLUGIN, SETTINGS};
use keybaton_engine::Options;
use keybaton_engine::ports::journal::{Journal, Recorded};
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{SecretName, Seq};
use keybaton_store::record::encode_event;
use raw::Load;
use std::sync::Arc;

/// Rotations under way at the same time.
const IN_FLIGHT: usize = 256;
/// Durable rotations per second that are asked for.
const GOAL: f64 = 2_000.0;

/// Runs it.
pub(crate) async fn run(scale: &Scale) -> Result<Vec<Row>, Failure> {
    say("durable rotations", "256 in flight, a target that answers at once");
    let disk = Disk::new()?;
    let journal = Arc::new(Counted::new(Arc::new(disk.store.clone())));
    let options = Options { calls_per_connection: IN_FLIGHT, calls_at_once: IN_FLIGHT, ..Options::default() };
    let engine = world::engine(Arc::clone(&journal) as _, &disk.store, Arc::new(Instant), options).await?;
    let names: Vec<SecretName> =
        (0..IN_FLIGHT).map(|number| format!("bench/s{number}").parse()).collect::<Result<_, _>>()?;
    let policy = Arc::new(world::policy(true));
    let declared = names.iter().map(|name| world::declared(name.clone(), PLUGIN, SETTINGS, &policy));
    engine.declare(declared.collect::<Result<_, _>>()?, author()).await?;
    let sample = names[0].clone();
    let mut fleet = Fleet::issue(&engine, names).await?;
    let (before, size) = (journal.counts(), disk.bytes()?);
    let rates = fleet
        .rates(scale.warm_up, scale.windows, scale.window, |rate| {
            say("durable rotations", &format!("{rate:.0} per second"));
        })
        .await?;
    let rotations = fleet.check().await?;
    let (after, grown) = (journal.counts(), disk.bytes()? - size);
    let events = last_rotation(&journal.read(&sample, Seq(0)).await?)?;
    drop(fleet);
    engine.shutdown().await;
    let written = Written { bytes: grown as f64 / rotations.max(1) as f64, ..each(before, after, rotations) };
    let load = Load { commit: (written.events / written.appends * IN_FLIGHT as f64) as usize, rotation: events };
    say("durable rotations", &format!("raw SQLite, {} events to a commit", load.commit));
    let folder = tempfile::tempdir()?;
    let (windows, window) = (scale.windows, scale.window);
    let bound = tokio::task::spawn_blocking(move || raw::rates(folder.path(), &load, windows, window)).await??;
    Ok(rows(median(&rates), median(&bound), &written))
}

/// What one rotation writes, on the average.
struct Written {
    appends: f64,
    events: f64,
    attached: f64,
    bytes: f64,
}

fn each(before: Counts, after: Counts, rotations: u64) -> Written {
    let each = |before: u64, after: u64| (after - before) as f64 / rotations.max(1) as f64;
    Written {
        appends: each(before.appends, after.appends),
        events: each(before.events, after.events),
        attached: each(before.attached, after.attached),
        bytes: 0.0,
    }
}

/// The sizes of a journal's last whole rotation's events, as they are stored.
fn last_rotation(journal: &[Recorded]) -> Result<Vec<usize>, Failure> {
    let started = |recorded: &Recorded| matches!(recorded.event, Event::Started { .. });
    let first = journal.iter().rposition(started).ok_or("the sampled journal holds no rotation")?;
    Ok(journal[first..].iter().map(|recorded| encode_event(&recorded.event).len()).collect())
}

fn rows(rate: f64, bound: f64, written: &Written) -> Vec<Row> {
    let beside = Beside::Bound("the same events straight into SQLite".to_owned(), bound);
    let row = |name: &str, value| Row::new(name, value, "per rotation");
    vec![
        Row::new("durable rotations, 256 in flight", rate, "/s").rate_beside(beside).goal(Goal::AtLeast(GOAL)),
        row("  journal writes", written.appends),
        row("  events in them", written.events),
        row("  replies, sealed values and erasures in them", written.attached),
        Row::new("  bytes that the store grows by", written.bytes, "B per rotation"),
    ]
}
