//! How a workload gets and keeps its identity: a single-use enrolment, then renewals. Tokens are answered once, to
//! their holder, and stored as hashes.

use super::extract::SecretJson;
use crate::auth::{Workload, admit, peer_of, unauthenticated};
use crate::context::{Context, Peer};
use crate::limits::REQUEST_TIMEOUT;
use crate::model::{EnrolRequest, Enrolled, TokenText};
use crate::problem::{Kind, Problem, ProblemDetails};
use crate::sensitive::answer;
use crate::tokens::{Token, TokenKind};
use axum::extract::{FromRequest, Request, State};
use axum::response::Response;
use keybaton_engine::ports::audit::{AuditEntry, Verdict};
use keybaton_engine::ports::identities::{ConsumerId, Enrolment, Identity, Subject, Taken};
use keybaton_protocol::ids::Replica;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A consumer renews after this part of its identity's life.
const RENEW_DIVISOR: u64 = 3;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new().routes(routes!(enrol)).routes(routes!(renew))
}

/// Exchanges a single-use enrolment token for an identity.
#[utoipa::path(post, path = "/v1/enrol", tag = "enrolment", request_body = EnrolRequest,
    responses((status = 200, body = Enrolled), (status = "default", body = ProblemDetails)))]
async fn enrol(State(context): State<Context>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let peer = peer_of(&parts);
    let request = Request::from_parts(parts, body);
    let SecretJson(request) = SecretJson::<EnrolRequest>::from_request(request, &()).await?;
    let token = Token::parse(request.token.expose()).filter(|token| token.kind() == TokenKind::Enrolment);
    admit(&context, peer.address(), None)?;
    let taken = match &token {
        Some(token) => {
            let date = context.enrolment_date(token.id());
            context.parts().identities.take_enrolment(token.id(), &token.hash(), date).await?
        }
        None => Taken::Unknown,
    };
    let problem = match taken {
        Taken::Granted(enrolment) => return grant(&context, peer, enrolment).await,
        Taken::Used(enrolment) => {
            // Somebody has this token who should not: that is worth more than a line in a log.
            tracing::warn!(consumer = %enrolment.consumer, from = %peer, "an enrolment token was used a second time");
            refuse(&context, peer, &enrolment, Kind::EnrolmentUsed).await;
            Problem::new(Kind::EnrolmentUsed, "this enrolment token was used before")
                .help("if it was not you who used it, withdraw the consumer's identities; then ask for a new token")
        }
        Taken::Expired(enrolment) => {
            refuse(&context, peer, &enrolment, Kind::EnrolmentExpired).await;
            Problem::new(Kind::EnrolmentExpired, "this enrolment token has expired").help("ask for a new one")
        }
        Taken::Unknown => unauthenticated(),
    };
    context.throttle().failed(peer.address(), context.elapsed_ms());
    Err(problem)
}

fn entry(context: &Context, peer: Peer, enrolment: &Enrolment, verdict: Verdict) -> AuditEntry {
    AuditEntry {
        at: context.now(),
        actor: format!("consumer {}", enrolment.consumer),
        from: peer.to_string(),
        action: "enrol".to_owned(),
        subject: enrolment.consumer.to_string(),
        detail: format!("with the enrolment {} of operator {}", enrolment.id, enrolment.author),
        verdict,
    }
}

/// Puts on record who came with a token that is good no longer. Only its holder can cause an entry.
async fn refuse(context: &Context, peer: Peer, enrolment: &Enrolment, why: Kind) {
    let entry = entry(context, peer, enrolment, Verdict::Refused(why.name().to_owned()));
    if let Err(error) = context.parts().audit.record(entry).await {
        tracing::error!(%error, "a refused enrolment could not be audited");
    }
}

async fn grant(context: &Context, peer: Peer, enrolment: Enrolment) -> Result<Response, Problem> {
    let entry = entry(context, peer, &enrolment, Verdict::Asked);
    let inner = context.clone();
    context.audited(entry, async move { issue(&inner, Heir::of_enrolment(enrolment)).await }).await
}

/// Exchanges a good identity for a newer one. The old one ends when the new one is first used, or by itself.
#[utoipa::path(post, path = "/v1/renew", tag = "enrolment", security(("bearer" = [])),
    responses((status = 200, body = Enrolled), (status = "default", body = ProblemDetails)))]
async fn renew(workload: Workload, State(context): State<Context>) -> Result<Response, Problem> {
    tracing::debug!(consumer = %workload.consumer, from = %workload.peer, "renewing");
    // Shielded by `audited` elsewhere; here a client that goes away leaves at worst an identity that nobody holds.
    let renewed = issue(&context, Heir::of_identity(workload.consumer, workload.identity));
    tokio::time::timeout(REQUEST_TIMEOUT, renewed)
        .await
        .unwrap_or_else(|_| Err(Problem::new(Kind::Unavailable, "the store takes too long")))
}

/// What a new identity takes over from the enrolment or the identity that it is issued for.
struct Heir {
    consumer: ConsumerId,
    replica: Option<Replica>,
    line: Option<String>,
    supersedes: Option<String>,
}

impl Heir {
    fn of_enrolment(enrolment: Enrolment) -> Self {
        Self { consumer: enrolment.consumer, replica: enrolment.replica, line: None, supersedes: None }
    }

    /// However often one is renewed, all that come of it stand for one replica, also where none is known yet.
    fn of_identity(consumer: ConsumerId, old: Identity) -> Self {
        let line = old.replica.is_none().then(|| old.line.unwrap_or_else(|| old.id.clone()));
        Self { consumer, replica: old.replica, line, supersedes: Some(old.id) }
    }
}

async fn issue(context: &Context, heir: Heir) -> Result<Response, Problem> {
    let Heir { consumer, replica, line, supersedes } = heir;
    let token = Token::draw(TokenKind::Bearer).map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
    let (now, life_s) = (context.now(), context.parts().lifetimes.consumer_s);
    let identity = Identity {
        id: token.id().to_owned(),
        hash: token.hash(),
        subject: Subject::Consumer(consumer.clone()),
        replica,
        line,
        issued_at: now,
        expires_at: Some(now.plus(life_s.saturating_mul(1_000))),
        revoked_at: None,
        supersedes,
    };
    context.parts().identities.put(identity).await?;
    let enrolled = Enrolled {
        consumer: consumer.to_string(),
        token: TokenText::new(token.reveal()),
        expires_in_s: life_s,
        renew_in_s: life_s / RENEW_DIVISOR,
    };
    Ok(answer(enrolled.reveal()))
}
