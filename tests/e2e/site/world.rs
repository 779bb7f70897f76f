//! Where hosts of a test live: their server, their folders, their plugin. It goes to child processes as text.

use serde_json::{Value, json};
use std::path::PathBuf;

/// Which server hosts rotate at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Server {
    /// Host is 127.0.0.1; the administrator's password is in the file.
    Postgres { port: u16, admin: String, password: PathBuf },
    /// The administrator's token is in the file.
    Hub { origin: String, token: PathBuf },
}

/// What a host needs to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) server: Server,
    /// The store, its key, and what was seen.
    pub(crate) folder: PathBuf,
    /// Components that are approved for all hosts of a test.
    pub(crate) shared: PathBuf,
    pub(crate) plugin: String,
    /// Roles or users that the connection lets the plugin name.
    pub(crate) identities: Vec<String>,
}

impl World {
    pub(crate) fn json(&self) -> Value {
        let server = match &self.server {
            Server::Postgres { port, admin, password } => json!({ "port": port, "admin": admin, "file": password }),
            Server::Hub { origin, token } => json!({ "origin": origin, "file": token }),
        };
        json!({
            "server": server, "folder": self.folder, "shared": self.shared, "plugin": self.plugin,
            "identities": self.identities,
        })
    }

    pub(crate) fn parse(all: &Value) -> Option<Self> {
        let word = |value: &Value| value.as_str().map(str::to_owned);
        let (server, file) = (&all["server"], PathBuf::from(word(&all["server"]["file"])?));
        let server = match word(&server["origin"]) {
            Some(origin) => Server::Hub { origin, token: file },
            None => Server::Postgres {
                port: server["port"].as_u64()?.try_into().ok()?,
                admin: word(&server["admin"])?,
                password: file,
            },
        };
        Some(Self {
            server,
            folder: PathBuf::from(word(&all["folder"])?),
            shared: PathBuf::from(word(&all["shared"])?),
            plugin: word(&all["plugin"])?,
            identities: all["identities"].as_array()?.iter().filter_map(word).collect(),
        })
    }
}
