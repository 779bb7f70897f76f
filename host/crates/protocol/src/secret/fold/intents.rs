//! Arms of the transition table: plugin calls about to be made. Every guard that keeps a credential alive is here, and
//! is evaluated on the very state that the intent is appended to.

use crate::calls::{CallState, Effort, OpenCall, SlotBefore, Touched};
use crate::event::{Event, Pins};
use crate::generation::{Credential, Liveness, Verified};
use crate::guard::calls::may_intend;
use crate::ids::{CallId, Generation, Millis, Ordinal, Place, RotationId};
use crate::retirement::Job;
use crate::state::Secret;
use crate::step::{CallKind, Phase};
use crate::table::Verdict;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Secret {
    pub(crate) fn intended(&mut self, event: &Event) -> Verdict {
        let Event::Intended { call, kind, generation, place, attempt, operation, baseline, step, id, resumes } = event
        else {
            return Err("it is not an intent".into());
        };
        if *call != self.next_call {
            return Err("call numbers count up".into());
        }
        let effort = Effort { kind: *kind, generation: *generation, place: place.clone(), orphan: id.clone() };
        self.may_resume(&effort, resumes)?;
        may_intend(self, &effort, self.clock)?;
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
        if resumes.iter().all(resumable) {
            Ok(())
        } else {
            Err("the call it resumes is not interrupted, or in doubt".into())
        }
    }

    pub(crate) fn sent(&mut self, call: CallId, ordinal: Ordinal, deadline: Millis) -> Verdict {
        let open = self.calls.get_mut(&call).ok_or("no such call is open")?;
        if open.state != CallState::Running {
            return Err("the call is not running any more".into());
        }
        if !open.kind.mutates() {
            return Err("the call changes nothing at the target".into());
        }
        if open.sents.contains_key(&ordinal) {
            return Err("that host call has been sent already".into());
        }
        open.sents.insert(ordinal, deadline);
        Ok(())
    }

    pub(crate) fn interrupted(&mut self, call: CallId) -> Verdict {
        let open = self.calls.get_mut(&call).ok_or("no such call is open")?;
        if open.state != CallState::Running {
            return Err("the call is not running".into());
        }
        if open.kind.mutates() {
            open.state = CallState::Interrupted { at: self.clock };
        } else {
            open.state = CallState::Closed;
        }
        Ok(())
    }
}
