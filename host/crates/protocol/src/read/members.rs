//! Who counts as a replica of a consumer, whose word counts, who is waited for because it holds a credential on record,
//! and for how long. Never counts a name twice, and never a word of somebody who may be two.

use crate::event::RetireCause;
use crate::evidence::Purpose;
use crate::gate::weighs;
use crate::ids::{ConsumerName, Generation, Millis, Replica, Steady};
use crate::membership::ReplicaState;
use crate::policy::{ConsumerPolicy, Members, Quorum};
use crate::state::Secret;
use crate::timers::Timer;

impl ReplicaState {
    /// Whether a generation that was only offered, and is being given back, may still be in its hands: this life fetched
    /// it and has not let it go. A later life that did not fetch it has nothing to give back, and could not prove that it
    /// did; a former life that still speaks has.
    fn keeps(&self, generation: Generation, twice: bool) -> bool {
        let own = !self.inherited.contains(&generation) && !self.let_go(generation);
        self.fetched.contains_key(&generation) && (twice || own)
    }
}

impl Secret {
    /// Whether the authority over a consumer's membership counts this replica. A list names them; a count counts every
    /// name that has shown itself, until somebody says that it is gone.
    #[must_use]
    pub fn is_member(&self, consumer: &ConsumerName, replica: &Replica) -> bool {
        let Some(policy) = self.consumers().get(consumer) else { return false };
        let left = || {
            let state = self.replicas().get(&(consumer.clone(), replica.clone()));
            state.is_some_and(|state| state.left)
        };
        match &policy.members {
            Members::Listed(listed) => listed.contains(replica),
            Members::Count(_) => !left(),
        }
    }

    /// Whether a replica is one of so many that are counted, whatever their names.
    pub(crate) fn is_counted(&self, consumer: &ConsumerPolicy, replica: &Replica) -> bool {
        matches!(consumer.members, Members::Count(_)) && self.is_member(&consumer.name, replica)
    }

    /// How long a replica may be silent before it is unknown: the staged lease, or the longest time between two uses
    /// that its consumer declares.
    pub(crate) fn lease_ms(&self, consumer: &ConsumerPolicy) -> u64 {
        let staged_ms = self.policy().map_or(0, |policy| policy.staged_lease_ms);
        staged_ms.max(consumer.uses_every_ms.unwrap_or_default())
    }

    /// Its lease, from when it last spoke, or `since` if that is later.
    pub(crate) fn lease(&self, consumer: &ConsumerPolicy, state: &ReplicaState, since: Steady) -> Timer {
        let from = state.heard.max(since).max(state.twice.unwrap_or_default());
        Timer::new(from, self.lease_ms(consumer))
    }

    /// Two processes share its identity: a former life of it spoke, not longer ago than its lease.
    #[must_use]
    pub fn speaks_twice(&self, consumer: &ConsumerPolicy, state: &ReplicaState, now: Millis) -> bool {
        state.twice.is_some_and(|since| !Timer::new(since, self.lease_ms(consumer)).over(self.steady_at(now)))
    }

    /// It has been silent for longer than its lease since consumers are waited for: whether it is still there is unknown.
    /// Told only while a rotation, or an end, depends on it; at other times fetches leave no trace.
    #[must_use]
    pub fn is_unknown(&self, consumer: &ConsumerPolicy, state: &ReplicaState, now: Millis) -> bool {
        self.presence_matters() && self.lease(consumer, state, self.asked_since()).over(self.steady_at(now))
    }

    /// Whether something depends on who is there: a staged, a switching or an ending credential.
    pub(crate) fn presence_matters(&self) -> bool {
        self.rotation().is_some_and(|it| it.staged.is_some() || it.committed) || self.previous().is_some()
    }

    /// Whether what a replica says counts at a gate: of a list, whoever is on it; of a count, whoever has spoken within
    /// its lease. Once everybody has switched, silence alone takes nothing back.
    pub(crate) fn counts(
        &self,
        consumer: &ConsumerPolicy,
        replica: &Replica,
        state: &ReplicaState,
        now: Millis,
    ) -> bool {
        if self.speaks_twice(consumer, state, now) || !self.is_member(&consumer.name, replica) {
            return false;
        }
        let settled = self.rotation().is_some_and(|rotation| rotation.draining.is_some());
        let by_word = state.adopted.iter().map(|(_, said)| said).chain(state.ready.values());
        let word = by_word.into_iter().any(|said| said.attested.is_some());
        let listed = matches!(consumer.members, Members::Listed(_));
        listed || settled || word || !self.lease(consumer, state, Steady(0)).over(self.steady_at(now))
    }

    /// Since when consumers are waited for: their leases run from there at the earliest, so that whoever was silent
    /// while nothing was asked gets all of it.
    fn asked_since(&self) -> Steady {
        let left = || self.retirements().values().map(|it| it.overlap.since).min();
        self.rotation().map(|rotation| rotation.asked).or_else(left).unwrap_or(self.steady())
    }

    /// The lease of a replica that is on record as holding a generation it used or may use: it fetched it, and is not
    /// known to have let it go, nor to use another. `None` where it does not hold it.
    pub(crate) fn hold_on(
        &self,
        consumer: &ConsumerPolicy,
        replica: &Replica,
        ends: Generation,
        now: Millis,
    ) -> Option<Timer> {
        let state = self.replicas().get(&(consumer.name.clone(), replica.clone()))?;
        let elsewhere = state.adopted.as_ref().is_some_and(|(adopted, said)| {
            *adopted != ends && weighs(Purpose::Adopted, consumer.adopted, said.kind) && said.stands(now)
        });
        let away = state.let_go(ends) || elsewhere;
        let holds = state.fetched.contains_key(&ends)
            && (!away || self.speaks_twice(consumer, state, now))
            && self.is_member(&consumer.name, replica);
        holds.then(|| self.lease(consumer, state, self.asked_since()))
    }

    /// Members of a consumer that are on record as holding a generation and within their lease, whether or not as many
    /// as the policy asks for have answered.
    pub(crate) fn holders<'a>(
        &'a self,
        consumer: &'a ConsumerPolicy,
        ends: Generation,
        now: Millis,
    ) -> impl Iterator<Item = (&'a Replica, &'a ReplicaState)> {
        let own = self.replicas().iter().filter(|((name, _), _)| *name == consumer.name);
        own.map(|((_, replica), state)| (replica, state)).filter(move |(replica, _)| {
            self.hold_on(consumer, replica, ends, now).is_some_and(|lease| !lease.over(self.steady_at(now)))
        })
    }

    /// Leases that stand between a generation and its end: a staged one that is given back, of those who are waited for.
    pub(crate) fn staged_leases(
        &self,
        generation: Generation,
        lease_ms: u64,
        now: Millis,
    ) -> impl Iterator<Item = (&(ConsumerName, Replica), Timer)> {
        self.replicas().iter().filter_map(move |(who, state)| {
            let consumer = self.consumers().get(&who.0).filter(|consumer| consumer.required)?;
            let twice = self.speaks_twice(consumer, state, now);
            let waited = self.is_member(&who.0, &who.1) && state.keeps(generation, twice);
            let since = state.fetched.get(&generation).filter(|_| waited)?;
            let from = if twice { state.twice.map_or(*since, |twice| twice.max(*since)) } else { *since };
            Some((who, Timer::new(from, lease_ms)))
        })
    }

    /// Whether a member of this consumer that holds a credential and never answers is waited for until its lease ends. A
    /// member of a list of which all must answer is waited for until it does, or is dropped.
    pub(crate) fn waits_by_lease(&self, consumer: &ConsumerPolicy) -> bool {
        let all = self.policy().is_none_or(|policy| policy.stragglers.quorum == Quorum::All);
        !all || matches!(consumer.members, Members::Count(_))
    }

    /// Leases of those who are on record as holding a generation that a newer one is to replace, or that ends.
    pub(crate) fn holding_leases(&self, ends: Generation, now: Millis) -> impl Iterator<Item = Timer> {
        let bounded = |consumer: &&ConsumerPolicy| consumer.required && self.waits_by_lease(consumer);
        self.consumers().values().filter(bounded).flat_map(move |consumer| {
            let own = self.replicas().keys().filter(move |(name, _)| *name == consumer.name);
            own.filter_map(move |(_, replica)| self.hold_on(consumer, replica, ends, now))
        })
    }

    /// The latest instant until which a replica is waited for, as the clock stands: the end of its lease. `None` where
    /// it is waited for until it answers, or is dropped.
    #[must_use]
    pub fn waited_until(
        &self,
        who: &(ConsumerName, Replica),
        generation: Generation,
        cause: RetireCause,
        now: Millis,
    ) -> Option<Millis> {
        let lease = if cause == RetireCause::RolledBack {
            let lease_ms = self.staged_lease_ms(generation);
            self.staged_leases(generation, lease_ms, now).find(|(it, _)| *it == who).map(|(_, lease)| lease)
        } else {
            let consumer = self.consumers().get(&who.0)?;
            self.hold_on(consumer, &who.1, generation, now).filter(|_| self.waits_by_lease(consumer))
        };
        lease.map(|lease| now.plus(lease.left_ms(self.steady_at(now))))
    }

    /// The lease that a generation was staged under.
    pub(crate) fn staged_lease_ms(&self, generation: Generation) -> u64 {
        self.retirements().iter().find(|(job, _)| job.generation == generation).map_or_else(
            || self.policy().map_or(0, |policy| policy.staged_lease_ms),
            |(_, retirement)| retirement.pins.policy.staged_lease_ms,
        )
    }
}
