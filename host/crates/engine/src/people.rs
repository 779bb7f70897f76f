//! What people ask of one secret that takes its state, its declaration or its plugin to become a command: members,
//! places, a person's word, a changed policy, other plugin bytes. One at a time, so that no change undoes another.

use crate::begin::ask;
use crate::board::SecretId;
use crate::consumers::look;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::ports::rotator::Profiled;
use crate::shared::Shared;
use keybaton_protocol::command::Command;
use keybaton_protocol::evidence::{Attestation, Evidence, EvidenceKind, Purpose};
use keybaton_protocol::ids::{
    Author, ConsumerName, Digest, Generation, Incarnation, Millis, Place, Replica, SecretName, Seq,
};
use keybaton_protocol::policy::Members;
use keybaton_protocol::state::Secret;
use std::sync::Arc;

/// Something joins or leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is there, or there again.
    Add,
    /// It is gone for good.
    Drop,
}

/// A person's word about one replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// About which consumer.
    pub consumer: ConsumerName,
    /// About which replica; `None` where there is only one.
    pub replica: Option<Replica>,
    /// About which generation.
    pub generation: Generation,
    /// What is said of it: `ready`, `adopted`, `released` or `dropped`.
    pub purpose: Purpose,
    /// How it is known.
    pub reason: String,
    /// Who says so.
    pub author: Author,
    /// Who approved it; never the author.
    pub approver: Author,
    /// Until when it counts.
    pub expires_at: Millis,
}

/// A word that waits for somebody else's approval. Its approver is filled in by whoever approves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// About which secret.
    pub secret: SecretName,
    /// What is said.
    pub word: Word,
    /// The replica that is meant.
    pub replica: Replica,
    /// When it was said.
    pub proposed_at: Millis,
}

/// The life that a word speaks of where the replica was never heard of.
const UNHEARD: &str = "attested";

fn refused(secret: &SecretName, code: &'static str, reason: impl Into<String>) -> EngineError {
    EngineError::Refused { secret: secret.clone(), code, reason: reason.into() }
}

/// Adds or drops one replica.
pub(crate) async fn member(
    shared: &Arc<Shared>,
    id: SecretId,
    consumer: ConsumerName,
    replica: Replica,
    change: Change,
    author: Author,
) -> Result<Seq, EngineError> {
    let _alone = shared.people.lock().await;
    let gone = change == Change::Drop;
    ask(shared, id, Command::Member { consumer, replica, gone, author }, Vec::new(), None).await
}

/// Adds or drops one place.
pub(crate) async fn place(
    shared: &Arc<Shared>,
    id: SecretId,
    place: Place,
    change: Change,
    author: Author,
) -> Result<Seq, EngineError> {
    let _alone = shared.people.lock().await;
    let name = Arc::clone(&shared.board().cell(id).name);
    let known = look(shared, id, |secret, _| secret.pins().map(|pins| (pins.places.clone(), secret.seq()))).await?;
    let (mut places, seq) = known.ok_or_else(|| refused(&name, "conflict", "nothing has been rotated yet"))?;
    match (places.iter().position(|it| *it == place), change) {
        (Some(_), Change::Add) => return Ok(seq),
        (None, Change::Add) => places.push(place),
        (Some(index), Change::Drop) => drop(places.remove(index)),
        (None, Change::Drop) => {
            let why = format!("{place} is no place of its target; `place list` shows those there are");
            return Err(refused(&name, "unknown", why));
        }
    }
    ask(shared, id, Command::Places { places, author }, Vec::new(), None).await
}

impl Engine {
    /// Which replica a person's word would speak of, if it would count. Records nothing.
    ///
    /// # Errors
    /// It would not count, and why.
    pub async fn may_attest(&self, secret: &SecretName, word: Word) -> Result<Replica, EngineError> {
        may_attest(&self.shared, self.shared.find(secret)?, word).await
    }

    /// Puts a person's word in place of a consumer's evidence.
    ///
    /// # Errors
    /// It would not count, or is not in question; see [`EngineError`].
    pub async fn attest(&self, secret: &SecretName, word: Word) -> Result<Seq, EngineError> {
        attest(&self.shared, self.shared.find(secret)?, word).await
    }
}

/// Puts a person's word on record, where it counts.
async fn attest(shared: &Arc<Shared>, id: SecretId, word: Word) -> Result<Seq, EngineError> {
    let _alone = shared.people.lock().await;
    let name = Arc::clone(&shared.board().cell(id).name);
    let evidence = look(shared, id, move |secret, _| evidence(secret, word)).await?;
    let evidence = evidence.map_err(|(code, why)| refused(&name, code, why))?;
    ask(shared, id, Command::State(evidence), Vec::new(), None).await
}

/// Whether a word would count; what it could be put to the person before anybody approves it.
async fn may_attest(shared: &Arc<Shared>, id: SecretId, word: Word) -> Result<Replica, EngineError> {
    let name = Arc::clone(&shared.board().cell(id).name);
    let evidence = look(shared, id, move |secret, _| evidence(secret, word)).await?;
    evidence.map(|evidence| evidence.replica).map_err(|(code, why)| refused(&name, code, why))
}

fn evidence(secret: &Secret, word: Word) -> Result<Evidence, (&'static str, String)> {
    let consumer = &word.consumer;
    let policy = secret.consumers().get(consumer);
    let policy = policy.ok_or_else(|| ("unknown", format!("there is no consumer {consumer}")))?;
    let least = match word.purpose {
        Purpose::Ready => Some(policy.ready),
        Purpose::Adopted => Some(policy.adopted),
        Purpose::Failed | Purpose::Released | Purpose::Dropped | Purpose::Cry => None,
    };
    if let Some(least) = least.filter(|least| *least != EvidenceKind::Attested) {
        let why = format!(
            "{consumer} has to show `{}` by `{least}`, so a person's word would not count; \
             declare `attested` for it, or override the gate",
            word.purpose
        );
        return Err(("weak", why));
    }
    let replica = match (word.replica, &policy.members) {
        (Some(replica), _) => replica,
        (None, Members::Listed(listed)) if listed.len() == 1 => listed[0].clone(),
        (None, Members::Count(1)) => {
            consumer.as_str().parse().map_err(|_| ("invalid", "name the replica".to_owned()))?
        }
        (None, _) => return Err(("invalid", format!("{consumer} has several replicas: say which one is meant"))),
    };
    if let Members::Listed(listed) = &policy.members
        && !listed.contains(&replica)
    {
        return Err(("unknown", format!("{replica} is no member of {consumer}")));
    }
    let state = secret.replicas().get(&(consumer.clone(), replica.clone()));
    let unheard = || -> Incarnation { UNHEARD.parse().expect("a constant that follows the grammar") };
    Ok(Evidence {
        consumer: word.consumer,
        replica,
        incarnation: state.map_or_else(unheard, |state| state.incarnation.clone()),
        generation: word.generation,
        purpose: word.purpose,
        kind: EvidenceKind::Attested,
        reason: word.reason,
        attested: Some(Attestation { author: word.author, approver: word.approver, expires_at: word.expires_at }),
        witnessed: false,
    })
}

/// Gives the running rotation the policy of the declaration in force.
pub(crate) async fn repolicy(shared: &Arc<Shared>, id: SecretId, author: Author) -> Result<Seq, EngineError> {
    let (name, spec) = {
        let board = shared.board();
        let cell = board.cell(id);
        (Arc::clone(&cell.name), cell.spec.clone())
    };
    let spec = spec.ok_or_else(|| EngineError::Unmanaged((*name).clone()))?;
    let wanted = Arc::clone(&spec.policy);
    let running = look(shared, id, move |secret, _| {
        secret.rotation().map(|it| (wanted.at(&it.pins.profile), it.pins.policy.clone()))
    });
    let (policy, has) =
        running.await?.map_or_else(|| ((*spec.policy).clone(), None), |(policy, has)| (policy, Some(has)));
    if has.as_ref() == Some(&policy) {
        return Err(refused(
            &name,
            "conflict",
            "the running rotation has this policy already; apply a changed one first",
        ));
    }
    ask(shared, id, Command::Repolicy { policy: Box::new(policy), author }, Vec::new(), None).await
}

/// Lets the running rotation go on with the component that is approved now.
pub(crate) async fn repin(
    shared: &Arc<Shared>,
    id: SecretId,
    expected: Option<Digest>,
    author: Author,
) -> Result<(Digest, Seq), EngineError> {
    let name = Arc::clone(&shared.board().cell(id).name);
    let pins = look(shared, id, |secret, _| secret.rotation().map(|rotation| Arc::clone(&rotation.pins))).await?;
    let pins = pins.ok_or_else(|| {
        refused(&name, "conflict", "no rotation runs; the next one takes the component that is approved then")
    })?;
    let profiled = shared.rotator.profile(&pins.plugin, &pins.settings).await.map_err(EngineError::Plugin)?;
    let Profiled { profile, component, .. } = profiled;
    if let Some(expected) = expected.filter(|expected| *expected != component) {
        let why = format!("{component} is what is approved of {}, not {expected}; approve that first", pins.plugin);
        return Err(refused(&name, "conflict", why));
    }
    if component == pins.component {
        return Err(refused(&name, "conflict", "the running rotation has this component already"));
    }
    if profile != pins.profile {
        let why = "the approved component says other things of its target than the one it runs on (overlap, slots, \
                   what it can undo); abandon the rotation and start another";
        return Err(refused(&name, "conflict", why));
    }
    let seq = ask(shared, id, Command::Repin { component, author }, Vec::new(), None).await?;
    Ok((component, seq))
}
