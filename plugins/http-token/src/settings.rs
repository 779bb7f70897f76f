//! The settings: an API described as paths, bodies and JSON pointers; and what can be said of them without the API.

use crate::names;
use keybaton_rotator::Finding;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Names that the plugin itself puts into paths and bodies.
const OWN_NAMES: &[&str] = &["id", "marker"];

/// Settings of one secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The connection, as one who may mint, list and delete the tokens.
    pub connection: String,
    /// Values for `{name}` in paths and bodies.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// Headers of every request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How many tokens may be live at once.
    pub limit: u32,
    /// How long the API may take to accept a new token everywhere, in milliseconds.
    #[serde(default)]
    pub settle_ms: u64,
    /// How late and coarse the API's account of use is.
    pub usage: Option<UsageSettings>,
    /// How a token is made.
    pub mint: Mint,
    /// How tokens are listed.
    pub list: List,
    /// How a token is tried.
    pub verify: Verify,
    /// How a token is deleted.
    pub revoke: Revoke,
}

/// How late and coarse the API's time of last use is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UsageSettings {
    /// How long a use may take to show, in milliseconds.
    pub lag_ms: u64,
    /// How coarse the time is, in milliseconds.
    pub resolution_ms: u64,
}

/// The request that mints, and where its answer says what.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mint {
    /// `POST` or `PUT`.
    #[serde(default = "post")]
    pub method: String,
    /// Path, with placeholders.
    pub path: String,
    /// JSON body, with placeholders in its texts.
    pub body: Option<Value>,
    /// Locator of the token in the answer.
    pub token: String,
    /// JSON pointer to the id.
    pub id: String,
    /// JSON pointer to the end of its life.
    pub expires: Option<String>,
}

/// The request that lists, and where its answer says what.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct List {
    /// Path, with placeholders.
    pub path: String,
    /// JSON pointer to the array.
    #[serde(default)]
    pub items: String,
    /// JSON pointer to the id, within an item; so are the others.
    pub id: String,
    /// To the note that holds the marker.
    pub note: Option<String>,
    /// To the time of minting.
    pub created: Option<String>,
    /// To the end of its life.
    pub expires: Option<String>,
    /// To the time of last use.
    pub last_used: Option<String>,
}

/// The request that tries a token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Verify {
    /// Path, with placeholders.
    pub path: String,
    /// The header that carries the token alone.
    pub header: Option<String>,
    /// What stands before the token.
    pub prefix: Option<String>,
    /// JSON pointer to whose token it is.
    pub subject: Option<String>,
    /// What must be there, with placeholders.
    pub is: Option<String>,
    /// Statuses that mean that the token was refused.
    #[serde(default = "refused")]
    pub refused: Vec<u16>,
}

/// The request that deletes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Revoke {
    /// `DELETE` or `POST`.
    #[serde(default = "delete")]
    pub method: String,
    /// Path, with placeholders.
    pub path: String,
    /// JSON body, with placeholders in its texts.
    pub body: Option<Value>,
    /// Statuses that mean that there is no such token.
    #[serde(default = "absent")]
    pub absent: Vec<u16>,
}

fn post() -> String {
    "POST".to_owned()
}

fn delete() -> String {
    "DELETE".to_owned()
}

fn refused() -> Vec<u16> {
    vec![401, 403]
}

fn absent() -> Vec<u16> {
    vec![404, 410]
}

impl Settings {
    /// What is wrong, as far as can be told without the API.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = self.placeholder_findings();
        if self.usage.is_some() != self.list.last_used.is_some() {
            let message = "`usage` and `list.last-used` go together: where the time is, and how late and coarse it is";
            findings.push(Finding::fatal("/usage", message));
        }
        if self.verify.header.is_some() && self.verify.prefix.is_some() {
            let message = "a header of its own carries the token alone; `prefix` goes with `authorization`";
            findings.push(Finding::fatal("/verify/prefix", message));
        }
        let revoke_names_it = names::within(&self.revoke.path).any(|name| name == "id")
            || self.revoke.body.as_ref().is_some_and(|body| names::within_body(body).iter().any(|name| name == "id"));
        if !revoke_names_it {
            findings
                .push(Finding::fatal("/revoke", "neither path nor body has `{id}`: it must say which token to delete"));
        }
        if !self.is_marked() {
            let message = "without `{marker}` in the body and `list.note`, a token whose answer was lost is told from \
                           others by its age alone";
            findings.push(Finding::warning("/mint/body", message));
        }
        findings
    }

    /// Whether a token shows which operation minted it.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        let marks = |body: &Value| names::within_body(body).iter().any(|name| name == "marker");
        self.list.note.is_some() && self.mint.body.as_ref().is_some_and(marks)
    }

    fn placeholder_findings(&self) -> Vec<Finding> {
        let mut used: Vec<(&str, String)> = Vec::new();
        for (at, path) in [
            ("/mint/path", &self.mint.path),
            ("/list/path", &self.list.path),
            ("/verify/path", &self.verify.path),
            ("/revoke/path", &self.revoke.path),
        ] {
            used.extend(names::within(path).map(|name| (at, name.to_owned())));
        }
        used.extend(self.verify.is.iter().flat_map(|is| names::within(is)).map(|name| ("/verify/is", name.to_owned())));
        for (at, body) in [("/mint/body", &self.mint.body), ("/revoke/body", &self.revoke.body)] {
            used.extend(body.iter().flat_map(names::within_body).map(|name| (at, name)));
        }
        let known = |name: &str| OWN_NAMES.contains(&name) || self.values.contains_key(name);
        let unknown = used.into_iter().filter(|(_, name)| !known(name));
        let mut findings: Vec<_> = unknown
            .map(|(at, name)| {
                Finding::fatal(at, format!("`{{{name}}}` is neither in `values` nor one of {OWN_NAMES:?}"))
            })
            .collect();
        let shadowing = OWN_NAMES.iter().filter(|name| self.values.contains_key(**name));
        findings.extend(shadowing.map(|name| Finding::fatal("/values", format!("`{name}` is the plugin's own name"))));
        findings
    }
}
