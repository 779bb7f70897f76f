//! How a restored secret compares with its target and with what consumers report: what people decide on. Decides nothing.

use crate::generation::{Credential, Role};
use crate::ids::{Generation, Millis, Place, SecretName, TargetId};
use crate::state::Secret;
use crate::step::{CallKind, names};
use std::fmt;

/// What the comparison of a restored secret came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// It is being compared.
    Comparing,
    /// The current credential works everywhere, and nothing contradicts the journal.
    Matches,
    /// Consumers report, or the target shows, a newer generation than the current one.
    Ahead,
    /// The current credential works at some places and is refused at others.
    Partly,
    /// The target refuses it everywhere.
    Lost,
    /// The current credential works, and the target lists credentials that the journal does not know.
    Foreign,
    /// The target does not answer; it is tried again.
    Unreachable,
}

names!(Outcome {
    Comparing => "comparing", Matches => "matches", Ahead => "ahead", Partly => "partly", Lost => "lost",
    Foreign => "foreign", Unreachable => "unreachable",
});

/// The comparison of one restored secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// What it came to.
    pub outcome: Outcome,
    /// The current generation, as the journal has it.
    pub current: Option<Generation>,
    /// The newer generation that consumers report or that works at the target.
    pub newer: Option<Generation>,
    /// Whether that one's value is known here, so that it can become current.
    pub newer_known: bool,
    /// Places where the current credential is refused, each with the target's reason.
    pub refused: Vec<(Place, String)>,
    /// Places that did not answer, each with the last fault.
    pub unreachable: Vec<(Place, String)>,
    /// Credentials at the target that were seen for the first time since the restore.
    pub foreign: Vec<(Place, TargetId)>,
    /// When it is tried again, where an attempt failed.
    pub next_attempt: Option<Millis>,
}

/// How a restored secret compares; `None` for one that is not held by a restore. `reported`: the highest generation
/// that a consumer says it holds and the journal does not know.
#[must_use]
pub fn compare(secret: &Secret, reported: Option<Generation>) -> Option<Comparison> {
    let restored = secret.restored()?;
    let mut compared = Comparison {
        outcome: Outcome::Comparing,
        current: secret.current(),
        newer: None,
        newer_known: false,
        refused: refused(secret),
        unreachable: unreachable(secret),
        foreign: restored.strangers.iter().cloned().chain(unclaimed(secret)).collect(),
        next_attempt: secret.efforts().values().map(|tries| tries.not_before).min(),
    };
    let pending = secret.pending();
    let pending_works = secret.works_since_restore(pending);
    let said = secret.replicas().values().filter_map(|it| it.adopted.as_ref()).map(|(generation, _)| *generation);
    let used = said.filter(|it| Some(*it) > secret.current()).max();
    let pending = pending.filter(|_| pending_works);
    compared.newer = reported.max(used).max(pending);
    compared.newer_known = compared.newer.is_some() && compared.newer == pending;
    compared.outcome = outcome(secret, &compared);
    Some(compared)
}

fn outcome(secret: &Secret, compared: &Comparison) -> Outcome {
    let places = secret.places();
    let seen = secret.everywhere(|place| secret.seen_since_restore(place));
    let tried = |generation| secret.everywhere(|place| secret.tried_since_restore(generation, place));
    let tried = seen
        && secret.current().is_none_or(tried)
        && secret.pending().is_none_or(|it| tried(it) || hopeless(secret, it));
    let known = secret.current().and_then(|it| secret.generations().get(&it)).is_some_and(Credential::known);
    let works = !known || secret.works_since_restore(secret.current());
    if !tried && !compared.unreachable.is_empty() {
        return Outcome::Unreachable;
    }
    if !tried {
        return Outcome::Comparing;
    }
    if compared.newer.is_some() {
        return Outcome::Ahead;
    }
    if works && compared.foreign.is_empty() {
        return Outcome::Matches;
    }
    if works {
        return Outcome::Foreign;
    }
    if compared.refused.len() < places.len() { Outcome::Partly } else { Outcome::Lost }
}

/// Whether a credential could not be tried at a place, however often: it is not waited for any longer.
fn hopeless(secret: &Secret, generation: Generation) -> bool {
    let cap = secret.policy().map_or(1, |policy| policy.attempts.cap);
    secret
        .efforts()
        .iter()
        .any(|(effort, tries)| effort.generation == generation && effort.kind == CallKind::Verify && tries.count >= cap)
}

fn refused(secret: &Secret) -> Vec<(Place, String)> {
    let (Some(current), Some(restored)) = (secret.current(), secret.restored()) else { return Vec::new() };
    let refused =
        secret.places().iter().filter(|place| restored.tried.get(&(current, (*place).clone())) == Some(&false));
    let reason = |place: &Place| match secret.generations().get(&current).map(|it| it.at(place).verified.clone()) {
        Some(crate::generation::Verified::Refused { reason, .. }) => reason,
        _ => "refused".to_owned(),
    };
    refused.map(|place| (place.clone(), reason(place))).collect()
}

/// Places where an attempt failed and the current credential was not tried.
fn unreachable(secret: &Secret) -> Vec<(Place, String)> {
    let tried = |place: &Place| {
        secret.current().is_none_or(|it| secret.tried_since_restore(it, place)) && secret.seen_since_restore(place)
    };
    let fault = |place: &Place| {
        let failed = secret.efforts().iter().find(|(effort, _)| effort.place == *place);
        failed.map(|(_, tries)| tries.fault.to_string())
    };
    let silent = secret.places().iter().filter(|place| !tried(place));
    silent.filter_map(|place| Some((place.clone(), fault(place)?))).collect()
}

/// What the target lists in a slot, where the journal has nothing there.
fn unclaimed(secret: &Secret) -> Vec<(Place, TargetId)> {
    let mut found = Vec::new();
    for (place, seen) in secret.observations() {
        for live in seen.live.iter().filter(|live| live.active && live.slot.is_some()) {
            let holds = |it: &Credential| it.slot == live.slot && it.liveness(place).lingers();
            if !secret.generations().values().any(holds)
                && !secret.foreign().contains(&(place.clone(), live.id.clone()))
            {
                found.push((place.clone(), live.id.clone()));
            }
        }
    }
    found
}

impl Comparison {
    /// What to do next, for people.
    #[must_use]
    pub fn advice(&self, secret: &SecretName) -> String {
        self.advised().replace("NAME", &secret.to_string())
    }

    const fn advised(&self) -> &'static str {
        match self.outcome {
            Outcome::Comparing => "wait until the host has observed the target and tried the credential there",
            Outcome::Matches => "`keybaton reconcile NAME` lets it go on",
            Outcome::Ahead if self.newer_known => {
                "`keybaton reconcile NAME` lets the rotation go on until the newer one is current"
            }
            Outcome::Ahead if self.refused.is_empty() => {
                "`keybaton reconcile NAME` goes on with the current one, which works: consumers go back to it"
            }
            Outcome::Partly => {
                "put the value back where it is refused, or drop a place that is gone for good with `keybaton place \
drop`; it is tried again"
            }
            Outcome::Ahead | Outcome::Lost => {
                "put the value back at the target, which is tried again; or say `keybaton reconcile NAME --accept lost \
                 --reason WHY`, then `keybaton rotate` for a new first credential, or `keybaton import` for the one in \
                 use"
            }
            Outcome::Foreign => {
                "see whose the foreign ones are; `keybaton reconcile NAME` goes on and leaves them alone"
            }
            Outcome::Unreachable => {
                "mend the way to the target; it is tried again, and at once by `keybaton reconcile NAME`"
            }
        }
    }
}

impl Secret {
    /// Credentials whose users are not known since a restore, and that have not ended: consumers are asked what they use.
    pub(crate) fn asks_who_uses_what(&self) -> bool {
        let open = |it: &Credential| it.doubtful && self.role(it.number).is_some_and(|role| role != Role::Current);
        self.restored().is_none() && (!self.doubtful_slots().is_empty() || self.generations().values().any(open))
    }
}
