//! Arms of the transition table: restores. The journal is older than the target and the consumers, by an unknown time.
//! So nothing that it says of them counts before it was looked at again, and nothing ends by what was said, fetched or
//! waited for before the restore.

use crate::calls::{CallState, Effort, OpenCall, Tries};
use crate::event::Outcome;
use crate::fault::{Blame, FailureClass, Fault};
use crate::generation::{Credential, Liveness, Verified};
use crate::ids::{Epoch, Generation, Place};
use crate::profile::Overlap;
use crate::retirement::Overlap as Waited;
use crate::rotation::Wave;
use crate::state::{Hold, Restored, Secret};
use crate::step::{CallKind, Ending};
use crate::table::Verdict;
use std::collections::{BTreeMap, BTreeSet};

impl Secret {
    /// A journal that begins in a later epoch than the first one takes that epoch at its start.
    pub(crate) fn begun(&mut self, epoch: Epoch) -> Verdict {
        if self.pins.is_some() || self.epoch != Epoch(0) {
            return Err("the journal has begun already".into());
        }
        self.epoch = epoch;
        Ok(())
    }

    /// Another epoch begins: what was said, seen or sent in the last one proves nothing now.
    pub(crate) fn restore(&mut self, epoch: Epoch, strict: bool) -> Verdict {
        if epoch <= self.epoch {
            return Err("epochs count up".into());
        }
        self.epoch = epoch;
        self.observations.clear();
        self.loose.clear();
        self.efforts.clear();
        self.calls.values_mut().for_each(|call| call.state = CallState::Closed);
        for replica in self.replicas.values_mut() {
            replica.ready.clear();
            replica.adopted = None;
            replica.released.clear();
            replica.dropped.clear();
        }
        for credential in self.generations.values_mut() {
            credential.places.values_mut().for_each(|standing| standing.verified = Verified::Untried);
        }
        if let Some(rotation) = self.rotation.as_mut() {
            rotation.draining = None;
            rotation.quiet.clear();
        }
        if strict {
            self.doubt_all();
        }
        let (tried, strangers) = (BTreeMap::new(), BTreeSet::new());
        self.restored = Some(Restored { first_call: self.next_call, strict, tried, strangers });
        self.hold = Some(Hold {
            reason: crate::event::HoldReason::Reconcile,
            detail: "restored from a backup: compare it with its target, then reconcile".to_owned(),
            since: self.clock,
        });
        Ok(())
    }

    /// Nobody knows who uses what is not current, nor what the other slots of the target hold by now.
    fn doubt_all(&mut self) {
        let (current, steady) = (self.current, self.steady);
        self.replicas.values_mut().for_each(|replica| replica.failed.clear());
        for retirement in self.retirements.values_mut() {
            retirement.disabled = None;
            retirement.overlap = Waited { since: steady, ..retirement.overlap };
        }
        if let Some(rotation) = self.rotation.as_mut() {
            rotation.excused = false;
            rotation.cries.clear();
            rotation.wave = Wave { settled: None, ..rotation.wave };
        }
        for credential in self.generations.values_mut() {
            credential.doubtful = Some(credential.number) != current;
            credential.overridden = None;
            for standing in credential.places.values_mut() {
                if standing.liveness == Liveness::Disabled {
                    standing.liveness = Liveness::MaybeDisabled;
                }
            }
        }
        let used = current.and_then(|it| self.generations.get(&it)).and_then(|it| it.slot.clone());
        let slots = match self.profile().map(|profile| profile.overlap.clone()) {
            Some(Overlap::Alternate(slots)) => slots,
            _ => Vec::new(),
        };
        let others: Vec<_> = slots.into_iter().filter(|slot| Some(slot) != used.as_ref()).collect();
        let places = self.places().to_vec();
        let all = places.into_iter().flat_map(|place| others.iter().map(move |slot| (place.clone(), slot.clone())));
        let all: Vec<_> = all.collect();
        self.doubtful_slots.extend(all);
    }

    /// Whether nobody knows what the slot of a generation holds at a place since a restore.
    pub(crate) fn slot_doubtful(&self, generation: Generation, place: &Place) -> bool {
        let slot = self.generations.get(&generation).and_then(|it| it.slot.as_ref());
        slot.is_some_and(|slot| self.doubtful_slots.contains(&(place.clone(), slot.clone())))
    }

    /// A person wants it compared now: pauses after failed attempts are over.
    pub(crate) fn compare_again(&mut self) -> Verdict {
        let restored = self.restored.as_mut().ok_or("it was not restored")?;
        restored.tried.retain(|_, works| *works);
        self.efforts.clear();
        Ok(())
    }

    /// What a comparison tells of a credential: a refusal is tried again after a pause, for as long as it takes. One
    /// that works is live there, whatever the journal knew of it.
    pub(crate) fn compared_at(&mut self, open: &OpenCall, outcome: &Outcome) {
        let Some(restored) = self.restored.as_mut() else { return };
        let (generation, place) = (open.generation, &open.place);
        restored.tried.insert((generation, place.clone()), matches!(outcome, Outcome::Works));
        match outcome {
            Outcome::Refused(reason) => {
                let fault = Fault {
                    class: FailureClass::Retryable,
                    blame: Blame::Target,
                    code: "verify.refused".to_owned(),
                    message: reason.clone(),
                    retry_after_ms: None,
                };
                let not_before = self.clock.plus(open.pins.policy.attempts.pause_ms(open.attempt));
                let tries = Tries { count: open.attempt, not_before, fault, exhausted: false };
                self.efforts.insert(open.effort(), tries);
            }
            Outcome::Works if restored.strict => {
                let Some(credential) = self.generations.get_mut(&generation) else { return };
                let slot = credential.slot.clone();
                let standing = credential.standing(place);
                if standing.liveness != Liveness::Gone && standing.liveness != Liveness::Live {
                    standing.liveness = Liveness::Live;
                    standing.changed_at = self.clock;
                }
                standing.installed = true;
                if slot.is_some() {
                    self.slots.insert((place.clone(), slot), generation);
                }
            }
            _ => {}
        }
    }

    /// With one slot: the target was seen to hold pending, so that current is nowhere any more.
    pub(crate) fn only_pending_works(&self) -> bool {
        let pending = self.pending().filter(|_| self.one_slot());
        let nowhere = |current: &Credential| current.lingering().next().is_none();
        pending.is_some_and(|it| self.everywhere(|place| self.works_at(it, place)))
            && self.current.and_then(|it| self.generations.get(&it)).is_some_and(nowhere)
    }

    pub(crate) fn reconciled(&mut self, next: Generation) -> Verdict {
        self.may_reconcile()?;
        if next < self.next {
            return Err("generation numbers never go back".into());
        }
        self.next = next;
        self.compared();
        Ok(())
    }

    /// The comparison is over.
    fn compared(&mut self) {
        self.restored = None;
        self.hold = None;
        self.efforts.clear();
        let steady = self.steady;
        if let Some(rotation) = self.rotation.as_mut() {
            rotation.patience = steady;
            rotation.first_call = self.next_call;
        }
    }

    /// Whether a generation was seen to work at every place since the restore.
    pub(crate) fn works_since_restore(&self, generation: Option<Generation>) -> bool {
        let (Some(generation), Some(restored)) = (generation, self.restored.as_ref()) else { return false };
        let works = |place: &Place| restored.tried.get(&(generation, place.clone())) == Some(&true);
        !self.places().is_empty() && self.everywhere(works)
    }

    /// Whether a generation was tried at a place since the restore, or can't be.
    pub(crate) fn tried_since_restore(&self, generation: Generation, place: &Place) -> bool {
        let known = self.generations.get(&generation).is_some_and(Credential::known);
        let tried = |restored: &Restored| restored.tried.contains_key(&(generation, place.clone()));
        !known || self.restored.as_ref().is_some_and(tried)
    }

    /// Whether a place was looked at since the restore.
    pub(crate) fn seen_since_restore(&self, place: &Place) -> bool {
        let first = self.restored.as_ref().map(|restored| restored.first_call);
        self.observations.get(place).is_some_and(|seen| Some(seen.call) >= first)
    }

    /// Whether a restored secret has been observed at every place of its target, and one of the credentials that it
    /// knows was seen to work at all of them.
    pub(crate) fn may_reconcile(&self) -> Verdict {
        self.restored.as_ref().ok_or("it was not restored")?;
        let Some(current) = self.current.and_then(|current| self.generations.get(&current)) else { return Ok(()) };
        if !self.everywhere(|place| self.seen_since_restore(place)) {
            return Err("the target has not been observed at every place since the restore".into());
        }
        let works = [self.current, self.pending(), self.previous].into_iter().any(|it| self.works_since_restore(it));
        if current.known() && !works {
            return Err("the current credential was not seen to work at every place since the restore".into());
        }
        Ok(())
    }

    /// An author gives up what the journal knows: the target refuses it. Nothing is touched at the target. What is
    /// listed there becomes foreign; the values known here are erased, for they open nothing.
    pub(crate) fn lost(&mut self, next: Generation) -> Verdict {
        self.may_accept_lost()?;
        if next < self.next {
            return Err("generation numbers never go back".into());
        }
        self.next = next;
        let listed = self.observations.iter().flat_map(|(place, seen)| {
            let known = |id: &crate::ids::TargetId| {
                self.generations.values().any(|credential| credential.id_at(place) == Some(id))
            };
            let ids = seen.live.iter().map(|live| &live.id).filter(move |id| known(id));
            ids.map(move |id| (place.clone(), id.clone()))
        });
        let listed: Vec<_> = listed.collect();
        self.foreign.extend(listed);
        self.current = None;
        self.previous = None;
        self.retirements.clear();
        self.loose.clear();
        self.slots.clear();
        self.calls.clear();
        self.setbacks = 0;
        self.generations.values_mut().for_each(|credential| credential.places.clear());
        if self.rotation.take().is_some() {
            self.finished = Some((self.clock, Ending::Abandoned, "its credentials were lost in a restore".to_owned()));
        }
        self.compared();
        Ok(())
    }

    /// Whether an author may give up the current credential: it was tried at every place since the restore, and works
    /// nowhere. A place that could not be reached counts as tried once an attempt has failed.
    pub(crate) fn may_accept_lost(&self) -> Verdict {
        let restored = self.restored.as_ref().ok_or("it was not restored")?;
        let current = self.current.ok_or("it has no current credential that could be lost")?;
        if restored.tried.values().any(|works| *works) {
            return Err("a credential that the journal knows works at the target: it is not lost".into());
        }
        let failed = |place: &Place| {
            [CallKind::Observe, CallKind::Verify].into_iter().any(|kind| {
                let effort = Effort { kind, generation: current, place: place.clone(), orphan: None };
                self.efforts.contains_key(&effort)
            })
        };
        if !self.everywhere(|place| restored.tried.contains_key(&(current, place.clone())) || failed(place)) {
            return Err("the current credential has not been tried at every place since the restore".into());
        }
        Ok(())
    }
}
