//! What is refused at plan time: what the target can't do, and what a policy must not ask of it. Each problem names
//! the better strategy; all of them are told at once. Never softens a plan by itself.

use crate::evidence::EvidenceKind;
use crate::gate::{tries, uses};
use crate::policy::{ConsumerPolicy, Members, Policy, Quorum, WaveSize};
use crate::profile::{Minter, Overlap, Profile};
use crate::step::PlanKind;
use std::collections::BTreeSet;

/// Why a plan cannot be carried out, and what could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanProblem {
    /// Stable word for programs.
    pub code: &'static str,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub instead: String,
}

impl PlanProblem {
    fn new(code: &'static str, what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { code, what: what.into(), instead: instead.into() }
    }
}

type Check = fn(&Profile, &Policy) -> Vec<PlanProblem>;

/// Whatever the plan is for.
const ALWAYS: &[Check] = &[overlap, limits, members];
/// Where an old credential gives way to a new one.
const MOVING: &[Check] = &[gap, readiness, adoption, quiet, rarely_used, waves];

/// Everything that stands against this plan; empty where it can be run.
#[must_use]
pub fn refuse(kind: PlanKind, profile: &Profile, policy: &Policy) -> Vec<PlanProblem> {
    let moving: &[Check] = if kind == PlanKind::Rotate { MOVING } else { &[] };
    ALWAYS.iter().chain(moving).flat_map(|check| check(profile, policy)).collect()
}

fn overlap(profile: &Profile, _: &Policy) -> Vec<PlanProblem> {
    let one = |code, what: &str, instead: &str| vec![PlanProblem::new(code, what, instead)];
    match &profile.overlap {
        Overlap::Native(0 | 1) => one(
            "native-limit",
            "a target that keeps one credential live at a time has no overlap of its own",
            "declare overlap `none`, or two slots taken in turn (`alternate`)",
        ),
        Overlap::Alternate(slots) if slots.iter().collect::<BTreeSet<_>>().len() < 2 => one(
            "slots",
            "slots taken in turn need at least two different ones",
            "name a second slot (a second role, the other key), or declare overlap `none`",
        ),
        Overlap::None if profile.minter == Minter::Target => one(
            "minted-into-the-only-slot",
            "a target that mints into its only slot ends the old credential before anyone can hold the new one",
            "use a second slot (`alternate`), or a target that is told the value",
        ),
        _ => Vec::new(),
    }
}

fn limits(_: &Profile, policy: &Policy) -> Vec<PlanProblem> {
    let mut problems = Vec::new();
    if policy.attempts.cap == 0 {
        problems.push(PlanProblem::new("attempts", "no attempt is allowed", "allow at least 1"));
    }
    if policy.call_timeout_ms == 0 {
        problems.push(PlanProblem::new("call-timeout", "a plugin call is given no time", "give it some seconds"));
    }
    if policy.staged_lease_ms == 0 && !policy.consumers.is_empty() {
        problems.push(PlanProblem::new(
            "staged-lease",
            "without a staged lease, pending would be destroyed under consumers that hold it",
            "give them a lease of some minutes",
        ));
    }
    if let Quorum::Percent(0 | 101..) = policy.stragglers.quorum {
        problems.push(PlanProblem::new(
            "quorum",
            "a quorum is 1 to 100 percent",
            "use `all`, or a share in that range",
        ));
    }
    problems
}

fn members(_: &Profile, policy: &Policy) -> Vec<PlanProblem> {
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    for consumer in &policy.consumers {
        let name = &consumer.name;
        if !names.insert(name) {
            let what = format!("consumer {name} is declared twice");
            problems.push(PlanProblem::new("duplicate-consumer", what, "declare it once"));
        }
        if let Members::Listed(listed) = &consumer.members {
            let unique: BTreeSet<_> = listed.iter().collect();
            if unique.len() < listed.len() {
                let what = format!("consumer {name} lists a replica twice");
                problems.push(PlanProblem::new("duplicate-replica", what, "list each replica once"));
            }
        }
    }
    problems
}

fn gap(profile: &Profile, policy: &Policy) -> Vec<PlanProblem> {
    if profile.overlap != Overlap::None || policy.accept_gap {
        return Vec::new();
    }
    vec![PlanProblem::new(
        "gap",
        "the target keeps one credential: between the install and its answer only one of two values works",
        "use a second slot taken in turn (`alternate`), or write `accept_gap: true`",
    )]
}

fn required(policy: &Policy) -> impl Iterator<Item = &ConsumerPolicy> {
    policy.consumers.iter().filter(|consumer| consumer.required)
}

fn readiness(profile: &Profile, policy: &Policy) -> Vec<PlanProblem> {
    let weak = |consumer: &ConsumerPolicy| match consumer.ready {
        EvidenceKind::Store => Some("delivered is not tried: `store` evidence never makes a consumer ready"),
        EvidenceKind::Target if profile.usage.is_none() => Some("the target tells nothing of use"),
        _ => None,
    };
    let problem = |consumer: &ConsumerPolicy| {
        let what = format!("consumer {} cannot become ready: {}", consumer.name, weak(consumer)?);
        Some(PlanProblem::new("ready-evidence", what, "ask for `holder` or `process`, or make it optional"))
    };
    required(policy).filter(|consumer| tries(consumer)).filter_map(problem).collect()
}

/// An agent that holds a credential says nothing about the workload beside it; and where the target tells nothing of
/// use, only the workload itself can.
fn adoption(profile: &Profile, policy: &Policy) -> Vec<PlanProblem> {
    let weak = |consumer: &ConsumerPolicy| match consumer.adopted {
        EvidenceKind::Store | EvidenceKind::Holder => Some("delivered or held is not used"),
        EvidenceKind::Target if profile.usage.is_none() => Some("the target tells nothing of use"),
        _ => None,
    };
    let problem = |consumer: &ConsumerPolicy| {
        let what = format!("adoption by consumer {} cannot be shown: {}", consumer.name, weak(consumer)?);
        let instead = "have the workload itself say so, or probe it (`process`), or name a person (`attested`)";
        Some(PlanProblem::new("adopted-evidence", what, instead))
    };
    required(policy).filter(|consumer| uses(consumer)).filter_map(problem).collect()
}

fn quiet(profile: &Profile, policy: &Policy) -> Vec<PlanProblem> {
    let Some(signal) = profile.usage else {
        if policy.quiet_ms == 0 {
            return Vec::new();
        }
        let what = "the target tells nothing of use, so that no quiet time can be seen";
        return vec![PlanProblem::new("quiet-unseen", what, "set it to 0 and rely on `process` evidence")];
    };
    let least_ms = signal.least_ms();
    if policy.quiet_ms >= least_ms {
        return Vec::new();
    }
    let what = format!(
        "a quiet time of {} ms is shorter than the target takes to show a use ({least_ms} ms)",
        policy.quiet_ms
    );
    vec![PlanProblem::new("quiet-too-short", what, format!("wait for at least {least_ms} ms"))]
}

fn rarely_used(profile: &Profile, policy: &Policy) -> Vec<PlanProblem> {
    if profile.usage.is_none() {
        return Vec::new();
    }
    let rare = |consumer: &&ConsumerPolicy| consumer.uses_every_ms.is_some_and(|every_ms| policy.quiet_ms < every_ms);
    let problem = |consumer: &ConsumerPolicy| {
        let every_ms = consumer.uses_every_ms.unwrap_or_default();
        let what = format!(
            "consumer {} uses the secret only every {every_ms} ms: {} ms of quiet say nothing about it",
            consumer.name, policy.quiet_ms
        );
        PlanProblem::new("quiet-below-use", what, format!("wait for at least {every_ms} ms"))
    };
    policy.consumers.iter().filter(rare).map(problem).collect()
}

fn waves(profile: &Profile, policy: &Policy) -> Vec<PlanProblem> {
    let mut problems = Vec::new();
    let empty = |size: &WaveSize| matches!(size, WaveSize::Count(0) | WaveSize::Percent(0 | 101..));
    if policy.waves.sizes.iter().any(empty) {
        problems.push(PlanProblem::new("wave-size", "a wave is at least one replica", "use counts, shares or `rest`"));
    }
    if profile.overlap == Overlap::None && policy.waves.sizes.len() > 1 {
        problems.push(PlanProblem::new(
            "waves-without-overlap",
            "where the target keeps one credential, all consumers switch at once",
            "use a second slot taken in turn (`alternate`), or drop the waves",
        ));
    }
    problems
}
