//! What an edit of the declarations changes, and which of it makes rotations less safe. Compares; applies nothing.

mod keys;
mod weaken;

pub use keys::canonical;

use crate::spec::Spec;
use keybaton_protocol::ids::SecretName;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of one secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Newly declared: it waits for `issue` or `adopt`.
    Added {
        /// Which.
        name: SecretName,
        /// Where it is less safe than the defaults.
        weaker: Vec<KeyChange>,
    },
    /// Declared otherwise.
    Changed {
        /// Which.
        name: SecretName,
        /// In which keys.
        keys: Vec<KeyChange>,
    },
    /// No longer declared: it becomes unmanaged; nothing at its target is touched.
    Removed {
        /// Which.
        name: SecretName,
    },
}

/// One key that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyChange {
    /// The key, as a path: `overlap.minimum`, `consumers.app.required`.
    pub key: String,
    /// Its value before; none if it was not there.
    pub old: Option<String>,
    /// Its value now; none if it is gone.
    pub new: Option<String>,
    /// How this makes rotations less safe, if it does.
    pub weakens: Option<&'static str>,
}

impl Change {
    /// Whose.
    #[must_use]
    pub fn name(&self) -> &SecretName {
        match self {
            Self::Added { name, .. } | Self::Changed { name, .. } | Self::Removed { name } => name,
        }
    }

    /// The keys that make rotations less safe.
    pub fn weaker(&self) -> impl Iterator<Item = &KeyChange> {
        let keys: &[KeyChange] = match self {
            Self::Added { weaker, .. } => weaker,
            Self::Changed { keys, .. } => keys,
            Self::Removed { .. } => &[],
        };
        keys.iter().filter(|change| change.weakens.is_some())
    }
}

/// What becomes of each secret, by name. Where a secret is declared does not matter.
#[must_use]
pub fn changes(old: &[Spec], new: &[Spec]) -> Vec<Change> {
    let before: BTreeMap<&SecretName, &Spec> = old.iter().map(|spec| (&spec.name, spec)).collect();
    let after: BTreeMap<&SecretName, &Spec> = new.iter().map(|spec| (&spec.name, spec)).collect();
    let names: BTreeSet<&SecretName> = before.keys().chain(after.keys()).copied().collect();
    let of = |name: &&SecretName| match (before.get(*name), after.get(*name)) {
        (Some(old), Some(new)) => changed(old, new),
        (None, Some(new)) => Some(Change::Added { name: new.name.clone(), weaker: weaker_than_default(new) }),
        (Some(old), None) => Some(Change::Removed { name: old.name.clone() }),
        (None, None) => None,
    };
    names.iter().filter_map(of).collect()
}

fn changed(old: &Spec, new: &Spec) -> Option<Change> {
    let keys = differences(old, new);
    (!keys.is_empty()).then(|| Change::Changed { name: new.name.clone(), keys })
}

/// A new declaration, held against what it would be had it left the careful keys out.
fn weaker_than_default(new: &Spec) -> Vec<KeyChange> {
    let mut usual = new.clone();
    let mut policy = crate::declaration::default_policy(new.policy.consumers.clone());
    for consumer in &mut policy.consumers {
        (consumer.required, consumer.ready, consumer.adopted) = crate::declaration::usual_evidence(consumer.kind);
    }
    policy.waves = new.policy.waves.clone();
    usual.policy = policy.into();
    differences(&usual, new).into_iter().filter(|change| change.weakens.is_some()).collect()
}

fn differences(old: &Spec, new: &Spec) -> Vec<KeyChange> {
    let (before, after) = (keys::of(old), keys::of(new));
    let weakened = weaken::weakened(old, new);
    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = all.into_iter().filter(|key| before.get(*key) != after.get(*key));
    differing
        .map(|key| KeyChange {
            key: key.clone(),
            old: before.get(key).cloned(),
            new: after.get(key).cloned(),
            weakens: weakened.get(key).copied(),
        })
        .collect()
}
