//! Every route, and what surrounds them: time limits, spans without queries or bodies, and the OpenAPI document.
//! There is no route by which an operator reads a value, and none that is not in the document.

mod attest;
mod command;
mod consumers;
mod declare;
mod enrol;
mod events;
mod extract;
mod health;
mod host;
mod operators;
mod people;
mod restored;
mod secrets;
mod workload;

use crate::context::{Context, Peer};
use crate::limits::{LONG_REQUEST_TIMEOUT, MAX_REASON_CHARS, REQUEST_TIMEOUT};
use crate::problem::{Kind, Problem};
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use std::time::{Duration, Instant};
use tracing::Instrument;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// The router, with the document at `/v1/openapi.json`.
pub fn router(context: &Context) -> Router {
    let (router, document) = parts();
    router
        .merge(health::document(document))
        .fallback(async || Problem::new(Kind::NoRoute, "there is no such route; see /v1/openapi.json"))
        .method_not_allowed_fallback(async || Problem::new(Kind::Method, "see /v1/openapi.json"))
        .layer(from_fn(traced))
        .with_state(context.clone())
}

/// The OpenAPI document, generated from the routes.
#[must_use]
pub fn openapi() -> OpenApi {
    parts().1
}

fn parts() -> (Router<Context>, OpenApi) {
    let ordinary = OpenApiRouter::new()
        .merge(health::routes())
        .merge(enrol::routes())
        .merge(workload::routes())
        .merge(secrets::routes())
        .merge(command::routes())
        .merge(people::routes())
        .merge(attest::routes())
        .merge(restored::routes())
        .merge(consumers::routes())
        .merge(operators::routes())
        .merge(host::routes())
        .layer(from_fn(async |request: Request, next: Next| within(REQUEST_TIMEOUT, request, next).await));
    let long = OpenApiRouter::new()
        .merge(declare::routes())
        .merge(host::long_routes())
        .layer(from_fn(async |request: Request, next: Next| within(LONG_REQUEST_TIMEOUT, request, next).await));
    OpenApiRouter::with_openapi(crate::openapi::base())
        .merge(ordinary)
        .merge(long)
        .merge(events::routes())
        .split_for_parts()
}

async fn within(limit: Duration, request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(limit, next.run(request)).await;
    answered.unwrap_or_else(|_| {
        Problem::new(Kind::Timeout, format!("not read and answered within {} s", limit.as_secs())).into_response()
    })
}

/// A span per request: method, route and peer. Neither the query nor a header nor a body is ever in it.
async fn traced(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let peer = request.extensions().get::<Peer>().map_or_else(String::new, ToString::to_string);
    let span = tracing::info_span!("request", method = %request.method(), route, peer);
    let started = Instant::now();
    async move {
        let response = next.run(request).await;
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(status = response.status().as_u16(), elapsed_ms, "answered");
        response
    }
    .instrument(span)
    .await
}

/// A person's or a workload's text, cut and without control characters, fit for a journal and a log.
pub(crate) fn capped(text: &str) -> String {
    let printable = text.chars().map(|one| if one.is_control() { ' ' } else { one });
    printable.take(MAX_REASON_CHARS).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_cleaned() {
        assert_eq!(capped("  a\nb\u{7}c  "), "a b c");
        assert_eq!(capped(&"é".repeat(10_000)).chars().count(), MAX_REASON_CHARS);
    }
}
