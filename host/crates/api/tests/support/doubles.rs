//! The ports that the API needs, in memory: identities, audit, an administration that knows who declares whom, and a clock to shift.

use async_trait::async_trait;
use keybaton_api::model::{
    ApplyReport, ApproveRequest, BackupReport, ConnectionTest, ConnectionView, FileInput, Overview, PlanReport,
    PluginState, PluginView,
};
use keybaton_api::ports::{Administration, ApplyOrder, Caller, Dependants, Failure, FailureKind};
use keybaton_engine::Proposal;
use keybaton_engine::declared::Declared;
use keybaton_engine::ports::audit::{AuditEntry, AuditError, AuditLog, AuditReport, Audited};
use keybaton_engine::ports::clock::{Clock, Random};
use keybaton_engine::ports::identities::{ConsumerId, Enrolment, Identities, Identity, Taken, TokenHash};
use keybaton_engine::ports::proposals::Proposals;
use keybaton_engine::ports::storage::StorageError;
use keybaton_protocol::ids::{Digest, Millis, Replica, SecretName};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The machine's clock, what a test lets pass beside it, and by how much it sets the wall clock.
#[derive(Default)]
pub struct ShiftedClock(AtomicU64, AtomicI64);

impl ShiftedClock {
    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }

    pub fn step(&self, by_ms: i64) {
        self.1.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for ShiftedClock {
    fn wall(&self) -> Millis {
        Millis(self.elapsed_ms()).shifted(self.1.load(Ordering::Relaxed))
    }

    /// Nobody sets the clock of a machine that runs tests.
    fn elapsed_ms(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        u64::try_from(now).unwrap() + self.0.load(Ordering::Relaxed)
    }
}

/// What waits for an approval; it outlives a host.
#[derive(Default)]
pub struct MemoryProposals(Mutex<BTreeMap<String, Proposal>>);

#[async_trait]
impl Proposals for MemoryProposals {
    async fn propose(&self, id: &str, proposal: &Proposal) -> Result<(), StorageError> {
        self.0.lock().unwrap().insert(id.to_owned(), proposal.clone());
        Ok(())
    }

    async fn proposed(&self) -> Result<Vec<(String, Proposal)>, StorageError> {
        Ok(self.0.lock().unwrap().clone().into_iter().collect())
    }

    async fn decide(&self, id: &str) -> Result<Option<Proposal>, StorageError> {
        Ok(self.0.lock().unwrap().remove(id))
    }
}

/// The operating system's randomness.
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, bytes: &mut [u8]) {
        use std::io::Read;
        std::fs::File::open("/dev/urandom").unwrap().read_exact(bytes).unwrap();
    }
}

#[derive(Default)]
pub struct MemoryIdentities {
    identities: Mutex<BTreeMap<String, Identity>>,
    enrolments: Mutex<BTreeMap<String, (Enrolment, bool)>>,
    /// The store does not answer.
    pub broken: AtomicBool,
}

impl MemoryIdentities {
    fn answers(&self) -> Result<(), StorageError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(StorageError::Unavailable { detail: "it does not answer".to_owned() });
        }
        Ok(())
    }

    /// Binds an identity and the first of its line, unless one of them is bound, or `anew`.
    fn stand(&self, id: &str, replica: &Replica, anew: bool) -> Option<Replica> {
        let mut all = self.identities.lock().unwrap();
        let first = all.get(id)?.line.clone().unwrap_or_else(|| id.to_owned());
        let bound = [id, &first].into_iter().find_map(|it| all.get(it)?.replica.clone()).filter(|_| !anew);
        let bound = bound.unwrap_or_else(|| replica.clone());
        for it in [id, &first] {
            all.get_mut(it)?.replica = Some(bound.clone());
        }
        Some(bound)
    }

    pub fn all(&self) -> Vec<Identity> {
        self.identities.lock().unwrap().values().cloned().collect()
    }
}

#[async_trait]
impl Identities for MemoryIdentities {
    async fn put(&self, identity: Identity) -> Result<(), StorageError> {
        self.answers()?;
        self.identities.lock().unwrap().insert(identity.id.clone(), identity);
        Ok(())
    }

    async fn find(&self, id: &str) -> Result<Option<Identity>, StorageError> {
        self.answers()?;
        Ok(self.identities.lock().unwrap().get(id).cloned())
    }

    async fn list(&self) -> Result<Vec<Identity>, StorageError> {
        Ok(self.all().into_iter().filter(|one| one.revoked_at.is_none()).collect())
    }

    async fn revoke(&self, id: &str, at: Millis) -> Result<bool, StorageError> {
        let mut all = self.identities.lock().unwrap();
        let Some(one) = all.get_mut(id).filter(|one| one.revoked_at.is_none()) else { return Ok(false) };
        one.revoked_at = Some(at);
        Ok(true)
    }

    async fn bind(&self, id: &str, replica: &Replica) -> Result<Option<Replica>, StorageError> {
        self.answers()?;
        Ok(self.stand(id, replica, false))
    }

    async fn rebind(&self, id: &str, replica: &Replica) -> Result<bool, StorageError> {
        Ok(self.stand(id, replica, true).is_some())
    }

    async fn put_enrolment(&self, enrolment: Enrolment) -> Result<(), StorageError> {
        self.enrolments.lock().unwrap().insert(enrolment.id.clone(), (enrolment, false));
        Ok(())
    }

    async fn take_enrolment(&self, id: &str, hash: &TokenHash, date: Millis) -> Result<Taken, StorageError> {
        let mut all = self.enrolments.lock().unwrap();
        Ok(match all.get_mut(id).filter(|(one, _)| one.hash.is(hash)) {
            None => Taken::Unknown,
            Some((one, true)) => Taken::Used(one.clone()),
            Some((one, _)) if !one.is_good(date) => Taken::Expired(one.clone()),
            Some((one, used)) => {
                *used = true;
                Taken::Granted(one.clone())
            }
        })
    }

    async fn enrolments(&self) -> Result<Vec<Enrolment>, StorageError> {
        let all = self.enrolments.lock().unwrap();
        Ok(all.values().filter(|(_, used)| !used).map(|(one, _)| one.clone()).collect())
    }

    async fn drop_enrolment(&self, id: &str) -> Result<bool, StorageError> {
        Ok(self.enrolments.lock().unwrap().remove(id).is_some_and(|(_, used)| !used))
    }
}

#[derive(Default)]
pub struct MemoryAuditor {
    entries: Mutex<Vec<AuditEntry>>,
    /// The log takes nothing.
    pub full: AtomicBool,
}

impl MemoryAuditor {
    pub fn entries(&self) -> Vec<AuditEntry> {
        self.entries.lock().unwrap().clone()
    }
}

#[async_trait]
impl AuditLog for MemoryAuditor {
    async fn record(&self, entry: AuditEntry) -> Result<u64, StorageError> {
        if self.full.load(Ordering::Relaxed) {
            return Err(StorageError::Unavailable { detail: "the disk is full".to_owned() });
        }
        let mut entries = self.entries.lock().unwrap();
        entries.push(entry);
        Ok(entries.len() as u64)
    }

    async fn prove(&self) -> Result<AuditReport, AuditError> {
        Ok(AuditReport { entries: self.entries().len() as u64, head: Digest([0; 32]) })
    }

    async fn entries(&self, after: u64, limit: usize) -> Result<Vec<Audited>, AuditError> {
        let numbered = (1..).zip(self.entries()).map(|(seq, entry)| Audited { seq, entry });
        Ok(numbered.skip(usize::try_from(after).unwrap()).take(limit).collect())
    }
}

/// Knows which secrets declare which consumer; the rest answers something plausible.
pub struct Roster(Vec<(SecretName, Vec<String>)>);

impl Roster {
    pub fn new(declared: &[Declared]) -> Self {
        let consumers = |one: &Declared| one.policy.consumers.iter().map(|it| it.name.to_string()).collect();
        Self(declared.iter().map(|one| (one.name.clone(), consumers(one))).collect())
    }
}

fn plugin(name: &str, state: PluginState) -> PluginView {
    PluginView {
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        contract: "0.1.0".to_owned(),
        digest: format!("sha256:{}", "0".repeat(64)),
        state,
        summary: "scripted".to_owned(),
        asks: Vec::new(),
        grants: Vec::new(),
        differences: Vec::new(),
        signer: None,
        used_by: 1,
    }
}

#[async_trait]
impl Administration for Roster {
    async fn plan(&self, _: Vec<FileInput>, _: bool, _: &Caller) -> Result<PlanReport, Failure> {
        Ok(PlanReport::default())
    }

    async fn apply(&self, order: ApplyOrder, _: &Caller) -> Result<ApplyReport, Failure> {
        if order.files.is_empty() {
            return Err(Failure::new(FailureKind::Invalid, "there is no file").help("name at least one"));
        }
        Ok(ApplyReport { applied: true, refused: None, plan: PlanReport::default() })
    }

    async fn secrets_of(&self, consumer: &ConsumerId) -> Result<Vec<SecretName>, Failure> {
        let declares = |(secret, consumers): &&(SecretName, Vec<String>)| {
            *secret.namespace() == consumer.namespace && consumers.iter().any(|it| it == consumer.name.as_str())
        };
        Ok(self.0.iter().filter(declares).map(|(secret, _)| secret.clone()).collect())
    }

    async fn dependants_of(&self, secret: &SecretName) -> Result<Dependants, Failure> {
        let connections = vec![format!("logs-in-with-{}", secret.name())];
        Ok(Dependants { connections, secrets: vec!["payments/leaf".parse().unwrap()] })
    }

    async fn plugins(&self) -> Result<Vec<PluginView>, Failure> {
        Ok(vec![plugin("scripted", PluginState::Approved)])
    }

    async fn add_plugin(&self, _: Vec<u8>, _: Option<Vec<u8>>) -> Result<PluginView, Failure> {
        Ok(plugin("new", PluginState::Added))
    }

    async fn approve_plugin(&self, name: &str, _: ApproveRequest, _: &Caller) -> Result<PluginView, Failure> {
        Ok(plugin(name, PluginState::Approved))
    }

    async fn connections(&self) -> Result<Vec<ConnectionView>, Failure> {
        Ok(Vec::new())
    }

    async fn test_connection(&self, name: &str) -> Result<ConnectionTest, Failure> {
        Ok(ConnectionTest { name: name.to_owned(), works: true, detail: String::new(), took_ms: 1 })
    }

    async fn backup(&self, to: &str) -> Result<BackupReport, Failure> {
        Ok(BackupReport { to: to.to_owned(), bytes: 1, included: Vec::new(), not_included: Vec::new() })
    }

    async fn overview(&self) -> Result<Overview, Failure> {
        Ok(Overview {
            version: "0.1.0".to_owned(),
            installation: "test".to_owned(),
            epoch: 0,
            started_at: 0,
            standings: BTreeMap::new(),
            oldest_overdue: None,
            clock_steps: Vec::new(),
            plugins: 1,
            connections: 1,
        })
    }

    async fn ready(&self) -> Result<(), Failure> {
        Ok(())
    }
}
