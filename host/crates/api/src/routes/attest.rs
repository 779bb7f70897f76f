//! A person's word in place of a machine's evidence: one operator gives it, another approves it, both go on record.

use super::capped;
use super::extract::{Json, Names};
use crate::auth::Operator;
use crate::context::Context;
use crate::limits::MAX_WORD_MINUTES;
use crate::model::{AttestationProposal, AttestationProposals, AttestationRequest, Recorded};
use crate::problem::{Kind, Problem, ProblemDetails};
use crate::proposals;
use crate::tokens::{Token, TokenKind};
use axum::Json as Answer;
use axum::extract::State;
use keybaton_engine::{Proposal, Word};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::ids::{Generation, Millis};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

type Done<T> = Result<Answer<T>, Problem>;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new().routes(routes!(waiting, propose)).routes(routes!(approve)).routes(routes!(withdraw))
}

/// Gives a word; it counts once another operator has approved it.
#[utoipa::path(post, path = "/v1/secrets/{namespace}/{name}/attestations", tag = "people", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)), request_body = AttestationRequest,
    responses((status = 200, body = AttestationProposal), (status = "default", body = ProblemDetails)))]
async fn propose(
    operator: Operator,
    State(context): State<Context>,
    Names((namespace, name)): Names<(String, String)>,
    Json(asked): Json<AttestationRequest>,
) -> Done<AttestationProposal> {
    let secret = operator.secret(&namespace, &name)?;
    let now = context.now();
    let word = word(&operator, &asked, now)?;
    let detail = described(&word);
    let entry = operator.asks(&context, "attest", &secret, &detail);
    let id = Token::draw(TokenKind::Bearer).map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
    let id = id.id().to_owned();
    let inner = context.clone();
    let proposed = async move {
        let replica = inner.engine().may_attest(&secret, word.clone()).await?;
        let one = Proposal { secret, word, replica, proposed_at: now };
        proposals::keep(&inner, &id, &one).await?;
        Ok(proposals::shown(&id, &one))
    };
    context.audited(entry, proposed).await.map(Answer)
}

fn word(operator: &Operator, asked: &AttestationRequest, now: Millis) -> Result<Word, Problem> {
    let purpose = [Purpose::Ready, Purpose::Adopted, Purpose::Released, Purpose::Dropped]
        .into_iter()
        .find(|purpose| purpose.name() == asked.purpose)
        .ok_or_else(|| Problem::new(Kind::Invalid, "`purpose` must be `ready`, `adopted`, `released` or `dropped`"))?;
    let reason = capped(&asked.reason);
    if reason.is_empty() {
        return Err(Problem::new(Kind::Invalid, "an attestation needs a reason: say how it is known"));
    }
    if !(1..=MAX_WORD_MINUTES).contains(&asked.minutes) {
        return Err(Problem::new(Kind::Invalid, format!("`minutes` must be 1 to {MAX_WORD_MINUTES}")));
    }
    Ok(Word {
        consumer: asked.consumer.parse()?,
        replica: asked.replica.as_deref().map(str::parse).transpose()?,
        generation: Generation(asked.generation),
        purpose,
        reason,
        author: operator.author(),
        // Filled in by whoever approves it; until then it is nobody's.
        approver: operator.author(),
        expires_at: now.plus(u64::from(asked.minutes) * 60_000),
    })
}

fn described(word: &Word) -> String {
    let replica = word.replica.as_ref().map_or_else(String::new, |replica| format!("/{replica}"));
    format!("{}{replica} is {} of generation {}: {}", word.consumer, word.purpose, word.generation.0, word.reason)
}

/// Words about this secret that wait for an approval.
#[utoipa::path(get, path = "/v1/secrets/{namespace}/{name}/attestations", tag = "people", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = AttestationProposals), (status = "default", body = ProblemDetails)))]
async fn waiting(
    operator: Operator,
    State(context): State<Context>,
    Names((namespace, name)): Names<(String, String)>,
) -> Done<AttestationProposals> {
    let secret = operator.secret(&namespace, &name)?;
    let all = proposals::about(&context, &secret).await?;
    let proposals = all.iter().map(|(id, one)| proposals::shown(id, one)).collect();
    Ok(Answer(AttestationProposals { proposals }))
}

/// Approves another operator's word: from now on it counts, until it expires.
#[utoipa::path(post, path = "/v1/secrets/{namespace}/{name}/attestations/{id}/approve", tag = "people",
    security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = Recorded), (status = "default", body = ProblemDetails)))]
async fn approve(
    operator: Operator,
    State(context): State<Context>,
    Names((namespace, name, id)): Names<(String, String, String)>,
) -> Done<Recorded> {
    let secret = operator.secret(&namespace, &name)?;
    let entry = operator.asks(&context, "attest.approve", &secret, &format!("attestation {id}"));
    let (inner, approver) = (context.clone(), operator.author());
    let approved = async move {
        let seq = proposals::approve(&inner, (&secret, &id), approver).await?;
        Ok(Recorded { secret: secret.to_string(), seq: seq.0 })
    };
    context.audited(entry, approved).await.map(Answer)
}

/// Withdraws a word that nobody has approved.
#[utoipa::path(delete, path = "/v1/secrets/{namespace}/{name}/attestations/{id}", tag = "people",
    security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = AttestationProposals), (status = "default", body = ProblemDetails)))]
async fn withdraw(
    operator: Operator,
    State(context): State<Context>,
    Names((namespace, name, id)): Names<(String, String, String)>,
) -> Done<AttestationProposals> {
    let secret = operator.secret(&namespace, &name)?;
    let entry = operator.asks(&context, "attest.withdraw", &secret, &format!("attestation {id}"));
    let inner = context.clone();
    let withdrawn = async move {
        let gone = proposals::withdraw(&inner, &secret, &id).await?;
        Ok(AttestationProposals { proposals: vec![proposals::shown(&id, &gone)] })
    };
    context.audited(entry, withdrawn).await.map(Answer)
}
