//! What people look at before they decide something: members and what they have shown, places and how each stands, and
//! what a compromise would break. Reads and foresees; changes nothing, and holds no value.

use super::history::at;
use keybaton_protocol::action::Action;
use keybaton_protocol::admit::{Refusal, admit};
use keybaton_protocol::command::Command;
use keybaton_protocol::decide::decide;
use keybaton_protocol::event::Event;
use keybaton_protocol::generation::{Role, Verified};
use keybaton_protocol::ids::{Author, Generation, Millis, Place};
use keybaton_protocol::membership::{ReplicaState, Statement};
use keybaton_protocol::policy::{ConsumerPolicy, Members};
use keybaton_protocol::state::Secret;
use keybaton_protocol::step::PlanKind;
use keybaton_protocol::view::would_break;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Decisions that are foreseen after a compromise; what matters comes first.
const FORESEEN: usize = 16;

/// One consumer, its members, and everything they have shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersView {
    /// Its name.
    pub consumer: String,
    /// `uses`, `verifies`, `depends`.
    pub role: String,
    /// Whether it is waited for.
    pub required: bool,
    /// How many distinct replicas there are to be, where they are counted and not listed.
    pub count: Option<u32>,
    /// Least evidence for `ready`.
    pub ready: String,
    /// Least evidence for `adopted`.
    pub adopted: String,
    /// Listed ones and those that have shown themselves, by name.
    pub members: Vec<MemberView>,
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// Its name.
    pub replica: String,
    /// Whether it is a member: it is listed; or replicas are counted, and nobody said that it is gone.
    pub listed: bool,
    /// Its present life; `None` for one that was never heard of.
    pub incarnation: Option<String>,
    /// It depends on it whether something ends, and it has been silent for longer than its lease.
    pub unknown: bool,
    /// Two processes speak under its identity: what one of them says counts for neither.
    pub twice: bool,
    /// Generations it may hold.
    pub holds: Vec<u32>,
    /// What counts of what it has said, oldest first.
    pub statements: Vec<StatementView>,
}

/// A statement that has not been withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementView {
    /// About which generation.
    pub generation: u32,
    /// `ready`, `failed`, `adopted`, `released`, `dropped`.
    pub purpose: String,
    /// Whose account it is.
    pub evidence: String,
    /// When.
    pub at: u64,
    /// The reason given, if any.
    pub reason: String,
    /// For a person's word: who gave it, who approved it, and until when it counts.
    pub word: Option<WordView>,
}

/// Whose word it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordView {
    /// Who says so.
    pub author: String,
    /// Who approved it.
    pub approver: String,
    /// Until when it counts.
    pub expires_at: u64,
}

/// One place of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceView {
    /// Its name; `-` for a target that is only one.
    pub place: String,
    /// Whether it is one of the target's places now.
    pub present: bool,
    /// When what is live there was last looked at.
    pub observed_at: Option<u64>,
    /// How each generation stands there, newest first.
    pub generations: Vec<PlacedView>,
    /// Credentials there that keybaton did not make.
    pub foreign: Vec<String>,
}

/// One generation at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedView {
    /// Its number.
    pub generation: u32,
    /// Its part.
    pub role: String,
    /// `absent`, `maybe`, `live`, `maybe-disabled`, `disabled`, `gone`.
    pub state: String,
    /// `untried`, `works`, `refused`.
    pub verified: String,
    /// The target's id of it there.
    pub id: Option<String>,
}

/// What a compromise of a generation would lead to, were it stated now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForesightView {
    /// Which generation.
    pub generation: u32,
    /// Its part.
    pub role: String,
    /// What would follow, in order, one sentence each.
    pub follows: Vec<String>,
    /// Replicas that hold it and have not left it, as `consumer/replica`.
    pub holders: Vec<String>,
    /// Whether they lose it before they have switched to another.
    pub cut_off: bool,
    /// Places where something of it is left.
    pub places: Vec<String>,
}

/// Every consumer, with its members.
pub(crate) fn members(secret: &Secret, now: Millis) -> Vec<MembersView> {
    secret.consumers().values().map(|consumer| consumer_view(secret, consumer, now)).collect()
}

fn consumer_view(secret: &Secret, consumer: &ConsumerPolicy, now: Millis) -> MembersView {
    let (listed, count) = match &consumer.members {
        Members::Listed(listed) => (listed.clone(), None),
        Members::Count(count) => (Vec::new(), Some(*count)),
    };
    let shown = secret.replicas().keys().filter(|(name, _)| *name == consumer.name).map(|(_, replica)| replica.clone());
    let names: BTreeSet<_> = listed.iter().cloned().chain(shown).collect();
    let member = |replica: keybaton_protocol::ids::Replica| {
        let state = secret.replicas().get(&(consumer.name.clone(), replica.clone()));
        MemberView {
            replica: replica.to_string(),
            listed: secret.is_member(&consumer.name, &replica),
            incarnation: state.map(|state| state.incarnation.to_string()),
            unknown: state.is_some_and(|state| secret.is_unknown(consumer, state, now)),
            twice: state.is_some_and(|state| secret.speaks_twice(consumer, state, now)),
            holds: state.map_or_else(Vec::new, |state| state.fetched.keys().map(|it| it.0).collect()),
            statements: state.map_or_else(Vec::new, statements),
        }
    };
    MembersView {
        consumer: consumer.name.to_string(),
        role: consumer.role.name().to_owned(),
        required: consumer.required,
        count,
        ready: consumer.ready.name().to_owned(),
        adopted: consumer.adopted.name().to_owned(),
        members: names.into_iter().map(member).collect(),
    }
}

fn statements(state: &ReplicaState) -> Vec<StatementView> {
    let mut all: Vec<_> =
        super::status::statements(state).map(|(of, purpose, said)| shown(of, purpose, said)).collect();
    all.sort_by_key(|said| said.at);
    all
}

fn shown(generation: Generation, purpose: &str, said: &Statement) -> StatementView {
    StatementView {
        generation: generation.0,
        purpose: purpose.to_owned(),
        evidence: said.kind.name().to_owned(),
        at: said.at.0,
        reason: said.reason.clone(),
        word: said.attested.as_ref().map(|word| WordView {
            author: word.author.to_string(),
            approver: word.approver.to_string(),
            expires_at: word.expires_at.0,
        }),
    }
}

/// Every place that is, or was and has something left.
pub(crate) fn places(secret: &Secret) -> Vec<PlaceView> {
    let present: BTreeSet<Place> = secret.pins().map(|pins| pins.places.iter().cloned().collect()).unwrap_or_default();
    let lingering = secret.generations().values().flat_map(|it| it.lingering().cloned());
    let foreign = secret.foreign().iter().map(|(place, _)| place.clone());
    let all: BTreeSet<Place> = present.iter().cloned().chain(lingering).chain(foreign).collect();
    all.into_iter().map(|place| place_view(secret, present.contains(&place), &place)).collect()
}

fn place_view(secret: &Secret, present: bool, place: &Place) -> PlaceView {
    let placed = |it: &keybaton_protocol::generation::Credential| {
        let standing = it.at(place);
        PlacedView {
            generation: it.number.0,
            role: secret.role(it.number).map_or("retiring", Role::name).to_owned(),
            state: standing.liveness.name().to_owned(),
            verified: match standing.verified {
                Verified::Untried => "untried",
                Verified::Works => "works",
                Verified::Refused { .. } => "refused",
            }
            .to_owned(),
            id: it.id_at(place).map(ToString::to_string),
        }
    };
    PlaceView {
        place: place.to_string(),
        present,
        observed_at: secret.observations().get(place).map(|seen| seen.began_at.0),
        generations: secret.generations().values().rev().map(placed).collect(),
        foreign: secret.foreign().iter().filter(|(at, _)| at == place).map(|(_, id)| id.to_string()).collect(),
    }
}

/// States the compromise on a copy and lets the protocol decide on it: what it would do is what is told.
pub(crate) fn foresight(
    secret: &Secret,
    generation: Generation,
    disable_first: bool,
    now: Millis,
) -> Result<ForesightView, Refusal> {
    let command = Command::Compromise { generation, disable_first, author: Author::host() };
    let mut ahead = secret.clone();
    let mut follows = Vec::new();
    let mut ends = false;
    let mut next = admit(secret, &command, now)?;
    for _ in 0..FORESEEN {
        for event in &next {
            // What was admitted or decided is legal here.
            if ahead.record(now, event).is_err() {
                break;
            }
            ends |= matches!(event, Event::RetirementOpened { generation: of, .. } if *of == generation);
            follows.extend(sentence(event, &ahead));
        }
        match decide(&ahead, now) {
            Action::Record(events) => next = events,
            Action::Call(call) => {
                let what = format!("{} of generation {}{}", call.kind, call.generation.0, at(&call.place));
                follows.push(format!("the plugin is called at once: {what}"));
                break;
            }
            Action::Wait { .. } | Action::Idle => break,
        }
    }
    if ahead.must_rotate() && ahead.rotation().is_none() {
        follows.push("a rotation to a new credential starts at once".to_owned());
    }
    let in_use = secret.current() == Some(generation);
    if in_use && !ends {
        follows.push(format!("generation {} ends once its consumers have switched", generation.0));
    }
    let retires = secret.rotation().is_some_and(|rotation| rotation.kind == PlanKind::Retire);
    Ok(ForesightView {
        generation: generation.0,
        role: secret.role(generation).map_or("retiring", Role::name).to_owned(),
        follows,
        holders: would_break(secret, generation).iter().map(|(name, replica)| format!("{name}/{replica}")).collect(),
        cut_off: ends || (disable_first && in_use && !retires),
        places: secret
            .generation(generation)
            .map_or_else(Vec::new, |it| it.lingering().map(Place::to_string).collect()),
    })
}

fn sentence(event: &Event, after: &Secret) -> Option<String> {
    let previous = || after.previous().map_or_else(String::new, |it| format!(", generation {},", it.0));
    Some(match event {
        Event::RollingBack { .. } => "the rotation is rolled back: pending is given back".to_owned(),
        Event::Reverting { .. } => format!("the previous credential{} is put back", previous()),
        Event::Finished { .. } => "the running rotation ends".to_owned(),
        Event::RetirementOpened { generation, place, .. } => {
            format!("generation {} is ended{} without waiting for anybody", generation.0, at(place))
        }
        Event::Committed => "pending becomes current".to_owned(),
        _ => return None,
    })
}
