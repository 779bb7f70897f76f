//! Arms of the transition table: the rotation's course from start to finish, and what it runs on.

use crate::event::{Event, Minted, Pins};
use crate::generation::{Credential, Liveness, Verified, Word};
use crate::ids::{Author, Generation, Millis, Place, Slot};
use crate::plan::{plan, unpinned};
use crate::profile::{Overlap, Profile};
use crate::rotation::{Moment, Rotation, Steps, Wave};
use crate::state::Secret;
use crate::step::{Ending, Phase, PlanKind, Step};
use crate::table::Verdict;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Secret {
    const fn moment(&self) -> Moment {
        Moment { at: self.clock, steady: self.steady, steps: Steps::NONE }
    }

    pub(crate) fn started(&mut self, event: &Event) -> Verdict {
        let Event::Started { rotation, kind, generation, slot, cause, author, pins, plan } = event else {
            return Err("it is not a start");
        };
        self.may_start(*kind, *generation, slot.as_ref(), pins)?;
        let pins = Arc::new(Pins::clone(pins));
        if *kind != PlanKind::Retire {
            let credential = Credential::new(*generation, slot.clone(), self.epoch, Arc::clone(&pins));
            self.generations.insert(*generation, credential);
            self.next = Generation(generation.0 + 1);
        }
        let retires = *kind == PlanKind::Retire;
        self.adopt_policy(&pins.policy);
        self.rotation = Some(Rotation {
            id: rotation.clone(),
            kind: *kind,
            aim: *generation,
            made: *generation,
            cause: cause.clone(),
            author: author.clone(),
            started_at: self.clock,
            plan: plan.clone().unwrap_or_else(|| unpinned(*kind, &pins.profile)),
            pins: Arc::clone(&pins),
            // A secret that ends has nothing to prepare: its first step already takes something away.
            phase: if retires { Phase::Commit } else { Phase::Prepare },
            committed: retires,
            excused: false,
            reverted: false,
            staged: None,
            wave: Wave::default(),
            switched: None,
            aim_used: false,
            draining: None,
            patience: self.steady,
            asked: self.steady,
            heard: BTreeMap::new(),
            cries: BTreeMap::new(),
            quiet: BTreeMap::new(),
            first_call: self.next_call,
            reason: String::new(),
        });
        self.pins = Some(pins);
        self.last_rotation = Some(rotation.clone());
        self.managed = true;
        self.forget_closed_calls();
        Ok(())
    }

    /// Whether a rotation may start: the same question for `admit` and for the table.
    pub(crate) fn may_start(
        &self,
        kind: PlanKind,
        generation: Generation,
        slot: Option<&Slot>,
        pins: &Pins,
    ) -> Verdict {
        if self.restored.is_some() {
            return Err("the secret was restored and has not been compared with its target");
        }
        if self.frozen.is_some() {
            return Err("the secret is frozen");
        }
        if self.hold.is_some() {
            return Err("the secret is held");
        }
        match (kind, self.current) {
            (PlanKind::Issue | PlanKind::Adopt, Some(_)) => return Err("the secret has a credential already"),
            (PlanKind::Rotate | PlanKind::Retire, None) => return Err("the secret has no credential yet"),
            (PlanKind::Retire, Some(current)) if current != generation => return Err("another generation is current"),
            (PlanKind::Issue | PlanKind::Adopt | PlanKind::Rotate, _) if generation != self.next => {
                return Err("generation numbers count up");
            }
            _ => {}
        }
        if pins.places.is_empty() {
            return Err("the target has no place");
        }
        match (&pins.profile.overlap, slot) {
            (Overlap::Alternate(slots), Some(slot)) if slots.contains(slot) => {}
            (Overlap::Alternate(_), None) if kind == PlanKind::Retire => {}
            (Overlap::Alternate(_), _) => return Err("the slot is none of the target's"),
            (_, Some(_)) => return Err("the target has no slots"),
            (_, None) => {}
        }
        if slot.is_some_and(|slot| self.current_is_in(slot)) && self.current_lingers() {
            return Err("the slot holds the current credential");
        }
        Ok(())
    }

    /// The steps of a rotation that starts now.
    pub(crate) fn plan_of(&self, kind: PlanKind, pins: &Pins) -> Vec<Step> {
        let old = self.current.and_then(|current| self.generations.get(&current));
        let elsewhere = old.filter(|old| !old.pins.same_site(pins)).map(|old| &old.pins.profile);
        plan(kind, &pins.profile, elsewhere)
    }

    /// Whether the current credential is in a slot of this name. One that was made without slots is in the slot that one
    /// of its public fields names, such as the role that it logs in as.
    fn current_is_in(&self, slot: &Slot) -> bool {
        let Some(current) = self.current.and_then(|current| self.generations.get(&current)) else { return false };
        let named = |minted: &Minted| minted.attributes.iter().any(|(_, value)| value == slot.as_str());
        match &current.slot {
            Some(used) => used == slot,
            None => current.minted.as_ref().is_some_and(named),
        }
    }

    fn current_lingers(&self) -> bool {
        let current = self.current.and_then(|current| self.generations.get(&current));
        current.is_some_and(|current| current.lingering().next().is_some())
    }

    /// The slot for the next generation: from the one after current's, in turn, the first that holds nothing.
    pub(crate) fn next_slot(&self, profile: &Profile) -> Option<Slot> {
        let Overlap::Alternate(slots) = &profile.overlap else { return None };
        let first = slots.iter().position(|slot| self.current_is_in(slot)).map_or(0, |at| at + 1);
        let order = (0..slots.len()).filter_map(|turn| slots.get((first + turn) % slots.len()));
        let empty = |slot: &&Slot| {
            !self.generations.values().any(|it| it.slot.as_ref() == Some(*slot) && it.lingering().next().is_some())
        };
        order.clone().find(empty).or_else(|| order.clone().next()).cloned()
    }

    pub(crate) fn supplied(&mut self, generation: Generation, minted: &Minted) -> Verdict {
        let Some(rotation) = &self.rotation else { return Err("no rotation runs") };
        if rotation.kind != PlanKind::Adopt || rotation.made != generation {
            return Err("only an import is supplied with a credential");
        }
        let (places, slot) = (rotation.pins.places.clone(), self.slot_of(generation).map(|slot| slot.cloned()));
        let Some(credential) = self.generations.get_mut(&generation) else { return Err("no such generation") };
        if credential.minted.is_some() {
            return Err("it has been supplied already");
        }
        credential.minted = Some(minted.clone());
        credential.imported = true;
        for place in places {
            let standing = credential.standing(&place);
            standing.liveness = Liveness::Live;
            standing.installed = true;
            standing.changed_at = self.clock;
            if let Some(slot) = &slot {
                self.slots.insert((place, slot.clone()), generation);
            }
        }
        Ok(())
    }

    pub(crate) fn staged(&mut self) -> Verdict {
        self.unhindered()?;
        if self.step(self.clock) != Some(Step::Stage) {
            return Err("the steps before have not been done");
        }
        let moment = self.moment();
        let rotation = self.rotation.as_mut().ok_or("no rotation runs")?;
        if rotation.staged.is_some() {
            return Err("pending is staged already");
        }
        rotation.staged = Some(moment);
        rotation.patience = moment.steady;
        rotation.asked = moment.steady;
        Ok(())
    }

    pub(crate) fn committed(&mut self) -> Verdict {
        self.unhindered()?;
        if !self.replaying && self.step(self.clock) != Some(Step::Commit) {
            return Err("the steps before have not been done, or the evidence is not there");
        }
        let made = self.pending().and_then(|made| self.generations.get(&made)).ok_or("nothing is pending")?;
        // What the only slot holds already is committed all the same: the compromise is answered from there.
        if made.compromised.is_some() && !self.overwriting() {
            return Err("pending is compromised");
        }
        let (number, excused) = (made.number, made.overridden.is_some());
        let moment = self.moment();
        let rotation = self.rotation.as_mut().ok_or("no rotation runs")?;
        rotation.phase = Phase::Commit;
        rotation.committed = true;
        rotation.switched = Some(moment);
        rotation.excused = excused;
        rotation.patience = self.steady;
        rotation.asked = self.steady;
        if let Some(made) = self.generations.get_mut(&number) {
            made.imported = false;
            // The word was for its commit; its own end, one day, needs another.
            made.overridden = None;
            made.doubtful = false;
        }
        self.previous = self.current.replace(number);
        self.settle_wave();
        Ok(())
    }

    pub(crate) fn wave_opened(&mut self, wave: u32) -> Verdict {
        self.unhindered()?;
        let now = self.clock;
        let rotation = self.rotation.as_ref().ok_or("no rotation runs")?;
        let last = !self.replaying && self.last_wave(rotation, now);
        if wave != rotation.wave.number + 1 || rotation.wave.failed || last {
            return Err("it is not the next wave");
        }
        if !self.replaying && !self.wave_missing(now).is_empty() && !self.excused() {
            return Err("the wave before has not switched");
        }
        let steady = self.steady;
        let rotation = self.rotation.as_mut().ok_or("no rotation runs")?;
        rotation.wave = Wave { number: wave, settled: None, failed: false };
        rotation.patience = steady;
        rotation.asked = steady;
        self.settle_wave();
        Ok(())
    }

    pub(crate) fn draining(&mut self) -> Verdict {
        self.unhindered()?;
        if !self.replaying && !self.may_drain(self.clock) {
            return Err("not everyone who must has switched");
        }
        let moment = self.moment();
        let rotation = self.rotation.as_mut().ok_or("no rotation runs")?;
        rotation.draining = Some(moment);
        rotation.quiet.clear();
        Ok(())
    }

    pub(crate) fn rolling_back(&mut self, reason: &str, author: Option<&Author>) -> Verdict {
        self.may_roll_back()?;
        let rotation = self.rotation.as_mut().ok_or("no rotation runs")?;
        rotation.phase = Phase::RollingBack;
        reason.clone_into(&mut rotation.reason);
        // What failed on the way forward says nothing of the way back.
        let made = rotation.made;
        self.efforts.retain(|effort, _| effort.generation != made || effort.orphan.is_some());
        if author.is_none() {
            self.setbacks += 1;
        }
        self.hold = None;
        Ok(())
    }

    /// Whether pending can be given back: where it took the place of the current value, that has to be put in again.
    pub(crate) fn may_roll_back(&self) -> Verdict {
        let current = self.current.and_then(|current| self.generations.get(&current));
        let Some(current) = current.filter(|_| self.overwriting()) else { return Ok(()) };
        let reinstall = self.profile().is_some_and(|profile| profile.reinstall);
        if reinstall && current.known() && !current.lost() {
            Ok(())
        } else {
            Err("the target may hold pending already, and the current value cannot be put in again")
        }
    }

    pub(crate) fn reverting(&mut self, reason: &str) -> Verdict {
        self.may_revert()?;
        let previous = self.previous.ok_or("there is no previous credential")?;
        self.recall(previous);
        let rotation = self.rotation.as_mut().ok_or("no rotation runs")?;
        rotation.phase = Phase::Reverting;
        reason.clone_into(&mut rotation.reason);
        rotation.draining = None;
        rotation.quiet.clear();
        rotation.wave = Wave::default();
        self.hold = None;
        self.efforts.clear();
        Ok(())
    }

    /// A write of keybaton's own: no freeze and no hold stops it, for it touches nothing at the target.
    pub(crate) fn reverted(&mut self) -> Verdict {
        let back = self.previous.ok_or("there is no previous credential")?;
        if self.rotation.is_none() {
            return self.turned_out(back);
        }
        let first = self.rotation.as_ref().is_some_and(Rotation::commits_first);
        if !first && !self.everywhere(|place| self.works_at(back, place)) {
            return Err("previous is not proven at every place");
        }
        let moment = self.moment();
        let rotation = self.rotation.as_mut().ok_or("no rotation runs")?;
        rotation.phase = Phase::Commit;
        rotation.switched = Some(moment);
        rotation.aim_used = false;
        rotation.quiet.clear();
        rotation.reverted = back != rotation.made;
        rotation.aim = back;
        rotation.patience = moment.steady;
        rotation.asked = moment.steady;
        self.previous = self.current.replace(back);
        if let Some(back) = self.generations.get_mut(&back) {
            back.doubtful = false;
        }
        Ok(())
    }

    /// A rotation was left in the middle of overwriting the only slot, and the login that works is the old one.
    fn turned_out(&mut self, back: Generation) -> Verdict {
        if !self.old_one_works() {
            return Err("the previous credential was not seen to be the one that works");
        }
        self.recall(back);
        if let Some(back) = self.generations.get_mut(&back) {
            back.places.values_mut().for_each(|standing| standing.verified = Verified::Works);
        }
        self.previous = self.current.replace(back);
        Ok(())
    }

    /// With one slot: a place where it is not known yet which of the two values works, though it can be.
    pub(crate) fn undecided(&self) -> Option<&Place> {
        let (old, new) = (self.left_in_the_slot()?, self.current?);
        let known = |generation| self.generations.get(&generation).is_some_and(Credential::known);
        let open = |place: &&Place| {
            let tried = self.refused(new, place).is_some() && self.refused(old, place).is_some();
            !tried && !self.works_at(new, place) && !self.works_at(old, place)
        };
        self.places().iter().find(open).filter(|_| known(new) && known(old))
    }

    /// With one slot: everywhere the other value works, so that the one called current is not there.
    pub(crate) fn old_one_works(&self) -> bool {
        self.left_in_the_slot().is_some_and(|back| self.everywhere(|place| self.works_at(back, place)))
    }

    /// The other value of the only slot, where a rotation was left before it was known which of the two is in it.
    fn left_in_the_slot(&self) -> Option<Generation> {
        let current = self.current.filter(|_| self.rotation.is_none())?;
        self.previous.filter(|previous| self.slot_of(*previous) == Some(None) && self.share_slot(*previous, current))
    }

    pub(crate) fn finish(&mut self, ending: Ending, reason: &str) -> Verdict {
        let rotation = self.rotation.as_ref().ok_or("no rotation runs")?;
        let made_is_gone = !self.generations.contains_key(&rotation.made);
        let through = rotation.committing() && (self.replaying || self.step(self.clock).is_none());
        let legal = match ending {
            Ending::Abandoned => true,
            Ending::RolledBack => rotation.phase == Phase::RollingBack && made_is_gone,
            Ending::Completed => through && !rotation.reverted && self.ended_here(),
            Ending::Reverted => through && rotation.reverted && self.ended_here(),
        };
        if !legal {
            return Err("the rotation has not come to this end");
        }
        if ending == Ending::Completed {
            self.setbacks = 0;
        }
        if ending == Ending::Abandoned && rotation.kind == PlanKind::Retire {
            self.leave_retirement();
        }
        if ending == Ending::Abandoned && self.overwriting() {
            // Which of the two values the only slot holds is found out by trying both.
            self.previous = self.pending();
        }
        self.rotation = None;
        if self.restored.is_none() {
            self.hold = None;
        }
        let generations = &self.generations;
        self.efforts.retain(|effort, _| generations.contains_key(&effort.generation));
        self.forget_closed_calls();
        self.finished = Some((self.clock, ending, reason.to_owned()));
        Ok(())
    }

    /// A secret that was to end, and is left in the middle of that: what has been touched ends, what has not stays.
    fn leave_retirement(&mut self) {
        let Some(current) = self.current else { return };
        let touched = self
            .generations
            .get(&current)
            .is_some_and(|it| it.places.values().any(|standing| standing.liveness != Liveness::Live));
        if touched {
            self.current = None;
        } else {
            self.recall(current);
        }
    }

    /// Nothing stops a step: neither a freeze, nor a hold, nor an unfinished restore.
    pub(crate) const fn unhindered(&self) -> Verdict {
        if self.restored.is_some() {
            return Err("the secret was restored and has not been compared with its target");
        }
        if self.frozen.is_some() {
            return Err("the secret is frozen");
        }
        if self.hold.is_some() {
            return Err("the secret is held");
        }
        Ok(())
    }

    /// The old generation may end without everyone's evidence: somebody answers for it.
    pub(crate) fn excused(&self) -> bool {
        self.ending()
            .and_then(|old| self.generations.get(&old))
            .is_some_and(|old| old.overridden.is_some() || old.compromised.is_some_and(|exposure| exposure.at_once))
    }

    /// Whether the overlap and the quiet time may begin to run.
    pub(crate) fn may_drain(&self, now: Millis) -> bool {
        let Some(rotation) = self.rotation.as_ref().filter(|rotation| rotation.draining.is_none()) else {
            return false;
        };
        match (rotation.kind, self.ending()) {
            (PlanKind::Retire, Some(current)) => self.excused() || self.released(current, now).open(),
            (PlanKind::Rotate, Some(_)) => rotation.plan.contains(&Step::Drain) && self.step(now) == Some(Step::Drain),
            _ => false,
        }
    }

    /// Takes a credential back from its retirement, and makes everything about it to be tried again.
    pub(crate) fn recall(&mut self, generation: Generation) {
        let had = self.retirements.len();
        self.retirements.retain(|job, _| job.generation != generation || job.orphan.is_some());
        if let Some(credential) = self.generations.get_mut(&generation) {
            credential.recalls += u32::from(self.retirements.len() != had);
            // Policy gave up on those who were late; who wants it back now has spoken since.
            credential.overridden = credential.overridden.filter(|word| *word != Word::Policy);
            credential.places.values_mut().for_each(|standing| standing.verified = Verified::Untried);
        }
    }

    /// Whether previous can be put back, in the commit phase of a rotation.
    pub(crate) fn may_revert(&self) -> Verdict {
        let rotation = self.rotation.as_ref().ok_or("no rotation runs")?;
        let previous = self.previous.and_then(|it| self.generations.get(&it));
        let previous = previous.ok_or("there is no previous credential")?;
        if rotation.kind != PlanKind::Rotate {
            return Err("the secret ends: nothing has been committed");
        }
        if previous.destroying() {
            return Err("a destroy of the previous credential has been intended");
        }
        if previous.compromised.is_some() {
            return Err("the previous credential is compromised: nothing restores it");
        }
        let overwritten = self.rival(previous.number).is_some();
        if overwritten && !(rotation.pins.profile.reinstall && previous.known()) {
            return Err("the target forbids putting the previous value back, or the value is unknown");
        }
        Ok(())
    }
}
