//! From a decided call to a running one: what the plugin is shown of the state, gathered while the state is at hand.

use super::Actor;
use crate::call;
use keybaton_protocol::action::Call;
use keybaton_protocol::generation::Credential;
use keybaton_protocol::ids::{Generation, Place, SealLabel};
use keybaton_protocol::state::Secret;
use std::sync::Arc;

use crate::ports::rotator::Known;

/// A call that is made once its intent is durable.
pub(crate) struct Launch {
    pub(crate) call: Call,
    /// Generations the plugin is told of.
    pub(crate) known: Vec<Known>,
    /// Values it gets handles of: generation, field, label.
    pub(crate) values: Vec<(Generation, String, SealLabel)>,
}

impl Launch {
    pub(super) fn new(secret: &Secret, call: Call) -> Self {
        let told = |it: &&Credential| it.number == call.generation || it.pins.same_target(&call.pins);
        let known = secret.generations().values().filter(told).map(|it| known(secret, it, &call.place)).collect();
        let values = call
            .values
            .iter()
            .filter_map(|number| secret.generation(*number))
            .flat_map(|it| it.fields().iter().map(|(field, label)| (it.number, field.clone(), label.clone())))
            .collect();
        Self { call, known, values }
    }
}

/// What a plugin is told of the generations, at one place.
pub(crate) fn known_at(secret: &Secret, place: &Place) -> Vec<Known> {
    secret.generations().values().map(|it| known(secret, it, place)).collect()
}

fn known(secret: &Secret, it: &Credential, place: &Place) -> Known {
    let minted = it.minted.as_ref();
    Known {
        generation: it.number,
        id: it.id_at(place).cloned(),
        slot: it.slot.as_ref().map(|slot| slot.as_str().to_owned()),
        role: secret.role(it.number).map_or("retiring", keybaton_protocol::generation::Role::name),
        attributes: minted.map_or_else(Vec::new, |minted| minted.attributes.clone()),
        facts: minted.map_or_else(Vec::new, |minted| minted.facts.clone()),
    }
}

impl Actor {
    /// Makes the call on a task of its own, which outlives this actor's turn and tells it how it ended.
    pub(super) fn launch(&mut self, launch: Launch) {
        self.running.insert(launch.call.call);
        let shared = Arc::clone(&self.shared);
        let name = Arc::clone(&self.name);
        self.shared.tasks.spawn(call::run(shared, self.id, name, launch));
    }
}
