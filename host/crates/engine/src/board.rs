//! What is known of every secret without its journal: a few hundred bytes each, and who is due, waiting or rotating.
//! One lock, never held across an await; no secret bytes, no events.

use crate::claims::Claims;
use crate::clock::{HostClock, Reading};
use crate::declared::{Anchor, Cadence, Declared, Server, Stagger};
use crate::options::Options;
use crate::ports::freezes::{Freeze, Scope};
use crate::ports::journal::Mark;
use crate::scheduler::{Blocked, Brake, Kind, ReadyQueue, Stamps, Timers, WaitKey, Waiters, next_due};
use crate::views::Standing;
use keybaton_protocol::ids::{ConnectionName, Digest, Millis, Place, PluginName, SecretName};
use keybaton_protocol::policy::Policy;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

/// A secret's number in this process.
pub(crate) type SecretId = u32;

/// A declaration as kept: whatever secrets have in common is kept once.
pub(crate) struct Spec {
    pub(crate) digest: Digest,
    pub(crate) plugin: Arc<PluginName>,
    pub(crate) connection: Arc<ConnectionName>,
    pub(crate) target: Arc<str>,
    pub(crate) server: Arc<Server>,
    pub(crate) places: Arc<[Place]>,
    pub(crate) settings: Arc<str>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) cadence: Option<Arc<dyn Cadence>>,
    pub(crate) stagger: Option<Arc<Stagger>>,
    pub(crate) after: Arc<[SecretName]>,
    pub(crate) paused: bool,
}

/// One secret.
pub(crate) struct Cell {
    pub(crate) name: Arc<SecretName>,
    pub(crate) spec: Option<Arc<Spec>>,
    pub(crate) mark: Mark,
    pub(crate) due: Option<Millis>,
    pub(crate) blocked: Option<Box<Blocked>>,
    pub(crate) standing: Standing,
    /// Whether a rotation is open, for groups and dependencies.
    pub(crate) rotating: bool,
    /// Whether its current value is known to others.
    pub(crate) urgent: bool,
    /// Whether it has a journal.
    pub(crate) journalled: bool,
    /// Starts by cadence that were refused since the last one that was not.
    refusals: u32,
    /// What is wrong with its journal or its values, where they are damaged: nothing is begun for it.
    pub(crate) damaged: Option<Box<str>>,
    stamps: Stamps,
}

impl Cell {
    pub(crate) fn anchor(&self) -> Anchor {
        Anchor { rotated_at: self.mark.rotated_at, expires_at: self.mark.expires_at }
    }
}

/// A stagger group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) rotating: u32,
    pub(crate) last_start: Option<Millis>,
}

/// All of them.
pub(crate) struct Board {
    by_name: BTreeMap<Arc<SecretName>, SecretId>,
    cells: Vec<Cell>,
    timers: Timers,
    groups: HashMap<String, Group>,
    waiters: Waiters,
    pub(crate) ready: ReadyQueue,
    pub(crate) brake: Brake,
    pub(crate) claims: Claims,
    freezes: BTreeMap<Scope, Freeze>,
    /// Due and not started, by due instant.
    overdue: BTreeSet<(Millis, SecretId)>,
    /// Tells whether a due time was missed.
    clock: Arc<HostClock>,
    /// The steps of the clock that instants here have been moved with.
    stepped_ms: i64,
}

/// How a secret stands after a write, as its actor saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Face {
    pub(crate) standing: Standing,
    pub(crate) rotating: bool,
    /// Its current value is known to others: it starts without waiting for its due time.
    pub(crate) urgent: bool,
    pub(crate) mark: Mark,
}

impl Board {
    pub(crate) fn new(brake: Brake, clock: Arc<HostClock>) -> Self {
        let stepped_ms = clock.read().stepped_ms;
        Self {
            by_name: BTreeMap::new(),
            cells: Vec::new(),
            timers: Timers::default(),
            groups: HashMap::new(),
            waiters: Waiters::default(),
            ready: ReadyQueue::default(),
            brake,
            claims: Claims::default(),
            freezes: BTreeMap::new(),
            overdue: BTreeSet::new(),
            clock,
            stepped_ms,
        }
    }

    pub(crate) fn find(&self, name: &SecretName) -> Option<SecretId> {
        self.by_name.get(name).copied()
    }

    /// Every secret that has a journal, by name.
    pub(crate) fn journalled(&self) -> Vec<SecretId> {
        self.by_name.values().copied().filter(|id| self.cell(*id).journalled).collect()
    }

    pub(crate) fn cell(&self, id: SecretId) -> &Cell {
        &self.cells[id as usize]
    }

    pub(crate) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Names after one, in order.
    pub(crate) fn after<'a>(&'a self, name: Option<&SecretName>) -> impl Iterator<Item = &'a Cell> {
        use std::ops::Bound;
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_name.range::<SecretName, _>((from, Bound::Unbounded)).map(|(_, id)| self.cell(*id))
    }

    /// The number of a name, new if need be.
    pub(crate) fn admit(&mut self, name: &SecretName) -> SecretId {
        if let Some(id) = self.find(name) {
            return id;
        }
        let id = SecretId::try_from(self.cells.len()).expect("fewer than four thousand million secrets");
        let name = Arc::new(name.clone());
        self.by_name.insert(Arc::clone(&name), id);
        self.cells.push(Cell {
            name,
            spec: None,
            mark: Mark::default(),
            due: None,
            blocked: None,
            standing: Standing::New,
            rotating: false,
            urgent: false,
            journalled: false,
            refusals: 0,
            damaged: None,
            stamps: Stamps::default(),
        });
        id
    }

    /// Takes over a line of the index.
    pub(crate) fn index(&mut self, name: &SecretName, mark: Mark) -> SecretId {
        let id = self.admit(name);
        let cell = &mut self.cells[id as usize];
        cell.mark = mark;
        cell.journalled = true;
        cell.rotating = mark.open;
        cell.standing = match (mark.open, mark.closed, mark.rotated_at) {
            (true, _, _) => Standing::Waiting,
            (_, true, _) => Standing::Ended,
            (_, _, Some(_)) => Standing::Idle,
            _ => Standing::New,
        };
        id
    }

    /// Takes over what another host made of a secret. While it is open, it is looked at when that host's lease has run
    /// out. Answers whether the scheduler has to look again.
    pub(crate) fn moved(&mut self, id: SecretId, mark: Mark, look_at: Millis) -> bool {
        let freed = self.count(id, mark.open);
        let opens = mark.open && !self.cell(id).mark.open;
        let name = Arc::clone(&self.cell(id).name);
        self.index(&name, mark);
        // Of one that was open before there is a timer already.
        let wake = opens && self.set_timer(id, Kind::Wake, Some(look_at));
        self.schedule(id) | wake | freed
    }

    /// What is stored of a secret is damaged.
    pub(crate) fn damage(&mut self, id: SecretId, detail: &str) {
        self.no_longer_overdue(id);
        self.cells[id as usize].damaged = Some(detail.into());
    }

    /// How many secrets are damaged.
    pub(crate) fn damaged(&self) -> usize {
        self.cells.iter().filter(|cell| cell.damaged.is_some()).count()
    }

    /// A start by cadence turned out not to be due any more.
    pub(crate) fn not_due(&mut self, id: SecretId) {
        self.count(id, false);
        self.schedule(id);
    }

    /// Declares one secret and schedules it.
    pub(crate) fn declare(&mut self, name: &SecretName, spec: Arc<Spec>) -> SecretId {
        let id = self.admit(name);
        let was_rotating = self.cell(id).rotating;
        self.count(id, false);
        let known = self
            .cell(id)
            .spec
            .as_ref()
            .is_some_and(|old| old.digest == spec.digest && old.server.endpoint == spec.server.endpoint);
        if !known {
            self.claims.expect(&spec.server, id);
        }
        self.cells[id as usize].spec = Some(spec);
        self.count(id, was_rotating);
        self.schedule(id);
        id
    }

    /// Takes a declaration away; the secret stays.
    pub(crate) fn undeclare(&mut self, id: SecretId) {
        let was_rotating = self.cell(id).rotating;
        self.count(id, false);
        self.cells[id as usize].spec = None;
        self.count(id, was_rotating);
        self.schedule(id);
    }

    /// Computes the due instant from the mark and sets it.
    pub(crate) fn schedule(&mut self, id: SecretId) -> bool {
        let due = next_due(self.cell(id), self.clock.now()).filter(|_| !self.cell(id).mark.closed);
        self.no_longer_overdue(id);
        self.cells[id as usize].due = due;
        self.cells[id as usize].blocked = None;
        self.set_timer(id, Kind::Due, due)
    }

    /// Sets a timer; answers whether it is the earliest now, so that the scheduler must look again.
    pub(crate) fn set_timer(&mut self, id: SecretId, kind: Kind, at: Option<Millis>) -> bool {
        let cells = &mut self.cells;
        let earliest = self.timers.set(id, &mut cells[id as usize].stamps, kind, at);
        let cells = &self.cells;
        self.timers.tidy(|id| cells[id as usize].stamps);
        earliest
    }

    /// Sets when a secret is to look at itself again, as reckoned at a reading of the clock.
    pub(crate) fn set_wake(&mut self, id: SecretId, at: Millis, reckoned: Reading) -> bool {
        self.follow_clock();
        let at = at.shifted(self.stepped_ms.saturating_sub(reckoned.stepped_ms));
        self.set_timer(id, Kind::Wake, Some(at))
    }

    /// Lets a secret look at itself at the next tick.
    pub(crate) fn wake_at_once(&mut self, id: SecretId) {
        self.set_timer(id, Kind::Wake, Some(Millis(0)));
    }

    /// Reads the clock. Where it was set, all that waits for a time to pass waits no longer and no shorter for it; due
    /// times, which are dates, stay.
    pub(crate) fn follow_clock(&mut self) -> Reading {
        let reading = self.clock.read();
        let by_ms = reading.stepped_ms.saturating_sub(self.stepped_ms);
        if by_ms == 0 {
            return reading;
        }
        self.stepped_ms = reading.stepped_ms;
        let cells = &self.cells;
        self.timers.shift(by_ms, |id, at| cells[id as usize].due == Some(at));
        self.brake.shift(by_ms);
        for started in self.groups.values_mut().filter_map(|group| group.last_start.as_mut()) {
            *started = started.shifted(by_ms);
        }
        // Pauses that are not over by the clock as it was, or would not be by the clock as it is.
        let over = reading.now.min(reading.now.shifted(by_ms.saturating_neg()));
        let paused = |cell: &Cell| cell.mark.not_before.is_some_and(|at| at > over);
        let ids = (0..).zip(&self.cells).filter(|(_, cell)| paused(cell)).map(|(id, _)| id);
        for id in ids.collect::<Vec<SecretId>>() {
            let mark = &mut self.cells[id as usize].mark;
            mark.not_before = mark.not_before.map(|at| at.shifted(by_ms));
            self.schedule(id);
        }
        reading
    }

    pub(crate) fn next_timer(&self) -> Option<Millis> {
        self.timers.next()
    }

    pub(crate) fn pop_timer(&mut self, now: Millis) -> Option<(SecretId, Kind)> {
        let cells = &self.cells;
        let (id, kind, _) = self.timers.pop(now, |id| cells[id as usize].stamps)?;
        Some((id, kind))
    }

    /// A secret is due: it queues for a start.
    pub(crate) fn due(&mut self, id: SecretId) {
        if let Some(due) = self.cell(id).due {
            self.overdue.insert((due, id));
        }
        self.ready.push(id);
    }

    /// It starts, is put off, or will never start by itself.
    pub(crate) fn no_longer_overdue(&mut self, id: SecretId) {
        if let Some(due) = self.cell(id).due {
            self.overdue.remove(&(due, id));
        }
    }

    pub(crate) fn overdue(&self) -> (usize, Option<Millis>) {
        (self.overdue.len(), self.overdue.first().map(|(due, _)| *due))
    }

    pub(crate) fn block(&mut self, id: SecretId, why: Blocked) {
        self.cells[id as usize].blocked = Some(Box::new(why));
    }

    pub(crate) fn wait_behind(&mut self, key: WaitKey, id: SecretId) {
        self.waiters.add(key, id);
    }

    pub(crate) fn group(&mut self, name: &str) -> &mut Group {
        if !self.groups.contains_key(name) {
            self.groups.insert(name.to_owned(), Group::default());
        }
        self.groups.get_mut(name).expect("inserted above")
    }

    /// A start by cadence was let through.
    pub(crate) fn starting(&mut self, id: SecretId, now: Millis) {
        self.no_longer_overdue(id);
        self.cells[id as usize].blocked = None;
        if let Some(stagger) = self.cell(id).spec.as_ref().and_then(|spec| spec.stagger.clone()) {
            self.group(&stagger.group).last_start = Some(now);
        }
        self.count(id, true);
    }

    /// A start was refused: asked again after a pause, which doubles each time, with the reason on show.
    pub(crate) fn refused(&mut self, id: SecretId, why: &str, now: Millis, options: &Options) {
        self.count(id, false);
        let cell = &mut self.cells[id as usize];
        let pause_ms = options.restart_base_ms.saturating_mul(1 << cell.refusals.min(20)).min(options.restart_max_ms);
        cell.refusals = cell.refusals.saturating_add(1);
        cell.mark.not_before = Some(now.plus(pause_ms));
        self.schedule(id);
        self.block(id, Blocked::Refused(why.into()));
    }

    /// Takes over how a secret stands. Answers whether the scheduler has to look again.
    pub(crate) fn face(&mut self, id: SecretId, face: &Face) -> bool {
        let old = self.cell(id).mark;
        let cell = &mut self.cells[id as usize];
        cell.journalled = true;
        cell.standing = face.standing;
        cell.mark = face.mark;
        if face.rotating {
            cell.refusals = 0;
        }
        let urgency = std::mem::replace(&mut cell.urgent, face.urgent);
        let mut look = self.count(id, face.rotating);
        let moved = |mark: &Mark| (mark.rotated_at, mark.expires_at, mark.not_before, mark.closed);
        if moved(&old) != moved(&face.mark) || urgency != face.urgent {
            look |= self.schedule(id);
        }
        look
    }

    /// Counts a rotation in or out of its group. Answers whether somebody waited for it.
    fn count(&mut self, id: SecretId, rotating: bool) -> bool {
        let cell = &mut self.cells[id as usize];
        if cell.rotating == rotating {
            return false;
        }
        cell.rotating = rotating;
        let stagger = cell.spec.as_ref().and_then(|spec| spec.stagger.clone());
        let mut freed = if rotating { Vec::new() } else { self.waiters.take(&WaitKey::Secret(id)) };
        if let Some(stagger) = stagger {
            let group = self.group(&stagger.group);
            group.rotating = if rotating { group.rotating + 1 } else { group.rotating.saturating_sub(1) };
            if !rotating {
                freed.extend(self.waiters.take(&WaitKey::Group(stagger.group.clone())));
            }
        }
        let any = !freed.is_empty();
        freed.into_iter().for_each(|id| self.ready.push(id));
        any
    }

    pub(crate) fn freeze(&mut self, freeze: Freeze) {
        self.freezes.entry(freeze.scope.clone()).or_insert(freeze);
    }

    /// Lifts a freeze; whoever waited for it asks again.
    pub(crate) fn thaw(&mut self, scope: &Scope) {
        self.freezes.remove(scope);
        self.waiters.take(&WaitKey::Thaw).into_iter().for_each(|id| self.ready.push(id));
    }

    pub(crate) fn freezes(&self) -> Vec<Freeze> {
        self.freezes.values().cloned().collect()
    }

    pub(crate) fn is_frozen(&self, id: SecretId) -> bool {
        let cell = self.cell(id);
        self.freezes.keys().any(|scope| match scope {
            Scope::Host => true,
            Scope::Namespace(namespace) => namespace == cell.name.namespace(),
            Scope::Connection(connection) => cell.spec.as_ref().is_some_and(|s| *s.connection == *connection),
            Scope::Plugin(plugin) => cell.spec.as_ref().is_some_and(|s| *s.plugin == *plugin),
        })
    }
}

/// Keeps equal parts of declarations once, while a set of them is taken in.
#[derive(Default)]
pub(crate) struct Interner {
    plugins: HashSet<Arc<PluginName>>,
    connections: HashSet<Arc<ConnectionName>>,
    targets: HashSet<Arc<str>>,
    servers: HashSet<Arc<Server>>,
    places: HashSet<Arc<[Place]>>,
    policies: HashSet<Arc<Policy>>,
    after: HashSet<Arc<[SecretName]>>,
    staggers: HashSet<Arc<Stagger>>,
}

fn once<T: ?Sized + Eq + Hash>(known: &mut HashSet<Arc<T>>, value: Arc<T>) -> Arc<T> {
    if let Some(kept) = known.get(&*value) {
        return Arc::clone(kept);
    }
    known.insert(Arc::clone(&value));
    value
}

impl Interner {
    pub(crate) fn spec(&mut self, declared: Declared) -> (SecretName, Arc<Spec>) {
        let spec = Spec {
            digest: declared.spec,
            plugin: once(&mut self.plugins, Arc::new(declared.plugin)),
            connection: once(&mut self.connections, Arc::new(declared.connection)),
            target: once(&mut self.targets, declared.target),
            server: once(&mut self.servers, declared.server),
            places: once(&mut self.places, declared.places),
            settings: declared.settings,
            policy: once(&mut self.policies, declared.policy),
            cadence: declared.cadence,
            stagger: declared.stagger.map(|stagger| once(&mut self.staggers, stagger)),
            after: once(&mut self.after, declared.after),
            paused: declared.paused,
        };
        (declared.name, Arc::new(spec))
    }
}
