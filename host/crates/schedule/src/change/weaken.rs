//! Which edits make rotations less safe: a list of small comparisons. Judges no value by itself, only the step.

use crate::spec::{Rhythm, Spec};
use keybaton_protocol::evidence::EvidenceKind;
use keybaton_protocol::policy::{AtDeadline, ConsumerPolicy, ConsumerRole, Members, Policy, Quorum, Waves};
use std::collections::BTreeMap;

/// Key to what is lost.
type Weakened = BTreeMap<String, &'static str>;

/// The keys whose change makes rotations less safe, and how.
pub(super) fn weakened(old: &Spec, new: &Spec) -> Weakened {
    let mut found = Weakened::new();
    overlap(&old.policy, &new.policy, &mut found);
    stragglers(&old.policy, &new.policy, &mut found);
    waves(&old.policy.waves, &new.policy.waves, &mut found);
    cadence(old, new, &mut found);
    order(old, new, &mut found);
    let now: BTreeMap<_, _> = new.policy.consumers.iter().map(|consumer| (&consumer.name, consumer)).collect();
    for before in &old.policy.consumers {
        match now.get(&before.name) {
            Some(after) => consumer(before, after, &mut found),
            None if before.required => gone(before, &mut found),
            None => {}
        }
    }
    found
}

fn overlap(old: &Policy, new: &Policy, found: &mut Weakened) {
    let mut note = |weaker: bool, key: &str, how| note(found, weaker, key, how);
    note(new.overlap_min_ms < old.overlap_min_ms, "overlap.minimum", "the old credential is given up sooner");
    note(new.quiet_ms < old.quiet_ms, "overlap.quiet", "disuse of the old credential is watched for less time");
    note(new.soak_ms < old.soak_ms, "overlap.soak", "the old credential can be enabled again for less time");
    note(new.accept_gap && !old.accept_gap, "overlap.accept_gap", "a moment with only one working value is accepted");
    note(
        new.staged_lease_ms < old.staged_lease_ms,
        "limits.staged_lease",
        "a staged credential may be destroyed sooner",
    );
}

fn stragglers(old: &Policy, new: &Policy, found: &mut Weakened) {
    let (old, new) = (&old.stragglers, &new.stragglers);
    let share = |quorum: Quorum| match quorum {
        Quorum::All => 101, // `all` names everybody, 100% rounds
        Quorum::Percent(share) => share,
    };
    let mut note = |weaker: bool, key: &str, how| note(found, weaker, key, how);
    note(share(new.quorum) < share(old.quorum), "stragglers.quorum", "fewer consumers are waited for");
    let forces = new.then == AtDeadline::Force;
    note(forces && old.then != AtDeadline::Force, "stragglers.then", "goes on without those that did not answer");
    let sooner = shorter(new.deadline_ms, old.deadline_ms);
    note(forces && sooner, "stragglers.deadline", "goes on sooner without those that did not answer");
    note(shorter(old.max_age_ms, new.max_age_ms), "stragglers.max_age", "a held rotation escalates later");
    let earlier = new.before_expiry_ms > old.before_expiry_ms;
    note(earlier, "stragglers.before_expiry", "before an expiry, goes on sooner without those that did not answer");
}

/// Whether one time ends before another; none is without end.
fn shorter(one: Option<u64>, other: Option<u64>) -> bool {
    one.unwrap_or(u64::MAX) < other.unwrap_or(u64::MAX)
}

fn waves(old: &Waves, new: &Waves, found: &mut Weakened) {
    let unlimited = |most: u32| if most == 0 { u32::MAX } else { most };
    let mut note = |weaker: bool, key: &str, how| note(found, weaker, key, how);
    let fewer = new.sizes.len() < old.sizes.len();
    note(fewer, "waves.sizes", "replicas switch in fewer waves");
    let more = unlimited(new.max_unavailable) > unlimited(old.max_unavailable);
    note(more, "waves.max_unavailable", "more replicas switch at once");
    note(new.soak_ms < old.soak_ms, "waves.soak", "a wave is watched for less time");
}

fn cadence(old: &Spec, new: &Spec, found: &mut Weakened) {
    let (old, new) = (&old.cadence, &new.cadence);
    let mut note = |weaker: bool, key: &str, how| note(found, weaker, key, how);
    note(new.pause && !old.pause, "cadence.pause", "it no longer rotates by itself");
    let by_hand = |rhythm: &Rhythm, before: Option<u64>| *rhythm == Rhythm::None && before.is_none();
    let now_by_hand = by_hand(&new.rhythm, new.before_expiry_ms) && !by_hand(&old.rhythm, old.before_expiry_ms);
    note(now_by_hand, "cadence.manual", "it no longer rotates by itself");
    if let (Rhythm::Every(before), Rhythm::Every(after)) = (&old.rhythm, &new.rhythm) {
        note(after > before, "cadence.every", "a credential lives longer");
    }
    let closer = new.before_expiry_ms < old.before_expiry_ms;
    note(closer, "cadence.before_expiry", "less time is left before a credential expires");
}

fn order(old: &Spec, new: &Spec, found: &mut Weakened) {
    let lost = old.after.iter().any(|name| !new.after.contains(name));
    note(found, lost, "after", "it no longer waits for another secret");
    match (&old.stagger, &new.stagger) {
        (Some(_), None) => note(found, true, "stagger.group", "it may start together with others of its group"),
        (Some(before), Some(after)) => {
            let closer = after.at_least_ms < before.at_least_ms;
            note(found, closer, "stagger.at_least", "rotations of the group start closer together");
            let more = after.at_once > before.at_once;
            note(found, more, "stagger.at_once", "more rotations of the group run together");
        }
        (None, _) => {}
    }
}

fn gone(consumer: &ConsumerPolicy, found: &mut Weakened) {
    let key = format!("consumers.{}.required", consumer.name);
    note(found, true, &key, "a required consumer is no longer waited for");
}

fn consumer(old: &ConsumerPolicy, new: &ConsumerPolicy, found: &mut Weakened) {
    let mut note = |weaker: bool, key: &str, how| note(found, weaker, &format!("consumers.{}.{key}", new.name), how);
    note(old.required && !new.required, "required", "a required consumer is no longer waited for");
    note(weight(new.ready) < weight(old.ready), "ready", "weaker evidence is enough to be ready");
    note(weight(new.adopted) < weight(old.adopted), "adopted", "weaker evidence is enough to have adopted");
    let verified = old.role == ConsumerRole::Verifies && new.role == ConsumerRole::Uses;
    note(verified, "role", "it no longer has to accept both before commit and drop the old one before the end");
    let seldom = new.uses_every_ms < old.uses_every_ms;
    note(seldom, "uses_every", "a shorter silence is taken for disuse");
    let (key, fewer) = fewer_members(&old.members, &new.members);
    note(fewer, key, "fewer replicas are waited for");
}

/// How much a piece of evidence shows. A process and a target are witnesses of their own; a person's word is the least.
fn weight(kind: EvidenceKind) -> u8 {
    match kind {
        EvidenceKind::Store => 0,
        EvidenceKind::Attested => 1,
        EvidenceKind::Holder => 2,
        EvidenceKind::Process | EvidenceKind::Target => 3,
    }
}

/// The key of the new members, and whether any replica is no longer counted.
fn fewer_members(old: &Members, new: &Members) -> (&'static str, bool) {
    let number = |members: &Members| match members {
        Members::Listed(names) => names.len(),
        Members::Count(count) => *count as usize,
    };
    let key = if matches!(new, Members::Listed(_)) { "members" } else { "count" };
    let fewer = match (old, new) {
        (Members::Listed(before), Members::Listed(after)) => before.iter().any(|name| !after.contains(name)),
        // Names are a stronger demand than a number.
        (Members::Listed(_), Members::Count(_)) => true,
        (Members::Count(_), _) => number(new) < number(old),
    };
    (key, fewer)
}

fn note(found: &mut Weakened, weaker: bool, key: &str, how: &'static str) {
    if weaker {
        found.insert(key.to_owned(), how);
    }
}
