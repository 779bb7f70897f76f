//! Arms of the transition table: plugin calls about to be made. Every guard that keeps a credential alive is here, and
//! is evaluated on the very state that the intent is appended to.

use crate::calls::{CallState, Effort, OpenCall, SlotBefore, Touched};
use crate::event::{Event, Pins};
use crate::gate;
use crate::generation::{Credential, Liveness, Verified};
use crate::ids::{CallId, Generation, Millis, Ordinal, Place, RotationId};
use crate::retirement::{Job, Retirement};
use crate::rotation::Rotation;
use crate::state::Secret;
use crate::step::{CallKind, Phase, PlanKind, Step};
use crate::table::Verdict;
use crate::timers::{Timer, soak_ms};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Secret {
    pub(crate) fn intended(&mut self, event: &Event) -> Verdict {
        let Event::Intended { call, kind, generation, place, attempt, operation, baseline, step, id, resumes } = event
        else {
            return Err("it is not an intent");
        };
        if *call != self.next_call {
            return Err("call numbers count up");
        }
        let effort = Effort { kind: *kind, generation: *generation, place: place.clone(), orphan: id.clone() };
        self.may_resume(&effort, resumes)?;
        self.may_intend(&effort, self.clock)?;
        let job = Job { generation: *generation, place: place.clone(), orphan: id.clone() };
        let ends = matches!(kind, CallKind::Disable | CallKind::Destroy);
        let retirement = self.retirements.get(&job).filter(|_| ends);
        let (rotation, pins, phase) = match (retirement, &self.rotation) {
            (Some(retirement), _) => (retirement.rotation.clone(), retirement.pins.clone(), None),
            (None, Some(rotation)) => (rotation.id.clone(), rotation.pins.clone(), Some(rotation.phase)),
            (None, None) => self.bystander().ok_or("nothing has been pinned yet")?,
        };
        let acted = resumes.iter().any(|id| self.calls.get(id).is_some_and(|resumed| resumed.acted));
        for resumed in resumes {
            if let Some(resumed) = self.calls.get_mut(resumed) {
                resumed.state = CallState::Closed;
            }
        }
        self.next_call = CallId(call.0 + 1);
        // Nothing was sent by the call that is taken up: what stood before it stood before this one.
        let resumed = resumes.iter().rev().find_map(|id| self.calls.get(id));
        let earlier = resumed.map(|call| (call.touched.clone(), call.slot_before.clone()));
        let (mut touched, mut slot_before) = self.touch(*kind, *generation, place, id.is_some(), *call);
        if let Some((before, slot)) = earlier {
            slot_before = slot;
            for it in &mut touched {
                let same = before.iter().find(|other| other.generation == it.generation);
                it.before = same.map_or_else(|| it.before.clone(), |other| other.before.clone());
            }
        }
        self.calls.insert(
            *call,
            OpenCall {
                kind: *kind,
                step: *step,
                generation: *generation,
                place: place.clone(),
                orphan: id.clone(),
                attempt: *attempt,
                operation: operation.clone(),
                baseline: baseline.clone(),
                intended_at: self.clock,
                intended: self.steady,
                epoch: self.epoch,
                rotation,
                phase,
                pins,
                resumes: resumes.clone(),
                state: CallState::Running,
                sents: BTreeMap::new(),
                acted,
                touched,
                slot_before,
                stepped: false,
            },
        );
        Ok(())
    }

    /// On whose behalf something is observed or tried while no rotation runs.
    fn bystander(&self) -> Option<(RotationId, Arc<Pins>, Option<Phase>)> {
        let (rotation, pins) = self.last_rotation.clone().zip(self.pins.clone())?;
        Some((rotation, pins, None))
    }

    /// What an intent alone already makes uncertain. Answers how that stood before.
    fn touch(
        &mut self,
        kind: CallKind,
        generation: Generation,
        place: &Place,
        orphan: bool,
        call: CallId,
    ) -> (Vec<Touched>, Option<SlotBefore>) {
        if !kind.mutates() {
            return (Vec::new(), None);
        }
        self.last_mutation.insert(place.clone(), call);
        if orphan {
            return (Vec::new(), None);
        }
        let slot = self.slot_of(generation).map(|slot| slot.cloned()).filter(|_| kind == CallKind::Install);
        let now = self.clock;
        let others = if slot.is_some() { self.overwritten_by(generation, place) } else { Vec::new() };
        let standings = |secret: &Self| -> Vec<_> {
            let touched = others.iter().chain(std::iter::once(&generation));
            touched.filter_map(|number| Some((*number, secret.generations.get(number)?.at(place).clone()))).collect()
        };
        let before = standings(self);
        for other in &others {
            if let Some(other) = self.generations.get_mut(other).map(|it| it.standing(place)) {
                other.liveness = Liveness::Maybe;
                other.verified = Verified::Untried;
                other.changed_at = now;
            }
        }
        let slot_before = slot.map(|slot| (slot.clone(), self.slots.insert((place.clone(), slot), generation)));
        self.touch_own(kind, generation, place, call);
        let pairs = before.into_iter().zip(standings(self));
        let touched = pairs.map(|((generation, before), (_, after))| Touched { generation, before, after });
        (touched.collect(), slot_before)
    }

    /// Credentials at a place that an install of this one overwrites, or may overwrite: those of its slot, and where its
    /// target has one slot only, those made for that target with other settings too.
    fn overwritten_by(&self, generation: Generation, place: &Place) -> Vec<Generation> {
        let Some(own) = self.generations.get(&generation) else { return Vec::new() };
        let only = self.slot_of(generation) == Some(None);
        let there = |other: &&Credential| other.number != generation && other.liveness(place).lingers();
        let hit = |other: &&Credential| {
            let same = only && self.slot_of(other.number) == Some(None) && other.pins.same_target(&own.pins);
            same || self.share_slot(other.number, generation)
        };
        self.generations.values().filter(there).filter(hit).map(|other| other.number).collect()
    }

    fn touch_own(&mut self, kind: CallKind, generation: Generation, place: &Place, call: CallId) {
        let now = self.clock;
        let Some(standing) = self.generations.get_mut(&generation).map(|it| it.standing(place)) else { return };
        standing.changed_at = now;
        standing.changed_by = call;
        match kind {
            CallKind::Install => {
                standing.liveness = if standing.liveness == Liveness::Live { Liveness::Live } else { Liveness::Maybe };
                standing.verified = Verified::Untried;
            }
            CallKind::Disable => standing.liveness = Liveness::MaybeDisabled,
            CallKind::Destroy => {
                standing.destroying = true;
                standing.liveness = Liveness::MaybeDisabled;
            }
            CallKind::Enable | CallKind::Create | CallKind::Promote | CallKind::Observe | CallKind::Verify => {}
        }
    }

    fn may_resume(&self, effort: &Effort, resumes: &[CallId]) -> Verdict {
        let resumable = |id: &CallId| {
            self.calls.get(id).is_none_or(|call| {
                call.effort() == *effort && call.sents.is_empty() && call.state != CallState::Running
            })
        };
        if resumes.iter().all(resumable) { Ok(()) } else { Err("the call it resumes is not interrupted, or in doubt") }
    }

    /// Whether a plugin call may be made now.
    pub(crate) fn may_intend(&self, effort: &Effort, now: Millis) -> Verdict {
        let Effort { kind, generation, place, orphan } = effort;
        if self.busy(*kind, *generation, place) {
            return Err("a call about it is under way there, or in doubt");
        }
        if !kind.mutates() {
            return self.may_look(*kind, *generation);
        }
        if self.frozen.is_some() {
            return Err("the secret is frozen");
        }
        if self.restored.is_some() {
            return Err("the secret was restored and has not been compared with its target");
        }
        match kind {
            CallKind::Disable | CallKind::Destroy => self.may_retire(*kind, *generation, place, orphan.as_ref(), now),
            _ if self.hold.is_some() => Err("the secret is held"),
            _ if !self.places().contains(place) => Err("the target has no such place"),
            CallKind::Create => self.may_create(*generation, place, now),
            CallKind::Install => self.may_install(*generation, place, now),
            CallKind::Promote => self.may_promote(*generation),
            CallKind::Enable => self.may_enable(*generation, place),
            CallKind::Observe | CallKind::Verify => Ok(()),
        }
    }

    /// A call about the same credential at the same place is running or in doubt.
    pub(crate) fn busy(&self, kind: CallKind, generation: Generation, place: &Place) -> bool {
        self.occupant(kind, generation, place).is_some()
    }

    /// The call that another one has to wait for.
    pub(crate) fn occupant(
        &self,
        kind: CallKind,
        generation: Generation,
        place: &Place,
    ) -> Option<(CallId, &OpenCall)> {
        let here = self.calls.iter().filter(|(_, call)| call.place == *place);
        let occupies = |call: &OpenCall| {
            let same = match (kind, call.kind) {
                (CallKind::Observe, CallKind::Observe) => true,
                (CallKind::Observe, _) | (_, CallKind::Observe) => false,
                // Two mints at once could not be told apart by what they leave.
                (CallKind::Create, CallKind::Create) => true,
                // One slot: whatever is done there is done to both values.
                _ => call.generation == generation || self.slot_of(generation) == Some(None),
            };
            same && match call.state {
                CallState::Running | CallState::Doubt { .. } => true,
                CallState::Interrupted { .. } => self.doubt(call).is_some(),
                CallState::Closed => false,
            }
        };
        here.map(|(id, call)| (*id, call)).find(|(_, call)| occupies(call))
    }

    fn may_look(&self, kind: CallKind, generation: Generation) -> Verdict {
        match (kind, self.generations.get(&generation)) {
            (CallKind::Verify, None) => Err("no such generation"),
            (CallKind::Verify, Some(credential)) if !credential.known() => Err("its value is unknown"),
            _ => Ok(()),
        }
    }

    fn may_create(&self, generation: Generation, place: &Place, now: Millis) -> Verdict {
        if self.step(now) != Some(Step::Create) || self.pending() != Some(generation) {
            return Err("no credential is to be minted now");
        }
        if self.mint_place() != Some(place) {
            return Err("a credential is minted at the first place only");
        }
        self.slot_free(generation, place)
    }

    /// No create or install enters a slot whose old occupant has not ended.
    pub(crate) fn slot_free(&self, generation: Generation, place: &Place) -> Verdict {
        let Some(Some(slot)) = self.slot_of(generation) else { return Ok(()) };
        let taken = self.generations.values().any(|other| {
            other.number != generation && other.slot.as_ref() == Some(slot) && other.liveness(place).lingers()
        });
        if taken {
            return Err("the slot holds a credential that has not ended");
        }
        if self.slot_doubtful(generation, place) && !self.all_use_current(self.clock).open() {
            return Err("nobody knows what the slot holds since a restore, and not everyone is known to use current");
        }
        Ok(())
    }

    fn may_install(&self, generation: Generation, place: &Place, now: Millis) -> Verdict {
        let credential = self.generations.get(&generation).ok_or("no such generation")?;
        if credential.minted.is_none() {
            return Err("it has not been minted and sealed");
        }
        if credential.compromised.is_some() {
            return Err("it is compromised: nothing restores it");
        }
        if credential.destroying() {
            return Err("a destroy of it has been intended");
        }
        let Some(rotation) = self.rotation.as_ref() else {
            let level = self.current == Some(generation) && self.to_be_levelled(generation, place);
            return if level { self.slot_free(generation, place) } else { Err("no rotation runs") };
        };
        match rotation.phase {
            Phase::Prepare | Phase::Commit if generation == rotation.aim => {}
            Phase::RollingBack | Phase::Reverting if self.puts_back(rotation) == Some(generation) => {
                return if rotation.pins.profile.reinstall && credential.known() {
                    Ok(())
                } else {
                    Err("the target forbids putting it in again, or its value is unknown")
                };
            }
            _ => return Err("it is not the generation to be installed"),
        }
        self.slot_free(generation, place)?;
        if self.one_slot() && rotation.kind == PlanKind::Rotate {
            return self.may_overwrite(generation, now);
        }
        Ok(())
    }

    /// With one slot: the value that is put in again, after another was or may have been installed over it.
    pub(crate) fn puts_back(&self, rotation: &Rotation) -> Option<Generation> {
        match rotation.phase {
            Phase::RollingBack => self.current.filter(|current| self.rival(*current) == Some(rotation.made)),
            Phase::Reverting => self.previous.filter(|previous| self.rival(*previous).is_some()),
            Phase::Prepare | Phase::Commit => None,
        }
    }

    fn may_overwrite(&self, generation: Generation, now: Millis) -> Verdict {
        if self.replaying || self.falls_over(generation, now).open() {
            Ok(())
        } else {
            Err("not everyone who must can fall over to the new value")
        }
    }

    /// The evidence for overwriting the only slot: everyone can fall over to the new value, or somebody answers for it.
    pub(crate) fn falls_over(&self, generation: Generation, now: Millis) -> gate::Verdict {
        let answered_for =
            self.rotation.as_ref().is_some_and(|rotation| rotation.reverted || (rotation.committed && self.excused()));
        if answered_for { gate::Verdict::default() } else { self.ready(generation, now) }
    }

    fn may_promote(&self, generation: Generation) -> Verdict {
        let committing =
            self.rotation.as_ref().is_some_and(|rotation| rotation.committing() && rotation.aim == generation);
        if committing { Ok(()) } else { Err("only what is current is promoted") }
    }

    fn may_enable(&self, generation: Generation, place: &Place) -> Verdict {
        let credential = self.generations.get(&generation).ok_or("no such generation")?;
        if credential.lost() {
            return Err("nothing restores it");
        }
        if self.retirement(generation, place).is_some() {
            return Err("it is being retired");
        }
        match self.role(generation) {
            Some(crate::generation::Role::Previous | crate::generation::Role::Current) => Ok(()),
            _ => Err("it has no part any more"),
        }
    }

    fn may_retire(
        &self,
        kind: CallKind,
        generation: Generation,
        place: &Place,
        orphan: Option<&crate::ids::TargetId>,
        now: Millis,
    ) -> Verdict {
        let job = Job { generation, place: place.clone(), orphan: orphan.cloned() };
        let retirement = self.retirements.get(&job).ok_or("no retirement of it is open")?;
        if self.replaying {
            return Ok(());
        }
        let destroy = kind == CallKind::Destroy;
        if self.away(place) {
            return Err("the place is away");
        }
        if orphan.is_none() && (self.overwritten(generation, place).is_some() || self.shares_the_only_slot(generation))
        {
            return Err("its slot holds a newer credential");
        }
        if !self.may_end(generation, retirement.cause, destroy, now).open() && orphan.is_none() {
            return Err("the evidence for ending it is not there");
        }
        if orphan.is_none() && !self.known_there(generation, place, now) {
            return Err("it is not known that what is live there is this generation");
        }
        if orphan.is_none() && self.unseen_successor(generation, retirement.cause, place, now).is_some() {
            return Err("its successor has not been seen to work lately");
        }
        if !self.waited(&job, retirement, now) {
            return Err("its time has not come");
        }
        if destroy && !self.soaked(retirement, now) {
            return Err("it has not been switched off, or not long enough");
        }
        Ok(())
    }

    /// The overlap's minimum and the quiet time, where the rotation that should have waited for them is over. What
    /// nobody was moved away from has none.
    fn waited(&self, job: &Job, retirement: &Retirement, now: Millis) -> bool {
        let credential = self.generations.get(&job.generation);
        let excused = credential.is_none_or(|it| it.overridden.is_some() || it.compromised.is_some());
        excused || retirement.overlap.over(self.steady_at(now))
    }

    /// Whether it has been switched off for as long as it is kept, where the target can do that.
    fn soaked(&self, retirement: &Retirement, now: Millis) -> bool {
        let soak_ms = soak_ms(retirement);
        match retirement.disabled {
            Some(since) => Timer::new(since, soak_ms).over(self.steady_at(now)),
            None => !retirement.pins.profile.soft_disable || soak_ms == 0,
        }
    }

    pub(crate) fn sent(&mut self, call: CallId, ordinal: Ordinal, deadline: Millis) -> Verdict {
        let open = self.calls.get_mut(&call).ok_or("no such call is open")?;
        if open.state != CallState::Running {
            return Err("the call is not running any more");
        }
        if !open.kind.mutates() {
            return Err("the call changes nothing at the target");
        }
        if open.sents.contains_key(&ordinal) {
            return Err("that host call has been sent already");
        }
        open.sents.insert(ordinal, deadline);
        Ok(())
    }

    pub(crate) fn interrupted(&mut self, call: CallId) -> Verdict {
        let open = self.calls.get_mut(&call).ok_or("no such call is open")?;
        if open.state != CallState::Running {
            return Err("the call is not running");
        }
        if open.kind.mutates() {
            open.state = CallState::Interrupted { at: self.clock };
        } else {
            open.state = CallState::Closed;
        }
        Ok(())
    }
}
