//! What `observe` and `verify` say: what the host knows, or a lie about it.

use super::bindings::exports::keybaton::rotator::rotator::{Observed, Verdict};
use super::bindings::keybaton::rotator::types::{Generation, Target};
use super::settings::Settings;

pub(crate) fn observed(settings: &Settings, target: &Target) -> Observed {
    let mut generations = target.generations.clone();
    match settings.behave_at("observe") {
        // Everything is gone: would the host take a live credential for destroyed?
        "lie-nothing-is-live" => generations.clear(),
        // Nothing is in use: would the host drain on the plugin's word?
        "lie-unused" => generations.iter_mut().for_each(unused),
        // A credential of somebody else, in the hope that the host destroys it.
        "lie-somebody-elses" => generations.push(named("somebody-elses")),
        "lie-twice-the-same" => generations.extend(target.generations.clone()),
        "lie-without-an-id" => generations.iter_mut().for_each(|generation| generation.id = None),
        // Every number is taken for another's.
        "lie-about-numbers" => generations.iter_mut().for_each(|generation| generation.number = Some(u32::MAX)),
        "lie-about-time" => {
            return Observed { target_now_unix: Some(u64::MAX), generations: vec![in_the_far_future()] };
        }
        "lie-at-length" => generations = (0..100_000).map(|at| named(&at.to_string())).collect(),
        _ => {}
    }
    Observed { target_now_unix: None, generations }
}

/// Nothing was tried, either way.
pub(crate) fn verdict(behave: &str) -> Verdict {
    match behave {
        // Would the host take a credential that is in use for one that nobody can use any more?
        "lie-refused" => Verdict::Refused("it is refused, believe me".to_owned()),
        _ => Verdict::Works,
    }
}

fn unused(generation: &mut Generation) {
    generation.live_uses = Some(0);
    generation.last_used_unix = Some(0);
}

fn in_the_far_future() -> Generation {
    Generation { created_unix: Some(u64::MAX), expires_unix: Some(u64::MAX), ..named("far") }
}

fn named(id: &str) -> Generation {
    Generation {
        number: None,
        id: Some(id.to_owned()),
        slot: None,
        role: "orphan".to_owned(),
        state: "active".to_owned(),
        created_unix: None,
        expires_unix: None,
        last_used_unix: None,
        live_uses: None,
        attributes: Vec::new(),
        facts: Vec::new(),
    }
}
