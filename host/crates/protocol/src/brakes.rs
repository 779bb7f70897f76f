//! Arms of the transition table: holds, freezes, overrides, compromises, restores.

use crate::calls::{CallState, Effort, Tries};
use crate::event::HoldReason;
use crate::generation::{Exposure, Verified, Word};
use crate::ids::{Author, Epoch, Generation, Place};
use crate::state::{Hold, Restored, Secret};
use crate::step::CallKind;
use crate::table::Verdict;
use std::collections::BTreeMap;

impl Secret {
    pub(crate) fn held(&mut self, reason: HoldReason, detail: &str) -> Verdict {
        if self.hold.is_some() {
            return Err("it is held already");
        }
        if self.rotation.is_none() {
            return Err("no rotation runs");
        }
        if let Some(rotation) = self.rotation.as_mut() {
            rotation.wave.failed |= reason == HoldReason::WaveFailed;
        }
        self.hold = Some(Hold { reason, detail: detail.to_owned(), since: self.clock });
        Ok(())
    }

    /// A hold is lifted. The host lifts one for stragglers once they have answered, and that tells nothing of anything
    /// else; a person has mended something, and everything that was held against it is tried again.
    pub(crate) fn hold_lifted(&mut self, author: &Author) -> Verdict {
        if *author != Author::host() {
            return self.released_by_hand();
        }
        self.hold.take().ok_or("nothing is held")?;
        let steady = self.steady;
        if let Some(rotation) = self.rotation.as_mut() {
            rotation.patience = steady;
        }
        Ok(())
    }

    fn released_by_hand(&mut self) -> Verdict {
        if self.restored.is_some() {
            return Err("a restored secret is released by reconcile alone");
        }
        let stuck = self.efforts.values().any(|tries| tries.exhausted);
        if self.hold.is_none() && !stuck && self.setbacks == 0 {
            return Err("nothing is held");
        }
        self.hold = None;
        self.setbacks = 0;
        self.efforts.retain(|_, tries| !tries.exhausted);
        // Something was mended: what was seen or refused before does not tell.
        self.observations.clear();
        self.unlisted.clear();
        for standing in self.generations.values_mut().flat_map(|it| it.places.values_mut()) {
            if matches!(standing.verified, Verified::Refused { .. }) {
                standing.verified = Verified::Untried;
            }
        }
        let steady = self.steady;
        if let Some(rotation) = self.rotation.as_mut() {
            rotation.patience = steady;
            rotation.wave.failed = false;
            rotation.cries.clear();
        }
        for replica in self.replicas.values_mut() {
            replica.failed.clear();
            replica.cried.clear();
        }
        Ok(())
    }

    pub(crate) fn overridden(&mut self, generation: Generation, author: &Author) -> Verdict {
        let untried = |(effort, tries): (&Effort, &Tries)| {
            effort.kind == CallKind::Verify && effort.generation == generation && tries.exhausted
        };
        let by = match *author == Author::policy() {
            true => Word::Policy,
            false if self.efforts.iter().any(untried) => Word::Untried,
            false => Word::Person,
        };
        let credential = self.generations.get_mut(&generation).ok_or("no such generation")?;
        credential.overridden = credential.overridden.max(Some(by));
        Ok(())
    }

    /// Sticky until the generation is erased. What is not in use ends at once; what is, only where that was asked.
    pub(crate) fn compromised(&mut self, generation: Generation, disable_first: bool) -> Verdict {
        let in_use = self.current == Some(generation);
        let credential = self.generations.get_mut(&generation).ok_or("no such generation")?;
        let before = credential.compromised.is_some_and(|exposure| exposure.at_once);
        credential.compromised = Some(Exposure { at_once: before || disable_first || !in_use });
        Ok(())
    }

    pub(crate) fn freeze(&mut self, author: &Author) -> Verdict {
        if self.frozen.is_some() {
            return Err("it is frozen already");
        }
        self.frozen = Some(author.clone());
        Ok(())
    }

    pub(crate) fn thaw(&mut self) -> Verdict {
        self.frozen.take().map(drop).ok_or("it is not frozen")
    }

    pub(crate) const fn unmanage(&mut self) -> Verdict {
        if !self.managed {
            return Err("it is unmanaged already");
        }
        self.managed = false;
        Ok(())
    }

    /// Another life begins: what was said, seen or sent in the last one proves nothing now.
    pub(crate) fn restore(&mut self, epoch: Epoch) -> Verdict {
        if epoch <= self.epoch {
            return Err("epochs count up");
        }
        self.epoch = epoch;
        self.observations.clear();
        self.unlisted.clear();
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
        self.restored = Some(Restored { first_call: self.next_call, tried: BTreeMap::new() });
        self.hold = Some(Hold {
            reason: HoldReason::Reconcile,
            detail: "restored from a backup: compare it with its target, then reconcile".to_owned(),
            since: self.clock,
        });
        Ok(())
    }

    pub(crate) fn reconciled(&mut self, next: Generation) -> Verdict {
        self.may_reconcile()?;
        if next < self.next {
            return Err("generation numbers never go back");
        }
        self.next = next;
        self.restored = None;
        self.hold = None;
        let steady = self.steady;
        if let Some(rotation) = self.rotation.as_mut() {
            rotation.patience = steady;
            rotation.asked = steady;
            rotation.first_call = self.next_call;
        }
        Ok(())
    }

    /// Whether a restored secret has been observed and tried at every place of its target.
    pub(crate) fn may_reconcile(&self) -> Verdict {
        let restored = self.restored.as_ref().ok_or("it was not restored")?;
        let Some(current) = self.current.and_then(|current| self.generations.get(&current)) else { return Ok(()) };
        let seen = |place: &Place| self.observations.get(place).is_some_and(|seen| seen.call >= restored.first_call);
        if !self.everywhere(seen) {
            return Err("the target has not been observed at every place since the restore");
        }
        if current.known() && !self.everywhere(|place| restored.tried.get(place) == Some(&true)) {
            return Err("the current credential was not seen to work at every place since the restore");
        }
        Ok(())
    }
}
