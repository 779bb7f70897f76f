//! Arms of the transition table: credentials that end. One mechanism for all of them: previous after commit, pending
//! on rollback, current on retire, orphans, and what is compromised.

use crate::calls::{CallState, OpenCall};
use crate::event::{Pins, RetireCause};
use crate::generation::{Liveness, Role, Word};
use crate::ids::{Generation, Millis, Place, RotationId, TargetId};
use crate::profile::Minter;
use crate::retirement::{Job, Overlap, Retirement};
use crate::state::Secret;
use crate::step::{CallKind, Phase, PlanKind};
use crate::table::Verdict;
use crate::timers::quiet_total_ms;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Mints whose answer never came, and that are remembered after an observation has closed them.
const MAX_CLOSED_MINTS: usize = 4;

impl Secret {
    /// The open retirement of a generation at a place.
    #[must_use]
    pub fn retirement(&self, generation: Generation, place: &Place) -> Option<&Retirement> {
        self.retirements.get(&Job { generation, place: place.clone(), orphan: None })
    }

    pub(crate) fn retirement_opened(
        &mut self,
        generation: Generation,
        place: &Place,
        cause: RetireCause,
        orphan: Option<&TargetId>,
    ) -> Verdict {
        let job = Job { generation, place: place.clone(), orphan: orphan.cloned() };
        if self.retirements.contains_key(&job) {
            return Err("a retirement of it is open already".into());
        }
        let (rotation, pins) = if orphan.is_some() {
            self.loose.get(&job).cloned().ok_or("no call of ours made it")?
        } else {
            self.may_open(generation, place, cause)?;
            let (rotation, pins) = self.sponsor().ok_or("nothing has been pinned yet")?;
            (rotation, self.ending_pins(generation, &pins))
        };
        let waited = self.rotation.is_some() && self.drain_left(self.clock).is_none();
        let policy = &pins.policy;
        let total_ms = match cause {
            RetireCause::Superseded if !waited => {
                let quiet_ms = pins.profile.usage.map_or(0, |signal| quiet_total_ms(policy, signal));
                policy.overlap_min_ms.max(quiet_ms)
            }
            _ => 0,
        };
        self.loose.remove(&job);
        let retirement = Retirement {
            cause,
            rotation,
            opened_at: self.clock,
            mark: self.seq.0 + 1,
            overlap: Overlap { since: self.steady, total_ms },
            disabled: None,
            gone: false,
            pins,
        };
        self.retirements.insert(job, retirement);
        Ok(())
    }

    /// What a credential ends with: the target, settings and profile that it was made with, and the policy of the
    /// rotation on whose behalf it ends. A newer component of the same plugin is used where it manages the very same.
    fn ending_pins(&self, generation: Generation, sponsor: &Arc<Pins>) -> Arc<Pins> {
        let Some(own) = self.generations.get(&generation).map(|it| &it.pins) else { return Arc::clone(sponsor) };
        if own.same_site(sponsor) && own.profile == sponsor.profile {
            return Arc::clone(sponsor);
        }
        Arc::new(Pins { policy: sponsor.policy.clone(), ..Pins::clone(own) })
    }

    /// With one slot, ending any other value there would end the one in use: that is overwritten, never removed.
    pub(crate) fn shares_the_only_slot(&self, generation: Generation) -> bool {
        self.slot_of(generation) == Some(None)
            && self.current.is_some_and(|current| current != generation && self.share_slot(current, generation))
    }

    /// Whether the target tells this credential from all others by an id, so that nothing else is ended with it. Of what
    /// a slot holds, only a login with its own value tells.
    pub(crate) fn ends_by_id(&self, generation: Generation, place: &Place) -> bool {
        let id = self.generations.get(&generation).is_some_and(|it| it.id_at(place).is_some());
        id && self.slot_of(generation).is_none()
    }

    /// Whether it is known that this generation is what a call to end it would end: by the target's id, by a login with
    /// its value a moment ago, or since a call of ours switched it off. Where that cannot be known, a person
    /// says so: whoever had a credential of unknown value taken over, or lets one end whose login cannot be tried.
    pub(crate) fn known_there(&self, generation: Generation, place: &Place, now: Millis) -> bool {
        let Some(credential) = self.generations.get(&generation) else { return true };
        let standing = credential.at(place);
        self.ends_by_id(generation, place)
            || standing.liveness.dimmed()
            || !credential.known()
            || credential.overridden == Some(Word::Untried)
            || standing.seen_lately(now)
    }

    /// Whether a login with its own value was refused a moment ago where it should be live: somebody else has changed or
    /// taken what is there, and nothing of this generation is left to end.
    fn not_there(&self, generation: Generation, place: &Place, now: Millis) -> bool {
        let Some(standing) = self.generations.get(&generation).map(|it| it.at(place)) else { return false };
        let lately = self.replaying || standing.refused_lately(now);
        let refused = lately && self.refused(generation, place).is_some();
        refused && !standing.liveness.dimmed() && !self.ends_by_id(generation, place)
    }

    /// The rotation on whose behalf something is retired: the running one, or the last.
    fn sponsor(&self) -> Option<(RotationId, Arc<Pins>)> {
        if let Some(rotation) = &self.rotation {
            return Some((rotation.id.clone(), rotation.pins.clone()));
        }
        self.last_rotation.clone().zip(self.pins.clone())
    }

    fn may_open(&self, generation: Generation, place: &Place, cause: RetireCause) -> Verdict {
        let credential = self.generations.get(&generation).ok_or("no such generation")?;
        if !credential.liveness(place).lingers() {
            return Err("nothing of it is left there".into());
        }
        let phase = self.rotation.as_ref().map(|rotation| rotation.phase);
        let retires = self.rotation.as_ref().is_some_and(|rotation| rotation.kind == PlanKind::Retire);
        let role = self.role(generation);
        let legal = match cause {
            RetireCause::Superseded => match (role, phase) {
                (Some(Role::Retiring), _) | (Some(Role::Previous), None | Some(Phase::Prepare)) => true,
                (Some(Role::Previous), Some(Phase::Commit)) => self.may_end_previous(self.clock),
                _ => false,
            },
            RetireCause::RolledBack => match role {
                Some(Role::Pending) => phase == Some(Phase::RollingBack) && !credential.imported,
                role => role == Some(Role::Retiring),
            },
            RetireCause::Ended => retires && role == Some(Role::Current) && self.may_end_previous(self.clock),
            RetireCause::Orphan => false,
            RetireCause::Compromised => credential.compromised.is_some() && role != Some(Role::Pending),
        };
        if legal { Ok(()) } else { Err("it is not its turn to end".into()) }
    }

    /// The running rotation has adopted and drained.
    pub(crate) fn may_end_previous(&self, now: Millis) -> bool {
        let draining = self.rotation.as_ref().is_some_and(|rotation| rotation.draining.is_some());
        self.replaying || ((draining || self.excused()) && self.drain_left(now).is_none())
    }

    pub(crate) fn retirement_closed(
        &mut self,
        generation: Generation,
        place: &Place,
        orphan: Option<&TargetId>,
        superseded: bool,
    ) -> Verdict {
        let job = Job { generation, place: place.clone(), orphan: orphan.cloned() };
        if !self.may_close(&job, superseded, self.clock) {
            return Err("it has not ended, or is not known to have".into());
        }
        self.retirements.remove(&job);
        if superseded && let Some(standing) = self.generations.get_mut(&generation).map(|it| it.standing(place)) {
            standing.liveness = Liveness::Gone;
        }
        Ok(())
    }

    /// Whether a retirement has come to its end: the credential is gone, or its slot holds a newer one.
    pub(crate) fn may_close(&self, job: &Job, superseded: bool, now: Millis) -> bool {
        let Some(retirement) = self.retirements.get(job) else { return false };
        if job.orphan.is_some() {
            return retirement.gone && !superseded;
        }
        if self.calls_about(job.generation, &job.place) {
            return false;
        }
        if superseded {
            let newer = self.overwritten(job.generation, &job.place);
            if newer.is_some_and(|newer| self.works_at(newer, &job.place)) {
                return true;
            }
            let may_end = || self.may_end(job.generation, retirement.cause, true, now).is_ok();
            return self.not_there(job.generation, &job.place, now) && may_end();
        }
        let liveness = self.generations.get(&job.generation).map(|it| it.liveness(&job.place));
        liveness.is_none_or(|liveness| !liveness.lingers())
    }

    /// A call that changes a generation at a place is running, resumable or in doubt.
    pub(crate) fn calls_about(&self, generation: Generation, place: &Place) -> bool {
        self.calls.values().any(|call| call.place == *place && self.may_change(call, generation))
    }

    /// What a call may still change is this generation's: not that of an orphan of its mint.
    fn may_change(&self, call: &OpenCall, generation: Generation) -> bool {
        call.generation == generation
            && call.orphan.is_none()
            && call.kind.mutates()
            && call.state != CallState::Closed
            && !self.without_effect(call)
    }

    /// An interrupted call that had sent nothing: nothing happened, and nobody will take it up again.
    pub(crate) fn without_effect(&self, call: &OpenCall) -> bool {
        matches!(call.state, CallState::Interrupted { .. })
            && call.sents.is_empty()
            && !call.acted
            && !self.still_wanted(call)
    }

    pub(crate) fn erased(&mut self, generation: Generation) -> Verdict {
        if !self.may_erase(generation, self.clock) {
            return Err("it may still be live somewhere, or somebody may need its value".into());
        }
        self.generations.remove(&generation);
        self.slots.retain(|_, holder| *holder != generation);
        self.replicas.values_mut().for_each(|replica| replica.forget(generation));
        self.efforts.retain(|effort, _| effort.generation != generation || effort.orphan.is_some());
        self.unlisted.retain(|_, generations| {
            generations.remove(&generation);
            !generations.is_empty()
        });
        if self.previous == Some(generation) {
            self.previous = None;
        }
        if self.current == Some(generation) {
            self.current = None;
        }
        Ok(())
    }

    /// Whether a generation's value and record can go: no place holds it, no call about it is open, no role needs it.
    pub(crate) fn may_erase(&self, generation: Generation, now: Millis) -> bool {
        let Some(credential) = self.generations.get(&generation) else { return false };
        let imported = credential.imported;
        let lingers = credential.lingering().next().is_some() && !imported;
        let retired = self.retirements.keys().any(|job| job.generation == generation && job.orphan.is_none());
        let called = self.calls.values().any(|call| self.may_change(call, generation));
        if lingers || retired || called {
            return false;
        }
        if self.replaying {
            return true;
        }
        let phase = self.rotation.as_ref().map(|rotation| rotation.phase);
        match self.role(generation) {
            Some(Role::Retiring) => true,
            Some(Role::Pending) => phase == Some(Phase::RollingBack),
            Some(Role::Previous) => credential.removed() || self.previous_done(generation, now),
            Some(Role::Current) => {
                let retires = self.rotation.as_ref().is_some_and(|rotation| rotation.kind == PlanKind::Retire);
                retires && (credential.removed() || self.may_end(generation, RetireCause::Ended, true, now).is_ok())
            }
            None => false,
        }
    }

    /// Nobody can need the previous value any more: its successor is proven, and everyone who must uses it.
    fn previous_done(&self, generation: Generation, now: Millis) -> bool {
        let waiting = self
            .rotation
            .as_ref()
            .is_some_and(|rotation| rotation.committing() && self.excused_or_switched(rotation, now));
        let idle = self.rotation.is_none();
        (waiting || idle) && self.may_end(generation, RetireCause::Superseded, true, now).is_ok()
    }

    fn excused_or_switched(&self, rotation: &crate::rotation::Rotation, now: Millis) -> bool {
        rotation.draining.is_some() || self.all_switched(rotation, now)
    }

    /// Drops the record of calls whose outcome can tell nothing new.
    ///
    /// A closed mint of a target's stays for a while: should its answer come after all, what it made has to end.
    pub(crate) fn forget_closed_calls(&mut self) {
        let mints = |call: &OpenCall| call.kind == CallKind::Create && call.pins.profile.minter == Minter::Target;
        let closed = |call: &OpenCall| call.state == CallState::Closed;
        let kept: BTreeSet<_> =
            self.calls.iter().filter(|(_, call)| closed(call) && mints(call)).map(|(id, _)| *id).collect();
        let kept: BTreeSet<_> = kept.into_iter().rev().take(MAX_CLOSED_MINTS).collect();
        self.calls.retain(|id, call| !closed(call) || kept.contains(id));
    }
}
