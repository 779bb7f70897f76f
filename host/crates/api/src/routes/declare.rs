//! Declarations, plugins and connections: what the host is told to do, and by what means. These take longer than
//! other routes, and carry more.

use super::capped;
use super::extract::{Json, LargeJson, Names, Upload};
use crate::auth::Operator;
use crate::context::Context;
use crate::limits::MAX_SIGNATURE_CHARS;
use crate::model::{
    ApplyReport, ApplyRequest, ApproveRequest, ConnectionTest, Connections, PlanReport, PlanRequest, PluginView,
    Plugins,
};
use crate::ports::ApplyOrder;
use crate::problem::{Kind, Problem, ProblemDetails};
use axum::Json as Answer;
use axum::extract::State;
use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Header that carries a component's signature file, as base64.
const SIGNATURE: &str = "keybaton-signature";

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(plan))
        .routes(routes!(apply))
        .routes(routes!(plugins, add_plugin))
        .routes(routes!(approve_plugin))
        .routes(routes!(connections))
        .routes(routes!(test_connection))
}

/// What these declarations would change, what blocks them and what they weaken. Changes nothing.
#[utoipa::path(post, path = "/v1/plan", tag = "declare", security(("bearer" = [])), request_body = PlanRequest,
    responses((status = 200, body = PlanReport), (status = "default", body = ProblemDetails)))]
async fn plan(
    operator: Operator,
    State(context): State<Context>,
    LargeJson(asked): LargeJson<PlanRequest>,
) -> Result<Answer<PlanReport>, Problem> {
    let report = context.parts().administration.plan(asked.files, asked.prune, &operator.caller).await?;
    Ok(Answer(report))
}

/// Puts declarations into force: all or none.
#[utoipa::path(post, path = "/v1/apply", tag = "declare", security(("bearer" = [])), request_body = ApplyRequest,
    responses((status = 200, body = ApplyReport), (status = "default", body = ProblemDetails)))]
async fn apply(
    operator: Operator,
    State(context): State<Context>,
    LargeJson(asked): LargeJson<ApplyRequest>,
) -> Result<Answer<ApplyReport>, Problem> {
    let ApplyRequest { files, allow_weaker, prune } = asked;
    let flags = [(allow_weaker, "weaker allowed"), (prune, "prune")];
    let flags: Vec<_> = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
    let entry = operator.asks(&context, "apply", &format!("{} files", files.len()), &flags.join(", "));
    let administration = context.parts().administration.clone();
    let order = ApplyOrder { files, allow_weaker, prune };
    let applied = async move { Ok(administration.apply(order, &operator.caller).await?) };
    context.audited(entry, applied).await.map(Answer)
}

/// Plugins: added, approved, in use.
#[utoipa::path(get, path = "/v1/plugins", tag = "declare", security(("bearer" = [])),
    responses((status = 200, body = Plugins), (status = "default", body = ProblemDetails)))]
async fn plugins(_: Operator, State(context): State<Context>) -> Result<Answer<Plugins>, Problem> {
    Ok(Answer(Plugins { plugins: context.parts().administration.plugins().await? }))
}

/// Keeps a component and shows what it asks for. Loads nothing, grants nothing.
#[utoipa::path(post, path = "/v1/plugins", tag = "declare", security(("bearer" = [])),
    params(("keybaton-signature" = Option<String>, Header,
        description = "The component's signature file (`ssh-keygen -Y sign -n keybaton-plugin`), as base64.")),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 200, body = PluginView), (status = "default", body = ProblemDetails)))]
async fn add_plugin(
    operator: Operator,
    State(context): State<Context>,
    headers: HeaderMap,
    Upload(component): Upload,
) -> Result<Answer<PluginView>, Problem> {
    operator.everywhere()?;
    let signature = signature(&headers)?;
    let detail = if signature.is_some() { "with a signature" } else { "" };
    let entry = operator.asks(&context, "plugin.add", &format!("{} bytes", component.len()), detail);
    let administration = context.parts().administration.clone();
    let added = async move { Ok(administration.add_plugin(component, signature).await?) };
    context.audited(entry, added).await.map(Answer)
}

fn signature(headers: &HeaderMap) -> Result<Option<Vec<u8>>, Problem> {
    let Some(value) = headers.get(SIGNATURE) else { return Ok(None) };
    if value.len() > MAX_SIGNATURE_CHARS {
        let what = format!("the signature has more than {MAX_SIGNATURE_CHARS} characters; nothing was kept");
        return Err(Problem::new(Kind::TooLarge, what));
    }
    let decoded = STANDARD.decode(value.as_bytes());
    let decoded = decoded.map_err(|error| format!("`{SIGNATURE}` is not base64 ({error}); nothing was kept"));
    decoded.map(Some).map_err(|what| Problem::new(Kind::Malformed, what))
}

/// Grants what a plugin asks for, and locks its digest and whose signature its next version must carry.
#[utoipa::path(post, path = "/v1/plugins/{name}/approve", tag = "declare", security(("bearer" = [])),
    params(("name" = String, Path)), request_body = ApproveRequest,
    responses((status = 200, body = PluginView), (status = "default", body = ProblemDetails)))]
async fn approve_plugin(
    operator: Operator,
    State(context): State<Context>,
    Names(name): Names<String>,
    Json(asked): Json<ApproveRequest>,
) -> Result<Answer<PluginView>, Problem> {
    operator.everywhere()?;
    let digest = asked.digest.as_deref().unwrap_or("the newest that was added");
    let signer = match &asked.signer {
        Some(key) => format!(", signed by {}", capped(key)),
        None if asked.unsigned => ", unsigned".to_owned(),
        None => String::new(),
    };
    let entry = operator.asks(&context, "plugin.approve", &name, &format!("{digest}{signer}"));
    let administration = context.parts().administration.clone();
    let approved = async move { Ok(administration.approve_plugin(&name, asked, &operator.caller).await?) };
    context.audited(entry, approved).await.map(Answer)
}

/// Connections, without their admin identities.
#[utoipa::path(get, path = "/v1/connections", tag = "declare", security(("bearer" = [])),
    responses((status = 200, body = Connections), (status = "default", body = ProblemDetails)))]
async fn connections(operator: Operator, State(context): State<Context>) -> Result<Answer<Connections>, Problem> {
    operator.everywhere()?;
    Ok(Answer(Connections { connections: context.parts().administration.connections().await? }))
}

/// Logs in as the connection's admin and comes back.
#[utoipa::path(post, path = "/v1/connections/{name}/test", tag = "declare", security(("bearer" = [])),
    params(("name" = String, Path)),
    responses((status = 200, body = ConnectionTest), (status = "default", body = ProblemDetails)))]
async fn test_connection(
    operator: Operator,
    State(context): State<Context>,
    Names(name): Names<String>,
) -> Result<Answer<ConnectionTest>, Problem> {
    operator.everywhere()?;
    let entry = operator.asks(&context, "connection.test", &name, "");
    let administration = context.parts().administration.clone();
    let tested = async move { Ok(administration.test_connection(&name).await?) };
    context.audited(entry, tested).await.map(Answer)
}
