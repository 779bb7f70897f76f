//! Every kind of plan under every overlap model: each call failing in each class, each step run twice, calls whose
//! answer is lost, and the host ending at each journal write and around each host call. After each run the target's
//! census equals the journal's, the current credential works, and no consumer was cut off.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keybaton_engine::harness::{Crash, Fault, Moment, Plan};
use keybaton_protocol::fault::FailureClass;
use keybaton_protocol::step::{CallKind, PlanKind};
use std::time::Duration;
use support::bench::{Bench, MODELS};

const FAULTS: &[Fault] = &[
    Fault::Fails(FailureClass::Retryable),
    Fault::Fails(FailureClass::Permanent),
    Fault::Fails(FailureClass::Denied),
    Fault::Fails(FailureClass::Unsupported),
    Fault::Lost,
    Fault::LostBefore,
    Fault::Twice,
    Fault::Trap,
    Fault::TrapAfter,
];

const MOMENTS: &[Moment] = &[Moment::BeforeAppend, Moment::AfterAppend, Moment::BeforeHostCall, Moment::AfterHostCall];

/// How consumers hear of what concerns them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    /// They look from time to time.
    Now,
    /// They wait for news.
    Waiting,
}

/// What a run went through.
struct Course {
    calls: Vec<CallKind>,
    moments: Vec<(Moment, u64)>,
}

/// Runs one plan of one model with something going wrong, and compares at the end.
async fn run(model: &str, settings: &str, (kind, looks): (PlanKind, Looks), plan: Plan) -> Course {
    let what = format!("{model}, {kind}, {looks:?}, {plan:?}");
    let mut bench = Bench::new(settings).await;
    bench.what(&what);
    if looks == Looks::Waiting {
        bench.consumers.wait(Duration::from_millis(500));
    }
    if !matches!(kind, PlanKind::Issue | PlanKind::Adopt) {
        bench.begin(PlanKind::Issue).await;
        bench.rest().await;
    }
    bench.reincarnate(plan).await;
    let trace = std::sync::Arc::clone(&bench.trace);
    bench.begin(kind).await;
    bench.rest().await;
    bench.check(&what);
    let moments = MOMENTS.iter().map(|moment| (*moment, trace.count(*moment))).collect();
    // And the secret can be rotated again as if nothing had been.
    if kind != PlanKind::Retire && bench.replay().current().is_some() {
        bench.begin(PlanKind::Rotate).await;
        bench.rest().await;
        bench.check(&format!("{what}, and a rotation after it"));
    }
    Course { calls: trace.calls(), moments }
}

async fn every_fault(course: (PlanKind, Looks)) {
    for (model, settings) in MODELS {
        let calm = run(model, settings, course, Plan::default()).await;
        let mut seen = Vec::new();
        for call in calm.calls {
            let nth = seen.iter().filter(|before| **before == call).count() as u64;
            seen.push(call);
            for fault in FAULTS {
                run(model, settings, course, Plan { crash: None, fault: Some((call, nth, *fault)) }).await;
            }
        }
    }
}

async fn every_crash(course: (PlanKind, Looks)) {
    for (model, settings) in MODELS {
        let calm = run(model, settings, course, Plan::default()).await;
        for (moment, count) in calm.moments {
            for nth in 0..count {
                run(model, settings, course, Plan { crash: Some(Crash { moment, nth }), fault: None }).await;
            }
        }
    }
}

macro_rules! tables {
    ($($kind:ident: $faults:ident, $crashes:ident;)+) => {$(
        #[tokio::test(start_paused = true)]
        async fn $faults() {
            every_fault((PlanKind::$kind, Looks::Now)).await;
        }

        #[tokio::test(start_paused = true)]
        async fn $crashes() {
            every_crash((PlanKind::$kind, Looks::Now)).await;
        }
    )+};
}

tables! {
    Issue: an_issue_survives_every_fault, an_issue_survives_every_crash;
    Adopt: an_import_survives_every_fault, an_import_survives_every_crash;
    Rotate: a_rotation_survives_every_fault, a_rotation_survives_every_crash;
    Retire: a_retirement_survives_every_fault, a_retirement_survives_every_crash;
}

#[tokio::test(start_paused = true)]
async fn a_rotation_survives_every_fault_while_its_consumers_wait() {
    every_fault((PlanKind::Rotate, Looks::Waiting)).await;
}

#[tokio::test(start_paused = true)]
async fn a_rotation_survives_every_crash_while_its_consumers_wait() {
    every_crash((PlanKind::Rotate, Looks::Waiting)).await;
}
