//! What workloads fetch, watch and state. The delivery itself is written by hand (see `sensitive`): the types here
//! describe it for the OpenAPI document and cannot be serialized.

use crate::sensitive::Draft;
use keybaton_engine::requests::Delivery;
use keybaton_protocol::ids::{Millis, SecretName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

/// Who fetches, and whether it waits for news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct FetchParams {
    /// Which instance, as its membership authority names it.
    pub replica: String,
    /// Which life of it: drawn anew at each start of the process.
    pub incarnation: String,
    /// Answer once something is asked of this replica, or it may read other generations than `holds`, or is to use
    /// another than `uses`; at the latest after this many milliseconds, and after 20 seconds. Absent: at once.
    pub wait_ms: Option<u64>,
    /// With `wait_ms`: the generations of the last answer, with commas between them.
    pub holds: Option<String>,
    /// With `wait_ms`: the one of them that was to be used.
    pub uses: Option<u32>,
}

/// What a replica may hold now, and what it is asked to state.
#[derive(Debug, ToSchema)]
#[schema(as = Delivery)]
#[expect(dead_code, reason = "describes a document that is written by hand into zeroized memory")]
pub struct DeliveryDocument {
    /// `namespace/name`.
    secret: String,
    /// The installation's epoch; part of every proof.
    epoch: u32,
    /// Position of the journal that this answers for.
    seq: u64,
    /// Newest first; empty before the first credential exists.
    generations: Vec<DeliveredDocument>,
    /// What the host waits for from this replica.
    asks: Vec<AskDocument>,
    /// How long a pending generation may be held without fetching it again; after the switch, how long a replica that is
    /// one of a number may be silent before it counts no longer. Absent while nothing depends on it.
    staged_lease_ms: Option<u64>,
    /// How long this was waited for, of the time since it was asked for: the lease runs from then on.
    waited_ms: u64,
}

/// One generation with its values.
#[derive(Debug, ToSchema)]
#[schema(as = Delivered)]
#[expect(dead_code, reason = "describes a document that is written by hand into zeroized memory")]
pub struct DeliveredDocument {
    /// Its number.
    generation: u32,
    /// `pending`, `current` or `previous`.
    role: String,
    /// This replica is to use this one now.
    use_now: bool,
    /// The target accepts it by now: a trial makes sense.
    live: bool,
    /// Public fields.
    attributes: BTreeMap<String, String>,
    /// Secret fields, base64; empty where keybaton does not know the value.
    fields: BTreeMap<String, String>,
    /// 32 bytes, base64, for proofs.
    salt: String,
}

/// Something the host waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Ask)]
pub struct AskDocument {
    /// `ready`, `adopted`, `released`, `dropped`, …
    pub purpose: String,
    /// About which generation.
    pub generation: u32,
    /// In which rotation.
    pub rotation: String,
    /// When the host's patience ends, in milliseconds from now; absent: never.
    pub patience_ms: Option<u64>,
}

/// Writes a delivery into memory that is zeroized on drop.
#[must_use]
pub fn delivery_document(secret: &SecretName, delivery: &Delivery, now: Millis) -> Zeroizing<Vec<u8>> {
    let mut draft = Draft::default();
    draft.text("{\"secret\":").json(&secret.to_string());
    draft.text(",\"epoch\":").json(&delivery.epoch.0).text(",\"seq\":").json(&delivery.seq.0);
    draft.text(",\"generations\":[");
    for (index, one) in delivery.generations.iter().enumerate() {
        let attributes: BTreeMap<_, _> = one.attributes.iter().map(|(name, value)| (name, value)).collect();
        draft.text(if index == 0 { "{" } else { ",{" });
        draft.text("\"generation\":").json(&one.generation.0).text(",\"role\":").json(&one.role);
        draft.text(",\"use_now\":").json(&one.use_now).text(",\"live\":").json(&one.live);
        draft.text(",\"attributes\":").json(&attributes);
        draft.text(",\"fields\":{");
        for (index, (name, value)) in one.fields.iter().enumerate() {
            draft.text(if index == 0 { "" } else { "," }).json(name).text(":").base64(value.expose());
        }
        draft.text("},\"salt\":").base64(one.salt.expose()).text("}");
    }
    let asks: Vec<_> = delivery
        .asks
        .iter()
        .map(|ask| AskDocument {
            purpose: ask.purpose.name().to_owned(),
            generation: ask.generation.0,
            rotation: ask.rotation.to_string(),
            patience_ms: ask.deadline.map(|deadline| deadline.since(now)),
        })
        .collect();
    draft.text("],\"asks\":").json(&asks);
    draft.text(",\"staged_lease_ms\":").json(&delivery.staged_lease_ms);
    draft.text(",\"waited_ms\":").json(&delivery.waited_ms).text("}");
    draft.finish()
}

/// The secrets that declare this consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnSecrets {
    /// `namespace/name` of the consumer.
    pub consumer: String,
    /// `namespace/name` each.
    pub secrets: Vec<String>,
}

/// A replica is about to state something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// `namespace/name`.
    pub secret: String,
    /// Which instance.
    pub replica: String,
    /// Which life of it.
    pub incarnation: String,
    /// In which rotation, as asked.
    pub rotation: String,
    /// About which generation.
    pub generation: u32,
    /// `ready`, `failed`, `adopted`, `released`, `dropped` or `cry`.
    pub purpose: String,
}

/// Single-use randomness that the proof is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChallengeAnswer {
    /// 32 bytes, base64.
    pub nonce: String,
    /// To be put under the proof.
    pub epoch: u32,
    /// The nonce is refused after this long.
    pub expires_in_ms: u64,
}

/// A statement with its proof of possession.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcknowledgeRequest {
    /// `namespace/name`.
    pub secret: String,
    /// Which instance.
    pub replica: String,
    /// Which life of it.
    pub incarnation: String,
    /// In which rotation, as challenged.
    pub rotation: String,
    /// About which generation.
    pub generation: u32,
    /// As challenged.
    pub purpose: String,
    /// The nonce that was given, base64.
    pub nonce: String,
    /// 32 bytes, base64.
    pub proof: String,
    /// Whose account it is: `store`, `holder` or `process`.
    pub evidence: String,
    /// With `failed` and `cry`: why. Cut to 500 characters.
    #[serde(default)]
    pub reason: String,
}

impl std::fmt::Debug for AcknowledgeRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AcknowledgeRequest")
            .field("secret", &self.secret)
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

/// The statement is in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcknowledgeAnswer {
    /// Where.
    pub seq: u64,
}

/// Which secrets to watch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WatchParams {
    /// Only this one; absent: all that declare this consumer.
    pub secret: Option<String>,
}
