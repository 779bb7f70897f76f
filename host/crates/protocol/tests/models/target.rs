//! The modelled target: credentials that are live, whoever made them. It does what a call says when the call lands,
//! which may be long after its caller has gone.

use keybaton_protocol::Secret;
use keybaton_protocol::action::Call;
use keybaton_protocol::event::{Live, Minted, Outcome};
use keybaton_protocol::ids::{CallId, Generation, Millis, Slot, TargetId};
use keybaton_protocol::profile::{Minter, Overlap};
use keybaton_protocol::step::CallKind;
use std::collections::BTreeMap;

use crate::common::{id, minted};

/// What a slot, or an id, holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    /// Whose value; `None` for a stranger's.
    pub(crate) generation: Option<Generation>,
    pub(crate) active: bool,
    pub(crate) created_at: Millis,
    /// Of a stranger's, in a slot: whose value it took the place of, and that a login has been refused there since.
    pub(crate) took: Option<Generation>,
    pub(crate) refused: bool,
}

impl Held {
    pub(crate) const fn of(generation: Option<Generation>, created_at: Millis) -> Self {
        Self { generation, active: true, created_at, took: None, refused: false }
    }
}

/// Everything that is live at the target's one place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Target {
    pub(crate) ids: BTreeMap<TargetId, Held>,
    pub(crate) slots: BTreeMap<Option<Slot>, Held>,
}

/// A request on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Request {
    pub(crate) call: CallId,
    pub(crate) kind: CallKind,
    pub(crate) generation: Generation,
    pub(crate) id: Option<TargetId>,
    pub(crate) slot: Option<Slot>,
    pub(crate) deadline: Millis,
    /// In which epoch it was sent: ids at the target are unique, numbers of calls only within one.
    pub(crate) epoch: u32,
}

impl Request {
    pub(crate) fn of(call: &Call, secret: &Secret, deadline: Millis) -> Self {
        let slot = secret.generation(call.generation).and_then(|it| it.slot.clone());
        let Call { call, kind, generation, id, .. } = call.clone();
        Self { call, kind, generation, id, slot, deadline, epoch: secret.epoch().0 }
    }
}

/// What the target calls the password that a slot holds.
fn slot_id(slot: &Option<Slot>) -> TargetId {
    slot.as_ref().map_or_else(|| id("the-password"), |slot| id(slot.as_str()))
}

impl Target {
    /// Does what the request says, and answers.
    pub(crate) fn land(&mut self, request: &Request, overlap: &Overlap, minter: Minter, now: Millis) -> Outcome {
        let slotted = matches!(overlap, Overlap::None | Overlap::Alternate(_));
        let held = Held::of(Some(request.generation), now);
        match request.kind {
            CallKind::Create if minter == Minter::Target => {
                let name = format!("k{}.{}.{}", request.generation.0, request.epoch, request.call.0);
                self.ids.insert(id(&name), held);
                return Outcome::Created(minted(request.generation.0, Some(&name)));
            }
            CallKind::Create => return Outcome::Created(self.own(request.generation)),
            CallKind::Install if slotted => drop(self.slots.insert(request.slot.clone(), held)),
            CallKind::Install if minter == Minter::Host => {
                let name = format!("c{}", request.generation.0);
                self.ids.insert(id(&name), held);
                return Outcome::Done(vec![("id".to_owned(), name)]);
            }
            // A slot's role is switched, or dropped, whatever value it holds by now.
            CallKind::Disable | CallKind::Enable if slotted => {
                if let Some(held) = self.slots.get_mut(&request.slot) {
                    held.active = request.kind == CallKind::Enable;
                }
            }
            CallKind::Destroy if slotted => drop(self.slots.remove(&request.slot)),
            CallKind::Disable | CallKind::Enable => {
                if let Some(held) = request.id.as_ref().and_then(|it| self.ids.get_mut(it)) {
                    held.active = request.kind == CallKind::Enable;
                }
            }
            CallKind::Destroy => {
                // Without an id, the plugin finds it by the credential's public fields.
                let own = id(&format!("c{}", request.generation.0));
                self.ids.remove(request.id.as_ref().unwrap_or(&own));
            }
            CallKind::Install | CallKind::Promote | CallKind::Observe | CallKind::Verify => {}
        }
        Outcome::Done(Vec::new())
    }

    #[expect(clippy::unused_self, reason = "reads as the target's answer")]
    pub(crate) fn own(&self, generation: Generation) -> Minted {
        minted(generation.0, None)
    }

    /// Whether a request would end what a stranger has put into a slot, though that could be known: it is not what the
    /// stranger took the place of a moment ago, or a login has been refused there since.
    pub(crate) fn harms_a_stranger(&self, request: &Request) -> bool {
        let ends = matches!(request.kind, CallKind::Disable | CallKind::Destroy);
        let held = self.slots.get(&request.slot).filter(|held| held.generation.is_none());
        ends && held.is_some_and(|held| held.took != Some(request.generation) || held.refused)
    }

    /// Whether a login with this generation's value would work.
    pub(crate) fn valid(&self, secret: &Secret, generation: Generation) -> bool {
        let in_slot = self.slots.values().any(|held| held.generation == Some(generation) && held.active);
        let known = secret.generation(generation);
        let ids = self.ids.iter().filter(|(_, held)| held.generation == Some(generation) && held.active);
        in_slot
            || ids.into_iter().any(|(name, _)| {
                let own = format!("c{}", generation.0);
                let minted = known.and_then(|it| it.minted.as_ref()).and_then(|minted| minted.id.as_ref());
                minted == Some(name) || name.as_str() == own
            })
    }

    /// What an observation lists. A stranger's credential has been used.
    pub(crate) fn list(&self) -> Vec<Live> {
        let entry = |(name, held): (&TargetId, &Held)| Live {
            id: name.clone(),
            slot: None,
            active: held.active,
            created_at: Some(held.created_at),
            expires_at: None,
            last_used_at: held.generation.is_none().then_some(held.created_at),
            live_uses: None,
        };
        let slot = |(slot, held): (&Option<Slot>, &Held)| Live { slot: slot.clone(), ..entry((&slot_id(slot), held)) };
        self.ids.iter().map(entry).chain(self.slots.iter().map(slot)).collect()
    }
}
