//! Looks through the store again and again while the host runs, gently, so that damage is known before it is met. What is
//! found makes the host not ready, and stops what would be begun for the secrets it is about. Mends nothing.

use keybaton_api::ports::{Failure, FailureKind};
use keybaton_engine::Engine;
use keybaton_engine::ports::inspect::{Damage, Inspect};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between two looks through the whole store.
const PAUSE: Duration = Duration::from_secs(3_600);

/// What is known to be damaged.
#[derive(Debug, Default)]
pub(crate) struct Soundness(Mutex<Vec<Damage>>);

impl Soundness {
    /// Whether nothing is known to be damaged. Names no secret: whoever asks need not be known.
    pub(crate) fn ready(&self) -> Result<(), Failure> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = found.first() else { return Ok(()) };
        let what = format!("the store is damaged in {} places", found.len());
        let help = format!("`keybaton doctor` names them; {}", first.advice());
        Err(Failure::new(FailureKind::Damaged, what).help(help))
    }

    fn note(&self, damage: Damage) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !found.contains(&damage) {
            found.push(damage);
        }
    }
}

/// Looks until it is dropped.
pub(crate) async fn watch(store: Arc<dyn Inspect>, engine: Engine, soundness: Arc<Soundness>) {
    loop {
        let mut found = |damage: Damage| {
            tracing::error!(detail = %damage.detail, advice = damage.advice(), "the store is damaged");
            if let Some(secret) = &damage.secret {
                engine.damaged(secret, &damage.detail);
            }
            soundness.note(damage);
        };
        if let Err(error) = store.look_through(&mut found).await {
            tracing::warn!(%error, "the store could not be looked through; it is tried again later");
        }
        tokio::time::sleep(PAUSE).await;
    }
}
