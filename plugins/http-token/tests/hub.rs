//! Settings for JupyterHub, and its answers as recorded from version 6.

use crate::settings::Settings;
use keybaton_rotator::Target;
use keybaton_rotator::testing::{self, Host};

pub(super) const TOKENS: &str = "/hub/api/users/svc-app/tokens";

pub(super) fn json() -> serde_json::Value {
    serde_json::from_str(include_str!("jupyterhub.json")).expect("the settings are JSON")
}

pub(super) fn settings() -> Settings {
    serde_json::from_value(json()).expect("the settings parse")
}

pub(super) fn target() -> Target<Settings> {
    testing::target(settings())
}

pub(super) fn host() -> Host {
    Host::new(include_str!("../plugin.toml"))
}

/// A token as the list has it.
pub(super) fn listed(id: &str, note: &str) -> String {
    format!(
        r#"{{ "id": "{id}", "kind": "api_token", "user": "svc-app", "note": "{note}",
              "created": "2026-11-22T03:19:00.500000Z", "expires_at": "2026-12-22T03:19:00Z",
              "last_activity": null }}"#
    )
}

pub(super) fn list(tokens: &[String]) -> String {
    format!(r#"{{ "api_tokens": [{}] }}"#, tokens.join(","))
}
