//! The host killed at any instant: what was acknowledged is there, nothing is half there, and the key is one or the other.

use crate::support::{Place, any_number, child, child_place, facts, seal, sealing, secret, wave};
use keybaton_engine::ports::journal::{Append, Journal, Mark};
use keybaton_engine::ports::secret::{Seal, SecretBytes};
use keybaton_engine::ports::values::Values;
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{Generation, Seq};
use keybaton_store::conformance::unseal;
use keybaton_store::{Kek, Mode, Store, StoreError};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::time::Duration;

/// How often the child is killed.
const ROUNDS: usize = 25;
/// Journals it writes to at once.
const SECRETS: u64 = 8;

fn name(number: u64) -> String {
    format!("crash/s{number}")
}

/// Writes a line at once, so that what the parent reads was acknowledged before.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_appends() {
    let Some(root) = child_place() else { return };
    let kek = Kek::from_file(&root.join("kek")).unwrap();
    let store = Store::open(&root.join("data"), kek, Mode::ReadWrite).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..SECRETS {
        let store = store.clone();
        tasks.spawn(async move {
            let name = name(number);
            let mut seq = store.read(&secret(&name), Seq(0)).await.unwrap().last().map_or(0, |last| last.seq.0);
            loop {
                seq = store.append(step(&name, seq)).await.unwrap().0;
                say(&format!("ack {number} {seq}"));
            }
        });
    }
    say("begun");
    // They go on until the kill; one that ends has panicked.
    let ended = tasks.join_next().await;
    panic!("a writer ended by itself: {ended:?}");
}

/// The append that follows sequence `seq`: two events, a sealed value, and the erasure of an older one.
fn step(name: &str, seq: u64) -> Append {
    let generation = u32::try_from(seq / 2 + 1).unwrap();
    let mut append = facts(name, vec![wave(generation), Event::Staged]);
    append.after = Some(Seq(seq));
    append.seals = vec![(
        Generation(generation),
        Seal { label: "password".parse().unwrap(), bytes: SecretBytes::new(generation.to_be_bytes().to_vec()) },
    )];
    append.mark = Some(Mark { failures: generation, ..Mark::default() });
    if generation > 3 {
        append.erase = vec![Generation(generation - 3)];
    }
    append
}

#[tokio::test]
async fn whatever_was_acknowledged_survives_a_kill_and_nothing_is_half_there() {
    let place = Place::new();
    drop(place.create());
    let mut acknowledged = [0; SECRETS as usize];
    for round in 0..ROUNDS {
        let mut child = child("crash::child_appends", place.root.path());
        let out = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            lines.filter_map(|line| acknowledgement(&line)).collect::<Vec<_>>()
        });
        std::thread::sleep(Duration::from_millis(40 + any_number(120)));
        assert!(child.try_wait().unwrap().is_none(), "round {round}: the child was at work");
        child.kill().unwrap();
        child.wait().unwrap();
        for (number, seq) in reader.join().unwrap() {
            acknowledged[number] = seq;
        }
        let store = place.open().unwrap_or_else(|error| panic!("round {round}: the store opens: {error}"));
        store.verify().await.unwrap_or_else(|error| panic!("round {round}: it holds: {error}"));
        for (number, seq) in acknowledged.iter_mut().enumerate() {
            *seq = check(&store, &name(number as u64), *seq).await;
        }
    }
    assert!(acknowledged.iter().all(|seq| *seq > 4), "the child had time to write: {acknowledged:?}");
}

fn acknowledgement(line: &str) -> Option<(usize, u64)> {
    let mut words = line.strip_prefix("ack ")?.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// All that was acknowledged is there, and of what was not, at most the one append that was under way, whole.
async fn check(store: &Store, name: &str, acknowledged: u64) -> u64 {
    let found = store.read(&secret(name), Seq(0)).await.unwrap();
    let seq = found.len() as u64;
    assert!(seq == acknowledged || seq == acknowledged + 2, "{name}: {acknowledged} acknowledged, {seq} there");
    for pair in found.chunks(2) {
        let generation = u32::try_from(pair[0].seq.0 / 2 + 1).unwrap();
        assert_eq!((&pair[0].event, &pair[1].event), (&wave(generation), &Event::Staged));
    }
    let newest = u32::try_from(seq / 2).unwrap();
    // The newest that may be there, and some that may not; looking for what is gone reads the whole journal.
    for generation in newest.saturating_sub(8).max(1)..=newest {
        let value = unseal(store, &secret(name), Generation(generation), "password").await;
        if generation + 3 > newest {
            assert_eq!(value.unwrap().expose(), generation.to_be_bytes(), "sealed with its event");
        } else {
            assert!(value.is_err(), "erased with its event");
        }
    }
    let index = store.index().await.unwrap();
    let line = index.iter().find(|line| line.secret == secret(name));
    assert_eq!(line.map_or(0, |line| line.mark.failures), newest, "marked with its event");
    seq
}

#[tokio::test]
async fn a_log_cut_anywhere_leaves_a_whole_prefix() {
    let place = Place::new();
    let store = place.create();
    for seq in 0..40 {
        store.append(step("crash/cut", seq * 2)).await.unwrap();
    }
    let copy = |cut: u64| {
        let to = Place { root: tempfile::tempdir().unwrap() };
        std::fs::copy(place.key(), to.key()).unwrap();
        std::fs::create_dir(to.data()).unwrap();
        std::fs::set_permissions(to.data(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        std::fs::copy(place.db(), to.db()).unwrap();
        let log = to.data().join("keybaton.db-wal");
        std::fs::copy(place.data().join("keybaton.db-wal"), &log).unwrap();
        let length = log.metadata().unwrap().len();
        std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(length * cut / 100).unwrap();
        to
    };
    let mut before = 0;
    for cut in [0, 10, 35, 50, 75, 90, 99, 100] {
        let torn = copy(cut);
        let store = torn.open().unwrap_or_else(|error| panic!("cut at {cut} %: {error}"));
        store.verify().await.unwrap_or_else(|error| panic!("cut at {cut} %: {error}"));
        let found = store.read(&secret("crash/cut"), Seq(0)).await.unwrap().len() as u64;
        assert_eq!(check(&store, "crash/cut", found).await, found);
        assert!(found >= before, "a longer log holds no less");
        before = found;
    }
    assert_eq!(before, 80, "the whole log holds all");
}

const KEYS: [&str; 2] = ["kek", "kek-2"];

/// Opens with whichever of the two keys fits: exactly one does.
fn open_with_either(root: &Path) -> (Store, usize) {
    let open = |key: &str| Store::open(&root.join("data"), Kek::from_file(&root.join(key)).unwrap(), Mode::ReadWrite);
    match open(KEYS[0]) {
        Ok(store) => (store, 0),
        Err(StoreError::WrongKek { .. }) => (open(KEYS[1]).unwrap(), 1),
        Err(error) => panic!("one of the keys opens it: {error}"),
    }
}

#[tokio::test]
async fn child_rewraps() {
    let Some(root) = child_place() else { return };
    let (store, mut now) = open_with_either(&root);
    say("begun");
    loop {
        now = 1 - now;
        store.rewrap(Kek::from_file(&root.join(KEYS[now])).unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn a_kill_during_rewrap_leaves_one_key_that_opens_everything() {
    let place = Place::new();
    Kek::generate(&place.root.path().join(KEYS[1])).unwrap();
    let store = place.create();
    for number in 0..300 {
        store.append(sealing(&name(number), vec![seal(1, "password", b"kept")])).await.unwrap();
    }
    store.put_sealed("ca-key", SecretBytes::new(b"kept too".to_vec())).await.unwrap();
    drop(store);
    for round in 0..12 {
        let mut child = child("crash::child_rewraps", place.root.path());
        let mut out = child.stdout.take().unwrap();
        let mut line = [0; 1];
        while line[0] != b'b' {
            out.read_exact(&mut line).unwrap();
        }
        std::thread::sleep(Duration::from_millis(any_number(60)));
        assert!(child.try_wait().unwrap().is_none(), "round {round}: the child was at work");
        child.kill().unwrap();
        child.wait().unwrap();
        let (store, key) = open_with_either(place.root.path());
        let proven = store.verify().await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(proven.sealed, 300, "every value opens");
        assert_eq!(store.get_sealed("ca-key").await.unwrap().unwrap().expose(), b"kept too");
        drop(store);
        let other = Kek::from_file(&place.root.path().join(KEYS[1 - key])).unwrap();
        let refused = Store::open(&place.data(), other, Mode::ReadWrite);
        assert!(matches!(refused, Err(StoreError::WrongKek { .. })), "the other key opens nothing: {refused:?}");
    }
}
