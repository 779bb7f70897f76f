//! Fetch, challenge, acknowledge: what a consumer is given, and what of its word is believed.

use crate::actor::{Fetching, Item, Offered};
use crate::begin::ask;
use crate::board::SecretId;
use crate::error::EngineError;
use crate::ports::journal::{JournalError, Wanted};
use crate::ports::nonces::Given;
use crate::ports::secret::SecretBytes;
use crate::proof::{self, ProofError};
use crate::requests::{Accepted, Acknowledgement, Challenge, Challenged, Delivered, Delivery, Fetch, Nonce};
use crate::scrub::scrub;
use crate::shared::Shared;
use keybaton_protocol::command::Command;
use keybaton_protocol::evidence::{Evidence, EvidenceKind, Purpose};
use keybaton_protocol::ids::{ConsumerName, Generation, SealLabel, SecretName};
use keybaton_protocol::offer::Known;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Most characters of a reason that are kept.
const REASON_MAX: usize = 500;

/// Times a fetch is done again because a generation ended while its values were being opened.
const FETCH_AGAIN: usize = 3;

/// With `wait`: answered once the replica is offered what it does not know, or is asked for something, or that time has
/// passed; then as anybody is.
pub(crate) async fn fetch(
    shared: &Arc<Shared>,
    fetch: Fetch,
    mut wait: Option<(Known, Duration)>,
) -> Result<Delivery, EngineError> {
    let came = Instant::now();
    let id = admitted(shared, &fetch.secret, &fetch.consumer).await?;
    for _ in 0..FETCH_AGAIN {
        let news = match wait.take() {
            Some((known, at_most)) => news(shared, id, &fetch, known, at_most).await?,
            None => None,
        };
        let offered = match news {
            Some(offered) => offered,
            None => offered(shared, id, fetch.clone(), None).await?,
        };
        let waited = offered.at.saturating_duration_since(came);
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        match open(shared, &fetch.secret, offered, waited_ms).await {
            Err(EngineError::Journal(JournalError::NoSeal { .. })) => {}
            done => return done,
        }
    }
    Err(EngineError::Overloaded)
}

/// What a replica is offered, once that is news to it; `None` where that took too long.
async fn news(
    shared: &Arc<Shared>,
    id: SecretId,
    fetch: &Fetch,
    known: Known,
    at_most: Duration,
) -> Result<Option<Offered>, EngineError> {
    tokio::select! {
        offered = offered(shared, id, fetch.clone(), Some(known)) => offered.map(Some),
        () = tokio::time::sleep(at_most) => Ok(None),
        () = shared.stopped() => Err(EngineError::Stopping),
    }
}

async fn offered(
    shared: &Arc<Shared>,
    id: SecretId,
    fetch: Fetch,
    known: Option<Known>,
) -> Result<Offered, EngineError> {
    let (done, told) = oneshot::channel();
    shared.ask(id, Item::Fetch(Fetching { fetch, known, done: Some(done) }))?;
    told.await.unwrap_or(Err(EngineError::Stopping))
}

/// Opens the values of what may be given out.
async fn open(shared: &Shared, secret: &SecretName, offered: Offered, waited_ms: u64) -> Result<Delivery, EngineError> {
    let wanted = offered.generations.iter().map(|it| wanted(it.generation, &it.fields)).collect();
    let opened = shared.journal.open(secret, wanted).await?;
    let generations = offered.generations.into_iter().zip(opened).map(|(it, opened)| Delivered {
        generation: it.generation,
        role: it.role,
        use_now: it.use_now,
        live: it.live,
        attributes: it.attributes,
        fields: it.fields.into_iter().map(|(name, _)| name).zip(opened.values).collect(),
        salt: opened.salt.expect("asked for with the values"),
    });
    Ok(Delivery {
        epoch: shared.epoch,
        rotation: offered.rotation,
        generations: generations.collect(),
        asks: offered.asks,
        staged_lease_ms: offered.staged_lease_ms,
        waited_ms,
        seq: offered.seq,
    })
}

/// All values of a generation, and its salt.
fn wanted(generation: Generation, fields: &[(String, SealLabel)]) -> Wanted {
    Wanted { generation, labels: fields.iter().map(|(_, label)| label.clone()).collect(), salt: true }
}

pub(crate) async fn challenge(shared: &Arc<Shared>, challenge: Challenge) -> Result<Challenged, EngineError> {
    admitted(shared, &challenge.secret, &challenge.consumer).await?;
    let for_ms = shared.options.nonce_ms;
    let nonce = Nonce(shared.random_bytes());
    if shared.nonces.give(nonce, Given { challenge, epoch: shared.epoch }, for_ms).await? {
        Ok(Challenged { nonce, epoch: shared.epoch, for_ms })
    } else {
        Err(EngineError::Overloaded)
    }
}

pub(crate) async fn acknowledge(shared: &Arc<Shared>, said: Acknowledgement) -> Result<Accepted, EngineError> {
    let id = admitted(shared, &said.challenge.secret, &said.challenge.consumer).await?;
    let reason = match check(shared, id, &said).await? {
        Ok(reason) => reason,
        Err(error) => return Err(refused(shared, &said, error)),
    };
    let challenge = said.challenge;
    let rotation = challenge.rotation;
    let evidence = Evidence {
        consumer: challenge.consumer,
        replica: challenge.replica,
        incarnation: challenge.incarnation,
        generation: challenge.generation,
        purpose: challenge.purpose,
        kind: said.kind,
        reason,
        attested: None,
        witnessed: false,
    };
    let seq = ask(shared, id, Command::Acknowledge { rotation, evidence }, Vec::new(), None).await?;
    Ok(Accepted { seq })
}

/// Counts and logs a lie or a mistake; the journal keeps accepted statements only.
fn refused(shared: &Shared, said: &Acknowledgement, error: ProofError) -> EngineError {
    shared.metrics.proof_refused(name(error));
    let Challenge { secret, consumer, replica, purpose, .. } = &said.challenge;
    tracing::warn!(%secret, %consumer, %replica, purpose = purpose.name(), %error, "a statement is refused");
    EngineError::Proof(error)
}

/// Whether the statement is this consumer's and proven; answers its reason, scrubbed. The outer error is the store's
/// or the engine's.
async fn check(
    shared: &Arc<Shared>,
    id: SecretId,
    said: &Acknowledgement,
) -> Result<Result<String, ProofError>, EngineError> {
    // First the nonce: it is used up whatever else is wrong.
    let given = match shared.nonces.take(&said.nonce, &said.challenge).await? {
        Ok(given) => given,
        Err(error) => return Ok(Err(error)),
    };
    if !matches!(said.kind, EvidenceKind::Store | EvidenceKind::Holder | EvidenceKind::Process) {
        return Ok(Err(ProofError::Kind));
    }
    let (values, salt) = match material(shared, id, &said.challenge.secret, said.challenge.generation).await? {
        Ok(material) => material,
        Err(error) => return Ok(Err(error)),
    };
    let fields: Vec<_> = values.iter().map(|(name, bytes)| (name.as_str(), bytes.expose())).collect();
    let proven = proof::check(&fields, salt.expose(), &given.challenge, given.epoch, &said.nonce, &said.proof);
    drop(fields);
    let reason = match given.challenge.purpose {
        Purpose::Failed | Purpose::Cry => scrub(printable(&said.reason), &values),
        _ => String::new(),
    };
    Ok(proven.map(|()| reason))
}

/// What a proof is made with: the secret fields of the generation it is about, and the salt. Errors as of `check`.
async fn material(
    shared: &Arc<Shared>,
    id: SecretId,
    secret: &SecretName,
    generation: Generation,
) -> Result<Result<(Vec<(String, SecretBytes)>, SecretBytes), ProofError>, EngineError> {
    let fields =
        look(shared, id, move |secret, _| secret.generation(generation).map(|it| it.fields().to_vec())).await?;
    let Some(fields) = fields else {
        shared.report(id, generation);
        return Ok(Err(ProofError::Stale));
    };
    if fields.is_empty() {
        return Ok(Err(ProofError::NoSecretField));
    }
    match shared.journal.open(secret, vec![wanted(generation, &fields)]).await {
        Ok(opened) => {
            let only = opened.into_iter().next().expect("one generation was asked for");
            let values = fields.into_iter().map(|(name, _)| name).zip(only.values).collect();
            Ok(Ok((values, only.salt.expect("asked for with the values"))))
        }
        Err(JournalError::NoSeal { .. }) => Ok(Err(ProofError::Stale)),
        Err(error) => Err(error.into()),
    }
}

/// Somebody's words about a generation, without its value in any form, and within bounds.
pub(crate) async fn reason(
    shared: &Arc<Shared>,
    id: SecretId,
    secret: &SecretName,
    generation: Generation,
    said: &str,
) -> Result<String, EngineError> {
    let values = material(shared, id, secret, generation).await?.map_or_else(|_| Vec::new(), |(values, _)| values);
    Ok(scrub(printable(said), &values))
}

/// The secret's number, if this consumer has any business with it. Unknown secrets are answered alike.
async fn admitted(shared: &Arc<Shared>, secret: &SecretName, consumer: &ConsumerName) -> Result<SecretId, EngineError> {
    let not_yours = || EngineError::NotYours { secret: secret.clone(), consumer: consumer.clone() };
    let (id, declared, journalled) = {
        let board = shared.board();
        let id = board.find(secret).ok_or_else(not_yours)?;
        let cell = board.cell(id);
        let policy = cell.spec.as_ref().map(|spec| &spec.policy);
        let declared = policy.is_some_and(|policy| policy.consumers.iter().any(|it| it.name == *consumer));
        (id, declared, cell.journalled)
    };
    if declared {
        return Ok(id);
    }
    if journalled {
        let consumer = consumer.clone();
        let known = look(shared, id, move |state, _| state.consumers().contains_key(&consumer)).await?;
        if known {
            return Ok(id);
        }
    }
    Err(not_yours())
}

/// Looks at the durable state of a secret.
pub(crate) async fn look<T, F>(shared: &Arc<Shared>, id: SecretId, with: F) -> Result<T, EngineError>
where
    T: Send + 'static,
    F: FnOnce(&keybaton_protocol::state::Secret, keybaton_protocol::ids::Millis) -> T + Send + 'static,
{
    let (done, told) = oneshot::channel();
    let look = Box::new(move |state: &keybaton_protocol::state::Secret, now| {
        // Whoever looked and went does not need the answer.
        let _ = done.send(with(state, now));
    });
    shared.ask(id, Item::Look(look))?;
    told.await.map_err(|_| match shared.board().cell(id).damaged.as_deref() {
        Some(detail) => JournalError::Damaged { detail: detail.to_owned() }.into(),
        None => EngineError::Store("the journal could not be read".to_owned()),
    })
}

/// A reason as it may be journalled: one line of printable text, cut.
fn printable(reason: &str) -> String {
    reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_MAX).collect()
}

fn name(error: ProofError) -> &'static str {
    match error {
        ProofError::Nonce => "nonce",
        ProofError::Stranger => "stranger",
        ProofError::Purpose => "purpose",
        ProofError::Generation => "generation",
        ProofError::Stale => "stale",
        ProofError::Mismatch => "mismatch",
        ProofError::NoSecretField => "no-secret-field",
        ProofError::Kind => "kind",
    }
}
