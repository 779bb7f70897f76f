//! Who is calling: bearer tokens to identities, and what each may touch. Never logs a token; a caller who does not
//! hold a token's secret learns nothing about it.

use crate::context::{Context, Peer};
use crate::ports::Caller;
use crate::problem::{Kind, Problem};
use crate::tokens::{Token, TokenKind};
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use keybaton_engine::ports::audit::{AuditEntry, Verdict};
use keybaton_engine::ports::identities::{ConsumerId, Identity, Subject};
use keybaton_protocol::ids::{Author, Millis, Replica, SecretName};
use std::fmt::Display;

/// An authenticated operator.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    pub(crate) id: String,
    pub(crate) caller: Caller,
    peer: Peer,
}

/// An authenticated consumer.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) identity: Identity,
    pub(crate) consumer: ConsumerId,
    pub(crate) peer: Peer,
}

impl Operator {
    pub(crate) fn author(&self) -> Author {
        self.caller.author.clone()
    }

    /// Parses a secret's name and checks that the operator may touch it.
    pub(crate) fn secret(&self, namespace: &str, name: &str) -> Result<SecretName, Problem> {
        let secret: SecretName = format!("{namespace}/{name}").parse()?;
        self.within(secret.namespace().as_str())?;
        Ok(secret)
    }

    /// Whether the operator may act in this namespace.
    pub(crate) fn within(&self, namespace: &str) -> Result<(), Problem> {
        match &self.caller.namespaces {
            Some(own) if !own.iter().any(|one| one.as_str() == namespace) => {
                Err(Problem::new(Kind::Forbidden, format!("operator {} may not act here", self.caller.author))
                    .help("use the token of an operator of this namespace"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the operator may act on the host as a whole.
    pub(crate) fn everywhere(&self) -> Result<(), Problem> {
        match self.caller.namespaces {
            None => Ok(()),
            Some(_) => Err(Problem::new(Kind::Forbidden, "this is about the whole host, not one namespace")
                .help("use the token of an operator of the whole host")),
        }
    }

    /// An audit entry of this operator, about to be acted on.
    pub(crate) fn asks(&self, context: &Context, action: &str, subject: &dyn Display, detail: &str) -> AuditEntry {
        AuditEntry {
            at: context.now(),
            actor: format!("operator {}", self.caller.author),
            from: self.peer.to_string(),
            action: action.to_owned(),
            subject: subject.to_string(),
            detail: crate::routes::capped(detail),
            verdict: Verdict::Asked,
        }
    }
}

impl FromRequestParts<Context> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Problem> {
        let peer = peer_of(parts);
        let identity = authenticate(parts, context).await?;
        match identity.subject {
            Subject::Operator { name, namespaces } => {
                Ok(Self { id: identity.id, caller: Caller { author: name, namespaces }, peer })
            }
            Subject::Consumer(_) => Err(Problem::new(Kind::Forbidden, "this route is for operators")),
        }
    }
}

impl FromRequestParts<Context> for Workload {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Problem> {
        let peer = peer_of(parts);
        let identity = authenticate(parts, context).await?;
        match identity.subject.clone() {
            Subject::Consumer(consumer) => Ok(Self { identity, consumer, peer }),
            Subject::Operator { .. } => Err(Problem::new(Kind::Forbidden, "this route is for consumers")
                .help("operators read no values; enrol a consumer and declare it under the secret")),
        }
    }
}

/// An operator, or anybody on the Unix socket: for metrics.
pub(crate) struct Observer;

impl FromRequestParts<Context> for Observer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Problem> {
        if peer_of(parts) == Peer::Local {
            return Ok(Self);
        }
        Operator::from_request_parts(parts, context).await.map(|_| Self)
    }
}

/// Where the request came from. A listener that does not say counts as the network.
pub(crate) fn peer_of(parts: &Parts) -> Peer {
    parts.extensions.get::<Peer>().copied().unwrap_or(Peer::Remote(Peer::Local.address()))
}

async fn authenticate(parts: &Parts, context: &Context) -> Result<Identity, Problem> {
    let (address, now) = (peer_of(parts).address(), context.now());
    let token = bearer(parts);
    admit(context, address, token.as_ref().map(Token::id))?;
    let found = match &token {
        Some(token) => context.parts().identities.find(token.id()).await?,
        None => None,
    };
    let proven = match (token, found) {
        (Some(token), Some(identity)) if token.hash().is(&identity.hash) => Some(identity),
        _ => None,
    };
    let Some(identity) = proven else {
        context.throttle().failed(address, context.elapsed_ms());
        return Err(unauthenticated());
    };
    if let Err(problem) = still_good(&identity, now) {
        context.throttle().forget(&identity.id);
        context.throttle().failed(address, context.elapsed_ms());
        return Err(problem);
    }
    end_superseded(context, identity, now).await
}

/// Refuses an address that failed too often, before anything is looked up for it.
pub(crate) fn admit(context: &Context, address: std::net::IpAddr, id: Option<&str>) -> Result<(), Problem> {
    context.throttle().admit(address, id, context.elapsed_ms()).map_err(|wait_ms| {
        Problem::new(Kind::TooManyFailures, "this address failed to authenticate too often").retry_after_ms(wait_ms)
    })
}

/// The one answer to everybody who holds no token's secret.
pub(crate) fn unauthenticated() -> Problem {
    Problem::new(Kind::Unauthenticated, "no token, or none that is good here")
        .help("send `authorization: Bearer kb_…`; workloads enrol first")
}

fn bearer(parts: &Parts) -> Option<Token> {
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let text = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = text.split_once(' ')?;
    let token = Token::parse(token.trim())?;
    (scheme.eq_ignore_ascii_case("bearer") && token.kind() == TokenKind::Bearer).then_some(token)
}

/// Whether an identity that was good when its request came is so still: a request that waits outlives a revocation.
///
/// # Errors
/// It has been withdrawn, or has ended.
pub(crate) async fn good_still(context: &Context, identity: &Identity) -> Result<(), Problem> {
    match context.parts().identities.find(&identity.id).await? {
        Some(identity) => still_good(&identity, context.now()),
        None => Err(unauthenticated()),
    }
}

/// Whether this identity speaks for that replica. One that was bound to none stands for it from now on, durably.
///
/// # Errors
/// It stands for another one, and goes on doing so; or the store failed.
pub(crate) async fn speaks_for(context: &Context, identity: &Identity, replica: &Replica) -> Result<(), Problem> {
    let own = match &identity.replica {
        Some(own) => own.clone(),
        None => context.parts().identities.bind(&identity.id, replica).await?.ok_or_else(unauthenticated)?,
    };
    if own == *replica {
        return Ok(());
    }
    let why = format!("this identity stands for the replica {own}, and the request names {replica}");
    Err(Problem::new(Kind::OtherReplica, why).help(format!(
        "each replica has an identity of its own: enrol {replica} (`keybaton consumer enrol NAMESPACE/NAME`), or go on \
         as {own}; if {own} was renamed, an operator binds its identity anew: \
         `keybaton consumer rebind {} {replica}`",
        identity.id
    )))
}

/// The caller has proven that it holds the token, and may know what became of it.
fn still_good(identity: &Identity, now: Millis) -> Result<(), Problem> {
    let help = match identity.subject {
        Subject::Operator { .. } => "ask another operator for a new one: `keybaton operator add NAME`",
        Subject::Consumer(_) => "enrol again: `keybaton consumer enrol NAMESPACE/NAME` prints a token for that",
    };
    if identity.revoked_at.is_some() {
        return Err(
            Problem::new(Kind::TokenRevoked, format!("the token of {} was withdrawn", identity.subject)).help(help)
        );
    }
    if identity.expires_at.is_some_and(|end| end <= now) {
        return Err(Problem::new(Kind::TokenExpired, format!("the token of {} has ended", identity.subject)).help(help));
    }
    Ok(())
}

/// The first use of a renewed identity is the evidence that its holder has it: only then the one before it ends.
/// Remembered in memory only; after a restart it is said once more, which changes nothing.
async fn end_superseded(context: &Context, identity: Identity, now: Millis) -> Result<Identity, Problem> {
    if !context.throttle().succeeded(&identity.id) {
        return Ok(identity);
    }
    if let Some(old) = &identity.supersedes {
        context.throttle().forget(old);
        if let Err(failure) = context.parts().identities.revoke(old, now).await {
            context.throttle().forget(&identity.id);
            return Err(failure.into());
        }
        context.ended(old);
    }
    Ok(identity)
}
