//! A real HTTPS server on loopback, over an engine on doubles. Each test binary uses its own part of it.

#![expect(dead_code, unreachable_pub, reason = "each test binary uses its own part of the fixture")]

pub mod doubles;
#[path = "../../../engine/tests/support/memory.rs"]
pub mod memory;
#[path = "../../../engine/tests/support/target.rs"]
pub mod target;

use doubles::{MemoryAuditor, MemoryIdentities, MemoryProposals, OsRandom, Roster, ShiftedClock};
use keybaton_api::ca::Authority;
use keybaton_api::serve::{Patience, Server};
use keybaton_api::server_cert::ServerCertificate;
use keybaton_api::tokens::{Token, TokenKind};
use keybaton_api::{Context, Lifetimes, Parts};
use keybaton_engine::clock::HostClock;
use keybaton_engine::declared::Declared;
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::identities::{Identities, Identity, Subject};
use keybaton_engine::ports::journal::Journal;
use keybaton_engine::{Engine, Options};
use keybaton_protocol::evidence::EvidenceKind;
use keybaton_protocol::ids::{Author, Digest, Place, SecretName};
use keybaton_protocol::policy::{
    AtDeadline, Attempts, ConsumerKind, ConsumerPolicy, ConsumerRole, Members, Policy, Quorum, Stragglers, Waves,
};
use keybaton_protocol::step::PlanKind;
use memory::MemoryJournal;
use reqwest::{Certificate, Method, StatusCode};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use target::{Scripted, Target};
use tempfile::TempDir;

/// Two slots taken in turn.
pub const ALTERNATE: &str = r#"{"overlap":"alternate","slots":["a","b"],"soft_disable":true}"#;
/// One slot.
pub const NONE: &str = r#"{"overlap":"none"}"#;
/// Several live at once, minted by the target.
pub const NATIVE: &str = r#"{"overlap":"native","minter":"target","soft_disable":true}"#;

/// Longest wait for something that is to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that outlives a host, and the host.
pub struct Fixture {
    pub journal: Arc<MemoryJournal>,
    pub target: Arc<Target>,
    pub identities: Arc<MemoryIdentities>,
    pub proposals: Arc<MemoryProposals>,
    pub auditor: Arc<MemoryAuditor>,
    pub clock: Arc<ShiftedClock>,
    pub certificate: Arc<ServerCertificate>,
    pub operator: String,
    pub directory: TempDir,
    pub lifetimes: Lifetimes,
    pub patience: Patience,
    declared: Vec<Declared>,
    host: Option<Host>,
    address: SocketAddr,
}

struct Host {
    server: Server,
    engine: Engine,
}

/// An answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{} is no JSON: {}", self.status, self.text))
    }

    /// The last part of the problem's type.
    pub fn problem(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.text);
        self.json()["type"].as_str().unwrap().trim_start_matches("/problems/").to_owned()
    }
}

impl Fixture {
    /// A host whose only secret is `payments/db`, used by `web` with one replica, `web-0`.
    pub async fn new(settings: &str) -> Self {
        Self::with(vec![declared("payments/db", settings, &[("web", &["web-0"])])]).await
    }

    pub async fn with(declared: Vec<Declared>) -> Self {
        let clock = Arc::new(ShiftedClock::default());
        let authority = Authority::create("test", clock.wall()).unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = Arc::new(ServerCertificate::new(authority, names, clock.wall()).unwrap());
        let identities = Arc::new(MemoryIdentities::default());
        let operator = operator(&identities, "ada", None).await;
        let mut fixture = Self {
            journal: Arc::default(),
            target: Target::new(Arc::clone(&clock) as _),
            identities,
            proposals: Arc::default(),
            auditor: Arc::default(),
            clock,
            certificate,
            operator,
            directory: tempfile::tempdir().unwrap(),
            lifetimes: Lifetimes::default(),
            patience: Patience::default(),
            declared,
            host: None,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        fixture.start().await;
        fixture
    }

    /// Starts a host on what there is; after the first time at the same address.
    pub async fn start(&mut self) {
        let journal: Arc<dyn Journal> = Arc::clone(&self.journal) as _;
        let clock = Arc::new(HostClock::new(Arc::clone(&self.clock) as _));
        let engine = Engine::start(keybaton_engine::Parts {
            journal,
            freezes: Arc::clone(&self.journal) as _,
            nonces: None,
            rotator: Arc::new(Scripted { target: Arc::clone(&self.target) }),
            clock,
            random: Arc::new(OsRandom),
            options: Options { nonce_ms: 5_000, ..Options::default() },
        })
        .await
        .unwrap();
        engine.declare(self.declared.clone(), author()).await.unwrap();
        let context = context(self, engine.clone());
        let socket = self.socket();
        let server =
            Server::start(context, self.certificate.clone(), self.address, Some(&socket), self.patience).await.unwrap();
        self.address = server.address();
        self.host = Some(Host { server, engine });
    }

    /// Stops the host; consumers are on their own.
    pub async fn stop(&mut self) {
        if let Some(Host { server, engine }) = self.host.take() {
            server.stop().await;
            assert!(engine.shutdown().await, "a call was cut");
        }
    }

    pub fn engine(&self) -> &Engine {
        &self.host.as_ref().unwrap().engine
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("keybaton.sock")
    }

    /// A client that trusts the host's authority.
    pub fn http(&self) -> reqwest::Client {
        let ca = Certificate::from_pem(self.certificate.authority().pem().as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap()
    }

    pub async fn send(&self, method: Method, path: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
        let mut request = self.http().request(method, format!("{}{path}", self.url()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        answer(request).await
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(Method::GET, path, Some(token), None).await
    }

    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(token), Some(body)).await
    }

    /// A single-use enrolment token with its pin.
    pub async fn enrolment(&self, consumer: &str) -> String {
        let body = serde_json::json!({"consumer": consumer, "minutes": 5});
        let made = self.post("/v1/enrolments", &self.operator, &body).await;
        assert_eq!(made.status, 200, "{}", made.text);
        made.json()["token"].as_str().unwrap().to_owned()
    }

    /// A consumer's bearer token.
    pub async fn enrol(&self, consumer: &str) -> String {
        let token = self.enrolment(consumer).await;
        let enrolled = self.send(Method::POST, "/v1/enrol", None, Some(&serde_json::json!({"token": token}))).await;
        assert_eq!(enrolled.status, 200, "{}", enrolled.text);
        enrolled.json()["token"].as_str().unwrap().to_owned()
    }

    pub async fn begin(&self, secret: &str, kind: PlanKind) {
        self.engine().begin(&name(secret), kind, "operator", author()).await.unwrap();
    }

    /// The status of a secret, as operators see it.
    pub async fn status(&self, secret: &str) -> Value {
        let shown = self.get(&format!("/v1/secrets/{secret}"), &self.operator).await;
        assert_eq!(shown.status, 200, "{}", shown.text);
        shown.json()
    }

    /// Waits until the secret's current generation is this one and nothing is going on.
    pub async fn settled(&self, secret: &str, generation: u64) {
        let what = format!("{secret} to rest at generation {generation}");
        eventually(&what, async || {
            let status = self.status(secret).await;
            let current = status["generations"].as_array().unwrap().iter().find(|it| it["role"] == "current");
            let rests = status["summary"]["standing"] == "idle";
            (rests && current.is_some_and(|it| it["generation"] == generation)).then_some(()).ok_or(status.to_string())
        })
        .await;
    }
}

fn context(fixture: &Fixture, engine: Engine) -> Context {
    Context::new(Parts {
        engine,
        identities: Arc::clone(&fixture.identities) as _,
        proposals: Arc::clone(&fixture.proposals) as _,
        administration: Arc::new(Roster::new(&fixture.declared)),
        audit: Arc::clone(&fixture.auditor) as _,
        clock: Arc::clone(&fixture.clock) as _,
        pin: fixture.certificate.authority().pin(),
        ca_pem: fixture.certificate.authority().pem().to_owned(),
        lifetimes: fixture.lifetimes,
    })
}

/// What a second host on the same engine would be built of.
pub fn bare_context(fixture: &Fixture) -> Context {
    context(fixture, fixture.engine().clone())
}

/// Waits for something to happen, and says what was there instead.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(instead) if started.elapsed() > PATIENCE => panic!("waited in vain for {what}; there is {instead}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
}

pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

pub async fn operator(identities: &MemoryIdentities, name: &str, namespaces: Option<&[&str]>) -> String {
    let token = Token::draw(TokenKind::Bearer).unwrap();
    let identity = Identity {
        id: token.id().to_owned(),
        hash: token.hash(),
        subject: Subject::Operator {
            name: name.parse().unwrap(),
            namespaces: namespaces.map(|names| names.iter().map(|name| name.parse().unwrap()).collect()),
        },
        replica: None,
        line: None,
        issued_at: keybaton_protocol::ids::Millis(0),
        expires_at: None,
        revoked_at: None,
        supersedes: None,
    };
    identities.put(identity).await.unwrap();
    token.reveal().to_string()
}

pub fn author() -> Author {
    "ada".parse().unwrap()
}

pub fn name(secret: &str) -> SecretName {
    secret.parse().unwrap()
}

pub fn declared(secret: &str, settings: &str, consumers: &[(&str, &[&str])]) -> Declared {
    Declared {
        name: name(secret),
        spec: Digest([3; 32]),
        plugin: "scripted".parse().unwrap(),
        connection: "main".parse().unwrap(),
        target: "main:db".into(),
        server: Arc::default(),
        places: vec![Place::only()].into(),
        settings: settings.into(),
        policy: Arc::new(policy(consumers)),
        cadence: None,
        stagger: None,
        after: Vec::new().into(),
        paused: false,
    }
}

fn policy(consumers: &[(&str, &[&str])]) -> Policy {
    let consumer = |(name, replicas): &(&str, &[&str])| ConsumerPolicy {
        name: name.parse().unwrap(),
        kind: ConsumerKind::Client,
        role: ConsumerRole::Uses,
        required: true,
        members: Members::Listed(replicas.iter().map(|it| it.parse().unwrap()).collect()),
        ready: EvidenceKind::Holder,
        adopted: EvidenceKind::Process,
        uses_every_ms: None,
    };
    Policy {
        consumers: consumers.iter().map(consumer).collect(),
        stragglers: Stragglers {
            quorum: Quorum::All,
            deadline_ms: None,
            then: AtDeadline::Hold,
            max_age_ms: None,
            before_expiry_ms: 0,
        },
        waves: Waves::default(),
        overlap_min_ms: 50,
        quiet_ms: 0,
        soak_ms: 50,
        staged_lease_ms: 10_000,
        attempts: Attempts { cap: 3, base_ms: 20, max_ms: 100 },
        call_timeout_ms: 2_000,
        accept_gap: true,
    }
}
