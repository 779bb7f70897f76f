//! A whole engine on doubles: declared, driven to rest, killed and started again, and compared with its target.

use super::memory::MemoryJournal;
use super::target::{Scripted, Target};
use keybaton_engine::clock::HostClock;
use keybaton_engine::declared::Declared;
use keybaton_engine::harness::{Around, Consumers, FaultyCalls, FaultyJournal, Plan, Presented, Temper, Trace};
use keybaton_engine::ports::clock::{Clock, Random};
use keybaton_engine::ports::journal::Journal;
use keybaton_engine::ports::rotator::Rotator;
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_engine::requests::{Delivery, Fetch};
use keybaton_engine::views::{Standing, StatusView};
use keybaton_engine::{Engine, EngineError, Import, Options, Parts};
use keybaton_protocol::command::Command;
use keybaton_protocol::decide::decide;
use keybaton_protocol::evidence::EvidenceKind;
use keybaton_protocol::ids::{Author, Digest, Millis, Place, SecretName};
use keybaton_protocol::policy::{
    AtDeadline, Attempts, ConsumerKind, ConsumerPolicy, ConsumerRole, Members, Policy, Quorum, Stragglers, Waves,
};
use keybaton_protocol::state::Secret;
use keybaton_protocol::step::PlanKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The overlap models, and the settings that script them.
pub const MODELS: &[(&str, &str)] = &[
    ("none", r#"{"overlap":"none"}"#),
    ("alternate", r#"{"overlap":"alternate","slots":["a","b"],"soft_disable":true}"#),
    ("native, minted by the target", r#"{"overlap":"native","minter":"target","soft_disable":true}"#),
    ("native, minted by the host", r#"{"overlap":"native","promotes":true}"#),
    ("replace", r#"{"overlap":"replace"}"#),
];

/// Wall time that follows tokio's clock, which tests pause, and that a test can set.
pub struct TestClock {
    origin: Instant,
    set_ms: AtomicI64,
}

impl TestClock {
    fn start() -> Arc<Self> {
        Arc::new(Self { origin: Instant::now(), set_ms: AtomicI64::new(0) })
    }

    /// Sets the wall clock, ahead or back.
    pub fn step(&self, by_ms: i64) {
        self.set_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn wall(&self) -> Millis {
        Millis(1_700_000_000_000 + self.elapsed_ms()).shifted(self.set_ms.load(Ordering::Relaxed))
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap()
    }
}

/// Different at each call, and the same in each run.
#[derive(Default)]
pub struct TestRandom(AtomicU64);

impl Random for TestRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for byte in bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state as u8;
        }
    }
}

pub fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

pub fn author() -> Author {
    "ada".parse().unwrap()
}

pub fn consumer(name: &str, replicas: &[&str]) -> ConsumerPolicy {
    ConsumerPolicy {
        name: name.parse().unwrap(),
        kind: ConsumerKind::Client,
        role: ConsumerRole::Uses,
        required: true,
        members: Members::Listed(replicas.iter().map(|it| it.parse().unwrap()).collect()),
        ready: EvidenceKind::Holder,
        adopted: EvidenceKind::Process,
        uses_every_ms: None,
    }
}

pub fn policy() -> Policy {
    Policy {
        consumers: vec![consumer("web", &["web-0", "web-1"])],
        stragglers: Stragglers {
            quorum: Quorum::All,
            deadline_ms: None,
            then: AtDeadline::Hold,
            max_age_ms: None,
            before_expiry_ms: 0,
        },
        waves: Waves::default(),
        overlap_min_ms: 100,
        quiet_ms: 0,
        soak_ms: 200,
        staged_lease_ms: 10_000,
        attempts: Attempts { cap: 3, base_ms: 50, max_ms: 500 },
        call_timeout_ms: 2_000,
        accept_gap: true,
    }
}

pub fn declared(secret: &SecretName, settings: &str) -> Declared {
    Declared {
        name: secret.clone(),
        spec: Digest([3; 32]),
        plugin: "scripted".parse().unwrap(),
        connection: "main".parse().unwrap(),
        target: "main:db".into(),
        server: Arc::default(),
        places: vec![Place::only()].into(),
        settings: settings.into(),
        policy: Arc::new(policy()),
        cadence: None,
        stagger: None,
        after: Vec::new().into(),
        paused: false,
    }
}

/// One secret, its target and its consumers, through the lives of a host.
pub struct Bench {
    pub journal: Arc<MemoryJournal>,
    pub target: Arc<Target>,
    pub consumers: Consumers,
    pub declared: Declared,
    pub engine: Engine,
    pub trace: Arc<Trace>,
    pub lives: u32,
    what: String,
    pub clock: Arc<TestClock>,
    random: Arc<TestRandom>,
}

/// How long a target is not looked at again after a rotation, in milliseconds of paused time.
pub const LOOK_AGAIN_MS: u64 = 2_000;

/// Rounds of consumers and patience, after which a run counts as stuck.
const ROUNDS: u32 = 600;

/// Between two rounds, in milliseconds of paused time.
const ROUND_MS: u64 = 100;

impl Bench {
    pub async fn new(settings: &str) -> Self {
        let clock = TestClock::start();
        let as_clock: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let target = Target::new(as_clock);
        let journal = Arc::new(MemoryJournal::default());
        let random = Arc::new(TestRandom::default());
        let secret = name("payments/db");
        let declared = declared(&secret, settings);
        let trace = Trace::new(Plan::default());
        let engine = start(&journal, &target, &clock, &random, &trace).await.unwrap();
        let mut consumers = Consumers::new(secret);
        consumers.add("web".parse().unwrap(), "web-0".parse().unwrap(), Temper::Willing);
        consumers.add("web".parse().unwrap(), "web-1".parse().unwrap(), Temper::Willing);
        let bench =
            Self { journal, target, consumers, declared, engine, trace, lives: 1, what: String::new(), clock, random };
        bench.engine.declare(vec![bench.declared.clone()], author()).await.unwrap();
        bench
    }

    /// Names the run, for when it fails.
    pub fn what(&mut self, what: &str) {
        what.clone_into(&mut self.what);
    }

    pub fn secret(&self) -> SecretName {
        self.declared.name.clone()
    }

    /// The present host is gone, whatever it was doing, and another starts on the same journal under a plan.
    pub async fn reincarnate(&mut self, plan: Plan) {
        self.trace.kill();
        self.lives += 1;
        loop {
            self.trace = Trace::new(plan);
            let started = start(&self.journal, &self.target, &self.clock, &self.random, &self.trace).await;
            if let Ok(engine) = started {
                self.engine = engine;
                break;
            }
        }
        // A host that dies while it declares is started again by the next round.
        let _ = self.engine.declare(vec![self.declared.clone()], author()).await;
    }

    /// Another host on the same journal and target, which lives beside this one.
    pub async fn beside(&self) -> (Engine, Arc<Trace>) {
        self.journal.share();
        let trace = Trace::new(Plan::default());
        let engine = start(&self.journal, &self.target, &self.clock, &self.random, &trace).await.unwrap();
        engine.declare(vec![self.declared.clone()], author()).await.unwrap();
        (engine, trace)
    }

    /// A host beside this one whose store keeps no nonces.
    pub async fn without_nonces(&self) -> Result<Engine, EngineError> {
        let trace = Trace::new(Plan::default());
        let parts = parts(&self.journal, &self.target, &self.clock, &self.random, &trace);
        Engine::start(Parts { nonces: None, ..parts }).await
    }

    /// The present host dies, whatever it was doing, and what is done from now on is done through another.
    pub fn move_to(&mut self, (engine, trace): (Engine, Arc<Trace>)) {
        self.trace.kill();
        (self.engine, self.trace) = (engine, trace);
    }

    /// The journal, replayed by the protocol alone.
    pub fn replay(&self) -> Secret {
        let mut secret = Secret::new(self.secret());
        for recorded in self.journal.events(&self.secret()) {
            secret.record(recorded.at, &recorded.event).unwrap();
        }
        secret
    }

    /// Begins a plan, again after a crash until it is on record.
    pub async fn begin(&mut self, kind: PlanKind) {
        let before = self.journal.events(&self.secret()).len();
        for _ in 0..4 {
            let begun = match kind {
                PlanKind::Adopt => self.engine.import(&self.secret(), self.existing()).await,
                _ => self.engine.begin(&self.secret(), kind, "operator", author()).await,
            };
            match begun {
                Ok(_) => return,
                Err(error) => {
                    if !self.trace.is_dead() {
                        panic!("{}: {kind} could not begin: {error}", self.what);
                    }
                    self.reincarnate(Plan::default()).await;
                    if self.journal.events(&self.secret()).len() > before {
                        return;
                    }
                }
            }
        }
        panic!("{kind} never began");
    }

    /// A credential that was there before keybaton, to be taken over.
    fn existing(&self) -> Import {
        let slot = self.declared.settings.contains("alternate").then_some("a");
        self.target.before("before", slot, b"value-before-keybaton");
        Import {
            id: Some("before".parse().unwrap()),
            slot: None,
            fields: vec![("password".to_owned(), SecretBytes::new(b"value-before-keybaton".to_vec()))],
            attributes: Vec::new(),
            author: author(),
        }
    }

    /// Lets consumers act until nothing is left to do; a host that dies is started again, and an operator helps.
    pub async fn rest(&mut self) -> StatusView {
        let mut stuck = 0;
        for _ in 0..ROUNDS {
            if self.trace.is_dead() {
                self.reincarnate(Plan::default()).await;
            }
            self.round().await;
            tokio::time::sleep(Duration::from_millis(ROUND_MS)).await;
            let Ok(status) = self.engine.status(&self.secret()).await else { continue };
            let held = status.held.is_some() || self.exhausted();
            stuck = if held { stuck + 1 } else { 0 };
            if stuck > 0 && stuck % 10 == 0 {
                self.operator(stuck).await;
            }
            if status.rotation.is_none() && self.replay().at_rest() && !held {
                self.round().await;
                return status;
            }
        }
        let journal = self.journal.events(&self.secret());
        let tail: Vec<_> =
            journal.iter().rev().take(12).rev().map(|it| format!("{:?} {:?}", it.at, it.event)).collect();
        let status = self.engine.status(&self.secret()).await;
        let next = decide(&self.replay(), self.clock.wall());
        panic!(
            "{}: never came to rest, {next:?}:\n{}\n{status:#?}\n{:#?}",
            self.what,
            tail.join("\n"),
            self.target.census()
        );
    }

    /// Every consumer looks once.
    pub async fn round(&mut self) {
        let (target, one_slot) = (Arc::clone(&self.target), self.one_slot());
        let moved = |values| target.present(logins(values, one_slot));
        // A host that dies in the middle of a round is seen by the caller.
        let _ = self.consumers.round(&self.engine, &moved).await;
        self.target.present(logins(self.consumers.values(), one_slot));
    }

    fn exhausted(&self) -> bool {
        self.replay().efforts().values().any(|tries| tries.exhausted)
    }

    /// First the hold is lifted, then the rotation is left.
    async fn operator(&self, stuck: u32) {
        let command = if stuck <= 20 || self.replay().rotation().is_none() {
            Command::Release { author: author() }
        } else {
            Command::Abandon { reason: "the test gives up".to_owned(), author: author() }
        };
        let _ = self.engine.command(&self.secret(), command).await;
    }

    fn one_slot(&self) -> bool {
        self.declared.settings.contains("\"none\"")
    }

    fn presented(&self) -> Vec<Vec<Vec<u8>>> {
        logins(self.consumers.values(), self.one_slot())
    }

    /// At rest: what is at the target is what the journal names, the current credential works, nobody was cut off.
    pub fn check(&self, what: &str) {
        let secret = self.replay();
        let mut named: Vec<(Place, String)> = Vec::new();
        for credential in secret.generations().values() {
            for place in credential.lingering() {
                let id = credential.id_at(place).map_or_else(|| "?".to_owned(), ToString::to_string);
                named.push((place.clone(), id));
            }
        }
        named.extend(secret.foreign().iter().map(|(place, id)| (place.clone(), id.to_string())));
        named.sort();
        named.dedup();
        let mut there: Vec<_> = self.target.census().into_iter().map(|cred| (cred.place, cred.id)).collect();
        // What was there before keybaton and was given back untouched need not be named.
        there.retain(|it| it.1 != "before" || named.contains(it));
        // Of an install whose answer was lost the generation is known, and where; its id the target gave to nobody.
        let unnamed = named.iter().filter(|(_, id)| id == "?").count();
        if unnamed > 0 {
            named.retain(|(_, id)| id != "?");
            let surplus = there.iter().filter(|it| !named.contains(it)).count();
            assert_eq!(surplus, unnamed, "{what}: {there:?} at the target, {named:?} named");
            there.retain(|it| named.contains(it));
        }
        assert_eq!(there, named, "{what}: the target's census and the journal's differ");
        if let Some(current) = secret.current() {
            let credential = secret.generation(current).unwrap();
            assert!(credential.known(), "{what}: the current value is unknown");
            for replica in self.presented() {
                assert!(
                    replica.iter().any(|value| self.target.accepts(&Place::only(), value)),
                    "{what}: a consumer is left without a credential"
                );
            }
        }
        assert_eq!(self.target.outages(), Vec::<String>::new(), "{what}: a consumer was cut off");
        self.no_leak(what);
    }

    /// No value in any event, in any view.
    fn no_leak(&self, what: &str) {
        let journal = format!("{:?}", self.journal.events(&self.secret()));
        for value in self.target.values() {
            let value = String::from_utf8(value).unwrap();
            assert!(!journal.contains(&value), "{what}: the journal holds a value");
        }
        assert!(!self.engine.metrics().contains("value-"), "{what}: a metric holds a value");
    }
}

/// What each replica logs in with: what it is told to use, or under `none` anything it holds.
fn logins(values: Vec<Presented>, one_slot: bool) -> Vec<Vec<Vec<u8>>> {
    values.into_iter().map(|it| if one_slot { it.holds } else { it.uses.into_iter().collect() }).collect()
}

async fn start(
    journal: &Arc<MemoryJournal>,
    target: &Arc<Target>,
    clock: &Arc<TestClock>,
    random: &Arc<TestRandom>,
    trace: &Arc<Trace>,
) -> Result<Engine, EngineError> {
    Engine::start(parts(journal, target, clock, random, trace)).await
}

fn parts(
    journal: &Arc<MemoryJournal>,
    target: &Arc<Target>,
    clock: &Arc<TestClock>,
    random: &Arc<TestRandom>,
    trace: &Arc<Trace>,
) -> Parts {
    let store: Arc<dyn Journal> = Arc::clone(journal) as _;
    let clock = Arc::new(HostClock::new(Arc::clone(clock) as _));
    let rotator: Arc<dyn Rotator> = Arc::new(Scripted { target: Arc::clone(target) });
    Parts {
        journal: Arc::new(FaultyJournal::new(store, Arc::clone(trace))),
        freezes: Arc::clone(journal) as _,
        nonces: Some(journal.nonces(&clock) as _),
        rotator: Arc::new(Around::new(rotator, FaultyCalls(Arc::clone(trace)))),
        clock,
        random: Arc::clone(random) as _,
        options: Options { restart_base_ms: 1_000, look_again_ms: LOOK_AGAIN_MS, ..Options::default() },
    }
}

/// Many secrets on one engine, without faults or crashes.
pub struct Fleet {
    pub journal: Arc<MemoryJournal>,
    pub target: Arc<Target>,
    pub engine: Engine,
    declared: Vec<Declared>,
    pub clock: Arc<TestClock>,
    random: Arc<TestRandom>,
}

impl Fleet {
    /// Starts a rotation and waits until its secret stands so; answers the rotation.
    pub async fn run(&self, secret: &str, kind: PlanKind, until: Standing) -> String {
        let secret = name(secret);
        let id = self.engine.begin(&secret, kind, "operator", author()).await.unwrap();
        while self.engine.status(&secret).await.unwrap().summary.standing != until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        id.to_string()
    }

    pub async fn new(declared: Vec<Declared>) -> Self {
        let clock = TestClock::start();
        let as_clock: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let target = Target::new(as_clock);
        let journal = Arc::new(MemoryJournal::default());
        let random = Arc::new(TestRandom::default());
        let engine = start(&journal, &target, &clock, &random, &Trace::new(Plan::default())).await.unwrap();
        engine.declare(declared.clone(), author()).await.unwrap();
        Self { journal, target, engine, declared, clock, random }
    }

    pub async fn restart(&mut self) {
        assert!(self.engine.shutdown().await, "the host stops in time");
        let trace = Trace::new(Plan::default());
        self.engine = start(&self.journal, &self.target, &self.clock, &self.random, &trace).await.unwrap();
        self.engine.declare(self.declared.clone(), author()).await.unwrap();
    }

    /// Calls for secrets whose name begins like this fail for good.
    pub fn fail_from_now_on(&self, prefix: &str) {
        self.target.fail(prefix);
    }

    pub async fn fetch(&self, secret: &str, consumer: &str, replica: &str) -> Result<Delivery, EngineError> {
        self.engine
            .fetch(Fetch {
                secret: name(secret),
                consumer: consumer.parse().unwrap(),
                replica: replica.parse().unwrap(),
                incarnation: "life-1".parse().unwrap(),
            })
            .await
    }
}

/// A secret that nobody consumes and that waits for nothing.
pub fn lone(secret: &str) -> Declared {
    let lone = Policy { consumers: Vec::new(), overlap_min_ms: 0, soak_ms: 0, ..policy() };
    Declared { policy: Arc::new(lone), ..declared(&name(secret), r#"{"overlap":"native"}"#) }
}
