//! A store that knows very many secrets: some with a whole journal, by issuing them, the rest by their line of the index,
//! which is all that a start reads.

use super::plan::{Planned, name, settings};
use crate::Failure;
use crate::durable::{Instant, PLUGIN};
use crate::world::{self, Disk, SPEC, Wall, author};
use keybaton_engine::declared::Declared;
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::journal::{Append, Journal, Mark};
use keybaton_engine::views::Standing;
use keybaton_engine::{ListQuery, Options};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::step::PlanKind;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Writes under way at the same time.
const IN_FLIGHT: usize = 512;

/// Declarations of secrets, each with a cadence if it is given one.
pub(super) fn declarations(
    secrets: Range<usize>,
    policy: &Arc<Policy>,
    cadence: Option<&dyn Fn() -> Planned>,
) -> Result<Vec<Declared>, Failure> {
    secrets
        .map(|number| {
            let declared = world::declared(name(number).parse()?, PLUGIN, &settings(number), policy)?;
            // As the host has it: one small object for each secret, what it holds is shared.
            Ok(Declared { cadence: cadence.map(|cadence| Arc::new(cadence()) as _), ..declared })
        })
        .collect()
}

/// So many secrets, the first of them issued.
pub(super) async fn store(secrets: usize, issued: usize, policy: &Arc<Policy>) -> Result<Disk, Failure> {
    let disk = Disk::new()?;
    issue(&disk, issued, policy).await?;
    let mut writing = JoinSet::new();
    for number in issued..secrets {
        if writing.len() >= IN_FLIGHT
            && let Some(written) = writing.join_next().await
        {
            written??;
        }
        let store = disk.store.clone();
        writing.spawn(async move { line(&store, number).await });
    }
    while let Some(written) = writing.join_next().await {
        written??;
    }
    Ok(disk)
}

/// The line of a secret that was rotated a moment ago and has nothing to do.
async fn line(journal: &dyn Journal, number: usize) -> Result<(), Failure> {
    let at = Wall.wall();
    let append = Append {
        secret: name(number).parse()?,
        after: None,
        fence: None,
        at,
        events: Vec::new(),
        seals: Vec::new(),
        replies: Vec::new(),
        erase: Vec::new(),
        mark: Some(Mark { open: false, rotated_at: Some(at), spec: Some(SPEC), ..Mark::default() }),
    };
    journal.append(append).await?;
    Ok(())
}

async fn issue(disk: &Disk, issued: usize, policy: &Arc<Policy>) -> Result<(), Failure> {
    let options = Options { calls_per_connection: IN_FLIGHT, calls_at_once: IN_FLIGHT, ..Options::default() };
    let engine = world::engine(Arc::new(disk.store.clone()), &disk.store, Arc::new(Instant), options).await?;
    engine.declare(declarations(0..issued, policy, None)?, author()).await?;
    let mut issuing = JoinSet::new();
    for number in 0..issued {
        if issuing.len() >= IN_FLIGHT
            && let Some(begun) = issuing.join_next().await
        {
            begun??;
        }
        let (engine, name) = (engine.clone(), name(number).parse()?);
        issuing.spawn(async move { engine.begin(&name, PlanKind::Issue, "bench", author()).await });
    }
    while let Some(begun) = issuing.join_next().await {
        begun??;
    }
    let query = ListQuery { limit: issued.max(1), ..ListQuery::default() };
    while engine.list(&query).iter().any(|secret| secret.standing != Standing::Idle) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    engine.shutdown().await;
    Ok(())
}
