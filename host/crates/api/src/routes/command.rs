//! What operators ask of one secret. Each request is audited before it is carried out and after; none answers a value.

use super::extract::{Json, Names, SecretJson};
use crate::auth::Operator;
use crate::context::Context;
use crate::model::{Begun, CompromiseRequest, ImportRequest, OverrideRequest, Reasoned, Recorded};
use crate::problem::{Kind, Problem, ProblemDetails};
use axum::Json as Answer;
use axum::extract::State;
use keybaton_engine::Import;
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_protocol::command::Command;
use keybaton_protocol::ids::{Generation, SecretName};
use keybaton_protocol::step::PlanKind;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

type Name = Names<(String, String)>;
type Done<T> = Result<Answer<T>, Problem>;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(rotate))
        .routes(routes!(issue))
        .routes(routes!(retire))
        .routes(routes!(import))
        .routes(routes!(rollback))
        .routes(routes!(revert))
        .routes(routes!(abandon))
        .routes(routes!(release))
        .routes(routes!(override_gate))
        .routes(routes!(compromise))
        .routes(routes!(freeze))
        .routes(routes!(thaw))
        .routes(routes!(reconcile))
}

async fn begin(operator: Operator, context: Context, name: Name, kind: PlanKind, reason: &str) -> Done<Begun> {
    let Names((namespace, name)) = name;
    let secret = operator.secret(&namespace, &name)?;
    let entry = operator.asks(&context, kind.name(), &secret, reason);
    let (engine, author) = (context.engine().clone(), operator.author());
    let begun = async move {
        let rotation = engine.begin(&secret, kind, "operator", author).await?;
        Ok(Begun { secret: secret.to_string(), rotation: rotation.to_string() })
    };
    context.audited(entry, begun).await.map(Answer)
}

async fn send(
    operator: &Operator,
    context: &Context,
    secret: SecretName,
    action: &str,
    detail: &str,
    command: Command,
) -> Done<Recorded> {
    let entry = operator.asks(context, action, &secret, detail);
    let engine = context.engine().clone();
    let sent = async move {
        let seq = engine.command(&secret, command).await?;
        Ok(Recorded { secret: secret.to_string(), seq: seq.0 })
    };
    context.audited(entry, sent).await.map(Answer)
}

macro_rules! begins {
    ($($(#[$doc:meta])* $handler:ident = $path:literal, $kind:ident;)+) => {$(
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "operator", security(("bearer" = [])),
            params(("namespace" = String, Path), ("name" = String, Path)), request_body = Reasoned,
            responses((status = 200, body = Begun), (status = "default", body = ProblemDetails)))]
        async fn $handler(
            operator: Operator,
            State(context): State<Context>,
            name: Name,
            Json(asked): Json<Reasoned>,
        ) -> Done<Begun> {
            begin(operator, context, name, PlanKind::$kind, &asked.reason).await
        }
    )+};
}
begins! {
    /// Starts a rotation now.
    rotate = "/v1/secrets/{namespace}/{name}/rotate", Rotate;
    /// Makes the first credential of a secret.
    issue = "/v1/secrets/{namespace}/{name}/issue", Issue;
    /// Ends a secret: consumers release it, then it is destroyed at the target.
    retire = "/v1/secrets/{namespace}/{name}/retire", Retire;
}

macro_rules! reasoned {
    ($($(#[$doc:meta])* $handler:ident = $path:literal, $command:ident;)+) => {$(
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "operator", security(("bearer" = [])),
            params(("namespace" = String, Path), ("name" = String, Path)), request_body = Reasoned,
            responses((status = 200, body = Recorded), (status = "default", body = ProblemDetails)))]
        async fn $handler(
            operator: Operator,
            State(context): State<Context>,
            Names((namespace, name)): Name,
            Json(asked): Json<Reasoned>,
        ) -> Done<Recorded> {
            let secret = operator.secret(&namespace, &name)?;
            let reason = super::capped(&asked.reason);
            let command = Command::$command { reason: reason.clone(), author: operator.author() };
            send(&operator, &context, secret, stringify!($handler), &reason, command).await
        }
    )+};
}
reasoned! {
    /// Gives the pending credential back.
    rollback = "/v1/secrets/{namespace}/{name}/rollback", Rollback;
    /// Puts the previous credential back after commit.
    revert = "/v1/secrets/{namespace}/{name}/revert", Revert;
    /// Leaves a rotation; the secret becomes startable.
    abandon = "/v1/secrets/{namespace}/{name}/abandon", Abandon;
}

macro_rules! plain {
    ($($(#[$doc:meta])* $handler:ident = $path:literal, $command:ident;)+) => {$(
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "operator", security(("bearer" = [])),
            params(("namespace" = String, Path), ("name" = String, Path)),
            responses((status = 200, body = Recorded), (status = "default", body = ProblemDetails)))]
        async fn $handler(
            operator: Operator,
            State(context): State<Context>,
            Names((namespace, name)): Name,
        ) -> Done<Recorded> {
            let secret = operator.secret(&namespace, &name)?;
            let command = Command::$command { author: operator.author() };
            send(&operator, &context, secret, stringify!($handler), "", command).await
        }
    )+};
}
plain! {
    /// Lifts a hold.
    release = "/v1/secrets/{namespace}/{name}/release", Release;
    /// Starts no new mutation on this secret.
    freeze = "/v1/secrets/{namespace}/{name}/freeze", Freeze;
    /// Allows mutations again.
    thaw = "/v1/secrets/{namespace}/{name}/thaw", Thaw;
}

/// Takes over a credential that exists: sealed, observed and verified; nothing changes at the target. The values in
/// the request are written only: no route ever answers them to an operator.
#[utoipa::path(post, path = "/v1/secrets/{namespace}/{name}/import", tag = "operator", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)), request_body = ImportRequest,
    responses((status = 200, body = Begun), (status = "default", body = ProblemDetails)))]
async fn import(
    operator: Operator,
    State(context): State<Context>,
    Names((namespace, name)): Name,
    SecretJson(asked): SecretJson<ImportRequest>,
) -> Done<Begun> {
    let secret = operator.secret(&namespace, &name)?;
    if asked.unknown != asked.fields.is_empty() {
        return Err(Problem::new(Kind::Invalid, "give at least one secret field, or say `unknown`, not both"));
    }
    if asked.fields.values().any(crate::model::WriteOnly::is_empty) {
        return Err(Problem::new(Kind::Invalid, "a secret field is empty"));
    }
    let names = asked.fields.keys().cloned().collect::<Vec<_>>().join(", ");
    let entry = operator.asks(&context, "import", &secret, &format!("secret fields: {names}"));
    let import = Import {
        id: asked.id.map(|id| id.parse()).transpose()?,
        slot: asked.slot.map(|slot| slot.parse()).transpose()?,
        fields: asked.fields.into_iter().map(|(name, value)| (name, SecretBytes::new(value.into_bytes()))).collect(),
        attributes: asked.attributes.into_iter().collect(),
        author: operator.author(),
    };
    let engine = context.engine().clone();
    let imported = async move {
        let rotation = engine.import(&secret, import).await?;
        Ok(Begun { secret: secret.to_string(), rotation: rotation.to_string() })
    };
    context.audited(entry, imported).await.map(Answer)
}

/// Lets a credential end without the evidence its gate asks for. Recorded with name and reason.
#[utoipa::path(post, path = "/v1/secrets/{namespace}/{name}/override", tag = "operator", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)), request_body = OverrideRequest,
    responses((status = 200, body = Recorded), (status = "default", body = ProblemDetails)))]
async fn override_gate(
    operator: Operator,
    State(context): State<Context>,
    Names((namespace, name)): Name,
    Json(asked): Json<OverrideRequest>,
) -> Done<Recorded> {
    let secret = operator.secret(&namespace, &name)?;
    let reason = super::capped(&asked.reason);
    if reason.is_empty() {
        return Err(Problem::new(Kind::Invalid, "an override needs a reason"));
    }
    let detail = format!("generation {}: {reason}", asked.generation);
    let command = Command::Override { generation: Generation(asked.generation), reason, author: operator.author() };
    send(&operator, &context, secret, "override", &detail, command).await
}

/// Says that a generation is known to others; it ends as soon as it can.
#[utoipa::path(post, path = "/v1/secrets/{namespace}/{name}/compromise", tag = "operator", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)), request_body = CompromiseRequest,
    responses((status = 200, body = Recorded), (status = "default", body = ProblemDetails)))]
async fn compromise(
    operator: Operator,
    State(context): State<Context>,
    Names((namespace, name)): Name,
    Json(asked): Json<CompromiseRequest>,
) -> Done<Recorded> {
    let secret = operator.secret(&namespace, &name)?;
    let CompromiseRequest { generation, disable_first, reason } = asked;
    let first = if disable_first { ", disabled first" } else { "" };
    let detail = format!("generation {generation}{first}: {}", super::capped(&reason));
    let command = Command::Compromise { generation: Generation(generation), disable_first, author: operator.author() };
    send(&operator, &context, secret, "compromise", &detail, command).await
}

/// Compares a restored secret with its target, and lets it go on if the two agree.
#[utoipa::path(post, path = "/v1/secrets/{namespace}/{name}/reconcile", tag = "operator", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Recorded), (status = "default", body = ProblemDetails)))]
async fn reconcile(
    operator: Operator,
    State(context): State<Context>,
    Names((namespace, name)): Name,
) -> Done<Recorded> {
    let secret = operator.secret(&namespace, &name)?;
    let entry = operator.asks(&context, "reconcile", &secret, "");
    let (engine, author) = (context.engine().clone(), operator.author());
    let reconciled = async move {
        let seq = engine.reconcile(&secret, author).await?;
        Ok(Recorded { secret: secret.to_string(), seq: seq.0 })
    };
    context.audited(entry, reconciled).await.map(Answer)
}
