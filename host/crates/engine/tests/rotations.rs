//! Whole rotations on doubles: every overlap model, undisturbed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keybaton_engine::views::Standing;
use keybaton_protocol::policy::Policy;
use keybaton_protocol::step::PlanKind;
use std::sync::Arc;
use support::bench::{Bench, MODELS};

#[tokio::test(start_paused = true)]
async fn every_model_is_issued_rotated_three_times_and_retired() {
    for (model, settings) in MODELS {
        let mut bench = Bench::new(settings).await;
        bench.begin(PlanKind::Issue).await;
        bench.rest().await;
        bench.check(model);
        for round in 1..=3 {
            bench.begin(PlanKind::Rotate).await;
            let status = bench.rest().await;
            bench.check(&format!("{model}, rotation {round}"));
            assert_eq!(status.summary.standing, Standing::Idle, "{model}");
            assert_eq!(bench.replay().current().unwrap().0, 1 + round, "{model}");
        }
        bench.begin(PlanKind::Retire).await;
        bench.rest().await;
        assert_eq!(bench.target.census(), [], "{model}: nothing is left after retire");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_tells_the_plugin_what_keybaton_holds_and_the_operator_what_stands_against_later_rotations() {
    let mut bench = Bench::new(r#"{"overlap":"none"}"#).await;
    let warns = async |bench: &Bench| bench.engine.examine(&bench.declared).await.unwrap().warns;
    assert_eq!(warns(&bench).await, [""; 0], "nothing is held, nothing stands against it");
    let accepted = bench.declared.policy.clone();
    bench.declared.policy = Arc::new(Policy { accept_gap: false, ..(*accepted).clone() });
    let told = warns(&bench).await;
    assert!(told.len() == 1 && told[0].starts_with("it could not be rotated later: "), "{told:?}");
    bench.declared.policy = accepted;
    bench.begin(PlanKind::Issue).await;
    bench.rest().await;
    assert_eq!(warns(&bench).await, ["generation 1 is current"]);
}
