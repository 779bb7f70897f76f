//! The key-encryption key: where it may lie, what it must look like, and how it is exchanged.

use crate::support::{Place, child_place, seal, sealing, secret};
use keybaton_engine::ports::journal::Journal;
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_engine::ports::values::Values;
use keybaton_protocol::ids::Generation;
use keybaton_store::conformance::unseal;
use keybaton_store::{Kek, KekError, Mode, Store, StoreError};
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let place = Place::new();
    for (mode, fits) in [(0o400, true), (0o600, true), (0o440, false), (0o604, false), (0o620, false), (0o610, false)] {
        std::fs::set_permissions(place.key(), PermissionsExt::from_mode(mode)).unwrap();
        let outcome = Kek::from_file(&place.key());
        let exposed = matches!(outcome, Err(KekError::Exposed { mode: found, .. }) if found == mode);
        assert_eq!((outcome.is_ok(), exposed), (fits, !fits), "mode {mode:o}: {outcome:?}");
    }
}

#[test]
fn a_key_inside_the_data_directory_is_refused_also_through_a_link() {
    let place = Place::new();
    drop(place.create());
    let inside = place.data().join("kek");
    std::fs::copy(place.key(), &inside).unwrap();
    let link = place.root.path().join("link");
    std::os::unix::fs::symlink(&inside, &link).unwrap();
    for path in [&inside, &link] {
        let outcome = Store::open(&place.data(), Kek::from_file(path).unwrap(), Mode::ReadWrite);
        let refused = matches!(outcome, Err(StoreError::Kek(KekError::InsideData { .. })));
        assert!(refused, "{}: {outcome:?}", path.display());
    }
    let elsewhere = place.root.path().join("elsewhere");
    std::os::unix::fs::symlink(place.data(), &elsewhere).unwrap();
    let outcome = Store::open(&elsewhere, Kek::from_file(&inside).unwrap(), Mode::ReadOnly);
    assert!(matches!(outcome, Err(StoreError::Kek(KekError::InsideData { .. }))), "{outcome:?}");
}

#[test]
fn what_is_no_key_file_is_refused_without_repeating_it() {
    let place = Place::new();
    let good = std::fs::read_to_string(place.key()).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let digits = lines[2].strip_prefix("key: ").unwrap();
    let other = if digits.starts_with('0') { "1" } else { "0" };
    let cases = [
        ("empty", String::new()),
        ("another header", good.replace("-v1", "-v2")),
        ("no id", format!("{}\n{}\n", lines[0], lines[2])),
        ("a key cut short", format!("{}\n{}\n{}", lines[0], lines[1], &lines[2][..40])),
        ("a key not in hex", good.replace(digits, &"g".repeat(64))),
        ("a changed digit", good.replace(digits, &format!("{other}{}", &digits[1..]))),
        ("another id", good.replace(lines[1], "id: 0000000000000000")),
        ("more after it", format!("{good}x\n")),
        ("far too long", format!("{good}{}", "\n".repeat(5000))),
    ];
    for (what, text) in cases {
        let path = place.root.path().join("case");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let outcome = Kek::from_file(&path);
        assert!(matches!(outcome, Err(KekError::Malformed { .. })), "{what}: {outcome:?}");
        assert!(!format!("{outcome:?}").contains(&digits[8..24]), "{what}: the error repeats the key");
    }
    assert!(matches!(Kek::from_file(place.root.path()), Err(KekError::Malformed { .. })), "a directory");
    assert!(matches!(Kek::from_file(&place.root.path().join("none")), Err(KekError::Io { .. })), "no file");
    assert!(matches!(Kek::generate(&place.key()), Err(StoreError::Kek(KekError::Io { .. }))), "never overwritten");
    let shown = format!("{:?}", place.kek());
    assert!(!shown.contains(&digits[..16]), "nor does Debug show it: {shown}");
}

#[test]
fn child_reads_a_credential() {
    let Some(root) = child_place() else { return };
    let id = Kek::from_credential("kek").map(|kek| kek.id().to_owned()).unwrap();
    assert_eq!(id, Kek::from_file(&root.join("kek")).unwrap().id());
    for name in ["other", "../kek", ".kek", ""] {
        assert!(Kek::from_credential(name).is_err(), "`{name}`");
    }
}

#[test]
fn a_systemd_credential_is_read_by_its_name() {
    let place = Place::new();
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "keys::child_reads_a_credential"])
        .env("KEYBATON_STORE_CHILD", place.root.path())
        .env("CREDENTIALS_DIRECTORY", place.root.path())
        .status()
        .unwrap();
    assert!(status.success());
    if std::env::var_os("CREDENTIALS_DIRECTORY").is_none() {
        assert!(matches!(Kek::from_credential("kek"), Err(KekError::NoCredential { .. })));
    }
}

#[tokio::test]
async fn a_rewrapped_store_opens_with_the_new_key_only() {
    let place = Place::new();
    let new = place.root.path().join("new");
    let store = place.create();
    store.append(sealing("a/b", vec![seal(1, "password", b"one"), seal(2, "password", b"two")])).await.unwrap();
    store.put_sealed("ca-key", SecretBytes::new(b"ca".to_vec())).await.unwrap();
    assert_eq!(store.rewrap(Kek::generate(&new).unwrap()).await.unwrap(), 3, "two generations and a host's value");
    store.append(sealing("a/b", vec![seal(1, "pin", b"later"), seal(3, "password", b"three")])).await.unwrap();
    let values = |store: Store| async move {
        for (generation, label, value) in
            [(1, "password", "one"), (2, "password", "two"), (1, "pin", "later"), (3, "password", "three")]
        {
            let found = unseal(&store, &secret("a/b"), Generation(generation), label).await.unwrap();
            assert_eq!(found.expose(), value.as_bytes(), "{label} of {generation}");
        }
        assert_eq!(store.get_sealed("ca-key").await.unwrap().unwrap().expose(), b"ca");
    };
    values(store.clone()).await;
    drop(store);
    let outcome = place.open();
    let ids = (Kek::from_file(&new).unwrap().id().to_owned(), place.kek().id().to_owned());
    match outcome {
        Err(StoreError::WrongKek { expected, given }) => assert_eq!((expected, given), ids, "both are named"),
        other => panic!("the old key opens nothing: {other:?}"),
    }
    values(Store::open(&place.data(), Kek::from_file(&new).unwrap(), Mode::ReadWrite).unwrap()).await;
}

#[tokio::test]
async fn a_new_key_inside_the_data_directory_is_refused() {
    let place = Place::new();
    let store = place.create();
    let inside = Kek::generate(&place.data().join("new")).unwrap();
    assert!(matches!(store.rewrap(inside).await, Err(StoreError::Kek(KekError::InsideData { .. }))));
    drop(store);
    place.open().unwrap();
}
