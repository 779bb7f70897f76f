//! Declarations, identities, enrolments, proposals, the host's own values, and the audit log.

use crate::support::Place;
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_engine::{Proposal, Word};
use keybaton_protocol::evidence::Purpose;
use keybaton_protocol::ids::{Digest, Generation, Millis};
use keybaton_store::{
    AuditEntry, AuditOutcome, Enrolment, EnrolmentRefused, Identity, Spec, Store, Subject, TokenHash,
};

const FAR: Millis = Millis(9_000_000_000_000);

pub(crate) fn spec(name: &str, body: &str) -> Spec {
    Spec {
        name: name.parse().unwrap(),
        body: body.to_owned(),
        digest: Digest([5; 32]),
        applied_at: Millis(7),
        by: "ada".parse().unwrap(),
    }
}

pub(crate) fn proposal(named: Option<&str>) -> Proposal {
    Proposal {
        secret: "a/one".parse().unwrap(),
        word: Word {
            consumer: "web".parse().unwrap(),
            replica: named.map(|name| name.parse().unwrap()),
            generation: Generation(2),
            purpose: Purpose::Adopted,
            reason: "seen on its console".to_owned(),
            author: "ada".parse().unwrap(),
            approver: "ada".parse().unwrap(),
            expires_at: FAR,
        },
        replica: "web-0".parse().unwrap(),
        proposed_at: Millis(7),
    }
}

fn token(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

pub(crate) fn identity(id: &str) -> Identity {
    Identity {
        id: id.to_owned(),
        token: TokenHash::of(&token("first")),
        subject: Subject::Operator { name: "ada".to_owned(), roles: vec!["admin".to_owned()], namespaces: Vec::new() },
        created_at: Millis(1),
        expires_at: Some(FAR),
        created_by: "ada".parse().unwrap(),
        revoked: None,
        supersedes: None,
        line: None,
    }
}

pub(crate) fn enrolment(id: &str, expires_at: Millis) -> Enrolment {
    Enrolment {
        id: id.to_owned(),
        token: TokenHash::of(&token("once")),
        subject: Subject::Consumer { namespace: "a".to_owned(), consumer: "billing".to_owned(), replica: None },
        created_at: Millis(1),
        expires_at,
        created_by: "ada".parse().unwrap(),
    }
}

pub(crate) fn act(what: &str) -> AuditEntry {
    AuditEntry {
        who: "ada".to_owned(),
        what: what.to_owned(),
        on: "a/b".to_owned(),
        at: Millis(5),
        outcome: AuditOutcome::Refused("not hers".to_owned()),
        detail: "ticket 7".to_owned(),
    }
}

#[tokio::test]
async fn specs_are_kept_replaced_listed_and_removed() {
    let place = Place::new();
    let store = place.create();
    store.put_specs(vec![spec("b/two", "{}"), spec("a/one", "{}")]).await.unwrap();
    store.put_spec(spec("a/one", r#"{"every":"30d"}"#)).await.unwrap();
    let expected = vec![spec("a/one", r#"{"every":"30d"}"#), spec("b/two", "{}")];
    assert_eq!(store.list_specs().await.unwrap(), expected);
    drop(store);
    let store = place.open().unwrap();
    assert_eq!(store.list_specs().await.unwrap(), expected, "also after reopening");
    assert!(store.remove_spec(&expected[0].name).await.unwrap());
    assert!(!store.remove_spec(&expected[0].name).await.unwrap(), "there is nothing left to remove");
    assert_eq!(store.list_specs().await.unwrap(), expected[1..]);
}

#[tokio::test]
async fn proposals_outlive_the_process_until_they_are_removed() {
    let place = Place::new();
    let store = place.create();
    let (named, only) = (proposal(Some("web-0")), proposal(None));
    store.put_proposal("p-1", &named).await.unwrap();
    store.put_proposal("p-2", &only).await.unwrap();
    drop(store);
    let store = place.open().unwrap();
    let expected = vec![("p-1".to_owned(), named), ("p-2".to_owned(), only.clone())];
    assert_eq!(store.list_proposals().await.unwrap(), expected);
    assert!(store.remove_proposal("p-1").await.unwrap());
    assert!(!store.remove_proposal("p-1").await.unwrap(), "there is nothing left to remove");
    assert_eq!(store.list_proposals().await.unwrap(), [("p-2".to_owned(), only)]);
}

#[tokio::test]
async fn identities_are_found_renewed_and_revoked_once() {
    let place = Place::new();
    let store = place.create();
    assert_eq!(store.find_identity("op-1").await.unwrap(), None);
    store.put_identity(identity("op-1")).await.unwrap();
    let renewed = Identity { token: TokenHash::of(&token("second")), ..identity("op-1") };
    store.put_identity(renewed.clone()).await.unwrap();
    let found = store.find_identity("op-1").await.unwrap().unwrap();
    assert_eq!(found, renewed);
    assert!(found.token.matches(&token("second")) && !found.token.matches(&token("first")));
    assert!(!store.revoke_identity("op-2", Millis(3), "ada".parse().unwrap()).await.unwrap());
    for (at, by) in [(3, "ada"), (4, "eve")] {
        assert!(store.revoke_identity("op-1", Millis(at), by.parse().unwrap()).await.unwrap());
        let revoked = store.list_identities().await.unwrap().remove(0).revoked;
        assert_eq!(revoked, Some((Millis(3), "ada".parse().unwrap())), "the first revocation stands");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_take_an_enrolment_one_gets_it() {
    let place = Place::new();
    let store = place.create();
    store.put_enrolment(enrolment("e-1", FAR)).await.unwrap();
    let wrong = store.take_enrolment("e-1", TokenHash::of(&token("guess")), |_| true).await.unwrap();
    assert_eq!(wrong, Err(EnrolmentRefused::WrongToken), "a wrong guess does not use it up");
    let takers: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(
                async move { store.take_enrolment("e-1", TokenHash::of(&token("once")), |_| true).await.unwrap() },
            )
        })
        .collect();
    let mut taken = Vec::new();
    for taker in takers {
        taken.push(taker.await.unwrap());
    }
    assert_eq!(taken.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let used = Err(EnrolmentRefused::Used(Box::new(enrolment("e-1", FAR))));
    assert_eq!(taken.iter().filter(|outcome| **outcome == used).count(), 19);
    assert_eq!(store.list_enrolments().await.unwrap(), [], "what was used is nobody's right any more");
    assert!(!store.remove_enrolment("e-1").await.unwrap(), "nor can it be withdrawn");
    drop(store);
    let again = place.open().unwrap().take_enrolment("e-1", TokenHash::of(&token("once")), |_| true).await.unwrap();
    assert_eq!(again, used, "and that is still known after a restart");
}

#[tokio::test]
async fn an_expired_enrolment_is_refused_and_forgotten() {
    let place = Place::new();
    let store = place.create();
    store.put_enrolment(enrolment("late", Millis(1))).await.unwrap();
    let take = || store.take_enrolment("late", TokenHash::of(&token("once")), |one| Millis(1) < one.expires_at);
    assert_eq!(take().await.unwrap(), Err(EnrolmentRefused::Expired(Box::new(enrolment("late", Millis(1))))));
    assert_eq!(take().await.unwrap(), Err(EnrolmentRefused::Unknown));
    store.put_enrolment(enrolment("older", Millis(1))).await.unwrap();
    store.put_enrolment(enrolment("newer", FAR)).await.unwrap();
    let gone = store.take_enrolment("older", TokenHash::of(&token("once")), |_| true).await.unwrap();
    assert_eq!(gone, Err(EnrolmentRefused::Unknown), "those that expired long ago are dropped when others are made");
}

#[tokio::test]
async fn whether_an_enrolment_has_ended_says_who_takes_it_and_no_clock_of_the_store() {
    let place = Place::new();
    let store = place.create();
    store.put_enrolment(enrolment("made-while-the-clock-was-behind", Millis(1))).await.unwrap();
    let taken = store.take_enrolment("made-while-the-clock-was-behind", TokenHash::of(&token("once")), |_| true);
    assert!(taken.await.unwrap().is_ok());
}

#[tokio::test]
async fn the_hosts_values_are_sealed_by_name() {
    let place = Place::new();
    let store = place.create();
    assert!(store.get_sealed("ca-key").await.unwrap().is_none());
    for value in ["first", "second"] {
        store.put_sealed("ca-key", token(value)).await.unwrap();
        store.put_sealed("other", token("x")).await.unwrap();
        assert_eq!(store.get_sealed("ca-key").await.unwrap().unwrap().expose(), value.as_bytes());
    }
}

#[tokio::test]
async fn the_audit_log_grows_and_proves_itself() {
    let place = Place::new();
    let store = place.create();
    let empty = store.audit_verify().await.unwrap();
    assert_eq!(empty.entries, 0);
    for (number, what) in ["plan", "apply", "freeze"].into_iter().enumerate() {
        assert_eq!(store.audit_append(act(what)).await.unwrap(), number as u64 + 1);
    }
    let report = store.audit_verify().await.unwrap();
    assert_eq!(report.entries, 3);
    assert_ne!(report.head, empty.head);
    let found = store.audit_entries(1, 1).await.unwrap();
    assert_eq!((found.len(), found[0].seq, &found[0].entry), (1, 2, &act("apply")));
}

#[tokio::test]
async fn an_identity_is_bound_once_with_all_that_it_is_renewed_into() {
    let place = Place::new();
    let store = place.create();
    let subject = || Subject::Consumer { namespace: "a".to_owned(), consumer: "billing".to_owned(), replica: None };
    let of =
        |id: &str, line: Option<&str>| Identity { subject: subject(), line: line.map(str::to_owned), ..identity(id) };
    let bind = async |store: &Store, id: &str, replica: &str, anew| {
        store.bind_identity(id, &replica.parse().unwrap(), anew).await.unwrap()
    };
    for (id, line) in [("first", None), ("second", Some("first")), ("third", Some("first"))] {
        store.put_identity(of(id, line)).await.unwrap();
    }
    store.put_identity(identity("operator")).await.unwrap();
    assert_eq!(bind(&store, "second", "pod-1", false).await.as_deref(), Some("pod-1"));
    for id in ["third", "first", "second"] {
        assert_eq!(bind(&store, id, "pod-2", false).await.as_deref(), Some("pod-1"), "{id}");
    }
    assert_eq!(bind(&store, "third", "pod-2", true).await.as_deref(), Some("pod-2"), "an operator may");
    drop(store);
    let store = place.open().unwrap();
    for (id, replica) in [("third", "pod-2"), ("first", "pod-2"), ("second", "pod-1")] {
        let kept = store.find_identity(id).await.unwrap().unwrap().subject;
        let expected = Subject::Consumer {
            namespace: "a".to_owned(),
            consumer: "billing".to_owned(),
            replica: Some(replica.to_owned()),
        };
        assert_eq!(kept, expected, "{id}");
    }
    for id in ["operator", "nobody"] {
        assert_eq!(bind(&store, id, "pod-1", false).await, None, "{id}");
    }
}
