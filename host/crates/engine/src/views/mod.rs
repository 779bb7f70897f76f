//! What people and tools are shown of a secret. No type here can hold a secret value. Times in Unix milliseconds.

mod history;
mod people;
mod restored;
mod status;

pub(crate) use history::entries;
pub use people::{ForesightView, MemberView, MembersView, PlaceView, PlacedView, StatementView, WordView};
pub(crate) use people::{foresight, members, places};
pub use restored::ComparisonView;
pub(crate) use restored::comparison;
pub(crate) use status::status;

use serde::{Deserialize, Serialize};

/// How a secret stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
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

/// Everything about one secret that may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// The list's line.
    pub summary: Summary,
    /// Position of the journal this shows.
    pub seq: u64,
    /// Generations that are live or wanted, newest first.
    pub generations: Vec<GenerationView>,
    /// The open rotation.
    pub rotation: Option<RotationView>,
    /// What nothing moves for: reason, detail, since when.
    pub held: Option<HeldView>,
    /// Open retirements.
    pub retirements: Vec<RetirementView>,
    /// Credentials at the target that keybaton did not make.
    pub foreign: Vec<ForeignView>,
    /// Why it does not start although it is due, if so.
    pub blocked: Option<String>,
}

/// One generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationView {
    /// Its number.
    pub generation: u32,
    /// `pending`, `current`, `previous`, `retiring`.
    pub role: String,
    /// The target's id of it.
    pub id: Option<String>,
    /// Its slot.
    pub slot: Option<String>,
    /// Public fields.
    pub attributes: Vec<(String, String)>,
    /// Known to others.
    pub compromised: bool,
}

/// The open rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationView {
    /// Its identifier.
    pub id: String,
    /// `issue`, `adopt`, `rotate`, `retire`.
    pub kind: String,
    /// `prepare`, `commit`, `rolling-back`, `reverting`.
    pub phase: String,
    /// The step people know it by, where there is one now.
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
    pub consumers: Vec<ConsumerView>,
}

/// One consumer in the open rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerView {
    /// Its name.
    pub name: String,
    /// `uses` or `verifies`.
    pub role: String,
    /// Whether it is waited for.
    pub required: bool,
    /// Its replicas, with the newest evidence of each.
    pub replicas: Vec<ReplicaView>,
    /// Replicas that have not answered what is asked now (`#n` for unnamed ones).
    pub missing: Vec<String>,
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaView {
    /// Its name.
    pub replica: String,
    /// The newest generation it stated something about.
    pub generation: Option<u32>,
    /// `ready`, `adopted`, …
    pub purpose: Option<String>,
    /// `store`, `holder`, `process`, `target`, `attested`: whose account it is.
    pub evidence: Option<String>,
    /// When.
    pub at: Option<u64>,
    /// It depends on it whether something ends, and it has been silent for longer than its lease.
    pub unknown: bool,
    /// Two processes speak under its identity: what one of them says counts for neither.
    pub twice: bool,
}

/// Why nothing moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldView {
    /// `stragglers`, `drift`, `quarantined`, …
    pub reason: String,
    /// For people: for whom it waits, what to do.
    pub detail: String,
    /// Since when.
    pub since: u64,
}

/// A credential that is to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetirementView {
    /// Which generation.
    pub generation: u32,
    /// Where.
    pub place: String,
    /// Why.
    pub cause: String,
    /// The target's id, where known.
    pub id: Option<String>,
    /// Replicas that are waited for before it ends, as `consumer/replica`.
    pub missing: Vec<String>,
    /// Until when they are waited for at the latest; `None` where only an answer, or a word, ends that.
    pub until: Option<u64>,
}

/// A credential that is not keybaton's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignView {
    /// Where.
    pub place: String,
    /// The target's id.
    pub id: String,
}

/// One event for people, with its structure beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Position in the journal.
    pub seq: u64,
    /// When.
    pub at: u64,
    /// Stable name of the kind of event: `started`, `sent`, `committed`, …
    pub event: String,
    /// The rotation it belongs to, where one was open.
    pub rotation: Option<String>,
    /// One line for people.
    pub text: String,
    /// The parts of the event by name, as text.
    pub parts: Vec<(String, String)>,
}

/// What a declaration would do, without doing it (`keybaton plan`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examination {
    /// What blocks it; nothing starts while this is not empty.
    pub blocks: Vec<String>,
    /// What it weakens or leaves to chance.
    pub warns: Vec<String>,
    /// The overlap the plugin declares for these settings.
    pub overlap: Option<String>,
    /// The next due instant.
    pub due_at: Option<u64>,
    /// What the plugin finds in the settings, with its place in them; fatal ones block.
    pub settings: Vec<SettingsFinding>,
}

/// What a plugin finds in the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsFinding {
    /// Where, as a JSON pointer into the settings; empty for all of them.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Whether a rotation may not start.
    pub fatal: bool,
}
