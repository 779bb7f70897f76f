//! The host as a whole: overview, freezes of more than one secret, audit, backup.

use super::extract::{Json, Params};
use super::secrets::page;
use crate::auth::Operator;
use crate::context::Context;
use crate::limits::MAX_PAGE;
use crate::model::{
    AuditEntry, AuditLog, AuditReport, BackupReport, BackupRequest, FreezeRequest, FreezeScope, Freezes, LimitParams,
    Overview, StandingFreeze,
};
use crate::problem::{Kind, Problem, ProblemDetails};
use axum::Json as Answer;
use axum::extract::State;
use keybaton_engine::ports::audit::{AuditError, Audited, Verdict};
use keybaton_engine::ports::freezes::{Freeze, Scope};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(overview))
        .routes(routes!(freezes, freeze_scope))
        .routes(routes!(thaw_scope))
        .routes(routes!(audit))
}

/// Routes that read or copy the whole store.
pub(super) fn long_routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new().routes(routes!(backup)).routes(routes!(verify_audit))
}

/// How the host stands.
#[utoipa::path(get, path = "/v1/overview", tag = "host", security(("bearer" = [])),
    responses((status = 200, body = Overview), (status = "default", body = ProblemDetails)))]
async fn overview(operator: Operator, State(context): State<Context>) -> Result<Answer<Overview>, Problem> {
    operator.everywhere()?;
    Ok(Answer(context.parts().administration.overview().await?))
}

/// Standing freezes of more than one secret.
#[utoipa::path(get, path = "/v1/freezes", tag = "host", security(("bearer" = [])),
    responses((status = 200, body = Freezes), (status = "default", body = ProblemDetails)))]
async fn freezes(_: Operator, State(context): State<Context>) -> Result<Answer<Freezes>, Problem> {
    let freezes = context.engine().freezes().await?.into_iter().map(shown).collect();
    Ok(Answer(Freezes { freezes }))
}

/// Stops new mutations in a scope; what was sent finishes.
#[utoipa::path(post, path = "/v1/freezes", tag = "host", security(("bearer" = [])), request_body = FreezeRequest,
    responses((status = 200, body = Freezes), (status = "default", body = ProblemDetails)))]
async fn freeze_scope(
    operator: Operator,
    State(context): State<Context>,
    Json(asked): Json<FreezeRequest>,
) -> Result<Answer<Freezes>, Problem> {
    change(operator, context, asked, true).await
}

/// Lifts a freeze.
#[utoipa::path(post, path = "/v1/freezes/lift", tag = "host", security(("bearer" = [])), request_body = FreezeRequest,
    responses((status = 200, body = Freezes), (status = "default", body = ProblemDetails)))]
async fn thaw_scope(
    operator: Operator,
    State(context): State<Context>,
    Json(asked): Json<FreezeRequest>,
) -> Result<Answer<Freezes>, Problem> {
    change(operator, context, asked, false).await
}

async fn change(
    operator: Operator,
    context: Context,
    asked: FreezeRequest,
    freeze: bool,
) -> Result<Answer<Freezes>, Problem> {
    let scope = scope_of(&asked.scope)?;
    match &scope {
        Scope::Namespace(namespace) => operator.within(namespace.as_str())?,
        Scope::Host | Scope::Connection(_) | Scope::Plugin(_) => operator.everywhere()?,
    }
    let action = if freeze { "freeze" } else { "thaw" };
    let entry = operator.asks(&context, action, &named(&asked.scope), "");
    let (engine, author) = (context.engine().clone(), operator.author());
    let changed = async move {
        if freeze {
            engine.freeze(scope, author).await?;
        } else {
            engine.thaw(scope, author).await?;
        }
        Ok(Freezes { freezes: engine.freezes().await?.into_iter().map(shown).collect() })
    };
    context.audited(entry, changed).await.map(Answer)
}

/// The newest audit entries, newest last.
#[utoipa::path(get, path = "/v1/audit", tag = "host", security(("bearer" = [])), params(LimitParams),
    responses((status = 200, body = AuditLog), (status = "default", body = ProblemDetails)))]
async fn audit(
    operator: Operator,
    State(context): State<Context>,
    Params(params): Params<LimitParams>,
) -> Result<Answer<AuditLog>, Problem> {
    operator.everywhere()?;
    let limit = u32::try_from(page(params.limit)).unwrap_or(MAX_PAGE);
    let audit = &context.parts().audit;
    let proven = audit.prove().await.map_err(broken)?;
    let after = proven.entries.saturating_sub(u64::from(limit));
    let entries = audit.entries(after, limit as usize).await.map_err(broken)?;
    Ok(Answer(AuditLog { entries: entries.into_iter().map(entry).collect() }))
}

/// Checks the audit log's whole hash chain.
#[utoipa::path(post, path = "/v1/audit/verify", tag = "host", security(("bearer" = [])),
    responses((status = 200, body = AuditReport), (status = "default", body = ProblemDetails)))]
async fn verify_audit(operator: Operator, State(context): State<Context>) -> Result<Answer<AuditReport>, Problem> {
    operator.everywhere()?;
    Ok(Answer(match context.parts().audit.prove().await {
        Ok(proven) => {
            AuditReport { intact: true, entries: proven.entries, head: proven.head.to_string(), broken_at: None }
        }
        Err(AuditError::Broken { at, why }) => {
            AuditReport { intact: false, entries: at, head: why, broken_at: Some(at) }
        }
        Err(AuditError::Storage(error)) => return Err(error.into()),
    }))
}

fn broken(error: AuditError) -> Problem {
    match error {
        AuditError::Broken { .. } => Problem::new(Kind::Damaged, error.to_string()),
        AuditError::Storage(error) => error.into(),
    }
}

fn entry(Audited { seq, entry }: Audited) -> AuditEntry {
    AuditEntry {
        seq,
        at: entry.at.0,
        actor: entry.actor,
        from: entry.from,
        action: entry.action,
        subject: entry.subject,
        detail: entry.detail,
        verdict: match entry.verdict {
            Verdict::Asked => "asked".to_owned(),
            Verdict::Done => "done".to_owned(),
            Verdict::Refused(why) => format!("refused: {why}"),
            Verdict::Failed(why) => format!("failed: {why}"),
        },
    }
}

/// Copies the store while the host runs. Values stay sealed; the key-encryption key is not in the copy.
#[utoipa::path(post, path = "/v1/backup", tag = "host", security(("bearer" = [])), request_body = BackupRequest,
    responses((status = 200, body = BackupReport), (status = "default", body = ProblemDetails)))]
async fn backup(
    operator: Operator,
    State(context): State<Context>,
    Json(asked): Json<BackupRequest>,
) -> Result<Answer<BackupReport>, Problem> {
    operator.everywhere()?;
    let entry = operator.asks(&context, "backup", &asked.to, "");
    let administration = context.parts().administration.clone();
    let copied = async move { Ok(administration.backup(&asked.to).await?) };
    context.audited(entry, copied).await.map(Answer)
}

fn scope_of(scope: &FreezeScope) -> Result<Scope, Problem> {
    Ok(match scope {
        FreezeScope::Host => Scope::Host,
        FreezeScope::Namespace(name) => Scope::Namespace(name.parse()?),
        FreezeScope::Connection(name) => Scope::Connection(name.parse()?),
        FreezeScope::Plugin(name) => Scope::Plugin(name.parse()?),
    })
}

fn named(scope: &FreezeScope) -> String {
    match scope {
        FreezeScope::Host => "host".to_owned(),
        FreezeScope::Namespace(name) => format!("namespace {name}"),
        FreezeScope::Connection(name) => format!("connection {name}"),
        FreezeScope::Plugin(name) => format!("plugin {name}"),
    }
}

fn shown(freeze: Freeze) -> StandingFreeze {
    let scope = match freeze.scope {
        Scope::Host => FreezeScope::Host,
        Scope::Namespace(name) => FreezeScope::Namespace(name.to_string()),
        Scope::Connection(name) => FreezeScope::Connection(name.to_string()),
        Scope::Plugin(name) => FreezeScope::Plugin(name.to_string()),
    };
    StandingFreeze { scope, author: freeze.author.to_string(), at: freeze.at.0 }
}
