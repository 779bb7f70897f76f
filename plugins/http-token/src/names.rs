//! `{name}` in paths and JSON bodies, and the marker by which a token is known again. Pure.

use keybaton_rotator::http;
use serde_json::Value;
use std::collections::BTreeMap;

/// Names and what stands for them.
pub(crate) type Values = BTreeMap<String, String>;

/// The names in a text.
pub(crate) fn within(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

/// The names in the texts of a body.
pub(crate) fn within_body(body: &Value) -> Vec<String> {
    match body {
        Value::String(text) => within(text).map(str::to_owned).collect(),
        Value::Array(items) => items.iter().flat_map(within_body).collect(),
        Value::Object(members) => members.values().flat_map(within_body).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// The text with its names replaced; one that has no value stays as it is.
pub(crate) fn text(pattern: &str, values: &Values) -> String {
    replace(pattern, values, str::to_owned)
}

/// The path with its names replaced, each as one percent-encoded segment or a part of one.
pub(crate) fn path(pattern: &str, values: &Values) -> String {
    replace(pattern, values, http::segment)
}

fn replace(pattern: &str, values: &Values, shown: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, tail)) if values.contains_key(name) => {
                out.push_str(&shown(&values[name]));
                rest = tail;
            }
            _ => {
                out.push('{');
                rest = after;
            }
        }
    }
    out + rest
}

/// The body with the names in its texts replaced.
pub(crate) fn body(pattern: &Value, values: &Values) -> Value {
    match pattern {
        Value::String(pattern) => Value::String(text(pattern, values)),
        Value::Array(items) => items.iter().map(|item| body(item, values)).collect(),
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), body(member, values))).collect(),
        other => other.clone(),
    }
}

/// What a token's note holds, so that it is known again when the answer that made it was lost. APIs add to notes, so
/// it is looked for within them; the brackets keep one operation from being the beginning of another.
pub(crate) fn marker(operation: &str) -> String {
    format!("[keybaton {operation}]")
}

/// The text or number that a pointer (RFC 6901) leads to.
pub(crate) fn at(item: &Value, pointer: &str) -> Option<String> {
    match item.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
