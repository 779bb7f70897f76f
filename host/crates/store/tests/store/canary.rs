//! Nothing that the store writes holds a secret, in any form; and what was erased is gone from its files.

use crate::support::{Place, facts, files, holds, seal, sealing};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keybaton_engine::ports::journal::Journal;
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_engine::ports::values::Values;
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::Generation;
use keybaton_store::Store;
use std::time::{Duration, Instant};

const CANARY: &[u8] = b"canary-5f1d-never-to-be-found-2b77";

fn forms() -> Vec<Vec<u8>> {
    let hex: String = CANARY.iter().map(|byte| format!("{byte:02x}")).collect();
    let base64 = STANDARD.encode(CANARY);
    vec![CANARY.to_vec(), hex.into_bytes(), base64.into_bytes(), CANARY.iter().rev().copied().collect()]
}

#[tokio::test]
async fn no_file_of_the_store_or_its_backups_holds_a_secret() {
    let place = Place::new();
    let store = place.create();
    for generation in 1..20 {
        store.append(sealing("a/b", vec![seal(generation, "password", CANARY)])).await.unwrap();
    }
    store.put_sealed("ca-key", SecretBytes::new(CANARY.to_vec())).await.unwrap();
    store.backup(&place.root.path().join("backup")).await.unwrap();
    let key = std::fs::read_to_string(place.key()).unwrap();
    let key = key.lines().last().unwrap().strip_prefix("key: ").unwrap().to_owned();
    let look = |when: &str| {
        let dirs = [place.data(), place.root.path().join("backup")];
        for file in dirs.iter().flat_map(|dir| files(dir)) {
            for form in forms().iter().chain([&key.clone().into_bytes()]) {
                assert!(!holds(&file, form), "{when}, {} holds {}", file.display(), String::from_utf8_lossy(form));
            }
        }
    };
    look("while it is open");
    assert!(holds(&place.data().join("keybaton.db-wal"), b"staged"), "the search would find what is written in clear");
    drop(store);
    look("after it was closed");
}

/// A store with one sealed value, and what its files hold of it: the wrapped data key and the sealed value.
async fn sealed_in(place: &Place) -> (Store, [Vec<u8>; 2]) {
    let store = place.create();
    store.append(sealing("a/b", vec![seal(1, "password", CANARY)])).await.unwrap();
    let raw = rusqlite::Connection::open(place.db()).unwrap();
    let only = |query: &str| raw.query_row(query, [], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let kept = [only("SELECT wrapped FROM data_keys"), only("SELECT value FROM sealed")];
    assert!(held(place, &kept[0]) && held(place, &kept[1]), "the files hold them");
    (store, kept)
}

fn held(place: &Place, needle: &[u8]) -> bool {
    files(&place.data()).iter().any(|file| holds(file, needle))
}

#[tokio::test]
async fn an_erased_key_is_soon_in_no_file_of_an_open_store() {
    let place = Place::new();
    let (store, kept) = sealed_in(&place).await;
    store.append(facts("a/b", vec![Event::Erased { generation: Generation(1) }])).await.unwrap();
    let begun = Instant::now();
    while kept.iter().any(|needle| held(&place, needle)) {
        assert!(begun.elapsed() < Duration::from_secs(20), "they are still there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn an_erased_key_is_soon_in_no_file_of_a_store_that_never_rests() {
    let place = Place::new();
    let (store, kept) = sealed_in(&place).await;
    store.append(facts("a/b", vec![Event::Erased { generation: Generation(1) }])).await.unwrap();
    let begun = Instant::now();
    while kept.iter().any(|needle| held(&place, needle)) {
        assert!(begun.elapsed() < Duration::from_secs(20), "they are still there");
        for generation in 2..12 {
            store.append(sealing("a/c", vec![seal(generation, "password", CANARY)])).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    drop(store);
    place.open().unwrap().verify().await.unwrap();
}
