//! What only the embedded store promises of its journals, beyond the suite of the port.

use crate::support::{Place, facts, seal, sealing, secret, wave};
use crate::tables::act;
use keybaton_engine::ports::audit::AuditLog;
use keybaton_engine::ports::journal::{Append, Journal, JournalError, Reply, Wanted};
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{CallId, Digest, Epoch, Generation, Ordinal, Seq};
use keybaton_store::conformance::{salt, unseal};
use keybaton_store::{Mode, Store, StoreError};

#[tokio::test]
async fn what_was_appended_is_there_after_reopening() {
    let place = Place::new();
    {
        let store = place.create();
        let mut append = sealing("a/b", vec![seal(1, "password", b"canary")]);
        append.replies =
            vec![Reply { call: CallId(1), ordinal: Ordinal(0), request: Digest([1; 32]), body: vec![0, 255] }];
        assert_eq!(store.append(append).await.unwrap(), Seq(1));
    }
    let store = place.open().unwrap();
    assert_eq!(store.read(&secret("a/b"), Seq(0)).await.unwrap()[0].event, Event::Staged);
    assert_eq!(unseal(&store, &secret("a/b"), Generation(1), "password").await.unwrap().expose(), b"canary");
    assert_eq!(store.replies(&secret("a/b"), CallId(1)).await.unwrap()[0].body, vec![0, 255]);
    assert_eq!(store.epoch().await.unwrap(), Epoch(0));
}

#[tokio::test]
async fn a_lease_ends_with_the_process_that_held_it() {
    let place = Place::new();
    let first = place.create().lease(&secret("a/b"), "one", 3_600_000).await.unwrap();
    let store = place.open().unwrap();
    let decided = Append { fence: Some(first.fence), ..facts("a/b", vec![wave(0)]) };
    assert!(matches!(store.append(decided).await, Err(JournalError::Fenced { .. })), "its fence decides nothing");
    let second = store.lease(&secret("a/b"), "two", 1_000).await.unwrap();
    assert!(second.fence > first.fence, "and is never given again");
}

#[tokio::test]
async fn the_erased_event_alone_erases() {
    let place = Place::new();
    let store = place.create();
    store.append(sealing("a/b", vec![seal(1, "password", b"x")])).await.unwrap();
    store.append(facts("a/b", vec![Event::Erased { generation: Generation(1) }])).await.unwrap();
    let gone = unseal(&store, &secret("a/b"), Generation(1), "password").await;
    assert!(matches!(gone, Err(JournalError::NoSeal { .. })));
    store.verify().await.unwrap();
}

#[tokio::test]
async fn a_late_secret_of_an_erased_generation_is_sealed_under_a_new_key() {
    let place = Place::new();
    let store = place.create();
    store.append(sealing("a/b", vec![seal(1, "password", b"x")])).await.unwrap();
    let earlier = salt(&store, &secret("a/b"), Generation(1)).await.unwrap();
    store.append(facts("a/b", vec![Event::Erased { generation: Generation(1) }])).await.unwrap();
    store.append(sealing("a/b", vec![seal(1, "late", b"y")])).await.unwrap();
    assert_eq!(unseal(&store, &secret("a/b"), Generation(1), "late").await.unwrap().expose(), b"y");
    assert_ne!(salt(&store, &secret("a/b"), Generation(1)).await.unwrap().expose(), earlier.expose());
    store.verify().await.unwrap();
}

#[tokio::test]
async fn an_audit_entry_is_kept_with_its_append_or_not_at_all() {
    let place = Place::new();
    let store = place.create();
    let entry = act("rotation.abandon");
    let refused = Append { after: Some(Seq(4)), ..facts("a/b", vec![wave(0)]) };
    assert!(store.append_audited(refused, entry.clone()).await.is_err());
    let unstorable = sealing("a/b", vec![seal(1, "x", b"1"), seal(1, "x", b"2")]);
    assert!(store.append_audited(unstorable, entry.clone()).await.is_err());
    assert_eq!(store.prove().await.unwrap().entries, 0);
    store.append_audited(facts("a/b", vec![wave(0)]), entry.clone()).await.unwrap();
    let found = store.entries(0, 10).await.unwrap();
    assert_eq!((found.len(), &found[0].entry), (1, &entry));
}

#[tokio::test]
async fn one_process_writes_and_others_may_look() {
    let place = Place::new();
    let store = place.create();
    store.append(facts("a/b", vec![wave(0)])).await.unwrap();
    assert!(matches!(place.open(), Err(StoreError::Locked { .. })), "there is no second writer");
    let look = Store::open(&place.data(), place.kek(), Mode::ReadOnly).unwrap();
    store.append(facts("a/b", vec![wave(1)])).await.unwrap();
    assert_eq!(look.read(&secret("a/b"), Seq(0)).await.unwrap().len(), 2, "inspection sees what is committed");
    assert!(matches!(look.append(facts("a/b", vec![wave(1)])).await, Err(JournalError::Unavailable { .. })));
    drop(store);
    assert_eq!(look.read(&secret("a/b"), Seq(0)).await.unwrap().len(), 2, "also when the host has stopped");
    drop(look);
    let look = Store::open(&place.data(), place.kek(), Mode::ReadOnly).unwrap();
    assert_eq!(look.read(&secret("a/b"), Seq(0)).await.unwrap().len(), 2, "or was never started");
}

#[tokio::test]
async fn a_store_is_made_once_and_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    assert!(matches!(place.open(), Err(StoreError::Missing { .. })));
    let store = place.create();
    store.append(facts("a/b", vec![wave(0)])).await.unwrap();
    for file in crate::support::files(&place.data()) {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600, "{}", file.display());
    }
    assert_eq!(place.data().metadata().unwrap().permissions().mode() & 0o7777, 0o700);
    drop(store);
    assert!(matches!(Store::create(&place.data(), place.kek()), Err(StoreError::Exists { .. })));
    for (path, mode) in [(place.data(), 0o750), (place.db(), 0o640)] {
        let right = path.metadata().unwrap().permissions().mode() & 0o7777;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        assert!(matches!(place.open(), Err(StoreError::Exposed { .. })), "{} with {mode:o}", path.display());
        std::fs::set_permissions(&path, PermissionsExt::from_mode(right)).unwrap();
    }
    place.open().unwrap();
}

#[tokio::test]
async fn events_of_one_append_are_read_one_by_one_wherever_the_reader_stands() {
    let place = Place::new();
    let store = place.create();
    store.append(facts("a/b", vec![wave(1), wave(2), wave(3)])).await.unwrap();
    store.append(sealing("a/b", vec![seal(1, "password", b"x")])).await.unwrap();
    store.append(facts("a/b", vec![wave(5), wave(6)])).await.unwrap();
    let all = store.read(&secret("a/b"), Seq(0)).await.unwrap();
    assert_eq!(all.iter().map(|it| it.seq.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    for after in 0..=6 {
        let rest = store.read(&secret("a/b"), Seq(after)).await.unwrap();
        assert_eq!(rest, all[usize::try_from(after).unwrap()..], "after {after}");
    }
}

#[tokio::test]
async fn what_is_wanted_together_is_opened_together_or_its_first_gap_is_named() {
    let place = Place::new();
    let store = place.create();
    let seals = vec![seal(1, "password", b"one"), seal(1, "pin", b"1111"), seal(2, "password", b"two")];
    store.append(sealing("a/b", seals)).await.unwrap();
    let wanted = |generation, labels: &[&str], salt| Wanted {
        generation: Generation(generation),
        labels: labels.iter().map(|label| label.parse().unwrap()).collect(),
        salt,
    };
    let asked = vec![wanted(2, &["password"], true), wanted(1, &["pin", "password"], false)];
    let opened = store.open(&secret("a/b"), asked).await.unwrap();
    let values: Vec<Vec<&[u8]>> =
        opened.iter().map(|it| it.values.iter().map(|value| value.expose()).collect()).collect();
    assert_eq!(values, [vec![&b"two"[..]], vec![b"1111", b"one"]]);
    let salt = salt(&store, &secret("a/b"), Generation(2)).await.unwrap();
    assert_eq!(opened[0].salt.as_ref().unwrap().expose(), salt.expose());
    assert!(opened[1].salt.is_none());
    let cases = [
        (wanted(1, &["password", "late"], true), "late"),
        (wanted(3, &["password"], false), "password"),
        (wanted(3, &[], true), "salt"),
    ];
    for (gap, named) in cases {
        match store.open(&secret("a/b"), vec![wanted(1, &["pin"], false), gap.clone()]).await {
            Err(JournalError::NoSeal { generation, label, .. }) => {
                assert_eq!((generation, label.as_str()), (gap.generation, named));
            }
            other => panic!("{gap:?}: {other:?}"),
        }
    }
    let nowhere = store.open(&secret("a/nobody"), vec![wanted(1, &["pin"], false)]).await;
    assert!(matches!(nowhere, Err(JournalError::NoSeal { .. })), "{nowhere:?}");
}
