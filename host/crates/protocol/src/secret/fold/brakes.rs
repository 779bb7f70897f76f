//! Arms of the transition table: holds, freezes, overrides, compromises.

use crate::calls::{Effort, Tries};
use crate::event::HoldReason;
use crate::generation::{Exposure, Verified, Word};
use crate::guard::Blocked;
use crate::ids::{Author, Generation};
use crate::state::{Hold, Secret};
use crate::step::CallKind;
use crate::table::Verdict;

impl Secret {
    pub(crate) fn held(&mut self, reason: HoldReason, detail: &str) -> Verdict {
        if self.hold.is_some() {
            return Err("it is held already".into());
        }
        if self.rotation.is_none() {
            return Err("no rotation runs".into());
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
            return self.compare_again();
        }
        let stuck = self.efforts.values().any(|tries| tries.exhausted);
        if self.hold.is_none() && !stuck && self.setbacks == 0 {
            return Err("nothing is held".into());
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
            true if self.has_expired_for(generation) => Word::Expired,
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
            return Err("it is frozen already".into());
        }
        self.frozen = Some(author.clone());
        Ok(())
    }

    pub(crate) fn thaw(&mut self) -> Verdict {
        self.frozen.take().map(drop).ok_or(Blocked::Unfit("it is not frozen"))
    }

    pub(crate) fn unmanage(&mut self) -> Verdict {
        if !self.managed {
            return Err("it is unmanaged already".into());
        }
        self.managed = false;
        Ok(())
    }
}
