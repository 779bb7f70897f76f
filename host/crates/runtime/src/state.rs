//! What one call's store holds: handles, counters, the record, and what the call may do. Lives for one call.

use crate::bindings::keybaton::rotator::types::Identity;
use crate::catalog::Grants;
use crate::connection::{Opened, Snapshot};
use crate::limits::{self, Limits, Meter};
use crate::manifest::{Manifest, Stage};
use crate::record::{Break, Ledger};
use crate::refusal::Refusal;
use crate::scrub::Scrubber;
use crate::secret::Held;
use keybaton_protocol::ids::{Generation, SecretName};
use std::sync::Arc;
use wasmtime::component::{Resource, ResourceTable};

/// The plugin as this call may use it.
#[derive(Debug)]
pub(crate) struct Allowed {
    pub(crate) manifest: Manifest,
    pub(crate) grants: Grants,
}

/// For whom a call is made, and on what record.
pub(crate) struct Business {
    pub(crate) secret: SecretName,
    /// The generation the call is about.
    pub(crate) subject: Generation,
    /// What the target said to a host call that acted as that generation: what a plugin's verdict is held against.
    pub(crate) tried: Tried,
    pub(crate) ledger: Ledger,
    pub(crate) connections: Snapshot,
}

/// How the target answered the generation itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tried {
    /// It was not asked, or did not say.
    #[default]
    Untold,
    /// It refused the generation, and let it in nowhere.
    Refused,
    /// It let the generation in.
    LetIn,
}

/// The data of one store.
pub(crate) struct CallState {
    pub(crate) table: ResourceTable,
    pub(crate) meter: Meter,
    pub(crate) stage: Stage,
    pub(crate) allowed: Arc<Allowed>,
    pub(crate) scrubber: Scrubber,
    pub(crate) log: crate::capabilities::log::Budget,
    /// None for pure exports: they have no record, no connections and no secrets.
    pub(crate) business: Option<Business>,
}

impl CallState {
    pub(crate) fn new(stage: Stage, allowed: Arc<Allowed>, limits: Limits, business: Option<Business>) -> Self {
        Self {
            table: ResourceTable::with_capacity(16),
            meter: Meter::new(limits),
            stage,
            allowed,
            scrubber: Scrubber::default(),
            log: crate::capabilities::log::Budget::default(),
            business,
        }
    }

    /// The business of a call that has one; a pure export has nothing linked that could ask.
    pub(crate) fn business(&mut self) -> Result<&mut Business, Break> {
        self.business.as_mut().ok_or_else(|| Break::Journal("a pure export made a host call".to_owned()))
    }

    /// Gives the guest a handle, within the limit on handles.
    pub(crate) fn give<T: Send + 'static>(&mut self, value: T) -> Result<Resource<T>, Break> {
        if self.table.iter_mut().count() >= limits::HANDLES {
            let limit = limits::HANDLES as u64;
            return Err(Break::Limit { code: "guest.handles", what: "the number of live handles", limit });
        }
        self.table.push(value).map_err(|error| Break::Forged(error.to_string()))
    }

    /// Gives a handle to a secret, which from here on is scrubbed out of everything.
    pub(crate) fn give_secret(&mut self, held: Held) -> Result<Resource<Held>, Break> {
        self.scrubber.learn(held.expose());
        self.give(held)
    }

    /// The secrets behind the guest's handles.
    pub(crate) fn secrets(&self, handles: &[Resource<Held>]) -> Result<Vec<Held>, Break> {
        handles
            .iter()
            .map(|handle| self.table.get(handle).cloned().map_err(|error| Break::Forged(error.to_string())))
            .collect()
    }

    /// Remembers what the target said to the credential that a host call acted as.
    pub(crate) fn tried(&mut self, identity: &Identity, secrets: &[Held], said: Tried) -> Result<(), Break> {
        let business = self.business()?;
        if let Identity::Candidate(candidate) = identity {
            let held = |(_, index): &(String, u32)| secrets.get(*index as usize);
            let all_of_it = candidate.fields.iter().map(held).all(|held| {
                held.is_some_and(|held| held.generation.is_none_or(|generation| generation == business.subject))
            });
            let whole = all_of_it && !candidate.fields.is_empty();
            if whole && (said == Tried::LetIn || business.tried == Tried::Untold) {
                business.tried = said;
            }
        }
        Ok(())
    }

    /// The connection of this name, if this plugin may use it for this secret.
    pub(crate) fn connection(&mut self, name: &str) -> Result<Result<Arc<Opened>, Refusal>, Break> {
        let plugin = self.allowed.manifest.name.clone();
        let business = self.business()?;
        let Some(opened) = business.connections.get(name) else {
            let shown = limits::cut(name, 64).escape_debug();
            return Ok(Err(Refusal::denied("connection.unknown", format!("there is no connection `{shown}`"))));
        };
        Ok(opened.admits(business.secret.namespace(), &plugin).map(|()| opened))
    }
}

/// Refuses arguments that are too large, as the guest's breakage.
pub(crate) fn bounded(bytes: usize, most: usize, what: &'static str) -> Result<(), Break> {
    if bytes > most {
        return Err(Break::Limit { code: "guest.size", what, limit: most as u64 });
    }
    Ok(())
}
