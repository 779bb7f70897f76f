//! Stops further starts after repeated faults of one plugin's bytes on one connection. Never touches what runs.

use keybaton_protocol::ids::{ConnectionName, Digest, Millis, PluginName};
use std::collections::HashMap;

/// Counts faults in a row by plugin and connection.
#[derive(Debug)]
pub(crate) struct Brake {
    after: u32,
    hold_ms: u64,
    runs: HashMap<(PluginName, ConnectionName), Run>,
}

#[derive(Debug)]
struct Run {
    component: Digest,
    faults: u32,
    until: Millis,
}

impl Brake {
    pub(crate) fn new(after: u32, hold_ms: u64) -> Self {
        Self { after: after.max(1), hold_ms, runs: HashMap::new() }
    }

    /// A call failed through the plugin, the target or the operator's settings. Answers whether the brake came on.
    pub(crate) fn fault(
        &mut self,
        plugin: &PluginName,
        connection: &ConnectionName,
        component: Digest,
        now: Millis,
    ) -> bool {
        let run =
            self.runs.entry((plugin.clone(), connection.clone())).or_insert(Run { component, faults: 0, until: now });
        if run.component != component {
            *run = Run { component, faults: 0, until: now };
        }
        run.faults = run.faults.saturating_add(1);
        run.until = now.plus(self.hold_ms);
        run.faults == self.after
    }

    /// The clock was set: it holds as long as it would have.
    pub(crate) fn shift(&mut self, by_ms: i64) {
        for run in self.runs.values_mut() {
            run.until = run.until.shifted(by_ms);
        }
    }

    /// A call that does something at the target succeeded: the brake is off.
    pub(crate) fn success(&mut self, plugin: &PluginName, connection: &ConnectionName) {
        if !self.runs.is_empty() {
            self.runs.remove(&(plugin.clone(), connection.clone()));
        }
    }

    /// Whether a start must wait, and until when. Past that instant one start may try; the others wait for it.
    pub(crate) fn holds(&mut self, plugin: &PluginName, connection: &ConnectionName, now: Millis) -> Option<Millis> {
        if self.runs.is_empty() {
            return None;
        }
        let run = self.runs.get_mut(&(plugin.clone(), connection.clone()))?;
        if run.faults < self.after {
            None
        } else if now < run.until {
            Some(run.until)
        } else {
            run.until = now.plus(self.hold_ms);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Digest = Digest([1; 32]);
    const NEW: Digest = Digest([2; 32]);

    fn names() -> (PluginName, ConnectionName) {
        ("postgres-password".parse().unwrap(), "main".parse().unwrap())
    }

    #[test]
    fn faults_in_a_row_stop_starts_then_one_may_try_and_success_ends_it() {
        let (plugin, connection) = names();
        let mut brake = Brake::new(3, 100);
        assert!(!brake.fault(&plugin, &connection, OLD, Millis(1)));
        assert!(!brake.fault(&plugin, &connection, OLD, Millis(2)));
        assert_eq!(brake.holds(&plugin, &connection, Millis(2)), None);
        assert!(brake.fault(&plugin, &connection, OLD, Millis(3)));
        assert_eq!(brake.holds(&plugin, &connection, Millis(50)), Some(Millis(103)));
        assert_eq!(brake.holds(&plugin, &connection, Millis(103)), None, "one may try");
        assert_eq!(brake.holds(&plugin, &connection, Millis(104)), Some(Millis(203)), "the others wait");
        brake.success(&plugin, &connection);
        assert_eq!(brake.holds(&plugin, &connection, Millis(104)), None);
    }

    #[test]
    fn other_connections_and_new_bytes_are_not_braked() {
        let (plugin, connection) = names();
        let other: ConnectionName = "other".parse().unwrap();
        let mut brake = Brake::new(2, 100);
        brake.fault(&plugin, &connection, OLD, Millis(1));
        brake.fault(&plugin, &connection, OLD, Millis(1));
        assert_eq!(brake.holds(&plugin, &other, Millis(2)), None);
        assert!(!brake.fault(&plugin, &connection, NEW, Millis(2)), "new bytes start from nothing");
        assert_eq!(brake.holds(&plugin, &connection, Millis(2)), None);
    }
}
