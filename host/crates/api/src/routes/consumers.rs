//! Who may call: enrolments made, listed and withdrawn, identities listed and withdrawn. An enrolment's token is
//! answered once, to the operator who made it; an identity's token never.

use super::extract::{Json, Names};
use crate::auth::Operator;
use crate::context::Context;
use crate::limits::MAX_ENROLMENT_MINUTES;
use crate::model::{
    EnrolmentGrant, EnrolmentRequest, Enrolments, IdentityList, IdentityView, OpenEnrolment, RebindRequest, Rebound,
    TokenText, Withdrawn,
};
use crate::problem::{Kind, Problem, ProblemDetails};
use crate::sensitive::answer;
use crate::tokens::{Token, TokenKind};
use axum::Json as Answer;
use axum::extract::State;
use axum::response::Response;
use keybaton_engine::ports::identities::{ConsumerId, Enrolment, Identity, Subject};
use keybaton_protocol::ids::Replica;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(enrolments, create))
        .routes(routes!(withdraw_enrolment))
        .routes(routes!(identities))
        .routes(routes!(rebind))
        .routes(routes!(withdraw))
}

/// Makes a single-use right to enrol as this consumer.
#[utoipa::path(post, path = "/v1/enrolments", tag = "enrolment", security(("bearer" = [])),
    request_body = EnrolmentRequest,
    responses((status = 200, body = EnrolmentGrant), (status = "default", body = ProblemDetails)))]
async fn create(
    operator: Operator,
    State(context): State<Context>,
    Json(asked): Json<EnrolmentRequest>,
) -> Result<Response, Problem> {
    let consumer: ConsumerId = asked.consumer.parse()?;
    operator.within(consumer.namespace.as_str())?;
    if !(1..=MAX_ENROLMENT_MINUTES).contains(&asked.minutes) {
        return Err(Problem::new(Kind::Invalid, format!("`minutes` must be 1 to {MAX_ENROLMENT_MINUTES}")));
    }
    let replica: Option<Replica> = asked.replica.as_deref().map(str::parse).transpose()?;
    let token = Token::draw(TokenKind::Enrolment).map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
    let now = context.now();
    let enrolment = Enrolment {
        id: token.id().to_owned(),
        hash: token.hash(),
        consumer: consumer.clone(),
        replica: replica.clone(),
        author: operator.author(),
        created_at: now,
        expires_at: now.plus(u64::from(asked.minutes) * 60_000),
    };
    let expires_at = enrolment.expires_at;
    let whose = replica.map(|replica| format!(" of replica {replica}")).unwrap_or_default();
    let detail = format!("enrolment {}{whose} for {} minutes", token.id(), asked.minutes);
    let entry = operator.asks(&context, "consumer.enrol", &consumer, &detail);
    let identities = context.parts().identities.clone();
    context.enrolment_made(token.id(), now);
    let kept = async move {
        if enrolment.consumer.is_the_hosts() {
            let name = &enrolment.consumer.name;
            let why = format!("`{name}` stands for the host's own connections; nobody enrols as it");
            return Err(Problem::new(Kind::Refused, why));
        }
        Ok(identities.put_enrolment(enrolment).await?)
    };
    context.audited(entry, kept).await?;
    let granted = EnrolmentGrant {
        consumer: consumer.to_string(),
        id: token.id().to_owned(),
        token: TokenText::new(token.reveal_with_pin(context.parts().pin)),
        expires_at: expires_at.0,
    };
    Ok(answer(granted.reveal()))
}

/// Rights to enrol that have not been used.
#[utoipa::path(get, path = "/v1/enrolments", tag = "enrolment", security(("bearer" = [])),
    responses((status = 200, body = Enrolments), (status = "default", body = ProblemDetails)))]
async fn enrolments(operator: Operator, State(context): State<Context>) -> Result<Answer<Enrolments>, Problem> {
    let open = context.open_enrolments().await?;
    let enrolments = open
        .into_iter()
        .filter(|one| operator.within(one.consumer.namespace.as_str()).is_ok())
        .map(|one| OpenEnrolment {
            id: one.id,
            consumer: one.consumer.to_string(),
            replica: one.replica.as_ref().map(ToString::to_string),
            author: one.author.to_string(),
            created_at: one.created_at.0,
            expires_at: one.expires_at.0,
        })
        .collect();
    Ok(Answer(Enrolments { enrolments }))
}

/// Withdraws a right to enrol that has not been used.
#[utoipa::path(delete, path = "/v1/enrolments/{id}", tag = "enrolment", security(("bearer" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = Withdrawn), (status = "default", body = ProblemDetails)))]
async fn withdraw_enrolment(
    operator: Operator,
    State(context): State<Context>,
    Names(id): Names<String>,
) -> Result<Answer<Withdrawn>, Problem> {
    let identities = context.parts().identities.clone();
    let found = context.open_enrolments().await?.into_iter().find(|one| one.id == id);
    let consumer = match found {
        Some(one) if operator.within(one.consumer.namespace.as_str()).is_ok() => one.consumer,
        _ => return Err(Problem::new(Kind::NotFound, "there is no such enrolment, or it was used")),
    };
    let entry = operator.asks(&context, "enrolment.withdraw", &consumer, &format!("enrolment {id}"));
    let dropped = context.audited(entry, async move { Ok(identities.drop_enrolment(&id).await?) }).await?;
    Ok(Answer(Withdrawn { identities: 0, enrolments: u64::from(dropped) }))
}

/// Everyone who may call, by id, without tokens.
#[utoipa::path(get, path = "/v1/identities", tag = "enrolment", security(("bearer" = [])),
    responses((status = 200, body = IdentityList), (status = "default", body = ProblemDetails)))]
async fn identities(operator: Operator, State(context): State<Context>) -> Result<Answer<IdentityList>, Problem> {
    let now = context.now();
    let all = context.parts().identities.list().await?;
    let identities = all
        .into_iter()
        .filter(|one| one.expires_at.is_none_or(|end| end > now) && visible(&operator, &one.subject))
        .map(shown)
        .collect();
    Ok(Answer(IdentityList { identities }))
}

/// Has an identity stand for another replica of its consumer: a workload that kept it got another name.
#[utoipa::path(post, path = "/v1/identities/{id}/replica", tag = "enrolment", security(("bearer" = [])),
    params(("id" = String, Path)), request_body = RebindRequest,
    responses((status = 200, body = Rebound), (status = "default", body = ProblemDetails)))]
async fn rebind(
    operator: Operator,
    State(context): State<Context>,
    Names(id): Names<String>,
    Json(asked): Json<RebindRequest>,
) -> Result<Answer<Rebound>, Problem> {
    let replica: Replica = asked.replica.parse()?;
    let identities = context.parts().identities.clone();
    let found = identities.find(&id).await?.filter(|one| one.revoked_at.is_none()).map(|one| one.subject);
    let consumer = match found {
        Some(Subject::Consumer(consumer)) if operator.within(consumer.namespace.as_str()).is_ok() => consumer,
        _ => {
            return Err(Problem::new(Kind::NotFound, "there is no such identity of a consumer")
                .help("`keybaton consumer list` shows those there are"));
        }
    };
    let detail = format!("identity {id} to replica {replica}: {}", super::capped(&asked.reason));
    let entry = operator.asks(&context, "consumer.rebind", &consumer, &detail);
    let rebound = Rebound { id: id.clone(), consumer: consumer.to_string(), replica: replica.to_string() };
    context.audited(entry, async move { Ok(identities.rebind(&id, &replica).await?) }).await?;
    Ok(Answer(rebound))
}

/// Withdraws every identity and every unused enrolment of a consumer.
#[utoipa::path(delete, path = "/v1/consumers/{namespace}/{name}", tag = "enrolment", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Withdrawn), (status = "default", body = ProblemDetails)))]
async fn withdraw(
    operator: Operator,
    State(context): State<Context>,
    Names((namespace, name)): Names<(String, String)>,
) -> Result<Answer<Withdrawn>, Problem> {
    let consumer: ConsumerId = format!("{namespace}/{name}").parse()?;
    operator.within(consumer.namespace.as_str())?;
    let entry = operator.asks(&context, "consumer.revoke", &consumer, "");
    let inner = context.clone();
    context.audited(entry, async move { revoke_all(&inner, &consumer).await }).await.map(Answer)
}

/// Enrolments first: one that is used meanwhile has become an identity by then.
async fn revoke_all(context: &Context, consumer: &ConsumerId) -> Result<Withdrawn, Problem> {
    let (identities, now) = (&context.parts().identities, context.now());
    let mut withdrawn = Withdrawn { identities: 0, enrolments: 0 };
    // Ended ones too: whether they have depends on a clock that somebody may set.
    for one in identities.enrolments().await?.iter().filter(|one| one.consumer == *consumer) {
        withdrawn.enrolments += u64::from(identities.drop_enrolment(&one.id).await?);
    }
    let wanted = Subject::Consumer(consumer.clone());
    for one in identities.list().await?.iter().filter(|one| one.subject == wanted) {
        withdrawn.identities += u64::from(identities.revoke(&one.id, now).await?);
        context.ended(&one.id);
    }
    Ok(withdrawn)
}

fn visible(operator: &Operator, subject: &Subject) -> bool {
    match subject {
        Subject::Operator { .. } => operator.everywhere().is_ok(),
        Subject::Consumer(consumer) => operator.within(consumer.namespace.as_str()).is_ok(),
    }
}

fn shown(identity: Identity) -> IdentityView {
    let (role, name) = match identity.subject {
        Subject::Operator { name, .. } => ("operator", name.to_string()),
        Subject::Consumer(consumer) => ("consumer", consumer.to_string()),
    };
    IdentityView {
        id: identity.id,
        role: role.to_owned(),
        name,
        replica: identity.replica.map(|replica| replica.to_string()),
        issued_at: identity.issued_at.0,
        expires_at: identity.expires_at.map(|end| end.0),
    }
}
