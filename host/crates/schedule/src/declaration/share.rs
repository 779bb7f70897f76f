//! Keeps one copy of what many declarations have in common. Lives as long as one reading.

use crate::spec::{Cadence, Stagger};
use crate::time::{Cron, CronError, Tz};
use keybaton_protocol::ids::{ConnectionName, PluginName};
use keybaton_protocol::policy::Policy;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

/// The copies.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) plugins: Pool<PluginName>,
    pub(super) connections: Pool<ConnectionName>,
    pub(super) cadences: Pool<Cadence>,
    pub(super) staggers: Pool<Stagger>,
    pub(super) policies: Pool<Policy>,
    crons: HashMap<(String, &'static str), Arc<Cron>>,
}

impl Shared {
    /// Reads a cron expression once: its checks walk through the calendar.
    pub(super) fn cron(&mut self, text: &str, zone: Tz) -> Result<Arc<Cron>, CronError> {
        let key = (text.to_owned(), zone.name());
        if let Some(known) = self.crons.get(&key) {
            return Ok(Arc::clone(known));
        }
        let cron = Arc::new(Cron::parse(text, zone)?);
        self.crons.insert(key, Arc::clone(&cron));
        Ok(cron)
    }
}

/// Values of one type, each once.
pub(super) struct Pool<T>(HashSet<Arc<T>>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(HashSet::new())
    }
}

impl<T: Eq + Hash> Pool<T> {
    /// The copy that equals `value`.
    pub(super) fn one(&mut self, value: T) -> Arc<T> {
        if let Some(known) = self.0.get(&value) {
            return Arc::clone(known);
        }
        let value = Arc::new(value);
        self.0.insert(Arc::clone(&value));
        value
    }
}
