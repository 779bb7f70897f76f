//! Who is left of a process group, from /proc. It only looks.

use std::fs;

/// Whether a process of the group `group` exists that has not ended.
pub(super) fn has_living(group: i32) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return true; // without an answer the safe one
    };
    let stats = processes.flatten().filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
    stats.into_iter().any(|stat| lives_in(&stat, group))
}

/// proc_pid_stat(5): `pid (name) state parent group …`; the name may itself hold parentheses and spaces.
fn lives_in(stat: &str, group: i32) -> bool {
    let Some((_, rest)) = stat.rsplit_once(") ") else {
        return false;
    };
    let mut columns = rest.split(' ');
    let state = columns.next().unwrap_or_default();
    !matches!(state, "Z" | "X") && columns.nth(1).and_then(|number| number.parse().ok()) == Some(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_and_the_strangers_do_not_count() {
        let table = [
            ("12 (sleep) S 1 77 77 0 -1", true),
            ("12 (a) b) ) R 1 77 77 0 -1", true),
            ("12 (sleep) Z 1 77 77 0 -1", false),
            ("12 (sleep) S 77 12 77 0 -1", false),
            ("", false),
        ];
        for (stat, expected) in table {
            assert_eq!(lives_in(stat, 77), expected, "{stat}");
        }
    }
}
