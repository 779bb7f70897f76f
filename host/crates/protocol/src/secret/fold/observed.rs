//! Arms of the transition table: what an observation tells. It closes what is in doubt, tells orphans from strangers,
//! and says how quiet the old credential is.

use crate::calls::{CallState, Observation, OpenCall};
use crate::event::Live;
use crate::fault::{Blame, FailureClass, Fault};
use crate::generation::{Credential, Liveness, Verified};
use crate::ids::{CallId, Generation, Millis, Place, TargetId};
use crate::profile::{Minter, Overlap};
use crate::retirement::{Job, Retirement};
use crate::rotation::Quiet;
use crate::state::Secret;
use crate::step::CallKind;
use crate::table::Verdict;
use std::collections::BTreeSet;

/// How coarse targets tell when they made a credential, in milliseconds (AWS, JupyterHub: whole seconds).
pub(crate) const CREATED_AT_RESOLUTION_MS: u64 = 1_000;

impl Secret {
    /// Until when what a call sent may still take effect: `None` where it is running, resumable or closed.
    #[must_use]
    pub fn doubt(&self, call: &OpenCall) -> Option<Millis> {
        match call.state {
            CallState::Running | CallState::Closed => None,
            CallState::Doubt { until } => Some(until),
            CallState::Interrupted { at } => {
                let resumable = call.sents.is_empty() && self.still_wanted(call);
                let acted = call.acted || !call.sents.is_empty();
                (!resumable && acted).then(|| call.latest(at))
            }
        }
    }

    /// Whether an interrupted call belongs to what is going on now, so that it can be taken up again.
    pub(crate) fn still_wanted(&self, call: &OpenCall) -> bool {
        if matches!(call.kind, CallKind::Disable | CallKind::Destroy) {
            let orphan = call.orphan.clone();
            let job = Job { generation: call.generation, place: call.place.clone(), orphan };
            let done = |retirement: &Retirement| {
                retirement.gone || (call.kind == CallKind::Disable && retirement.disabled.is_some())
            };
            return self.retirements.get(&job).is_some_and(|retirement| !done(retirement));
        }
        let Some(rotation) = &self.rotation else { return false };
        let wanted = match call.kind {
            CallKind::Create => self.step(self.clock) == Some(call.step),
            CallKind::Install => {
                self.step(self.clock) == Some(call.step) && !self.installed_at(call.generation, &call.place)
            }
            CallKind::Promote => !self.promoted_at(call.generation, &call.place),
            CallKind::Enable => {
                let liveness = self.generations.get(&call.generation).map(|it| it.liveness(&call.place));
                liveness.is_some_and(|liveness| liveness.dimmed())
            }
            CallKind::Observe | CallKind::Verify | CallKind::Disable | CallKind::Destroy => false,
        };
        wanted && rotation.id == call.rotation && Some(rotation.phase) == call.phase
    }

    pub(crate) fn observed(&mut self, id: CallId, look: &OpenCall, began_at: Millis, live: &[Live]) {
        // Its own reading of the clock may be from before a step; its intent was earlier, and has been moved with that.
        let began_at = if look.stepped { look.intended_at } else { began_at };
        let place = &look.place;
        let left_out = self.left_out(look, began_at, live);
        if let Some(first) = left_out.first() {
            let message =
                format!("the target lists no {first}, whose value works there; nothing else of the list counts");
            let fault = Fault {
                class: FailureClass::Retryable,
                blame: Blame::Guest,
                code: "observe.incomplete".to_owned(),
                message,
                retry_after_ms: None,
            };
            self.failed(look, &fault);
            self.unlisted.insert(place.clone(), left_out);
            return;
        }
        self.unlisted.remove(place);
        self.name_unknown(look, began_at, live);
        self.close_doubts(look, began_at);
        self.listen(look, live);
        let (live, pins) = (live.to_vec(), look.pins.clone());
        self.observations.insert(place.clone(), Observation { call: id, began_at, live, pins });
    }

    /// Generations that work at the place, for all that is known, and that a look there does not list. They are tried
    /// before the next look: what is refused then was ended by somebody else, and its absence is right.
    fn left_out(&self, look: &OpenCall, began_at: Millis, live: &[Live]) -> BTreeSet<Generation> {
        let place = &look.place;
        let left_out = |credential: &&Credential| {
            let standing = credential.at(place);
            let told = credential.id_at(place).is_some() || credential.slot.is_some();
            let settled = standing.changed_at.plus(credential.pins.profile.settle_ms);
            credential.known()
                && told
                && credential.pins.same_site(&look.pins)
                && standing.liveness == Liveness::Live
                && standing.verified == Verified::Works
                && settled <= look.intended_at.min(began_at)
                && !self.calls_about(credential.number, place)
                && self.entry_of(credential.number, place, live).is_none()
        };
        self.generations.values().filter(left_out).map(|credential| credential.number).collect()
    }

    /// The first instant at which a look tells: everything a call in doubt sent has shown by then, if it ever will.
    pub(crate) fn settled(&self, call: &OpenCall) -> Option<Millis> {
        self.doubt(call).map(|until| until.plus(call.pins.profile.settle_ms).plus(1))
    }

    fn close_doubts(&mut self, look: &OpenCall, began_at: Millis) {
        let open = |call: &OpenCall| {
            call.place == look.place
                && call.pins.same_target(&look.pins)
                && self.settled(call).is_some_and(|settled| settled <= began_at)
        };
        let closed: Vec<_> = self.calls.iter().filter(|(_, call)| open(call)).map(|(id, _)| *id).collect();
        for id in closed {
            if let Some(call) = self.calls.get_mut(&id) {
                call.state = CallState::Closed;
                call.sents.clear();
            }
        }
    }

    /// Ids at the target that are no generation's and no job's.
    fn name_unknown(&mut self, look: &OpenCall, began_at: Millis, live: &[Live]) {
        let (place, profile) = (&look.place, &look.pins.profile);
        let slotted = matches!(profile.overlap, Overlap::None | Overlap::Alternate(_));
        if slotted && profile.minter != Minter::Target {
            return;
        }
        let known = |id: &TargetId| self.claims(place, id);
        let unknown: Vec<&Live> = live.iter().filter(|entry| !known(&entry.id)).collect();
        let minting = |call: &&OpenCall| call.kind == CallKind::Create && call.place == *place;
        let mints: Vec<OpenCall> =
            self.calls.values().filter(minting).filter(|call| call.state != CallState::Closed).cloned().collect();
        let making = |call: &OpenCall| matches!(call.kind, CallKind::Create | CallKind::Install);
        let open = |call: &OpenCall| call.place == *place && call.state != CallState::Closed && making(call);
        let pending = self
            .calls
            .values()
            .filter(|call| open(call))
            .any(|call| self.settled(call).is_none_or(|settled| settled > began_at));
        let mut strangers = Vec::new();
        for entry in &unknown {
            match self.maker(entry, &unknown, &mints, began_at) {
                Some(call) => {
                    let orphan = Some(entry.id.clone());
                    let job = Job { generation: call.generation, place: place.clone(), orphan };
                    self.loose.insert(job, (call.rotation.clone(), call.pins.clone()));
                }
                None => strangers.push((place.clone(), entry.id.clone())),
            }
        }
        self.foreign.retain(|(at, id)| at != place || live.iter().any(|entry| entry.id == *id));
        self.strangers.retain(|(at, _)| at != place);
        // While a mint may still be under way, what is unknown may be its work: it is not named yet.
        if !pending {
            let unnamed = strangers.into_iter().filter(|stranger| !self.foreign.contains(stranger));
            self.strangers.extend(unnamed.collect::<Vec<_>>());
        }
    }

    /// The lost mint that made a credential: absent from its baseline, younger than it, never used, the only such one,
    /// of this epoch. Anything less certain is a stranger's.
    fn maker<'a>(
        &self,
        entry: &Live,
        unknown: &[&Live],
        mints: &'a [OpenCall],
        began_at: Millis,
    ) -> Option<&'a OpenCall> {
        let fits = |entry: &Live, call: &OpenCall| {
            let young = entry.created_at.is_some_and(|made| made.plus(CREATED_AT_RESOLUTION_MS) > call.intended_at);
            let unused = entry.last_used_at.is_none() && entry.live_uses.unwrap_or(0) == 0;
            !call.baseline.contains(&entry.id)
                && !self.foreign.contains(&(call.place.clone(), entry.id.clone()))
                && young
                && unused
                && call.epoch == self.epoch
        };
        mints.iter().find(|call| {
            let settled = self.settled(call).is_some_and(|settled| settled <= began_at);
            let only = unknown.iter().filter(|other| fits(other, call)).count() == 1;
            settled && only && fits(entry, call)
        })
    }

    /// Whether an id at a place is a generation's, or an open job's.
    fn claims(&self, place: &Place, id: &TargetId) -> bool {
        let generation = self.generations.values().any(|credential| credential.id_at(place) == Some(id));
        let orphan = |job: &Job| job.place == *place && job.orphan.as_ref() == Some(id);
        generation || self.retirements.keys().any(orphan) || self.loose.keys().any(orphan)
    }

    /// What the target tells of the use of the credential that is to end, and of the one in its place. Of one that the
    /// look does not list it tells nothing.
    fn listen(&mut self, look: &OpenCall, live: &[Live]) {
        let Some(rotation) = &self.rotation else { return };
        let Some(since) = rotation.draining.or(rotation.switched).filter(|it| it.steady <= look.intended) else {
            return;
        };
        let place = &look.place;
        let seen = |generation: Generation| {
            let credential = self.generations.get(&generation)?;
            let told = credential.pins.same_site(&look.pins) && credential.liveness(place) == Liveness::Live;
            self.entry_of(generation, place, live).filter(|_| told)
        };
        let Some(old) = self.ending() else { return };
        let Some(entry) = seen(old) else { return };
        let (last_used_at, sessions) = (entry.last_used_at, entry.live_uses.unwrap_or(0));
        let aim_used = seen(rotation.aim)
            .is_some_and(|aim| aim.live_uses.unwrap_or(0) > 0 || aim.last_used_at > Some(since.latest()));
        let before = rotation.quiet.get(place).copied();
        let since = Some(since.earliest());
        let reference = before.map_or(since, |quiet| quiet.last_used_at.max(since));
        let used = sessions > 0 || last_used_at > reference;
        let from = match before {
            Some(quiet) if !used && quiet.clean => quiet.from,
            _ => look.intended,
        };
        let quiet = Quiet { from, to: look.intended, last_used_at, clean: !used };
        if let Some(rotation) = self.rotation.as_mut() {
            rotation.aim_used |= aim_used;
            rotation.quiet.insert(place.clone(), quiet);
        }
        if used {
            self.contradict(old);
        }
    }

    /// What the target lists of a generation.
    fn entry_of<'a>(&self, generation: Generation, place: &Place, live: &'a [Live]) -> Option<&'a Live> {
        let credential = self.generations.get(&generation)?;
        let (id, slot) = (credential.id_at(place), credential.slot.as_ref());
        live.iter().find(|entry| id == Some(&entry.id) || (slot.is_some() && entry.slot.as_ref() == slot))
    }

    pub(crate) fn foreign_seen(&mut self, place: &Place, id: &TargetId) -> Verdict {
        let stranger = (place.clone(), id.clone());
        if !self.strangers.remove(&stranger) {
            return Err("it was not seen, or is no stranger".into());
        }
        if let Some(restored) = self.restored.as_mut() {
            restored.strangers.insert(stranger.clone());
        }
        self.foreign.insert(stranger);
        Ok(())
    }
}
