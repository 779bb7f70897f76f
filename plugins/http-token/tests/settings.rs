//! Settings: what is found in them, and what the profile makes of them.

use super::hub;
use crate::HttpToken;
use keybaton_rotator::testing::check_about;
use keybaton_rotator::{Minter, Overlap, Rotator};
use serde_json::{Value, json};

#[test]
fn the_plugin_says_of_itself_what_its_manifest_says() {
    check_about(&HttpToken::ABOUT, include_str!("../plugin.toml"));
}

#[test]
fn the_profile_follows_from_the_settings() {
    let profile = HttpToken::profile(&hub::settings()).unwrap();
    assert_eq!(profile.overlap, Overlap::Native { limit: 4 });
    assert_eq!(profile.minter, Minter::Target);
    assert_eq!(profile.usage.map(|usage| usage.resolution_ms), Some(30_000));
    assert_eq!(profile.claims, ["tokens:/hub/api/users/svc-app/tokens"], "nobody else mints into this list");
    assert!(!profile.soft_disable && !profile.reinstall);
}

fn without(mut json: Value, pointer: &str, key: &str) -> Value {
    json.pointer_mut(pointer).and_then(Value::as_object_mut).expect("it is there").remove(key);
    json
}

fn set(mut json: Value, pointer: &str, value: Value) -> Value {
    *json.pointer_mut(pointer).expect("it is there") = value;
    json
}

#[test]
fn what_does_not_fit_together_is_found_by_path() {
    let hub = hub::json;
    let both = set(hub(), "/verify", json!({ "path": "/u", "prefix": "token", "header": "x-key" }));
    for (sentence, json, expected) in [
        ("JupyterHub", hub(), vec![]),
        (
            "a name without a value",
            set(hub(), "/values", json!({})),
            vec![("/mint/path", true), ("/list/path", true), ("/revoke/path", true), ("/verify/is", true)],
        ),
        (
            "a value for a name of the plugin's",
            set(hub(), "/values", json!({ "user": "u", "id": "1" })),
            vec![("/values", true)],
        ),
        ("usage that is nowhere", without(hub(), "/list", "last-used"), vec![("/usage", true)]),
        ("a last use of unknown age", without(hub(), "", "usage"), vec![("/usage", true)]),
        ("two ways to carry the token", both, vec![("/verify/prefix", true)]),
        ("a deletion that does not say of what", set(hub(), "/revoke/path", json!("/all")), vec![("/revoke", true)]),
        (
            "a deletion that says it in its body",
            set(hub(), "/revoke", json!({ "path": "/x", "body": ["{id}"] })),
            vec![],
        ),
        ("no marker", set(hub(), "/mint/body", json!({})), vec![("/mint/body", false)]),
        ("nowhere to find the marker", without(hub(), "/list", "note"), vec![("/mint/body", false)]),
    ] {
        let settings = serde_json::from_value(json).expect(sentence);
        let found: Vec<_> = HttpToken::validate(&settings).into_iter().map(|f| (f.path, f.fatal)).collect();
        let expected: Vec<_> = expected.into_iter().map(|(path, fatal)| (path.to_owned(), fatal)).collect();
        assert_eq!(found, expected, "{sentence}");
    }
}
