//! A counted membership: one more replica than is expected holds the old generation, names are invented, replicas die
//! and start again. Nothing ends under one that is on record as holding it, and has neither let go
//! nor been silent for longer than its lease.

use crate::check::{Bounds, Trouble, explore};
use keybaton_protocol::profile::Profile;

fn crowd(profile: Profile, replicas: usize, trouble: u8, troubles: &'static [Trouble]) -> Bounds {
    let count = u32::try_from(replicas - 1).ok();
    Bounds { profile, replicas, count, trouble, rotations: 1, troubles }
}

#[test]
fn nobody_of_three_is_locked_out_where_two_are_counted() {
    explore(crowd(crate::common::alternate(), 3, 1, &[Trouble::Crowds]));
}

#[test]
fn nobody_of_two_is_locked_out_where_one_is_counted_with_two_slots() {
    explore(crowd(crate::common::alternate(), 2, 2, &[Trouble::Crowds]));
}

#[test]
fn nobody_of_two_is_locked_out_where_one_is_counted_and_one_starts_again() {
    explore(crowd(crate::common::replace(), 2, 1, &[Trouble::Crowds, Trouble::Lives]));
}

#[test]
fn nobody_of_two_is_locked_out_where_one_is_counted_with_one_slot() {
    explore(crowd(crate::common::one_slot(), 2, 2, &[Trouble::Crowds]));
}
