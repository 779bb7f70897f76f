//! Placeholders in paths and bodies.

use crate::names::{at, body, path, text};
use serde_json::json;
use std::collections::BTreeMap;

#[test]
fn names_are_replaced_and_nothing_else_is() {
    let values = BTreeMap::from([("user".to_owned(), "a b/{id}".to_owned()), ("id".to_owned(), "7".to_owned())]);
    for (pattern, in_text, in_path) in [
        ("/u/{user}/t/{id}", "/u/a b/{id}/t/7", "/u/a%20b%2F%7Bid%7D/t/7"),
        ("('{id}')", "('7')", "('7')"),
        ("{unknown} {id", "{unknown} {id", "{unknown} {id"),
        ("{{id}}", "{7}", "{7}"),
        ("", "", ""),
    ] {
        assert_eq!(text(pattern, &values), in_text, "{pattern}");
        assert_eq!(path(pattern, &values), in_path, "{pattern}");
    }
    let pattern = json!({ "{id}": ["{id}", 7, null, { "deep": "n{id}" }] });
    assert_eq!(body(&pattern, &values), json!({ "{id}": ["7", 7, null, { "deep": "n7" }] }));
}

#[test]
fn a_pointer_leads_to_a_text_or_a_number() {
    let item = json!({ "id": 7, "name": "x", "none": null, "list": [{ "a/b": "deep" }] });
    for (pointer, expected) in [
        ("/id", Some("7")),
        ("/name", Some("x")),
        ("/list/0/a~1b", Some("deep")),
        ("/none", None),
        ("/list", None),
        ("/missing", None),
    ] {
        assert_eq!(at(&item, pointer).as_deref(), expected, "{pointer}");
    }
}
