//! How credentials, calls and replicas stand at rest. Holds names, numbers and labels, never a value.

use super::outcome::{AttestationRecord, FaultRecord};
use crate::record::mirror::{record_enum, record_struct};
use keybaton_protocol::calls::{CallState, Effort, Touched, Tries};
use keybaton_protocol::generation::{Exposure, Standing, Verified, Word};
use keybaton_protocol::membership::{ReplicaState, Statement};

record_enum!(VerifiedRecord => Verified { Untried, Works, Refused { at: u64, reason: String } });

record_struct!(StandingRecord => Standing {
    liveness: String,
    id: Option<String>,
    installed: bool,
    changed_at: u64,
    changed_by: u32,
    verified: VerifiedRecord,
    seen_at: u64,
    promoted: bool,
    destroying: bool,
});

record_struct!(ExposureRecord => Exposure { at_once: bool });

record_enum!(WordRecord => Word { Expired, Policy, Person, Untried });

record_enum!(CallStateRecord => CallState { Running, Interrupted { at: u64 }, Doubt { until: u64 }, Closed });

record_struct!(TouchedRecord => Touched { generation: u32, before: StandingRecord, after: StandingRecord });

record_struct!(EffortRecord => Effort { kind: String, generation: u32, place: String, orphan: Option<String> });

record_struct!(TriesRecord => Tries { count: u32, not_before: u64, fault: FaultRecord, exhausted: bool });

record_struct!(StatementRecord => Statement {
    kind: String,
    at: u64,
    reason: String,
    attested: Option<AttestationRecord>,
});

record_struct!(ReplicaRecord => ReplicaState {
    incarnation: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    past: Vec<String>,
    heard: u64,
    twice: Option<u64>,
    left: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fetched: Vec<(u32, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inherited: Vec<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cried: Vec<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ready: Vec<(u32, StatementRecord)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failed: Vec<(u32, StatementRecord)>,
    adopted: Option<(u32, StatementRecord)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    released: Vec<(u32, StatementRecord)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<(u32, StatementRecord)>,
});
