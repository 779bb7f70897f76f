//! A secret as operators see it: list, status, history. Converted once from the engine's views.

use keybaton_engine::views;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// How a secret stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Declared; waits for `issue` or an import.
    New,
    /// Has a current credential and nothing to do.
    Idle,
    /// A rotation moves.
    Rotating,
    /// A rotation waits for consumers, a timer or a back-off.
    Waiting,
    /// Waits for a person.
    Held,
    /// No new mutation starts.
    Frozen,
    /// No rotation, but credentials that are still to be ended.
    Retiring,
    /// Has a journal and no declaration.
    Unmanaged,
    /// Was ended by `retire`.
    Ended,
    /// What is stored of it is damaged: nothing is begun for it.
    Damaged,
}

impl From<views::Standing> for Standing {
    fn from(standing: views::Standing) -> Self {
        match standing {
            views::Standing::New => Self::New,
            views::Standing::Idle => Self::Idle,
            views::Standing::Rotating => Self::Rotating,
            views::Standing::Waiting => Self::Waiting,
            views::Standing::Held => Self::Held,
            views::Standing::Frozen => Self::Frozen,
            views::Standing::Retiring => Self::Retiring,
            views::Standing::Unmanaged => Self::Unmanaged,
            views::Standing::Ended => Self::Ended,
            views::Standing::Damaged => Self::Damaged,
        }
    }
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretSummary {
    /// `namespace/name`.
    pub secret: String,
    /// The plugin, where declared.
    pub plugin: Option<String>,
    /// The connection, where declared.
    pub connection: Option<String>,
    /// How it stands.
    pub standing: Standing,
    /// When the current credential became current.
    pub rotated_at: Option<u64>,
    /// When it is due next.
    pub due_at: Option<u64>,
    /// Paused by its declaration.
    pub paused: bool,
}

/// A page of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretList {
    /// By name.
    pub secrets: Vec<SecretSummary>,
    /// Pass as `after` for the next page; absent on the last.
    pub next: Option<String>,
}

/// Everything about one secret that may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretStatus {
    /// The list's line.
    pub summary: SecretSummary,
    /// Position of the journal this shows.
    pub seq: u64,
    /// Generations that are live or wanted, newest first.
    pub generations: Vec<GenerationStatus>,
    /// The open rotation.
    pub rotation: Option<RotationStatus>,
    /// What nothing moves for.
    pub held: Option<Held>,
    /// Credentials that are still to be ended.
    pub retirements: Vec<Retirement>,
    /// Credentials at the target that keybaton did not make.
    pub foreign: Vec<Foreign>,
    /// Why it does not start although it is due.
    pub blocked: Option<String>,
}

/// One generation, without its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GenerationStatus {
    /// Its number.
    pub generation: u32,
    /// `pending`, `current`, `previous`, `retiring`.
    pub role: String,
    /// The target's id of it.
    pub id: Option<String>,
    /// Its slot.
    pub slot: Option<String>,
    /// Public fields.
    pub attributes: BTreeMap<String, String>,
    /// Known to others.
    pub compromised: bool,
}

/// The open rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RotationStatus {
    /// Its identifier.
    pub id: String,
    /// `issue`, `adopt`, `rotate`, `retire`.
    pub kind: String,
    /// `prepare`, `commit`, `rolling-back`, `reverting`.
    pub phase: String,
    /// The step people know it by.
    pub step: Option<String>,
    /// The generation it makes.
    pub generation: u32,
    /// Since when.
    pub started_at: u64,
    /// Why.
    pub cause: String,
    /// By whom.
    pub author: String,
    /// What it waits for, in words.
    pub waiting: Option<String>,
    /// When it will look again by itself.
    pub until: Option<u64>,
    /// Who is waited for, and with what evidence so far.
    pub consumers: Vec<ConsumerStatus>,
}

/// One consumer in the open rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsumerStatus {
    /// Its name in the secret's namespace.
    pub name: String,
    /// `uses` or `verifies`.
    pub role: String,
    /// Whether it is waited for.
    pub required: bool,
    /// Its replicas, with the newest evidence of each.
    pub replicas: Vec<ReplicaStatus>,
    /// Replicas that have not answered what is asked now (`#n` for unnamed ones).
    pub missing: Vec<String>,
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicaStatus {
    /// Its name.
    pub replica: String,
    /// The newest generation it stated something about.
    pub generation: Option<u32>,
    /// `ready`, `adopted`, …
    pub purpose: Option<String>,
    /// Whose account it is: `store`, `holder`, `process`, `target`, `attested`.
    pub evidence: Option<String>,
    /// When.
    pub at: Option<u64>,
    /// It depends on it whether something ends, and it has been silent for longer than its lease.
    #[serde(default)]
    pub unknown: bool,
    /// Two processes speak under its identity: what one of them says counts for neither.
    #[serde(default)]
    pub twice: bool,
}

/// Why nothing moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Held {
    /// `stragglers`, `drift`, `quarantined`, …
    pub reason: String,
    /// For whom it waits, what to do.
    pub detail: String,
    /// Since when.
    pub since: u64,
}

/// A credential that is to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Retirement {
    /// Which generation.
    pub generation: u32,
    /// Where.
    pub place: String,
    /// Why.
    pub cause: String,
    /// The target's id.
    pub id: Option<String>,
    /// Replicas that are waited for before it ends, as `consumer/replica`.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Until when they are waited for at the latest; absent where only an answer, or an operator's word, ends that.
    #[serde(default)]
    pub until: Option<u64>,
}

/// A credential that is not keybaton's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Foreign {
    /// Where.
    pub place: String,
    /// The target's id.
    pub id: String,
}

/// One event of a secret's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryEvent {
    /// Position in the journal.
    pub seq: u64,
    /// When.
    pub at: u64,
    /// Stable name: `started`, `sent`, `committed`, …
    pub event: String,
    /// The rotation it belongs to.
    pub rotation: Option<String>,
    /// One line for people.
    pub text: String,
    /// The event's parts by name.
    pub parts: BTreeMap<String, String>,
}

/// A page of history, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// Whose.
    pub secret: String,
    /// Events.
    pub events: Vec<HistoryEvent>,
    /// Pass as `after` for the next page; absent on the last.
    pub next: Option<u64>,
    /// Pass as `before` for the page before this one, where this one was asked for so; absent on the first.
    pub earlier: Option<u64>,
}

impl From<views::Summary> for SecretSummary {
    fn from(view: views::Summary) -> Self {
        let views::Summary { secret, plugin, connection, standing, rotated_at, due_at, paused } = view;
        Self { secret, plugin, connection, standing: standing.into(), rotated_at, due_at, paused }
    }
}

impl From<views::StatusView> for SecretStatus {
    fn from(view: views::StatusView) -> Self {
        Self {
            summary: view.summary.into(),
            seq: view.seq,
            generations: convert(view.generations),
            rotation: view.rotation.map(Into::into),
            held: view.held.map(Into::into),
            retirements: convert(view.retirements),
            foreign: convert(view.foreign),
            blocked: view.blocked,
        }
    }
}

impl From<views::GenerationView> for GenerationStatus {
    fn from(view: views::GenerationView) -> Self {
        let views::GenerationView { generation, role, id, slot, attributes, compromised } = view;
        Self { generation, role, id, slot, attributes: attributes.into_iter().collect(), compromised }
    }
}

impl From<views::RotationView> for RotationStatus {
    fn from(view: views::RotationView) -> Self {
        Self {
            id: view.id,
            kind: view.kind,
            phase: view.phase,
            step: view.step,
            generation: view.generation,
            started_at: view.started_at,
            cause: view.cause,
            author: view.author,
            waiting: view.waiting,
            until: view.until,
            consumers: convert(view.consumers),
        }
    }
}

impl From<views::ConsumerView> for ConsumerStatus {
    fn from(view: views::ConsumerView) -> Self {
        let views::ConsumerView { name, role, required, replicas, missing } = view;
        Self { name, role, required, replicas: convert(replicas), missing }
    }
}

impl From<views::ReplicaView> for ReplicaStatus {
    fn from(view: views::ReplicaView) -> Self {
        let views::ReplicaView { replica, generation, purpose, evidence, at, unknown, twice } = view;
        Self { replica, generation, purpose, evidence, at, unknown, twice }
    }
}

impl From<views::HeldView> for Held {
    fn from(view: views::HeldView) -> Self {
        Self { reason: view.reason, detail: view.detail, since: view.since }
    }
}

impl From<views::RetirementView> for Retirement {
    fn from(view: views::RetirementView) -> Self {
        let views::RetirementView { generation, place, cause, id, missing, until } = view;
        Self { generation, place, cause, id, missing, until }
    }
}

impl From<views::ForeignView> for Foreign {
    fn from(view: views::ForeignView) -> Self {
        Self { place: view.place, id: view.id }
    }
}

impl From<views::HistoryEntry> for HistoryEvent {
    fn from(entry: views::HistoryEntry) -> Self {
        let views::HistoryEntry { seq, at, event, rotation, text, parts } = entry;
        Self { seq, at, event, rotation, text, parts: parts.into_iter().collect() }
    }
}

fn convert<A, B: From<A>>(views: Vec<A>) -> Vec<B> {
    views.into_iter().map(Into::into).collect()
}
