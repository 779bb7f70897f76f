//! The machine as the host is given it, a store on its disk, and declarations with little to say.

use crate::Failure;
use keybaton_engine::clock::HostClock;
use keybaton_engine::declared::Declared;
use keybaton_engine::ports::clock::{Clock, Random};
use keybaton_engine::ports::journal::Journal;
use keybaton_engine::ports::rotator::Rotator;
use keybaton_engine::{Engine, Options, Parts};
use keybaton_protocol::evidence::EvidenceKind;
use keybaton_protocol::ids::{Author, Digest, Millis, Place, SecretName};
use keybaton_protocol::policy::{
    AtDeadline, Attempts, ConsumerKind, ConsumerPolicy, ConsumerRole, Members, Policy, Quorum, Stragglers, Waves,
};
use keybaton_store::{Kek, Store};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// The one consumer of every secret that has one, and its one replica.
pub(crate) const CONSUMER: &str = "app";
pub(crate) const REPLICA: &str = "app-1";
/// The declarations' digest: nothing here is ever re-declared with another content.
pub(crate) const SPEC: Digest = Digest([3; 32]);

/// The machine's clock.
#[derive(Debug)]
pub(crate) struct Wall;

impl Clock for Wall {
    fn wall(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// Nobody sets the clock of a machine that is measured.
    fn elapsed_ms(&self) -> u64 {
        self.wall().0
    }
}

/// The operating system's randomness.
#[derive(Debug)]
struct Chance;

impl Random for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("the operating system gives randomness");
    }
}

/// A new store in a folder of its own below the system's temporary one; both go when this is dropped.
pub(crate) struct Disk {
    pub(crate) store: Store,
    folder: TempDir,
}

impl Disk {
    pub(crate) fn new() -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let kek = Kek::generate(&folder.path().join("kek"))?;
        let store = Store::create(&folder.path().join("data"), kek)?;
        Ok(Self { store, folder })
    }

    /// How large the database is, in bytes, whether it is in its file yet or not.
    pub(crate) fn bytes(&self) -> Result<u64, Failure> {
        let path = self.folder.path().join("data/keybaton.db");
        let conn = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let bytes = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
        Ok(u64::try_from(conn.query_row(bytes, [], |row| row.get::<_, i64>(0))?)?)
    }
}

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

pub(crate) fn author() -> Author {
    "bench".parse().expect("`bench` is an author")
}

/// An engine on the machine's clock and randomness.
pub(crate) async fn engine(
    journal: Arc<dyn Journal>,
    store: &Store,
    rotator: Arc<dyn Rotator>,
    options: Options,
) -> Result<Engine, Failure> {
    Ok(Engine::start(Parts {
        journal,
        freezes: Arc::new(store.clone()),
        nonces: None,
        rotator,
        clock: Arc::new(HostClock::new(Arc::new(Wall))),
        random: Arc::new(Chance),
        options,
    })
    .await?)
}

/// All steps, and no time spent waiting for its own sake. `consumed`: by one consumer that must answer.
pub(crate) fn policy(consumed: bool) -> Policy {
    let consumer = || ConsumerPolicy {
        name: CONSUMER.parse().expect("a label"),
        kind: ConsumerKind::Client,
        role: ConsumerRole::Uses,
        required: true,
        members: Members::Listed(vec![REPLICA.parse().expect("printable")]),
        ready: EvidenceKind::Holder,
        adopted: EvidenceKind::Process,
        uses_every_ms: None,
    };
    Policy {
        consumers: consumed.then(consumer).into_iter().collect(),
        stragglers: Stragglers {
            quorum: Quorum::All,
            deadline_ms: None,
            then: AtDeadline::Hold,
            max_age_ms: None,
            before_expiry_ms: 0,
        },
        waves: Waves::default(),
        overlap_min_ms: 0,
        quiet_ms: 0,
        soak_ms: 0,
        staged_lease_ms: 60_000,
        attempts: Attempts { cap: 3, base_ms: 100, max_ms: 1_000 },
        call_timeout_ms: 20_000,
        accept_gap: true,
    }
}

/// A secret that rotates on request only.
pub(crate) fn declared(
    name: SecretName,
    plugin: &str,
    settings: &str,
    policy: &Arc<Policy>,
) -> Result<Declared, Failure> {
    Ok(Declared {
        name,
        spec: SPEC,
        plugin: plugin.parse()?,
        connection: "main".parse()?,
        target: "main:bench".into(),
        server: Arc::default(),
        places: vec![Place::only()].into(),
        settings: settings.into(),
        policy: Arc::clone(policy),
        cadence: None,
        stagger: None,
        after: Vec::new().into(),
        paused: false,
    })
}
