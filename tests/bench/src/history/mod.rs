//! What a long history costs: how long a secret takes to be loaded that has rotated ten times, and one that has rotated
//! every hour for ten years.

mod past;

use crate::durable::{Counted, Instant as Target, PLUGIN, SETTINGS};
use crate::progress::say;
use crate::report::{Beside, Goal, Row};
use crate::stats::{Samples, micros};
use crate::world::{self, Disk, author};
use crate::{Failure, Scale};
use keybaton_engine::{Engine, Options};
use keybaton_protocol::ids::SecretName;
use past::Past;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The least share of the shortest history's speed that a load has behind the longest one: within twice.
const GOAL: f64 = 0.5;

/// Loads that fill caches, and are not counted.
const WARM_UP: usize = 20;
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(1);

/// Runs it.
pub(crate) async fn run(scale: &Scale) -> Result<Vec<Row>, Failure> {
    let disk = Disk::new()?;
    let mut secrets = Vec::new();
    for rotations in scale.rotations {
        say("load", &format!("writing {rotations} rotations"));
        let name: SecretName = format!("bench/after-{rotations}").parse()?;
        let events = Past::new(name.clone()).write(&disk.store, *rotations).await?;
        secrets.push((name, *rotations, events));
    }
    // A secret that nobody asks for is let go at once, and loaded again for the next one who does.
    let options = Options { linger_ms: 0, ..Options::default() };
    let journal = Arc::new(Counted::new(Arc::new(disk.store.clone())));
    let engine = world::engine(Arc::clone(&journal) as _, &disk.store, Arc::new(Target), options).await?;
    let policy = Arc::new(world::policy(false));
    let declared = secrets.iter().map(|(name, ..)| world::declared(name.clone(), PLUGIN, SETTINGS, &policy));
    engine.declare(declared.collect::<Result<_, _>>()?, author()).await?;
    let mut rows: Vec<Row> = Vec::new();
    for (name, rotations, events) in &secrets {
        let took = micros(loads(&engine, &journal, name, scale.singles).await?.p50());
        let row = Row::new(format!("load, {rotations} rotations ({events} events) behind it, p50"), took, "µs");
        rows.push(match rows.first() {
            None => row,
            Some(first) => {
                let beside = Beside::Peer(format!("behind {} rotations", secrets[0].1), first.value);
                row.time_beside(beside).goal(Goal::Ratio(GOAL))
            }
        });
    }
    engine.shutdown().await;
    Ok(rows)
}

/// Asks how a secret stands, which has to be loaded for that each time.
async fn loads(engine: &Engine, journal: &Counted, name: &SecretName, times: usize) -> Result<Samples, Failure> {
    let mut samples = Samples::default();
    for round in 0..times + WARM_UP {
        // Until it is let go.
        tokio::time::sleep(PAUSE).await;
        let (before, began) = (journal.loads(), Instant::now());
        let status = engine.status(name).await?;
        let took = began.elapsed();
        if status.rotation.is_some() {
            return Err(format!("{name} is not at rest").into());
        }
        if round >= WARM_UP && journal.loads() > before {
            samples.push(took);
        }
    }
    if samples.len() * 2 < times {
        return Err(format!("{name} was kept in memory: {} loads of {times}", samples.len()).into());
    }
    Ok(samples)
}
