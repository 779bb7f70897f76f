//! A target and the plugin for it, scripted by settings: every overlap model, host- or target-minted. A test double.
//!
//! Credentials are real here: a value works or does not, whatever the journal believes.

use async_trait::async_trait;
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::rotator::{
    CallRecorder, CallRequest, Description, EXPIRES_FACT, Finding, Profiled, RecordError, Rotator, Until,
};
use keybaton_engine::ports::secret::{Seal, SecretBytes};
use keybaton_protocol::event::{HostAnswer, Live, Minted, Outcome};
use keybaton_protocol::fault::{Blame, FailureClass, Fault};
use keybaton_protocol::ids::{Digest, Millis, Ordinal, Place, PluginName, Slot};
use keybaton_protocol::profile::{Minter, Overlap, Profile};
use keybaton_protocol::step::CallKind;
use serde_json::Value as Json;
use std::sync::{Arc, Mutex};

/// A credential as the target has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cred {
    /// Secrets do not see each other's credentials, whatever they are called.
    pub secret: String,
    pub place: Place,
    pub id: String,
    pub slot: Option<String>,
    pub value: Vec<u8>,
    pub active: bool,
    pub created_at: Millis,
}

#[derive(Default)]
struct State {
    creds: Vec<Cred>,
    minted: u64,
    /// What consumers present; each inner list is one replica's choice, of which one must work.
    presented: Vec<Vec<Vec<u8>>>,
    /// Times at which a consumer was left without a working credential.
    outages: Vec<String>,
    /// Every value there ever was, for looking after leaks.
    values: Vec<Vec<u8>>,
    /// Secrets whose calls fail, by the beginning of their names.
    failing: Vec<String>,
    /// What a look before a start comes to, where it is not well.
    obstacle: Option<Obstacle>,
    /// What was done here, in order.
    effects: Vec<String>,
    /// The component approved now, where it is another than at first; and whether it says other things of the target.
    approved: Option<(Digest, bool)>,
}

/// What a look before a start may find.
#[derive(Debug, Clone)]
pub enum Obstacle {
    /// Something that a person has to put right.
    Finding(&'static str),
    /// The look itself fails: class, code.
    Fault(FailureClass, &'static str),
}

/// The target.
pub struct Target {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

impl Target {
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), clock })
    }

    /// What is there, by id.
    pub fn census(&self) -> Vec<Cred> {
        let mut creds = self.state.lock().unwrap().creds.clone();
        creds.sort_by(|a, b| (&a.place, &a.id).cmp(&(&b.place, &b.id)));
        creds
    }

    /// A credential that keybaton did not make, unless it is there.
    pub fn before(&self, id: &str, slot: Option<&str>, value: &[u8]) {
        let created_at = self.clock.wall();
        let cred = Cred {
            secret: "payments/db".to_owned(),
            place: Place::only(),
            id: id.to_owned(),
            slot: slot.map(ToOwned::to_owned),
            value: value.to_vec(),
            active: true,
            created_at,
        };
        let mut state = self.state.lock().unwrap();
        if state.creds.iter().all(|cred| cred.id != id) {
            state.creds.push(cred);
        }
    }

    /// What consumers present from now on.
    pub fn present(&self, values: Vec<Vec<Vec<u8>>>) {
        let mut state = self.state.lock().unwrap();
        state.presented = values;
        state.check("after a consumer's move");
    }

    /// What looks before a start come to from now on.
    pub fn obstruct(&self, obstacle: Option<Obstacle>) {
        self.state.lock().unwrap().obstacle = obstacle;
    }

    pub fn fail(&self, prefix: &str) {
        self.state.lock().unwrap().failing.push(prefix.to_owned());
    }

    /// Approves another component.
    pub fn approve(&self, component: Digest, other_profile: bool) {
        self.state.lock().unwrap().approved = Some((component, other_profile));
    }

    fn fails(&self, secret: &str) -> bool {
        self.state.lock().unwrap().failing.iter().any(|prefix| secret.starts_with(prefix))
    }

    pub fn effects(&self) -> Vec<String> {
        self.state.lock().unwrap().effects.clone()
    }

    pub fn outages(&self) -> Vec<String> {
        self.state.lock().unwrap().outages.clone()
    }

    pub fn values(&self) -> Vec<Vec<u8>> {
        self.state.lock().unwrap().values.clone()
    }

    pub fn accepts(&self, place: &Place, value: &[u8]) -> bool {
        self.state.lock().unwrap().accepts(place, value)
    }

    fn change(&self, what: &str, with: impl FnOnce(&mut State, Millis)) {
        let mut state = self.state.lock().unwrap();
        with(&mut state, self.clock.wall());
        state.effects.push(what.to_owned());
        state.check(what);
    }
}

impl State {
    fn accepts(&self, place: &Place, value: &[u8]) -> bool {
        self.creds.iter().any(|cred| cred.place == *place && cred.active && cred.value == value)
    }

    /// Every consumer must be able to log in wherever there is anything at all.
    fn check(&mut self, what: &str) {
        let places: std::collections::BTreeSet<_> = self.creds.iter().map(|cred| cred.place.clone()).collect();
        for place in places {
            for (replica, held) in self.presented.iter().enumerate() {
                if !held.is_empty() && !held.iter().any(|value| self.accepts(&place, value)) {
                    self.outages.push(format!("replica {replica} can't log in at {place} {what}"));
                }
            }
        }
    }
}

/// The plugin.
pub struct Scripted {
    pub target: Arc<Target>,
}

fn settings(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

fn flag(settings: &Json, name: &str) -> bool {
    settings[name].as_bool().unwrap_or(false)
}

fn mints(settings: &Json) -> bool {
    settings["minter"] == "target"
}

/// What the settings script as claimed.
fn claims(text: &str) -> Vec<String> {
    let claims = settings(text)["claims"].as_array().cloned().unwrap_or_default();
    claims.iter().map(|claim| claim.as_str().unwrap().to_owned()).collect()
}

fn slots(settings: &Json) -> Vec<Slot> {
    let names = settings["slots"].as_array();
    names.map_or_else(Vec::new, |names| names.iter().map(|it| it.as_str().unwrap().parse().unwrap()).collect())
}

/// The profile that the settings script.
pub fn profile(text: &str) -> Profile {
    let settings = settings(text);
    Profile {
        overlap: match settings["overlap"].as_str().unwrap() {
            "native" => Overlap::Native(2),
            "alternate" => Overlap::Alternate(slots(&settings)),
            "replace" => Overlap::Replace,
            "none" => Overlap::None,
            other => panic!("no overlap {other}"),
        },
        minter: if mints(&settings) { Minter::Target } else { Minter::Host },
        soft_disable: flag(&settings, "soft_disable"),
        reinstall: !mints(&settings),
        promotes: flag(&settings, "promotes"),
        usage: None,
        settle_ms: settings["settle_ms"].as_u64().unwrap_or(0),
        replaces: flag(&settings, "replaces"),
    }
}

/// Why a call could not go on.
enum Stop {
    Record(RecordError),
}

impl From<RecordError> for Stop {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

struct Call<'c> {
    target: &'c Target,
    request: CallRequest,
    settings: Json,
    recorder: Arc<dyn CallRecorder>,
}

#[async_trait]
impl Rotator for Scripted {
    async fn describe(&self, plugin: &PluginName) -> Result<Description, Fault> {
        Ok(Description {
            name: plugin.clone(),
            component: Digest([7; 32]),
            settings_schema: "{}".to_owned(),
            summary: "scripted".to_owned(),
        })
    }

    async fn profile(&self, _: &PluginName, settings: &str) -> Result<Profiled, Fault> {
        let (component, other) = self.target.state.lock().unwrap().approved.unwrap_or((Digest([7; 32]), false));
        let mut profile = profile(settings);
        profile.settle_ms += u64::from(other);
        Ok(Profiled { profile, component, claims: claims(settings) })
    }

    async fn validate(&self, _: &PluginName, text: &str) -> Result<Vec<Finding>, Fault> {
        let bad = flag(&settings(text), "bad");
        let finding = Finding { path: "/bad".to_owned(), message: "is bad".to_owned(), fatal: true };
        Ok(if bad { vec![finding] } else { Vec::new() })
    }

    /// Says what it was told of, with which values, and what stands in the way.
    async fn preflight(&self, request: CallRequest) -> Result<Vec<Finding>, Fault> {
        let held = |number| request.values.iter().any(|value| value.generation == number);
        let told = request.known.iter().map(|it| {
            let held = if held(it.generation) { "" } else { ", without its value" };
            format!("generation {} is {}{held}", it.generation.0, it.role)
        });
        let finding = |message, fatal| Finding { path: String::new(), message, fatal };
        let mut findings: Vec<Finding> = told.map(|message| finding(message, false)).collect();
        match self.target.state.lock().unwrap().obstacle.clone() {
            None => {}
            Some(Obstacle::Finding(message)) => findings.push(finding(message.to_owned(), true)),
            Some(Obstacle::Fault(class, code)) => {
                let (code, message) = (code.to_owned(), "it could not be looked at".to_owned());
                return Err(Fault { class, blame: Blame::Operator, code, message, retry_after_ms: None });
            }
        }
        Ok(findings)
    }

    async fn call(&self, request: CallRequest, recorder: Arc<dyn CallRecorder>) -> Outcome {
        let settings = settings(&request.settings);
        if self.target.fails(&request.secret.to_string()) {
            return Outcome::Failed(Fault {
                class: FailureClass::Retryable,
                blame: Blame::Target,
                code: "scripted.down".to_owned(),
                message: "the target is down".to_owned(),
                retry_after_ms: None,
            });
        }
        let call = Call { target: &self.target, request, settings, recorder };
        match call.run().await {
            Ok(outcome) => outcome,
            Err(Stop::Record(error)) => Outcome::Failed(Fault {
                class: FailureClass::Retryable,
                blame: Blame::Host,
                code: "host.record".to_owned(),
                message: error.to_string(),
                retry_after_ms: None,
            }),
        }
    }
}

const DIGEST: Digest = Digest([1; 32]);
const FIRST: Ordinal = Ordinal(0);

impl Call<'_> {
    async fn run(self) -> Result<Outcome, Stop> {
        let slow_ms = self.settings["slow_ms"].as_u64().unwrap_or(0);
        tokio::time::sleep(std::time::Duration::from_millis(slow_ms)).await;
        match self.request.kind {
            CallKind::Observe => Ok(self.observe()),
            CallKind::Create if mints(&self.settings) => self.mint().await,
            CallKind::Create => self.generate().await,
            CallKind::Install => self.install().await,
            CallKind::Verify => Ok(self.verify()),
            CallKind::Promote => Ok(Outcome::Done(Vec::new())),
            CallKind::Disable => self.end("disable", |cred| cred.active = false).await,
            CallKind::Enable => self.end("enable", |cred| cred.active = true).await,
            CallKind::Destroy => self.destroy().await,
        }
    }

    /// Whether a credential is this secret's, at this place.
    fn own(&self, cred: &Cred) -> bool {
        cred.secret == self.request.secret.to_string() && cred.place == self.request.place
    }

    fn observe(&self) -> Outcome {
        let began_at = self.target.clock.wall();
        let live = self.target.census().into_iter().filter(|cred| self.own(cred));
        let live = live.map(|cred| Live {
            id: cred.id.parse().unwrap(),
            slot: cred.slot.map(|slot| slot.parse().unwrap()),
            active: cred.active,
            created_at: Some(cred.created_at),
            expires_at: None,
            last_used_at: None,
            live_uses: None,
        });
        Outcome::Observed { began_at, live: live.collect() }
    }

    fn fresh(&self) -> Vec<u8> {
        let mut state = self.target.state.lock().unwrap();
        state.minted += 1;
        let value = format!("value-{:04}-{}", state.minted, "x".repeat(16)).into_bytes();
        state.values.push(value.clone());
        value
    }

    fn seal(&self, value: &[u8]) -> Seal {
        let label = format!("call/{}/{}/password", self.request.operation, self.request.attempt);
        Seal {
            label: label.chars().rev().take(120).collect::<String>().parse().unwrap(),
            bytes: SecretBytes::new(value.to_vec()),
        }
    }

    /// How much of the call's time is left.
    fn left_ms(&self) -> u64 {
        self.request.deadline.since(self.target.clock.wall())
    }

    async fn generate(&self) -> Result<Outcome, Stop> {
        let label = if let Some(mut known) = self.recorder.recorded(FIRST, DIGEST).await? {
            known.seals.remove(0).label
        } else {
            let seal = self.seal(&self.fresh());
            let label = seal.label.clone();
            self.recorder
                .answered(FIRST, DIGEST, HostAnswer::Answered, b"made".to_vec(), vec![seal], Until::Durable)
                .await?;
            label
        };
        Ok(Outcome::Created(Minted {
            id: None,
            attributes: vec![("username".to_owned(), "app".to_owned())],
            facts: self.expiry("create"),
            fields: vec![("password".to_owned(), label)],
        }))
    }

    async fn mint(&self) -> Result<Outcome, Stop> {
        let (id, label) = if let Some(mut known) = self.recorder.recorded(FIRST, DIGEST).await? {
            (String::from_utf8(known.body).unwrap(), known.seals.remove(0).label)
        } else {
            self.recorder.sent(FIRST, DIGEST, self.left_ms(), "POST /keys").await?;
            let value = self.fresh();
            let seal = self.seal(&value);
            let label = seal.label.clone();
            let mut id = String::new();
            self.target.change("after a mint", |state, now| {
                id = format!("key-{}", state.minted);
                state.creds.push(Cred {
                    secret: self.request.secret.to_string(),
                    place: self.request.place.clone(),
                    id: id.clone(),
                    slot: None,
                    value,
                    active: true,
                    created_at: now,
                });
            });
            let reply = id.clone().into_bytes();
            self.recorder.answered(FIRST, DIGEST, HostAnswer::Answered, reply, vec![seal], Until::Durable).await?;
            (id, label)
        };
        Ok(Outcome::Created(Minted {
            id: Some(id.parse().unwrap()),
            attributes: Vec::new(),
            facts: self.expiry("create"),
            fields: vec![("token".to_owned(), label)],
        }))
    }

    async fn install(&self) -> Result<Outcome, Stop> {
        if mints(&self.settings) {
            return Ok(Outcome::Done(self.expiry("install")));
        }
        let wanted = self.request.generation;
        let value =
            self.request.values.iter().find(|value| value.generation == wanted).expect("a handle of the new value");
        let known = self.request.known.iter().find(|known| known.generation == wanted).expect("it is told of");
        let id = format!("cred-{}", wanted.0);
        if self.recorder.recorded(FIRST, DIGEST).await?.is_none() {
            self.recorder.sent(FIRST, DIGEST, self.left_ms(), "ALTER ROLE").await?;
            let one_slot = self.settings["overlap"] == "none";
            self.target.change("after an install", |state, now| {
                let place = &self.request.place;
                let same = |cred: &Cred| {
                    self.own(cred) && (one_slot || cred.id == id || (known.slot.is_some() && cred.slot == known.slot))
                };
                state.creds.retain(|cred| !same(cred));
                state.creds.push(Cred {
                    secret: self.request.secret.to_string(),
                    place: place.clone(),
                    id: id.clone(),
                    slot: known.slot.clone(),
                    value: value.bytes.expose().to_vec(),
                    active: true,
                    created_at: now,
                });
            });
            self.recorder.answered(FIRST, DIGEST, HostAnswer::Answered, Vec::new(), Vec::new(), Until::InLine).await?;
        }
        let mut facts = self.expiry("install");
        facts.push(("id".to_owned(), id));
        Ok(Outcome::Done(facts))
    }

    /// When the credential ends by itself, if the settings say that this export tells: so long after its deadline.
    fn expiry(&self, told_by: &str) -> Vec<(String, String)> {
        let after_s = self.settings["expires_s"].as_u64().filter(|_| self.settings["told_by"] == told_by);
        let at = |after_s: u64| (self.request.deadline.0 / 1_000 + after_s).to_string();
        after_s.map(|after_s| (EXPIRES_FACT.to_owned(), at(after_s))).into_iter().collect()
    }

    fn verify(&self) -> Outcome {
        let wanted = self.request.generation;
        let value =
            self.request.values.iter().find(|value| value.generation == wanted).expect("a handle to verify with");
        if self.target.accepts(&self.request.place, value.bytes.expose()) {
            Outcome::Works
        } else {
            Outcome::Refused("no such credential".to_owned())
        }
    }

    /// The id meant. Where the host never learnt it, the plugin finds it by the slot, or by how it names its own.
    fn meant(&self) -> Option<String> {
        if let Some(id) = &self.request.id {
            return Some(id.to_string());
        }
        let known = self.request.known.iter().find(|known| known.generation == self.request.generation)?;
        let here = self.target.census().into_iter().filter(|cred| self.own(cred));
        let id = format!("cred-{}", self.request.generation.0);
        let one_slot = self.settings["overlap"] == "none";
        here.into_iter()
            .find(|cred| one_slot || cred.id == id || (known.slot.is_some() && cred.slot == known.slot))
            .map(|cred| cred.id)
    }

    async fn end(&self, what: &str, with: impl Fn(&mut Cred) + Send) -> Result<Outcome, Stop> {
        let Some(id) = self.meant() else { return Ok(Outcome::Done(Vec::new())) };
        if self.recorder.recorded(FIRST, DIGEST).await?.is_none() {
            self.recorder.sent(FIRST, DIGEST, self.left_ms(), what).await?;
            self.target.change(&format!("after {what} of {id}"), |state, _| {
                state.creds.iter_mut().filter(|cred| self.own(cred) && cred.id == id).for_each(with);
            });
            self.recorder.answered(FIRST, DIGEST, HostAnswer::Answered, Vec::new(), Vec::new(), Until::InLine).await?;
        }
        Ok(Outcome::Done(Vec::new()))
    }

    async fn destroy(&self) -> Result<Outcome, Stop> {
        let Some(id) = self.meant() else { return Ok(Outcome::Done(Vec::new())) };
        if self.recorder.recorded(FIRST, DIGEST).await?.is_none() {
            self.recorder.sent(FIRST, DIGEST, self.left_ms(), "DELETE").await?;
            self.target.change(&format!("after destroy of {id}"), |state, _| {
                state.creds.retain(|cred| !self.own(cred) || cred.id != id);
            });
            self.recorder.answered(FIRST, DIGEST, HostAnswer::Answered, Vec::new(), Vec::new(), Until::InLine).await?;
        }
        Ok(Outcome::Done(Vec::new()))
    }
}
