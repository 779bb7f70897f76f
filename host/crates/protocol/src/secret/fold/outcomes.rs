//! Arms of the transition table: what came of plugin calls and of what they sent. Accepted wherever the secret stands:
//! an outcome is a fact, however late it comes.

use crate::calls::{CallState, Effort, OpenCall, Touched, Tries};
use crate::event::{HostAnswer, Minted, Outcome};
use crate::fault::{Blame, FailureClass, Fault};
use crate::generation::{Liveness, Standing, Verified, Word};
use crate::ids::{CallId, Generation, Millis, Ordinal, Place, TargetId};
use crate::retirement::Job;
use crate::state::Secret;
use crate::step::{CallKind, Phase};
use crate::table::Verdict;

impl Secret {
    pub(crate) fn answered(&mut self, call: CallId, ordinal: Ordinal, answer: HostAnswer) -> Verdict {
        if call >= self.next_call {
            return Err("no such call was ever intended".into());
        }
        let Some(open) = self.calls.get_mut(&call) else { return Ok(()) };
        match answer {
            // It stays open until its deadline: only an observation begun after that can tell.
            HostAnswer::Lost => {}
            HostAnswer::NotDone => drop(open.sents.remove(&ordinal)),
            HostAnswer::Answered => {
                open.sents.remove(&ordinal);
                open.acted = true;
            }
        }
        if let CallState::Doubt { .. } = open.state {
            if open.sents.is_empty() && !open.acted {
                if let Some(open) = self.calls.remove(&call) {
                    self.nothing_happened(call, &open);
                }
            } else {
                let until = open.latest(self.clock);
                open.state = CallState::Doubt { until };
            }
        }
        Ok(())
    }

    pub(crate) fn ended(&mut self, call: CallId, outcome: &Outcome) -> Verdict {
        if call >= self.next_call {
            return Err("no such call was ever intended".into());
        }
        // Long closed: an observation has told since then what became of it.
        let Some(open) = self.calls.get(&call).cloned() else { return Ok(()) };
        if !fits(open.kind, outcome) {
            return Err("that is no outcome of such a call".into());
        }
        let late = open.state == CallState::Closed;
        if let Some(until) = self.left_in_doubt(&open, outcome).filter(|_| !late) {
            if let Some(open) = self.calls.get_mut(&call) {
                open.state = CallState::Doubt { until };
            }
        } else {
            self.calls.remove(&call);
        }
        match outcome {
            Outcome::Failed(fault) if !late => {
                if !self.calls.contains_key(&call) && !open.acted {
                    self.nothing_happened(call, &open);
                }
                self.failed(&open, fault);
            }
            Outcome::Failed(_) => {}
            _ => {
                self.efforts.remove(&open.effort());
                self.succeeded(call, &open, outcome);
            }
        }
        Ok(())
    }

    /// Until when what a call sent may still take effect, if it ended without that being known.
    fn left_in_doubt(&self, open: &OpenCall, outcome: &Outcome) -> Option<Millis> {
        let failed = match outcome {
            Outcome::Failed(fault) => Some(fault.class),
            _ => None,
        };
        let minting = open.kind == CallKind::Create && self.target_mints() && open.acted;
        let in_doubt = !open.sents.is_empty()
            || (failed == Some(FailureClass::Ambiguous) && open.kind.mutates())
            || (failed.is_some() && minting);
        in_doubt.then(|| open.latest(self.clock))
    }

    /// A call that certainly changed nothing: what its intent had made uncertain stands as before, unless something else
    /// has been begun at the place, or been learnt, since.
    pub(crate) fn nothing_happened(&mut self, call: CallId, open: &OpenCall) {
        if self.last_mutation.get(&open.place) != Some(&call) {
            return;
        }
        for Touched { generation, before, after } in &open.touched {
            let standing = self.generations.get_mut(generation).map(|it| it.standing(&open.place));
            if let Some(standing) = standing.filter(|standing| **standing == *after) {
                // That its destroy was intended stays on record.
                let destroying = standing.destroying;
                *standing = Standing { destroying, ..before.clone() };
            }
        }
        if let Some((slot, holder)) = open.slot_before.clone() {
            let key = (open.place.clone(), slot);
            match holder {
                Some(holder) => drop(self.slots.insert(key, holder)),
                None => drop(self.slots.remove(&key)),
            }
        }
    }

    /// Forgets calls that were cut off before they had sent anything, and that nothing will take up again.
    pub(crate) fn drop_ineffective(&mut self) {
        let idle: Vec<_> = self.calls.iter().filter(|(_, call)| self.without_effect(call)).map(|(id, _)| *id).collect();
        for id in idle {
            if let Some(call) = self.calls.remove(&id) {
                self.nothing_happened(id, &call);
            }
        }
    }

    pub(crate) fn failed(&mut self, open: &OpenCall, fault: &Fault) {
        let job = Job { generation: open.generation, place: open.place.clone(), orphan: open.orphan.clone() };
        let ends = matches!(open.kind, CallKind::Disable | CallKind::Destroy);
        if ends && !self.retirements.contains_key(&job) {
            // Called back meanwhile: that this failed must not hinder its end when that comes.
            return;
        }
        let attempts = &open.pins.policy.attempts;
        let pause_ms = attempts.pause_ms(open.attempt).max(fault.retry_after_ms.unwrap_or(0));
        let hopeless =
            matches!(fault.class, FailureClass::Permanent | FailureClass::Denied | FailureClass::Unsupported);
        let tries = Tries {
            count: open.attempt,
            not_before: self.clock.plus(pause_ms),
            fault: fault.clone(),
            // A comparison after a restore is tried again for as long as it takes: without it there is no way on.
            exhausted: self.restored.is_none() && (hopeless || open.attempt >= attempts.cap),
        };
        self.efforts.insert(open.effort(), tries);
    }

    fn succeeded(&mut self, call: CallId, open: &OpenCall, outcome: &Outcome) {
        if let Outcome::Done(facts) = outcome
            && open.orphan.is_none()
        {
            self.told(open.generation, facts);
        }
        let job = Job { generation: open.generation, place: open.place.clone(), orphan: open.orphan.clone() };
        match (open.kind, outcome) {
            (CallKind::Create, Outcome::Created(minted)) => self.created(call, open, minted),
            (CallKind::Observe, Outcome::Observed { began_at, live }) => self.observed(call, open, *began_at, live),
            (CallKind::Verify, outcome) => {
                self.tried(open.generation, &open.place, outcome);
                self.compared_at(open, outcome);
            }
            (CallKind::Destroy, _) => {
                if let Some(retirement) = self.retirements.get_mut(&job) {
                    retirement.gone = true;
                }
                if job.orphan.is_none() {
                    self.now_stands(call, open, Liveness::Gone);
                    if let Some(slot) = self.generations.get(&open.generation).and_then(|it| it.slot.clone()) {
                        self.doubtful_slots.remove(&(open.place.clone(), slot));
                    }
                }
            }
            (CallKind::Disable, _) => {
                let steady = self.steady;
                if let Some(retirement) = self.retirements.get_mut(&job) {
                    retirement.disabled = Some(steady);
                }
                if job.orphan.is_none() {
                    self.now_stands(call, open, Liveness::Disabled);
                }
            }
            (CallKind::Enable, _) => self.now_stands(call, open, Liveness::Live),
            (CallKind::Promote, _) => self.promoted(open.generation, &open.place),
            (CallKind::Install, Outcome::Done(facts)) => self.installed(call, open, facts),
            _ => {}
        }
    }

    fn now_stands(&mut self, call: CallId, open: &OpenCall, liveness: Liveness) {
        let now = self.clock;
        let Some(credential) = self.generations.get_mut(&open.generation) else { return };
        let standing = credential.standing(&open.place);
        // What is gone stays gone, and an older answer that comes late tells of an older time.
        let stale = standing.changed_by > call && liveness != Liveness::Gone;
        if standing.liveness != Liveness::Gone && !stale {
            standing.liveness = liveness;
            standing.changed_at = now;
            standing.verified = Verified::Untried;
        }
    }

    /// What a call told of a generation is shown to the calls that follow; the newest of each name counts.
    fn told(&mut self, generation: Generation, facts: &[(String, String)]) {
        let Some(minted) = self.generations.get_mut(&generation).and_then(|it| it.minted.as_mut()) else { return };
        for (name, value) in facts.iter().filter(|(name, _)| name != "id") {
            match minted.facts.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.clone_from(value),
                None => minted.facts.push((name.clone(), value.clone())),
            }
        }
    }

    fn promoted(&mut self, generation: Generation, place: &Place) {
        for credential in self.generations.values_mut() {
            if let Some(standing) = credential.places.get_mut(place) {
                standing.promoted = credential.number == generation;
            }
        }
    }

    fn created(&mut self, call: CallId, open: &OpenCall, minted: &Minted) {
        let mints = self.target_mints();
        let taken_up = self.calls.values().any(|other| other.resumes.contains(&call));
        let orphan = minted.id.as_ref().is_some_and(|id| self.orphaned(&open.place, id));
        if orphan || (open.state == CallState::Closed && taken_up) {
            // It is being ended already, or the call that took this one up brings the same.
            return;
        }
        let late = open.state == CallState::Closed || self.pending() != Some(open.generation);
        let now = self.clock;
        match self.generations.get_mut(&open.generation) {
            Some(credential) if credential.minted.is_none() && !late => {
                credential.minted = Some(minted.clone());
                if mints {
                    let standing = credential.standing(&open.place);
                    standing.liveness = Liveness::Live;
                    standing.changed_at = now;
                }
            }
            Some(credential) if credential.id_at(&open.place) == minted.id.as_ref() => {}
            // It came too late, or second: what the target minted is live, and has to be ended.
            _ => {
                let Some(id) = minted.id.as_ref().filter(|_| mints) else { return };
                let job = Job { generation: open.generation, place: open.place.clone(), orphan: Some(id.clone()) };
                self.loose.insert(job, (open.rotation.clone(), open.pins.clone()));
            }
        }
        if let Some(id) = &minted.id {
            self.foreign.remove(&(open.place.clone(), id.clone()));
            self.strangers.remove(&(open.place.clone(), id.clone()));
        }
    }

    /// Whether an id is one that a lost mint of ours left behind, and that is being ended.
    fn orphaned(&self, place: &Place, id: &TargetId) -> bool {
        let job = |job: &Job| job.place == *place && job.orphan.as_ref() == Some(id);
        self.retirements.keys().any(job) || self.loose.keys().any(job)
    }

    fn installed(&mut self, call: CallId, open: &OpenCall, facts: &[(String, String)]) {
        let slot = self.slot_of(open.generation).map(|slot| slot.cloned());
        let newest = slot.and_then(|slot| self.slots.get(&(open.place.clone(), slot)).copied());
        if newest.is_some_and(|newest| newest != open.generation) {
            return;
        }
        self.now_stands(call, open, Liveness::Live);
        let id: Option<TargetId> = facts.iter().find(|(name, _)| name == "id").and_then(|(_, id)| id.parse().ok());
        if let Some(id) = &id {
            // Seen before its install was heard of, it was taken for somebody else's.
            self.foreign.remove(&(open.place.clone(), id.clone()));
            self.strangers.remove(&(open.place.clone(), id.clone()));
        }
        if let Some(credential) = self.generations.get_mut(&open.generation) {
            let standing = credential.standing(&open.place);
            standing.installed = true;
            standing.id = id.or_else(|| standing.id.take());
        }
        if let Some(slot) = self.generations.get(&open.generation).and_then(|it| it.slot.clone()) {
            self.doubtful_slots.remove(&(open.place.clone(), slot));
        }
        self.overwrite(open.generation, &open.place);
    }

    /// The others of a slot that was written are gone there.
    fn overwrite(&mut self, generation: Generation, place: &Place) {
        let Some(slot) = self.slot_of(generation).map(|slot| slot.cloned()) else { return };
        let others: Vec<_> = self
            .generations
            .keys()
            .copied()
            .filter(|other| *other != generation && self.share_slot(*other, generation))
            .collect();
        for other in others {
            if let Some(standing) = self.generations.get_mut(&other).and_then(|it| it.places.get_mut(place))
                && standing.liveness.lingers()
            {
                standing.liveness = if slot.is_none() { Liveness::Absent } else { Liveness::Gone };
                standing.installed = false;
                standing.verified = Verified::Untried;
            }
        }
    }

    fn tried(&mut self, generation: Generation, place: &Place, outcome: &Outcome) {
        let works = matches!(outcome, Outcome::Works);
        self.told_of_unlisted(generation, place, works);
        let now = self.clock;
        let one_slot = self.slot_of(generation) == Some(None);
        if one_slot && works {
            self.belie(generation, place);
        }
        if works && self.past_expiry(generation, now) {
            let given_up = self.generations.values_mut().filter(|it| it.overridden == Some(Word::Expired));
            given_up.for_each(|it| it.overridden = None);
        }
        let Some(standing) = self.generations.get_mut(&generation).map(|it| it.standing(place)) else { return };
        match outcome {
            Outcome::Works => {
                standing.verified = Verified::Works;
                standing.seen_at = now;
                if matches!(standing.liveness, Liveness::Maybe | Liveness::MaybeDisabled) {
                    standing.liveness = Liveness::Live;
                    standing.installed = true;
                }
                if one_slot && standing.liveness != Liveness::Gone {
                    // The login that works is the truth about the only slot.
                    standing.liveness = Liveness::Live;
                    standing.installed = true;
                    let install = Effort { kind: CallKind::Install, generation, place: place.clone(), orphan: None };
                    self.efforts.remove(&install);
                    self.slots.insert((place.clone(), None), generation);
                    self.overwrite(generation, place);
                }
            }
            Outcome::Refused(reason) => {
                standing.verified = Verified::Refused { at: now, reason: reason.clone() };
            }
            _ => {}
        }
    }

    /// What was missing from a look has been tried. Where none of it works, the look may be taken again at once.
    fn told_of_unlisted(&mut self, generation: Generation, place: &Place, works: bool) {
        let Some(unlisted) = self.unlisted.get_mut(place) else { return };
        unlisted.remove(&generation);
        if unlisted.is_empty() {
            self.unlisted.remove(place);
            if !works {
                self.efforts.retain(|effort, _| effort.kind != CallKind::Observe || effort.place != *place);
            }
        }
    }

    /// One slot: the install of another value was answered there, that value was refused since, and now this one works.
    /// To install it again and again would change nothing.
    fn belie(&mut self, works: Generation, place: &Place) {
        let Some(aim) = self.rotation.as_ref().map(|rotation| rotation.aim).filter(|aim| *aim != works) else { return };
        if !self.rotation.as_ref().is_some_and(|rotation| matches!(rotation.phase, Phase::Prepare | Phase::Commit)) {
            return;
        }
        if !self.installed_at(aim, place) || self.refused(aim, place).is_none() {
            return;
        }
        let fault = Fault {
            class: FailureClass::Permanent,
            blame: Blame::Target,
            code: "install.not-kept".to_owned(),
            message: format!("the target answered it, and what works there is still {works}; see what resets it"),
            retry_after_ms: None,
        };
        let effort = Effort { kind: CallKind::Install, generation: aim, place: place.clone(), orphan: None };
        self.efforts.insert(effort, Tries { count: 1, not_before: self.clock, fault, exhausted: true });
    }
}

/// Whether a call of this kind can end so.
const fn fits(kind: CallKind, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Created(_) => matches!(kind, CallKind::Create),
        Outcome::Done(_) => {
            matches!(
                kind,
                CallKind::Install | CallKind::Promote | CallKind::Disable | CallKind::Enable | CallKind::Destroy
            )
        }
        Outcome::Works | Outcome::Refused(_) => matches!(kind, CallKind::Verify),
        Outcome::Observed { .. } => matches!(kind, CallKind::Observe),
        Outcome::Failed(_) => true,
    }
}
