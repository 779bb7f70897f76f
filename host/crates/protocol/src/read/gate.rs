//! The evidence gates: who has to have said what before a step is taken. Each is evaluated on the state given, so that
//! an intent appended on exactly that state is transactional. Never counts a word beyond its weight.
//!
//! Weights (DESIGN §2): `store` never satisfies anything; `holder` (an agent's or SDK's own proof of possession) is
//! enough for `ready` and never for `adopted`; `attested` counts only where the consumer's declaration asks for no
//! more than that, and until it expires. [`weighs`] is the one table of it.

use crate::event::RetireCause;
use crate::evidence::{Evidence, EvidenceKind, Purpose};
use crate::generation::{Liveness, Role, Verified};
use crate::guard::{Blocked, holds};
use crate::ids::{ConsumerName, Generation, Millis, Place, Replica};
use crate::membership::{ReplicaState, Statement};
use crate::policy::{ConsumerKind, ConsumerPolicy, ConsumerRole, Members, Quorum};
use crate::state::Secret;
use crate::step::{Phase, PlanKind};

/// Who has not answered at a gate: replicas, of which unnamed ones of a counted membership show as `#1`, `#2`, …
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Missing(pub Vec<(ConsumerName, Replica)>);

impl Missing {
    /// Whether the gate is open.
    #[must_use]
    pub fn open(&self) -> bool {
        self.0.is_empty()
    }

    /// The same as an answer: it is open, or these stand in the way.
    pub(crate) fn answer(self) -> Result<(), Blocked> {
        if self.open() { Ok(()) } else { Err(Blocked::Consumers(self.0)) }
    }
}

/// Whether evidence of this kind is weighty enough for a purpose, given the least the declaration asks for (which it
/// does for `ready` and `adopted` alone).
#[must_use]
pub const fn weighs(purpose: Purpose, least: EvidenceKind, kind: EvidenceKind) -> bool {
    use EvidenceKind as K;
    use Purpose as P;
    match (purpose, kind) {
        // What was delivered was not tried, is not in use, and has not been let go.
        (_, K::Store) => false,
        (P::Ready, K::Holder) => !matches!(least, K::Process | K::Target),
        // Who holds a credential does not show that the workload uses it.
        (P::Adopted, K::Holder) => false,
        (P::Ready | P::Adopted, K::Process) => !matches!(least, K::Target),
        (P::Ready | P::Adopted, K::Target) => true,
        (P::Ready | P::Adopted, K::Attested) => matches!(least, K::Attested),
        (P::Released | P::Dropped, K::Holder | K::Process | K::Target | K::Attested) => true,
        (P::Failed | P::Cry, K::Holder | K::Process | K::Target) => true,
        // A person who knows that it does not work reverts, or rolls back.
        (P::Failed | P::Cry, K::Attested) => false,
    }
}

/// Whether a consumer of this kind may show this of itself. What the target's account says, the host tells; a person's
/// word has a name.
#[must_use]
pub const fn gives(consumer: ConsumerKind, evidence: EvidenceKind) -> bool {
    use ConsumerKind as C;
    use EvidenceKind as K;
    match (consumer, evidence) {
        // The workload speaks for itself.
        (C::Client, K::Store | K::Holder | K::Process) => true,
        // What is beside the workload, or in front of it, holds what the workload need not use.
        (C::Agent | C::Webhook, K::Store | K::Holder) => true,
        (C::Agent | C::Webhook, K::Process) => false,
        // They do not speak.
        (C::Endpoint | C::Sink | C::External, K::Store | K::Holder | K::Process) => false,
        (_, K::Target | K::Attested) => false,
    }
}

/// What the host itself can see: what it wrote and read back, what is served, what the target accounts for.
#[must_use]
pub const fn sees(evidence: EvidenceKind) -> bool {
    matches!(evidence, EvidenceKind::Store | EvidenceKind::Process | EvidenceKind::Target)
}

impl Secret {
    /// Whether such evidence may be put on record: it is for the one who gives it to give.
    pub(crate) fn may_say(&self, evidence: &Evidence) -> Result<(), Blocked> {
        let kind = self.consumers().get(&evidence.consumer).map(|consumer| consumer.kind);
        let fits = match (&evidence.attested, evidence.witnessed) {
            (Some(_), false) => evidence.kind == EvidenceKind::Attested,
            (Some(_), true) => false,
            (None, true) => sees(evidence.kind),
            (None, false) => kind.is_none_or(|kind| gives(kind, evidence.kind)),
        };
        holds(self.replaying() || fits, "such evidence is not for the one who gives it to give")
    }

    /// May pending become current: every required consumer has tried it, every verifier accepts both.
    #[must_use]
    pub fn ready(&self, generation: Generation, now: Millis) -> Missing {
        let excused = self.rotation().is_some_and(|rotation| rotation.excused && rotation.made == generation);
        let by_word = self.generations().get(&generation).is_some_and(|it| it.overridden.is_some());
        // Nobody can be waited for whose present credential is being switched off.
        let emergency = self.current().and_then(|it| self.generations().get(&it)).is_some_and(|current| {
            current.number != generation && current.compromised.is_some_and(|exposure| exposure.at_once)
        });
        if excused || by_word || emergency {
            return Missing::default();
        }
        // With one slot the install ends the current one: whoever is on record as holding it has to have the new one.
        let old = [self.current(), self.previous()].into_iter().flatten().find(|it| *it != generation);
        self.gate(old.filter(|_| self.one_slot()), now, tries, |consumer, replica| {
            let said = replica.ready.get(&generation);
            said.is_some_and(|said| weighs(Purpose::Ready, consumer.ready, said.kind) && said.stands(now))
        })
    }

    /// Has everyone who must switched to this generation.
    #[must_use]
    pub fn adopted(&self, generation: Generation, now: Millis) -> Missing {
        let moves = self.rotation().is_some_and(|it| it.kind == PlanKind::Rotate && it.aim == generation);
        self.gate(self.ending().filter(|_| moves), now, self.unseen(now), |consumer, replica| {
            let said = replica.adopted.as_ref().filter(|(adopted, _)| *adopted == generation);
            said.is_some_and(|(_, said)| adoption_counts(consumer, said, now))
        })
    }

    /// Consumers that have to say of themselves what they use: all but those of which the target's account is taken,
    /// where that shows the new credential used and the old one not.
    fn unseen(&self, now: Millis) -> impl Fn(&ConsumerPolicy) -> bool {
        let seen = self.seen_switched(now);
        move |consumer| uses(consumer) && !(seen && consumer.adopted == EvidenceKind::Target)
    }

    /// Has every verifier stopped accepting this generation.
    #[must_use]
    pub fn dropped(&self, generation: Generation, now: Millis) -> Missing {
        let dropped = |replica: &ReplicaState| {
            let said = replica.dropped.get(&generation);
            said.is_some_and(|said| weighs(Purpose::Dropped, EvidenceKind::Store, said.kind))
        };
        self.gate(Some(generation), now, |consumer| !uses(consumer), |_, replica| dropped(replica))
    }

    /// Has everyone who must let go of this generation: the secret ends.
    #[must_use]
    pub fn released(&self, generation: Generation, now: Millis) -> Missing {
        self.gate(Some(generation), now, |_| true, |_, replica| replica.let_go(generation))
    }

    /// May this credential be switched off, removed or overwritten now. `last`: this is its removal.
    ///
    /// # Errors
    /// Who or what stands in the way.
    pub fn may_end(&self, generation: Generation, cause: RetireCause, last: bool, now: Millis) -> Result<(), Blocked> {
        let Some(credential) = self.generation(generation).filter(|_| !self.ends_at_once(generation)) else {
            return Ok(());
        };
        // The secret has ended; what an earlier rotation left ends like the last one did.
        let ended = self.current().is_none() && cause == RetireCause::Superseded;
        let cause = if ended { RetireCause::Ended } else { cause };
        if cause == RetireCause::Superseded {
            self.has_successor(generation)?;
        }
        if credential.overridden.is_some() {
            return Ok(());
        }
        let mut missing = match cause {
            RetireCause::Orphan | RetireCause::Compromised => return Ok(()),
            RetireCause::RolledBack => self.unstaged(generation, now),
            RetireCause::Ended => self.released(generation, now),
            RetireCause::Superseded => self.superseded(generation, last, now),
        };
        if credential.doubtful {
            let unheard = self.unheard_since_restore(generation, now).into_iter();
            missing.0.extend(unheard.filter(|it| !missing.0.contains(it)).collect::<Vec<_>>());
        }
        missing.answer()
    }

    /// Known to others, and in use no longer or never to be waited for.
    pub(crate) fn ends_at_once(&self, generation: Generation) -> bool {
        let exposed = self.generations().get(&generation).and_then(|it| it.compromised);
        let held_on = match self.role(generation) {
            Some(Role::Current | Role::Pending) => true,
            Some(Role::Previous) => self.rotation().is_some(),
            Some(Role::Retiring) | None => false,
        };
        exposed.is_some_and(|exposure| exposure.at_once || !held_on)
    }

    /// Every member of a required consumer that fetched a staged generation has let it go, or its lease has run out.
    /// It never was the one to use: optional consumers and replicas that are no members are asked, and not waited for.
    fn unstaged(&self, generation: Generation, now: Millis) -> Missing {
        if self.generations().get(&generation).is_some_and(|it| it.doubtful) {
            // What was fetched before a restore never lapses; see `unheard_since_restore`.
            return Missing::default();
        }
        let steady = self.steady_at(now);
        let leases = self.staged_leases(generation, self.staged_lease_ms(generation), now);
        let missing = leases.filter(|(_, lease)| !lease.over(steady)).map(|(who, _)| who.clone());
        Missing(missing.collect())
    }

    /// Who may use a credential that was not current when the journal was restored: whoever fetched it, and everyone who
    /// has to be waited for, until it has said since the restore that it let it go or uses the current one.
    fn unheard_since_restore(&self, generation: Generation, now: Millis) -> Vec<(ConsumerName, Replica)> {
        let moved = |name: &ConsumerName, replica: &ReplicaState| {
            replica.let_go(generation) || self.uses_current(name, replica, now)
        };
        let fetched = self
            .replicas()
            .iter()
            .filter(|((name, _), replica)| replica.fetched.contains_key(&generation) && !moved(name, replica));
        let mut unheard: Vec<_> = fetched.map(|(who, _)| who.clone()).collect();
        for consumer in self.consumers().values().filter(|consumer| consumer.required && uses(consumer)) {
            let (_, silent) = self.tally(consumer, now, |policy, replica| moved(&policy.name, replica));
            let silent = silent.into_iter().map(|replica| (consumer.name.clone(), replica));
            unheard.extend(silent.filter(|who| !unheard.contains(who)).collect::<Vec<_>>());
        }
        unheard
    }

    fn uses_current(&self, consumer: &ConsumerName, replica: &ReplicaState, now: Millis) -> bool {
        let said = replica.adopted.as_ref().filter(|(adopted, _)| self.current() == Some(*adopted));
        let policy = self.consumers().get(consumer);
        said.zip(policy).is_some_and(|((_, said), policy)| adoption_counts(policy, said, now))
    }

    /// Has everyone who must said that it uses the current credential. Open while there is none.
    pub(crate) fn all_use_current(&self, now: Millis) -> Missing {
        if self.current().is_none() {
            return Missing::default();
        }
        self.gate(None, now, uses, |consumer, replica| self.uses_current(&consumer.name, replica, now))
    }

    /// Whether a successor stands in for it. No evidence and no override makes up for that: the secret would be lost.
    fn has_successor(&self, generation: Generation) -> Result<(), Blocked> {
        let current = self.current().filter(|current| *current != generation).ok_or("it is the one in use")?;
        let proven = self.everywhere(|place| self.works_at(current, place));
        holds(proven, "its successor is not proven at every place")?;
        let reverting = self.rotation().is_some_and(|rotation| rotation.phase == Phase::Reverting);
        holds(!reverting || self.previous() != Some(generation), "it is being put back")
    }

    /// Where the successor has to be seen to work once more, before the first call that ends a superseded credential.
    pub(crate) fn unseen_successor(
        &self,
        generation: Generation,
        cause: RetireCause,
        place: &Place,
        now: Millis,
    ) -> Option<(Generation, Place)> {
        let begun = self.generations().get(&generation).is_none_or(|it| it.liveness(place).dimmed());
        if begun || cause != RetireCause::Superseded || self.ends_at_once(generation) {
            return None;
        }
        let current = self.current().and_then(|current| self.generations().get(&current)).filter(|it| it.known())?;
        let unseen = |place: &&Place| !current.at(place).seen_lately(now);
        self.places().iter().find(unseen).map(|place| (current.number, place.clone()))
    }

    /// Everyone who must uses a successor, and nobody is on record as holding this one.
    fn superseded(&self, generation: Generation, last: bool, now: Millis) -> Missing {
        let mut missing = self.gate(Some(generation), now, self.unseen(now), |consumer, replica| {
            let said = replica.adopted.as_ref().filter(|(adopted, _)| {
                *adopted != generation && (self.current() == Some(*adopted) || self.previous() == Some(*adopted))
            });
            said.is_some_and(|(_, said)| adoption_counts(consumer, said, now))
        });
        if last {
            missing.0.extend(self.dropped(generation, now).0);
        }
        missing
    }

    /// Whether a generation is live at a place and was seen to work there (or cannot be tried, its value unknown).
    pub(crate) fn works_at(&self, generation: Generation, place: &Place) -> bool {
        self.generations().get(&generation).is_some_and(|credential| {
            let standing = credential.at(place);
            standing.liveness == Liveness::Live && (standing.verified == Verified::Works || !credential.known())
        })
    }

    /// The reason for which a value was refused at a place, once the target has had the time to settle.
    pub(crate) fn refused(&self, generation: Generation, place: &Place) -> Option<String> {
        let standing = self.generations().get(&generation)?.at(place);
        let settled = standing.changed_at.plus(self.generations().get(&generation)?.pins.profile.settle_ms);
        match &standing.verified {
            Verified::Refused { at, reason } if *at >= settled => Some(reason.clone()),
            _ => None,
        }
    }

    /// Required replicas, of consumers that `concerns`, for which `said` does not hold: quorum per consumer. Where a
    /// generation `ends` by it, also every member that is on record as holding that one, however many have answered.
    fn gate(
        &self,
        ends: Option<Generation>,
        now: Millis,
        concerns: impl Fn(&ConsumerPolicy) -> bool,
        said: impl Fn(&ConsumerPolicy, &ReplicaState) -> bool,
    ) -> Missing {
        let quorum = self.policy().map_or(Quorum::All, |policy| policy.stragglers.quorum);
        let mut missing = Vec::new();
        for consumer in self.consumers().values().filter(|consumer| consumer.required && concerns(consumer)) {
            let (answered, mut waited) = self.tally(consumer, now, &said);
            if answered >= needed(quorum, consumer, answered + waited.len()) {
                waited.clear();
            }
            for (replica, state) in ends.into_iter().flat_map(|ends| self.holders(consumer, ends, now)) {
                let away = said(consumer, state) && !self.speaks_twice(consumer, state, now);
                if !away && !waited.contains(replica) {
                    waited.push(replica.clone());
                }
            }
            missing.extend(waited.into_iter().map(|replica| (consumer.name.clone(), replica)));
        }
        Missing(missing)
    }

    /// How many replicas of a consumer have answered, and which have not.
    pub(crate) fn tally(
        &self,
        consumer: &ConsumerPolicy,
        now: Millis,
        said: impl Fn(&ConsumerPolicy, &ReplicaState) -> bool,
    ) -> (usize, Vec<Replica>) {
        match &consumer.members {
            Members::Listed(listed) => {
                let yes = |replica: &&Replica| {
                    let key = (consumer.name.clone(), (*replica).clone());
                    self.replicas()
                        .get(&key)
                        .is_some_and(|state| self.counts(consumer, replica, state, now) && said(consumer, state))
                };
                let silent: Vec<_> = listed.iter().filter(|replica| !yes(replica)).cloned().collect();
                (listed.len() - silent.len(), silent)
            }
            Members::Count(count) => {
                let count = *count as usize;
                let own = self.replicas().iter().filter(|((name, _), _)| *name == consumer.name);
                let own = own.filter(|((_, replica), _)| self.is_member(&consumer.name, replica));
                let (yes, no): (Vec<_>, Vec<_>) = own.partition(|((_, replica), state)| {
                    self.counts(consumer, replica, state, now) && said(consumer, state)
                });
                let answered = yes.len().min(count);
                // Who may be there is named; whoever is silent for longer than its lease may be gone for good.
                let there = no.into_iter().filter(|(_, state)| !self.is_unknown(consumer, state, now));
                let named = there.map(|((_, replica), _)| replica.clone());
                let unnamed = (1..=count).map(Replica::unnamed);
                (answered, named.chain(unnamed).take(count - answered).collect())
            }
        }
    }
}

/// How many answers a consumer owes. Verifiers always all: one that does not know the new credential refuses others.
fn needed(quorum: Quorum, consumer: &ConsumerPolicy, members: usize) -> usize {
    match quorum {
        Quorum::Percent(share) if uses(consumer) => (members * usize::from(share)).div_ceil(100).max(members.min(1)),
        Quorum::All | Quorum::Percent(_) => members,
    }
}

/// Presents the secret or derives from it, rather than accepting what others present.
pub(crate) fn uses(consumer: &ConsumerPolicy) -> bool {
    consumer.role != ConsumerRole::Verifies
}

/// Can try a credential that is only staged. What is served, or stored, is so once it has been committed.
pub(crate) fn tries(consumer: &ConsumerPolicy) -> bool {
    consumer.role != ConsumerRole::Depends && !matches!(consumer.kind, ConsumerKind::Endpoint | ConsumerKind::Sink)
}

/// Whether a consumer's word that it switched is weighty enough, and still counts.
pub(crate) fn adoption_counts(consumer: &ConsumerPolicy, said: &Statement, now: Millis) -> bool {
    weighs(Purpose::Adopted, consumer.adopted, said.kind) && said.stands(now)
}
