//! Who may call: identities and single-use enrolments, kept as hashes of their tokens. Never the tokens themselves.

use super::storage::StorageError;
use async_trait::async_trait;
use aws_lc_rs::constant_time;
use keybaton_protocol::ids::{Author, ConsumerName, Millis, NameError, Namespace, Replica};
use keybaton_schedule::connection::login;
use std::fmt;
use std::str::FromStr;

/// SHA-256 of a token's secret, which has at least 128 random bits; all that is stored of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// Compares in constant time.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// A consumer by its full name, `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsumerId {
    /// The namespace of the secrets that declare it.
    pub namespace: Namespace,
    /// Its name there.
    pub name: ConsumerName,
}

impl ConsumerId {
    /// Whether it stands for the host's own connections; nobody enrols as it.
    #[must_use]
    pub fn is_the_hosts(&self) -> bool {
        self.name.as_str() == login::CONSUMER
    }
}

impl fmt::Display for ConsumerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ConsumerId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = || NameError {
            what: "consumer",
            text: text.chars().take(80).collect(),
            rule: "`namespace/name`, each 1 to 63 lower-case letters, digits and dashes",
        };
        let (namespace, name) = text.split_once('/').ok_or_else(bad)?;
        Ok(Self { namespace: namespace.parse().map_err(|_| bad())?, name: name.parse().map_err(|_| bad())? })
    }
}

/// Whom an identity stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A person or a pipeline that operates rotations.
    Operator {
        /// Its name, as it appears in journals and the audit log.
        name: Author,
        /// Where it may act; `None` is everywhere, and then also on the host itself.
        namespaces: Option<Vec<Namespace>>,
    },
    /// A workload.
    Consumer(ConsumerId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator { name, .. } => write!(f, "operator {name}"),
            Self::Consumer(consumer) => write!(f, "consumer {consumer}"),
        }
    }
}

/// One bearer token's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The public part of the token.
    pub id: String,
    /// Hash of its secret part.
    pub hash: TokenHash,
    /// Whom it stands for.
    pub subject: Subject,
    /// Which of its consumer's replicas: fixed when it was enrolled, or by its first request, and changed by operators
    /// alone. `None` for operators, and before that request.
    pub replica: Option<Replica>,
    /// The first identity of those that it was renewed from, where that was not bound to a replica yet: it is bound with
    /// that one.
    pub line: Option<String>,
    /// When it was issued.
    pub issued_at: Millis,
    /// When it ends; operators' may have no end.
    pub expires_at: Option<Millis>,
    /// When it was withdrawn.
    pub revoked_at: Option<Millis>,
    /// The identity it was renewed from. That one ends when this one is first used, not before: an answer that was
    /// lost must not lock a workload out.
    pub supersedes: Option<String>,
}

/// A right to become a consumer, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The public part of the token.
    pub id: String,
    /// Hash of its secret part.
    pub hash: TokenHash,
    /// As whom.
    pub consumer: ConsumerId,
    /// As which replica, where that is fixed.
    pub replica: Option<Replica>,
    /// Who created it.
    pub author: Author,
    /// When it was created.
    pub created_at: Millis,
    /// Until when it may be used.
    pub expires_at: Millis,
}

/// By how much the clock may be behind the date at which an enrolment was made, in milliseconds.
const BEHIND_MS: u64 = 60_000;

impl Enrolment {
    /// Whether it can be used at this date: it has not ended, and it has been made. Where the clock was set back since,
    /// and nobody measured, how old it is nobody knows.
    #[must_use]
    pub fn is_good(&self, date: Millis) -> bool {
        date < self.expires_at && self.created_at.since(date) <= BEHIND_MS
    }
}

/// What became of an enrolment token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It was good, and is now used.
    Granted(Enrolment),
    /// Right, but used before.
    Used(Enrolment),
    /// Right, but too late.
    Expired(Enrolment),
    /// No such id, or not this hash.
    Unknown,
}

/// The store of identities. Every write is one atomic step, and durable when it answers.
#[async_trait]
pub trait Identities: Send + Sync {
    /// Adds one, or replaces the one with this id.
    async fn put(&self, identity: Identity) -> Result<(), StorageError>;
    /// The one with this id, revoked or expired or not.
    async fn find(&self, id: &str) -> Result<Option<Identity>, StorageError>;
    /// All that are not revoked, by id.
    async fn list(&self) -> Result<Vec<Identity>, StorageError>;
    /// Withdraws one; answers whether it was there and good until now. The first withdrawal stands.
    async fn revoke(&self, id: &str, at: Millis) -> Result<bool, StorageError>;
    /// Binds a consumer's identity, and the first of its line, to their replica, unless one of them is bound already.
    /// Answers the replica that it is bound to; `None` where there is no such identity of a consumer.
    async fn bind(&self, id: &str, replica: &Replica) -> Result<Option<Replica>, StorageError>;
    /// Binds them to another replica, whatever they are bound to; answers whether there is such an identity of a consumer.
    async fn rebind(&self, id: &str, replica: &Replica) -> Result<bool, StorageError>;
    /// Adds an enrolment.
    async fn put_enrolment(&self, enrolment: Enrolment) -> Result<(), StorageError>;
    /// Uses an enrolment up: of several callers at once, one is granted, and those who come later are told that it was
    /// used. A wrong hash uses nothing up, so that nobody can spend another's token by knowing its id. One that
    /// [`Enrolment::is_good`] refuses at `date` is told to have expired, once, and is gone then; the store's own clock
    /// has no say in that.
    async fn take_enrolment(&self, id: &str, hash: &TokenHash, date: Millis) -> Result<Taken, StorageError>;
    /// Those that were not used, by id, ended ones among them.
    async fn enrolments(&self) -> Result<Vec<Enrolment>, StorageError>;
    /// Withdraws an enrolment; answers whether it was there and unused.
    async fn drop_enrolment(&self, id: &str) -> Result<bool, StorageError>;
}
