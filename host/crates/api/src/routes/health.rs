//! Health, readiness, metrics, the authority's certificate and the OpenAPI document. Nothing here names a secret.

use crate::auth::Observer;
use crate::context::Context;
use crate::model::Health;
use crate::problem::{Problem, ProblemDetails};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .routes(routes!(authority))
}

/// The document itself; made once.
pub(super) fn document(document: OpenApi) -> Router<Context> {
    Router::new().route("/v1/openapi.json", get(async move || Json(document.clone())))
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = Health)))]
async fn healthz() -> Json<Health> {
    Json(Health { status: "ok".to_owned() })
}

/// The store answers and the engine runs.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, body = Health), (status = "default", body = ProblemDetails)))]
async fn readyz(State(context): State<Context>) -> Result<Json<Health>, Problem> {
    context.parts().administration.ready().await?;
    Ok(Json(Health { status: "ok".to_owned() }))
}

/// Metrics as OpenMetrics text: with an operator's token, or by anybody on the Unix socket.
#[utoipa::path(get, path = "/metrics", tag = "health", security(("bearer" = []), ()),
    responses((status = 200, content_type = "application/openmetrics-text", body = String),
        (status = "default", body = ProblemDetails)))]
async fn metrics(_: Observer, State(context): State<Context>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], context.engine().metrics())
}

/// The certificate of the host's authority, PEM. Public; compare its key with the pin before trusting it.
#[utoipa::path(get, path = "/v1/ca", tag = "enrolment",
    responses((status = 200, content_type = "application/x-pem-file", body = String)))]
async fn authority(State(context): State<Context>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/x-pem-file")], context.parts().ca_pem.clone())
}
