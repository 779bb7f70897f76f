//! A rotator without a sandbox, over a target that answers at once: every mutating call makes one mutating host call,
//! on the record as the runtime puts it.

use crate::world::Wall;
use async_trait::async_trait;
use keybaton_engine::ports::clock::Clock;
use keybaton_engine::ports::rotator::{
    CallRecorder, CallRequest, Description, Finding, Profiled, RecordError, Rotator, Until,
};
use keybaton_engine::ports::secret::{Seal, SecretBytes};
use keybaton_protocol::event::{HostAnswer, Live, Minted, Outcome};
use keybaton_protocol::fault::{Blame, FailureClass, Fault};
use keybaton_protocol::ids::{Digest, Ordinal, PluginName};
use keybaton_protocol::profile::{Minter, Overlap, Profile};
use keybaton_protocol::step::CallKind;
use std::sync::Arc;

/// The settings of every secret: they say nothing.
pub(crate) const SETTINGS: &str = "{}";
pub(crate) const PLUGIN: &str = "instant";

const COMPONENT: Digest = Digest([7; 32]);
const REQUEST: Digest = Digest([1; 32]);
const FIRST: Ordinal = Ordinal(0);
/// Bytes of a password, and of a reply as the runtime records one.
const PASSWORD_BYTES: usize = 32;
const REPLY: &[u8] = br#"{"v":1,"ok":{"columns":[],"values":[]}}"#;

/// Two slots taken in turn, with a soft disable: no step is left out.
#[derive(Debug)]
pub(crate) struct Instant;

#[async_trait]
impl Rotator for Instant {
    async fn describe(&self, plugin: &PluginName) -> Result<Description, Fault> {
        let (settings_schema, summary) = ("{}".to_owned(), "answers at once".to_owned());
        Ok(Description { name: plugin.clone(), component: COMPONENT, settings_schema, summary })
    }

    async fn profile(&self, _: &PluginName, _: &str) -> Result<Profiled, Fault> {
        let slots = ["a", "b"].map(|slot| slot.parse().expect("a slot's name"));
        let profile = Profile {
            overlap: Overlap::Alternate(slots.to_vec()),
            minter: Minter::Host,
            soft_disable: true,
            reinstall: true,
            promotes: true,
            usage: None,
            settle_ms: 0,
            replaces: false,
        };
        Ok(Profiled { profile, component: COMPONENT, claims: Vec::new() })
    }

    async fn validate(&self, _: &PluginName, _: &str) -> Result<Vec<Finding>, Fault> {
        Ok(Vec::new())
    }

    async fn preflight(&self, _: CallRequest) -> Result<Vec<Finding>, Fault> {
        Ok(Vec::new())
    }

    async fn call(&self, request: CallRequest, recorder: Arc<dyn CallRecorder>) -> Outcome {
        answer(&request, &*recorder).await.unwrap_or_else(|error| Outcome::Failed(unrecorded(&error)))
    }
}

async fn answer(request: &CallRequest, recorder: &dyn CallRecorder) -> Result<Outcome, RecordError> {
    match request.kind {
        CallKind::Create => create(request, recorder).await,
        CallKind::Verify => {
            recorder.recorded(FIRST, REQUEST).await?;
            recorder.answered(FIRST, REQUEST, HostAnswer::Answered, REPLY.to_vec(), Vec::new(), Until::InLine).await?;
            Ok(Outcome::Works)
        }
        CallKind::Observe => Ok(observed(request)),
        CallKind::Install | CallKind::Promote | CallKind::Disable | CallKind::Enable | CallKind::Destroy => {
            recorder.recorded(FIRST, REQUEST).await?;
            recorder
                .sent(FIRST, REQUEST, request.deadline.since(Wall.wall()), "sql main: set-verifier as admin role=app")
                .await?;
            recorder.answered(FIRST, REQUEST, HostAnswer::Answered, REPLY.to_vec(), Vec::new(), Until::InLine).await?;
            Ok(Outcome::Done(vec![("installed".to_owned(), "app".to_owned())]))
        }
    }
}

async fn create(request: &CallRequest, recorder: &dyn CallRecorder) -> Result<Outcome, RecordError> {
    let mut password = vec![0; PASSWORD_BYTES];
    aws_lc_rs::rand::fill(&mut password).map_err(|_| RecordError::Unavailable("no randomness".to_owned()))?;
    let label = format!("create-{}-0-0", request.attempt);
    let seal = Seal { label: label.parse().expect("printable"), bytes: SecretBytes::new(password) };
    let fields = vec![("password".to_owned(), seal.label.clone())];
    recorder.recorded(FIRST, REQUEST).await?;
    // Making a password sends nothing.
    recorder.answered(FIRST, REQUEST, HostAnswer::Answered, REPLY.to_vec(), vec![seal], Until::Durable).await?;
    let id = format!("app#{}", request.generation.0).parse().expect("printable");
    let attributes = vec![("username".to_owned(), "app".to_owned())];
    Ok(Outcome::Created(Minted { id: Some(id), attributes, facts: Vec::new(), fields }))
}

/// Whatever the host knows of, and nothing else.
fn observed(request: &CallRequest) -> Outcome {
    let live = request.known.iter().filter_map(|known| {
        let slot = known.slot.as_ref().and_then(|slot| slot.parse().ok());
        let id = known.id.clone()?;
        Some(Live { id, slot, active: true, created_at: None, expires_at: None, last_used_at: None, live_uses: None })
    });
    Outcome::Observed { began_at: Wall.wall(), live: live.collect() }
}

fn unrecorded(error: &RecordError) -> Fault {
    Fault {
        class: FailureClass::Retryable,
        blame: Blame::Host,
        code: "host.journal".to_owned(),
        message: error.to_string(),
        retry_after_ms: None,
    }
}
