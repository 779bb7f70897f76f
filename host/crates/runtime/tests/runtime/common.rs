//! What the runtime's tests share: a recorder in memory, the packed plugins, and requests with little to say.

use async_trait::async_trait;
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::rotator::{CallRecorder, CallRequest, Known, RecordError, RecordedReply, Until, Value};
use keybaton_engine::ports::secret::{Seal, SecretBytes};
use keybaton_protocol::event::HostAnswer;
use keybaton_protocol::ids::{Digest, Generation, Millis, Ordinal, Place, SealLabel};
use keybaton_protocol::step::CallKind;
use keybaton_runtime::Runtime;
use keybaton_runtime::catalog::{Catalog, Lock};
use keybaton_runtime::connection::{Access, Connection, ConnectionLimits, Connections, Target};
use keybaton_runtime::pack;
use keybaton_schedule::connection::{Addresses, Network, Pattern};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use wasmtime::MemoryCreator;

pub(crate) struct WallClock;

impl Clock for WallClock {
    fn wall(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Millis(u64::try_from(since.as_millis()).unwrap())
    }

    /// Nobody sets the clock of a machine that runs tests.
    fn elapsed_ms(&self) -> u64 {
        self.wall().0
    }
}

/// One host call on record.
pub(crate) struct Recorded {
    pub(crate) request: Digest,
    pub(crate) answer: HostAnswer,
    pub(crate) body: Vec<u8>,
    pub(crate) seals: Vec<Seal>,
    pub(crate) until: Until,
}

/// A journal in memory.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) calls: Mutex<BTreeMap<u32, Recorded>>,
    pub(crate) sent: Mutex<Vec<String>>,
    /// From this ordinal on, the journal takes nothing.
    pub(crate) fails_from: Mutex<Option<u32>>,
}

impl Memory {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    fn takes(&self, ordinal: Ordinal) -> Result<(), RecordError> {
        match *self.fails_from.lock().unwrap() {
            Some(from) if ordinal.0 >= from => Err(RecordError::Unavailable("a test says so".to_owned())),
            _ => Ok(()),
        }
    }

    /// Everything that is kept in clear.
    pub(crate) fn clear_text(&self) -> String {
        let calls = self.calls.lock().unwrap();
        let bodies = calls.values().map(|call| String::from_utf8_lossy(&call.body).into_owned());
        bodies.chain(self.sent.lock().unwrap().iter().cloned()).collect::<Vec<_>>().join("\n")
    }

    /// How long the guest waited for answers that yielded a secret.
    pub(crate) fn waited(&self) -> Vec<Until> {
        let calls = self.calls.lock().unwrap();
        calls.values().filter(|call| !call.seals.is_empty()).map(|call| call.until).collect()
    }

    pub(crate) fn sealed(&self, label: &SealLabel) -> SecretBytes {
        let calls = self.calls.lock().unwrap();
        let seal = calls.values().flat_map(|call| &call.seals).find(|seal| &seal.label == label);
        seal.expect("the label is sealed").bytes.duplicate()
    }
}

#[async_trait]
impl CallRecorder for Memory {
    async fn recorded(&self, ordinal: Ordinal, request: Digest) -> Result<Option<RecordedReply>, RecordError> {
        let calls = self.calls.lock().unwrap();
        let Some(recorded) = calls.get(&ordinal.0) else { return Ok(None) };
        if recorded.request != request {
            return Err(RecordError::Mismatch { ordinal });
        }
        let seals = recorded.seals.iter();
        let seals = seals.map(|seal| Seal { label: seal.label.clone(), bytes: seal.bytes.duplicate() }).collect();
        Ok(Some(RecordedReply { body: recorded.body.clone(), seals }))
    }

    async fn sent(&self, ordinal: Ordinal, _: Digest, _: u64, summary: &str) -> Result<(), RecordError> {
        self.takes(ordinal)?;
        self.sent.lock().unwrap().push(summary.to_owned());
        Ok(())
    }

    async fn answered(
        &self,
        ordinal: Ordinal,
        request: Digest,
        answer: HostAnswer,
        body: Vec<u8>,
        seals: Vec<Seal>,
        until: Until,
    ) -> Result<(), RecordError> {
        self.takes(ordinal)?;
        self.calls.lock().unwrap().insert(ordinal.0, Recorded { request, answer, body, seals, until });
        Ok(())
    }
}

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// A plugin or guest, packed from what `make plugins` built.
pub(crate) fn component(folder: &str) -> Vec<u8> {
    let name = folder.rsplit('/').next().unwrap().replace('-', "_");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let module = target.join(format!("plugins/wasm32-unknown-unknown/release/{name}.wasm"));
    let module =
        std::fs::read(&module).unwrap_or_else(|error| panic!("{}: {error}; run `make plugins`", module.display()));
    let manifest = std::fs::read_to_string(root().join(folder).join("plugin.toml")).unwrap();
    pack::encode(&module, &manifest).unwrap()
}

/// A runtime with one approved plugin and one connection.
pub(crate) struct Bench {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) digest: Digest,
    pub(crate) name: String,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new(plugin: &str, connection: Connection) -> Self {
        let bench = Self::unconnected(plugin);
        bench.runtime.connections().replace(vec![connection]);
        bench
    }

    pub(crate) fn unconnected(plugin: &str) -> Self {
        Self::of(plugin, |catalog| Runtime::new(catalog, Arc::new(Connections::new()), Arc::new(WallClock)).unwrap())
    }

    /// A runtime whose guests' memories can be looked into.
    pub(crate) fn watched(plugin: &str, memories: Arc<dyn MemoryCreator>) -> Self {
        Self::of(plugin, |catalog| {
            Runtime::with_memories(memories, catalog, Arc::new(Connections::new()), Arc::new(WallClock)).unwrap()
        })
    }

    fn of(plugin: &str, runtime: impl FnOnce(Catalog) -> Runtime) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut catalog = Catalog::new(folder.path(), Lock::default());
        let entry = catalog.approve(&component(plugin), None).unwrap();
        let (digest, name) = (entry.digest, entry.name.to_string());
        Self { runtime: Arc::new(runtime(catalog)), digest, name, _folder: folder }
    }

    pub(crate) fn request(&self, kind: CallKind, generation: u32, settings: &serde_json::Value) -> CallRequest {
        CallRequest {
            secret: "team/app".parse().unwrap(),
            rotation: None,
            plugin: self.name.parse().unwrap(),
            component: self.digest,
            kind,
            generation: Generation(generation),
            id: None,
            operation: format!("team/app/{generation}/{kind}").parse().unwrap(),
            attempt: 1,
            deadline: WallClock.wall().plus(20_000),
            target: "test".to_owned(),
            place: Place::only(),
            settings: settings.to_string(),
            known: Vec::new(),
            values: Vec::new(),
            offered: Vec::new(),
        }
    }
}

/// Loopback addresses within these networks; without any, public ones only.
pub(crate) fn addresses(networks: &[&str]) -> Arc<Addresses> {
    let networks: Vec<Network> = networks.iter().map(|text| Network::parse(text).unwrap()).collect();
    let loopback = !networks.is_empty();
    Arc::new(Addresses { networks, private: false, loopback })
}

pub(crate) fn connection(name: &str, plugin: &str, identities: &[&str], target: Target) -> Connection {
    Connection {
        name: name.parse().unwrap(),
        access: Access {
            namespaces: vec![Pattern::parse("team").unwrap()],
            plugins: vec![Pattern::parse(plugin).unwrap()],
            identities: identities.iter().map(|text| Pattern::parse(text).unwrap()).collect(),
        },
        limits: ConnectionLimits { timeout_ms: 5_000, ..ConnectionLimits::default() },
        target,
    }
}

pub(crate) fn known(generation: u32, role: &'static str, id: Option<&str>) -> Known {
    Known {
        generation: Generation(generation),
        id: id.map(|id| id.parse().unwrap()),
        slot: None,
        role,
        attributes: Vec::new(),
        facts: Vec::new(),
    }
}

pub(crate) fn value(generation: u32, field: &str, label: &str, bytes: &[u8]) -> Value {
    Value {
        generation: Generation(generation),
        field: field.to_owned(),
        label: label.parse().unwrap(),
        bytes: SecretBytes::new(bytes.to_vec()),
    }
}
