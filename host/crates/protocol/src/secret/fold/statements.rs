//! Arms of the transition table: what consumers fetch and say. A statement binds to one life of one replica, and is
//! withdrawn by a restart, by a report of another generation, and by the target's account of the old one's use.

use crate::evidence::{Evidence, EvidenceKind, Purpose};
use crate::generation::Credential;
use crate::ids::{ConsumerName, Generation, Incarnation, Replica};
use crate::membership::{ReplicaState, Statement};
use crate::state::Secret;
use crate::table::Verdict;

impl Secret {
    /// The replica in this life of it. Where it speaks `itself`, it has been heard of, and has its turn in this rotation.
    fn replica(
        &mut self,
        consumer: &ConsumerName,
        replica: &Replica,
        incarnation: &Incarnation,
        itself: bool,
    ) -> Result<&mut ReplicaState, &'static str> {
        if !self.consumers.contains_key(consumer) {
            return Err("no such consumer is declared");
        }
        let key = (consumer.clone(), replica.clone());
        if self.replicas.get(&key).is_some_and(|state| state.past.contains(incarnation)) {
            return Err("that life of the replica is over");
        }
        if let Some(rotation) = self.rotation.as_mut().filter(|_| itself) {
            rotation.hear(&key);
        }
        let steady = self.steady;
        let state = self.replicas.entry(key).or_insert_with(|| ReplicaState::new(incarnation.clone()));
        if state.incarnation != *incarnation {
            state.restart(incarnation);
        }
        if itself {
            state.heard = steady;
        }
        Ok(state)
    }

    pub(crate) fn fetched(
        &mut self,
        consumer: &ConsumerName,
        replica: &Replica,
        incarnation: &Incarnation,
        generation: Generation,
    ) -> Verdict {
        if !self.generations.contains_key(&generation) {
            return Err("no such generation".into());
        }
        let steady = self.steady;
        let state = self.replica(consumer, replica, incarnation, true)?;
        state.fetched.insert(generation, steady);
        state.inherited.remove(&generation);
        state.released.remove(&generation);
        state.dropped.remove(&generation);
        Ok(())
    }

    pub(crate) fn stated(&mut self, evidence: &Evidence) -> Verdict {
        let Evidence { consumer, replica, incarnation, generation, purpose, kind, reason, attested, witnessed: _ } =
            evidence;
        if !self.generations.contains_key(generation) {
            return Err("no such generation".into());
        }
        if (*kind == EvidenceKind::Attested) != attested.is_some() {
            return Err("a person's word needs a name, and only that".into());
        }
        self.may_say(evidence)?;
        let statement = Statement { kind: *kind, at: self.clock, reason: reason.clone(), attested: attested.clone() };
        let member = self.is_member(consumer, replica);
        let state = self.replica(consumer, replica, incarnation, *kind != EvidenceKind::Attested)?;
        if *purpose != Purpose::Cry {
            state.cried.remove(generation);
        }
        match purpose {
            Purpose::Ready => {
                state.failed.remove(generation);
                state.ready.insert(*generation, statement);
            }
            Purpose::Failed => {
                state.withdraw(*generation);
                state.failed.insert(*generation, statement);
            }
            // One replica uses one generation: what it said of another is withdrawn with this.
            Purpose::Adopted => {
                state.failed.remove(generation);
                state.released.remove(generation);
                state.dropped.remove(generation);
                let settle = state
                    .adopted
                    .as_ref()
                    .is_none_or(|(adopted, said)| adopted != generation || said.kind.rank() <= kind.rank());
                if settle {
                    state.adopted = Some((*generation, statement));
                }
            }
            Purpose::Released => drop(state.released.insert(*generation, statement)),
            Purpose::Dropped => drop(state.dropped.insert(*generation, statement)),
            Purpose::Cry => {
                state.withdraw(*generation);
                state.cried.insert(*generation);
                if member {
                    self.cried(consumer, *generation);
                }
            }
        }
        self.settle_wave();
        Ok(())
    }

    /// A former life of a replica spoke after its present one had begun: two processes share one identity.
    pub(crate) fn seen_twice(
        &mut self,
        consumer: &ConsumerName,
        replica: &Replica,
        incarnation: &Incarnation,
    ) -> Verdict {
        let steady = self.steady;
        let state = self.replicas.get_mut(&(consumer.clone(), replica.clone())).ok_or("no such replica")?;
        if !state.past.contains(incarnation) {
            return Err("it is no former life of the replica".into());
        }
        state.twice = Some(steady);
        self.settle_wave();
        Ok(())
    }

    /// A required consumer cannot work with what it adopted: previous is to be there again, and adopt starts over.
    fn cried(&mut self, consumer: &ConsumerName, generation: Generation) {
        let required = self.consumers.get(consumer).is_some_and(|policy| policy.required);
        let Some(rotation) = self.rotation.as_mut() else { return };
        if !required || !rotation.committing() || rotation.aim != generation {
            return;
        }
        let heard = rotation.cries.entry(consumer.clone()).or_default();
        *heard += 1;
        let again = *heard > 1 && rotation.cries.len() == 1;
        let old = self.ending();
        let beyond = old.and_then(|old| self.generations.get(&old)).is_none_or(Credential::lost);
        if again || beyond {
            return;
        }
        let steady = self.steady;
        if let Some(rotation) = self.rotation.as_mut() {
            rotation.draining = None;
            rotation.patience = steady;
            rotation.quiet.clear();
        }
        if let Some(old) = old {
            self.recall(old);
        }
    }

    /// The target's account of use speaks against those who had only a word, or that very account, for their switch.
    pub(crate) fn contradict(&mut self, old: Generation) {
        for state in self.replicas.values_mut() {
            let weak = state.adopted.as_ref().is_some_and(|(adopted, said)| {
                *adopted != old && matches!(said.kind, EvidenceKind::Target | EvidenceKind::Attested)
            });
            if weak {
                state.adopted = None;
            }
        }
        if let Some(rotation) = self.rotation.as_mut() {
            rotation.cries.values_mut().for_each(|cries| *cries = 0);
        }
    }

    /// The soak of a wave runs from when all of it has switched, and starts anew when somebody falls back.
    pub(crate) fn settle_wave(&mut self) {
        let (now, steady) = (self.clock, self.steady);
        let committing = self.rotation.as_ref().is_some_and(|rotation| rotation.committing());
        if !committing {
            return;
        }
        let missing = !self.wave_missing(now).is_empty();
        if let Some(rotation) = self.rotation.as_mut() {
            rotation.wave.settled = if missing { None } else { rotation.wave.settled.or(Some(steady)) };
        }
    }
}
