//! Arms of the transition table: what a rotation runs on, changed by name and on the record, and who consumes.

use crate::event::Pins;
use crate::generation::{Liveness, Standing};
use crate::ids::{ConsumerName, Digest, Place, Replica};
use crate::policy::{ConsumerPolicy, Members, Policy};
use crate::state::Secret;
use crate::step::PlanKind;
use crate::table::Verdict;
use std::sync::Arc;

impl Secret {
    /// The consumers are as the policy says from now on, at every gate: of a running rotation, and of what ends.
    pub(crate) fn adopt_policy(&mut self, policy: &Policy) {
        self.consumers = policy.consumers.iter().map(|it| (it.name.clone(), it.clone())).collect();
        self.consumers_changed();
    }

    /// The one rule for every change of who consumes: whoever is no consumer, or not on its list, is forgotten with all
    /// that it said, and the wave that is open is looked at anew. Every gate reads the consumers as they are now.
    fn consumers_changed(&mut self) {
        let consumers = &self.consumers;
        self.replicas.retain(|(name, replica), _| match consumers.get(name).map(|policy| &policy.members) {
            Some(Members::Listed(listed)) => listed.contains(replica),
            Some(Members::Count(_)) => true,
            None => false,
        });
        self.settle_wave();
    }

    /// Another policy, for what runs and for what is ending.
    pub(crate) fn repolicied(&mut self, policy: &Policy) -> Verdict {
        let steady = self.steady;
        if self.rotation.is_none() && self.retirements.is_empty() {
            return Err("no rotation runs, and nothing is ending".into());
        }
        if let Some(rotation) = self.rotation.as_mut() {
            Arc::make_mut(&mut rotation.pins).policy = policy.clone();
            rotation.patience = steady;
            rotation.asked = steady;
        }
        let jobs = self.retirements.values_mut().map(|retirement| &mut retirement.pins);
        for pins in jobs.chain(&mut self.pins) {
            Arc::make_mut(pins).policy = policy.clone();
        }
        self.adopt_policy(policy);
        Ok(())
    }

    /// Other bytes of the same plugin, for what runs, for what is ending, and for what will end one day.
    pub(crate) fn repinned(&mut self, component: Digest) -> Verdict {
        if self.running_calls().next().is_some() {
            return Err("a plugin call is under way".into());
        }
        let plugin = self.pins().ok_or("nothing has been pinned yet")?.plugin.clone();
        let own = |pins: &&mut Arc<Pins>| pins.plugin == plugin;
        let rotation = self.rotation.iter_mut().map(|rotation| &mut rotation.pins);
        let jobs = self.retirements.values_mut().map(|retirement| &mut retirement.pins);
        let credentials = self.generations.values_mut().map(|credential| &mut credential.pins);
        for pins in rotation.chain(jobs).chain(credentials).chain(&mut self.pins).filter(own) {
            Arc::make_mut(pins).component = component;
        }
        self.efforts.clear();
        Ok(())
    }

    pub(crate) fn places_changed(&mut self, places: &[Place]) -> Verdict {
        if places.is_empty() {
            return Err("the target has no place".into());
        }
        let mut pins = self.pins().cloned().ok_or("nothing has been pinned yet")?;
        let gone = pins.places.iter().filter(|place| !places.contains(place)).map(|place| (place.clone(), false));
        let new = places.iter().filter(|place| !pins.places.contains(place)).map(|place| (place.clone(), true));
        self.places_by_hand.extend(gone.chain(new));
        Arc::make_mut(&mut pins).places = places.to_vec();
        if let Some(rotation) = self.rotation.as_mut() {
            rotation.pins = Arc::clone(&pins);
        }
        self.pins = Some(pins);
        Ok(())
    }

    /// Everything that was known of a place goes: nothing can be called there, and nothing is left to be ended.
    pub(crate) fn place_scrapped(&mut self, place: &Place) -> Verdict {
        let mut pins = self.pins().cloned().ok_or("nothing has been pinned yet")?;
        let lingers = self.generations.values().any(|it| it.liveness(place).lingers());
        if !pins.places.contains(place) && !lingers {
            return Err("the target has no such place".into());
        }
        let ends = self.rotation.as_ref().is_some_and(|rotation| rotation.kind == PlanKind::Retire);
        if pins.places.iter().all(|it| it == place) && self.current.is_some() && !ends {
            return Err(
                "it is the only place the credential in use is at: retire the secret, then scrap the place".into()
            );
        }
        for standing in self.generations.values_mut().filter_map(|it| it.places.get_mut(place)) {
            *standing = Standing { liveness: Liveness::Gone, ..Standing::default() };
        }
        self.retirements.retain(|job, _| job.place != *place);
        self.loose.retain(|job, _| job.place != *place);
        self.calls.retain(|_, call| call.place != *place);
        self.efforts.retain(|effort, _| effort.place != *place);
        self.slots.retain(|(at, _), _| at != place);
        self.foreign.retain(|(at, _)| at != place);
        self.strangers.retain(|(at, _)| at != place);
        self.observations.remove(place);
        self.unlisted.remove(place);
        self.last_mutation.remove(place);
        self.places_by_hand.insert(place.clone(), false);
        Arc::make_mut(&mut pins).places.retain(|it| it != place);
        if let Some(rotation) = self.rotation.as_mut() {
            rotation.pins = Arc::clone(&pins);
            rotation.quiet.remove(place);
        }
        self.pins = Some(pins);
        Ok(())
    }

    /// What a rotation that starts now runs on: a place that a person dropped stays away, one that a person took in
    /// stays, whatever is declared, until a person says otherwise.
    pub(crate) fn with_places_by_hand(&self, pins: &Pins) -> Box<Pins> {
        let mut pins = Box::new(pins.clone());
        pins.places.retain(|place| self.places_by_hand.get(place) != Some(&false));
        for (place, _) in self.places_by_hand.iter().filter(|(_, there)| **there) {
            if !pins.places.contains(place) {
                pins.places.push(place.clone());
            }
        }
        pins
    }

    pub(crate) fn consumer_added(&mut self, consumer: &ConsumerPolicy) -> Verdict {
        if self.consumers.contains_key(&consumer.name) {
            return Err("the consumer is declared already".into());
        }
        self.consumers.insert(consumer.name.clone(), consumer.clone());
        self.consumers_changed();
        Ok(())
    }

    pub(crate) fn consumer_changed(&mut self, consumer: &ConsumerPolicy) -> Verdict {
        *self.consumers.get_mut(&consumer.name).ok_or("no such consumer")? = consumer.clone();
        self.consumers_changed();
        Ok(())
    }

    pub(crate) fn consumer_removed(&mut self, consumer: &ConsumerName) -> Verdict {
        self.consumers.remove(consumer).ok_or("no such consumer")?;
        self.consumers_changed();
        Ok(())
    }

    pub(crate) fn members_changed(&mut self, consumer: &ConsumerName, members: &Members) -> Verdict {
        let policy = self.consumers.get_mut(consumer).ok_or("no such consumer")?;
        policy.members = members.clone();
        self.consumers_changed();
        Ok(())
    }

    /// An authority says of a replica of a counted membership whether it is gone. Its present life stays known, so that
    /// its last words do not pass for a new one.
    pub(crate) fn member_marked(&mut self, consumer: &ConsumerName, replica: &Replica, gone: bool) -> Verdict {
        let state = self.replicas.get_mut(&(consumer.clone(), replica.clone())).ok_or("no such replica")?;
        state.left = gone;
        state.twice = None;
        self.settle_wave();
        Ok(())
    }
}
