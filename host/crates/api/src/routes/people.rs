//! What people change by hand: members, places, the running rotation's policy and component; and what a compromise
//! would break. Each change is audited with its author before it is made and after.

use super::capped;
use super::extract::{Json, Names, Params};
use crate::auth::Operator;
use crate::context::Context;
use crate::model::{
    Foresight, ForesightParams, MemberList, MemberRequest, PlaceList, PlaceRequest, Reasoned, Recorded, RepinRequest,
    Repinned,
};
use crate::problem::{Problem, ProblemDetails};
use axum::Json as Answer;
use axum::extract::State;
use keybaton_engine::Change;
use keybaton_protocol::ids::{ConsumerName, Digest, Generation, Place, Replica, SecretName};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

type Name = Names<(String, String)>;
type Done<T> = Result<Answer<T>, Problem>;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(members, add_member))
        .routes(routes!(drop_member))
        .routes(routes!(places, add_place))
        .routes(routes!(drop_place))
        .routes(routes!(scrap_place))
        .routes(routes!(repolicy))
        .routes(routes!(repin))
        .routes(routes!(foresee_compromise))
}

/// Every consumer of a secret, its members, and what each has shown.
#[utoipa::path(get, path = "/v1/secrets/{namespace}/{name}/members", tag = "people", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = MemberList), (status = "default", body = ProblemDetails)))]
async fn members(operator: Operator, State(context): State<Context>, name: Name) -> Done<MemberList> {
    let secret = named(&operator, &name)?;
    let consumers = context.engine().members(&secret).await?.into_iter().map(Into::into).collect();
    Ok(Answer(MemberList { secret: secret.to_string(), consumers }))
}

/// Adds a replica to a consumer, until its declaration is applied anew or a rotation starts.
#[utoipa::path(post, path = "/v1/secrets/{namespace}/{name}/members", tag = "people", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)), request_body = MemberRequest,
    responses((status = 200, body = Recorded), (status = "default", body = ProblemDetails)))]
async fn add_member(
    operator: Operator,
    State(context): State<Context>,
    name: Name,
    Json(asked): Json<MemberRequest>,
) -> Done<Recorded> {
    member(operator, context, name, asked, Change::Add).await
}

/// Drops a replica that is gone for good: nobody waits for it any more, until its declaration is applied anew or a
/// rotation starts.
#[utoipa::path(post, path = "/v1/secrets/{namespace}/{name}/members/drop", tag = "people", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)), request_body = MemberRequest,
    responses((status = 200, body = Recorded), (status = "default", body = ProblemDetails)))]
async fn drop_member(
    operator: Operator,
    State(context): State<Context>,
    name: Name,
    Json(asked): Json<MemberRequest>,
) -> Done<Recorded> {
    member(operator, context, name, asked, Change::Drop).await
}

async fn member(
    operator: Operator,
    context: Context,
    name: Name,
    asked: MemberRequest,
    change: Change,
) -> Done<Recorded> {
    let secret = named(&operator, &name)?;
    let (consumer, replica): (ConsumerName, Replica) = (asked.consumer.parse()?, asked.replica.parse()?);
    let detail = format!("{consumer}/{replica}: {}", capped(&asked.reason));
    let entry = operator.asks(&context, &format!("member.{}", verb(change)), &secret, &detail);
    let (engine, author) = (context.engine().clone(), operator.author());
    let changed = async move {
        let seq = engine.change_member(&secret, (consumer, replica), change, author).await?;
        Ok(Recorded { secret: secret.to_string(), seq: seq.0 })
    };
    context.audited(entry, changed).await.map(Answer)
}

/// Every place of a secret's target, and how each generation stands there.
#[utoipa::path(get, path = "/v1/secrets/{namespace}/{name}/places", tag = "people", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = PlaceList), (status = "default", body = ProblemDetails)))]
async fn places(operator: Operator, State(context): State<Context>, name: Name) -> Done<PlaceList> {
    let secret = named(&operator, &name)?;
    let places = context.engine().places(&secret).await?.into_iter().map(Into::into).collect();
    Ok(Answer(PlaceList { secret: secret.to_string(), places }))
}

/// Adds a place, or takes one back: it is brought level before it counts.
#[utoipa::path(post, path = "/v1/secrets/{namespace}/{name}/places", tag = "people", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)), request_body = PlaceRequest,
    responses((status = 200, body = Recorded), (status = "default", body = ProblemDetails)))]
async fn add_place(
    operator: Operator,
    State(context): State<Context>,
    name: Name,
    Json(asked): Json<PlaceRequest>,
) -> Done<Recorded> {
    place(operator, context, name, asked, Change::Add).await
}

/// Says that a place is away: nothing is done there, and no rotation waits for it. What is on there stays named, and
/// ends when the place is back.
#[utoipa::path(post, path = "/v1/secrets/{namespace}/{name}/places/drop", tag = "people", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)), request_body = PlaceRequest,
    responses((status = 200, body = Recorded), (status = "default", body = ProblemDetails)))]
async fn drop_place(
    operator: Operator,
    State(context): State<Context>,
    name: Name,
    Json(asked): Json<PlaceRequest>,
) -> Done<Recorded> {
    place(operator, context, name, asked, Change::Drop).await
}

/// Takes a place that is gone for good out, and every credential that was there with it.
#[utoipa::path(post, path = "/v1/secrets/{namespace}/{name}/places/scrap", tag = "people", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)), request_body = PlaceRequest,
    responses((status = 200, body = Recorded), (status = "default", body = ProblemDetails)))]
async fn scrap_place(
    operator: Operator,
    State(context): State<Context>,
    name: Name,
    Json(asked): Json<PlaceRequest>,
) -> Done<Recorded> {
    let secret = named(&operator, &name)?;
    let place: Place = asked.place.parse()?;
    let detail = format!("{place}: {}", capped(&asked.reason));
    let entry = operator.asks(&context, "place.scrap", &secret, &detail);
    let (engine, author) = (context.engine().clone(), operator.author());
    let changed = async move {
        let seq = engine.scrap_place(&secret, place, author).await?;
        Ok(Recorded { secret: secret.to_string(), seq: seq.0 })
    };
    context.audited(entry, changed).await.map(Answer)
}

async fn place(
    operator: Operator,
    context: Context,
    name: Name,
    asked: PlaceRequest,
    change: Change,
) -> Done<Recorded> {
    let secret = named(&operator, &name)?;
    let place: Place = asked.place.parse()?;
    let detail = format!("{place}: {}", capped(&asked.reason));
    let entry = operator.asks(&context, &format!("place.{}", verb(change)), &secret, &detail);
    let (engine, author) = (context.engine().clone(), operator.author());
    let changed = async move {
        let seq = engine.change_place(&secret, place, change, author).await?;
        Ok(Recorded { secret: secret.to_string(), seq: seq.0 })
    };
    context.audited(entry, changed).await.map(Answer)
}

/// Gives the running rotation the policy of the declaration in force: its consumers, stragglers, waves and times.
#[utoipa::path(post, path = "/v1/secrets/{namespace}/{name}/repolicy", tag = "people", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)), request_body = Reasoned,
    responses((status = 200, body = Recorded), (status = "default", body = ProblemDetails)))]
async fn repolicy(
    operator: Operator,
    State(context): State<Context>,
    name: Name,
    Json(asked): Json<Reasoned>,
) -> Done<Recorded> {
    let secret = named(&operator, &name)?;
    let entry = operator.asks(&context, "repolicy", &secret, &asked.reason);
    let (engine, author) = (context.engine().clone(), operator.author());
    let changed = async move {
        let seq = engine.repolicy(&secret, author).await?;
        Ok(Recorded { secret: secret.to_string(), seq: seq.0 })
    };
    context.audited(entry, changed).await.map(Answer)
}

/// Lets the running rotation go on with the component of its plugin that is approved now, where the two say the same of
/// the target.
#[utoipa::path(post, path = "/v1/secrets/{namespace}/{name}/repin", tag = "people", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path)), request_body = RepinRequest,
    responses((status = 200, body = Repinned), (status = "default", body = ProblemDetails)))]
async fn repin(
    operator: Operator,
    State(context): State<Context>,
    name: Name,
    Json(asked): Json<RepinRequest>,
) -> Done<Repinned> {
    let secret = named(&operator, &name)?;
    let expected: Option<Digest> = asked.digest.as_deref().map(str::parse).transpose()?;
    let detail = format!("{}: {}", asked.digest.as_deref().unwrap_or("what is approved"), capped(&asked.reason));
    let entry = operator.asks(&context, "repin", &secret, &detail);
    let (engine, author) = (context.engine().clone(), operator.author());
    let changed = async move {
        let (digest, seq) = engine.repin(&secret, expected, author).await?;
        Ok(Repinned { secret: secret.to_string(), digest: digest.to_string(), seq: seq.0 })
    };
    context.audited(entry, changed).await.map(Answer)
}

/// What a compromise would lead to, and whom and what it would break. Changes nothing.
#[utoipa::path(get, path = "/v1/secrets/{namespace}/{name}/compromise", tag = "people", security(("bearer" = [])),
    params(("namespace" = String, Path), ("name" = String, Path), ForesightParams),
    responses((status = 200, body = Foresight), (status = "default", body = ProblemDetails)))]
async fn foresee_compromise(
    operator: Operator,
    State(context): State<Context>,
    name: Name,
    Params(asked): Params<ForesightParams>,
) -> Done<Foresight> {
    let secret = named(&operator, &name)?;
    let generation = Generation(asked.generation);
    let seen = context.engine().foresee_compromise(&secret, generation, asked.disable_first).await?;
    let dependants = context.parts().administration.dependants_of(&secret).await?;
    Ok(Answer(Foresight {
        secret: secret.to_string(),
        generation: seen.generation,
        role: seen.role,
        follows: seen.follows,
        holders: seen.holders,
        cut_off: seen.cut_off,
        places: seen.places,
        connections: dependants.connections,
        dependants: dependants.secrets.iter().map(ToString::to_string).collect(),
    }))
}

fn named(operator: &Operator, Names((namespace, name)): &Name) -> Result<SecretName, Problem> {
    operator.secret(namespace, name)
}

fn verb(change: Change) -> &'static str {
    match change {
        Change::Add => "add",
        Change::Drop => "drop",
    }
}
