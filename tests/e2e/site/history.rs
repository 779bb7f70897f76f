//! What a journal tells people, read by tests.

use keybaton_engine::views::HistoryEntry;

/// Calls that a finished rotation may still make: looks and trials, and what ends a credential.
const AFTERWARDS: [&str; 4] = ["observe", "verify", "disable", "destroy"];

/// A part of a line by its name; empty where it has none.
pub(crate) fn part(entry: &HistoryEntry, name: &str) -> String {
    entry.parts.iter().find(|(part, _)| part == name).map(|(_, it)| it.clone()).unwrap_or_default()
}

/// Invariant 8, over all that ever happened here: between the end of a rotation and the start of the next one nothing
/// is called that could make a credential live.
pub(crate) fn only_retirements_follow(history: &[HistoryEntry]) {
    let mut over = false;
    for entry in history {
        match entry.event.as_str() {
            "started" => over = false,
            "finished" => over = true,
            "intended" if over => {
                let export = part(entry, "export");
                assert!(AFTERWARDS.contains(&export.as_str()), "{export} was called after its rotation: {entry:?}");
            }
            _ => {}
        }
    }
}
