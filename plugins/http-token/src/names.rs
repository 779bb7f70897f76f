//! `{name}` in paths and JSON bodies, the marker by which a token is known again, and whether one is the token that a
//! generation stands for: an id alone does not say so, since some APIs give that of a deleted token to the next. Pure.

use crate::calls::Listed;
use crate::settings::Settings;
use keybaton_rotator::{Generation, http};
use serde_json::Value;
use std::collections::BTreeMap;

/// The fact that names the operation which minted a token.
pub(crate) const OPERATION: &str = "operation";
/// The fact that says when the API says it was minted, in seconds since the Unix epoch.
pub(crate) const CREATED: &str = "created";

/// APIs keep times more or less finely, in their answers and in their lists.
const SAME_SECOND_S: u64 = 1;

/// What stands between the id of a token that is not ours and the time of its minting.
const APART: &str = "#minted-";

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

/// Whether it is known by more than its id.
pub(crate) fn is_told(settings: &Settings, generation: &Generation) -> bool {
    (settings.is_marked() && generation.fact(OPERATION).is_some())
        || (settings.list.created.is_some() && created(generation).is_some())
}

/// The same id, and nothing that speaks against it: neither another marker nor another time of minting.
pub(crate) fn is_of(settings: &Settings, generation: &Generation, token: &Listed) -> bool {
    let same_id = generation.id.as_ref() == Some(&token.id);
    let same_mark = match generation.fact(OPERATION).filter(|_| settings.is_marked()) {
        Some(operation) => token.note.as_ref().is_some_and(|note| note.contains(&marker(operation))),
        None => true,
    };
    let same_time = match (created(generation), token.created_unix) {
        (Some(ours), Some(theirs)) => ours.abs_diff(theirs) <= SAME_SECOND_S,
        _ => true,
    };
    same_id && same_mark && same_time
}

/// How a token is named that has the id of one of ours and is another: by its time of minting too, so that nobody takes
/// it for ours who goes by names alone.
pub(crate) fn apart(token: &Listed) -> String {
    format!("{}{APART}{}", token.id, token.created_unix.unwrap_or_default())
}

/// The API's own id in a name, and the time of minting where that is a part of it.
pub(crate) fn parts(name: &str) -> (&str, Option<u64>) {
    let told = name.rsplit_once(APART).and_then(|(id, created)| Some((id, created.parse().ok()?)));
    told.map_or((name, None), |(id, created)| (id, Some(created)))
}

fn created(generation: &Generation) -> Option<u64> {
    generation.fact(CREATED)?.parse().ok()
}
