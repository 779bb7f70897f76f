//! The API's identities over the store. Only hashes and sealed material pass through.

use async_trait::async_trait;
use keybaton_api::ports::{ConsumerId, Enrolment, Failure, FailureKind, Identities, Identity, Subject, Taken};
use keybaton_api::tokens::TokenHash;
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_protocol::ids::{Author, Digest, Millis, Replica};
use keybaton_schedule::connection::login;
use keybaton_store::{self as store, EnrolmentRefused, Store, StoreError};
use std::str::FromStr;

/// Identities kept in the store.
pub(crate) struct StoreIdentities(pub(crate) Store);

fn failed(error: &StoreError) -> Failure {
    Failure::new(FailureKind::Unavailable, format!("the store failed: {error}"))
}

fn damaged(what: &str) -> Failure {
    Failure::new(FailureKind::Damaged, format!("a stored identity has {what} that is none"))
}

fn parsed<T: FromStr>(text: &str, what: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| damaged(what))
}

fn hash_in(hash: &TokenHash) -> store::TokenHash {
    store::TokenHash(Digest(hash.0))
}

fn subject_in(subject: &Subject, replica: Option<&Replica>) -> store::Subject {
    match subject {
        Subject::Operator { name, namespaces } => store::Subject::Operator {
            name: name.to_string(),
            roles: Vec::new(),
            namespaces: namespaces.iter().flatten().map(ToString::to_string).collect(),
        },
        Subject::Consumer(consumer) => store::Subject::Consumer {
            namespace: consumer.namespace.to_string(),
            consumer: consumer.name.to_string(),
            replica: replica.map(ToString::to_string),
        },
    }
}

fn subject_out(subject: &store::Subject) -> Result<Subject, Failure> {
    match subject {
        store::Subject::Operator { name, namespaces, .. } => {
            let listed: Result<Vec<_>, _> = namespaces.iter().map(|one| parsed(one, "a namespace")).collect();
            let namespaces = Some(listed?).filter(|listed| !listed.is_empty());
            Ok(Subject::Operator { name: parsed(name, "an operator's name")?, namespaces })
        }
        store::Subject::Consumer { namespace, consumer: name, .. } => Ok(Subject::Consumer(ConsumerId {
            namespace: parsed(namespace, "a namespace")?,
            name: parsed(name, "a consumer's name")?,
        })),
    }
}

fn replica_out(subject: &store::Subject) -> Result<Option<Replica>, Failure> {
    match subject {
        store::Subject::Consumer { replica: Some(replica), .. } => parsed(replica, "a replica").map(Some),
        _ => Ok(None),
    }
}

fn host() -> Result<Author, Failure> {
    parsed("host", "an author")
}

fn identity_out(identity: &store::Identity) -> Result<Identity, Failure> {
    Ok(Identity {
        id: identity.id.clone(),
        hash: TokenHash(identity.token.0.0),
        subject: subject_out(&identity.subject)?,
        replica: replica_out(&identity.subject)?,
        line: identity.line.clone(),
        issued_at: identity.created_at,
        expires_at: identity.expires_at,
        revoked_at: identity.revoked.as_ref().map(|(at, _)| *at),
        supersedes: identity.supersedes.clone(),
    })
}

fn enrolment_out(enrolment: &store::Enrolment) -> Result<Enrolment, Failure> {
    let Subject::Consumer(consumer) = subject_out(&enrolment.subject)? else {
        return Err(damaged("an enrolment"));
    };
    Ok(Enrolment {
        id: enrolment.id.clone(),
        hash: TokenHash(enrolment.token.0.0),
        consumer,
        replica: replica_out(&enrolment.subject)?,
        author: enrolment.created_by.clone(),
        created_at: enrolment.created_at,
        expires_at: enrolment.expires_at,
    })
}

fn identity_in(identity: &Identity) -> Result<store::Identity, Failure> {
    let by = host()?;
    Ok(store::Identity {
        id: identity.id.clone(),
        token: hash_in(&identity.hash),
        subject: subject_in(&identity.subject, identity.replica.as_ref()),
        created_at: identity.issued_at,
        expires_at: identity.expires_at,
        revoked: identity.revoked_at.map(|at| (at, by.clone())),
        created_by: by,
        supersedes: identity.supersedes.clone(),
        line: identity.line.clone(),
    })
}

#[async_trait]
impl Identities for StoreIdentities {
    async fn put(&self, identity: Identity) -> Result<(), Failure> {
        self.0.put_identity(identity_in(&identity)?).await.map_err(|error| failed(&error))
    }

    async fn find(&self, id: &str) -> Result<Option<Identity>, Failure> {
        self.0.find_identity(id).await.map_err(|error| failed(&error))?.as_ref().map(identity_out).transpose()
    }

    async fn list(&self) -> Result<Vec<Identity>, Failure> {
        let all = self.0.list_identities().await.map_err(|error| failed(&error))?;
        all.iter().filter(|identity| identity.revoked.is_none()).map(identity_out).collect()
    }

    async fn revoke(&self, id: &str, at: Millis) -> Result<bool, Failure> {
        let known = self.0.find_identity(id).await.map_err(|error| failed(&error))?;
        if known.is_none_or(|identity| identity.revoked.is_some()) {
            return Ok(false);
        }
        self.0.revoke_identity(id, at, host()?).await.map_err(|error| failed(&error))
    }

    async fn bind(&self, id: &str, replica: &Replica) -> Result<Replica, Failure> {
        let bound = self.0.bind_identity(id, replica, false).await.map_err(|error| failed(&error))?;
        parsed(&bound.ok_or_else(|| damaged("a subject"))?, "a replica")
    }

    async fn rebind(&self, id: &str, replica: &Replica) -> Result<bool, Failure> {
        let bound = self.0.bind_identity(id, replica, true).await.map_err(|error| failed(&error))?;
        Ok(bound.is_some())
    }

    async fn put_enrolment(&self, enrolment: Enrolment) -> Result<(), Failure> {
        if enrolment.consumer.name.as_str() == login::CONSUMER {
            let what = format!("`{}` stands for the host's own connections; nobody enrols as it", login::CONSUMER);
            return Err(Failure::new(FailureKind::Refused, what));
        }
        let kept = store::Enrolment {
            id: enrolment.id.clone(),
            token: hash_in(&enrolment.hash),
            subject: subject_in(&Subject::Consumer(enrolment.consumer.clone()), enrolment.replica.as_ref()),
            created_at: enrolment.created_at,
            expires_at: enrolment.expires_at,
            created_by: enrolment.author,
        };
        self.0.put_enrolment(kept).await.map_err(|error| failed(&error))
    }

    async fn take_enrolment(&self, id: &str, hash: &TokenHash, date: Millis) -> Result<Taken, Failure> {
        let good = move |enrolment: &store::Enrolment| enrolment_out(enrolment).is_ok_and(|one| one.is_good(date));
        match self.0.take_enrolment(id, hash_in(hash), good).await.map_err(|error| failed(&error))? {
            Ok(enrolment) => Ok(Taken::Granted(enrolment_out(&enrolment)?)),
            Err(EnrolmentRefused::Used(enrolment)) => Ok(Taken::Used(enrolment_out(&enrolment)?)),
            Err(EnrolmentRefused::Expired(enrolment)) => Ok(Taken::Expired(enrolment_out(&enrolment)?)),
            Err(EnrolmentRefused::Unknown | EnrolmentRefused::WrongToken) => Ok(Taken::Unknown),
        }
    }

    async fn enrolments(&self) -> Result<Vec<Enrolment>, Failure> {
        let all = self.0.list_enrolments().await.map_err(|error| failed(&error))?;
        all.iter().map(enrolment_out).collect()
    }

    async fn drop_enrolment(&self, id: &str) -> Result<bool, Failure> {
        self.0.remove_enrolment(id).await.map_err(|error| failed(&error))
    }

    async fn put_sealed(&self, name: &str, bytes: SecretBytes) -> Result<(), Failure> {
        self.0.put_sealed(name, bytes).await.map_err(|error| failed(&error))
    }

    async fn get_sealed(&self, name: &str) -> Result<Option<SecretBytes>, Failure> {
        self.0.get_sealed(name).await.map_err(|error| failed(&error))
    }
}
