//! Metrics tell how rotations go, however long they wait.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keybaton_engine::views::Standing;
use keybaton_protocol::command::Command;
use keybaton_protocol::step::PlanKind;
use std::time::Duration;
use support::bench::{Fleet, author, lone, name};

#[tokio::test(start_paused = true)]
async fn metrics_tell_phases_waits_and_faults_however_long_a_secret_waits() {
    let fleet = Fleet::new(vec![lone("a/broken-0")]).await;
    fleet.run("a/broken-0", PlanKind::Issue, Standing::Idle).await;
    fleet.fail_from_now_on("a/broken-");
    fleet.run("a/broken-0", PlanKind::Rotate, Standing::Held).await;
    // Its actor goes meanwhile.
    tokio::time::sleep(Duration::from_hours(2)).await;
    fleet
        .engine
        .command(&name("a/broken-0"), Command::Abandon { reason: String::new(), author: author() })
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let text = fleet.engine.metrics();
    let value = |line: &str| -> f64 {
        let found = text.lines().find_map(|it| it.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("no `{line}` in\n{text}"))
    };
    assert!(value("keybaton_phase_seconds_sum{name=\"prepare\"}") >= 7_200.0, "{text}");
    assert!(value("keybaton_wait_seconds_sum{name=\"held\"}") >= 7_200.0, "{text}");
    assert!(value("keybaton_step_seconds_sum{name=\"create\"}") >= 7_200.0, "{text}");
    assert!(text.contains("blame=\"target\""), "{text}");
}
