//! A parsed declaration as the engine runs it: the schedule's due times behind the engine's port.

use aws_lc_rs::digest::{SHA256, digest};
use keybaton_engine::declared::{Anchor, Cadence, Declared, Stagger};
use keybaton_protocol::ids::{Digest, Millis, Place, SecretName};
use keybaton_schedule::change::canonical;
use keybaton_schedule::spec::{self, Rhythm, Spec};
use keybaton_schedule::time::{Facts, is_open, next_due, seed};
use std::sync::Arc;

/// How far ahead an open window is looked for: past it there is none.
const LOOKS_AHEAD_MAX: usize = 2;

/// The digest that pins a declaration.
pub(crate) fn digest_of(spec: &Spec) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, &canonical(spec)).as_ref());
    Digest(bytes)
}

/// The declaration as the engine takes it. `target` names what the connection points at.
pub(crate) fn declared(spec: &Spec, target: Arc<str>) -> Declared {
    Declared {
        name: spec.name.clone(),
        spec: digest_of(spec),
        plugin: (*spec.plugin).clone(),
        connection: (*spec.connection).clone(),
        target,
        places: Arc::from([Place::only()]),
        settings: Arc::from(spec.settings.json()),
        policy: Arc::clone(&spec.policy),
        cadence: Some(Arc::new(Scheduled(Arc::clone(&spec.cadence)))),
        stagger: spec.stagger.as_ref().map(|stagger| {
            Arc::new(Stagger { group: stagger.group.clone(), gap_ms: stagger.at_least_ms, at_once: stagger.at_once })
        }),
        after: Arc::from(spec.after.to_vec()),
        paused: spec.cadence.pause,
    }
}

/// A declared cadence behind the engine's port.
struct Scheduled(Arc<spec::Cadence>);

impl Cadence for Scheduled {
    fn next_due(&self, secret: &SecretName, anchor: Anchor) -> Option<Millis> {
        let facts = Facts { last: anchor.rotated_at, expires: anchor.expires_at };
        // A missed window moves to the next one when the time comes (`window`), not when it is asked about.
        next_due(&self.0, facts, seed(secret, anchor.rotated_at), Millis(0)).at
    }

    fn window(&self, _secret: &SecretName, at: Millis) -> Option<Millis> {
        let mut from = at;
        for _ in 0..LOOKS_AHEAD_MAX {
            if is_open(&self.0, from) {
                return Some(from);
            }
            from = self.0.windows.iter().filter_map(|window| window.opening(from)).map(|opening| opening.at).min()?;
        }
        Some(from)
    }

    fn cause(&self) -> &'static str {
        match &self.0.rhythm {
            Rhythm::None => "before-expiry",
            Rhythm::Every(_) => "every",
            Rhythm::Cron(_) => "cron",
        }
    }
}
