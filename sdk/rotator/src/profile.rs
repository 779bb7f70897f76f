//! What a target can do under given settings, and what a plugin says of itself: the contract's two JSON documents.

use serde::Serialize;

/// What a plugin says of itself. Best made by [`about!`](crate::about).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Its name, as in its manifest.
    pub name: &'static str,
    /// Its version, as in its manifest.
    pub version: &'static str,
    /// One line for people, at most 200 characters.
    pub summary: &'static str,
    /// A JSON Schema (2020-12) of the settings.
    pub settings_schema: &'static str,
}

impl About {
    /// The document `describe` of the contract. The schema goes in as it is: that it is JSON is checked by
    #[cfg_attr(not(target_arch = "wasm32"), doc = "[`testing::check_about`](crate::testing::check_about).")]
    #[cfg_attr(target_arch = "wasm32", doc = "`testing::check_about`.")]
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = String::from("{");
        for (key, text) in [("name", self.name), ("version", self.version), ("summary", self.summary)] {
            json.extend(["\"", key, "\":", &quoted(text), ","]);
        }
        json.extend(["\"settings-schema\":", self.settings_schema, "}"]);
        json
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text can be written as JSON")
}

/// Name, version and summary of the package, with the schema of its settings.
///
/// ```
/// const ABOUT: keybaton_rotator::About = keybaton_rotator::about!(r#"{ "type": "object" }"#);
/// ```
#[macro_export]
macro_rules! about {
    ($schema:expr) => {
        $crate::About {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            summary: env!("CARGO_PKG_DESCRIPTION"),
            settings_schema: $schema,
        }
    };
}

/// How many credentials the target keeps valid at once, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Overlap {
    /// One slot: the new credential overwrites the old.
    None,
    /// Slots taken in turn; 2 to 16.
    Alternate {
        /// Their names.
        slots: Vec<String>,
    },
    /// Several live at once.
    Native {
        /// How many; 2 to 1,000.
        limit: u32,
    },
    /// Old and new do not know of each other (certificates).
    Replace,
}

/// Who makes the secret bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Minter {
    /// The host generates, the target is told.
    Host,
    /// The target generates and answers with it once.
    Target,
    /// A consumer generates and brings public material.
    Consumer,
}

/// How late and how coarse the target's own account of use is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Usage {
    /// How long a use may take to show, in milliseconds.
    pub lag_ms: u64,
    /// How coarse the time of use is, in milliseconds.
    pub resolution_ms: u64,
}

/// What the target can do under given settings.
///
/// ```
/// use keybaton_rotator::{Minter, Overlap, Profile};
/// let profile = Profile { soft_disable: true, ..Profile::new(Overlap::Native { limit: 2 }, Minter::Target) };
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Profile {
    /// Validity of several credentials at once.
    pub overlap: Overlap,
    /// Who makes the bytes.
    pub minter: Minter,
    /// `disable` and `enable` are implemented.
    pub soft_disable: bool,
    /// A previous value can be installed again.
    pub reinstall: bool,
    /// `promote` does something.
    pub promotes: bool,
    /// The target's own account of use, if it has one.
    pub usage: Option<Usage>,
    /// How long the target may take to accept a new credential everywhere, in milliseconds.
    pub settle_ms: u64,
    /// The settings say that a credential which is in use, and which the host does not know, may be replaced. Without it
    /// the first credential is not made where one is live already.
    #[serde(skip_serializing_if = "is_false")]
    pub replaces: bool,
    /// What of the target is this secret's alone under these settings: `role:app_a`, `tokens:/users/app/tokens`. The host
    /// refuses two secrets that claim the same thing of one target.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(truth: &bool) -> bool {
    !*truth
}

impl Profile {
    /// The least: nothing that can be switched off, put back or promoted, no account of use, nothing
    /// replaced and nothing claimed.
    #[must_use]
    pub fn new(overlap: Overlap, minter: Minter) -> Self {
        Self {
            overlap,
            minter,
            soft_disable: false,
            reinstall: false,
            promotes: false,
            usage: None,
            settle_ms: 0,
            replaces: false,
            claims: Vec::new(),
        }
    }

    /// The document `profile` of the contract.
    ///
    /// # Panics
    ///
    /// Never: every key is text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a profile's keys are text")
    }
}
