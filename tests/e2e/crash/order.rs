//! What parent and child say to each other: where a life takes place, where it ends, and what its journal names then.
//! Values of credentials are in it; it goes through a pipe and nowhere else.

use serde_json::{Value, json};
use std::path::PathBuf;

/// The child's environment variable with its [`World`].
pub(super) const WORLD: &str = "KEYBATON_E2E_WORLD";
/// What the child's lines to the parent begin with; the test harness writes others.
pub(super) const LINE: &str = "life: ";

/// A moment at which a host ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// A journal write was asked for and not made.
    BeforeAppend,
    /// A journal write is durable, and nobody heard of it.
    AfterAppend,
    /// A host call is about to be put on record, or is on record as sent, and has not left.
    BeforeHostCall,
    /// A host call was made, and its answer is not on record.
    AfterHostCall,
}

pub(super) const MOMENTS: [Moment; 4] =
    [Moment::BeforeAppend, Moment::AfterAppend, Moment::BeforeHostCall, Moment::AfterHostCall];

/// The nth such moment of a rotation, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kill {
    pub(super) moment: Moment,
    pub(super) nth: u64,
}

impl Kill {
    pub(super) fn line(self) -> String {
        format!("{} {}\n", self.moment as usize, self.nth)
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        let (moment, nth) = line.trim().split_once(' ')?;
        Some(Self { moment: *MOMENTS.get(moment.parse::<usize>().ok()?)?, nth: nth.parse().ok()? })
    }
}

/// Which server a life rotates at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Server {
    /// Host is 127.0.0.1; the administrator's password is in the file.
    Postgres { port: u16, admin: String, password: PathBuf },
    /// The administrator's token is in the file.
    Hub { origin: String, token: PathBuf },
}

/// Where a life takes place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct World {
    pub(super) server: Server,
    /// Store, components, what was seen.
    pub(super) folder: PathBuf,
    pub(super) plugin: String,
    pub(super) settings: Value,
    /// Roles or users that the connection lets the plugin name.
    pub(super) identities: Vec<String>,
    pub(super) quiet_ms: u64,
}

impl World {
    pub(super) fn text(&self) -> String {
        let server = match &self.server {
            Server::Postgres { port, admin, password } => json!({ "port": port, "admin": admin, "file": password }),
            Server::Hub { origin, token } => json!({ "origin": origin, "file": token }),
        };
        json!({
            "server": server, "folder": self.folder, "plugin": self.plugin, "settings": self.settings,
            "identities": self.identities, "quiet_ms": self.quiet_ms,
        })
        .to_string()
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let all: Value = serde_json::from_str(text).ok()?;
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
            plugin: word(&all["plugin"])?,
            settings: all["settings"].clone(),
            identities: all["identities"].as_array()?.iter().filter_map(word).collect(),
            quiet_ms: all["quiet_ms"].as_u64()?,
        })
    }
}
