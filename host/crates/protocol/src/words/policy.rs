//! What the operator asked of a rotation: consumers, evidence, stragglers, waves, times. Pure data, pinned at start.

use crate::evidence::EvidenceKind;
use crate::ids::{ConsumerName, Replica};
use crate::profile::{Profile, UsageSignal};
use crate::step::names;
use std::fmt;

/// Everything the operator decides about how a rotation proceeds. All times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Who needs the secret.
    pub consumers: Vec<ConsumerPolicy>,
    /// Who may be waited for, how long, and what then.
    pub stragglers: Stragglers,
    /// In which order replicas switch; empty means all at once.
    pub waves: Waves,
    /// Shortest time previous stays valid after everyone adopted.
    pub overlap_min_ms: u64,
    /// How long the target must show no use of previous; 0: as long as it takes to show a use, if it shows any.
    pub quiet_ms: u64,
    /// How long a disabled credential is kept before it is destroyed.
    pub soak_ms: u64,
    /// How long a consumer may hold a staged credential without renewing.
    pub staged_lease_ms: u64,
    /// Attempts at a step before the secret is quarantined.
    pub attempts: Attempts,
    /// Time given to one plugin call.
    pub call_timeout_ms: u64,
    /// The operator accepts that with overlap `none` there is a moment in which only one of two values works.
    pub accept_gap: bool,
}

impl Policy {
    /// The policy at such a target: where no quiet time is asked for, silence counts once a use would have shown.
    #[must_use]
    pub fn at(&self, profile: &Profile) -> Self {
        let least_ms = profile.usage.map_or(0, UsageSignal::least_ms);
        Self { quiet_ms: if self.quiet_ms == 0 { least_ms } else { self.quiet_ms }, ..self.clone() }
    }
}

/// One declared consumer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConsumerPolicy {
    /// Its name in the secret's namespace.
    pub name: ConsumerName,
    /// How it hears of a new credential and answers: what it may say of itself follows from it.
    pub kind: ConsumerKind,
    /// Uses the secret, or verifies what others present.
    pub role: ConsumerRole,
    /// Whether the rotation waits for it.
    pub required: bool,
    /// Which replicas there are.
    pub members: Members,
    /// Least evidence for `ready`.
    pub ready: EvidenceKind,
    /// Least evidence for `adopted`.
    pub adopted: EvidenceKind,
    /// Longest time between two uses, in milliseconds, if the consumer uses the secret only now and then.
    pub uses_every_ms: Option<u64>,
}

/// How a consumer hears of a new credential and answers. [`crate::gate::gives`] says what each may show of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum ConsumerKind {
    /// The workload itself: it fetches, watches and acknowledges by the host's API.
    #[default]
    Client,
    /// A process beside the workload, which delivers to it.
    Agent,
    /// An address that is told, and answers by the host's API.
    Webhook,
    /// What serves the credential: the host looks at each replica.
    Endpoint,
    /// Another store: the host writes there and reads back.
    Sink,
    /// It cannot answer: adoption is seen at the target, or a person vouches for it.
    External,
}

/// What a consumer does with the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConsumerRole {
    /// Presents it.
    Uses,
    /// Accepts what others present: must hold both before commit and drop the old before destroy.
    Verifies,
    /// Another managed secret that derives from this one (a leaf from its CA). It cannot try what is not committed; it
    /// has switched once no live credential of it derives from the old one, which the host itself states.
    Depends,
}

/// Which replicas a consumer has, by an authority that is not the replicas themselves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Members {
    /// Exactly these.
    Listed(Vec<Replica>),
    /// This many distinct ones, whatever their names.
    Count(u32),
}

/// Patience.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stragglers {
    /// How many of the required replicas must have answered.
    pub quorum: Quorum,
    /// How long a stage or a wave is waited for, in milliseconds; `None` waits without end.
    pub deadline_ms: Option<u64>,
    /// What happens at the deadline.
    pub then: AtDeadline,
    /// After how long a hold escalates, in milliseconds.
    pub max_age_ms: Option<u64>,
    /// How long before the credential in use expires nobody is waited for any more who has not tried the new one, in
    /// milliseconds. Not where the new one overwrites it.
    pub before_expiry_ms: u64,
}

/// How many answers suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quorum {
    /// Every required replica.
    All,
    /// This share of the required replicas, 1 to 100, rounded up.
    Percent(u8),
}

/// What to do when stragglers have run out of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AtDeadline {
    /// Wait on, visibly.
    Hold,
    /// Give pending back (before commit) or hold (after).
    Rollback,
    /// Go on without them; recorded as policy.
    Force,
}

/// Replicas switch in waves.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Waves {
    /// Sizes in order; what is left after the last one switches with it.
    pub sizes: Vec<WaveSize>,
    /// How many may be in the middle of switching at once; 0 is no limit.
    pub max_unavailable: u32,
    /// How long a finished wave is watched before the next opens, in milliseconds.
    pub soak_ms: u64,
}

/// Size of one wave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaveSize {
    /// This many replicas.
    Count(u32),
    /// This share of all replicas, 1 to 100, rounded up.
    Percent(u8),
    /// All that are left.
    Rest,
}

/// Limits of repetition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attempts {
    /// Attempts at one step before quarantine, from 1.
    pub cap: u32,
    /// First pause, in milliseconds; doubles each time.
    pub base_ms: u64,
    /// Longest pause, in milliseconds.
    pub max_ms: u64,
}

impl Attempts {
    /// The pause after so many failed attempts, in milliseconds: doubles each time up to the longest.
    #[must_use]
    pub fn pause_ms(&self, failed: u32) -> u64 {
        let doublings = failed.saturating_sub(1).min(63);
        self.base_ms.saturating_mul(1 << doublings).min(self.max_ms)
    }
}

names!(ConsumerKind {
    Client => "client", Agent => "agent", Webhook => "webhook", Endpoint => "endpoint", Sink => "sink",
    External => "external",
});
names!(ConsumerRole { Uses => "uses", Verifies => "verifies", Depends => "depends" });
names!(AtDeadline { Hold => "hold", Rollback => "rollback", Force => "force" });
