//! From the state of a secret to what people are shown of it. Reads; decides nothing; has no access to values.

use super::history::at;
use super::{
    ConsumerView, ForeignView, GenerationView, HeldView, ReplicaView, RetirementView, RotationView, StatusView, Summary,
};
use keybaton_protocol::action::Waiting;
use keybaton_protocol::generation::{Credential, Role};
use keybaton_protocol::ids::{Generation, Millis, TargetId};
use keybaton_protocol::membership::{ReplicaState, Statement};
use keybaton_protocol::policy::ConsumerPolicy;
use keybaton_protocol::rotation::Rotation;
use keybaton_protocol::state::Secret;
use keybaton_protocol::view::{RetirementStatus, Status};

/// What is shown of a secret, beside the line of the list.
pub(crate) fn status(secret: &Secret, now: Millis, summary: Summary, blocked: Option<String>) -> StatusView {
    let shown = keybaton_protocol::status(secret, now);
    StatusView {
        summary,
        seq: secret.seq().0,
        generations: secret.generations().values().rev().map(|it| generation(secret, it)).collect(),
        rotation: secret.rotation().map(|it| rotation(secret, it, &shown)),
        held: secret.hold().map(|hold| HeldView {
            reason: hold.reason.name().to_owned(),
            detail: hold.detail.clone(),
            since: hold.since.0,
        }),
        retirements: shown.retirements.iter().map(retirement).collect(),
        foreign: secret
            .foreign()
            .iter()
            .map(|(place, id)| ForeignView { place: place.to_string(), id: id.to_string() })
            .collect(),
        blocked,
    }
}

fn retirement(it: &RetirementStatus) -> RetirementView {
    RetirementView {
        generation: it.generation.0,
        place: it.place.to_string(),
        cause: it.cause.name().to_owned(),
        id: it.orphan.as_ref().map(TargetId::to_string),
        missing: it.missing.iter().map(|(name, replica)| format!("{name}/{replica}")).collect(),
        until: it.until.map(|at| at.0),
    }
}

fn generation(secret: &Secret, it: &Credential) -> GenerationView {
    let minted = it.minted.as_ref();
    let here = it.places.values().find_map(|standing| standing.id.as_ref());
    GenerationView {
        generation: it.number.0,
        role: secret.role(it.number).map_or("retiring", Role::name).to_owned(),
        id: here.or_else(|| minted.and_then(|minted| minted.id.as_ref())).map(TargetId::to_string),
        slot: it.slot.as_ref().map(ToString::to_string),
        attributes: minted.map_or_else(Vec::new, |minted| minted.attributes.clone()),
        compromised: it.compromised.is_some(),
    }
}

fn rotation(secret: &Secret, it: &Rotation, shown: &Status) -> RotationView {
    let missing: &[_] = match &shown.waiting {
        Some(Waiting::Consumers { missing, .. }) => missing,
        _ => &[],
    };
    RotationView {
        id: it.id.to_string(),
        kind: it.kind.name().to_owned(),
        phase: it.phase.name().to_owned(),
        step: shown.rotation.as_ref().and_then(|it| it.step).map(|step| step.name().to_owned()),
        generation: it.made.0,
        started_at: it.started_at.0,
        cause: it.cause.clone(),
        author: it.author.to_string(),
        waiting: shown.waiting.as_ref().map(words),
        until: shown.until.map(|at| at.0),
        consumers: secret
            .consumers()
            .values()
            .map(|consumer| ConsumerView {
                missing: missing
                    .iter()
                    .filter(|(name, _)| *name == consumer.name)
                    .map(|(_, replica)| replica.to_string())
                    .collect(),
                ..consumer_view(secret, consumer, shown.at)
            })
            .collect(),
    }
}

fn consumer_view(secret: &Secret, consumer: &ConsumerPolicy, now: Millis) -> ConsumerView {
    ConsumerView {
        name: consumer.name.to_string(),
        role: consumer.role.name().to_owned(),
        required: consumer.required,
        replicas: secret
            .replicas()
            .iter()
            .filter(|((name, _), _)| *name == consumer.name)
            .map(|((_, replica), state)| ReplicaView {
                unknown: secret.is_unknown(consumer, state, now),
                twice: secret.speaks_twice(consumer, state, now),
                ..replica_view(replica.to_string(), state)
            })
            .collect(),
        missing: Vec::new(),
    }
}

fn replica_view(replica: String, state: &ReplicaState) -> ReplicaView {
    let newest = statements(state).max_by_key(|(_, _, statement)| statement.at);
    ReplicaView {
        replica,
        generation: newest.map(|(generation, _, _)| generation.0),
        purpose: newest.map(|(_, purpose, _)| purpose.to_owned()),
        evidence: newest.map(|(_, _, statement)| statement.kind.name().to_owned()),
        at: newest.map(|(_, _, statement)| statement.at.0),
        unknown: false,
        twice: false,
    }
}

pub(super) fn statements<'s>(
    state: &'s ReplicaState,
) -> impl Iterator<Item = (Generation, &'static str, &'s Statement)> {
    let said = |purpose: &'static str| {
        move |(generation, statement): (&Generation, &'s Statement)| (*generation, purpose, statement)
    };
    state
        .ready
        .iter()
        .map(said("ready"))
        .chain(state.failed.iter().map(said("failed")))
        .chain(state.released.iter().map(said("released")))
        .chain(state.dropped.iter().map(said("dropped")))
        .chain(state.adopted.iter().map(|(generation, statement)| (*generation, "adopted", statement)))
}

/// What is waited for, in words.
fn words(waiting: &Waiting) -> String {
    match waiting {
        Waiting::Call(_) => "for the plugin".to_owned(),
        Waiting::BackOff(step) => format!("before another attempt at {step}"),
        Waiting::Doubt(_) => {
            "until a call that was not answered can take no more effect; then the target is asked".to_owned()
        }
        Waiting::Consumers { step, missing } => {
            let who: Vec<_> = missing.iter().map(|(name, replica)| format!("{name}/{replica}")).collect();
            format!("for {step}: {}", who.join(", "))
        }
        Waiting::Timer(step) => format!("for {step}: a time has to pass"),
        Waiting::Retirement(generation, place) => format!("until {generation} has ended{}", at(place)),
        Waiting::Blocked(step, what) => format!("for {step}: {what}"),
        Waiting::Stuck(export, generation, place) => {
            format!(
                "for a person: {export} of {generation}{} failed too often; release it when the cause is gone",
                at(place)
            )
        }
        Waiting::Held(reason) => format!("for a person: held ({reason})"),
        Waiting::Frozen => "for a thaw".to_owned(),
    }
}
