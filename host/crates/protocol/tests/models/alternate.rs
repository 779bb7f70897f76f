//! Overlap `alternate`: every state within these bounds, with hosts that crash, calls that are lost or late, consumers that
//! restart and lie, operators, compromises and strangers.

use crate::check::{ALL, Bounds, Trouble, explore};

#[test]
fn any_two_troubles_in_one_rotation_break_nothing() {
    explore(Bounds {
        profile: crate::common::alternate(),
        replicas: 1,
        count: None,
        trouble: 2,
        rotations: 1,
        troubles: ALL,
    });
}

#[test]
fn one_trouble_in_two_rotations_with_two_replicas_breaks_nothing() {
    explore(Bounds {
        profile: crate::common::alternate(),
        replicas: 2,
        count: None,
        trouble: 1,
        rotations: 2,
        troubles: ALL,
    });
}

#[test]
fn three_troubles_with_hosts_and_calls_break_nothing() {
    let troubles = &[Trouble::Hosts, Trouble::Calls];
    explore(Bounds {
        profile: crate::common::alternate(),
        replicas: 1,
        count: None,
        trouble: 3,
        rotations: 1,
        troubles,
    });
}

#[test]
fn what_a_stranger_puts_into_a_slot_is_never_ended() {
    let troubles = &[Trouble::Occupants, Trouble::Operators];
    explore(Bounds {
        profile: crate::common::alternate(),
        replicas: 1,
        count: None,
        trouble: 3,
        rotations: 1,
        troubles,
    });
}

#[test]
fn a_stranger_in_a_slot_and_a_host_that_dies_break_nothing() {
    let troubles = &[Trouble::Occupants, Trouble::Hosts];
    explore(Bounds {
        profile: crate::common::alternate(),
        replicas: 1,
        count: None,
        trouble: 3,
        rotations: 2,
        troubles,
    });
}
