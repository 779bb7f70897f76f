//! What these tests share: packed components, one runtime with one plugin and one connection, calls in a row with the
//! generations kept between them as the engine keeps them.

use async_trait::async_trait;
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::rotator::{
    CallRecorder, CallRequest, Finding, Known, RecordError, RecordedReply, Rotator, Until, Value,
};
use keybaton_engine::ports::secret::{Seal, SecretBytes};
use keybaton_protocol::event::{HostAnswer, Live, Minted, Outcome};
use keybaton_protocol::fault::Fault;
use keybaton_protocol::ids::{Digest, Generation, Millis, Ordinal, Place, SealLabel, TargetId};
use keybaton_protocol::step::CallKind;
use keybaton_runtime::Runtime;
use keybaton_runtime::catalog::{Catalog, Lock};
use keybaton_runtime::connection::{Access, Connection, ConnectionLimits, Connections, Target};
use keybaton_runtime::pack;
use keybaton_schedule::connection::Pattern;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// Time for one plugin call, in milliseconds.
const CALL_MS: u64 = 20_000;

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

/// A journal in memory, for one call; it remembers what was answered and answers nothing from memory.
#[derive(Default)]
pub(crate) struct Record {
    bodies: Mutex<Vec<(String, Until)>>,
    seals: Mutex<BTreeMap<String, SecretBytes>>,
    /// Mutating calls that left.
    pub(crate) sent: Mutex<Vec<String>>,
}

impl Record {
    /// Everything that a journal would keep in clear.
    pub(crate) fn in_clear(&self) -> String {
        let bodies = self.bodies.lock().unwrap().iter().map(|(body, _)| body.clone()).collect::<Vec<_>>();
        [bodies.join("\n"), self.sent.lock().unwrap().join("\n")].join("\n")
    }

    /// How long the guest waited for answers that say this, in their order.
    pub(crate) fn waited(&self, with: &str) -> Vec<Until> {
        let bodies = self.bodies.lock().unwrap();
        bodies.iter().filter(|(body, _)| body.contains(with)).map(|(_, until)| *until).collect()
    }
}

#[async_trait]
impl CallRecorder for Record {
    async fn recorded(&self, _: Ordinal, _: Digest) -> Result<Option<RecordedReply>, RecordError> {
        Ok(None)
    }

    async fn sent(&self, _: Ordinal, _: Digest, _: u64, summary: &str) -> Result<(), RecordError> {
        self.sent.lock().unwrap().push(summary.to_owned());
        Ok(())
    }

    async fn answered(
        &self,
        _: Ordinal,
        _: Digest,
        _: HostAnswer,
        body: Vec<u8>,
        seals: Vec<Seal>,
        until: Until,
    ) -> Result<(), RecordError> {
        self.bodies.lock().unwrap().push((String::from_utf8_lossy(&body).into_owned(), until));
        let mut kept = self.seals.lock().unwrap();
        kept.extend(seals.into_iter().map(|seal| (seal.label.to_string(), seal.bytes)));
        Ok(())
    }
}

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A component out of what `make plugins` built, whether it agrees with its manifest or not.
pub(crate) fn component(folder: &str) -> Vec<u8> {
    let name = folder.rsplit('/').next().unwrap().replace('-', "_");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let module = target.join(format!("plugins/wasm32-unknown-unknown/release/{name}.wasm"));
    let module = std::fs::read(&module).unwrap_or_else(|error| {
        panic!("{}: {error}; `make plugins` builds it", module.display());
    });
    let manifest = std::fs::read_to_string(root().join(folder).join("plugin.toml")).unwrap();
    pack::encode(&module, &manifest).unwrap()
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

/// A generation as the engine knows it.
struct Kept {
    role: &'static str,
    slot: Option<String>,
    id: Option<TargetId>,
    attributes: Vec<(String, String)>,
    facts: Vec<(String, String)>,
    values: Vec<(String, SealLabel, Vec<u8>)>,
}

/// One plugin, one connection, one secret.
pub(crate) struct Rig {
    pub(crate) runtime: Runtime,
    pub(crate) plugin: String,
    pub(crate) settings: serde_json::Value,
    digest: Digest,
    generations: BTreeMap<u32, Kept>,
    _folder: tempfile::TempDir,
}

impl Rig {
    pub(crate) fn new(folder: &str, target: Target, identities: &[&str], settings: serde_json::Value) -> Self {
        let kept = tempfile::tempdir().unwrap();
        let mut catalog = Catalog::new(kept.path(), Lock::default());
        let entry = catalog.approve(&component(folder), None).unwrap();
        let (digest, plugin) = (entry.digest, entry.name.to_string());
        let connections = Arc::new(Connections::new());
        connections.replace(vec![Connection {
            name: "main".parse().unwrap(),
            access: Access {
                namespaces: vec![pattern("team")],
                plugins: vec![pattern(&plugin)],
                identities: identities.iter().map(|text| pattern(text)).collect(),
            },
            limits: ConnectionLimits { timeout_ms: 5_000, ..ConnectionLimits::default() },
            target,
        }]);
        let runtime = Runtime::new(catalog, connections, Arc::new(WallClock)).unwrap();
        Self { runtime, plugin, settings, digest, generations: BTreeMap::new(), _folder: kept }
    }

    /// Tells the plugin of a generation from here on.
    pub(crate) fn know(&mut self, number: u32, role: &'static str, slot: Option<&str>) {
        let kept = Kept {
            role,
            slot: slot.map(str::to_owned),
            id: None,
            attributes: Vec::new(),
            facts: Vec::new(),
            values: Vec::new(),
        };
        self.generations.insert(number, kept);
    }

    /// Supplies a value, as an import does.
    pub(crate) fn supply(&mut self, number: u32, field: &str, value: &str) {
        let label = format!("imported-{number}").parse().unwrap();
        let generation = self.generations.get_mut(&number).unwrap();
        generation.values.push((field.to_owned(), label, value.as_bytes().to_vec()));
    }

    pub(crate) fn role(&mut self, number: u32, role: &'static str) {
        self.generations.get_mut(&number).unwrap().role = role;
    }

    pub(crate) fn forget(&mut self, number: u32) {
        self.generations.remove(&number);
    }

    /// The clear value, as a consumer would get it.
    pub(crate) fn value(&self, number: u32) -> String {
        String::from_utf8(self.generations[&number].values[0].2.clone()).unwrap()
    }

    pub(crate) fn id(&self, number: u32) -> String {
        self.generations[&number].id.as_ref().unwrap().to_string()
    }

    pub(crate) fn attribute(&self, number: u32, name: &str) -> Option<String> {
        let attributes = &self.generations[&number].attributes;
        attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    /// The request as the engine makes it: `verify` gets the values of its generation alone.
    pub(crate) fn request(&self, kind: CallKind, number: u32) -> CallRequest {
        let known = |(number, kept): (&u32, &Kept)| Known {
            generation: Generation(*number),
            id: kept.id.clone(),
            slot: kept.slot.clone(),
            role: kept.role,
            attributes: kept.attributes.clone(),
            facts: kept.facts.clone(),
        };
        let given = |of: u32| kind != CallKind::Verify || of == number;
        let values = self.generations.iter().filter(|(of, _)| given(**of)).flat_map(|(of, kept)| {
            kept.values.iter().map(|(field, label, bytes)| Value {
                generation: Generation(*of),
                field: field.clone(),
                label: label.clone(),
                bytes: SecretBytes::new(bytes.clone()),
            })
        });
        CallRequest {
            secret: "team/app".parse().unwrap(),
            rotation: None,
            plugin: self.plugin.parse().unwrap(),
            component: self.digest,
            kind,
            generation: Generation(number),
            id: self.generations.get(&number).and_then(|kept| kept.id.clone()),
            operation: format!("team/app/{number}/{kind}").parse().unwrap(),
            attempt: 1,
            deadline: WallClock.wall().plus(CALL_MS),
            target: "main".to_owned(),
            place: Place::only(),
            settings: self.settings.to_string(),
            known: self.generations.iter().map(known).collect(),
            values: values.collect(),
            offered: Vec::new(),
        }
    }

    pub(crate) async fn call(&self, kind: CallKind, number: u32) -> (Outcome, Arc<Record>) {
        let record = Arc::<Record>::default();
        let recorder = Arc::clone(&record);
        (self.runtime.call(self.request(kind, number), recorder).await, record)
    }

    pub(crate) async fn preflight(&self, number: u32) -> Result<Vec<Finding>, Fault> {
        self.runtime.preflight(self.request(CallKind::Observe, number)).await
    }

    /// Mints, and keeps what came.
    pub(crate) async fn create(&mut self, number: u32) -> Result<Minted, Fault> {
        let (outcome, record) = self.call(CallKind::Create, number).await;
        let minted = match outcome {
            Outcome::Created(minted) => minted,
            Outcome::Failed(fault) => return Err(fault),
            other => panic!("{other:?}"),
        };
        let kept = self.generations.get_mut(&number).unwrap();
        let seals = record.seals.lock().unwrap();
        let value = |(field, label): &(String, SealLabel)| {
            (field.clone(), label.clone(), seals[label.as_str()].expose().to_vec())
        };
        kept.values = minted.fields.iter().map(value).collect();
        kept.id.clone_from(&minted.id);
        kept.attributes.clone_from(&minted.attributes);
        kept.facts.clone_from(&minted.facts);
        let clear = record.in_clear();
        for (_, _, bytes) in &kept.values {
            assert!(!clear.contains(std::str::from_utf8(bytes).unwrap()), "the record holds a secret");
        }
        Ok(minted)
    }

    /// A mutating step, and its facts merged into the generation's; the newest of each name counts.
    pub(crate) async fn done(&mut self, kind: CallKind, number: u32) -> Vec<(String, String)> {
        let (outcome, _) = self.call(kind, number).await;
        let Outcome::Done(facts) = outcome else { panic!("{kind} of {number}: {outcome:?}") };
        if let Some(kept) = self.generations.get_mut(&number) {
            kept.facts.retain(|(known, _)| facts.iter().all(|(name, _)| name != known));
            kept.facts.extend(facts.clone());
        }
        facts
    }

    pub(crate) async fn fault(&self, kind: CallKind, number: u32) -> Fault {
        match self.call(kind, number).await.0 {
            Outcome::Failed(fault) => fault,
            other => panic!("{kind} of {number}: {other:?}"),
        }
    }

    pub(crate) async fn works(&self, number: u32) -> bool {
        match self.call(CallKind::Verify, number).await.0 {
            Outcome::Works => true,
            Outcome::Refused(_) => false,
            other => panic!("verify of {number}: {other:?}"),
        }
    }

    pub(crate) async fn observe(&self, number: u32) -> Vec<Live> {
        match self.call(CallKind::Observe, number).await.0 {
            Outcome::Observed { live, .. } => live,
            other => panic!("observe: {other:?}"),
        }
    }

    /// What is observed, as `id active uses`.
    pub(crate) async fn seen(&self) -> Vec<String> {
        let shown = |live: Live| {
            let uses = live.live_uses.map_or_else(|| "-".to_owned(), |uses| uses.to_string());
            format!("{} {} {uses}", live.id, if live.active { "active" } else { "inactive" })
        };
        self.observe(1).await.into_iter().map(shown).collect()
    }
}
