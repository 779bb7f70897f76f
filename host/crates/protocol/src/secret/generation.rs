//! What is known of one credential generation, place by place. Holds labels and public fields, never a value.

use crate::event::{Minted, Pins};
use crate::ids::{CallId, Epoch, Generation, Millis, Place, SealLabel, Slot, TargetId};
use crate::step::names;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// How long a login that worked says that it still does, in milliseconds, where a credential is to be ended on it.
pub(crate) const LOOK_LASTS_MS: u64 = 60_000;

/// One credential generation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Credential {
    /// Its number.
    pub number: Generation,
    /// The slot it goes into, where slots are taken in turn.
    pub slot: Option<Slot>,
    /// What it is called; `None` until it is minted or supplied.
    pub minted: Option<Minted>,
    /// It existed before keybaton, and has not been committed yet: giving it back leaves the target untouched.
    pub imported: bool,
    /// The epoch in which it was started.
    pub epoch: Epoch,
    /// What it was made with: plugin, settings, target. It ends there, whatever later rotations run on.
    pub pins: Arc<Pins>,
    /// How it stands at each place it has ever touched.
    pub places: BTreeMap<Place, Standing>,
    /// Known to others: sticky.
    pub compromised: Option<Exposure>,
    /// Whose word lets it end without evidence.
    pub overridden: Option<Word>,
    /// How often it was switched on again after a retirement had begun; part of later operation ids.
    pub recalls: u32,
    /// It was not current when its journal was restored: nobody knows who uses it since.
    pub doubtful: bool,
}

/// Whose word it is that a credential may end without the evidence its gate asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Word {
    /// Policy's, since what its users are to leave has expired and was refused wherever it was. It falls when that works
    /// again.
    Expired,
    /// What the declaration says of a deadline. It is about those who were late then, and falls with a later cry.
    Policy,
    /// A named person's.
    Person,
    /// A named person's, given when it could not be found out by a login whether the credential is there at all.
    Untried,
}

/// How a compromise is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Exposure {
    /// It ends before consumers have switched.
    pub at_once: bool,
}

/// A generation at one place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Standing {
    /// Whether the target would accept it.
    pub liveness: Liveness,
    /// The target's id of it here, where install told one.
    pub id: Option<TargetId>,
    /// `install` answered, or the value was seen to work.
    pub installed: bool,
    /// When a call last changed, or may have changed, how it stands: the settle time runs from there.
    pub changed_at: Millis,
    /// The newest call that was to change it: what an older one answers later tells of an older time.
    pub changed_by: CallId,
    /// What `verify` last said since the last install.
    pub verified: Verified,
    /// When its value was last seen to work.
    pub seen_at: Millis,
    /// `promote` answered.
    pub promoted: bool,
    /// An intent to destroy it is on record: from here nothing puts it back.
    pub destroying: bool,
}

/// Whether the target would accept a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Liveness {
    /// It never reached the target.
    #[default]
    Absent,
    /// A call that makes it valid has been intended.
    Maybe,
    /// It is valid.
    Live,
    /// It may be switched off: the answer is out.
    MaybeDisabled,
    /// It is switched off, and can be switched on again.
    Disabled,
    /// It is removed, or its slot was overwritten.
    Gone,
}

/// What is known from `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Verified {
    /// Not tried since the last change.
    #[default]
    Untried,
    /// It works.
    Works,
    /// It was refused; the target may still be settling.
    Refused {
        /// When last.
        at: Millis,
        /// The plugin's reason.
        reason: String,
    },
}

/// The part a generation plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Being prepared.
    Pending,
    /// The one to use.
    Current,
    /// The one used before.
    Previous,
    /// It has no part any more, and a retirement is open.
    Retiring,
}

names!(Liveness {
    Absent => "absent", Maybe => "maybe", Live => "live", MaybeDisabled => "maybe-disabled", Disabled => "disabled",
    Gone => "gone",
});
names!(Role { Pending => "pending", Current => "current", Previous => "previous", Retiring => "retiring" });

impl Default for Standing {
    fn default() -> Self {
        Self::NOWHERE
    }
}

impl Standing {
    /// Of a credential that never touched the place.
    const NOWHERE: Self = Self {
        liveness: Liveness::Absent,
        id: None,
        installed: false,
        changed_at: Millis(0),
        changed_by: CallId(0),
        verified: Verified::Untried,
        seen_at: Millis(0),
        promoted: false,
        destroying: false,
    };

    /// Whether its value was seen to be refused no longer ago than a look counts.
    pub(crate) fn refused_lately(&self, now: Millis) -> bool {
        matches!(self.verified, Verified::Refused { at, .. } if now.since(at) <= LOOK_LASTS_MS)
    }

    /// Whether its value was seen to work no longer ago than a look counts.
    pub(crate) fn seen_lately(&self, now: Millis) -> bool {
        self.liveness == Liveness::Live && self.verified == Verified::Works && now.since(self.seen_at) <= LOOK_LASTS_MS
    }
}

impl Liveness {
    /// Whether something of it may be left at the target.
    #[must_use]
    pub const fn lingers(self) -> bool {
        !matches!(self, Self::Absent | Self::Gone)
    }

    /// Whether it is, or may be, switched off.
    #[must_use]
    pub const fn dimmed(self) -> bool {
        matches!(self, Self::Disabled | Self::MaybeDisabled)
    }
}

impl Credential {
    /// A generation that has just been given its number.
    #[must_use]
    pub(crate) const fn new(number: Generation, slot: Option<Slot>, epoch: Epoch, pins: Arc<Pins>) -> Self {
        Self {
            number,
            slot,
            minted: None,
            imported: false,
            epoch,
            pins,
            places: BTreeMap::new(),
            compromised: None,
            overridden: None,
            recalls: 0,
            doubtful: false,
        }
    }

    /// How it stands at a place.
    #[must_use]
    pub fn at(&self, place: &Place) -> &Standing {
        self.places.get(place).unwrap_or(&Standing::NOWHERE)
    }

    /// Whether the target would accept it at a place.
    #[must_use]
    pub fn liveness(&self, place: &Place) -> Liveness {
        self.places.get(place).map_or(Liveness::Absent, |standing| standing.liveness)
    }

    /// The target's id of it at a place.
    #[must_use]
    pub fn id_at(&self, place: &Place) -> Option<&TargetId> {
        let here = self.places.get(place).and_then(|standing| standing.id.as_ref());
        here.or_else(|| self.minted.as_ref().and_then(|minted| minted.id.as_ref()))
    }

    /// Names and seals of its secret fields, in the order of their minting; empty where the value is unknown.
    #[must_use]
    pub fn fields(&self) -> &[(String, SealLabel)] {
        self.minted.as_ref().map_or(&[], |minted| &minted.fields)
    }

    /// Whether its value is sealed here, so that it can be served, verified and put back.
    #[must_use]
    pub fn known(&self) -> bool {
        !self.fields().is_empty()
    }

    /// Places where something of it may be left.
    pub fn lingering(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|(_, standing)| standing.liveness.lingers()).map(|(place, _)| place)
    }

    /// Whether it was live once, and has been removed wherever it was: its value can open nothing any more.
    #[must_use]
    pub fn removed(&self) -> bool {
        !self.places.is_empty() && self.places.values().all(|standing| standing.liveness == Liveness::Gone)
    }

    /// Whether a destroy has been intended anywhere.
    #[must_use]
    pub fn destroying(&self) -> bool {
        self.places.values().any(|standing| standing.destroying)
    }

    /// Whether nothing may bring it back: others know it, or a destroy of it has been intended.
    #[must_use]
    pub fn lost(&self) -> bool {
        self.destroying() || self.compromised.is_some()
    }

    pub(crate) fn standing(&mut self, place: &Place) -> &mut Standing {
        self.places.entry(place.clone()).or_default()
    }
}
