//! What workloads ask: their secrets, a challenge, an acknowledgement. A consumer reaches only secrets of its own
//! namespace that declare it; every other answers alike, existing or not.

use super::events::told;
use super::extract::{Json, Names, Params};
use crate::auth::{Workload, good_still, speaks_for, unauthenticated};
use crate::context::{Context, Open};
use crate::limits::MAX_FETCH_WAIT;
use crate::model::{
    AcknowledgeAnswer, AcknowledgeRequest, ChallengeAnswer, ChallengeRequest, DeliveryDocument, FetchParams,
    OwnSecrets, delivery_document,
};
use crate::problem::{Kind, Problem, ProblemDetails};
use crate::sensitive::answer;
use axum::Json as Answer;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keybaton_engine::EngineError;
use keybaton_engine::requests::{Acknowledgement, Challenge, Fetch, Nonce};
use keybaton_protocol::evidence::{EvidenceKind, Purpose};
use keybaton_protocol::ids::{Generation, SecretName};
use keybaton_protocol::offer::Known;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Bytes of a nonce and of a proof (HMAC-SHA256).
const PROOF_BYTES: usize = 32;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(own))
        .routes(routes!(fetch))
        .routes(routes!(challenge))
        .routes(routes!(acknowledge))
}

/// The secret by this name, if it may be this consumer's at all.
pub(super) fn own_secret(workload: &Workload, name: &str) -> Result<SecretName, Problem> {
    let secret: SecretName = name.parse()?;
    if *secret.namespace() != workload.consumer.namespace {
        let consumer = workload.consumer.name.clone();
        return Err(EngineError::NotYours { secret, consumer }.into());
    }
    Ok(secret)
}

/// The secrets that declare this consumer.
#[utoipa::path(get, path = "/v1/consumer/secrets", tag = "consumer", security(("bearer" = [])),
    responses((status = 200, body = OwnSecrets), (status = "default", body = ProblemDetails)))]
async fn own(workload: Workload, State(context): State<Context>) -> Result<Answer<OwnSecrets>, Problem> {
    let secrets = context.parts().administration.secrets_of(&workload.consumer).await?;
    Ok(Answer(OwnSecrets {
        consumer: workload.consumer.to_string(),
        secrets: secrets.iter().map(ToString::to_string).collect(),
    }))
}

/// What this replica may hold now, with values, and what it is asked to state. The only route that answers values. With
/// `wait_ms` it is answered when there is news for who holds what the query says: fetch again with what came.
#[utoipa::path(get, path = "/v1/consumer/secrets/{namespace}/{name}", tag = "consumer", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path), FetchParams),
    responses((status = 200, body = DeliveryDocument), (status = "default", body = ProblemDetails)))]
async fn fetch(
    workload: Workload,
    State(context): State<Context>,
    Names((namespace, name)): Names<(String, String)>,
    Params(params): Params<FetchParams>,
) -> Result<Response, Problem> {
    let secret = own_secret(&workload, &format!("{namespace}/{name}"))?;
    let fetch = Fetch {
        secret: secret.clone(),
        consumer: workload.consumer.name.clone(),
        replica: params.replica.parse()?,
        incarnation: params.incarnation.parse()?,
    };
    speaks_for(&context, &workload.identity, &fetch.replica).await?;
    let delivery = match waits(&params)? {
        None => context.engine().fetch(fetch).await?,
        Some((known, wait)) => {
            let _slot = context.hold_open(Open::Wait, &workload.identity.id)?;
            let mut stopping = context.stopping();
            let delivery = tokio::select! {
                news = context.engine().fetch_news(fetch.clone(), known, wait) => news?,
                () = told(&mut stopping) => context.engine().fetch(fetch).await?,
                // Before anything is on record as given to it.
                () = context.until_ended(&workload.identity) => {
                    good_still(&context, &workload.identity).await?;
                    return Err(unauthenticated());
                }
            };
            good_still(&context, &workload.identity).await?;
            delivery
        }
    };
    Ok(answer(delivery_document(&secret, &delivery, context.now())))
}

/// For what news a fetch waits, and how long.
fn waits(params: &FetchParams) -> Result<Option<(Known, Duration)>, Problem> {
    let Some(wait_ms) = params.wait_ms else {
        let said = params.holds.is_some() || params.uses.is_some();
        let alone = || Problem::new(Kind::Invalid, "`holds` and `uses` say what a fetch with `wait_ms` knows already");
        return if said { Err(alone()) } else { Ok(None) };
    };
    let numbers = params.holds.as_deref().unwrap_or_default().split(',').filter(|number| !number.is_empty());
    let generations = numbers.map(|number| number.parse().map(Generation)).collect::<Result<_, _>>().map_err(|_| {
        Problem::new(Kind::Invalid, "`holds` must be numbers of generations with commas between them, such as `4,3`")
    })?;
    let known = Known { generations, use_now: params.uses.map(Generation) };
    Ok(Some((known, Duration::from_millis(wait_ms).min(MAX_FETCH_WAIT))))
}

/// A single-use nonce for one statement of one replica.
#[utoipa::path(post, path = "/v1/consumer/challenge", tag = "consumer", security(("bearer" = [])),
    request_body = ChallengeRequest,
    responses((status = 200, body = ChallengeAnswer), (status = "default", body = ProblemDetails)))]
async fn challenge(
    workload: Workload,
    State(context): State<Context>,
    Json(request): Json<ChallengeRequest>,
) -> Result<Answer<ChallengeAnswer>, Problem> {
    let challenge = challenged(&workload, &request)?;
    speaks_for(&context, &workload.identity, &challenge.replica).await?;
    let given = context.engine().challenge(challenge).await?;
    Ok(Answer(ChallengeAnswer {
        nonce: STANDARD.encode(given.nonce.0),
        epoch: given.epoch.0,
        expires_in_ms: given.for_ms,
    }))
}

/// States something about a generation, with the proof that this replica holds it. Uses the nonce up.
#[utoipa::path(post, path = "/v1/consumer/acknowledge", tag = "consumer", security(("bearer" = [])),
    request_body = AcknowledgeRequest,
    responses((status = 200, body = AcknowledgeAnswer), (status = "default", body = ProblemDetails)))]
async fn acknowledge(
    workload: Workload,
    State(context): State<Context>,
    Json(request): Json<AcknowledgeRequest>,
) -> Result<Answer<AcknowledgeAnswer>, Problem> {
    let statement = ChallengeRequest {
        secret: request.secret.clone(),
        replica: request.replica.clone(),
        incarnation: request.incarnation.clone(),
        rotation: request.rotation.clone(),
        generation: request.generation,
        purpose: request.purpose.clone(),
    };
    let kind = EvidenceKind::from_name(&request.evidence)
        .filter(|kind| matches!(kind, EvidenceKind::Store | EvidenceKind::Holder | EvidenceKind::Process))
        .ok_or_else(|| Problem::new(Kind::Invalid, "`evidence` must be `store`, `holder` or `process`"))?;
    let acknowledgement = Acknowledgement {
        challenge: challenged(&workload, &statement)?,
        nonce: Nonce(bytes("nonce", &request.nonce)?),
        proof: bytes("proof", &request.proof)?.to_vec(),
        kind,
        reason: super::capped(&request.reason),
    };
    speaks_for(&context, &workload.identity, &acknowledgement.challenge.replica).await?;
    let accepted = context.engine().acknowledge(acknowledgement).await?;
    Ok(Answer(AcknowledgeAnswer { seq: accepted.seq.0 }))
}

fn challenged(workload: &Workload, request: &ChallengeRequest) -> Result<Challenge, Problem> {
    let purpose = Purpose::from_name(&request.purpose).ok_or_else(|| {
        let known: Vec<_> = Purpose::ALL.iter().map(|purpose| purpose.name()).collect();
        Problem::new(Kind::Invalid, format!("`purpose` must be one of {}", known.join(", ")))
    })?;
    Ok(Challenge {
        secret: own_secret(workload, &request.secret)?,
        consumer: workload.consumer.name.clone(),
        replica: request.replica.parse()?,
        incarnation: request.incarnation.parse()?,
        rotation: request.rotation.parse()?,
        generation: Generation(request.generation),
        purpose,
    })
}

fn bytes(what: &str, text: &str) -> Result<[u8; PROOF_BYTES], Problem> {
    let decoded = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    decoded.ok_or_else(|| Problem::new(Kind::Invalid, format!("`{what}` must be {PROOF_BYTES} bytes in base64")))
}
