//! What comes next: small rules tried in order; the first that has something to do wins. Pure: the same state and the
//! same instant give the same answer, on every host. Never makes a decision that [`Secret::record`] would refuse.

mod adopt;
mod build;
mod clean;
mod doubt;
mod emergency;
mod expire;
mod level;
mod prepare;
mod retire;
mod revert;

use crate::action::{Action, Call, Waiting};
use crate::draft::Draft;
use crate::event::{Event, HoldReason};
use crate::ids::Millis;
use crate::state::Secret;

/// The most events one decision appends; what is left follows from the state that they make.
pub const MAX_BATCH: usize = 32;

/// What a rule has to say.
pub(crate) enum Say {
    /// Append these.
    Record(Vec<Event>),
    /// Make this call.
    Call(Box<Call>),
    /// Nothing can be done about this before then, or before a fact.
    Wait(Option<Millis>, Waiting),
}

type Rule = fn(&Secret, Millis) -> Option<Say>;

/// Rules that hold whatever else is the matter: they change nothing at the target, and nothing anyone relies on.
const ALWAYS: &[Rule] = &[
    clean::note_time,
    doubt::observe,
    clean::name_strangers,
    clean::open_for_loose,
    clean::try_unlisted,
    clean::await_running,
    emergency::compare_after_restore,
    clean::settle,
];

/// The running rotation, step by step. Not while it is held, nor before a restored secret is reconciled.
const COURSE: &[Rule] = &[
    emergency::give_up_compromised_pending,
    emergency::leave_compromised_current,
    expire::yield_to_expiry,
    prepare::quarantine,
    prepare::create,
    prepare::install,
    prepare::verify,
    prepare::stage,
    prepare::commit,
    revert::nowhere_to_go,
    revert::enable,
    revert::prove,
    revert::put_back,
    revert::swap,
    adopt::recall,
    adopt::promote,
    adopt::stop_wave,
    adopt::open_wave,
    adopt::watch,
    adopt::wait,
    adopt::drain,
    adopt::finish,
];

/// Credentials that end: jobs of their own, that neither a hold nor the end of their rotation stops.
const ENDINGS: &[Rule] = &[
    emergency::end_compromised,
    level::level,
    retire::find_truth,
    retire::open,
    retire::close,
    retire::erase,
    retire::disable,
    retire::destroy,
    retire::finish_rollback,
];

/// The next thing to do for this secret, with all the bookkeeping that follows from it: one durable write.
#[must_use]
pub fn decide(secret: &Secret, now: Millis) -> Action {
    let mut draft = Draft::new(secret);
    loop {
        match next(draft.secret(), now) {
            Action::Record(events) if draft.events().len() < MAX_BATCH => {
                let at = now.max(draft.secret().clock());
                if draft.take(at, &events).is_err() {
                    // Whoever appends it is told by the table.
                    return Action::Record([draft.into_events(), events].concat());
                }
            }
            action if draft.events().is_empty() => return action,
            _ => return Action::Record(draft.into_events()),
        }
    }
}

/// The same in single steps, for one who folds each into his state, asks again, and writes all of them at once: what
/// [`decide`] does, without a state of its own.
#[must_use]
pub fn next(secret: &Secret, now: Millis) -> Action {
    let now = now.max(secret.clock());
    let mut waits = Waits::default();
    for rule in ALWAYS {
        if let Some(action) = waits.hear(rule(secret, now)) {
            return action;
        }
    }
    if secret.restored().is_some() {
        return waits.or(Waiting::Held(HoldReason::Reconcile));
    }
    if secret.frozen().is_some() {
        return if secret.at_rest() { Action::Idle } else { waits.or(Waiting::Frozen) };
    }
    match &secret.hold() {
        Some(hold) => {
            if let Some(action) = waits.hear(adopt::lift(secret, now)) {
                return action;
            }
            waits.note(None, Waiting::Held(hold.reason));
        }
        None => {
            for rule in COURSE {
                if let Some(action) = waits.hear(rule(secret, now)) {
                    return action;
                }
            }
        }
    }
    for rule in ENDINGS {
        if let Some(action) = waits.hear(rule(secret, now)) {
            return action;
        }
    }
    waits.end(secret, now)
}

/// What is being waited for: the first reason is shown, the earliest instant counts.
#[derive(Default)]
struct Waits {
    until: Option<Millis>,
    waiting: Option<Waiting>,
}

impl Waits {
    fn note(&mut self, until: Option<Millis>, waiting: Waiting) {
        self.until = match (self.until, until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.waiting.get_or_insert(waiting);
    }

    fn hear(&mut self, say: Option<Say>) -> Option<Action> {
        match say? {
            Say::Record(events) => Some(Action::Record(events)),
            Say::Call(call) => Some(Action::Call(*call)),
            Say::Wait(until, waiting) => {
                self.note(until, waiting);
                None
            }
        }
    }

    fn or(mut self, waiting: Waiting) -> Action {
        self.note(None, waiting.clone());
        Action::Wait { until: self.until, waiting: self.waiting.unwrap_or(waiting) }
    }

    fn end(mut self, secret: &Secret, now: Millis) -> Action {
        if let Some(over) = secret.next_timer(now) {
            self.until = Some(self.until.map_or(over, |until| until.min(over)));
        }
        match self.waiting {
            Some(waiting) => Action::Wait { until: self.until, waiting },
            None => Action::Idle,
        }
    }
}
