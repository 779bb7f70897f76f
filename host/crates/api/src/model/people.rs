//! What people look at and change by hand: members and evidence, places, words, and what a compromise would break.

use keybaton_engine::views;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Every consumer of a secret, with its members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberList {
    /// Whose.
    pub secret: String,
    /// By name.
    pub consumers: Vec<Membership>,
}

/// One consumer, its members, and what they have shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Membership {
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
    pub members: Vec<Member>,
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Its name.
    pub replica: String,
    /// Whether it is a member: it is listed; or replicas are counted, and nobody said that it is gone.
    pub listed: bool,
    /// Its present life; absent for one that was never heard of.
    pub incarnation: Option<String>,
    /// It depends on it whether something ends, and it has been silent for longer than its lease.
    #[serde(default)]
    pub unknown: bool,
    /// Two processes speak under its identity: what one of them says counts for neither.
    #[serde(default)]
    pub twice: bool,
    /// Generations it may hold.
    pub holds: Vec<u32>,
    /// What counts of what it has said, oldest first.
    pub statements: Vec<Statement>,
}

/// A statement that has not been withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Statement {
    /// About which generation.
    pub generation: u32,
    /// `ready`, `failed`, `adopted`, `released`, `dropped`.
    pub purpose: String,
    /// Whose account it is: `store`, `holder`, `process`, `target`, `attested`.
    pub evidence: String,
    /// When.
    pub at: u64,
    /// The reason given, if any.
    pub reason: String,
    /// For a person's word: whose.
    pub word: Option<Word>,
}

/// Whose word it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Word {
    /// Who says so.
    pub author: String,
    /// Who approved it.
    pub approver: String,
    /// Until when it counts.
    pub expires_at: u64,
}

/// Adds or drops a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberRequest {
    /// Of which consumer.
    pub consumer: String,
    /// Which replica. Where replicas are counted, one is counted in or out and the name goes into the audit log only.
    pub replica: String,
    /// Why; goes into the audit log.
    #[serde(default)]
    pub reason: String,
}

/// Every place of a secret's target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlaceList {
    /// Whose.
    pub secret: String,
    /// By name.
    pub places: Vec<PlaceStatus>,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlaceStatus {
    /// Its name; `-` for a target that is only one.
    pub place: String,
    /// Whether it is one of the target's places now. One that is not shows what is left there.
    pub present: bool,
    /// When what is live there was last looked at.
    pub observed_at: Option<u64>,
    /// How each generation stands there, newest first.
    pub generations: Vec<Placed>,
    /// Credentials there that keybaton did not make.
    pub foreign: Vec<String>,
}

/// One generation at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Placed {
    /// Its number.
    pub generation: u32,
    /// `pending`, `current`, `previous`, `retiring`.
    pub role: String,
    /// `absent`, `maybe`, `live`, `maybe-disabled`, `disabled`, `gone`.
    pub state: String,
    /// `untried`, `works`, `refused`.
    pub verified: String,
    /// The target's id of it there.
    pub id: Option<String>,
}

/// Adds or drops a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceRequest {
    /// Which.
    pub place: String,
    /// Why; goes into the audit log.
    #[serde(default)]
    pub reason: String,
}

/// A person's word in place of a replica's evidence. It counts once another operator has approved it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttestationRequest {
    /// About which consumer.
    pub consumer: String,
    /// About which replica; absent where there is only one.
    #[serde(default)]
    pub replica: Option<String>,
    /// About which generation.
    pub generation: u32,
    /// `ready`, `adopted`, `released` or `dropped`.
    pub purpose: String,
    /// How it is known; must not be empty.
    pub reason: String,
    /// For how long it counts, in minutes.
    pub minutes: u32,
}

/// A word that waits for somebody else's approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttestationProposal {
    /// Names it.
    pub id: String,
    /// About which secret.
    pub secret: String,
    /// About which consumer.
    pub consumer: String,
    /// About which replica.
    pub replica: String,
    /// About which generation.
    pub generation: u32,
    /// What is said.
    pub purpose: String,
    /// How it is known.
    pub reason: String,
    /// Who says so.
    pub author: String,
    /// When it was said.
    pub proposed_at: u64,
    /// Until when it would count.
    pub expires_at: u64,
}

/// The words that wait for an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttestationProposals {
    /// Oldest first. Kept in memory: after a restart of the host they are asked for anew.
    pub proposals: Vec<AttestationProposal>,
}

/// Other plugin bytes for the running rotation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RepinRequest {
    /// The digest that is expected to be the approved one, `sha256:…`; absent: whichever is approved.
    #[serde(default)]
    pub digest: Option<String>,
    /// Why; goes into the audit log.
    #[serde(default)]
    pub reason: String,
}

/// The running rotation goes on with this component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Repinned {
    /// Which secret.
    pub secret: String,
    /// The component it runs on now.
    pub digest: String,
    /// Position of its journal after the command.
    pub seq: u64,
}

/// Which compromise is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ForesightParams {
    /// Which generation.
    pub generation: u32,
    /// Whether it would be ended before consumers have switched.
    #[serde(default)]
    pub disable_first: bool,
}

/// What a compromise would lead to, and whom and what it would break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Foresight {
    /// Which secret.
    pub secret: String,
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
    /// Connections that log in with this secret.
    pub connections: Vec<String>,
    /// Secrets that use such a connection, or are declared to come after this one.
    pub dependants: Vec<String>,
}

macro_rules! converted {
    ($($view:ident => $model:ident { $($field:ident),+ $(; $($list:ident),+)? })+) => {$(
        impl From<views::$view> for $model {
            fn from(view: views::$view) -> Self {
                let views::$view { $($field,)+ $($($list,)+)? } = view;
                Self { $($field,)+ $($($list: $list.into_iter().map(Into::into).collect(),)+)? }
            }
        }
    )+};
}
converted! {
    MembersView => Membership { consumer, role, required, count, ready, adopted; members }
    MemberView => Member { replica, listed, incarnation, unknown, twice, holds; statements }
    WordView => Word { author, approver, expires_at }
    PlaceView => PlaceStatus { place, present, observed_at, foreign; generations }
    PlacedView => Placed { generation, role, state, verified, id }
}

impl From<views::StatementView> for Statement {
    fn from(view: views::StatementView) -> Self {
        let views::StatementView { generation, purpose, evidence, at, reason, word } = view;
        Self { generation, purpose, evidence, at, reason, word: word.map(Into::into) }
    }
}
