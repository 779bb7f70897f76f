//! Types of a file of declarations. The comments are what an editor shows.

use super::words::{AnySettings, Clock, Duration, DurationOrNever, FullName, Label, QuorumWord, ReplicaName, WaveWord};
use schemars::JsonSchema;
use std::collections::BTreeMap;

/// Secrets that keybaton rotates. A file may hold several documents, separated by `---`.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, title = "keybaton declarations", extend("patternProperties" = { "^x-": true }))]
pub struct File {
    /// The declared secrets.
    pub secrets: Vec<Secret>,
}

/// One secret: what rotates it, when, and how carefully.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct Secret {
    /// `namespace/name`; unique over all files.
    pub name: FullName,
    /// The plugin that rotates it.
    pub plugin: Label,
    /// The connection to its target, from the host's connection files.
    pub connection: Label,
    /// What the plugin is told.
    pub settings: AnySettings,
    /// When it rotates.
    pub cadence: CadenceFields,
    /// Secrets of one group do not start together.
    pub stagger: Option<StaggerFields>,
    /// Secrets that rotate first when they are due too.
    pub after: Option<Vec<FullName>>,
    /// How long the old credential stays.
    pub overlap: Option<OverlapFields>,
    /// Who needs it, by name; `{}` for nobody.
    pub consumers: BTreeMap<String, ConsumerFields>,
    /// What happens when consumers do not answer.
    pub stragglers: Option<StragglersFields>,
    /// In which steps replicas switch; without it all at once.
    pub waves: Option<WavesFields>,
    /// Time limits and repetition.
    pub limits: Option<LimitsFields>,
}

/// One of `every`, `cron` and `manual: true`; `before_expiry` alone, or with `every` or `cron`, whichever is first.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct CadenceFields {
    /// This long after the last rotation.
    pub every: Option<Duration>,
    /// At these times: minute, hour, day of the month, month, day of the week.
    pub cron: Option<String>,
    /// This long before the credential expires.
    pub before_expiry: Option<Duration>,
    /// Only by hand.
    pub manual: Option<bool>,
    /// IANA time zone of `cron` and `windows`. Default: UTC.
    pub zone: Option<String>,
    /// When rotations may start. Default: at any time.
    pub windows: Option<Vec<WindowFields>>,
    /// Longest delay that is added, spread evenly over the secrets. Default: none.
    pub jitter: Option<Duration>,
    /// Rotate no more until this is taken out. Default: false.
    pub pause: Option<bool>,
}

/// Hours in which rotations may start.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct WindowFields {
    /// Days on which it opens. Default: every day.
    pub days: Option<Vec<DayWord>>,
    /// When it opens. Default: 00:00.
    pub from: Option<Clock>,
    /// When it closes; if not later than `from`, on the next day. Default: 24:00.
    pub to: Option<Clock>,
    /// IANA time zone. Default: the cadence's.
    pub zone: Option<String>,
}

/// A day of the week.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum DayWord {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// Distance between the rotations of a group.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct StaggerFields {
    /// The group's name; groups span namespaces.
    pub group: Label,
    /// Shortest time between two starts. Default: 0s.
    pub at_least: Option<Duration>,
    /// Most rotations of the group that run together. Default: 1.
    #[schemars(range(min = 1, max = 10_000))]
    pub at_once: Option<u32>,
}

/// How long the old credential stays.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct OverlapFields {
    /// Shortest time it stays valid after everyone has adopted the new one. Default: 1h.
    pub minimum: Option<Duration>,
    /// How long the target must show no use of it. Default: 0s, not asked for.
    pub quiet: Option<Duration>,
    /// How long it stays disabled, and can be enabled again, before it is destroyed. Default: 1d.
    pub soak: Option<Duration>,
    /// Accept the moment in which only one of two values works, where the target has one slot. Default: false.
    pub accept_gap: Option<bool>,
}

/// Someone who needs the secret.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct ConsumerFields {
    /// How it hears of a new credential and answers. Default: client.
    pub kind: Option<KindWord>,
    /// Presents the secret, or accepts what others present. Default: uses.
    pub role: Option<RoleWord>,
    /// Its replicas by name; excludes `count`.
    pub members: Option<Vec<ReplicaName>>,
    /// How many replicas it has; excludes `members`. Default: 1.
    #[schemars(range(min = 1, max = 100_000))]
    pub count: Option<u32>,
    /// Whether a rotation waits for it. Default: true.
    pub required: Option<bool>,
    /// Least evidence that it is ready. Default: holder; attested for external ones.
    pub ready: Option<ReadyWord>,
    /// Least evidence that it uses the new credential. Default: process; target for external ones.
    pub adopted: Option<AdoptedWord>,
    /// Longest time between two uses, for a consumer that uses it only now and then.
    pub uses_every: Option<Duration>,
}

/// How a consumer hears of a new credential and answers.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum KindWord {
    /// Fetches, watches and acknowledges by the host's API.
    Client,
    /// Cannot answer.
    External,
}

/// What a consumer does with the secret.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum RoleWord {
    /// Presents it.
    Uses,
    /// Accepts what others present.
    Verifies,
}

/// Evidence that a consumer is ready.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum ReadyWord {
    /// It proved that it holds the new credential, and tried it.
    Holder,
    /// The workload itself used it.
    Process,
    /// The target saw it used.
    Target,
    /// A person vouches for it.
    Attested,
}

/// Evidence that a consumer has adopted the new credential.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum AdoptedWord {
    /// The workload itself uses it.
    Process,
    /// The target sees it used.
    Target,
    /// A person vouches for it.
    Attested,
}

/// What happens when consumers do not answer.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct StragglersFields {
    /// How many of the required replicas must have answered. Default: all.
    pub quorum: Option<QuorumWord>,
    /// How long a step is waited for. Default: 1h.
    pub deadline: Option<DurationOrNever>,
    /// What happens at the deadline. Default: hold.
    pub then: Option<ThenWord>,
    /// After how long a hold escalates. Default: 1d.
    pub max_age: Option<DurationOrNever>,
    /// How long before the credential in use expires nobody is waited for any more who has not tried the new one.
    /// Default: 0s.
    pub before_expiry: Option<Duration>,
}

/// What happens at the deadline.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum ThenWord {
    /// Wait on, visibly.
    Hold,
    /// Give the new credential back before commit; hold after.
    Rollback,
    /// Go on without them; recorded as policy.
    Force,
}

/// Replicas switch in waves.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct WavesFields {
    /// Sizes in order; whoever is left after the last one switches with it.
    #[schemars(length(min = 1, max = 64))]
    pub sizes: Vec<WaveWord>,
    /// Most replicas that are in the middle of switching. Default: no limit.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_unavailable: Option<u32>,
    /// How long a finished wave is watched before the next opens. Default: 0s.
    pub soak: Option<Duration>,
}

/// Time limits and repetition.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct LimitsFields {
    /// How long a consumer may hold a staged credential without renewing. Default: 1h.
    pub staged_lease: Option<Duration>,
    /// Time given to one plugin call. Default: 30s.
    pub call_timeout: Option<Duration>,
    /// How often a step is tried before the secret is quarantined.
    pub attempts: Option<AttemptsFields>,
}

/// How often a step is tried.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct AttemptsFields {
    /// Attempts at one step. Default: 5.
    #[schemars(range(min = 1, max = 100))]
    pub cap: Option<u32>,
    /// Pause after the first; doubles each time. Default: 1s.
    pub first_pause: Option<Duration>,
    /// Longest pause. Default: 5m.
    pub longest_pause: Option<Duration>,
}
