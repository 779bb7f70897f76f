//! What the API can do under given settings.

use crate::settings::Settings;
use keybaton_rotator::{Minter, Overlap, Profile, Usage};

pub(crate) fn of(settings: &Settings) -> Profile {
    let usage = settings.usage.map(|usage| Usage { lag_ms: usage.lag_ms, resolution_ms: usage.resolution_ms });
    Profile {
        usage,
        settle_ms: settings.settle_ms,
        ..Profile::new(Overlap::Native { limit: settings.limit }, Minter::Target)
    }
}
