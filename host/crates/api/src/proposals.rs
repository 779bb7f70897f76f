//! Words of people that wait for somebody else's approval: what may be kept, who may approve, and until when. They are
//! bounded, outlive the process, and count for nothing before they are approved.

use crate::context::Context;
use crate::limits::{MAX_PROPOSALS, PROPOSAL_LIFE_MS};
use crate::model::AttestationProposal;
use crate::problem::{Kind, Problem};
use keybaton_engine::{Proposal, Word};
use keybaton_protocol::ids::{Author, Millis, SecretName, Seq};

fn is_open(one: &Proposal, now: Millis) -> bool {
    now.since(one.proposed_at) < PROPOSAL_LIFE_MS && one.word.expires_at > now
}

/// Those about this secret that can still be approved, oldest first.
pub(crate) async fn about(context: &Context, secret: &SecretName) -> Result<Vec<(String, Proposal)>, Problem> {
    let mut all = context.parts().proposals.proposed().await?;
    all.retain(|(_, one)| one.secret == *secret && is_open(one, context.now()));
    all.sort_by_key(|(_, one)| one.proposed_at);
    Ok(all)
}

/// Keeps one; those that have ended make room.
pub(crate) async fn keep(context: &Context, id: &str, one: &Proposal) -> Result<(), Problem> {
    let _alone = context.proposals_alone().await;
    let port = &context.parts().proposals;
    let (open, ended): (Vec<_>, Vec<_>) =
        port.proposed().await?.into_iter().partition(|(_, kept)| is_open(kept, one.proposed_at));
    for (id, _) in &ended {
        port.decide(id).await?;
    }
    if open.len() >= MAX_PROPOSALS {
        return Err(Problem::new(Kind::Overloaded, "too many attestations wait for an approval")
            .help("approve or withdraw some"));
    }
    Ok(port.propose(id, one).await?)
}

/// Puts one on record. Nobody approves his own word. It is taken out before it counts, so that of two who decide it, be it
/// at two hosts, one does; one that is not recorded waits again, and may be approved when it is in question.
pub(crate) async fn approve(
    context: &Context,
    (secret, id): (&SecretName, &str),
    approver: Author,
) -> Result<Seq, Problem> {
    if found(context, secret, id).await?.word.author == approver {
        return Err(
            Problem::new(Kind::Refused, "nobody approves his own word").help("have another operator approve it")
        );
    }
    let port = &context.parts().proposals;
    let one = port.decide(id).await?.ok_or_else(gone)?;
    let word = Word { approver, ..one.word.clone() };
    match context.engine().attest(secret, word).await {
        Ok(seq) => Ok(seq),
        Err(error) => {
            if let Err(lost) = port.propose(id, &one).await {
                tracing::warn!(%secret, id, %lost, "an attestation that was not recorded is not kept; propose it again");
            }
            Err(error.into())
        }
    }
}

/// Takes one back.
pub(crate) async fn withdraw(context: &Context, secret: &SecretName, id: &str) -> Result<Proposal, Problem> {
    found(context, secret, id).await?;
    context.parts().proposals.decide(id).await?.ok_or_else(gone)
}

async fn found(context: &Context, secret: &SecretName, id: &str) -> Result<Proposal, Problem> {
    let found = about(context, secret).await?.into_iter().find(|(own, _)| own == id);
    found.map(|(_, one)| one).ok_or_else(gone)
}

fn gone() -> Problem {
    Problem::new(Kind::NotFound, "no such attestation waits for an approval")
        .help("it was approved, withdrawn, or has ended; propose it again")
}

/// As it is shown.
pub(crate) fn shown(id: &str, one: &Proposal) -> AttestationProposal {
    AttestationProposal {
        id: id.to_owned(),
        secret: one.secret.to_string(),
        consumer: one.word.consumer.to_string(),
        replica: one.replica.to_string(),
        generation: one.word.generation.0,
        purpose: one.word.purpose.name().to_owned(),
        reason: one.word.reason.clone(),
        author: one.word.author.to_string(),
        proposed_at: one.proposed_at.0,
        expires_at: one.word.expires_at.0,
    }
}
