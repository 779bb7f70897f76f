//! Many secrets on one real host: each goes through one thing that goes wrong, all at once, and ends where its
//! credentials at the target are those that the journal names.

use super::plugins::{Made, Plugins};
use crate::site::{self, Census, Course, Server, Target, Watch, World};
use keybaton_engine::Engine;
use keybaton_engine::declared::Declared;
use keybaton_engine::harness::{Consumers, Plan, Trace};
use keybaton_engine::ports::journal::Part;
use keybaton_engine::views::{HistoryEntry, StatusView};
use keybaton_protocol::command::Command;
use keybaton_protocol::ids::{SecretName, Seq};
use keybaton_protocol::policy::Policy;
use keybaton_protocol::step::{CallKind, PlanKind};
use keybaton_test_support::{JupyterHub, JupyterHubOptions, Postgres, PostgresOptions, Scratch};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long one thing may take to come to rest, all others at work beside it.
const ENDS: Duration = Duration::from_secs(90);
/// How much later than a host call was given up a token may come to be, in milliseconds.
const SETTLES_MS: u64 = 2_000;
/// What status says of a call that is tried no more.
const STUCK: &str = "failed too often";

/// What secrets are rotated at.
#[derive(Clone)]
pub(super) enum Site {
    /// One role each.
    OneRole(Arc<Postgres>),
    /// Two roles in turn each.
    TwoRoles(Arc<Postgres>),
    /// The tokens of a user each.
    Tokens(Arc<JupyterHub>),
}

impl Site {
    pub(super) async fn one_role() -> Self {
        Self::OneRole(Arc::new(Postgres::start(PostgresOptions::default()).await.unwrap()))
    }

    pub(super) async fn two_roles() -> Self {
        Self::TwoRoles(Arc::new(Postgres::start(PostgresOptions::default()).await.unwrap()))
    }

    pub(super) async fn tokens() -> Self {
        Self::Tokens(Arc::new(JupyterHub::start(JupyterHubOptions { activity_resolution_s: 0 }).await.unwrap()))
    }

    /// The server's own port.
    pub(super) fn port(&self) -> u16 {
        match self {
            Self::OneRole(server) | Self::TwoRoles(server) => server.port(),
            Self::Tokens(hub) => hub.port(),
        }
    }

    fn server(&self, port: u16) -> Server {
        match self {
            Self::OneRole(server) | Self::TwoRoles(server) => site::postgres_server(server, port),
            Self::Tokens(hub) => site::hub_server(hub, port),
        }
    }

    const fn plugin(&self) -> &'static str {
        match self {
            Self::OneRole(_) | Self::TwoRoles(_) => "postgres-password",
            Self::Tokens(_) => "http-token",
        }
    }

    /// Secrets that are rotated at once: a server that answers too late is another test's.
    const fn at_once(&self) -> usize {
        if matches!(self, Self::Tokens(_)) { 6 } else { 24 }
    }

    /// Sessions of two roles in turn are watched; for the others the consumer's word is all there is.
    const fn quiet_ms(&self) -> u64 {
        if matches!(self, Self::TwoRoles(_)) { 1_000 } else { 0 }
    }

    /// What belongs to one secret there, made ready.
    async fn subject(&self, name: &str) -> (Value, Target) {
        match self {
            Self::OneRole(server) => {
                let roles = vec![format!("{name}_a")];
                (site::role_settings(&roles, None), Target::Postgres(Arc::clone(server), roles))
            }
            Self::TwoRoles(server) => {
                let (roles, group) = (vec![format!("{name}_a"), format!("{name}_b")], format!("{name}_g"));
                server.execute(&format!("CREATE ROLE {group} NOLOGIN")).await.unwrap();
                (site::role_settings(&roles, Some(&group)), Target::Postgres(Arc::clone(server), roles))
            }
            Self::Tokens(hub) => {
                let user = format!("{name}_a");
                hub.create_user(&user).await.unwrap();
                let mut settings = site::token_settings(&user);
                settings["settle-ms"] = SETTLES_MS.into();
                (settings, Target::Hub(Arc::clone(hub), user))
            }
        }
    }
}

/// How long calls wait for their answers, in milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) host_call_ms: u64,
    pub(super) call_ms: u64,
}

/// One host and its secrets.
pub(super) struct Fleet {
    pub(super) site: Site,
    pub(super) plugins: Plugins,
    pub(super) engine: Engine,
    world: World,
    policy: Policy,
    declared: Mutex<Vec<Declared>>,
    turns: Arc<Semaphore>,
    _folder: Scratch,
}

impl Fleet {
    /// A host that reaches the site at this port; calls wait so long.
    pub(super) async fn start(site: Site, purpose: &str, port: u16, times: Times, course: Course) -> Arc<Self> {
        let folder = Scratch::new(purpose, None).unwrap();
        site::approve(folder.path(), site.plugin());
        let world = World {
            server: site.server(port),
            folder: folder.path().to_owned(),
            shared: folder.path().to_owned(),
            plugin: site.plugin().to_owned(),
            identities: vec!["*".to_owned()],
        };
        let plugins = Plugins::default();
        let rotator = plugins.around(Arc::new(site::sandbox(&world, times.host_call_ms)));
        let store = Arc::new(site::store(&world));
        let engine = site::connect(Arc::clone(&store) as _, store, rotator, Vec::new()).await;
        let policy = Policy { call_timeout_ms: times.call_ms, ..course.policy(site::policy(site.quiet_ms())) };
        let turns = Arc::new(Semaphore::new(site.at_once()));
        Arc::new(Self { site, plugins, engine, world, policy, declared: Mutex::default(), turns, _folder: folder })
    }

    /// Secrets of these names, declared; `name_` begins all that is theirs at the target.
    pub(super) async fn declare(self: &Arc<Self>, names: &[String]) -> Vec<Case> {
        let mut cases = Vec::new();
        for name in names {
            let (settings, target) = self.site.subject(name).await;
            let secret: SecretName = format!("team/{}", name.replace('_', "-")).parse().unwrap();
            let declared = site::declared(&self.world, &secret, &settings, self.policy.clone());
            self.declared.lock().unwrap().push(declared);
            let consumer = site::willing_consumer(&secret, "life-1");
            cases.push(Case { fleet: Arc::clone(self), name: name.clone(), secret, target, consumer, turn: None });
        }
        let all = self.declared.lock().unwrap().clone();
        self.engine.declare(all, "ada".parse().unwrap()).await.unwrap();
        cases
    }
}

/// One secret of a fleet.
pub(super) struct Case {
    pub(super) fleet: Arc<Fleet>,
    pub(super) name: String,
    pub(super) secret: SecretName,
    pub(super) target: Target,
    consumer: Consumers,
    /// Held from its first credential on.
    turn: Option<OwnedSemaphorePermit>,
}

impl Case {
    pub(super) async fn status(&self) -> StatusView {
        self.fleet.engine.status(&self.secret).await.unwrap()
    }

    pub(super) async fn history(&self) -> Vec<HistoryEntry> {
        self.fleet.engine.history(&self.secret, Part::After(Seq(0)), usize::MAX).await.unwrap()
    }

    /// The newest lines of its journal, the newest first.
    pub(super) async fn last(&self) -> Vec<String> {
        self.history().await.iter().rev().take(25).map(|it| format!("{} {}", it.seq, it.text)).collect()
    }

    pub(super) async fn begin(&self, kind: PlanKind) {
        self.fleet.engine.begin(&self.secret, kind, "test", "ada".parse().unwrap()).await.unwrap();
    }

    pub(super) async fn command(&self, command: Command) {
        self.fleet.engine.command(&self.secret, command).await.unwrap();
    }

    /// From here on calls go by this plan.
    pub(super) fn plan(&self, plan: Plan) -> Arc<Trace> {
        let trace = Trace::new(plan);
        self.fleet.plugins.set(&self.secret, Arc::clone(&trace));
        trace
    }

    /// Calls that reached the plugin so far.
    pub(super) fn made(&self) -> Vec<Made> {
        self.fleet.plugins.made(&self.secret)
    }

    /// One look of the operator, one round of the consumer.
    pub(super) async fn round(&mut self, course: Course) -> StatusView {
        let status = self.status().await;
        course.act(&self.fleet.engine, &self.secret, &status, &mut self.consumer).await;
        self.consumer.round(&self.fleet.engine, &|_| {}).await.unwrap();
        self.status().await
    }

    /// Goes on until nothing is open. A person lets go of what is held or stuck, once; answers what that was.
    pub(super) async fn settle(&mut self, course: Course) -> Option<&'static str> {
        let until = Instant::now() + ENDS;
        let mut watch = Watch::of(&self.fleet.engine, &self.secret);
        let mut helped = None;
        loop {
            let status = self.round(course).await;
            let stuck =
                status.rotation.as_ref().and_then(|it| it.waiting.as_ref()).is_some_and(|it| it.contains(STUCK));
            let rests = status.rotation.is_none() && status.retirements.is_empty() && status.held.is_none();
            // Of a rotation that was left it may take a while to be known whether there is anything to end.
            if rests && status.generations.iter().all(|it| it.role == "current") {
                return helped;
            }
            if status.held.is_some() || stuck {
                assert!(helped.is_none(), "{}: again: {status:#?}", self.name);
                helped = Some(if stuck { "stuck" } else { "held" });
                self.command(Command::Release { author: "ada".parse().unwrap() }).await;
            }
            assert!(Instant::now() < until, "{}: no end: {status:#?}\n{:#?}", self.name, self.last().await);
            watch.next().await;
        }
    }

    /// How the newest rotation ended.
    pub(super) async fn ending(&self) -> String {
        let history = self.history().await;
        let finished = history.iter().rev().find(|it| it.event == "finished").expect("one has ended");
        site::part(finished, "ending")
    }

    /// What lives at the target is what the journal names, and works; of all that ever came to be nothing else does.
    pub(super) async fn census(&mut self, what: &str) {
        self.consumer.round(&self.fleet.engine, &|_| {}).await.unwrap();
        let uses = self.consumer.values().pop().unwrap().uses.expect("the consumer uses the current one");
        let (uses, seen) = (String::from_utf8(uses).unwrap(), self.fleet.plugins.seen(&self.secret));
        let status = self.status().await;
        self.target.census(&Census { status: &status, uses: &uses, seen: &seen, what }).await;
    }

    /// The first credential, when it is this secret's turn.
    pub(super) async fn issue(&mut self) {
        self.turn = Some(Arc::clone(&self.fleet.turns).acquire_owned().await.unwrap());
        self.begin(PlanKind::Issue).await;
        assert_eq!(self.settle(Course::Through).await, None, "{}: its issue", self.name);
    }

    /// And it rotates as if nothing had been.
    pub(super) async fn again(&mut self, what: &str) {
        self.plan(Plan::default());
        self.begin(PlanKind::Rotate).await;
        assert_eq!(self.settle(Course::Through).await, None, "{what}: and another rotation");
        assert_eq!(self.ending().await, "completed", "{what}: and another rotation");
        self.census(what).await;
    }
}

/// Which call of which kind, as tables name it.
pub(super) fn numbered(calls: &[CallKind]) -> Vec<(String, CallKind, u64)> {
    let mut all = Vec::new();
    for (at, kind) in calls.iter().enumerate() {
        let nth = calls[..at].iter().filter(|before| *before == kind).count() as u64;
        all.push((format!("{kind}/{nth}"), *kind, nth));
    }
    all
}
