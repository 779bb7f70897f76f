//! A torn or edited database is named, and never read as truth.

use crate::support::{Place, any_number, facts, seal, sealing, secret, wave};
use crate::tables::{act, enrolment, identity, proposal, spec};
use keybaton_engine::ports::audit::AuditLog;
use keybaton_engine::ports::freezes::{Freeze, Freezes, Scope};
use keybaton_engine::ports::identities::Identities;
use keybaton_engine::ports::inspect::{Damage, Inspect};
use keybaton_engine::ports::journal::{Journal, JournalError, Mark, Recorded};
use keybaton_engine::ports::proposals::Proposals;
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_engine::ports::specs::Specs;
use keybaton_engine::ports::values::Values;
use keybaton_protocol::Secret;
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{Generation, Millis, Seq};
use keybaton_store::conformance::unseal;
use keybaton_store::{Store, StoreError};
use rusqlite::Connection;

/// A store with something in every table.
async fn furnished() -> Place {
    let place = Place::new();
    let store = place.create();
    for name in ["a/one", "a/two"] {
        store.lease(&secret(name), "host", 1_000).await.unwrap();
        store.append(facts(name, vec![wave(1)])).await.unwrap();
        store.append(facts(name, vec![wave(2)])).await.unwrap();
        let values = [(1, "password"), (1, "pin"), (2, "password")];
        let seals = values.map(|(generation, label)| seal(generation, label, format!("{name}{label}").as_bytes()));
        store.append(sealing(name, seals.into())).await.unwrap();
        let mark = Some(Mark { failures: 2, ..Mark::default() });
        let last = keybaton_engine::ports::journal::Append { mark, ..facts(name, vec![wave(4)]) };
        store.append(last).await.unwrap();
        store.apply(vec![spec(name, "{}")], Vec::new()).await.unwrap();
        store.put(identity(&name.replace('/', "-"))).await.unwrap();
        store.put_sealed(name, SecretBytes::new(name.as_bytes().to_vec())).await.unwrap();
        store.record(act(name)).await.unwrap();
        store.record(act("more")).await.unwrap();
    }
    store.put_enrolment(enrolment("e-1", Millis(9_000_000_000_000))).await.unwrap();
    let freeze = Freeze { scope: Scope::Host, author: "ada".parse().unwrap(), at: Millis(1) };
    store.freeze(freeze).await.unwrap();
    store.propose("p-1", &proposal(None)).await.unwrap();
    store.verify().await.unwrap();
    place
}

/// What opening and proving says after an edit.
async fn damage(place: &Place) -> Option<String> {
    let outcome = match place.open() {
        Ok(store) => store.verify().await.map(drop),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => None,
        Err(StoreError::Damaged { detail }) => Some(detail),
        Err(other) => panic!("damage is called damage: {other:?}"),
    }
}

/// Edits by somebody who has the file and no key: statements, and what the store must name.
const EDITS: &[(&str, &str, &str)] = &[
    (
        "an event's body",
        "UPDATE journal SET body = CAST('{\"wave-opened\":{\"wave\":7}}' AS BLOB) WHERE secret = 1 AND seq = 2",
        "a/one at sequence 2",
    ),
    ("an event's time", "UPDATE journal SET at = at + 1 WHERE secret = 2 AND seq = 1", "a/two at sequence 1"),
    ("a sequence", "UPDATE journal SET seq = 9 WHERE secret = 1 AND seq = 2", "a/one at sequence"),
    ("a digest", "UPDATE journal SET digest = randomblob(32) WHERE secret = 1 AND seq = 1", "a/one at sequence"),
    ("a digest of a wrong length", "UPDATE journal SET digest = x'00' WHERE secret = 1 AND seq = 1", "digest"),
    ("a record's version", "UPDATE journal SET version = 2 WHERE secret = 1 AND seq = 1", "a/one at sequence 1"),
    ("a row's owner", "UPDATE journal SET secret = 2 WHERE secret = 1 AND seq = 1", "a/one at sequence 1"),
    ("a chain led astray", "UPDATE journal SET prev = row WHERE secret = 1 AND seq = 4", "a/one at sequence 4"),
    ("a row in the middle gone", "DELETE FROM journal WHERE secret = 1 AND seq = 2", "a/one at sequence 3"),
    ("the last row gone", "DELETE FROM journal WHERE secret = 1 AND seq = 4", "a/one at sequence 4"),
    (
        "the tail gone and the head moved back",
        "UPDATE secrets SET seq = 2, (row, digest) = (SELECT row, digest FROM journal WHERE secret = 1 AND seq = 2)
         WHERE id = 1; DELETE FROM journal WHERE secret = 1 AND seq > 2",
        "the head of a/one",
    ),
    (
        "a row that no journal leads to",
        "INSERT INTO journal SELECT 999, secret, prev, seq, at, version, body, digest FROM journal LIMIT 1",
        "the table journal has",
    ),
    ("a mark", "UPDATE secrets SET mark = CAST('[1,{}]' AS BLOB) WHERE id = 1", "the head of a/one"),
    ("a head gone", "DELETE FROM secrets WHERE id = 1", "1 journals and 2 were written"),
    (
        "a whole secret gone",
        "DELETE FROM secrets WHERE id = 1; DELETE FROM journal WHERE secret = 1",
        "1 journals and 2",
    ),
    ("a secret's name", "UPDATE secrets SET name = 'a/three' WHERE id = 1", "the head of a/three"),
    (
        "values swapped between fields",
        "UPDATE sealed SET value = (SELECT value FROM sealed WHERE secret = 1 AND generation = 1 AND label = 'pin')
         WHERE secret = 1 AND generation = 1 AND label = 'password'",
        "`password` was edited, or put there from elsewhere: of a/one generation 1",
    ),
    (
        "values swapped between generations",
        "UPDATE sealed SET value = (SELECT value FROM sealed WHERE secret = 1 AND generation = 2)
         WHERE secret = 1 AND generation = 1 AND label = 'password'",
        "`password` was edited, or put there from elsewhere: of a/one generation 1",
    ),
    (
        "values swapped between secrets, with their data keys",
        "UPDATE sealed AS mine SET value = (SELECT value FROM sealed WHERE secret = 2
             AND generation = mine.generation AND label = mine.label) WHERE secret = 1;
         UPDATE data_keys AS mine SET (wrapped, salt) = (SELECT wrapped, salt FROM data_keys
             WHERE secret = 2 AND generation = mine.generation) WHERE secret = 1",
        "the data key was edited, or put there from elsewhere: of a/one generation 1",
    ),
    (
        "a generation's values and key put under another number",
        "DELETE FROM data_keys WHERE secret = 1 AND generation = 1;
         DELETE FROM sealed WHERE secret = 1 AND generation = 1;
         UPDATE data_keys SET generation = 1 WHERE secret = 1; UPDATE sealed SET generation = 1 WHERE secret = 1",
        "of a/one generation 1",
    ),
    (
        "a value gone",
        "DELETE FROM sealed WHERE secret = 1 AND label = 'pin'",
        "`pin`, or its data key, is missing: of a/one",
    ),
    (
        "a data key gone",
        "DELETE FROM data_keys WHERE secret = 1 AND generation = 2",
        "is missing: of a/one generation 2",
    ),
    (
        "a salt exchanged",
        "UPDATE data_keys SET salt = (SELECT salt FROM data_keys WHERE secret = 1 AND generation = 2)
         WHERE secret = 1 AND generation = 1",
        "the salt was edited, or put there from elsewhere: of a/one generation 1",
    ),
    ("a value", "UPDATE sealed SET value = randomblob(length(value)) WHERE label = 'pin'", "`pin` was edited"),
    ("the state", "UPDATE state SET sealed = randomblob(length(sealed))", "the store's state was edited"),
    ("the state gone", "DELETE FROM state", "the store's state is missing"),
    ("the installation gone", "DELETE FROM installation", "the installation's row is missing"),
    ("the installation's id", "UPDATE installation SET id = randomblob(16)", "the installation key was edited"),
    ("the installation key", "UPDATE installation SET root = randomblob(61)", "the installation key was edited"),
    ("a spec", "UPDATE documents SET body = CAST('{}' AS BLOB) WHERE collection = 'specs'", "specs `a/one` was edited"),
    ("a spec gone", "DELETE FROM documents WHERE key = 'a/two' AND collection = 'specs'", "1 specs and 2 were written"),
    (
        "an identity with another's row",
        "UPDATE documents SET (body, mac) = (SELECT body, mac FROM documents WHERE key = 'a-two') WHERE key = 'a-one'",
        "identities `a-one` was edited",
    ),
    (
        "an identity of one's own",
        "INSERT INTO documents VALUES ('identities', 'evil', 1, x'7b7d', NULL, randomblob(32))",
        "identities `evil` was edited",
    ),
    ("an enrolment gone", "DELETE FROM documents WHERE collection = 'enrolments'", "0 enrolments and 1 were written"),
    ("a proposal gone", "DELETE FROM documents WHERE collection = 'proposals'", "0 proposals and 1 were written"),
    ("a freeze gone", "DELETE FROM documents WHERE collection = 'freezes'", "0 freezes and 1 were written"),
    (
        "the host's values swapped",
        "UPDATE documents AS mine SET (body, wrapped) = (SELECT body, wrapped FROM documents
             WHERE collection = 'values' AND key <> mine.key) WHERE collection = 'values'",
        "values `a/one` was edited",
    ),
    ("an audit entry", "UPDATE audit SET body = CAST('{}' AS BLOB) WHERE seq = 2", "the audit log breaks at entry 2"),
    ("an audit entry gone", "DELETE FROM audit WHERE seq = 2", "the audit log breaks at entry 2: it is missing"),
    ("the audit's end gone", "DELETE FROM audit WHERE seq >= 4", "entry 4: the end of the log was cut off"),
    ("the audit gone", "DELETE FROM audit", "entry 1: the end of the log was cut off"),
    (
        "an audit entry of one's own",
        "INSERT INTO audit SELECT 6, version, body, digest FROM audit WHERE seq = 1",
        "entry 6",
    ),
    ("a lease", "UPDATE leases SET fence = fence + 1 WHERE secret = 'a/one'", "the lease on a/one was edited"),
    (
        "a trigger",
        "CREATE TRIGGER quiet AFTER INSERT ON journal BEGIN DELETE FROM audit; END",
        "the schema has a trigger `quiet`",
    ),
    ("a table gone", "DROP TABLE leases", "the schema lacks a table `leases`"),
];

#[tokio::test]
async fn every_edit_is_detected_and_named() {
    let place = furnished().await;
    let whole = std::fs::read(place.db()).unwrap();
    for (what, sql, named) in EDITS {
        let raw = Connection::open(place.db()).unwrap();
        raw.execute_batch(sql).unwrap_or_else(|error| panic!("{what}: {error}"));
        drop(raw);
        let found = damage(&place).await.unwrap_or_else(|| panic!("{what}: it went unnoticed"));
        assert!(found.contains(named), "{what}: `{named}` is named, and not only `{found}`");
        std::fs::write(place.db(), &whole).unwrap();
    }
    assert_eq!(damage(&place).await, None, "without an edit it holds");
}

#[tokio::test]
async fn rows_put_back_as_they_once_were_are_detected() {
    let cases = [
        ("a journal's head", "secrets", "2 journals and 2 were written, or one was put back"),
        ("an identity that was revoked since", "documents", "identities and 2 were written, or one was put back"),
    ];
    for (what, table, named) in cases {
        let place = furnished().await;
        let old = place.root.path().join("old.db");
        std::fs::copy(place.db(), &old).unwrap();
        let store = place.open().unwrap();
        store.append(facts("a/one", vec![wave(5)])).await.unwrap();
        store.revoke("a-one", Millis(9)).await.unwrap();
        drop(store);
        let raw = Connection::open(place.db()).unwrap();
        raw.execute("ATTACH ?1 AS old", [old.to_str().unwrap()]).unwrap();
        raw.execute_batch(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM old.{table}")).unwrap();
        drop(raw);
        let found = damage(&place).await.unwrap_or_else(|| panic!("{what}: it went unnoticed"));
        assert!(found.contains(named), "{what}: {found}");
    }
}

#[tokio::test]
async fn a_damaged_journal_is_neither_read_nor_written_and_others_go_on() {
    let place = furnished().await;
    let raw = Connection::open(place.db()).unwrap();
    raw.execute_batch(
        "UPDATE journal SET at = at + 1 WHERE secret = 1 AND seq = 1;
         UPDATE secrets SET mark = x'00' WHERE id = 2;",
    )
    .unwrap();
    drop(raw);
    let store = place.open().unwrap();
    store.append(facts("a/three", vec![wave(1)])).await.unwrap();
    let damaged = |outcome: Result<(), JournalError>, named: &str| match outcome {
        Err(JournalError::Damaged { detail }) => assert!(detail.contains(named), "{detail}"),
        other => panic!("{named}: {other:?}"),
    };
    damaged(store.read(&secret("a/one"), Seq(0)).await.map(drop), "a/one at sequence 1");
    damaged(store.read(&secret("a/two"), Seq(0)).await.map(drop), "the head of a/two");
    damaged(unseal(&store, &secret("a/two"), Generation(1), "pin").await.map(drop), "the head of a/two");
    damaged(store.append(facts("a/two", vec![wave(6)])).await.map(drop), "the head of a/two");
    let index = store.index().await.unwrap();
    let known: Vec<_> = index.iter().map(|line| (line.secret.to_string(), line.damaged.is_some())).collect();
    let named = |name: &str, damaged| (name.to_owned(), damaged);
    assert_eq!(known, [named("a/one", false), named("a/three", false), named("a/two", true)], "the others are listed");
    assert_eq!(store.read(&secret("a/three"), Seq(0)).await.unwrap().len(), 1);
    assert_eq!(store.append(facts("a/three", vec![wave(2)])).await.unwrap(), Seq(2));
}

#[tokio::test]
async fn a_load_from_the_newest_record_at_rest_proves_what_it_reads_and_reads_nothing_before_it() {
    let rest = || Event::Settled(Box::new(Secret::new(secret("a/b")).as_settled(Millis(1)).unwrap()));
    // Which row is edited by its sequence, whether a load names it, and whether a proof of the whole does.
    for (edited, load, whole) in [(1, false, true), (2, true, true), (3, true, true)] {
        let place = Place::new();
        let store = place.create();
        for event in [wave(1), rest(), wave(3)] {
            store.append(facts("a/b", vec![event])).await.unwrap();
        }
        drop(store);
        let raw = Connection::open(place.db()).unwrap();
        raw.execute("UPDATE journal SET at = at + 1 WHERE seq = ?1", [edited]).unwrap();
        drop(raw);
        let store = place.open().unwrap();
        let read = store.read_settled(&secret("a/b")).await;
        assert_eq!(matches!(read, Err(JournalError::Damaged { .. })), load, "row {edited}: {read:?}");
        assert_eq!(store.verify().await.is_err(), whole, "row {edited}");
    }
}

/// Everything an outsider can read of the store.
async fn contents(store: &Store) -> Result<Vec<Vec<Recorded>>, JournalError> {
    let mut all = Vec::new();
    for line in store.index().await? {
        all.push(store.read(&line.secret, Seq(0)).await?);
    }
    Ok(all)
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_detected_or_changes_nothing() {
    let place = furnished().await;
    let store = place.open().unwrap();
    let truth = contents(&store).await.unwrap();
    drop(store);
    let whole = std::fs::read(place.db()).unwrap();
    let mut detected = 0;
    for _ in 0..150 {
        let at = usize::try_from(any_number(whole.len() as u64)).unwrap();
        let bit = 1 << any_number(8);
        let mut torn = whole.clone();
        torn[at] ^= bit;
        std::fs::write(place.db(), &torn).unwrap();
        // A bit of the schema's version, or of a name of a key, has its own refusal; all are refusals.
        let proven = match place.open() {
            Ok(store) => match store.verify().await {
                Ok(_) => Some(contents(&store).await.unwrap()),
                Err(_) => None,
            },
            Err(_) => None,
        };
        match proven {
            None => detected += 1,
            Some(found) => assert_eq!(found, truth, "byte {at} ^ {bit}: what is read is what was written"),
        }
        for left in ["keybaton.db-wal", "keybaton.db-shm"] {
            drop(std::fs::remove_file(place.data().join(left)));
        }
    }
    assert!(detected > 10, "some of the flips were in use: {detected}");
}

#[tokio::test]
async fn a_file_cut_short_is_detected_or_lost_nothing() {
    let place = furnished().await;
    let truth = contents(&place.open().unwrap()).await.unwrap();
    let whole = std::fs::read(place.db()).unwrap();
    let page = 4096;
    let lengths = [0, 1, 99, page - 1, page, 2 * page, 5 * page, whole.len() - page, whole.len() - page / 2];
    for length in lengths.into_iter().chain([whole.len() - 1]) {
        std::fs::write(place.db(), &whole[..length]).unwrap();
        let found = damage(&place).await;
        // The last page may be a free one; what is cut from it is missed by nobody.
        if found.is_none() && length > whole.len() - page {
            assert_eq!(contents(&place.open().unwrap()).await.unwrap(), truth, "cut to {length}");
        } else {
            assert!(found.is_some(), "cut to {length} of {} bytes, it went unnoticed", whole.len());
        }
        for left in ["keybaton.db-wal", "keybaton.db-shm"] {
            drop(std::fs::remove_file(place.data().join(left)));
        }
    }
}

/// What happens to a store that nobody looks at.
type Harm = (&'static str, fn(&Place), Option<&'static str>, &'static str);

fn statement(place: &Place, sql: &str) {
    assert_eq!(Connection::open(place.db()).unwrap().execute(sql, []).unwrap(), 1);
}

fn flip(place: &Place) {
    statement(place, "UPDATE journal SET body = CAST('x' || body AS BLOB) WHERE secret = 2 AND seq = 2");
}

fn delete(place: &Place) {
    statement(place, "DELETE FROM journal WHERE secret = 2 AND seq = 1");
}

fn cut(place: &Place) {
    let file = std::fs::OpenOptions::new().write(true).open(place.db()).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}

const HARMS: &[Harm] = &[
    ("a changed byte in an old row of an idle secret", flip, Some("a/two"), "a/two at sequence 2 (row "),
    ("an old row that is gone", delete, Some("a/two"), "a/two at sequence 2 (row "),
    ("a file cut short", cut, None, ""),
];

#[tokio::test]
async fn damage_that_nobody_has_met_is_found_by_a_look_by_the_gentle_scan_and_by_a_backup() {
    for (what, harm, whose, named) in HARMS {
        let place = furnished().await;
        let store = place.open().unwrap();
        harm(&place);
        let secret = whose.map(secret);
        let fits = |found: &Damage| found.secret == secret && found.detail.contains(named);
        let looked = store.examine().await.unwrap();
        assert!(looked.damage.iter().any(fits), "{what}: {looked:?}");
        assert!(!looked.damage[0].advice().is_empty());
        let mut scanned = Vec::new();
        store.look_through(&mut |damage| scanned.push(damage)).await.unwrap();
        assert!(scanned.iter().any(fits), "{what}: {scanned:?}");
        if secret.is_some() {
            assert_eq!(looked.damage.len(), 1, "{what}: nothing else is called damaged: {looked:?}");
            assert_eq!(scanned, looked.damage, "{what}");
        }
        let to = place.root.path().join("backup");
        let outcome = store.backup(&to).await;
        assert!(matches!(outcome, Err(StoreError::Backup { .. } | StoreError::Damaged { .. })), "{what}: {outcome:?}");
        assert!(!to.join("manifest.json").exists(), "{what}: what was begun is no backup");
    }
}

#[tokio::test]
async fn all_that_is_damaged_is_named_and_not_only_the_first() {
    let place = furnished().await;
    flip(&place);
    statement(&place, "UPDATE secrets SET mark = CAST('[1,{}]' AS BLOB) WHERE id = 1");
    statement(&place, "DELETE FROM audit WHERE seq = 2");
    let found = place.open().unwrap().examine().await.unwrap().damage;
    let named: Vec<_> = found.iter().map(|damage| damage.secret.as_ref().map(ToString::to_string)).collect();
    assert_eq!(named, [Some("a/one".to_owned()), Some("a/two".to_owned()), None], "{found:?}");
}

#[tokio::test]
async fn a_sound_store_is_found_sound_and_its_backup_is_left_with_nothing_beside_it() {
    let place = furnished().await;
    let store = place.open().unwrap();
    assert_eq!(store.examine().await.unwrap().damage, []);
    store.look_through(&mut |damage| panic!("{damage:?}")).await.unwrap();
    let to = place.root.path().join("backup");
    store.backup(&to).await.unwrap();
    let mut left: Vec<_> = std::fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["keybaton.db", "manifest.json"]);
}
