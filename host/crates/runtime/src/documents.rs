//! The JSON documents of `describe` and `profile`: typed, unknown keys refused, every number bounded.

use keybaton_protocol::ids::Slot;
use keybaton_protocol::profile::{Minter, Overlap, Profile, UsageSignal};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Credentials live at once, as far as a plugin may claim.
const NATIVE: u32 = 1_000;
/// Slots taken in turn.
const SLOTS: usize = 16;
/// A time that a plugin may ask for, in milliseconds: a day.
const TIME_MS: u64 = 86_400_000;
/// Things of a target that a plugin may claim for one secret.
const CLAIMS: usize = 64;
/// Bytes of one of them.
const CLAIM_BYTES: usize = 512;

/// What `profile` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profiling {
    /// What the target can do.
    pub(crate) profile: Profile,
    /// What of the target is the secret's alone.
    pub(crate) claims: Vec<String>,
}

/// What `describe` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) summary: String,
    pub(crate) settings_schema: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ProfileText {
    overlap: OverlapText,
    minter: String,
    /// Components of the first builds say so; it follows from `overlap`.
    #[serde(default, rename = "clobbers-slot")]
    _clobbers_slot: bool,
    soft_disable: bool,
    reinstall: bool,
    promotes: bool,
    // Present even when there is none: `null` is said, not forgotten.
    #[serde(deserialize_with = "Option::deserialize")]
    usage: Option<UsageText>,
    settle_ms: u64,
    #[serde(default)]
    replaces: bool,
    #[serde(default)]
    claims: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "kind")]
enum OverlapText {
    None {},
    Alternate { slots: Vec<String> },
    Native { limit: u32 },
    Replace {},
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct UsageText {
    lag_ms: u64,
    resolution_ms: u64,
}

/// Reads what `describe` answered.
pub(crate) fn described(text: &str) -> Result<Described, String> {
    let described: Described = serde_json::from_str(text).map_err(|error| error.to_string())?;
    jsonschema::validator_for(&described.settings_schema)
        .map_err(|error| format!("settings-schema is no JSON Schema: {error}"))?;
    Ok(described)
}

/// Reads what `profile` answered.
pub(crate) fn profile(text: &str) -> Result<Profiling, String> {
    let text: ProfileText = serde_json::from_str(text).map_err(|error| error.to_string())?;
    for (what, ms) in [
        ("settle-ms", Some(text.settle_ms)),
        ("lag-ms", text.usage.as_ref().map(|usage| usage.lag_ms)),
        ("resolution-ms", text.usage.as_ref().map(|usage| usage.resolution_ms)),
    ] {
        if ms.is_some_and(|ms| ms > TIME_MS) {
            return Err(format!("{what} is more than a day"));
        }
    }
    let claims = claims(text.claims)?;
    let profile = Profile {
        overlap: overlap(text.overlap)?,
        minter: Minter::from_name(&text.minter).ok_or("minter is none of host, target, consumer")?,
        soft_disable: text.soft_disable,
        reinstall: text.reinstall,
        promotes: text.promotes,
        usage: text.usage.map(|usage| UsageSignal { lag_ms: usage.lag_ms, resolution_ms: usage.resolution_ms }),
        settle_ms: text.settle_ms,
        replaces: text.replaces,
    };
    Ok(Profiling { profile, claims })
}

fn claims(claims: Vec<String>) -> Result<Vec<String>, String> {
    let distinct: BTreeSet<&String> = claims.iter().collect();
    if claims.len() > CLAIMS || distinct.len() != claims.len() {
        return Err(format!("claims are at most {CLAIMS} different texts"));
    }
    let fits = |claim: &String| (1..=CLAIM_BYTES).contains(&claim.len()) && !claim.contains(char::is_control);
    match claims.iter().find(|claim| !fits(claim)) {
        Some(_) => Err(format!("a claim has 1 to {CLAIM_BYTES} bytes of printable text")),
        None => Ok(claims),
    }
}

fn overlap(text: OverlapText) -> Result<Overlap, String> {
    match text {
        OverlapText::None {} => Ok(Overlap::None),
        OverlapText::Replace {} => Ok(Overlap::Replace),
        OverlapText::Native { limit } if (2..=NATIVE).contains(&limit) => Ok(Overlap::Native(limit)),
        OverlapText::Native { limit } => Err(format!("a native overlap has a limit of 2 to {NATIVE}, not {limit}")),
        OverlapText::Alternate { slots } => {
            let distinct: BTreeSet<&String> = slots.iter().collect();
            if slots.len() < 2 || slots.len() > SLOTS || distinct.len() != slots.len() {
                return Err(format!("an alternate overlap has 2 to {SLOTS} different slots"));
            }
            let slots = slots.iter().map(|slot| slot.parse::<Slot>().map_err(|error| error.to_string()));
            Ok(Overlap::Alternate(slots.collect::<Result<_, _>>()?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sound() -> serde_json::Value {
        json!({
            "overlap": { "kind": "alternate", "slots": ["a", "b"] }, "minter": "host",
            "soft-disable": true, "reinstall": true, "promotes": false, "usage": { "lag-ms": 0, "resolution-ms": 1000 },
            "settle-ms": 5,
        })
    }

    #[test]
    fn a_sound_profile_is_read() {
        let Profiling { profile, claims } = profile(&sound().to_string()).unwrap();
        assert_eq!((profile.replaces, claims), (false, vec![]), "what is left out");
        assert_eq!(profile.overlap, Overlap::Alternate(vec!["a".parse().unwrap(), "b".parse().unwrap()]));
        assert_eq!((profile.minter, profile.settle_ms), (Minter::Host, 5));
    }

    #[test]
    fn what_it_claims_and_replaces_is_read() {
        let mut document = sound();
        document["replaces"] = json!(true);
        document["claims"] = json!(["role:a", "role:b"]);
        let read = profile(&document.to_string()).unwrap();
        assert_eq!((read.profile.replaces, read.claims), (true, vec!["role:a".to_owned(), "role:b".to_owned()]));
        for wrong in [json!(["a", "a"]), json!([""]), json!(["a\nb"]), json!(["x".repeat(513)]), json!([1]), json!("a")]
        {
            document["claims"] = wrong.clone();
            assert!(profile(&document.to_string()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_in_the_document_is_refused() {
        for (pointer, value, expected) in [
            ("/overlap", json!({ "kind": "native", "limit": 1 }), "limit of 2"),
            ("/overlap", json!({ "kind": "native" }), "missing field `limit`"),
            ("/overlap", json!({ "kind": "none", "limit": 1 }), "unknown field"),
            ("/overlap", json!({ "kind": "sometimes" }), "unknown variant"),
            ("/overlap", json!({ "kind": "alternate", "slots": ["a", "a"] }), "different slots"),
            ("/overlap", json!({ "kind": "alternate", "slots": ["a", "b c"] }), "is not a slot"),
            ("/minter", json!("guest"), "none of host"),
            ("/settle-ms", json!(86_400_001), "more than a day"),
            ("/settle-ms", json!(-1), "invalid value"),
            ("/usage", json!({ "lag-ms": 1 }), "missing field"),
            ("/soft-disable", json!("yes"), "invalid type"),
        ] {
            let mut document = sound();
            *document.pointer_mut(pointer).unwrap() = value;
            let problem = profile(&document.to_string()).unwrap_err();
            assert!(problem.contains(expected), "{pointer}: {problem}");
        }
        for key in sound().as_object().unwrap().keys() {
            let mut document = sound();
            document.as_object_mut().unwrap().remove(key);
            let problem = profile(&document.to_string()).unwrap_err();
            assert!(problem.contains("missing field"), "{key}: {problem}");
        }
        let mut document = sound();
        document["extra"] = json!(1);
        assert!(profile(&document.to_string()).unwrap_err().contains("unknown field"));
    }

    #[test]
    fn a_description_has_a_schema() {
        let described = |schema| {
            described(&json!({ "name": "a", "version": "1", "summary": "s", "settings-schema": schema }).to_string())
        };
        assert!(described(json!({ "type": "object" })).is_ok());
        assert!(described(json!({ "type": 7 })).unwrap_err().contains("no JSON Schema"));
    }
}
