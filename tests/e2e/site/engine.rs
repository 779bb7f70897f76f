//! The real engine, store, sandbox and component, put together as the host does it, with short times.

use super::world::{Server, World};
use keybaton_engine::clock::HostClock;
use keybaton_engine::declared::Declared;
use keybaton_engine::harness::{Consumers, Temper};
use keybaton_engine::ports::clock::{Clock, Random};
use keybaton_engine::ports::freezes::Freezes;
use keybaton_engine::ports::journal::Journal;
use keybaton_engine::ports::rotator::Rotator;
use keybaton_engine::{Engine, Options, Parts};
use keybaton_protocol::evidence::EvidenceKind;
use keybaton_protocol::ids::{Digest, Millis, Place, SecretName};
use keybaton_protocol::policy::{
    AtDeadline, Attempts, ConsumerKind, ConsumerPolicy, ConsumerRole, Members, Policy, Quorum, Stragglers, Waves,
};
use keybaton_runtime::Runtime;
use keybaton_runtime::cache::Cache;
use keybaton_runtime::catalog::{Catalog, Lock};
use keybaton_runtime::connection::{
    Access, Connection, ConnectionLimits, Connections, HttpAdmin, HttpTarget, PostgresTarget, Target, Tls,
};
use keybaton_runtime::identity::FileSource;
use keybaton_runtime::manifest::Endpoint;
use keybaton_schedule::connection::{Addresses, Pattern};
use keybaton_store::{Kek, Mode, Store};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// Time for one plugin call, in milliseconds: a call whose host was killed is in doubt for as long.
pub(crate) const CALL_MS: u64 = 2_000;
/// Faults are what these tests make: no number of them stops a start.
const NO_BRAKE: u32 = u32::MAX;

struct WallClock;

impl Clock for WallClock {
    fn wall(&self) -> Millis {
        Millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
    }

    /// Nobody sets the clock of a machine that runs tests.
    fn elapsed_ms(&self) -> u64 {
        self.wall().0
    }
}

struct Chance(Mutex<File>);

impl Chance {
    fn open() -> Self {
        Self(Mutex::new(File::open("/dev/urandom").unwrap()))
    }
}

impl Random for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap().read_exact(bytes).unwrap();
    }
}

/// The store in a world's folder, made at its first use.
pub(crate) fn store(world: &World) -> Store {
    let (kek, data) = (world.folder.join("kek"), world.folder.join("data"));
    if data.exists() {
        return Store::open(&data, Kek::from_file(&kek).unwrap(), Mode::ReadWrite).unwrap();
    }
    Store::create(&data, Kek::generate(&kek).unwrap()).unwrap()
}

/// The plugins of a world, connected to its server; a host call waits for its answer for so long, in milliseconds.
pub(crate) fn sandbox(world: &World, patience_ms: u64) -> Runtime {
    let lock = Lock::load(&world.shared.join("keybaton.lock")).unwrap();
    let catalog = Catalog::new(&world.shared.join("components"), lock);
    let connections = Arc::new(Connections::new());
    let pattern = |text: &String| Pattern::parse(text).unwrap();
    connections.replace(vec![Connection {
        name: "main".parse().unwrap(),
        access: Access {
            namespaces: vec![Pattern::parse("team").unwrap()],
            plugins: vec![pattern(&world.plugin)],
            identities: world.identities.iter().map(pattern).collect(),
        },
        limits: ConnectionLimits { timeout_ms: patience_ms, ..ConnectionLimits::default() },
        target: target(&world.server),
    }]);
    // A component is compiled once for all tests, and their hosts in processes of their own.
    let cache = Cache::new(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled"), &[7; 32]);
    Runtime::new(catalog, connections, Arc::new(WallClock)).unwrap().with_cache(cache)
}

fn target(server: &Server) -> Target {
    let endpoint = |method: &str, path: &str, params: &[&str], captures: &[&str]| {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Endpoint::concrete(method, path, &[], &own(params), &own(captures)).unwrap()
    };
    match server {
        Server::Postgres { port, admin, password } => {
            let password = Arc::new(FileSource(password.clone()));
            Target::Postgres(PostgresTarget::here(*port, "postgres", admin, password))
        }
        Server::Hub { origin, token } => Target::Http(HttpTarget {
            base_url: origin.parse().unwrap(),
            dial: None,
            check: None,
            tls: Tls::off(),
            admin: Some(HttpAdmin::Bearer { prefix: "token".to_owned(), token: Arc::new(FileSource(token.clone())) }),
            addresses: Arc::new(Addresses { loopback: true, ..Addresses::default() }),
            endpoints: vec![
                endpoint("GET", "/hub/api/users/{user}/tokens", &["user:identity"], &[]),
                endpoint("POST", "/hub/api/users/{user}/tokens", &["user:identity"], &["json:/token"]),
                endpoint("DELETE", "/hub/api/users/{user}/tokens/{id}", &["user:identity", "id:value"], &[]),
                endpoint("GET", "/hub/api/user", &[], &[]),
            ],
        }),
    }
}

fn options() -> Options {
    Options {
        brake_after: NO_BRAKE,
        // The faults here are meant for what a rotation sends, not for the look before it starts.
        look_again_ms: 3_600_000,
        ..Options::default()
    }
}

/// A host over these parts, with these declarations in force.
pub(crate) async fn connect(
    journal: Arc<dyn Journal>,
    freezes: Arc<dyn Freezes>,
    rotator: Arc<dyn Rotator>,
    all: Vec<Declared>,
) -> Engine {
    let (clock, random) = (Arc::new(HostClock::new(Arc::new(WallClock))), Arc::new(Chance::open()));
    let engine = Engine::start(Parts { journal, freezes, nonces: None, rotator, clock, random, options: options() });
    let engine = engine.await.unwrap();
    engine.declare(all, "ada".parse().unwrap()).await.unwrap();
    engine
}

pub(crate) fn declared(world: &World, secret: &SecretName, settings: &Value, policy: Policy) -> Declared {
    Declared {
        name: secret.clone(),
        spec: Digest([3; 32]),
        plugin: world.plugin.parse().unwrap(),
        connection: "main".parse().unwrap(),
        target: "main".into(),
        server: Arc::default(),
        places: vec![Place::only()].into(),
        settings: settings.to_string().into(),
        policy: Arc::new(policy),
        cadence: None,
        stagger: None,
        after: Vec::new().into(),
        paused: false,
    }
}

/// Short times: what is waited for is the protocol, not the clock. One consumer, `web`, with one replica, `web-0`.
pub(crate) fn policy(quiet_ms: u64) -> Policy {
    Policy {
        consumers: vec![ConsumerPolicy {
            name: "web".parse().unwrap(),
            kind: ConsumerKind::Client,
            role: ConsumerRole::Uses,
            required: true,
            members: Members::Listed(vec!["web-0".parse().unwrap()]),
            ready: EvidenceKind::Holder,
            adopted: EvidenceKind::Process,
            uses_every_ms: None,
        }],
        stragglers: Stragglers {
            quorum: Quorum::All,
            deadline_ms: None,
            then: AtDeadline::Hold,
            max_age_ms: None,
            before_expiry_ms: 0,
        },
        waves: Waves::default(),
        overlap_min_ms: 0,
        quiet_ms,
        soak_ms: 100,
        staged_lease_ms: 1_000,
        attempts: Attempts { cap: 20, base_ms: 50, max_ms: 500 },
        call_timeout_ms: CALL_MS,
        accept_gap: true,
    }
}

/// The replica of [`policy`], which holds nothing yet and does what it is asked.
pub(crate) fn willing_consumer(secret: &SecretName, life: &str) -> Consumers {
    let mut consumer = Consumers::new(secret.clone());
    consumer.add("web".parse().unwrap(), "web-0".parse().unwrap(), Temper::Willing);
    consumer.restart(0, life.parse().unwrap());
    consumer
}
