//! Which secrets fall due, and when; and when their rotations began. All else is due in a month.

use crate::durable::Instant;
use crate::stats::Samples;
use async_trait::async_trait;
use keybaton_engine::declared::{Anchor, Cadence};
use keybaton_engine::ports::rotator::{CallRecorder, CallRequest, Description, Finding, Profiled, Rotator};
use keybaton_protocol::event::Outcome;
use keybaton_protocol::fault::Fault;
use keybaton_protocol::ids::{Millis, PluginName, SecretName};
use keybaton_protocol::step::CallKind;
use keybaton_schedule::spec;
use keybaton_schedule::time::{Facts, next_due, seed};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Secrets that fall due one after the other, evenly.
#[derive(Debug, Clone)]
pub(super) struct Beat {
    /// Their numbers.
    pub(super) secrets: Range<usize>,
    /// When the first is due.
    pub(super) from: Millis,
    /// Over how long they are spread.
    pub(super) over_ms: u64,
    /// Whether the plugin refuses the settings, so that no rotation begins.
    pub(super) refused: bool,
}

impl Beat {
    fn due(&self, secret: usize) -> Option<Millis> {
        let at = self.secrets.contains(&secret).then(|| (secret - self.secrets.start) as u64)?;
        Some(self.from.plus(at * self.over_ms / self.secrets.len() as u64))
    }
}

/// The beat at the moment, and what has come of it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    beat: RwLock<Option<Beat>>,
    began: Mutex<Samples>,
    ended: Mutex<usize>,
}

impl Plan {
    /// Takes effect with the next declaration.
    pub(super) fn set(&self, beat: Beat) {
        *self.began.lock().unwrap_or_else(PoisonError::into_inner) = Samples::default();
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = 0;
        *self.beat.write().unwrap_or_else(PoisonError::into_inner) = Some(beat);
    }

    fn beat(&self) -> Option<Beat> {
        self.beat.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How late the rotations began that have begun.
    pub(super) fn began(&self) -> Samples {
        self.began.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many rotations have destroyed their old credential.
    pub(super) fn ended(&self) -> usize {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cadence of a secret: once a month with jitter, as a declaration has it, unless the plan says otherwise.
pub(super) struct Planned {
    pub(super) usual: Arc<spec::Cadence>,
    pub(super) plan: Arc<Plan>,
}

impl Cadence for Planned {
    fn next_due(&self, secret: &SecretName, anchor: Anchor, now: Millis) -> Option<Millis> {
        let planned = || self.plan.beat()?.due(number(secret)?);
        let usual = || {
            let facts = Facts { last: anchor.rotated_at, expires: anchor.expires_at };
            next_due(&self.usual, facts, seed(secret, anchor.rotated_at), now).at
        };
        // What has rotated since is due in a month again.
        planned().filter(|due| anchor.rotated_at.is_none_or(|rotated| rotated < *due)).or_else(usual)
    }

    fn window(&self, _: &SecretName, _: Anchor, at: Millis) -> Option<Millis> {
        Some(at)
    }

    fn cause(&self) -> &'static str {
        "every"
    }
}

/// The settings of a secret, by which the rotator knows it.
pub(super) fn settings(number: usize) -> String {
    number.to_string()
}

pub(super) fn name(number: usize) -> String {
    format!("bench/s{number}")
}

fn number(secret: &SecretName) -> Option<usize> {
    secret.to_string().strip_prefix("bench/s")?.parse().ok()
}

/// The instant rotator, which notes when a rotation begins: its settings are looked at first.
#[derive(Debug)]
pub(super) struct Watched(pub(super) Arc<Plan>);

#[async_trait]
impl Rotator for Watched {
    async fn describe(&self, plugin: &PluginName) -> Result<Description, Fault> {
        Instant.describe(plugin).await
    }

    async fn profile(&self, plugin: &PluginName, settings: &str) -> Result<Profiled, Fault> {
        Instant.profile(plugin, settings).await
    }

    async fn validate(&self, _: &PluginName, settings: &str) -> Result<Vec<Finding>, Fault> {
        let Some(beat) = self.0.beat() else { return Ok(Vec::new()) };
        let Some(due) = settings.parse().ok().and_then(|number| beat.due(number)) else { return Ok(Vec::new()) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let late = now.saturating_sub(Duration::from_millis(due.0));
        self.0.began.lock().unwrap_or_else(PoisonError::into_inner).push(late);
        let refusal = || Finding { path: String::new(), message: "refused by plan".to_owned(), fatal: true };
        Ok(beat.refused.then(refusal).into_iter().collect())
    }

    async fn preflight(&self, request: CallRequest) -> Result<Vec<Finding>, Fault> {
        Instant.preflight(request).await
    }

    async fn call(&self, request: CallRequest, recorder: Arc<dyn CallRecorder>) -> Outcome {
        let ends = request.kind == CallKind::Destroy;
        let outcome = Instant.call(request, recorder).await;
        if ends {
            *self.0.ended.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        }
        outcome
    }
}
