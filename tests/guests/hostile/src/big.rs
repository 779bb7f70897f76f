//! Answers that are too large, or not of the shape that the contract has.

use super::bindings::exports::keybaton::rotator::rotator::Finding;
use super::bindings::keybaton::rotator::types::Generation;
use super::settings::{PROFILE, Settings};

/// Bytes of a huge text.
const TEXT_BYTES: usize = 8 << 20;
/// Entries of a huge list.
const ENTRIES: usize = 200_000;

pub(crate) fn text() -> String {
    "x".repeat(TEXT_BYTES)
}

fn list() -> Vec<(String, String)> {
    (0..ENTRIES).map(|at| (at.to_string(), String::new())).collect()
}

/// What a mutating export answers with.
pub(crate) fn facts(at: &str, settings: &Settings) -> Vec<(String, String)> {
    match settings.behave_at(at) {
        "huge-string" => vec![("big".to_owned(), text())],
        "huge-list" => list(),
        _ => Vec::new(),
    }
}

pub(crate) fn findings(settings: &Settings) -> Vec<Finding> {
    let finding = |message| Finding { path: String::new(), message, fatal: false };
    match settings.behave.as_str() {
        "huge-string" => vec![finding(text())],
        "huge-list" => (0..ENTRIES).map(|at| finding(at.to_string())).collect(),
        _ => Vec::new(),
    }
}

pub(crate) fn profile(settings: &Settings) -> String {
    match settings.behave.as_str() {
        "huge-string" => text(),
        "not-json" => "overlap: none".to_owned(),
        "unknown-key" => PROFILE.replacen('{', "{ \"trust-me\": true,", 1),
        "missing-key" => "{ \"minter\": \"host\" }".to_owned(),
        "absurd" => PROFILE.replace("\"settle-ms\": 0", "\"settle-ms\": 999999999999"),
        _ => PROFILE.to_owned(),
    }
}

/// What `create` says of the credential that it made.
pub(crate) fn generation(honest: Generation, settings: &Settings) -> Generation {
    match settings.behave_at("create") {
        "huge-string" => Generation { attributes: vec![("big".to_owned(), text())], ..honest },
        "huge-list" => Generation { attributes: list(), ..honest },
        "other-number" => Generation { number: honest.number.map(|number| number.wrapping_sub(1)), ..honest },
        _ => honest,
    }
}
