//! How calls ended, and what consumers said. Secrets appear only as the labels they are sealed under.

use crate::record::mirror::{record_enum, record_struct};
use crate::record::v1::policy::is_false;
use keybaton_protocol::event::{HoldReason, HostAnswer, Live, Minted, Outcome, RetireCause};
use keybaton_protocol::evidence::{Attestation, Evidence};
use keybaton_protocol::fault::Fault;

record_struct!(LiveRecord => Live {
    id: String,
    slot: Option<String>,
    active: bool,
    created_at: Option<u64>,
    expires_at: Option<u64>,
    last_used_at: Option<u64>,
    live_uses: Option<u32>,
});

record_struct!(MintedRecord => Minted {
    id: Option<String>,
    attributes: Vec<(String, String)>,
    facts: Vec<(String, String)>,
    fields: Vec<(String, String)>,
});

record_struct!(FaultRecord => Fault {
    class: String,
    blame: String,
    code: String,
    message: String,
    retry_after_ms: Option<u64>,
});

record_enum!(OutcomeRecord => Outcome {
    Created(minted: MintedRecord),
    Done(facts: Vec<(String, String)>),
    Works,
    Refused(reason: String),
    Observed { began_at: u64, live: Vec<LiveRecord> },
    Failed(fault: FaultRecord),
});

record_enum!(HostAnswerRecord => HostAnswer { Answered, NotDone, Lost });

record_enum!(RetireCauseRecord => RetireCause { Superseded, RolledBack, Ended, Orphan, Compromised });

record_enum!(HoldReasonRecord => HoldReason {
    Stragglers, Drift, Quota, Reconcile, Quarantined, Cried, WaveFailed, Irreversible, Operator,
});

record_struct!(AttestationRecord => Attestation { author: String, approver: String, expires_at: u64 });

record_struct!(EvidenceRecord => Evidence {
    consumer: String,
    replica: String,
    incarnation: String,
    generation: u32,
    purpose: String,
    kind: String,
    reason: String,
    attested: Option<AttestationRecord>,
    #[serde(default, skip_serializing_if = "is_false")]
    witnessed: bool,
});
