//! One life of a host, in a process of its own: the real engine, store, sandbox and component, and a consumer that
//! answers at once. It brings what it finds open to its end, tells the parent what the journal names, and begins
//! rotations until it is killed or the parent closes the pipe.

use super::kill::{Fuse, FusedJournal, FusedRotator};
use super::order::{Kill, LINE, Server, World};
use keybaton_engine::declared::Declared;
use keybaton_engine::harness::{Consumers, Temper};
use keybaton_engine::ports::clock::{Clock, Random};
use keybaton_engine::views::StatusView;
use keybaton_engine::{Engine, Options, Parts};
use keybaton_protocol::evidence::EvidenceKind;
use keybaton_protocol::ids::{Digest, Millis, Place, SecretName, Seq};
use keybaton_protocol::policy::{
    AtDeadline, Attempts, ConsumerPolicy, ConsumerRole, Members, Policy, Quorum, Stragglers, Waves,
};
use keybaton_protocol::step::PlanKind;
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
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(super) const SECRET: &str = "team/app";
/// How long a rotation may take to end, the doubt about its calls included.
const ENDS: Duration = Duration::from_secs(60);
/// Pause between two rounds of the consumer.
const ROUND: Duration = Duration::from_millis(20);
/// Time for one plugin call: a call whose host was killed is in doubt for as long.
const CALL_MS: u64 = 2_000;

struct WallClock;

impl Clock for WallClock {
    fn wall(&self) -> Millis {
        Millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
    }
}

struct Chance(Mutex<File>);

impl Random for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap().read_exact(bytes).unwrap();
    }
}

/// Lives until it is killed or told to stop.
pub(super) async fn live(world: &World) {
    let seen = OpenOptions::new().create(true).append(true).open(world.folder.join("seen")).unwrap();
    let fuse = Fuse::new(seen);
    let engine = start(world, &fuse).await;
    let mut life = Life { secret: SECRET.parse().unwrap(), engine, consumer: consumer() };
    if life.status().await.generations.is_empty() && life.status().await.rotation.is_none() {
        life.begin(PlanKind::Issue).await;
    }
    let mut orders = std::io::stdin().lock().lines();
    let mut survived = None;
    loop {
        life.settle().await;
        life.tell(survived).await;
        let Some(order) = orders.next() else { break };
        fuse.arm(Kill::parse(&order.unwrap()).expect("an order"));
        life.begin(PlanKind::Rotate).await;
        life.settle().await;
        survived = Some(fuse.disarm());
    }
    assert!(life.engine.shutdown().await, "calls were left open");
}

struct Life {
    secret: SecretName,
    engine: Engine,
    consumer: Consumers,
}

impl Life {
    async fn status(&self) -> StatusView {
        self.engine.status(&self.secret).await.unwrap()
    }

    async fn begin(&self, kind: PlanKind) {
        self.engine.begin(&self.secret, kind, "test", "ada".parse().unwrap()).await.unwrap();
    }

    /// The consumer goes on until nothing is open.
    async fn settle(&mut self) {
        let until = Instant::now() + ENDS;
        loop {
            self.consumer.round(&self.engine, &|_| {}).await.unwrap();
            let status = self.status().await;
            if status.rotation.is_none() && status.retirements.is_empty() {
                return;
            }
            assert!(status.held.is_none(), "held: {status:#?}");
            if Instant::now() > until {
                let history = self.engine.history(&self.secret, Seq(0)).await.unwrap();
                let last: Vec<_> = history.iter().rev().take(25).map(|it| format!("{} {}", it.seq, it.text)).collect();
                panic!("it does not end: {status:#?}\n{last:#?}");
            }
            tokio::time::sleep(ROUND).await;
        }
    }

    /// What the journal names, to the parent. `survived`: how many moments the last rotation passed without an end.
    async fn tell(&mut self, survived: Option<u64>) {
        // Without a rotation the consumer is given the current generation, and that alone.
        self.consumer.round(&self.engine, &|_| {}).await.unwrap();
        let uses = self.consumer.values().pop().unwrap().uses.expect("the consumer uses the current one");
        let history = self.engine.history(&self.secret, Seq(0)).await.unwrap();
        let ending = history.iter().rev().find(|it| it.event == "finished").map(|it| it.text.clone());
        let line = json!({
            "status": self.status().await,
            "uses": String::from_utf8(uses).unwrap(),
            "ending": ending,
            "survived": survived,
        });
        let mut out = std::io::stdout().lock();
        writeln!(out, "{LINE}{line}").unwrap();
        out.flush().unwrap();
    }
}

/// A replica that holds nothing yet: each life is a new one.
fn consumer() -> Consumers {
    let mut consumer = Consumers::new(SECRET.parse().unwrap());
    consumer.add("web".parse().unwrap(), "web-0".parse().unwrap(), Temper::Willing);
    consumer.restart(0, format!("life-{}", std::process::id()).parse().unwrap());
    consumer
}

async fn start(world: &World, fuse: &Arc<Fuse>) -> Engine {
    let kek = world.folder.join("kek");
    let data = world.folder.join("data");
    let store = if data.exists() {
        Store::open(&data, Kek::from_file(&kek).unwrap(), Mode::ReadWrite).unwrap()
    } else {
        Store::create(&data, Kek::generate(&kek).unwrap()).unwrap()
    };
    let engine = Engine::start(Parts {
        journal: Arc::new(FusedJournal { inner: Arc::new(store), fuse: Arc::clone(fuse) }),
        rotator: Arc::new(FusedRotator { inner: Arc::new(sandbox(world)), fuse: Arc::clone(fuse) }),
        clock: Arc::new(WallClock),
        random: Arc::new(Chance(Mutex::new(File::open("/dev/urandom").unwrap()))),
        options: Options { holder: format!("host-{}", std::process::id()), ..Options::default() },
    });
    let engine = engine.await.unwrap();
    engine.declare(vec![declared(world)], "ada".parse().unwrap()).await.unwrap();
    engine
}

fn sandbox(world: &World) -> Runtime {
    let lock = Lock::load(&super::lane::shared(&world.folder).join("keybaton.lock")).unwrap();
    let catalog = Catalog::new(&super::lane::shared(&world.folder).join("components"), lock);
    let connections = Arc::new(Connections::new());
    let pattern = |text: &String| Pattern::parse(text).unwrap();
    connections.replace(vec![Connection {
        name: "main".parse().unwrap(),
        access: Access {
            namespaces: vec![Pattern::parse("team").unwrap()],
            plugins: vec![pattern(&world.plugin)],
            identities: world.identities.iter().map(pattern).collect(),
        },
        limits: ConnectionLimits { timeout_ms: CALL_MS, ..ConnectionLimits::default() },
        target: target(&world.server),
    }]);
    let cache = Cache::new(&super::lane::shared(&world.folder).join("cache"), &[7; 32]);
    Runtime::new(catalog, connections, Arc::new(WallClock)).unwrap().with_cache(cache)
}

fn target(server: &Server) -> Target {
    let endpoint = |method: &str, path: &str, params: &[&str], captures: &[&str]| {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Endpoint::concrete(method, path, &[], &own(params), &own(captures)).unwrap()
    };
    match server {
        Server::Postgres { port, admin, password } => Target::Postgres(PostgresTarget {
            host: "127.0.0.1".to_owned(),
            port: *port,
            database: "postgres".to_owned(),
            tls: Tls::Off,
            admin: Some((admin.clone(), Arc::new(FileSource(password.clone())))),
        }),
        Server::Hub { origin, token } => Target::Http(HttpTarget {
            base_url: origin.parse().unwrap(),
            tls: Tls::Off,
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

fn declared(world: &World) -> Declared {
    Declared {
        name: SECRET.parse().unwrap(),
        spec: Digest([3; 32]),
        plugin: world.plugin.parse().unwrap(),
        connection: "main".parse().unwrap(),
        target: "main".into(),
        places: vec![Place::only()].into(),
        settings: world.settings.to_string().into(),
        policy: Arc::new(policy(world.quiet_ms)),
        cadence: None,
        stagger: None,
        after: Vec::new().into(),
        paused: false,
    }
}

/// Short times: what is waited for is the protocol, not the clock.
fn policy(quiet_ms: u64) -> Policy {
    Policy {
        consumers: vec![ConsumerPolicy {
            name: "web".parse().unwrap(),
            role: ConsumerRole::Uses,
            required: true,
            members: Members::Listed(vec!["web-0".parse().unwrap()]),
            ready: EvidenceKind::Holder,
            adopted: EvidenceKind::Process,
            uses_every_ms: None,
        }],
        stragglers: Stragglers { quorum: Quorum::All, deadline_ms: None, then: AtDeadline::Hold, max_age_ms: None },
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
