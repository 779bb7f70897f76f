//! What the API can do under given settings.

use crate::names;
use crate::settings::Settings;
use keybaton_rotator::{Minter, Overlap, Profile, Usage};

pub(crate) fn of(settings: &Settings) -> Profile {
    let usage = settings.usage.map(|usage| Usage { lag_ms: usage.lag_ms, resolution_ms: usage.resolution_ms });
    Profile {
        usage,
        settle_ms: settings.settle_ms,
        // What another secret mints into the same list would count as this one's lost token, and be deleted.
        claims: vec![format!("tokens:{}", names::path(&settings.list.path, &settings.values))],
        ..Profile::new(Overlap::Native { limit: settings.limit }, Minter::Target)
    }
}
