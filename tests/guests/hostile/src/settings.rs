//! What the tests ask of the guest, and its answers where it behaves.

use super::bindings::keybaton::rotator::keygen::PasswordPolicy;
use serde::Deserialize;

/// How to misbehave, and in which export.
#[derive(Debug, Deserialize)]
pub(crate) struct Settings {
    /// A connection it was given.
    #[serde(default)]
    pub(crate) connection: String,
    /// The behaviour; none: it behaves.
    #[serde(default)]
    pub(crate) behave: String,
    /// The export.
    #[serde(default = "install")]
    pub(crate) at: String,
}

fn install() -> String {
    "install".to_owned()
}

impl Settings {
    pub(crate) fn of(text: &str) -> Self {
        serde_json::from_str(text).expect("the tests send settings that parse")
    }

    /// The behaviour asked for in this export.
    pub(crate) fn behave_at(&self, at: &str) -> &str {
        if self.at == at { &self.behave } else { "" }
    }
}

pub(crate) fn policy(length: u32, alphabet: &str) -> PasswordPolicy {
    PasswordPolicy { length, alphabet: alphabet.to_owned(), required: Vec::new() }
}

pub(crate) const DESCRIBE: &str = r#"{
    "name": "hostile",
    "version": "0.1.0",
    "summary": "A guest that does what its settings say, all of it forbidden.",
    "settings-schema": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "connection": { "type": "string" },
            "behave": { "type": "string" },
            "at": { "type": "string" }
        }
    }
}"#;

pub(crate) const PROFILE: &str = r#"{
    "overlap": { "kind": "none" },
    "minter": "host",
    "soft-disable": false,
    "reinstall": true,
    "promotes": false,
    "usage": null,
    "settle-ms": 0
}"#;
