//! How far the running rotation has come, read off the facts: the step it is at is the first that is not done. There
//! is no step counter to go stale; when evidence is withdrawn or a place is added, an earlier step is simply not done.

use crate::gate::{adoption_counts, uses};
use crate::generation::{Credential, Liveness};
use crate::ids::{ConsumerName, Generation, Millis, Place, Replica};
use crate::policy::{Members, WaveSize};
use crate::profile::Minter;
use crate::rotation::Rotation;
use crate::state::Secret;
use crate::step::{Phase, PlanKind, Step};
use crate::timers::{LEAST_TICK_MS, Timer, quiet_total_ms};

impl Secret {
    /// The step the running rotation is at; `None` where every step is done, or it is going back.
    #[must_use]
    pub fn step(&self, now: Millis) -> Option<Step> {
        let rotation = self.rotation()?;
        if !matches!(rotation.phase, Phase::Prepare | Phase::Commit) {
            return None;
        }
        rotation.plan.iter().copied().find(|step| !self.done(rotation, *step, now))
    }

    fn done(&self, rotation: &Rotation, step: Step, now: Millis) -> bool {
        match step {
            Step::Create => self.generations().get(&rotation.made).is_none_or(|made| made.minted.is_some()),
            Step::Install => self.everywhere(|place| self.installed_at(rotation.aim, place)),
            Step::Verify => self.everywhere(|place| self.works_at(rotation.aim, place)),
            // What the only slot holds already is brought to its end, whoever takes his word back now.
            Step::Stage => {
                let staged = rotation.staged.is_some();
                rotation.committed || (staged && (self.overwriting() || self.ready(rotation.aim, now).open()))
            }
            Step::Commit => rotation.committed,
            Step::Adopt => rotation.draining.is_some() || self.switched(rotation, now),
            Step::Drain => self.ending().is_none_or(|old| self.ending_begun(old)),
            Step::Disable => self.ending().is_none_or(|old| {
                let off = |place: &Place| {
                    self.generations().get(&old).map(|it| it.liveness(place)) == Some(Liveness::Disabled)
                };
                self.lingering_here(old).all(off)
            }),
            Step::Destroy => self.ended_here(),
        }
    }

    /// The generation that the running rotation brings to its end: previous, or for `retire` the current one.
    #[must_use]
    pub fn ending(&self) -> Option<Generation> {
        let rotation = self.rotation()?;
        match rotation.kind {
            PlanKind::Retire => self.current(),
            PlanKind::Issue | PlanKind::Adopt | PlanKind::Rotate => self.previous(),
        }
    }

    /// Whether a place is away: a person took it out, and it is neither back nor scrapped.
    pub(crate) fn away(&self, place: &Place) -> bool {
        !self.places().contains(place) && self.places_by_hand().get(place) == Some(&false)
    }

    /// Whether a place that a person took in has yet to be brought level with the others, while no rotation does so.
    pub(crate) fn to_be_levelled(&self, current: Generation, place: &Place) -> bool {
        let behind = self.generations().get(&current).is_some_and(|it| it.known() && !it.lost());
        behind && self.places_by_hand().get(place) == Some(&true) && !self.works_at(current, place)
    }

    /// Places that are not away where something of a generation may be left.
    fn lingering_here(&self, generation: Generation) -> impl Iterator<Item = &Place> {
        let lingering = self.generations().get(&generation).into_iter().flat_map(Credential::lingering);
        lingering.filter(|place| !self.away(place))
    }

    /// Whether the old credential has ended at every place that is not away. At one that is away it ends when that comes
    /// back, or is scrapped: a job of its own, for which the rotation does not wait.
    pub(crate) fn ended_here(&self) -> bool {
        let away = |old| self.lingering_here(old).next().is_none() && self.lingers_away(old);
        self.ending().is_none_or(away)
    }

    fn lingers_away(&self, generation: Generation) -> bool {
        self.generations().get(&generation).is_some_and(|it| it.lingering().any(|place| self.away(place)))
    }

    fn ending_begun(&self, old: Generation) -> bool {
        self.generations()
            .get(&old)
            .is_none_or(|credential| credential.lingering().all(|place| self.retirement(old, place).is_some()))
    }

    pub(crate) fn everywhere(&self, holds: impl Fn(&Place) -> bool) -> bool {
        self.places().iter().all(holds)
    }

    /// Whether `install` has done its work at a place, or the value was seen to work there.
    pub(crate) fn installed_at(&self, generation: Generation, place: &Place) -> bool {
        self.generations().get(&generation).is_some_and(|credential| {
            let standing = credential.at(place);
            standing.liveness == Liveness::Live && standing.installed
        })
    }

    /// Where `create` is called: a credential is minted once, whatever the number of places.
    pub(crate) fn mint_place(&self) -> Option<&Place> {
        self.places().first()
    }

    pub(crate) fn target_mints(&self) -> bool {
        self.profile().is_some_and(|profile| profile.minter == Minter::Target)
    }

    /// Whether `promote` has been called at a place, where the target has such a notion.
    pub(crate) fn promoted_at(&self, generation: Generation, place: &Place) -> bool {
        !self.profile().is_some_and(|profile| profile.promotes)
            || self.generations().get(&generation).is_some_and(|credential| credential.at(place).promoted)
    }

    /// Promoted everywhere, every wave through, and everyone who must has switched; or somebody answered for it.
    fn switched(&self, rotation: &Rotation, now: Millis) -> bool {
        self.everywhere(|place| self.promoted_at(rotation.aim, place)) && self.all_switched(rotation, now)
    }

    /// The adopt gate: open for good once the generation that ends was overridden or has to end at once.
    pub(crate) fn all_switched(&self, rotation: &Rotation, now: Millis) -> bool {
        let Some(old) = self.ending() else { return true };
        let excused = self
            .generations()
            .get(&old)
            .is_some_and(|old| old.overridden.is_some() || old.compromised.is_some_and(|exposure| exposure.at_once));
        excused || (!rotation.wave.failed && self.last_wave(rotation, now) && self.adopted(rotation.aim, now).open())
    }

    /// Whether the wave that may switch is the last one.
    pub(crate) fn last_wave(&self, rotation: &Rotation, now: Millis) -> bool {
        self.wave_end(rotation, rotation.wave.number, now) >= self.order(now).len()
    }

    /// Every replica that switches, in the order of the waves: those who have spoken in this rotation, as they are listed
    /// or in the order in which they came, then those who are silent.
    pub(crate) fn order(&self, now: Millis) -> Vec<(ConsumerName, Replica)> {
        let mut order = Vec::new();
        for consumer in self.consumers().values().filter(|consumer| uses(consumer)) {
            match &consumer.members {
                Members::Listed(listed) => {
                    order.extend(listed.iter().map(|replica| (consumer.name.clone(), replica.clone())));
                }
                Members::Count(count) => {
                    let own = self.replicas().iter().filter(|((name, _), _)| *name == consumer.name);
                    let own = own.filter(|((_, replica), _)| self.is_member(&consumer.name, replica));
                    let (gone, there): (Vec<_>, Vec<_>) =
                        own.partition(|(_, state)| self.is_unknown(consumer, state, now));
                    let unnamed = (1..=(*count as usize).saturating_sub(there.len())).map(Replica::unnamed);
                    order.extend(there.into_iter().chain(gone).map(|(who, _)| who.clone()));
                    order.extend(unnamed.map(|replica| (consumer.name.clone(), replica)));
                }
            }
        }
        if let Some(rotation) = &self.rotation() {
            order.sort_by_key(|who| rotation.turn(who));
        }
        order
    }

    /// How many replicas, in order, may switch once this wave is open.
    pub(crate) fn wave_end(&self, rotation: &Rotation, wave: u32, now: Millis) -> usize {
        let total = self.order(now).len();
        let sizes = &rotation.pins.policy.waves.sizes;
        // Going back is for everyone at once.
        if rotation.reverted || wave as usize + 1 > sizes.len() {
            return total;
        }
        let size = |size: &WaveSize| match size {
            WaveSize::Count(count) => *count as usize,
            WaveSize::Percent(share) => (total * usize::from(*share)).div_ceil(100),
            WaveSize::Rest => total,
        };
        sizes.iter().take(wave as usize + 1).map(size).sum::<usize>().min(total)
    }

    /// Members of the open waves that have to switch and have not.
    #[must_use]
    pub fn wave_missing(&self, now: Millis) -> Vec<(ConsumerName, Replica)> {
        let Some(rotation) = &self.rotation() else { return Vec::new() };
        let open: Vec<_> =
            self.order(now).into_iter().take(self.wave_end(rotation, rotation.wave.number, now)).collect();
        self.adopted(rotation.aim, now).0.into_iter().filter(|replica| open.contains(replica)).collect()
    }

    /// Whether a replica may switch now: its wave is open and fewer than `max_unavailable` before it are switching.
    pub(crate) fn may_switch(&self, consumer: &ConsumerName, replica: &Replica, now: Millis) -> bool {
        let Some(rotation) = &self.rotation() else { return true };
        let waves = &rotation.pins.policy.waves;
        let limit = if rotation.reverted { 0 } else { waves.max_unavailable as usize };
        // The members of a failed wave go back; those of the waves before it stay where they are.
        let end = match (rotation.wave.failed, rotation.wave.number) {
            (false, number) => self.wave_end(rotation, number, now),
            (true, 0) => 0,
            (true, number) => self.wave_end(rotation, number - 1, now),
        };
        let order = self.order(now);
        if !rotation.wave.failed && end >= order.len() && !self.is_member(consumer, replica) {
            // Whom nobody waits for goes last, and takes nobody's turn.
            return true;
        }
        let mut switching = 0;
        for (name, other) in order.into_iter().take(end) {
            let done = self.said_adopted(&name, &other, rotation.aim, now);
            if name == *consumer && other == *replica {
                return done || limit == 0 || switching < limit;
            }
            switching += usize::from(!done);
        }
        false
    }

    fn said_adopted(&self, consumer: &ConsumerName, replica: &Replica, aim: Generation, now: Millis) -> bool {
        let Some(policy) = self.consumers().get(consumer) else { return true };
        self.replicas().get(&(consumer.clone(), replica.clone())).is_some_and(|state| {
            state.adopted.as_ref().is_some_and(|(adopted, said)| *adopted == aim && adoption_counts(policy, said, now))
        })
    }

    /// What is left of the overlap's minimum and the quiet time: `None` where both are over.
    pub(crate) fn drain_left(&self, now: Millis) -> Option<DrainLeft> {
        let rotation = self.rotation()?;
        let old = self.generations().get(&self.ending()?)?;
        if old.compromised.is_some() {
            return None;
        }
        let Some(draining) = rotation.draining else { return Some(DrainLeft::Timer) };
        if !Timer::new(draining.steady, rotation.pins.policy.overlap_min_ms).over(self.steady_at(now)) {
            return Some(DrainLeft::Timer);
        }
        if old.overridden.is_some() {
            return None;
        }
        self.quiet_left(now)
    }

    /// What the target's account of the old credential's use lacks: time between two looks, or the next look.
    pub(crate) fn quiet_left(&self, now: Millis) -> Option<DrainLeft> {
        let rotation = self.rotation()?;
        let old = self.generations().get(&self.ending()?)?;
        let total_ms = quiet_total_ms(&rotation.pins.policy, old.pins.profile.usage?);
        let steady = self.steady_at(now);
        let mut left = None;
        for place in old.lingering().filter(|place| !self.away(place)) {
            if self.refused(old.number, place).is_some() {
                continue;
            }
            let seen = rotation.quiet.get(place);
            if seen.is_some_and(|quiet| quiet.clean && quiet.to.since(quiet.from) >= total_ms) {
                continue;
            }
            match seen {
                Some(quiet) if !Timer::new(quiet.from, total_ms).over(steady) => left = Some(DrainLeft::Timer),
                _ => return Some(DrainLeft::Look(place.clone())),
            }
        }
        left
    }

    /// Where the target is to be looked at again, and when.
    pub(crate) fn next_look(&self) -> Option<(Place, Millis)> {
        let rotation = self.rotation()?;
        let old = self.generations().get(&self.ending()?)?;
        let every_ms = quiet_total_ms(&rotation.pins.policy, old.pins.profile.usage?).max(LEAST_TICK_MS);
        let due = |place: &Place| self.observations().get(place).map_or(Millis(0), |seen| seen.began_at.plus(every_ms));
        let there = old.lingering().filter(|place| !self.away(place));
        there.map(|place| (place.clone(), due(place))).min_by_key(|(_, due)| *due)
    }

    /// The target shows the new credential used and the old one not, since the roles were switched.
    pub(crate) fn seen_switched(&self, now: Millis) -> bool {
        let old = self.ending().and_then(|old| self.generations().get(&old));
        let signal = old.is_none_or(|old| old.pins.profile.usage.is_some());
        let tells = self.rotation().is_some_and(|it| it.aim_used && it.pins.profile.usage.is_some() && signal);
        tells && self.quiet_left(now).is_none()
    }
}

/// What a drain is waiting for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DrainLeft {
    /// Time.
    Timer,
    /// A look at the target's account of use at this place.
    Look(Place),
}
