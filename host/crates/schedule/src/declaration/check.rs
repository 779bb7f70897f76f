//! What can be said only when all files are read: names taken twice, unknown names, cycles, groups at odds.

use super::secret::Declared;
use crate::diagnostic::{Diagnostic, Problems, Span};
use crate::group::{self, Link};
use crate::spec::{Spec, Stagger};
use crate::units::shown;
use keybaton_protocol::ids::SecretName;
use std::collections::{HashMap, HashSet};

/// Most declared secrets among which a misspelt name is looked for.
const MAX_COMPARED: usize = 10_000;

/// Checks all secrets together and answers the specs of those that could be read, the first of each name.
pub(super) fn all(declared: Vec<Declared>, problems: &mut Problems) -> Vec<Spec> {
    let declared = once(declared, problems);
    others_exist(&declared, problems);
    groups_agree(&declared, problems);
    let after: Vec<Vec<SecretName>> =
        declared.iter().map(|secret| secret.after.iter().map(|(name, _)| name.clone()).collect()).collect();
    let links: Vec<Link<'_>> =
        declared.iter().map(|secret| &secret.name).zip(after.iter().map(Vec::as_slice)).collect();
    for cycle in group::cycles(&links) {
        problems.push(cycle_found(&cycle, &declared));
    }
    declared.into_iter().filter_map(|secret| secret.spec).collect()
}

fn once(declared: Vec<Declared>, problems: &mut Problems) -> Vec<Declared> {
    let mut first: HashMap<SecretName, Span> = HashMap::with_capacity(declared.len());
    let mut kept = Vec::with_capacity(declared.len());
    for secret in declared {
        if let Some(taken) = first.get(&secret.name) {
            let message = format!("`{}` is declared twice", secret.name);
            problems.push(Diagnostic::new("duplicate-secret", secret.at, message).also(*taken, "first here"));
        } else {
            first.insert(secret.name.clone(), secret.at);
            kept.push(secret);
        }
    }
    kept
}

fn others_exist(declared: &[Declared], problems: &mut Problems) {
    let known: HashSet<&SecretName> = declared.iter().map(|secret| &secret.name).collect();
    for (name, span) in declared.iter().flat_map(|secret| &secret.after).filter(|(name, _)| !known.contains(name)) {
        let text = name.to_string();
        let problem = Diagnostic::new("unknown-secret", *span, format!("no secret `{text}` is declared"));
        let mut near: Vec<String> = known.iter().take(MAX_COMPARED).map(|name| name.to_string()).collect();
        near.sort();
        problems.push(problem.suggest_among(&text, near.iter().map(String::as_str)));
    }
}

/// One group, one distance and one limit.
fn groups_agree(declared: &[Declared], problems: &mut Problems) {
    let mut first: HashMap<&str, (&Stagger, Span)> = HashMap::new();
    for (stagger, at) in declared.iter().filter_map(|secret| secret.stagger.as_ref()) {
        let (theirs, there) = *first.entry(stagger.group.as_str()).or_insert((stagger, *at));
        if *theirs == **stagger {
            continue;
        }
        let said = |s: &Stagger| format!("at least {}, {} at once", shown(s.at_least_ms), s.at_once);
        let message = format!("the group `{}` has two meanings: here {}", stagger.group, said(stagger));
        let problem = Diagnostic::new("conflict", *at, message);
        problems.push(problem.also(there, format!("first here: {}", said(theirs))));
    }
}

fn cycle_found(cycle: &[usize], declared: &[Declared]) -> Diagnostic {
    let names: Vec<String> = cycle.iter().chain(cycle.first()).map(|at| format!("`{}`", declared[*at].name)).collect();
    let entry = |index: usize| {
        let next = &declared[cycle[(index + 1) % cycle.len()]].name;
        let secret = &declared[cycle[index]];
        secret.after.iter().find(|(name, _)| name == next).map_or(secret.at, |(_, span)| *span)
    };
    let message = match names.as_slice() {
        [own, _] => format!("{own} comes after itself"),
        names => format!("each comes after the next, in a circle: {}", names.join(" after ")),
    };
    let problem = Diagnostic::new("cycle", entry(0), message).suggest("take one of these entries out");
    (1..cycle.len()).fold(problem, |problem, index| problem.also(entry(index), "and here"))
}
