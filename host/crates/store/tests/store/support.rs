//! What the store's tests share: a fresh place with a key beside the data, names, appends, child processes.

use keybaton_engine::ports::journal::Append;
use keybaton_engine::ports::secret::{Seal, SecretBytes};
use keybaton_protocol::event::Event;
use keybaton_protocol::ids::{Generation, Millis, SecretName};
use keybaton_store::{Kek, Mode, Store, StoreError};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A temporary directory with `data/` and a key file beside it.
pub(crate) struct Place {
    pub(crate) root: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { root: tempfile::tempdir().unwrap() };
        Kek::generate(&place.key()).unwrap();
        place
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.root.path().join("kek")
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.data().join("keybaton.db")
    }

    pub(crate) fn kek(&self) -> Kek {
        Kek::from_file(&self.key()).unwrap()
    }

    pub(crate) fn create(&self) -> Store {
        Store::create(&self.data(), self.kek()).unwrap()
    }

    pub(crate) fn open(&self) -> Result<Store, StoreError> {
        Store::open(&self.data(), self.kek(), Mode::ReadWrite)
    }
}

pub(crate) fn secret(name: &str) -> SecretName {
    name.parse().unwrap()
}

pub(crate) fn wave(wave: u32) -> Event {
    Event::WaveOpened { wave }
}

pub(crate) fn facts(name: &str, events: Vec<Event>) -> Append {
    Append {
        secret: secret(name),
        after: None,
        fence: None,
        at: Millis(1_700_000_000_000),
        events,
        seals: Vec::new(),
        replies: Vec::new(),
        erase: Vec::new(),
        mark: None,
    }
}

pub(crate) fn seal(generation: u32, label: &str, value: &[u8]) -> (Generation, Seal) {
    (Generation(generation), Seal { label: label.parse().unwrap(), bytes: SecretBytes::new(value.to_vec()) })
}

/// An append that seals.
pub(crate) fn sealing(name: &str, seals: Vec<(Generation, Seal)>) -> Append {
    Append { seals, ..facts(name, vec![Event::Staged]) }
}

/// Runs one test of this very binary in a process of its own.
pub(crate) fn child(test: &str, place: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("KEYBATON_STORE_CHILD", place)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// In such a process: where to work.
pub(crate) fn child_place() -> Option<PathBuf> {
    std::env::var_os("KEYBATON_STORE_CHILD").map(PathBuf::from)
}

/// A number that differs from run to run; no test depends on which.
pub(crate) fn any_number(below: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish() % below
}

/// Every file under a directory.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

pub(crate) fn holds(path: &Path, needle: &[u8]) -> bool {
    std::fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle)
}
