//! Whole rotations on doubles: every overlap model, undisturbed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keybaton_engine::views::Standing;
use keybaton_protocol::step::PlanKind;
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
