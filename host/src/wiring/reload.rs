//! Connection files read again while the host runs: all of them are right and taken over, or nothing changes. Calls that
//! are under way go on with what they began with; no admin identity is read here.

use super::circles::{ADVICE, circle_of};
use super::connections::{self, Authorities, Opened};
use super::host::{Host, InForce};
use super::logins::Logins;
use super::managed::Link;
use crate::exit::Failure;
use keybaton_engine::ListQuery;
use keybaton_engine::ports::audit::{AuditEntry, Verdict};
use keybaton_engine::views::Standing;
use keybaton_protocol::ids::{Author, ConnectionName};
use keybaton_schedule::connection::Connection;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The act, as the audit log names it.
const ACT: &str = "connections.reload";

/// Connections, and what is theirs while the host runs.
pub(super) struct Live {
    pub(super) host: Arc<Host>,
    pub(super) link: Arc<Link>,
    pub(super) logins: Logins,
    pub(super) authorities: Authorities,
}

/// What other files mean.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    added: Vec<ConnectionName>,
    changed: Vec<ConnectionName>,
    removed: Vec<ConnectionName>,
}

impl Changes {
    /// `new_ca` tells whether the authority that a connection names has other bytes now.
    fn between(old: &[Connection], new: &[Connection], new_ca: impl Fn(&ConnectionName) -> bool) -> Self {
        let find = |all: &[Connection], name: &ConnectionName| all.iter().find(|one| one.name == *name).cloned();
        let mut changes = Self::default();
        for one in new {
            match find(old, &one.name) {
                None => changes.added.push(one.name.clone()),
                Some(before) if before != *one || new_ca(&one.name) => changes.changed.push(one.name.clone()),
                Some(_) => {}
            }
        }
        let gone = old.iter().filter(|one| find(new, &one.name).is_none());
        changes.removed = gone.map(|one| one.name.clone()).collect();
        changes
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    fn told(&self) -> String {
        let lists = [("added", &self.added), ("changed", &self.changed), ("removed", &self.removed)];
        let told = lists.iter().filter(|(_, names)| !names.is_empty()).map(|(what, names)| {
            let names: Vec<&str> = names.iter().map(ConnectionName::as_str).collect();
            format!("{what}: {}", names.join(", "))
        });
        told.collect::<Vec<_>>().join("; ")
    }
}

impl Live {
    /// Reads all files again. What came of it is in the log, and in the audit log unless nothing has changed.
    pub(super) async fn reload(&mut self) {
        match self.take_over().await {
            Ok(changes) if changes.is_nothing() => tracing::info!("the connection files say what they said before"),
            Ok(changes) => tracing::info!(changes = changes.told(), "connections were read again"),
            Err(why) => {
                tracing::error!(
                    why,
                    "the connection files were not taken over; those that were read before stay in force"
                );
                let refused = Verdict::Refused(why);
                if let Err(why) = self.audit(refused, String::new()).await {
                    tracing::error!(why, "the audit log did not take the refusal");
                }
            }
        }
    }

    /// Stops answering for connections.
    pub(super) async fn close(&mut self) {
        self.logins.shutdown().await;
        self.link.close();
    }

    async fn take_over(&mut self) -> Result<Changes, String> {
        let host = Arc::clone(&self.host);
        let mut force = host.force.lock().await;
        let new = read(&host)?;
        let opened = Opened::new(&new, &host.installation.dir, &self.link, &self.logins.all());
        let opened = opened.map_err(|failure| text(&failure))?;
        let new_ca = |name: &ConnectionName| self.authorities.get(name) != opened.authorities.get(name);
        let changes = Changes::between(&force.connections, &new, new_ca);
        if changes.is_nothing() {
            return Ok(changes);
        }
        self.check(&force, &new, &changes)?;
        let asked = self.audit(Verdict::Asked, changes.told()).await;
        asked.map_err(|why| format!("{why}; nothing was changed"))?;
        let taken = |name: &ConnectionName| changes.added.contains(name) || changes.changed.contains(name);
        let replaced = opened.connections.into_iter().filter(|one| taken(&one.name)).collect();
        host.runtime.connections().change(replaced, &changes.removed);
        self.logins.set(&opened.managed);
        self.authorities = opened.authorities;
        force.connections = new;
        // Who logs in with a secret is among its consumers, and what a connection points at is pinned.
        let declared = host.declare(&force, Author::host()).await;
        let outcome = match &declared {
            Ok(()) => Verdict::Done,
            Err(error) => Verdict::Failed(error.to_string()),
        };
        let audited = self.audit(outcome, changes.told()).await;
        if let Err(error) = declared {
            tracing::error!(%error, "the new connections are in force, but not all secrets know of it: restart the host");
        }
        if let Err(why) = audited {
            tracing::error!(why, "the audit log has only that it was asked");
        }
        Ok(changes)
    }

    /// What would be wrong with these although each file is right.
    fn check(&self, force: &InForce, new: &[Connection], changes: &Changes) -> Result<(), String> {
        let circle = |spec| circle_of(spec, &force.specs, new).map(|why| format!("{}: {why}; {ADVICE}", spec.name));
        if let Some(why) = force.specs.iter().find_map(circle) {
            return Err(why);
        }
        let used = |name: &&ConnectionName| force.specs.iter().any(|spec| *spec.connection == **name);
        if let Some(gone) = changes.removed.iter().find(used) {
            let spec = force.specs.iter().find(|spec| *spec.connection == *gone);
            let user = spec.map(|spec| spec.name.to_string()).unwrap_or_default();
            return Err(format!("no file has the connection {gone} any more, and {user} is rotated over it"));
        }
        let target = |all: &[Connection], name: &ConnectionName| {
            all.iter().find(|one| one.name == *name).map(connections::target_of)
        };
        let moved = |name: &&ConnectionName| target(&force.connections, name) != target(new, name);
        let moved: BTreeSet<&str> = changes.changed.iter().filter(moved).map(ConnectionName::as_str).collect();
        match self.under_way(&moved) {
            Some((secret, connection)) => Err(format!(
                "the connection {connection} points elsewhere now, and what was begun for {secret} is not over"
            )),
            None => Ok(()),
        }
    }

    /// A secret over one of these connections of which something is open: it would be ended at another target.
    fn under_way(&self, connections: &BTreeSet<&str>) -> Option<(String, String)> {
        let mut query = ListQuery::default();
        while !connections.is_empty() {
            let page = self.host.engine.list(&query);
            let last = page.last()?;
            query.after = last.secret.parse().ok();
            let open = page.into_iter().find(|line| {
                let rests = matches!(line.standing, Standing::New | Standing::Idle | Standing::Ended);
                !rests && line.connection.as_deref().is_some_and(|name| connections.contains(name))
            });
            if let Some(line) = open {
                return Some((line.secret, line.connection.unwrap_or_default()));
            }
        }
        None
    }

    async fn audit(&self, verdict: Verdict, detail: String) -> Result<(), String> {
        let entry = AuditEntry {
            at: self.host.clock.wall(),
            actor: Author::host().to_string(),
            from: "signal".to_owned(),
            action: ACT.to_owned(),
            subject: "connections".to_owned(),
            detail,
            verdict,
        };
        let written = self.host.stores.audit.record(entry).await;
        written.map(drop).map_err(|error| format!("the audit log takes no entry ({error})"))
    }
}

/// All connections as the files have them now; what is wrong is told with its place.
fn read(host: &Host) -> Result<Vec<Connection>, String> {
    let loaded = connections::read_files(&host.installation.connections()).map_err(|failure| text(&failure))?;
    let problems = loaded.diagnostics.iter().map(|found| {
        let place = &found.place;
        let meant = found.suggestion.as_ref().map(|meant| format!(" ({meant})")).unwrap_or_default();
        format!("{}:{}:{}: {}{meant}", place.file, place.line, place.column, found.message)
    });
    let problems: Vec<String> = problems.collect();
    if problems.is_empty() { Ok(loaded.connections) } else { Err(problems.join("; ")) }
}

fn text(failure: &Failure) -> String {
    [vec![failure.what.clone()], failure.causes.clone()].concat().join(": ")
}
