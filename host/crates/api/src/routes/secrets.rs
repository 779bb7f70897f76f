//! Where secrets stand: list, status, history. Shows names, states and evidence; never a value.

use super::extract::{Names, Params};
use crate::auth::Operator;
use crate::context::Context;
use crate::limits::MAX_PAGE;
use crate::model::{History, HistoryParams, ListParams, SecretList, SecretStatus};
use crate::problem::{Kind, Problem, ProblemDetails};
use axum::Json;
use axum::extract::State;
use keybaton_engine::ListQuery;
use keybaton_engine::ports::journal::Part;
use keybaton_engine::views::Summary;
use keybaton_protocol::ids::{Namespace, SecretName, Seq};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(history))
}

/// How many, within the bound.
pub(super) fn page(limit: Option<u32>) -> usize {
    limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE) as usize
}

/// One line per secret, by name.
#[utoipa::path(get, path = "/v1/secrets", tag = "operator", security(("bearer" = [])), params(ListParams),
    responses((status = 200, body = SecretList), (status = "default", body = ProblemDetails)))]
async fn list(
    operator: Operator,
    State(context): State<Context>,
    Params(params): Params<ListParams>,
) -> Result<Json<SecretList>, Problem> {
    let limit = page(params.limit);
    let after: Option<SecretName> = params.after.map(|name| name.parse()).transpose()?;
    let wanted: Option<Namespace> = params.namespace.map(|name| name.parse()).transpose()?;
    if let Some(namespace) = &wanted {
        operator.within(namespace.as_str())?;
    }
    // One more than asked tells whether there is another page.
    let mut lines = match (wanted, operator.caller.namespaces) {
        (None, Some(own)) => of_namespaces(&context, own, after.as_ref(), limit + 1),
        (namespace, _) => context.engine().list(&ListQuery { namespace, after, limit: limit + 1 }),
    };
    let more = lines.len() > limit;
    lines.truncate(limit);
    let next = lines.last().filter(|_| more).map(|line| line.secret.clone());
    Ok(Json(SecretList { secrets: lines.into_iter().map(Into::into).collect(), next }))
}

fn of_namespaces(context: &Context, mut own: Vec<Namespace>, after: Option<&SecretName>, limit: usize) -> Vec<Summary> {
    own.sort();
    own.dedup();
    let mut lines = Vec::new();
    for namespace in own {
        if lines.len() >= limit {
            break;
        }
        let query = ListQuery { namespace: Some(namespace), after: after.cloned(), limit: limit - lines.len() };
        lines.extend(context.engine().list(&query));
    }
    lines
}

/// Everything about one secret that may be shown.
#[utoipa::path(get, path = "/v1/secrets/{namespace}/{name}", tag = "operator", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = SecretStatus), (status = "default", body = ProblemDetails)))]
async fn show(
    operator: Operator,
    State(context): State<Context>,
    Names((namespace, name)): Names<(String, String)>,
) -> Result<Json<SecretStatus>, Problem> {
    let secret = operator.secret(&namespace, &name)?;
    Ok(Json(context.engine().status(&secret).await?.into()))
}

/// Everything that happened to one secret, oldest first.
#[utoipa::path(get, path = "/v1/secrets/{namespace}/{name}/history", tag = "operator", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path), HistoryParams),
    responses((status = 200, body = History), (status = "default", body = ProblemDetails)))]
async fn history(
    operator: Operator,
    State(context): State<Context>,
    Names((namespace, name)): Names<(String, String)>,
    Params(params): Params<HistoryParams>,
) -> Result<Json<History>, Problem> {
    let secret = operator.secret(&namespace, &name)?;
    let limit = page(params.limit);
    let part = match (params.after, params.before) {
        (Some(_), Some(_)) => return Err(Problem::new(Kind::Invalid, "a page is after a position or before one")),
        (None, Some(before)) => Part::Before((before > 0).then_some(Seq(before))),
        (after, None) => Part::After(Seq(after.unwrap_or(0))),
    };
    // One more than asked tells whether there is another page.
    let mut entries = context.engine().history(&secret, part, limit + 1).await?;
    let more = entries.len() > limit;
    let (mut next, mut earlier) = (None, None);
    match part {
        Part::After(_) => {
            entries.truncate(limit);
            next = entries.last().filter(|_| more).map(|entry| entry.seq);
        }
        Part::Before(_) => {
            entries.drain(..entries.len().saturating_sub(limit));
            earlier = entries.first().filter(|_| more).map(|entry| entry.seq);
        }
    }
    let events = entries.into_iter().map(Into::into).collect();
    Ok(Json(History { secret: secret.to_string(), events, next, earlier }))
}
