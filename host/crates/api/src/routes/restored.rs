//! Secrets that are held by a restore: the list of comparisons, and a person's word that one is lost.

use super::extract::{Json, Names};
use crate::auth::Operator;
use crate::context::Context;
use crate::model::{Comparison, Comparisons, Reasoned, Recorded};
use crate::problem::{Kind, Problem, ProblemDetails};
use axum::Json as Answer;
use axum::extract::State;
use keybaton_protocol::ids::SecretName;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(compared)).routes(routes!(accept_lost))
}

/// Every secret that is held by a restore: how it compares with its target, and what to do next.
#[utoipa::path(get, path = "/v1/restored", tag = "operator", security(("bearer" = [])),
    responses((status = 200, body = Comparisons), (status = "default", body = ProblemDetails)))]
async fn list(operator: Operator, State(context): State<Context>) -> Result<Answer<Comparisons>, Problem> {
    let all = context.engine().comparisons().await?;
    let own = |secret: &str| {
        let name = secret.parse::<SecretName>();
        name.is_ok_and(|name| operator.within(name.namespace().as_str()).is_ok())
    };
    let secrets = all.into_iter().filter(|one| own(&one.secret)).map(Comparison::from).collect();
    Ok(Answer(Comparisons { secrets }))
}

/// How one secret compares; an empty list where it is not held by a restore.
#[utoipa::path(get, path = "/v1/secrets/{namespace}/{name}/restored", tag = "operator", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Comparisons), (status = "default", body = ProblemDetails)))]
async fn compared(
    operator: Operator,
    State(context): State<Context>,
    Names((namespace, name)): Names<(String, String)>,
) -> Result<Answer<Comparisons>, Problem> {
    let secret = operator.secret(&namespace, &name)?;
    let one = context.engine().comparison(&secret).await?;
    Ok(Answer(Comparisons { secrets: one.into_iter().map(Comparison::from).collect() }))
}

/// Accepts that what a restored journal knows is lost, because the target refuses it. Nothing is current any more, and
/// nothing at the target is touched.
#[utoipa::path(post, path = "/v1/secrets/{namespace}/{name}/accept-lost", tag = "operator", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)), request_body = Reasoned,
    responses((status = 200, body = Recorded), (status = "default", body = ProblemDetails)))]
async fn accept_lost(
    operator: Operator,
    State(context): State<Context>,
    Names((namespace, name)): Names<(String, String)>,
    Json(asked): Json<Reasoned>,
) -> Result<Answer<Recorded>, Problem> {
    let secret = operator.secret(&namespace, &name)?;
    let reason = super::capped(&asked.reason);
    if reason.is_empty() {
        return Err(Problem::new(Kind::Invalid, "to accept a loss needs a reason"));
    }
    let entry = operator.asks(&context, "accept-lost", &secret, &reason);
    let (engine, author) = (context.engine().clone(), operator.author());
    let accepted = async move {
        let seq = engine.accept_lost(&secret, reason, author).await?;
        Ok(Recorded { secret: secret.to_string(), seq: seq.0 })
    };
    context.audited(entry, accepted).await.map(Answer)
}
