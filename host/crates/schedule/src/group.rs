//! Several secrets together: stagger groups, and who goes first. Pure functions; the caller keeps the state.

use crate::spec::{Spec, Stagger};
use keybaton_protocol::ids::{Millis, SecretName};
use std::collections::{BTreeSet, HashMap};

/// What is going on in a stagger group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupState {
    /// When a rotation of the group last started.
    pub last_start: Option<Millis>,
    /// How many are under way.
    pub running: u32,
}

/// Whether a rotation may start, as far as its group goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// Yes.
    Now,
    /// Not before this instant.
    At(Millis),
    /// Not before one under way has ended.
    WhenOneEnds,
}

/// Whether a rotation may start at `now`, as far as its group goes.
#[must_use]
pub fn admit(stagger: &Stagger, state: GroupState, now: Millis) -> Admit {
    if state.running >= stagger.at_once {
        return Admit::WhenOneEnds;
    }
    match state.last_start.map(|start| start.plus(stagger.at_least_ms)) {
        Some(at) if at > now => Admit::At(at),
        _ => Admit::Now,
    }
}

/// The state of a secret that another comes after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// Neither due nor rotating: nothing to wait for.
    Settled,
    /// Due and not yet started.
    Due,
    /// Rotating.
    Running,
    /// It has no credential yet.
    NeverIssued,
}

impl Dependency {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Settled => "is settled",
            Self::Due => "is due",
            Self::Running => "is rotating",
            Self::NeverIssued => "has no credential yet",
        }
    }
}

/// The first of the secrets that a spec comes after which is not settled.
pub fn blocked_by(spec: &Spec, state: impl Fn(&SecretName) -> Dependency) -> Option<(&SecretName, Dependency)> {
    spec.after.iter().map(|name| (name, state(name))).find(|(_, state)| *state != Dependency::Settled)
}

/// A secret and those that it comes after.
pub type Link<'s> = (&'s SecretName, &'s [SecretName]);

/// Positions of the specs, each after all that it comes after, otherwise by name. Members of cycles come last.
#[must_use]
pub fn order(specs: &[Spec]) -> Vec<usize> {
    let links: Vec<Link<'_>> = specs.iter().map(|spec| (&spec.name, &*spec.after)).collect();
    let (mut order, left) = sorted(&links);
    order.extend(left);
    order
}

/// Cycles of `after`, as positions, each starting with its smallest name. No cycle shares a member with another.
#[must_use]
pub fn cycles(links: &[Link<'_>]) -> Vec<Vec<usize>> {
    let (_, left) = sorted(links);
    let at = positions(links);
    let stuck: BTreeSet<usize> = left.iter().copied().collect();
    let mut seen = vec![false; links.len()];
    let mut found = Vec::new();
    for start in left {
        let (mut path, mut here) = (Vec::new(), start);
        while !seen[here] {
            seen[here] = true;
            path.push(here);
            // What is stuck comes after something that is stuck.
            let next = links[here].1.iter().filter_map(|name| at.get(name)).find(|next| stuck.contains(next));
            here = *next.unwrap_or(&here);
        }
        if let Some(from) = path.iter().position(|member| *member == here) {
            let mut cycle = path.split_off(from);
            let smallest = (0..cycle.len()).min_by_key(|i| links[cycle[*i]].0).unwrap_or(0);
            cycle.rotate_left(smallest);
            found.push(cycle);
        }
    }
    found
}

fn positions<'s>(links: &[Link<'s>]) -> HashMap<&'s SecretName, usize> {
    links.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect()
}

/// Kahn's algorithm: those that can be put in order, and the rest, both by name where free to choose.
fn sorted(links: &[Link<'_>]) -> (Vec<usize>, Vec<usize>) {
    let at = positions(links);
    let mut waits = vec![0_usize; links.len()];
    let mut then: Vec<Vec<usize>> = vec![Vec::new(); links.len()];
    for (here, (_, after)) in links.iter().enumerate() {
        for before in after.iter().filter_map(|name| at.get(name)) {
            waits[here] += 1;
            then[*before].push(here);
        }
    }
    let free = (0..links.len()).filter(|here| waits[*here] == 0);
    let mut free: BTreeSet<(&SecretName, usize)> = free.map(|here| (links[here].0, here)).collect();
    let mut order = Vec::with_capacity(links.len());
    while let Some((_, here)) = free.pop_first() {
        order.push(here);
        for next in &then[here] {
            waits[*next] -= 1;
            if waits[*next] == 0 {
                free.insert((links[*next].0, *next));
            }
        }
    }
    let mut left: Vec<usize> = (0..links.len()).filter(|here| waits[*here] > 0).collect();
    left.sort_by_key(|here| links[*here].0);
    (order, left)
}
