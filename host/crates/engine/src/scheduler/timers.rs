//! A heap of instants: 16 bytes an entry, replaced lazily. Knows secrets by number only.

use keybaton_protocol::ids::Millis;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What an entry is for. One of each kind counts per secret: the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Its cadence says so.
    Due,
    /// A wait of its open rotation is over.
    Wake,
}

/// Kept with each secret: which of its entries count. An entry with an older stamp is dropped when it comes up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stamps([u32; 2]);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Millis,
    secret: u32,
    /// The stamp, shifted by one, and the kind.
    tag: u32,
}

/// The heap.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
    /// Entries that were replaced and still lie in the heap.
    stale: usize,
}

/// Below this many stale entries the heap is not rebuilt.
const STALE_FLOOR: usize = 4_096;

impl Timers {
    /// Sets the instant of a kind, replacing an earlier one. Answers whether it is now the earliest of all.
    pub(crate) fn set(&mut self, secret: u32, stamps: &mut Stamps, kind: Kind, at: Option<Millis>) -> bool {
        let stamp = &mut stamps.0[kind as usize];
        // A stamp uses 31 bits; wrapping is harmless unless an entry outlives two thousand million replacements.
        *stamp = stamp.wrapping_add(1) & 0x7fff_ffff;
        self.stale += 1;
        let Some(at) = at else { return false };
        let entry = Entry { at, secret, tag: *stamp << 1 | kind as u32 };
        let earliest = self.heap.peek().is_none_or(|Reverse(first)| entry.at < first.at);
        self.heap.push(Reverse(entry));
        earliest
    }

    /// When the next entry comes up. May be a stale one: looking costs nothing.
    pub(crate) fn next(&self) -> Option<Millis> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// The next entry that is due and counts.
    pub(crate) fn pop(&mut self, now: Millis, stamps: impl Fn(u32) -> Stamps) -> Option<(u32, Kind, Millis)> {
        while self.heap.peek().is_some_and(|Reverse(entry)| entry.at <= now) {
            let Some(Reverse(entry)) = self.heap.pop() else { break };
            if counts(&entry, stamps(entry.secret)) {
                return Some((entry.secret, kind_of(&entry), entry.at));
            }
            self.stale = self.stale.saturating_sub(1);
        }
        None
    }

    /// The clock was set: wakes are moved with it. An entry that is no due time (`is_due`) is only asked earlier.
    pub(crate) fn shift(&mut self, by_ms: i64, is_due: impl Fn(u32, Millis) -> bool) {
        let moved = std::mem::take(&mut self.heap).into_iter().map(|Reverse(entry)| {
            let at = match kind_of(&entry) {
                Kind::Wake => entry.at.shifted(by_ms),
                Kind::Due if is_due(entry.secret, entry.at) => entry.at,
                Kind::Due => entry.at.min(entry.at.shifted(by_ms)),
            };
            Reverse(Entry { at, ..entry })
        });
        self.heap = moved.collect();
    }

    /// Rebuilds the heap when most of it is stale, so that it grows with secrets and not with replacements.
    pub(crate) fn tidy(&mut self, stamps: impl Fn(u32) -> Stamps) {
        if self.stale > STALE_FLOOR && self.stale > self.heap.len() / 2 {
            self.heap.retain(|Reverse(entry)| counts(entry, stamps(entry.secret)));
            self.stale = 0;
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

fn kind_of(entry: &Entry) -> Kind {
    if entry.tag & 1 == 0 { Kind::Due } else { Kind::Wake }
}

fn counts(entry: &Entry, stamps: Stamps) -> bool {
    stamps.0[kind_of(entry) as usize] == entry.tag >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        timers: Timers,
        stamps: Vec<Stamps>,
    }

    impl Fixture {
        fn new(secrets: usize) -> Self {
            Self { timers: Timers::default(), stamps: vec![Stamps::default(); secrets] }
        }

        fn set(&mut self, secret: u32, kind: Kind, at: Option<u64>) -> bool {
            self.timers.set(secret, &mut self.stamps[secret as usize], kind, at.map(Millis))
        }

        fn due(&mut self, now: u64) -> Vec<(u32, Kind)> {
            let stamps = &self.stamps;
            std::iter::from_fn(|| self.timers.pop(Millis(now), |id| stamps[id as usize]))
                .map(|(secret, kind, _)| (secret, kind))
                .collect()
        }
    }

    #[test]
    fn entries_come_up_in_order_and_not_before_their_time() {
        let mut f = Fixture::new(3);
        assert!(f.set(0, Kind::Due, Some(30)));
        assert!(f.set(1, Kind::Due, Some(10)));
        assert!(!f.set(2, Kind::Wake, Some(20)));
        assert_eq!(f.due(9), []);
        assert_eq!(f.due(20), [(1, Kind::Due), (2, Kind::Wake)]);
        assert_eq!(f.due(u64::MAX), [(0, Kind::Due)]);
    }

    #[test]
    fn a_replaced_entry_never_comes_up_and_the_other_kind_is_untouched() {
        let mut f = Fixture::new(1);
        f.set(0, Kind::Due, Some(10));
        f.set(0, Kind::Wake, Some(15));
        f.set(0, Kind::Due, Some(20));
        assert_eq!(f.due(15), [(0, Kind::Wake)]);
        f.set(0, Kind::Due, None);
        assert_eq!(f.due(u64::MAX), []);
    }

    #[test]
    fn a_step_of_the_clock_moves_wakes_and_no_due_times() {
        for (by_ms, wakes_at, asked_at) in [(1_000, 1_500, 700), (-300, 200, 400)] {
            let mut f = Fixture::new(3);
            f.set(0, Kind::Wake, Some(500));
            f.set(1, Kind::Due, Some(600));
            f.set(2, Kind::Due, Some(700));
            f.timers.shift(by_ms, |id, at| id == 1 && at == Millis(600));
            let mut found: Vec<_> = f.timers.heap.iter().map(|Reverse(it)| (it.secret, it.at.0)).collect();
            found.sort_unstable();
            assert_eq!(found, [(0, wakes_at), (1, 600), (2, asked_at)], "{by_ms}");
        }
    }

    #[test]
    fn the_heap_does_not_grow_with_replacements() {
        let mut f = Fixture::new(10);
        for round in 0..100_000 {
            f.set(round % 10, Kind::Wake, Some(1_000_000 + u64::from(round)));
            let stamps = &f.stamps;
            f.timers.tidy(|id| stamps[id as usize]);
        }
        assert!(f.timers.len() < 10_000, "{} entries for 10 secrets", f.timers.len());
        assert_eq!(f.due(u64::MAX).len(), 10);
    }
}
