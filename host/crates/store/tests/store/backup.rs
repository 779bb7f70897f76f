//! Backups taken while writing goes on, and what a restore makes of them; migrations' own backups.

use crate::support::{Place, facts, seal, sealing, secret, wave};
use keybaton_engine::ports::backup::Backups;
use keybaton_engine::ports::journal::{Append, Journal, JournalError};
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{Epoch, Generation, Seq};
use keybaton_store::conformance::unseal;
use keybaton_store::{Kek, Mode, Store, StoreError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn restore(place: &Place, from: &Path, to: &str) -> (PathBuf, Result<keybaton_store::Restoration, StoreError>) {
    let to = place.root.path().join(to);
    let outcome = Store::restore(from, &to, &place.kek());
    (to, outcome)
}

/// Who write without pause while backups are taken.
const WRITERS: u64 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_while_writing_goes_on_is_one_instant() {
    let place = Place::new();
    let store = place.create();
    let stop = Arc::new(AtomicBool::new(false));
    let total = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let (store, stop, total) = (store.clone(), Arc::clone(&stop), Arc::clone(&total));
            tokio::spawn(async move {
                let mut written = 0;
                while !stop.load(Ordering::Relaxed) {
                    let name = format!("a/s{number}");
                    let sealed = sealing(&name, vec![seal(written + 1, "password", &written.to_be_bytes())]);
                    store.append(sealed).await.unwrap();
                    written += 1;
                    total.fetch_add(1, Ordering::Relaxed);
                }
                written
            })
        })
        .collect();
    let mut before = 0;
    for number in 0..5 {
        // Of each writer, one write may have been in the last backup without being counted yet.
        let enough = total.load(Ordering::Relaxed) + WRITERS + 1;
        while total.load(Ordering::Relaxed) < enough {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let to = place.root.path().join(format!("backup-{number}"));
        let manifest = store.backup(&to).await.unwrap();
        assert_eq!((manifest.epoch, manifest.kek.as_str()), (Epoch(0), place.kek().id()));
        let (_, outcome) = restore(&place, &to, &format!("restored-{number}"));
        let proven = outcome.unwrap().proven;
        assert!(proven.rows > before, "writing went on between backups");
        assert_eq!(proven.rows, proven.sealed, "each append is in it whole: its row, and the value it sealed");
        before = proven.rows;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn a_restored_store_lives_in_a_new_epoch_and_says_whose_journal_does_not_know() {
    let place = Place::new();
    let store = place.create();
    let lease = store.lease(&secret("a/one"), "host", 3_600_000).await.unwrap();
    for name in ["a/one", "a/two"] {
        store.append(sealing(name, vec![seal(1, "password", name.as_bytes())])).await.unwrap();
    }
    let from = place.root.path().join("backup");
    store.backup(&from).await.unwrap();
    let later = store.lease(&secret("a/two"), "host", 1_000).await.unwrap();
    let mut epochs = vec![store.epoch().await.unwrap()];
    for to in ["restored-1", "restored-2"] {
        let (dir, outcome) = restore(&place, &from, to);
        let epoch = outcome.unwrap().epoch;
        assert!(!epochs.contains(&epoch), "no epoch is lived twice, even out of one backup");
        epochs.push(epoch);
        let restored = Store::open(&dir, place.kek(), Mode::ReadWrite).unwrap();
        assert_eq!(restored.epoch().await.unwrap(), epoch);
        let value = unseal(&restored, &secret("a/two"), Generation(1), "password").await.unwrap();
        assert_eq!(value.expose(), b"a/two");
        let stale = Append { fence: Some(lease.fence), ..facts("a/one", vec![wave(1)]) };
        assert!(matches!(restored.append(stale).await, Err(JournalError::Fenced { .. })), "old leases are void");
        let fresh = restored.lease(&secret("a/one"), "host", 1_000).await.unwrap();
        assert!(fresh.fence > later.fence, "new fences lie beyond those given after the backup");
        assert_eq!(restored.restored_pending().await.unwrap(), [secret("a/one"), secret("a/two")]);
        restored.append(facts("a/one", vec![Event::Restored { epoch, strict: true }])).await.unwrap();
        assert_eq!(restored.restored_pending().await.unwrap(), [secret("a/two")]);
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    }
}

#[tokio::test]
async fn what_is_no_backup_of_this_key_becomes_no_store() {
    let place = Place::new();
    let store = place.create();
    store.append(sealing("a/one", vec![seal(1, "password", b"x")])).await.unwrap();
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil); 5] = [
        ("no manifest", |dir| std::fs::remove_file(dir.join("manifest.json")).unwrap()),
        ("a database cut short", |dir| {
            let file = std::fs::OpenOptions::new().write(true).open(dir.join("keybaton.db")).unwrap();
            file.set_len(8192).unwrap();
        }),
        ("a changed byte", |dir| {
            let mut bytes = std::fs::read(dir.join("keybaton.db")).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            std::fs::write(dir.join("keybaton.db"), bytes).unwrap();
        }),
        ("an edited epoch", |dir| edit(dir, "\"epoch\": 0", "\"epoch\": 9")),
        ("another format", |dir| edit(dir, "keybaton-backup-v1", "keybaton-backup-v9")),
    ];
    for (number, (what, spoil)) in cases.into_iter().enumerate() {
        let from = place.root.path().join(format!("backup-{number}"));
        store.backup(&from).await.unwrap();
        spoil(&from);
        let (dir, outcome) = restore(&place, &from, &format!("restored-{number}"));
        assert!(matches!(outcome, Err(StoreError::Backup { .. } | StoreError::Io { .. })), "{what}: {outcome:?}");
        let opened = Store::open(&dir, place.kek(), Mode::ReadWrite);
        assert!(matches!(opened, Err(StoreError::Missing { .. })), "{what}: there is no store afterwards");
    }
    let from = place.root.path().join("good");
    store.backup(&from).await.unwrap();
    let other = Kek::generate(&place.root.path().join("other")).unwrap();
    let wrong = Store::restore(&from, &place.root.path().join("wrong"), &other);
    assert!(matches!(wrong, Err(StoreError::WrongKek { .. })), "{wrong:?}");
    let (_, over) = restore(&place, &from, "data");
    assert!(matches!(over, Err(StoreError::Exists { .. } | StoreError::Locked { .. })), "never over a store: {over:?}");
    let (dir, again) = restore(&place, &from, "restored-2");
    again.unwrap_or_else(|error| panic!("a directory where a restore failed can be used: {error}"));
    assert_eq!(
        Store::open(&dir, place.kek(), Mode::ReadOnly).unwrap().read(&secret("a/one"), Seq(0)).await.unwrap().len(),
        1
    );
}

fn edit(dir: &Path, from: &str, to: &str) {
    let path = dir.join("manifest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_name() {
    let place = Place::new();
    drop(place.create());
    let raw = rusqlite::Connection::open(place.db()).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    for mode in [Mode::ReadWrite, Mode::ReadOnly] {
        match Store::open(&place.data(), place.kek(), mode) {
            Err(error @ StoreError::NewerSchema { found: 99, .. }) => {
                assert!(error.to_string().contains("schema 99; this binary knows up to"), "{error}");
            }
            other => panic!("a newer schema is refused: {other:?}"),
        }
    }
}
