//! What every audit log must do.

use super::{AT, Kind, Place, parsed, suite, works};
use keybaton_engine::ports::audit::{AuditEntry, AuditError, AuditLog, Audited, Verdict};
use keybaton_engine::ports::freezes::{Freeze, Freezes, Scope};

suite!(AuditLog, Freezes =>
    entries_come_back_in_order_as_they_were_recorded_over_a_restart,
    each_entry_moves_the_head_and_a_log_that_nobody_writes_to_keeps_it,
    entries_of_two_hosts_at_once_are_one_chain_without_gaps,
    a_page_is_what_comes_after_a_place,
    a_freeze_and_a_thaw_are_in_the_log_once_each_with_their_authors,
    an_edited_entry_breaks_the_log_where_it_is_and_nothing_of_it_is_shown,
);

/// Entries at once.
const AT_ONCE: usize = 32;

fn entry(action: &str, verdict: Verdict) -> AuditEntry {
    AuditEntry {
        at: AT,
        actor: "operator ada".to_owned(),
        from: "127.0.0.1".to_owned(),
        action: action.to_owned(),
        subject: "payments/db".to_owned(),
        detail: "ticket 7, reported from Berlin".to_owned(),
        verdict,
    }
}

async fn entries_come_back_in_order_as_they_were_recorded_over_a_restart<P: Place>(place: &mut P)
where
    P::Store: AuditLog,
{
    let verdicts = [
        Verdict::Asked,
        Verdict::Done,
        Verdict::Refused("frozen".to_owned()),
        Verdict::Failed("the disk is full".to_owned()),
    ];
    let mut expected: Vec<_> = verdicts.map(|verdict| entry("plugin.approve", verdict)).into();
    let by_the_host = AuditEntry { actor: "host".to_owned(), from: String::new(), ..entry("reload", Verdict::Done) };
    expected.push(by_the_host);
    for (seq, entry) in (1..).zip(&expected) {
        assert_eq!(works(place.host(0).record(entry.clone()).await), seq, "places count up from 1");
    }
    place.restart();
    let found = works(place.host(1).entries(0, 100).await);
    let numbered: Vec<_> = (1..).zip(expected).map(|(seq, entry)| Audited { seq, entry }).collect();
    assert_eq!(found, numbered);
}

async fn each_entry_moves_the_head_and_a_log_that_nobody_writes_to_keeps_it<P: Place>(place: &mut P)
where
    P::Store: AuditLog,
{
    let mut heads = vec![works(place.host(0).prove().await)];
    for count in 1..=3 {
        // The same words: the head moves all the same, for it covers all before it.
        works(place.host(0).record(entry("rotate", Verdict::Done)).await);
        let proven = works(place.host(1).prove().await);
        assert_eq!(proven.entries, count);
        assert!(heads.iter().all(|before| before.head != proven.head), "{heads:?} {proven:?}");
        heads.push(proven);
    }
    place.restart();
    assert_eq!(Some(&works(place.host(0).prove().await)), heads.last());
}

async fn entries_of_two_hosts_at_once_are_one_chain_without_gaps<P: Place>(place: &mut P)
where
    P::Store: AuditLog,
{
    let records =
        (0..AT_ONCE).map(|number| place.host(number % 2).record(entry(&format!("act-{number}"), Verdict::Done)));
    let mut seqs: Vec<u64> = super::all(records).await.into_iter().map(works).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=AT_ONCE as u64).collect::<Vec<_>>(), "each has a place of its own");
    let proven = works(place.host(0).prove().await);
    assert_eq!(proven.entries, AT_ONCE as u64);
    let mut acts: Vec<_> =
        works(place.host(1).entries(0, AT_ONCE).await).into_iter().map(|it| it.entry.action).collect();
    acts.sort_unstable();
    acts.dedup();
    assert_eq!(acts.len(), AT_ONCE, "none took another's place");
}

async fn a_page_is_what_comes_after_a_place<P: Place>(place: &mut P)
where
    P::Store: AuditLog,
{
    let store = place.host(0);
    for action in ["plan", "apply", "freeze"] {
        works(store.record(entry(action, Verdict::Done)).await);
    }
    for (after, limit, expected) in [(0, 2, vec![1, 2]), (1, 1, vec![2]), (2, 9, vec![3]), (3, 9, vec![])] {
        let seqs: Vec<u64> = works(store.entries(after, limit).await).into_iter().map(|it| it.seq).collect();
        assert_eq!(seqs, expected, "{limit} after {after}");
    }
}

async fn a_freeze_and_a_thaw_are_in_the_log_once_each_with_their_authors<P: Place>(place: &mut P)
where
    P::Store: AuditLog + Freezes,
{
    let store = place.host(0);
    let scope = Scope::Namespace(parsed("payments"));
    for author in ["ada", "grace"] {
        works(store.freeze(Freeze { scope: scope.clone(), author: parsed(author), at: AT }).await);
    }
    for author in ["grace", "ada"] {
        works(store.thaw(scope.clone(), parsed(author), AT).await);
    }
    let told: Vec<_> =
        works(store.entries(0, 9).await).into_iter().map(|it| (it.entry.actor, it.entry.action)).collect();
    let expected = [("ada", "freeze"), ("grace", "thaw")].map(|(who, what)| (who.to_owned(), what.to_owned()));
    assert_eq!(told, expected, "what changed nothing is not in it");
}

async fn an_edited_entry_breaks_the_log_where_it_is_and_nothing_of_it_is_shown<P: Place>(place: &mut P)
where
    P::Store: AuditLog,
{
    let store = place.host(0);
    for action in ["plan", "apply", "freeze"] {
        works(store.record(entry(action, Verdict::Done)).await);
    }
    place.edit(Kind::Audit);
    let broken = store.prove().await;
    assert!(matches!(broken, Err(AuditError::Broken { at: 1..=3, .. })), "{broken:?}");
    let shown = store.entries(0, 1).await;
    assert!(matches!(shown, Err(AuditError::Broken { .. })), "{shown:?}");
}
