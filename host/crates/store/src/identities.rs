//! Who may use the API, and how: identities and single-use enrolments, by id, as the `Identities` port has them. Only
//! digests of tokens are kept.

use crate::Store;
use crate::documents::{self, Collection, Document};
use crate::error::StoreError;
use crate::reader::View;
use crate::record::{RecordError, Stored};
use crate::tx::Tx;
use async_trait::async_trait;
use keybaton_engine::ports::identities::{ConsumerId, Enrolment, Identities, Identity, Subject, Taken, TokenHash};
use keybaton_engine::ports::storage::StorageError;
use keybaton_protocol::ids::{Author, Digest, Millis, Replica};
use serde::{Deserialize, Serialize};

/// For how long it is remembered that an enrolment was used, or has ended, in milliseconds: 90 days.
const USED_KEPT_MS: u64 = 90 * 24 * 3_600_000;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum SubjectRecord {
    Operator {
        name: String,
        /// Nothing has any yet.
        roles: Vec<String>,
        /// Empty is everywhere.
        namespaces: Vec<String>,
    },
    Consumer {
        namespace: String,
        consumer: String,
        replica: Option<String>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityRecord {
    token: String,
    subject: SubjectRecord,
    created_at: u64,
    expires_at: Option<u64>,
    /// Whose act it was is in the audit log; here it is the host's.
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
    subject: SubjectRecord,
    created_at: u64,
    expires_at: u64,
    created_by: String,
    /// Since when it is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used_at: Option<u64>,
}

impl SubjectRecord {
    fn store(subject: &Subject, replica: Option<&Replica>) -> Self {
        match subject {
            Subject::Operator { name, namespaces } => Self::Operator {
                name: Stored::store(name),
                roles: Vec::new(),
                namespaces: namespaces.iter().flatten().map(ToString::to_string).collect(),
            },
            Subject::Consumer(consumer) => Self::consumer(consumer, replica),
        }
    }

    fn consumer(consumer: &ConsumerId, replica: Option<&Replica>) -> Self {
        Self::Consumer {
            namespace: consumer.namespace.to_string(),
            consumer: Stored::store(&consumer.name),
            replica: replica.map(Stored::store),
        }
    }

    fn load(self) -> Result<(Subject, Option<Replica>), RecordError> {
        match self {
            Self::Operator { name, roles: _, namespaces } => {
                let listed: Vec<_> = namespaces.into_iter().map(Stored::load).collect::<Result<_, _>>()?;
                let namespaces = Some(listed).filter(|listed| !listed.is_empty());
                Ok((Subject::Operator { name: name.load()?, namespaces }, None))
            }
            Self::Consumer { namespace, consumer, replica } => {
                let consumer = ConsumerId { namespace: namespace.load()?, name: consumer.load()? };
                Ok((Subject::Consumer(consumer), replica.load()?))
            }
        }
    }
}

fn token_in(hash: &TokenHash) -> String {
    Stored::store(&Digest(hash.0))
}

fn token_out(text: String) -> Result<TokenHash, RecordError> {
    let Digest(hash) = text.load()?;
    Ok(TokenHash(hash))
}

impl IdentityRecord {
    fn store(identity: &Identity) -> Self {
        let Identity { id: _, hash, subject, replica, line, issued_at, expires_at, revoked_at, supersedes } = identity;
        let host = || Stored::store(&Author::host());
        Self {
            token: token_in(hash),
            subject: SubjectRecord::store(subject, replica.as_ref()),
            created_at: Stored::store(issued_at),
            expires_at: Stored::store(expires_at),
            created_by: host(),
            revoked: revoked_at.map(|at| (Stored::store(&at), host())),
            supersedes: supersedes.clone(),
            line: line.clone(),
        }
    }

    fn load(self, id: &str) -> Result<Identity, RecordError> {
        let (subject, replica) = self.subject.load()?;
        Ok(Identity {
            id: id.to_owned(),
            hash: token_out(self.token)?,
            subject,
            replica,
            line: self.line,
            issued_at: self.created_at.load()?,
            expires_at: self.expires_at.load()?,
            revoked_at: self.revoked.map(|(at, _)| at.load()).transpose()?,
            supersedes: self.supersedes,
        })
    }
}

impl EnrolmentRecord {
    fn store(enrolment: &Enrolment) -> Self {
        let Enrolment { id: _, hash, consumer, replica, author, created_at, expires_at } = enrolment;
        Self {
            token: token_in(hash),
            subject: SubjectRecord::consumer(consumer, replica.as_ref()),
            created_at: Stored::store(created_at),
            expires_at: Stored::store(expires_at),
            created_by: Stored::store(author),
            used_at: None,
        }
    }

    fn load(self, id: &str) -> Result<Enrolment, RecordError> {
        let (Subject::Consumer(consumer), replica) = self.subject.load()? else {
            return Err(RecordError::Value { what: "an enrolment's subject", text: "an operator".to_owned() });
        };
        Ok(Enrolment {
            id: id.to_owned(),
            hash: token_out(self.token)?,
            consumer,
            replica,
            author: self.created_by.load()?,
            created_at: self.created_at.load()?,
            expires_at: self.expires_at.load()?,
        })
    }
}

fn identity(document: &Document) -> Result<Identity, StoreError> {
    let record: IdentityRecord = document.decode(Collection::Identities)?;
    let loaded = record.load(&document.key);
    loaded.map_err(|error| StoreError::damaged(format!("identity `{}`: {error}", document.key)))
}

/// The enrolment, and since when it is used up.
fn enrolment(document: &Document) -> Result<(Enrolment, Option<u64>), StoreError> {
    let record: EnrolmentRecord = document.decode(Collection::Enrolments)?;
    let used_at = record.used_at;
    let loaded = record.load(&document.key);
    let loaded = loaded.map_err(|error| StoreError::damaged(format!("enrolment `{}`: {error}", document.key)))?;
    Ok((loaded, used_at))
}

fn find(tx: &Tx<'_>, id: &str) -> Result<Option<Identity>, StoreError> {
    documents::get(tx.conn, tx.keys, Collection::Identities, id)?.as_ref().map(identity).transpose()
}

fn keep(tx: &mut Tx<'_>, identity: &Identity) -> Result<(), StoreError> {
    documents::put(tx, Collection::Identities, &identity.id, &IdentityRecord::store(identity))
}

/// Binds a consumer's identity and the first of its line, unless one is bound already; with `anew`, in any case.
fn bind(tx: &mut Tx<'_>, id: &str, wanted: &Replica, anew: bool) -> Result<Option<Replica>, StoreError> {
    let consumers = |it: &Identity| matches!(it.subject, Subject::Consumer(_));
    let Some(own) = find(tx, id)?.filter(consumers) else { return Ok(None) };
    let first = match own.line.as_deref().filter(|line| *line != id) {
        Some(line) => find(tx, line)?.filter(consumers),
        None => None,
    };
    let bound = own.replica.as_ref().or_else(|| first.as_ref()?.replica.as_ref()).filter(|_| !anew);
    let bound = bound.unwrap_or(wanted).clone();
    for identity in [Some(own), first].into_iter().flatten().filter(|it| it.replica.as_ref() != Some(&bound)) {
        keep(tx, &Identity { replica: Some(bound.clone()), ..identity })?;
    }
    Ok(Some(bound))
}

fn take(tx: &mut Tx<'_>, id: &str, hash: &TokenHash, date: Millis) -> Result<Taken, StoreError> {
    let Some(found) = documents::get(tx.conn, tx.keys, Collection::Enrolments, id)? else { return Ok(Taken::Unknown) };
    let (enrolment, used_at) = enrolment(&found)?;
    if !enrolment.hash.is(hash) {
        return Ok(Taken::Unknown);
    }
    if used_at.is_some() {
        return Ok(Taken::Used(enrolment));
    }
    if !enrolment.is_good(date) {
        documents::remove(tx, Collection::Enrolments, id)?;
        return Ok(Taken::Expired(enrolment));
    }
    let used = EnrolmentRecord { used_at: Some(tx.now_ms), ..EnrolmentRecord::store(&enrolment) };
    documents::put(tx, Collection::Enrolments, id, &used)?;
    Ok(Taken::Granted(enrolment))
}

/// Drops enrolments that ended, or were taken, long ago.
fn drop_old_enrolments(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    for old in documents::list(tx.conn, tx.keys, Collection::Enrolments)? {
        let (enrolment, used_at) = enrolment(&old)?;
        let over_at = used_at.unwrap_or(enrolment.expires_at.0);
        if over_at.saturating_add(USED_KEPT_MS) <= tx.now_ms {
            documents::remove(tx, Collection::Enrolments, &old.key)?;
        }
    }
    Ok(())
}

#[async_trait]
impl Identities for Store {
    async fn put(&self, identity: Identity) -> Result<(), StorageError> {
        Ok(self.write(move |tx| keep(tx, &identity)).await?)
    }

    async fn find(&self, id: &str) -> Result<Option<Identity>, StorageError> {
        let id = id.to_owned();
        let found = self.read_view(move |view| {
            documents::get(view.conn, view.keys, Collection::Identities, &id)?.as_ref().map(identity).transpose()
        });
        Ok(found.await?)
    }

    async fn list(&self) -> Result<Vec<Identity>, StorageError> {
        let all = self.read_view(|view| -> Result<Vec<_>, _> {
            documents::list(view.conn, view.keys, Collection::Identities)?.iter().map(identity).collect()
        });
        Ok(all.await?.into_iter().filter(|identity| identity.revoked_at.is_none()).collect())
    }

    async fn revoke(&self, id: &str, at: Millis) -> Result<bool, StorageError> {
        let id = id.to_owned();
        let revoked = self.write(move |tx| {
            let Some(good) = find(tx, &id)?.filter(|it| it.revoked_at.is_none()) else { return Ok(false) };
            keep(tx, &Identity { revoked_at: Some(at), ..good })?;
            Ok(true)
        });
        Ok(revoked.await?)
    }

    async fn bind(&self, id: &str, replica: &Replica) -> Result<Option<Replica>, StorageError> {
        let (id, replica) = (id.to_owned(), replica.clone());
        Ok(self.write(move |tx| bind(tx, &id, &replica, false)).await?)
    }

    async fn rebind(&self, id: &str, replica: &Replica) -> Result<bool, StorageError> {
        let (id, replica) = (id.to_owned(), replica.clone());
        Ok(self.write(move |tx| bind(tx, &id, &replica, true)).await?.is_some())
    }

    async fn put_enrolment(&self, enrolment: Enrolment) -> Result<(), StorageError> {
        let kept = self.write(move |tx| {
            drop_old_enrolments(tx)?;
            documents::put(tx, Collection::Enrolments, &enrolment.id, &EnrolmentRecord::store(&enrolment))
        });
        Ok(kept.await?)
    }

    async fn take_enrolment(&self, id: &str, hash: &TokenHash, date: Millis) -> Result<Taken, StorageError> {
        let (id, hash) = (id.to_owned(), *hash);
        Ok(self.write(move |tx| take(tx, &id, &hash, date)).await?)
    }

    async fn enrolments(&self) -> Result<Vec<Enrolment>, StorageError> {
        let all = |view: &View<'_>| -> Result<Vec<_>, _> {
            documents::list(view.conn, view.keys, Collection::Enrolments)?.iter().map(enrolment).collect()
        };
        let unused = |(one, used_at): (Enrolment, Option<u64>)| used_at.is_none().then_some(one);
        Ok(self.read_view(all).await?.into_iter().filter_map(unused).collect())
    }

    async fn drop_enrolment(&self, id: &str) -> Result<bool, StorageError> {
        let id = id.to_owned();
        let dropped = self.write(move |tx| {
            let found = documents::get(tx.conn, tx.keys, Collection::Enrolments, &id)?;
            match found.as_ref().map(enrolment).transpose()? {
                Some((_, None)) => documents::remove(tx, Collection::Enrolments, &id),
                _ => Ok(false),
            }
        });
        Ok(dropped.await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::from_json;

    #[test]
    fn records_of_earlier_versions_load_for_ever() {
        let token = format!("sha256:{}", "07".repeat(32));
        let operator = format!(
            r#"{{"token":"{token}","subject":{{"operator":{{"name":"ada","roles":["admin"],"namespaces":["a","b"]}}}},
                "created_at":1,"expires_at":null,"created_by":"eve","revoked":[3,"eve"]}}"#
        );
        let loaded = from_json::<IdentityRecord>(1, operator.as_bytes()).unwrap().load("x").unwrap();
        let namespaces = Some(vec!["a".parse().unwrap(), "b".parse().unwrap()]);
        let expected = Identity {
            id: "x".to_owned(),
            hash: TokenHash([7; 32]),
            subject: Subject::Operator { name: "ada".parse().unwrap(), namespaces },
            replica: None,
            line: None,
            issued_at: Millis(1),
            expires_at: None,
            revoked_at: Some(Millis(3)),
            supersedes: None,
        };
        assert_eq!(loaded, expected);
        let used = format!(
            r#"{{"token":"{token}","subject":{{"consumer":{{"namespace":"a","consumer":"web","replica":null}}}},
                "created_at":1,"expires_at":2,"created_by":"ada"}}"#
        );
        let record = from_json::<EnrolmentRecord>(1, used.as_bytes()).unwrap();
        assert_eq!(record.used_at, None);
        let loaded = record.load("e").unwrap();
        assert_eq!((loaded.consumer.to_string(), loaded.author.to_string()), ("a/web".to_owned(), "ada".to_owned()));
    }

    #[test]
    fn an_enrolment_for_an_operator_is_damage() {
        let record = EnrolmentRecord {
            token: token_in(&TokenHash([7; 32])),
            subject: SubjectRecord::Operator { name: "ada".to_owned(), roles: Vec::new(), namespaces: Vec::new() },
            created_at: 1,
            expires_at: 2,
            created_by: "ada".to_owned(),
            used_at: None,
        };
        assert!(matches!(record.load("e"), Err(RecordError::Value { .. })));
    }
}
