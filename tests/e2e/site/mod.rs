//! A site: a real server, and what it takes to run a real engine, store, sandbox and component against it within a
//! test's own process. It knows nothing of what is made to go wrong.

mod census;
mod course;
mod engine;
mod history;
mod watch;
mod world;

pub(crate) use census::{Census, Target};
pub(crate) use course::Course;
pub(crate) use engine::{CALL_MS, connect, declared, policy, sandbox, store, willing_consumer};
pub(crate) use history::{only_retirements_follow, part};
pub(crate) use watch::Watch;
pub(crate) use world::{Server, World};

use keybaton_runtime::catalog::{Catalog, Lock};
use keybaton_test_support::{JupyterHub, Postgres};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Settings of the plugin for one role, or for two in turn with the group that owns their objects.
pub(crate) fn role_settings(roles: &[String], group: Option<&str>) -> Value {
    match (roles, group) {
        ([role], None) => json!({ "connection": "main", "role": role }),
        _ => json!({ "connection": "main", "roles": roles, "group": group }),
    }
}

/// Settings of the plugin for the tokens of one user of a hub. Without a signal of use the workload's own evidence
/// decides, and no quiet time is waited for.
pub(crate) fn token_settings(user: &str) -> Value {
    let text = include_str!("../../../plugins/http-token/tests/jupyterhub.json");
    let mut settings: Value = serde_json::from_str(text).unwrap();
    settings["connection"] = "main".into();
    settings["values"]["user"] = user.into();
    settings.as_object_mut().unwrap().remove("usage");
    settings["list"].as_object_mut().unwrap().remove("last-used");
    settings
}

/// How a host reaches a PostgreSQL server, at this port.
pub(crate) fn postgres_server(server: &Arc<Postgres>, port: u16) -> Server {
    Server::Postgres { port, admin: server.admin_user().to_owned(), password: server.admin_password_file().to_owned() }
}

/// How a host reaches a hub, at this port.
pub(crate) fn hub_server(hub: &Arc<JupyterHub>, port: u16) -> Server {
    Server::Hub { origin: format!("http://127.0.0.1:{port}"), token: hub.admin_token_file().to_owned() }
}

/// Approves a component for every host of a test.
pub(crate) fn approve(folder: &Path, plugin: &str) {
    let component = crate::host::component(plugin);
    let bytes = std::fs::read(&component)
        .unwrap_or_else(|error| panic!("{}: {error}; `make plugins` builds it", component.display()));
    let mut catalog = Catalog::new(&folder.join("components"), Lock::default());
    catalog.approve(&bytes, None).unwrap();
    catalog.lock().save(&folder.join("keybaton.lock")).unwrap();
}
