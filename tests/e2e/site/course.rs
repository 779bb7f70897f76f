//! What becomes of a rotation where nothing goes wrong: it goes through, or it is given back or put back, by whom and when.

use keybaton_engine::harness::{Consumers, Temper};
use keybaton_engine::views::StatusView;
use keybaton_engine::{Engine, EngineError};
use keybaton_protocol::command::Command;
use keybaton_protocol::ids::{Generation, SecretName};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::step::Step;

/// How long it stays at a step that an operator is to revert at, in milliseconds: many of his looks.
const DWELLS_MS: u64 = 600;

/// What becomes of each rotation, where nothing goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// Everybody does what is asked.
    Through,
    /// The consumer cannot use what is staged: it is given back.
    Refused,
    /// An operator who sees it at this step, or later, puts the previous one back.
    Reverted(Step),
}

impl Course {
    /// Every course that these tests take.
    pub(crate) const ALL: [Self; 5] = [
        Self::Through,
        Self::Refused,
        Self::Reverted(Step::Adopt),
        Self::Reverted(Step::Drain),
        Self::Reverted(Step::Disable),
    ];

    /// How a rotation ends that goes this way.
    pub(crate) const fn ending(self) -> &'static str {
        match self {
            Self::Through => "completed",
            Self::Refused => "rolled-back",
            Self::Reverted(_) => "reverted",
        }
    }

    /// Leaves time at the step where the operator looks.
    pub(crate) fn policy(self, policy: Policy) -> Policy {
        match self {
            Self::Reverted(Step::Drain) => Policy { overlap_min_ms: DWELLS_MS, ..policy },
            Self::Reverted(Step::Disable) => Policy { soak_ms: DWELLS_MS, ..policy },
            _ => policy,
        }
    }

    pub(crate) fn text(self) -> String {
        match self {
            Self::Through => "through".to_owned(),
            Self::Refused => "refused".to_owned(),
            Self::Reverted(step) => format!("reverted {step}"),
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|course| course.text() == text)
    }

    /// What the operator does on seeing this, and how the one consumer behaves from here on.
    pub(crate) async fn act(self, engine: &Engine, secret: &SecretName, status: &StatusView, consumer: &mut Consumers) {
        match self {
            Self::Through => consumer.temper(0, Temper::Willing),
            Self::Refused => consumer.temper(0, Temper::Unable),
            Self::Reverted(at) => put_back(at, engine, secret, status, consumer).await,
        }
    }
}

/// Reverts at this step, or as soon after it as the operator comes to look.
async fn put_back(at: Step, engine: &Engine, secret: &SecretName, status: &StatusView, consumer: &mut Consumers) {
    let Some(rotation) = &status.rotation else { return };
    if at == Step::Adopt {
        // Nobody switches before the operator has looked.
        consumer.temper(0, Temper::Clings(Generation(rotation.generation)));
    }
    let step = rotation.step.as_deref().and_then(Step::from_name);
    // Put back already: what there is to see then is the way to the end of the other one.
    let back = status.generations.iter().any(|it| it.role == "current" && it.generation < rotation.generation);
    if rotation.phase != "commit" || back || step.is_none_or(|step| step < at) {
        return;
    }
    let revert = Command::Revert { reason: "the test puts it back".to_owned(), author: "ada".parse().unwrap() };
    match engine.command(secret, revert).await {
        // Meanwhile it was over, or the first `destroy` was intended: then it goes through.
        Ok(_) | Err(EngineError::Refused { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}
