//! Who may use the API, and how: identities and single-use enrolments, by id. Only digests of their tokens are kept;
//! tokens have at least 128 random bits, so that a plain SHA-256 tells nothing of them.

use crate::Store;
use crate::crypto;
use crate::documents::{self, Collection, Document};
use crate::error::StoreError;
use crate::record::Stored;
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_protocol::ids::{Author, Digest, Millis, Replica};
use serde::{Deserialize, Serialize};

/// The digest of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub Digest);

impl TokenHash {
    /// Of a token of at least 128 random bits.
    #[must_use]
    pub fn of(token: &SecretBytes) -> Self {
        Self(Digest(crypto::hash(&[b"keybaton-token-v1", token.expose()])))
    }

    /// Whether this is that token's digest, in constant time.
    #[must_use]
    pub fn matches(&self, token: &SecretBytes) -> bool {
        crypto::same(&self.0.0, &Self::of(token).0.0)
    }
}

/// On whose behalf an identity speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Subject {
    /// A person or a pipeline.
    Operator {
        /// As audited.
        name: String,
        /// Roles, as the API knows them.
        roles: Vec<String>,
        /// Namespaces it is confined to; empty is all.
        namespaces: Vec<String>,
    },
    /// A consumer's replica.
    Consumer {
        /// Its namespace.
        namespace: String,
        /// Its declared name.
        consumer: String,
        /// Which replica, where enrolment or its first request fixed one.
        replica: Option<String>,
    },
}

impl Subject {
    /// The replica that a consumer's identity stands for.
    fn replica(&self) -> Option<&str> {
        match self {
            Self::Consumer { replica, .. } => replica.as_deref(),
            Self::Operator { .. } => None,
        }
    }
}

/// A bearer of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Public; the token's first part.
    pub id: String,
    /// Digest of the token.
    pub token: TokenHash,
    /// Who.
    pub subject: Subject,
    /// Since when.
    pub created_at: Millis,
    /// Until when; `None` does not expire.
    pub expires_at: Option<Millis>,
    /// By whose act.
    pub created_by: Author,
    /// Since when it is void, and by whose act.
    pub revoked: Option<(Millis, Author)>,
    /// The identity that this one renews, until it is used for the first time.
    pub supersedes: Option<String>,
    /// The first identity of those that it renews, where that was bound to no replica: both stand for one.
    pub line: Option<String>,
}

/// A token that becomes an identity once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// Public; the token's first part.
    pub id: String,
    /// Digest of the token.
    pub token: TokenHash,
    /// Who will be enrolled.
    pub subject: Subject,
    /// Since when.
    pub created_at: Millis,
    /// Until when it may be used.
    pub expires_at: Millis,
    /// By whose act.
    pub created_by: Author,
}

/// For how long it is remembered that an enrolment was used, or has ended, in milliseconds: 90 days.
const USED_KEPT_MS: u64 = 90 * 24 * 3_600_000;

/// Why an enrolment was not taken. Whose it was is told only to who holds its token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrolmentRefused {
    /// No such enrolment, or it was used long ago.
    #[error("there is no such enrolment")]
    Unknown,
    /// It was used before. Remembered for 90 days.
    #[error("the enrolment was used already")]
    Used(Box<Enrolment>),
    /// The token is not its token; the enrolment stays.
    #[error("the token does not match")]
    WrongToken,
    /// Too late by the database's clock; the enrolment is gone.
    #[error("the enrolment has expired")]
    Expired(Box<Enrolment>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityRecord {
    token: String,
    subject: Subject,
    created_at: u64,
    expires_at: Option<u64>,
    created_by: String,
    revoked: Option<(u64, String)>,
    #[serde(default)]
    supersedes: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnrolmentRecord {
    token: String,
    subject: Subject,
    created_at: u64,
    expires_at: u64,
    created_by: String,
    /// Since when it is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used_at: Option<u64>,
}

impl IdentityRecord {
    fn store(identity: &Identity) -> Self {
        let Identity { id: _, token, subject, created_at, expires_at, created_by, revoked, supersedes, line } =
            identity;
        Self {
            token: Stored::store(&token.0),
            subject: subject.clone(),
            created_at: Stored::store(created_at),
            expires_at: Stored::store(expires_at),
            created_by: Stored::store(created_by),
            revoked: Stored::store(revoked),
            supersedes: supersedes.clone(),
            line: line.clone(),
        }
    }

    fn load(document: &Document) -> Result<Identity, StoreError> {
        let unreadable = |error| StoreError::damaged(format!("identity `{}`: {error}", document.key));
        let record: Self = document.decode(Collection::Identities)?;
        Ok(Identity {
            id: document.key.clone(),
            token: TokenHash(record.token.load().map_err(unreadable)?),
            subject: record.subject,
            created_at: record.created_at.load().map_err(unreadable)?,
            expires_at: record.expires_at.load().map_err(unreadable)?,
            created_by: record.created_by.load().map_err(unreadable)?,
            revoked: record.revoked.load().map_err(unreadable)?,
            supersedes: record.supersedes,
            line: record.line,
        })
    }
}

impl EnrolmentRecord {
    fn store(enrolment: &Enrolment) -> Self {
        let Enrolment { id: _, token, subject, created_at, expires_at, created_by } = enrolment;
        Self {
            token: Stored::store(&token.0),
            subject: subject.clone(),
            created_at: Stored::store(created_at),
            expires_at: Stored::store(expires_at),
            created_by: Stored::store(created_by),
            used_at: None,
        }
    }

    /// The enrolment, and since when it is used up.
    fn load(document: &Document) -> Result<(Enrolment, Option<u64>), StoreError> {
        let unreadable = |error| StoreError::damaged(format!("enrolment `{}`: {error}", document.key));
        let record: Self = document.decode(Collection::Enrolments)?;
        let enrolment = Enrolment {
            id: document.key.clone(),
            token: TokenHash(record.token.load().map_err(unreadable)?),
            subject: record.subject,
            created_at: record.created_at.load().map_err(unreadable)?,
            expires_at: record.expires_at.load().map_err(unreadable)?,
            created_by: record.created_by.load().map_err(unreadable)?,
        };
        Ok((enrolment, record.used_at))
    }
}

impl Store {
    /// Keeps an identity, in place of an earlier one of that id (a renewal).
    ///
    /// # Errors
    /// When it cannot be written; the earlier one is then kept.
    pub async fn put_identity(&self, identity: Identity) -> Result<(), StoreError> {
        self.write(move |tx| {
            documents::put(tx, Collection::Identities, &identity.id, &IdentityRecord::store(&identity))
        })
        .await
    }

    /// The identity of that id, revoked and expired ones included: the caller says why it refuses.
    ///
    /// # Errors
    /// When it cannot be read, or was edited behind the store's back.
    pub async fn find_identity(&self, id: &str) -> Result<Option<Identity>, StoreError> {
        let id = id.to_owned();
        self.read_view(move |view| {
            let found = documents::get(view.conn, view.keys, Collection::Identities, &id)?;
            found.as_ref().map(IdentityRecord::load).transpose()
        })
        .await
    }

    /// All identities, by id.
    ///
    /// # Errors
    /// When they cannot be read, or one was edited, removed or put back behind the store's back.
    pub async fn list_identities(&self) -> Result<Vec<Identity>, StoreError> {
        self.read_view(|view| {
            documents::list(view.conn, view.keys, Collection::Identities)?.iter().map(IdentityRecord::load).collect()
        })
        .await
    }

    /// Revokes an identity; whether there was one. A second revocation changes nothing.
    ///
    /// # Errors
    /// When it cannot be written; the identity is then still valid.
    pub async fn revoke_identity(&self, id: &str, at: Millis, by: Author) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.write(move |tx| {
            let Some(found) = documents::get(tx.conn, tx.keys, Collection::Identities, &id)? else {
                return Ok(false);
            };
            let mut identity = IdentityRecord::load(&found)?;
            if identity.revoked.is_none() {
                identity.revoked = Some((at, by.clone()));
                documents::put(tx, Collection::Identities, &id, &IdentityRecord::store(&identity))?;
            }
            Ok(true)
        })
        .await
    }

    /// Binds a consumer's identity to its replica, unless it, or the first of its line, is bound already; with `anew`, in
    /// any case. Answers the replica that it is bound to; `None` where there is no such identity of a consumer.
    ///
    /// # Errors
    /// When it cannot be written; nothing is then bound.
    pub async fn bind_identity(&self, id: &str, replica: &Replica, anew: bool) -> Result<Option<String>, StoreError> {
        let (id, wanted) = (id.to_owned(), replica.to_string());
        self.write(move |tx| {
            let load = |id: &str| {
                let found = documents::get(tx.conn, tx.keys, Collection::Identities, id)?;
                found.as_ref().map(IdentityRecord::load).transpose()
            };
            let Some(own) = load(&id)? else { return Ok(None) };
            let first = match own.line.as_deref().filter(|line| *line != id) {
                Some(line) => load(line)?,
                None => None,
            };
            let bound = [Some(&own), first.as_ref()].into_iter().flatten().find_map(|it| it.subject.replica());
            let bound = bound.filter(|_| !anew).map_or_else(|| wanted.clone(), str::to_owned);
            for mut identity in [Some(own), first].into_iter().flatten() {
                let Subject::Consumer { replica, .. } = &mut identity.subject else { return Ok(None) };
                if replica.as_deref() != Some(&*bound) {
                    *replica = Some(bound.clone());
                    documents::put(tx, Collection::Identities, &identity.id, &IdentityRecord::store(&identity))?;
                }
            }
            Ok(Some(bound))
        })
        .await
    }

    /// Keeps an enrolment until it is taken. Those that ended, or were taken, long ago are dropped on the way.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn put_enrolment(&self, enrolment: Enrolment) -> Result<(), StoreError> {
        self.write(move |tx| {
            for old in documents::list(tx.conn, tx.keys, Collection::Enrolments)? {
                let (enrolment, used_at) = EnrolmentRecord::load(&old)?;
                let over_at = used_at.unwrap_or(enrolment.expires_at.0);
                if over_at.saturating_add(USED_KEPT_MS) <= tx.now_ms {
                    documents::remove(tx, Collection::Enrolments, &old.key)?;
                }
            }
            documents::put(tx, Collection::Enrolments, &enrolment.id, &EnrolmentRecord::store(&enrolment))
        })
        .await
    }

    /// Enrolments that have not been taken, by id.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list_enrolments(&self) -> Result<Vec<Enrolment>, StoreError> {
        self.read_view(|view| {
            let all = documents::list(view.conn, view.keys, Collection::Enrolments)?;
            let loaded = all.iter().map(EnrolmentRecord::load).collect::<Result<Vec<_>, _>>()?;
            Ok(loaded.into_iter().filter(|(_, used_at)| used_at.is_none()).map(|(one, _)| one).collect())
        })
        .await
    }

    /// Withdraws an enrolment that was not taken; whether there was one.
    ///
    /// # Errors
    /// When it cannot be written; the enrolment may then still be taken.
    pub async fn remove_enrolment(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.write(move |tx| {
            let found = documents::get(tx.conn, tx.keys, Collection::Enrolments, &id)?;
            match found.as_ref().map(EnrolmentRecord::load).transpose()? {
                Some((_, None)) => documents::remove(tx, Collection::Enrolments, &id),
                _ => Ok(false),
            }
        })
        .await
    }

    /// Takes an enrolment, if it is `good`: whether it has ended the caller knows, who knows what time has passed. Of any
    /// number of callers at once, one gets it. It is used up durably before anybody hears so.
    ///
    /// # Errors
    /// The outer one when the store fails (nothing is taken), the inner one when the enrolment is refused.
    pub async fn take_enrolment(
        &self,
        id: &str,
        token: TokenHash,
        good: impl Fn(&Enrolment) -> bool + Send + 'static,
    ) -> Result<Result<Enrolment, EnrolmentRefused>, StoreError> {
        let id = id.to_owned();
        self.write(move |tx| {
            let Some(found) = documents::get(tx.conn, tx.keys, Collection::Enrolments, &id)? else {
                return Ok(Err(EnrolmentRefused::Unknown));
            };
            let (enrolment, used_at) = EnrolmentRecord::load(&found)?;
            if !crypto::same(&enrolment.token.0.0, &token.0.0) {
                return Ok(Err(EnrolmentRefused::WrongToken));
            }
            if used_at.is_some() {
                return Ok(Err(EnrolmentRefused::Used(Box::new(enrolment))));
            }
            if !good(&enrolment) {
                documents::remove(tx, Collection::Enrolments, &id)?;
                return Ok(Err(EnrolmentRefused::Expired(Box::new(enrolment))));
            }
            let used = EnrolmentRecord { used_at: Some(tx.now_ms), ..EnrolmentRecord::store(&enrolment) };
            documents::put(tx, Collection::Enrolments, &id, &used)?;
            Ok(Ok(enrolment))
        })
        .await
    }
}
