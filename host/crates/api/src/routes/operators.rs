//! Who operates: further operators are named, given a token once, and removed; the last one who may do everything stays.

use super::extract::{Json, Names};
use crate::auth::Operator;
use crate::context::Context;
use crate::limits::MAX_OPERATOR_DAYS;
use crate::model::{OperatorGrant, OperatorRequest, OperatorView, Operators, TokenText, Withdrawn};
use crate::problem::{Kind, Problem, ProblemDetails};
use crate::sensitive::answer;
use crate::tokens::{Token, TokenKind};
use axum::Json as Answer;
use axum::extract::State;
use axum::response::Response;
use keybaton_engine::ports::identities::{Identity, Subject};
use keybaton_protocol::ids::{Author, Millis, Namespace};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Names in journals that are the host's own.
const RESERVED: &[&str] = &["keybaton", "policy", "host"];

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new().routes(routes!(operators, add)).routes(routes!(remove))
}

/// Operators whose tokens are good now.
#[utoipa::path(get, path = "/v1/operators", tag = "people", security(("bearer" = [])),
    responses((status = 200, body = Operators), (status = "default", body = ProblemDetails)))]
async fn operators(operator: Operator, State(context): State<Context>) -> Result<Answer<Operators>, Problem> {
    operator.everywhere()?;
    let mut operators: Vec<_> = good(&context).await?.iter().filter_map(shown).collect();
    operators.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Answer(Operators { operators }))
}

/// Makes an operator. Its token is answered once and stored as a hash.
#[utoipa::path(post, path = "/v1/operators", tag = "people", security(("bearer" = [])), request_body = OperatorRequest,
    responses((status = 200, body = OperatorGrant), (status = "default", body = ProblemDetails)))]
async fn add(
    operator: Operator,
    State(context): State<Context>,
    Json(asked): Json<OperatorRequest>,
) -> Result<Response, Problem> {
    operator.everywhere()?;
    let name: Author = asked.name.parse()?;
    if RESERVED.iter().any(|reserved| name.as_str().starts_with(reserved)) {
        let what = format!("names that begin with {} are the host's own", RESERVED.join(", "));
        return Err(Problem::new(Kind::Invalid, what));
    }
    if asked.days.is_some_and(|days| !(1..=MAX_OPERATOR_DAYS).contains(&days)) {
        return Err(Problem::new(Kind::Invalid, format!("`days` must be 1 to {MAX_OPERATOR_DAYS}")));
    }
    let namespaces = asked.namespaces.iter().map(|one| one.parse()).collect::<Result<Vec<Namespace>, _>>()?;
    let token = Token::draw(TokenKind::Bearer).map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
    let now = context.now();
    let expires_at = asked.days.map(|days| now.plus(u64::from(days) * 24 * 3_600_000));
    let everywhere = namespaces.is_empty();
    let identity = Identity {
        id: token.id().to_owned(),
        hash: token.hash(),
        subject: Subject::Operator { name: name.clone(), namespaces: (!everywhere).then_some(namespaces) },
        replica: None,
        line: None,
        issued_at: now,
        expires_at,
        revoked_at: None,
        supersedes: None,
    };
    let wide = if everywhere { "everywhere".to_owned() } else { asked.namespaces.join(", ") };
    let until = asked.days.map_or_else(|| "without an end".to_owned(), |days| format!("for {days} days"));
    let entry = operator.asks(&context, "operator.add", &name, &format!("{wide}, {until}, token {}", token.id()));
    let inner = context.clone();
    let added = async move {
        let _alone = inner.operators_alone().await;
        if good(&inner).await?.iter().any(|one| is(one, identity_name(&identity))) {
            return Err(Problem::new(Kind::Refused, "there is an operator of that name")
                .help("choose another name, or remove that one first: who acted must be plain from the name"));
        }
        Ok(inner.parts().identities.put(identity).await?)
    };
    context.audited(entry, added).await?;
    let granted = OperatorGrant {
        name: name.to_string(),
        id: token.id().to_owned(),
        token: TokenText::new(token.reveal()),
        expires_at: expires_at.map(|at| at.0),
    };
    Ok(answer(granted.reveal()))
}

/// Removes an operator: its tokens are good no longer. Refused for oneself, and for the last one who may act everywhere
/// without an end.
#[utoipa::path(delete, path = "/v1/operators/{name}", tag = "people", security(("bearer" = [])),
    params(("name" = String, Path)),
    responses((status = 200, body = Withdrawn), (status = "default", body = ProblemDetails)))]
async fn remove(
    operator: Operator,
    State(context): State<Context>,
    Names(name): Names<String>,
) -> Result<Answer<Withdrawn>, Problem> {
    operator.everywhere()?;
    let name: Author = name.parse()?;
    let entry = operator.asks(&context, "operator.remove", &name, "");
    let (inner, caller) = (context.clone(), operator.author());
    let removed = async move {
        if name == caller {
            return Err(Problem::new(Kind::Refused, "nobody removes himself").help("have another operator do it"));
        }
        let _alone = inner.operators_alone().await;
        let now = inner.now();
        let all = good(&inner).await?;
        if !all.iter().any(|one| is(one, Some(&name))) {
            return Err(Problem::new(Kind::NotFound, format!("there is no operator {name}")));
        }
        if !all.iter().any(|one| !is(one, Some(&name)) && lasting(one)) {
            return Err(Problem::new(Kind::Refused, "nobody would be left who may act everywhere without an end")
                .help("add another such operator first"));
        }
        let mut identities = 0;
        for one in all.iter().filter(|one| is(one, Some(&name))) {
            identities += u64::from(inner.parts().identities.revoke(&one.id, now).await?);
            inner.throttle().forget(&one.id);
        }
        Ok(Withdrawn { identities, enrolments: 0 })
    };
    context.audited(entry, removed).await.map(Answer)
}

/// Operators' identities that are good now.
async fn good(context: &Context) -> Result<Vec<Identity>, Problem> {
    let now: Millis = context.now();
    let all = context.parts().identities.list().await?;
    let operates = |one: &Identity| matches!(one.subject, Subject::Operator { .. });
    Ok(all.into_iter().filter(|one| operates(one) && one.expires_at.is_none_or(|end| end > now)).collect())
}

fn identity_name(identity: &Identity) -> Option<&Author> {
    match &identity.subject {
        Subject::Operator { name, .. } => Some(name),
        Subject::Consumer(_) => None,
    }
}

fn is(identity: &Identity, name: Option<&Author>) -> bool {
    name.is_some() && identity_name(identity) == name
}

/// May act everywhere, and for as long as nobody removes it.
fn lasting(identity: &Identity) -> bool {
    matches!(identity.subject, Subject::Operator { namespaces: None, .. }) && identity.expires_at.is_none()
}

fn shown(identity: &Identity) -> Option<OperatorView> {
    let Subject::Operator { name, namespaces } = &identity.subject else { return None };
    Some(OperatorView {
        name: name.to_string(),
        id: identity.id.clone(),
        namespaces: namespaces.iter().flatten().map(ToString::to_string).collect(),
        issued_at: identity.issued_at.0,
        expires_at: identity.expires_at.map(|end| end.0),
    })
}
