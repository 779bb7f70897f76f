//! Arms of the transition table: what a rotation runs on, changed by name and on the record, and who consumes.

use crate::event::Pins;
use crate::ids::{ConsumerName, Digest, Place};
use crate::policy::{ConsumerPolicy, Members, Policy};
use crate::state::Secret;
use crate::table::Verdict;
use std::sync::Arc;

impl Secret {
    pub(crate) fn adopt_policy(&mut self, policy: &Policy) {
        self.consumers = policy.consumers.iter().map(|it| (it.name.clone(), it.clone())).collect();
        let consumers = &self.consumers;
        self.replicas.retain(|(name, _), _| consumers.contains_key(name));
    }

    pub(crate) fn repolicied(&mut self, policy: &Policy) -> Verdict {
        let steady = self.steady;
        let rotation = self.rotation.as_mut().ok_or("no rotation runs")?;
        Arc::make_mut(&mut rotation.pins).policy = policy.clone();
        rotation.patience = steady;
        self.pins = Some(Arc::clone(&rotation.pins));
        self.adopt_policy(policy);
        self.settle_wave();
        Ok(())
    }

    pub(crate) fn repinned(&mut self, component: Digest) -> Verdict {
        if self.running_calls().next().is_some() {
            return Err("a plugin call is under way");
        }
        let rotation = self.rotation.as_mut().ok_or("no rotation runs")?;
        Arc::make_mut(&mut rotation.pins).component = component;
        self.pins = Some(Arc::clone(&rotation.pins));
        self.efforts.clear();
        Ok(())
    }

    pub(crate) fn places_changed(&mut self, places: &[Place]) -> Verdict {
        if places.is_empty() {
            return Err("the target has no place");
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
            return Err("the consumer is declared already");
        }
        self.consumers.insert(consumer.name.clone(), consumer.clone());
        self.settle_wave();
        Ok(())
    }

    pub(crate) fn consumer_removed(&mut self, consumer: &ConsumerName) -> Verdict {
        self.consumers.remove(consumer).ok_or("no such consumer")?;
        self.replicas.retain(|(name, _), _| name != consumer);
        self.settle_wave();
        Ok(())
    }

    pub(crate) fn members_changed(&mut self, consumer: &ConsumerName, members: &Members) -> Verdict {
        let policy = self.consumers.get_mut(consumer).ok_or("no such consumer")?;
        policy.members = members.clone();
        if let Members::Listed(listed) = members {
            self.replicas.retain(|(name, replica), _| name != consumer || listed.contains(replica));
        }
        self.settle_wave();
        Ok(())
    }
}
