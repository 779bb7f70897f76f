//! A running host: everything started in order, and stopped in the reverse one.

use super::chance::{SystemClock, SystemRandom};
use super::connections;
use super::host::{Host, InForce};
use super::logins::Logins;
use super::managed::Link;
use super::reload::Live;
use super::soundness::{self, Soundness};
use super::stores::Stores;
use crate::commands::CA_SEALED_AS;
use crate::config::Installation;
use crate::exit::{Context as _, Exit, Failure};
use keybaton_api::ca::Authority;
use keybaton_api::ports::FailureKind;
use keybaton_api::serve::{Patience, Server};
use keybaton_api::server_cert::ServerCertificate;
use keybaton_api::{Context, Lifetimes};
use keybaton_engine::clock::HostClock;
use keybaton_engine::ports::clock::{Clock, Random};
use keybaton_engine::ports::journal::JournalError;
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_engine::ports::values::Values;
use keybaton_engine::{Engine, EngineError, Options, Parts};
use keybaton_protocol::command::Command;
use keybaton_protocol::fault::Blame;
use keybaton_protocol::ids::Incarnation;
use keybaton_runtime::Runtime;
use keybaton_runtime::cache::Cache;
use keybaton_runtime::catalog::{Catalog, Lock};
use keybaton_runtime::connection::Connections;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

/// Name under which the key of the compiled components is sealed in the store.
const CACHE_KEY: &str = "component-cache-key";

/// How often restored secrets are looked at until all are held, and the pause in between.
const HOLD_TRIES: u32 = 100;
const HOLD_PAUSE: Duration = Duration::from_millis(50);

/// A host that serves.
pub(crate) struct Running {
    server: Server,
    engine: Engine,
    /// Connections, and what is theirs while the host runs.
    live: Live,
    /// Looks through the store.
    watch: JoinHandle<()>,
    /// How many declarations are in force.
    pub(crate) secrets: usize,
    /// How many connections there are.
    pub(crate) connections: usize,
}

impl Running {
    /// Opens the store, resumes what was open, and listens.
    pub(crate) async fn start(installation: Installation) -> Result<Self, Failure> {
        let stores = Stores::open(&installation)?;
        let clock = Arc::new(HostClock::new(Arc::new(SystemClock)));
        let loaded = connections::read_dir(&installation.connections())?.connections;
        let link = Link::new(incarnation());
        let opened = connections::Opened::new(&loaded, &installation.dir, &link, &[])?;
        let ways = Arc::new(Connections::new());
        ways.replace(opened.connections);
        let lock = Lock::load(&installation.lock()).failed(Exit::Invalid, "cannot use keybaton.lock")?;
        let catalog = Catalog::new(&installation.components(), lock);
        let runtime = Runtime::new(catalog.clone(), ways.clone(), Arc::clone(&clock) as _)
            .failed(Exit::Failed, "cannot set up the sandbox; nothing was started")?;
        let runtime =
            Arc::new(runtime.with_cache(Cache::new(&installation.cache(), &*cache_key(&*stores.values).await?)));
        let engine = Engine::start(Parts {
            journal: Arc::clone(&stores.journal),
            freezes: Arc::clone(&stores.freezes),
            nonces: stores.nonces.clone(),
            rotator: runtime.clone(),
            clock: Arc::clone(&clock),
            random: Arc::new(SystemRandom),
            options: options(&installation),
        })
        .await
        .map_err(|error| Failure::new(exit_of(&error), "cannot start the engine").because(&error))?;
        link.open(engine.clone());
        hold_restored(&stores, &engine).await?;
        let count = loaded.len();
        let soundness = Arc::new(Soundness::default());
        let watch = tokio::spawn(soundness::watch(Arc::clone(&stores.inspect), engine.clone(), Arc::clone(&soundness)));
        let host = Arc::new(Host {
            force: Mutex::new(InForce { specs: Vec::new(), connections: loaded, catalog }),
            started_at: clock.wall(),
            soundness,
            installation,
            stores,
            engine: engine.clone(),
            runtime,
            clock,
        });
        let secrets = host.declare_stored().await.map_err(|error| undeclared(&error))?;
        link.declared();
        let mut logins = Logins::new(ways, engine.clone());
        logins.set(&opened.managed);
        let server = listen(&host).await?;
        let live = Live { host, link, logins, authorities: opened.authorities };
        Ok(Self { server, engine, live, watch, secrets, connections: count })
    }

    /// Reads the connection files again, and puts them in force if all are right.
    pub(crate) async fn reload(&mut self) {
        self.live.reload().await;
    }

    /// The address of the HTTPS API.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Stops accepting, then lets plugin calls in flight end and journal. Answers whether all did.
    pub(crate) async fn stop(mut self) -> bool {
        self.server.stop().await;
        self.watch.abort();
        let ended = self.engine.shutdown().await;
        self.live.close().await;
        ended
    }
}

/// This life of the host, as its connections name it where they are consumers.
fn incarnation() -> Incarnation {
    let mut drawn = [0; 16];
    SystemRandom.fill(&mut drawn);
    let text: String = drawn.iter().map(|byte| format!("{byte:02x}")).collect();
    text.parse().expect("hex digits are printable")
}

/// The key under which this host marks what it compiled; made at the first start, sealed in the store.
async fn cache_key(values: &dyn Values) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut key = Zeroizing::new([0; 32]);
    let known = values.get_sealed(CACHE_KEY).await.failed(Exit::Damaged, "cannot read the cache's key")?;
    match known.as_ref().map(SecretBytes::expose) {
        Some(bytes) if bytes.len() == key.len() => key.copy_from_slice(bytes),
        _ => {
            SystemRandom.fill(&mut *key);
            let kept = values.put_sealed(CACHE_KEY, SecretBytes::new(key.to_vec())).await;
            kept.failed(Exit::Failed, "cannot keep the cache's key")?;
        }
    }
    Ok(key)
}

/// What came out of a backup is held, secret by secret, until it has been compared with its target. A secret that was
/// open when it was copied wakes with the engine and holds itself: it refuses to be held twice, and is waited for.
async fn hold_restored(stores: &Stores, engine: &Engine) -> Result<(), Failure> {
    let epoch = stores.journal.epoch().await.failed(Exit::Damaged, "cannot read the epoch")?;
    let mut refused = None;
    for _ in 0..HOLD_TRIES {
        let pending = stores.backups.restored_pending().await.failed(Exit::Damaged, "cannot read what was restored")?;
        if pending.is_empty() {
            return Ok(());
        }
        for secret in pending {
            if let Err(error) = engine.command(&secret, Command::Restore { epoch }).await {
                refused = Some(error);
            }
        }
        tokio::time::sleep(HOLD_PAUSE).await;
    }
    let failure = Failure::new(Exit::Failed, "cannot hold all that was restored; nothing is served");
    Err(match &refused {
        Some(error) => failure.because(error),
        None => failure,
    })
}

/// What a failure of the engine to start says to the shell: damage has a code of its own.
fn exit_of(error: &EngineError) -> Exit {
    match error {
        EngineError::Journal(JournalError::Damaged { .. }) => Exit::Damaged,
        _ => Exit::Failed,
    }
}

/// Why the declarations that were in force are not any more.
fn undeclared(error: &keybaton_api::ports::Failure) -> Failure {
    let exit = if error.kind == FailureKind::Invalid { Exit::Invalid } else { Exit::Damaged };
    let failure = Failure::new(exit, "cannot put the stored declarations in force").blame(error.blame).because(error);
    match &error.help {
        Some(help) => failure.help(help),
        None => failure,
    }
}

fn options(installation: &Installation) -> Options {
    let limits = &installation.config.limits;
    Options { calls_at_once: limits.calls, shutdown_ms: limits.shutdown_ms, ..Options::default() }
}

async fn listen(host: &Arc<Host>) -> Result<Server, Failure> {
    let config = &host.installation.config;
    let stores = &host.stores;
    let sealed = stores.values.get_sealed(CA_SEALED_AS).await.failed(Exit::Damaged, "cannot read the CA")?;
    let sealed = sealed.ok_or_else(|| Failure::new(Exit::Damaged, "the store holds no CA").blame(Blame::Host))?;
    let authority = Authority::from_sealed(&sealed).failed(Exit::Damaged, "cannot use the CA")?;
    let (pin, ca_pem) = (authority.pin(), authority.pem().to_owned());
    let certificate = ServerCertificate::new(authority, config.sans.clone(), host.clock.wall())
        .failed(Exit::Invalid, "cannot make the server certificate")?;
    let context = Context::new(keybaton_api::Parts {
        engine: host.engine.clone(),
        identities: Arc::clone(&stores.identities),
        proposals: Arc::clone(&stores.proposals),
        administration: host.clone(),
        audit: Arc::clone(&stores.audit),
        clock: host.clock.clone(),
        pin,
        ca_pem,
        lifetimes: Lifetimes::default(),
    });
    let socket = host.installation.socket();
    Server::start(context, Arc::new(certificate), config.listen, Some(&socket), Patience::default())
        .await
        .failed(Exit::Failed, "cannot listen; nothing is served")
}
