//! The generations that are held now, in the order in which they are to be tried. Outlives the host: what is held
//! stays held until a newer delivery says otherwise. Does no IO.

use crate::credential::{Credential, Handles};
use crate::wire::{Ask, Delivered, Delivery, Wait};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What one secret's handle holds.
pub(crate) struct Held {
    state: RwLock<State>,
    /// Counts deliveries and uses: whoever waits for news compares.
    news: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    generations: Vec<Generation>,
    asks: Vec<Ask>,
    /// Asked back by the host: handed out no more, kept only to prove with, and gone once that is said.
    leaving: BTreeMap<u32, Option<Credential>>,
    /// Until when pending may be held without another fetch.
    lease: Option<Instant>,
    /// How long that was from the fetch on.
    lease_for: Option<Duration>,
    /// Authenticated with by the application itself, in this life.
    used: BTreeSet<u32>,
    /// What worked where the one to use was refused; forgotten with the next delivery.
    preferred: Option<u32>,
    /// Every generation that was held in this life and of which a handle is left somewhere.
    handles: Vec<(u32, Handles)>,
}

struct Generation {
    credential: Credential,
    pending: bool,
    use_now: bool,
    live: Option<bool>,
}

impl Held {
    pub(crate) fn new() -> Self {
        Self { state: RwLock::default(), news: watch::Sender::new(0) }
    }

    /// Takes a delivery in. A generation that is held already keeps its handle; one that is asked back is handed out
    /// no more; one that is neither delivered nor asked back is dropped. A lease runs from when the host
    /// gave it: so long after the delivery was asked for as the host had waited.
    pub(crate) fn take(&self, delivery: Delivery, asked_at: Instant) {
        let mut state = self.write();
        let asked_back: BTreeSet<u32> =
            delivery.asks.iter().filter(|ask| ask.gives_back()).map(|ask| ask.generation).collect();
        state.leaving.retain(|generation, _| asked_back.contains(generation));
        let mut before = std::mem::take(&mut state.generations);
        let used_before = to_use(&before);
        for one in delivery.generations {
            let known = before.iter().position(|held| held.credential.same(&one.credential));
            let credential = match known {
                Some(index) => before.swap_remove(index).credential,
                None => {
                    state.handles.push((one.credential.generation(), one.credential.watch()));
                    one.credential
                }
            };
            if asked_back.contains(&credential.generation()) {
                state.leaving.entry(credential.generation()).or_insert(Some(credential));
            } else {
                let Delivered { pending, use_now, live, .. } = one;
                state.generations.push(Generation { credential, pending, use_now, live });
            }
        }
        for gone in before.into_iter().filter(|held| asked_back.contains(&held.credential.generation())) {
            state.leaving.entry(gone.credential.generation()).or_insert(Some(gone.credential));
        }
        if to_use(&state.generations) != used_before {
            // Evidence is of use since the switch, never of an earlier one.
            state.used.clear();
        }
        state.handles.retain(|(_, handles)| handles.count() > 0);
        state.asks = delivery.asks;
        state.preferred = None;
        state.lease_for = delivery.staged_lease_ms.map(Duration::from_millis);
        state.lease = state.lease_for.map(|lease| asked_at + Duration::from_millis(delivery.waited_ms) + lease);
        drop(state);
        self.announce();
    }

    /// When pending must have been fetched again.
    pub(crate) fn lease(&self) -> Option<Instant> {
        self.read().lease
    }

    /// How long pending may go without another fetch, from one on.
    pub(crate) fn lease_for(&self) -> Option<Duration> {
        self.read().lease_for
    }

    /// Lets pending go if its lease has run out: the host may have ended it.
    pub(crate) fn expire(&self, now: Instant) {
        let mut state = self.write();
        if state.lease.is_some_and(|lease| lease <= now) {
            state.lease = None;
            state.generations.retain(|held| !held.pending);
            drop(state);
            self.announce();
        }
    }

    /// The one to use now.
    pub(crate) fn current(&self) -> Option<Credential> {
        let state = self.read();
        state.generations.iter().find(|held| held.use_now).map(|held| held.credential.clone())
    }

    /// All, in the order in which they are to be tried: what worked last, the one to use, then the newest first.
    pub(crate) fn candidates(&self) -> Vec<Credential> {
        let state = self.read();
        state.order().into_iter().map(|held| held.credential.clone()).collect()
    }

    /// Their numbers in that order, for whoever takes one handle at a time.
    pub(crate) fn order(&self) -> Vec<u32> {
        self.read().order().into_iter().map(|held| held.credential.generation()).collect()
    }

    /// Whether the application has a handle of any other generation, or falls over to one. Not counted are those that are
    /// being given back: of them it is said when the last handle goes.
    pub(crate) fn others_in_use(&self, generation: u32) -> bool {
        let state = self.read();
        let held = |of: u32| state.generations.iter().filter(|held| held.credential.generation() == of).count();
        let mut others: BTreeMap<u32, usize> = BTreeMap::new();
        for (of, handles) in &state.handles {
            *others.entry(*of).or_default() += handles.count();
        }
        let falls_over = state.preferred.is_some_and(|preferred| preferred != generation);
        falls_over
            || others
                .into_iter()
                .any(|(of, count)| of != generation && !state.leaving.contains_key(&of) && count > held(of))
    }

    pub(crate) fn get(&self, generation: u32) -> Option<Credential> {
        let state = self.read();
        state
            .generations
            .iter()
            .find(|held| held.credential.generation() == generation)
            .map(|held| held.credential.clone())
    }

    /// Whether a trial makes sense: the host does not say that the target has yet to be told of it.
    pub(crate) fn may_try(&self, generation: u32) -> bool {
        let state = self.read();
        let found = state.generations.iter().find(|held| held.credential.generation() == generation);
        found.is_some_and(|held| held.live != Some(false))
    }

    pub(crate) fn asks(&self) -> Vec<Ask> {
        self.read().asks.clone()
    }

    /// What a fetch that waits for news says is known; `None` while the host waits for a statement itself.
    pub(crate) fn wait(&self, at_most: Duration) -> Option<Wait> {
        let state = self.read();
        let holds = state.generations.iter().map(|held| held.credential.generation()).collect();
        let uses = to_use(&state.generations);
        state.asks.is_empty().then_some(Wait { holds, uses, at_most })
    }

    pub(crate) fn is_asked(&self, ask: &Ask) -> bool {
        self.read().asks.contains(ask)
    }

    /// The application authenticated with it, after the target had refused `refused`. Counts as evidence only for the
    /// one to use: whoever fell over has not switched. Another is preferred only where the one to use was refused: a
    /// login that was begun before the switch says nothing against the new one.
    pub(crate) fn note_use(&self, generation: u32, refused: &[u32]) {
        let mut state = self.write();
        let to_use = to_use(&state.generations);
        if to_use == Some(generation) {
            state.preferred = None;
        } else if to_use.is_some_and(|to_use| refused.contains(&to_use)) {
            state.preferred = Some(generation);
        }
        if to_use == Some(generation) && state.used.insert(generation) {
            drop(state);
            self.announce();
        }
    }

    /// Whether the application authenticated with it while it was the one to use, in this life.
    pub(crate) fn was_used(&self, generation: u32) -> bool {
        self.read().used.contains(&generation)
    }

    /// A generation that the host asks back, to prove with; its handles count how many others there are.
    pub(crate) fn leaving(&self, generation: u32) -> Option<Credential> {
        self.read().leaving.get(&generation).cloned().flatten()
    }

    /// It was said that the generation is held no longer, and now it is so. Remembered while the host still asks.
    pub(crate) fn forget(&self, generation: u32) {
        if let Some(kept) = self.write().leaving.get_mut(&generation) {
            *kept = None;
        }
    }

    /// News of deliveries and uses.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn announce(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn order(&self) -> Vec<&Generation> {
        let mut order: Vec<_> = self.generations.iter().collect();
        order.sort_by_key(|held| {
            let number = held.credential.generation();
            (self.preferred != Some(number), !held.use_now, u32::MAX - number)
        });
        order
    }
}

fn to_use(generations: &[Generation]) -> Option<u32> {
    generations.iter().find(|held| held.use_now).map(|held| held.credential.generation())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use zeroize::Zeroizing;

    fn delivery(generations: &[(u32, bool)], asks: &[(&str, u32)]) -> Delivery {
        let delivered = |&(generation, use_now): &(u32, bool)| {
            let fields = BTreeMap::from([("password".to_owned(), Zeroizing::new(vec![generation as u8]))]);
            let credential = Credential::new(generation, BTreeMap::new(), fields, Zeroizing::new(vec![1]));
            Delivered { pending: !use_now && generation > 1, use_now, live: None, credential }
        };
        let ask = |&(purpose, generation): &(&str, u32)| Ask {
            purpose: purpose.to_owned(),
            generation,
            rotation: "r".to_owned(),
        };
        Delivery {
            generations: generations.iter().map(delivered).collect(),
            asks: asks.iter().map(ask).collect(),
            staged_lease_ms: Some(1_000),
            waited_ms: 0,
        }
    }

    fn order(held: &Held) -> Vec<u32> {
        held.candidates().iter().map(Credential::generation).collect()
    }

    #[test]
    fn the_one_to_use_comes_first_then_the_newest() {
        let held = Held::new();
        assert!(held.current().is_none() && order(&held).is_empty());
        held.take(delivery(&[(3, false), (2, true), (1, false)], &[]), Instant::now());
        assert_eq!(order(&held), [2, 3, 1]);
        assert_eq!(held.current().unwrap().generation(), 2);
    }

    #[test]
    fn what_worked_is_preferred_until_the_next_delivery() {
        let held = Held::new();
        held.take(delivery(&[(2, true), (1, false)], &[]), Instant::now());
        held.note_use(1, &[]);
        assert_eq!(order(&held), [2, 1], "a login begun before the switch says nothing against the new one");
        held.note_use(1, &[2]);
        assert_eq!(order(&held), [1, 2]);
        assert!(held.others_in_use(2), "whoever falls over uses the other one");
        held.note_use(2, &[]);
        assert_eq!(order(&held), [2, 1]);
        assert!(!held.others_in_use(2));
        held.note_use(1, &[2]);
        held.take(delivery(&[(2, true), (1, false)], &[]), Instant::now());
        assert_eq!(order(&held), [2, 1], "a delivery is newer than what was seen before it");
    }

    #[test]
    fn only_the_one_to_use_counts_as_used() {
        let held = Held::new();
        held.take(delivery(&[(2, false), (1, true)], &[]), Instant::now());
        held.note_use(2, &[]);
        assert!(!held.was_used(2), "falling over is not switching");
        held.take(delivery(&[(2, true), (1, false)], &[]), Instant::now());
        held.note_use(2, &[]);
        assert!(held.was_used(2));
    }

    #[test]
    fn a_generation_that_stays_keeps_its_handle() {
        let held = Held::new();
        held.take(delivery(&[(1, true)], &[]), Instant::now());
        let handles = held.current().unwrap().watch();
        held.take(delivery(&[(2, false), (1, true)], &[]), Instant::now());
        assert_eq!(handles.count(), 1);
        held.take(delivery(&[(2, true)], &[]), Instant::now());
        assert_eq!(handles.count(), 0, "what is no longer delivered was kept");
    }

    #[test]
    fn what_is_asked_back_is_handed_out_no_more_until_the_host_offers_it_anew() {
        let held = Held::new();
        held.take(delivery(&[(2, true), (1, false)], &[]), Instant::now());
        held.take(delivery(&[(2, true), (1, false)], &[("released", 1)]), Instant::now());
        assert_eq!(order(&held), [2]);
        let handles = held.leaving(1).unwrap().watch();
        assert_eq!(handles.count(), 1, "one is kept to prove with");
        held.forget(1);
        assert_eq!(handles.count(), 0);
        held.take(delivery(&[(2, true), (1, false)], &[("released", 1)]), Instant::now());
        assert!(held.leaving(1).is_none(), "what was released was taken back");
        held.take(delivery(&[(2, true), (1, false)], &[]), Instant::now());
        assert_eq!(order(&held), [2, 1], "a revert offers it again");
    }

    #[test]
    fn what_is_asked_back_and_no_longer_delivered_is_kept_to_prove_with() {
        let held = Held::new();
        held.take(delivery(&[(2, false), (1, true)], &[("ready", 2)]), Instant::now());
        held.take(delivery(&[(1, true)], &[("released", 2)]), Instant::now());
        assert_eq!(order(&held), [1]);
        assert_eq!(held.leaving(2).unwrap().generation(), 2);
        held.take(delivery(&[(1, true)], &[]), Instant::now());
        assert!(held.leaving(2).is_none());
    }

    #[test]
    fn handles_of_other_generations_are_counted_without_those_that_are_held_here() {
        let held = Held::new();
        held.take(delivery(&[(1, true)], &[]), Instant::now());
        let (first, second) = (held.current().unwrap(), held.current().unwrap());
        held.take(delivery(&[(2, true), (1, false)], &[]), Instant::now());
        assert!(held.others_in_use(2) && !held.others_in_use(1));
        drop(first);
        assert!(held.others_in_use(2), "one of two handles is left");
        drop(second);
        assert!(!held.others_in_use(2), "what is held for falling over is in nobody's use");
        let old = held.get(1).unwrap();
        held.take(delivery(&[(3, true)], &[]), Instant::now());
        assert!(held.others_in_use(3), "what is delivered no longer may be in use still");
        drop(old);
        assert!(!held.others_in_use(3));
        let leaving = held.get(3).unwrap();
        held.take(delivery(&[(4, true), (3, false)], &[("released", 3)]), Instant::now());
        assert!(!held.others_in_use(4), "of what is given back it is said apart");
        drop(leaving);
    }

    #[tokio::test(start_paused = true)]
    async fn pending_is_let_go_when_its_lease_runs_out() {
        let held = Held::new();
        held.take(delivery(&[(2, false), (1, true)], &[]), Instant::now());
        held.expire(Instant::now());
        assert_eq!(order(&held), [1, 2]);
        tokio::time::advance(Duration::from_millis(1_000)).await;
        held.expire(Instant::now());
        assert_eq!(order(&held), [1], "only pending has a lease");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_runs_from_when_the_host_gave_it_not_from_when_it_was_asked_to() {
        let held = Held::new();
        let asked_at = Instant::now();
        tokio::time::advance(Duration::from_millis(15_000)).await;
        let waited = Delivery { waited_ms: 14_900, ..delivery(&[(2, false), (1, true)], &[]) };
        held.take(waited, asked_at);
        held.expire(Instant::now());
        assert_eq!(order(&held), [1, 2], "it was given a moment ago");
        tokio::time::advance(Duration::from_millis(900)).await;
        held.expire(Instant::now());
        assert_eq!(order(&held), [1]);
    }

    #[test]
    fn who_is_asked_for_something_does_not_wait_and_who_waits_says_what_it_holds() {
        let held = Held::new();
        let wait = |holds: &[u32], uses| Some(Wait { holds: holds.to_vec(), uses, at_most: Duration::from_secs(1) });
        assert_eq!(held.wait(Duration::from_secs(1)), wait(&[], None));
        held.take(delivery(&[(2, false), (1, true)], &[("ready", 2)]), Instant::now());
        assert_eq!(held.wait(Duration::from_secs(1)), None);
        held.take(delivery(&[(2, false), (1, true)], &[]), Instant::now());
        assert_eq!(held.wait(Duration::from_secs(1)), wait(&[2, 1], Some(1)));
        held.expire(Instant::now() + Duration::from_secs(2));
        assert_eq!(held.wait(Duration::from_secs(1)), wait(&[1], Some(1)), "what was let go is brought again");
    }
}
