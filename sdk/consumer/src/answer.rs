//! Answers to what the host asks of this replica: each is tried for real where that can be, proven, and stated once.
//! A statement is never stronger than what happened.

use crate::Error;
use crate::backoff::Backoff;
use crate::client::{OldHandles, Options};
use crate::credential::Credential;
use crate::held::Held;
use crate::proof::{Statement, prove};
use crate::session::Session;
use crate::trial::{Trial, TrialFailure};
use crate::wire::{Acknowledge, Ask, Challenge};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Shortest and longest pause between two attempts at a trial or a statement.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));
/// How often it is looked whether the application has let a credential go.
const HANDLE_CHECK: Duration = Duration::from_millis(100);
/// Longest reason that is sent, in characters.
const MAX_REASON_CHARS: usize = 500;

/// Whose account a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Evidence {
    /// This SDK holds the credential.
    Holder,
    /// The application itself authenticated with it.
    Process,
}

impl Evidence {
    fn name(self) -> &'static str {
        match self {
            Self::Holder => "holder",
            Self::Process => "process",
        }
    }
}

/// How one secret's asks are answered.
#[derive(Clone)]
pub(crate) struct Answers {
    secret: Arc<str>,
    held: Arc<Held>,
    trial: Option<Trial>,
    options: Arc<Options>,
    /// Which rotation last asked about which generation; a cry is made in it.
    rotation: Arc<Mutex<Option<(u32, String)>>>,
}

/// A statement.
#[derive(Clone, Copy)]
struct Said<'a> {
    purpose: &'a str,
    evidence: Evidence,
    /// With `failed`: why.
    reason: &'a str,
    /// Stated although the host asks no more: it is stronger than what it has heard.
    unasked: bool,
}

impl<'a> Said<'a> {
    fn of(purpose: &'a str, evidence: Evidence) -> Self {
        Self { purpose, evidence, reason: "", unasked: false }
    }
}

/// What a trial came to.
enum Tried {
    Works,
    /// The rotation is to be told.
    Fails(String),
    /// There is no trial, or nothing to try yet.
    Untried,
    /// The host no longer asks.
    Moot,
}

impl Answers {
    pub(crate) fn new(secret: Arc<str>, held: Arc<Held>, trial: Option<Trial>, options: Arc<Options>) -> Self {
        Self { secret, held, trial, options, rotation: Arc::default() }
    }

    /// Carries one ask to its end; what was stated, if anything.
    pub(crate) async fn answer(&self, session: &Session, ask: &Ask) -> Option<Evidence> {
        *self.rotation.lock().unwrap_or_else(PoisonError::into_inner) = Some((ask.generation, ask.rotation.clone()));
        match ask.purpose.as_str() {
            "ready" => self.ready(session, ask).await,
            "adopted" => self.adopted(session, ask).await,
            "released" | "dropped" => self.give_back(session, ask).await,
            other => {
                tracing::debug!(
                    secret = &*self.secret,
                    purpose = other,
                    "the host asks for what this SDK does not know"
                );
                None
            }
        }
    }

    async fn ready(&self, session: &Session, ask: &Ask) -> Option<Evidence> {
        let credential = self.held.get(ask.generation)?;
        match self.try_out(ask, &credential, self.options.trial_attempts).await {
            Tried::Works => self.state(session, ask, &credential, Said::of("ready", Evidence::Process)).await,
            Tried::Untried => self.state(session, ask, &credential, Said::of("ready", Evidence::Holder)).await,
            Tried::Fails(reason) => {
                let said = Said { reason: &reason, ..Said::of("failed", Evidence::Process) };
                self.state(session, ask, &credential, said).await
            }
            Tried::Moot => None,
        }
    }

    /// Here the old credential's end depends on the word, so it is given only once the application has authenticated:
    /// in a trial, or as it went about its work. A refusal is tried again, never told as success.
    async fn adopted(&self, session: &Session, ask: &Ask) -> Option<Evidence> {
        let credential = self.held.get(ask.generation)?;
        let mut news = self.held.news();
        while self.held.is_asked(ask) && !self.held.was_used(ask.generation) {
            match self.try_out(ask, &credential, u32::MAX).await {
                Tried::Works => break,
                Tried::Untried => news.changed().await.ok()?,
                Tried::Fails(_) | Tried::Moot => return None,
            }
        }
        let unasked = self.old_ones_dropped(session, ask, &credential).await?;
        let said = Said { unasked, ..Said::of("adopted", Evidence::Process) };
        self.state(session, ask, &credential, said).await
    }

    /// Waits until the application has no handle of an older generation any more; says meanwhile, if the workload chose
    /// so, that it holds the new one and no more than that. Answers whether it did: a host that has heard so much asks no
    /// more. `None`: the new one is not to be used any more.
    async fn old_ones_dropped(&self, session: &Session, ask: &Ask, credential: &Credential) -> Option<bool> {
        let began = Instant::now();
        let mut told = false;
        while self.held.others_in_use(ask.generation) {
            if !(told || self.held.is_asked(ask)) || !self.is_to_be_used(ask.generation) {
                return None;
            }
            let over = |patience| began.elapsed() >= patience;
            if !told && matches!(self.options.old_handles, OldHandles::TellAfter(patience) if over(patience)) {
                tracing::warn!(
                    secret = &*self.secret,
                    generation = ask.generation,
                    "handles of an older generation are alive: the old credential can't end yet"
                );
                self.state(session, ask, credential, Said::of("adopted", Evidence::Holder)).await?;
                told = true;
            }
            tokio::time::sleep(HANDLE_CHECK).await;
        }
        Some(told)
    }

    fn is_to_be_used(&self, generation: u32) -> bool {
        self.held.current().is_some_and(|current| current.generation() == generation)
    }

    /// Waits until the application has let its handles go: only then it is true.
    async fn give_back(&self, session: &Session, ask: &Ask) -> Option<Evidence> {
        let credential = self.held.leaving(ask.generation)?;
        let handles = credential.watch();
        // One is kept by the holder to prove with, one is this function's.
        while handles.count() > 2 {
            if !self.held.is_asked(ask) {
                return None;
            }
            tokio::time::sleep(HANDLE_CHECK).await;
        }
        let stated = self.state(session, ask, &credential, Said::of(&ask.purpose, Evidence::Holder)).await;
        if stated.is_some() {
            self.held.forget(ask.generation);
        }
        stated
    }

    async fn try_out(&self, ask: &Ask, credential: &Credential, attempts: u32) -> Tried {
        let Some(trial) = self.trial.as_ref().filter(|_| self.held.may_try(ask.generation)) else {
            return Tried::Untried;
        };
        let mut backoff = Backoff::new(PAUSE.0, PAUSE.1);
        let mut refusals = 0_u32;
        loop {
            if !self.held.is_asked(ask) {
                return Tried::Moot;
            }
            let outcome = tokio::time::timeout(self.options.trial_timeout, trial(credential.clone())).await;
            match outcome.unwrap_or_else(|_| Err(TrialFailure::unsure("the trial took too long"))) {
                Ok(()) => return Tried::Works,
                Err(TrialFailure::Unfit(why)) if attempts != u32::MAX => return Tried::Fails(why),
                Err(TrialFailure::Refused(why)) => {
                    refusals += 1;
                    if refusals >= attempts {
                        return Tried::Fails(why);
                    }
                }
                Err(TrialFailure::Unfit(_) | TrialFailure::Unsure(_)) => {}
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    /// States it, again and again while the host can't hear and still asks.
    async fn state(&self, session: &Session, ask: &Ask, credential: &Credential, said: Said<'_>) -> Option<Evidence> {
        let Said { purpose, evidence, reason, unasked } = said;
        if !credential.provable() {
            tracing::warn!(secret = &*self.secret, generation = ask.generation, "nothing to prove possession of");
            return None;
        }
        let mut backoff = Backoff::new(PAUSE.0, PAUSE.1);
        while self.held.is_asked(ask) || (unasked && self.is_to_be_used(ask.generation)) {
            match self.prove(session, &ask.rotation, purpose, credential, evidence, reason).await {
                Ok(()) => {
                    tracing::info!(
                        secret = &*self.secret,
                        generation = ask.generation,
                        purpose,
                        evidence = evidence.name(),
                        "stated"
                    );
                    return Some(evidence);
                }
                Err(error) if error.is_transient() || is_expired_nonce(&error) => {
                    tracing::debug!(secret = &*self.secret, purpose, %error, "not stated yet");
                    tokio::time::sleep(backoff.pause()).await;
                }
                Err(error) => {
                    tracing::warn!(secret = &*self.secret, purpose, %error, "the host does not accept a statement");
                    return None;
                }
            }
        }
        None
    }

    async fn prove(
        &self,
        session: &Session,
        rotation: &str,
        purpose: &str,
        credential: &Credential,
        evidence: Evidence,
        reason: &str,
    ) -> Result<(), Error> {
        let challenge = Challenge {
            secret: &self.secret,
            replica: &session.replica,
            incarnation: &session.incarnation,
            rotation,
            generation: credential.generation(),
            purpose,
        };
        let given = session.challenge(challenge).await?;
        let nonce = STANDARD.decode(&given.nonce).map_err(|_| Error::Answer("a nonce is not base64"))?;
        let (fields, salt) = credential.proof_material();
        let proof = prove(
            &fields,
            salt,
            &Statement {
                epoch: given.epoch,
                purpose,
                rotation,
                consumer: session.identity().name(),
                replica: &session.replica,
                incarnation: &session.incarnation,
                generation: credential.generation(),
                nonce: &nonce,
            },
        );
        let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
        let statement = Acknowledge {
            challenge,
            nonce: &given.nonce,
            proof: &STANDARD.encode(proof),
            evidence: evidence.name(),
            reason: &reason,
        };
        session.acknowledge(&statement).await
    }

    pub(crate) async fn cry(&self, session: &Session, credential: &Credential, reason: &str) -> Result<(), Error> {
        let asked = self.rotation.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let generation = credential.generation();
        let (_, rotation) = asked.filter(|(of, _)| *of == generation).ok_or(Error::NotHeld(generation))?;
        self.prove(session, &rotation, "cry", credential, Evidence::Process, reason).await
    }
}

/// A nonce that a slow host or a slow workload let expire; another one is to be had.
fn is_expired_nonce(error: &Error) -> bool {
    matches!(error, Error::Refused { reason: Some(reason), .. } if reason == "nonce")
}
