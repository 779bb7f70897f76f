//! Which points of a course are left to try. Its lanes share them: each is taken once, by whichever lane comes first, in
//! order, until rotations have no such moment any more. It kills nobody.

use super::order::{Kill, Moment};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Every moment of some kinds, from the first on.
pub(super) struct Points(Mutex<Vec<Kind>>);

/// The points of one kind.
struct Kind {
    moment: Moment,
    /// Tried, or being tried: all before this one.
    next: u64,
    /// What came of those that are over: whether the host was killed there, or its rotation had no such moment.
    killed: BTreeMap<u64, bool>,
}

impl Kind {
    /// A rotation has ended before it came to this point, and none was killed after it: there are no more. Two rotations
    /// need not have as many moments, so that a kill beyond opens it again.
    fn over(&self) -> bool {
        self.killed.last_key_value().is_some_and(|(_, killed)| !killed)
    }
}

impl Points {
    pub(super) fn of(moments: &[Moment]) -> Self {
        let kind = |moment: &Moment| Kind { moment: *moment, next: 0, killed: BTreeMap::new() };
        Self(Mutex::new(moments.iter().map(kind).collect()))
    }

    /// The next one that nobody has taken; none where all kinds are over.
    pub(super) fn take(&self) -> Option<Kill> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.iter_mut().filter(|kind| !kind.over()).min_by_key(|kind| kind.next)?;
        let kill = Kill { moment: kind.moment, nth: kind.next };
        kind.next += 1;
        Some(kill)
    }

    /// What came of one that was taken.
    pub(super) fn tried(&self, Kill { moment, nth }: Kill, killed: bool) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.iter_mut().find(|kind| kind.moment == moment).expect("it was taken from here");
        let before = kind.killed.insert(nth, killed);
        assert_eq!(before, None, "{moment:?} {nth} was tried twice");
    }

    /// Kills of each kind, once all lanes have ended: together they have tried every point from the first on, and gone
    /// past the last.
    pub(super) fn all_tried(&self) -> Vec<(Moment, u64)> {
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kills = |kind: &Kind| {
            let tried: Vec<u64> = kind.killed.keys().copied().collect();
            assert_eq!(tried, (0..kind.next).collect::<Vec<_>>(), "{:?}: points were left out", kind.moment);
            assert!(kind.over(), "{:?}: nobody has come to the end of them", kind.moment);
            (kind.moment, kind.killed.values().filter(|killed| **killed).count() as u64)
        };
        kinds.iter().map(kills).collect()
    }
}

/// Lanes that take points in turn, and answer in another order, over rotations that differ in length.
#[test]
fn lanes_together_try_each_point_once_and_go_past_the_last() {
    for (lanes, lengths) in [(1, [5, 5, 5]), (2, [5, 6, 5]), (3, [4, 7, 5]), (8, [5, 6, 7]), (3, [0, 0, 0])] {
        let points = Points::of(&[Moment::AfterAppend, Moment::BeforeHostCall]);
        let (mut kills, mut rotations) = (0, 0);
        loop {
            let mut taken: Vec<Kill> = std::iter::from_fn(|| points.take()).take(lanes).collect();
            if taken.is_empty() {
                break;
            }
            taken.reverse();
            for kill in taken {
                let killed = kill.nth < lengths[rotations % lengths.len()];
                rotations += 1;
                kills += u64::from(killed);
                points.tried(kill, killed);
            }
        }
        let tried = points.all_tried();
        assert_eq!(tried.iter().map(|(_, kills)| kills).sum::<u64>(), kills, "{lanes} lanes over {lengths:?}");
        let least = lengths.iter().min().copied().unwrap();
        assert!(tried.iter().all(|(_, kills)| *kills >= least), "{lanes} lanes over {lengths:?}: {tried:?}");
    }
}

#[test]
#[should_panic(expected = "points were left out")]
fn a_point_that_was_taken_and_not_tried_is_missed() {
    let points = Points::of(&[Moment::AfterAppend]);
    points.take().unwrap();
    let second = points.take().unwrap();
    points.tried(second, false);
    points.all_tried();
}
