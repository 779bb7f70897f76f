//! What the server can do under given settings.

use crate::settings::{Existing, Settings, Strategy};
use keybaton_rotator::{Minter, Overlap, Profile, Usage};

/// `pg_stat_activity` is exact and at once, but shows only sessions that are open when it is looked at.
const SESSIONS: Usage = Usage { lag_ms: 0, resolution_ms: 1000 };

pub(crate) fn of(settings: &Settings) -> Profile {
    let profile = match &settings.strategy {
        // Sessions of one role cannot be told apart by the password they came in with: no account of use.
        Strategy::One { .. } => {
            Profile { reinstall: true, ..Profile::new(Overlap::None, Minter::Host) }
        }
        Strategy::Turns { roles, .. } => Profile {
            soft_disable: true,
            reinstall: true,
            usage: Some(SESSIONS),
            ..Profile::new(Overlap::Alternate { slots: roles.to_vec() }, Minter::Host)
        },
    };
    Profile {
        replaces: settings.existing == Existing::Replace,
        // Another secret that rotates one of these roles would end this one's password.
        claims: settings.roles().iter().map(|role| format!("role:{role}")).collect(),
        ..profile
    }
}
