//! What every store of identities and enrolments must do.

use super::{AT, Kind, Place, is_damage, parsed, suite, works};
use keybaton_engine::ports::identities::{ConsumerId, Enrolment, Identities, Identity, Subject, Taken, TokenHash};
use keybaton_protocol::ids::{Millis, Replica};

suite!(Identities =>
    an_identity_is_found_as_it_was_put_and_replaced_whole_over_a_restart,
    a_revoked_identity_is_found_but_not_listed_and_the_first_revocation_stands,
    an_identity_is_bound_once_with_all_that_it_is_renewed_into,
    of_many_who_bind_an_identity_at_once_all_are_told_the_same_replica,
    an_enrolment_is_used_once_by_whichever_of_many_callers_at_two_hosts,
    a_wrong_hash_uses_nothing_up_and_learns_nothing,
    whether_an_enrolment_has_ended_says_the_date_and_no_clock_of_the_store,
    enrolments_are_listed_until_they_are_used_or_withdrawn,
    an_edited_identity_or_enrolment_is_damage,
);

/// Callers at once.
const CALLERS: usize = 16;

fn hash(byte: u8) -> TokenHash {
    TokenHash([byte; 32])
}

fn consumer() -> ConsumerId {
    parsed("payments/web")
}

fn identity(id: &str) -> Identity {
    Identity {
        id: id.to_owned(),
        hash: hash(1),
        subject: Subject::Consumer(consumer()),
        replica: None,
        line: None,
        issued_at: AT,
        expires_at: Some(Millis(AT.0 + 1)),
        revoked_at: None,
        supersedes: None,
    }
}

fn enrolment(id: &str) -> Enrolment {
    Enrolment {
        id: id.to_owned(),
        hash: hash(7),
        consumer: consumer(),
        replica: None,
        author: parsed("ada"),
        created_at: AT,
        expires_at: Millis(AT.0 + 1_000),
    }
}

async fn find(store: &impl Identities, id: &str) -> Option<Identity> {
    works(store.find(id).await)
}

async fn an_identity_is_found_as_it_was_put_and_replaced_whole_over_a_restart<P: Place>(place: &mut P)
where
    P::Store: Identities,
{
    let operator = |namespaces: Option<&[&str]>| Subject::Operator {
        name: parsed("ada"),
        namespaces: namespaces.map(|names| names.iter().map(|name| parsed(name)).collect()),
    };
    let all = [
        identity("a"),
        Identity { subject: operator(None), expires_at: None, ..identity("b") },
        Identity { subject: operator(Some(&["payments", "search"])), ..identity("c") },
        Identity {
            replica: Some(parsed("web-0")),
            line: Some("a".to_owned()),
            supersedes: Some("a".to_owned()),
            ..identity("d")
        },
    ];
    assert_eq!(find(place.host(0), "a").await, None);
    for one in all.iter().rev() {
        works(place.host(0).put(one.clone()).await);
    }
    let renewed = Identity { hash: hash(2), ..all[0].clone() };
    works(place.host(0).put(renewed.clone()).await);
    place.restart();
    let expected = [&renewed, &all[1], &all[2], &all[3]].map(Clone::clone);
    for one in &expected {
        assert_eq!(find(place.host(1), &one.id).await.as_ref(), Some(one));
    }
    assert_eq!(works(place.host(1).list().await), expected, "by id");
}

async fn a_revoked_identity_is_found_but_not_listed_and_the_first_revocation_stands<P: Place>(place: &mut P)
where
    P::Store: Identities,
{
    for id in ["a", "b"] {
        works(place.host(0).put(identity(id)).await);
    }
    let revokes = (0..CALLERS).map(|number| place.host(number % 2).revoke("a", Millis(AT.0 + number as u64)));
    let told: Vec<bool> = super::all(revokes).await.into_iter().map(works).collect();
    let first = told.iter().position(|first| *first);
    assert_eq!(told.iter().filter(|first| **first).count(), 1, "one of them ended it: {told:?}");
    let kept = find(place.host(1), "a").await.and_then(|one| one.revoked_at);
    assert_eq!(kept, first.map(|number| Millis(AT.0 + number as u64)));
    assert_eq!(works(place.host(1).list().await), [identity("b")]);
    assert!(!works(place.host(0).revoke("nobody", AT).await));
}

async fn an_identity_is_bound_once_with_all_that_it_is_renewed_into<P: Place>(place: &mut P)
where
    P::Store: Identities,
{
    let store = place.host(0);
    let of = |id: &str, line: Option<&str>| Identity { line: line.map(str::to_owned), ..identity(id) };
    for (id, line) in [("first", None), ("second", Some("first")), ("third", Some("first"))] {
        works(store.put(of(id, line)).await);
    }
    let operator = Subject::Operator { name: parsed("ada"), namespaces: None };
    works(store.put(Identity { subject: operator, ..identity("operator") }).await);
    let [one, two] = ["pod-1", "pod-2"].map(parsed::<Replica>);
    assert_eq!(works(store.bind("second", &one).await), Some(one.clone()));
    for id in ["third", "first", "second"] {
        assert_eq!(works(place.host(1).bind(id, &two).await), Some(one.clone()), "{id}");
    }
    assert!(works(store.rebind("third", &two).await), "an operator may");
    for (id, replica) in [("third", &two), ("first", &two), ("second", &one)] {
        assert_eq!(find(store, id).await.and_then(|one| one.replica).as_ref(), Some(replica), "{id}");
    }
    for id in ["operator", "nobody"] {
        assert_eq!(works(store.bind(id, &one).await), None, "{id}");
        assert!(!works(store.rebind(id, &one).await), "{id}");
    }
}

async fn of_many_who_bind_an_identity_at_once_all_are_told_the_same_replica<P: Place>(place: &mut P)
where
    P::Store: Identities,
{
    works(place.host(0).put(identity("a")).await);
    let names: Vec<Replica> = (0..CALLERS).map(|number| parsed(&format!("pod-{number}"))).collect();
    let binds = names.iter().enumerate().map(|(number, name)| place.host(number % 2).bind("a", name));
    let mut told: Vec<_> = super::all(binds).await.into_iter().map(works).collect();
    told.dedup();
    assert_eq!(told, [find(place.host(0), "a").await.and_then(|one| one.replica)]);
}

async fn an_enrolment_is_used_once_by_whichever_of_many_callers_at_two_hosts<P: Place>(place: &mut P)
where
    P::Store: Identities,
{
    let kept = Enrolment { replica: Some(parsed("web-0")), ..enrolment("e-1") };
    works(place.host(0).put_enrolment(kept.clone()).await);
    let right = hash(7);
    let takers = (0..CALLERS).map(|number| place.host(number % 2).take_enrolment("e-1", &right, AT));
    let taken: Vec<Taken> = super::all(takers).await.into_iter().map(works).collect();
    let count = |wanted: &Taken| taken.iter().filter(|outcome| *outcome == wanted).count();
    assert_eq!(count(&Taken::Granted(kept.clone())), 1, "{taken:?}");
    assert_eq!(count(&Taken::Used(kept.clone())), CALLERS - 1, "the others are told that it was used: {taken:?}");
    place.restart();
    let again = works(place.host(1).take_enrolment("e-1", &right, AT).await);
    assert_eq!(again, Taken::Used(kept), "that is still known after a restart");
}

async fn a_wrong_hash_uses_nothing_up_and_learns_nothing<P: Place>(place: &mut P)
where
    P::Store: Identities,
{
    let store = place.host(0);
    works(store.put_enrolment(enrolment("e-1")).await);
    for (id, guess, date) in [("e-1", 8, AT), ("e-1", 8, Millis(AT.0 + 2_000)), ("e-2", 7, AT)] {
        assert_eq!(works(store.take_enrolment(id, &hash(guess), date).await), Taken::Unknown);
    }
    assert_eq!(works(store.take_enrolment("e-1", &hash(7), AT).await), Taken::Granted(enrolment("e-1")));
    assert_eq!(works(store.take_enrolment("e-1", &hash(8), AT).await), Taken::Unknown, "not even that it was used");
}

async fn whether_an_enrolment_has_ended_says_the_date_and_no_clock_of_the_store<P: Place>(place: &mut P)
where
    P::Store: Identities,
{
    let store = place.host(0);
    // Both ended years ago, by any clock of today.
    works(store.put_enrolment(enrolment("late")).await);
    let after = enrolment("late").expires_at;
    let late = works(store.take_enrolment("late", &hash(7), after).await);
    assert_eq!(late, Taken::Expired(enrolment("late")));
    assert_eq!(works(store.take_enrolment("late", &hash(7), AT).await), Taken::Unknown, "it is gone");
    works(store.put_enrolment(enrolment("in-time")).await);
    let in_time = works(store.take_enrolment("in-time", &hash(7), AT).await);
    assert_eq!(in_time, Taken::Granted(enrolment("in-time")));
}

async fn enrolments_are_listed_until_they_are_used_or_withdrawn<P: Place>(place: &mut P)
where
    P::Store: Identities,
{
    // Not so old that a store may forget them.
    let lasting = |id: &str| Enrolment { expires_at: Millis(AT.0 * 2), ..enrolment(id) };
    for id in ["c", "b", "a"] {
        works(place.host(0).put_enrolment(lasting(id)).await);
    }
    assert_eq!(works(place.host(1).enrolments().await), ["a", "b", "c"].map(lasting));
    works(place.host(0).take_enrolment("a", &hash(7), AT).await);
    for (expected, id) in [(false, "a"), (true, "b"), (false, "b"), (false, "nobody")] {
        assert_eq!(works(place.host(1).drop_enrolment(id).await), expected, "{id}");
    }
    assert_eq!(works(place.host(0).take_enrolment("b", &hash(7), AT).await), Taken::Unknown);
    assert_eq!(works(place.host(0).enrolments().await), [lasting("c")]);
}

async fn an_edited_identity_or_enrolment_is_damage<P: Place>(place: &mut P)
where
    P::Store: Identities,
{
    let store = place.host(0);
    works(store.put(identity("a")).await);
    works(store.put_enrolment(Enrolment { expires_at: Millis(AT.0 * 2), ..enrolment("e-1") }).await);
    place.edit(Kind::Identities);
    is_damage(store.find("a").await);
    is_damage(store.list().await);
    place.edit(Kind::Enrolments);
    is_damage(store.take_enrolment("e-1", &hash(7), AT).await);
    is_damage(store.enrolments().await);
}
