//! Restores in all four overlaps: a backup at any moment, a restore at any later one, and everything that follows. A
//! restore ends nothing that works and that somebody may hold, and it is no dead end.

use crate::check::{Bounds, Trouble, explore};
use crate::common::{alternate, native, one_slot, replace};

const RESTORES: &[Trouble] = &[Trouble::Restores];

#[test]
fn a_restore_at_any_moment_of_two_rotations_ends_nothing_that_is_used() {
    for profile in [alternate(), native(), one_slot(), replace()] {
        explore(Bounds { profile, replicas: 1, count: None, trouble: 2, rotations: 2, troubles: RESTORES });
    }
}

#[test]
fn a_restore_with_two_replicas_ends_nothing_that_is_used() {
    for profile in [alternate(), native(), one_slot(), replace()] {
        explore(Bounds { profile, replicas: 2, count: None, trouble: 2, rotations: 1, troubles: RESTORES });
    }
}

#[test]
fn a_restore_and_what_operators_do_end_nothing_that_is_used() {
    let troubles = &[Trouble::Restores, Trouble::Operators];
    for profile in [alternate(), native(), one_slot(), replace()] {
        explore(Bounds { profile, replicas: 1, count: None, trouble: 3, rotations: 1, troubles });
    }
}
