//! Arms of the transition table: the rotation's course from start to finish, and what it runs on.

use crate::event::{Event, Minted, Pins};
use crate::generation::{Credential, Liveness, Verified, Word};
use crate::guard::course::{may_commit, may_drain, may_revert, may_roll_back, may_stage};
use crate::guard::start::{Start, may_start};
use crate::guard::{STEPS, unhindered};
use crate::ids::{Author, Generation, Place};
use crate::plan::unpinned;
use crate::rotation::{Moment, Rotation, Steps, Wave};
use crate::state::Secret;
use crate::step::{Ending, Phase, PlanKind};
use crate::table::Verdict;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Secret {
    const fn moment(&self) -> Moment {
        Moment { at: self.clock, steady: self.steady, steps: Steps::NONE }
    }

    pub(crate) fn started(&mut self, event: &Event) -> Verdict {
        let Event::Started { rotation, kind, generation, slot, cause, author, pins, plan } = event else {
            return Err("it is not a start".into());
        };
        may_start(self, &Start { kind: *kind, generation: *generation, slot: slot.as_ref(), pins })?;
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

    pub(crate) fn supplied(&mut self, generation: Generation, minted: &Minted) -> Verdict {
        let Some(rotation) = &self.rotation else { return Err("no rotation runs".into()) };
        if rotation.kind != PlanKind::Adopt || rotation.made != generation {
            return Err("only an import is supplied with a credential".into());
        }
        let (places, slot) = (rotation.pins.places.clone(), self.slot_of(generation).map(|slot| slot.cloned()));
        let Some(credential) = self.generations.get_mut(&generation) else { return Err("no such generation".into()) };
        if credential.minted.is_some() {
            return Err("it has been supplied already".into());
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
        may_stage(self, self.clock)?;
        let moment = self.moment();
        let rotation = self.rotation.as_mut().ok_or("no rotation runs")?;
        rotation.staged = Some(moment);
        rotation.patience = moment.steady;
        rotation.asked = moment.steady;
        Ok(())
    }

    pub(crate) fn committed(&mut self) -> Verdict {
        may_commit(self, self.clock)?;
        let made = self.pending().and_then(|made| self.generations.get(&made)).ok_or("nothing is pending")?;
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
        unhindered(STEPS, self)?;
        let now = self.clock;
        let rotation = self.rotation.as_ref().ok_or("no rotation runs")?;
        let last = !self.replaying && self.last_wave(rotation, now);
        if wave != rotation.wave.number + 1 || rotation.wave.failed || last {
            return Err("it is not the next wave".into());
        }
        if !self.replaying && !self.wave_missing(now).is_empty() && !self.excused() {
            return Err("the wave before has not switched".into());
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
        may_drain(self, self.clock)?;
        let moment = self.moment();
        let rotation = self.rotation.as_mut().ok_or("no rotation runs")?;
        rotation.draining = Some(moment);
        rotation.quiet.clear();
        Ok(())
    }

    pub(crate) fn rolling_back(&mut self, reason: &str, author: Option<&Author>) -> Verdict {
        may_roll_back(self)?;
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

    pub(crate) fn reverting(&mut self, reason: &str) -> Verdict {
        may_revert(self)?;
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
            return Err("previous is not proven at every place".into());
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
            return Err("the previous credential was not seen to be the one that works".into());
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
            return Err("the rotation has not come to this end".into());
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

    /// The old generation may end without everyone's evidence: somebody answers for it.
    pub(crate) fn excused(&self) -> bool {
        self.ending()
            .and_then(|old| self.generations.get(&old))
            .is_some_and(|old| old.overridden.is_some() || old.compromised.is_some_and(|exposure| exposure.at_once))
    }

    /// Takes a credential back from its retirement, and makes everything about it to be tried again.
    pub(crate) fn recall(&mut self, generation: Generation) {
        let had = self.retirements.len();
        self.retirements.retain(|job, _| job.generation != generation || job.orphan.is_some());
        if let Some(credential) = self.generations.get_mut(&generation) {
            credential.recalls += u32::from(self.retirements.len() != had);
            // Policy gave up on those who were late; who wants it back now has spoken since.
            credential.overridden = credential.overridden.filter(|word| *word > Word::Policy);
            credential.places.values_mut().for_each(|standing| standing.verified = Verified::Untried);
        }
    }
}
