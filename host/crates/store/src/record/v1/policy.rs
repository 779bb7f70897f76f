//! What a rotation was pinned to: policy, profile, consumers. Holds no rule about them.

use crate::record::mirror::{record_enum, record_struct};
use crate::record::{RecordError, Stored};
use keybaton_protocol::event::Pins;
use keybaton_protocol::policy::{
    Attempts, ConsumerKind, ConsumerPolicy, Members, Policy, Quorum, Stragglers, WaveSize, Waves,
};
use keybaton_protocol::profile::{Overlap, Profile, UsageSignal};

record_enum!(OverlapRecord => Overlap {
    Native(live: u32),
    Alternate(slots: Vec<String>),
    Replace,
    None,
});

record_struct!(UsageRecord => UsageSignal { lag_ms: u64, resolution_ms: u64 });

#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileRecord {
    overlap: OverlapRecord,
    minter: String,
    /// Older hosts wrote it. It follows from `overlap`.
    #[serde(default, skip_serializing, rename = "clobbers_slot")]
    _clobbers_slot: bool,
    soft_disable: bool,
    reinstall: bool,
    promotes: bool,
    usage: Option<UsageRecord>,
    settle_ms: u64,
    #[serde(default, skip_serializing_if = "is_false")]
    replaces: bool,
}

impl Stored<Profile> for ProfileRecord {
    fn store(model: &Profile) -> Self {
        let Profile { overlap, minter, soft_disable, reinstall, promotes, usage, settle_ms, replaces } = model;
        Self {
            overlap: Stored::store(overlap),
            minter: Stored::store(minter),
            _clobbers_slot: false,
            soft_disable: *soft_disable,
            reinstall: *reinstall,
            promotes: *promotes,
            usage: Stored::store(usage),
            settle_ms: *settle_ms,
            replaces: *replaces,
        }
    }

    fn load(self) -> Result<Profile, RecordError> {
        Ok(Profile {
            overlap: self.overlap.load()?,
            minter: self.minter.load()?,
            soft_disable: self.soft_disable,
            reinstall: self.reinstall,
            promotes: self.promotes,
            usage: self.usage.load()?,
            settle_ms: self.settle_ms,
            replaces: self.replaces,
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(length_ms: &u64) -> bool {
    *length_ms == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_false(truth: &bool) -> bool {
    !*truth
}

record_enum!(MembersRecord => Members {
    Listed(replicas: Vec<String>),
    Count(replicas: u32),
});

fn client() -> String {
    ConsumerKind::Client.name().to_owned()
}

fn is_client(kind: &str) -> bool {
    kind == ConsumerKind::Client.name()
}

record_struct!(ConsumerRecord => ConsumerPolicy {
    name: String,
    #[serde(default = "client", skip_serializing_if = "is_client")]
    kind: String,
    role: String,
    required: bool,
    members: MembersRecord,
    ready: String,
    adopted: String,
    uses_every_ms: Option<u64>,
});

record_enum!(QuorumRecord => Quorum {
    All,
    Percent(share: u8),
});

record_struct!(StragglersRecord => Stragglers {
    quorum: QuorumRecord,
    deadline_ms: Option<u64>,
    then: String,
    max_age_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "is_none")]
    before_expiry_ms: u64,
});

record_enum!(WaveSizeRecord => WaveSize {
    Count(replicas: u32),
    Percent(share: u8),
    Rest,
});

record_struct!(WavesRecord => Waves { sizes: Vec<WaveSizeRecord>, max_unavailable: u32, soak_ms: u64 });

record_struct!(AttemptsRecord => Attempts { cap: u32, base_ms: u64, max_ms: u64 });

record_struct!(PolicyRecord => Policy {
    consumers: Vec<ConsumerRecord>,
    stragglers: StragglersRecord,
    waves: WavesRecord,
    overlap_min_ms: u64,
    quiet_ms: u64,
    soak_ms: u64,
    staged_lease_ms: u64,
    attempts: AttemptsRecord,
    call_timeout_ms: u64,
    accept_gap: bool,
});

record_struct!(PinsRecord => Pins {
    spec: String,
    plugin: String,
    component: String,
    profile: ProfileRecord,
    policy: PolicyRecord,
    settings: String,
    target: String,
    places: Vec<String>,
});
