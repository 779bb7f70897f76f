//! Words of people that wait for somebody else's approval. In memory alone and bounded: what a restart forgets is asked
//! for anew, and nothing counts before it is approved.

use crate::limits::{MAX_PROPOSALS, PROPOSAL_LIFE_MS};
use crate::model::AttestationProposal;
use crate::problem::{Kind, Problem};
use keybaton_engine::Word;
use keybaton_protocol::ids::{Author, Millis, Replica, SecretName};
use std::collections::BTreeMap;

/// A word about a secret, not approved yet. Its approver is filled in when somebody approves.
#[derive(Debug, Clone)]
pub(crate) struct Proposal {
    pub(crate) secret: SecretName,
    pub(crate) word: Word,
    pub(crate) replica: Replica,
    pub(crate) proposed_at: Millis,
}

/// Those that can still be approved.
pub(crate) fn tidy(all: &mut BTreeMap<String, Proposal>, now: Millis) {
    all.retain(|_, one| now.since(one.proposed_at) < PROPOSAL_LIFE_MS && one.word.expires_at > now);
}

/// Keeps one.
pub(crate) fn keep(all: &mut BTreeMap<String, Proposal>, id: String, one: Proposal) -> Result<(), Problem> {
    tidy(all, one.proposed_at);
    if all.len() >= MAX_PROPOSALS {
        return Err(Problem::new(Kind::Overloaded, "too many attestations wait for an approval")
            .help("approve or withdraw some"));
    }
    all.insert(id, one);
    Ok(())
}

/// Takes one out to approve it. Nobody approves his own word.
pub(crate) fn take(
    all: &mut BTreeMap<String, Proposal>,
    (secret, id): (&SecretName, &str),
    approver: &Author,
    now: Millis,
) -> Result<Proposal, Problem> {
    tidy(all, now);
    let found = all.get(id).filter(|one| one.secret == *secret);
    let found = found.ok_or_else(|| {
        Problem::new(Kind::NotFound, "no such attestation waits for an approval")
            .help("it was approved, withdrawn, or has ended; a restart of the host forgets them: propose it again")
    })?;
    if found.word.author == *approver {
        return Err(
            Problem::new(Kind::Refused, "nobody approves his own word").help("have another operator approve it")
        );
    }
    let mut taken = all.remove(id).ok_or_else(|| Problem::new(Kind::Internal, "an attestation vanished"))?;
    taken.word.approver = approver.clone();
    Ok(taken)
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
