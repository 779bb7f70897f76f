//! One plugin call: sandboxed (fresh store and instance, settings parsed, one host call, drop) and, in the same rounds,
//! by a native process that does the same.
//!
//! The sandboxed plugin is the real `postgres-password`: with `existing: take-over` its `create` asks for a password
//! and nothing else, so that no server takes part.

mod native;
mod sandboxed;

use crate::component::Component;
use crate::progress::say;
use crate::report::{Beside, Goal, Row};
use crate::stats::{Samples, micros};
use crate::{Failure, Scale};
use serde_json::json;

/// How many times cheaper the sandbox is to be than a process.
const GOAL: f64 = 12.0;
/// Rounds in which all of them take their turns, so that a slow moment of the machine meets each of them.
const ROUNDS: usize = 8;

/// Runs it.
pub(crate) async fn run(scale: &Scale) -> Result<Vec<Row>, Failure> {
    say("plugin call", "sandboxed, and as a native process");
    let plugin = native::built()?;
    let component = Component::approve("postgres-password", Vec::new())?;
    let settings = json!({ "connection": "main", "role": "app", "existing": "take-over" });
    let each = (scale.singles / ROUNDS).max(1);
    sandboxed::calls(&component.runtime, component.digest, &settings, each).await?;
    native::kept(&plugin, &settings, each)?;
    let [mut ours, mut spawned, mut kept] = [(); 3].map(|()| Samples::default());
    for _ in 0..ROUNDS {
        ours.extend(sandboxed::calls(&component.runtime, component.digest, &settings, each).await?);
        spawned.extend(native::spawned(&plugin, &settings, each)?);
        kept.extend(native::kept(&plugin, &settings, each)?);
    }
    let peer = |name: &str, took| Beside::Peer(name.to_owned(), micros(took));
    Ok(vec![
        Row::new("sandboxed plugin call, p50", micros(ours.p50()), "µs")
            .time_beside(peer("a native process for each call", spawned.p50()))
            .goal(Goal::Ratio(GOAL)),
        Row::new("sandboxed plugin call, p99", micros(ours.p99()), "µs")
            .time_beside(peer("a native process for each call", spawned.p99())),
        Row::new("sandboxed plugin call, p50, again", micros(ours.p50()), "µs")
            .time_beside(peer("a native process kept for all calls, no isolation between them", kept.p50())),
    ])
}
