//! Whether a secret that is due may start now: a list of small rules, the first that objects is the answer people see.

use crate::board::{Board, Cell, SecretId};
use keybaton_protocol::ids::Millis;
use std::collections::HashMap;

/// Why a due secret has not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// What is stored of it is damaged.
    Damaged,
    /// Its declaration says so.
    Paused,
    /// A rotation that somebody asked for is open.
    Busy,
    /// An operator froze its namespace, connection, plugin or the host.
    Frozen,
    /// Too many faults in a row of its plugin on its connection.
    Brake,
    /// Another of its group started a moment ago, or is rotating.
    Stagger,
    /// A secret that it comes after is rotating, due, or has no credential yet.
    Dependency,
    /// It is outside its windows.
    Window,
    /// It was refused; asked again after a pause.
    Refused(Box<str>),
}

impl Blocked {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Damaged => "what is stored of it is damaged; `keybaton doctor` says what to do".to_owned(),
            Self::Paused => "paused by its declaration".to_owned(),
            Self::Busy => "a rotation is open".to_owned(),
            Self::Frozen => "frozen by an operator".to_owned(),
            Self::Brake => "too many faults in a row of its plugin on its connection".to_owned(),
            Self::Stagger => "another secret of its group comes first".to_owned(),
            Self::Dependency => "a secret it comes after goes first".to_owned(),
            Self::Window => "outside its windows".to_owned(),
            Self::Refused(why) => format!("could not start: {why}"),
        }
    }
}

/// A rule's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gate {
    /// No objection.
    Open,
    /// Ask again at this instant.
    Later(Millis, Blocked),
    /// Ask again when this happens.
    Behind(WaitKey, Blocked),
    /// Not before its declaration changes.
    Shut(Blocked),
}

/// What a due secret may wait behind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum WaitKey {
    /// The end of a rotation of this secret.
    Secret(SecretId),
    /// The end of a rotation in this group.
    Group(String),
    /// A thaw.
    Thaw,
}

/// Due secrets behind something. Bounded by the number of secrets: each waits behind one thing.
#[derive(Debug, Default)]
pub(crate) struct Waiters(HashMap<WaitKey, Vec<SecretId>>);

impl Waiters {
    pub(crate) fn add(&mut self, key: WaitKey, secret: SecretId) {
        self.0.entry(key).or_default().push(secret);
    }

    pub(crate) fn take(&mut self, key: &WaitKey) -> Vec<SecretId> {
        if self.0.is_empty() {
            return Vec::new();
        }
        self.0.remove(key).unwrap_or_default()
    }
}

type Rule = fn(&mut Board, SecretId, Millis) -> Gate;

/// In the order in which people would want to hear it.
const RULES: &[Rule] = &[damaged, paused, busy, frozen, window, dependency, stagger, brake];

/// What holds even where the current value is known to others.
const URGENT: &[Rule] = &[damaged, busy, frozen, brake];

/// Asks every rule in turn.
pub(crate) fn ask(board: &mut Board, secret: SecretId, now: Millis) -> Gate {
    let rules = if board.cell(secret).urgent { URGENT } else { RULES };
    rules.iter().map(|rule| rule(board, secret, now)).find(|gate| *gate != Gate::Open).unwrap_or(Gate::Open)
}

fn damaged(board: &mut Board, secret: SecretId, _: Millis) -> Gate {
    if board.cell(secret).damaged.is_some() { Gate::Shut(Blocked::Damaged) } else { Gate::Open }
}

fn paused(board: &mut Board, secret: SecretId, _: Millis) -> Gate {
    let cell = board.cell(secret);
    let startable = cell.spec.as_ref().is_some_and(|spec| !spec.paused) && !cell.mark.closed;
    if startable { Gate::Open } else { Gate::Shut(Blocked::Paused) }
}

fn busy(board: &mut Board, secret: SecretId, _: Millis) -> Gate {
    if board.cell(secret).rotating { Gate::Behind(WaitKey::Secret(secret), Blocked::Busy) } else { Gate::Open }
}

fn frozen(board: &mut Board, secret: SecretId, _: Millis) -> Gate {
    if board.is_frozen(secret) { Gate::Behind(WaitKey::Thaw, Blocked::Frozen) } else { Gate::Open }
}

fn window(board: &mut Board, secret: SecretId, now: Millis) -> Gate {
    let cell = board.cell(secret);
    let Some(cadence) = cell.spec.as_ref().and_then(|spec| spec.cadence.as_ref()) else {
        return Gate::Open;
    };
    match cadence.window(&cell.name, cell.anchor(), now) {
        Some(at) if at <= now => Gate::Open,
        Some(at) => Gate::Later(at, Blocked::Window),
        None => Gate::Shut(Blocked::Window),
    }
}

/// What a secret comes after goes first: while it rotates, is due itself, or has no credential yet.
fn dependency(board: &mut Board, secret: SecretId, now: Millis) -> Gate {
    let Some(spec) = board.cell(secret).spec.clone() else { return Gate::Open };
    let first = spec.after.iter().filter_map(|name| board.find(name)).find(|id| !settled(board.cell(*id), now));
    first.map_or(Gate::Open, |id| Gate::Behind(WaitKey::Secret(id), Blocked::Dependency))
}

fn settled(cell: &Cell, now: Millis) -> bool {
    let Some(spec) = &cell.spec else { return !cell.rotating };
    let due = cell.due.is_some_and(|due| due <= now) && !spec.paused;
    let never_issued = cell.mark.rotated_at.is_none() && !cell.mark.closed;
    !cell.rotating && !due && !never_issued
}

fn stagger(board: &mut Board, secret: SecretId, now: Millis) -> Gate {
    let Some(stagger) = board.cell(secret).spec.as_ref().and_then(|spec| spec.stagger.clone()) else {
        return Gate::Open;
    };
    let group = board.group(&stagger.group);
    if stagger.at_once > 0 && group.rotating >= stagger.at_once {
        return Gate::Behind(WaitKey::Group(stagger.group.clone()), Blocked::Stagger);
    }
    match group.last_start.map(|at| at.plus(stagger.gap_ms)) {
        Some(at) if at > now => Gate::Later(at, Blocked::Stagger),
        _ => Gate::Open,
    }
}

/// Last, because asking it lets one start pass when the brake's time is over.
fn brake(board: &mut Board, secret: SecretId, now: Millis) -> Gate {
    let Some(spec) = board.cell(secret).spec.clone() else { return Gate::Open };
    match board.brake.holds(&spec.plugin, &spec.connection, now) {
        Some(at) => Gate::Later(at, Blocked::Brake),
        None => Gate::Open,
    }
}

/// Whether cadence has anything to say of this cell at all.
pub(crate) fn next_due(cell: &Cell, now: Millis) -> Option<Millis> {
    if cell.urgent && cell.spec.is_some() {
        return Some(cell.mark.not_before.unwrap_or_default());
    }
    let cadence = cell.spec.as_ref()?.cadence.as_ref()?;
    let due = cadence.next_due(&cell.name, cell.anchor(), now)?;
    cadence.window(&cell.name, cell.anchor(), cell.mark.not_before.map_or(due, |at| at.max(due)))
}
