//! The rotation protocol: facts fold into state, and a pure function decides what comes next.
//!
//! This crate does no IO, reads no clock and draws no randomness: time and identifiers are arguments. It holds no
//! secret bytes and knows no plugin, database or network. Everything it promises can therefore be explored by a model
//! checker, and is (`tests/models`).
//!
//! # The shape
//!
//! ```text
//!            Command ──admit──▶ Event* ─┐
//!                                       ▼
//!   journal ──record (one table)──▶  Secret  ──decide (a list of rules)──▶ Action
//!      ▲                                │                                    │
//!      │                                └──status, offer──▶ people, consumers│
//!      └──── intent, outcome ◀──────────── the engine carries it out ◀───────┘
//! ```
//!
//! - [`Secret`] is the fold of one secret's journal. [`Secret::record`] is the only way to change it: one `match` over
//!   (where it stands, event), each legal arm a small named function, everything else [`Illegal`] and without a trace.
//!   Recovery is replay of the same function; there is no other resume code.
//! - [`decide()`] tries a visible list of small rules in order; the first that has something to do wins. It answers with
//!   events to append, a plugin call to make, or what is being waited for, and until when. It is asked again after each
//!   fact, also while calls are open, so that places are called at the same time.
//! - [`admit()`] says whether a request of a person, a consumer or the scheduler is legal, as events; a [`Refusal`] says
//!   why not and what to do instead. [`refuse()`] is asked before that: what the target can't do at all.
//! - [`status`] and [`offer()`] show the state to people and to consumers.
//!
//! # What the engine owes
//!
//! 1. Decisions and intents are appended on exactly the state they were decided on (sequence and fence), which makes
//!    the gates evaluated on that state transactional. Facts (`Sent` excepted, which is an intent) are appended
//!    whenever they come.
//! 2. `now` moves with a clock that nobody sets. Where the wall clock was set, [`event::Event::ClockStepped`] comes before
//!    anything else that is dated by it; `now` is before the last event by way of that alone. A wait's `until` is only
//!    when to ask again, never a promise.
//! 3. A new holder of the lease appends [`event::Event::Interrupted`] for each of [`Secret::running_calls`] that it is not
//!    itself at, before it asks for a decision. The call is then resumed from its record, or looked after as in doubt.
//!    Before that, and wherever else it has not itself seen every event since the last one, it appends
//!    [`event::Event::ClockResumed`].
//! 4. Whatever an [`action::Call`] mints is sealed in the same write as (or before) the event that names it.
//! 5. The data key of a generation is erased in the same write as its [`event::Event::Erased`].
//! 6. Plugin bytes stay as long as [`Secret::pinned`] names them.
//! 7. A rotation is started where [`Secret::must_rotate`] says so, due or not.
//! 8. What it folds beside the state goes into the [`settled::Trail`] of each `Settled` that it appends.
//! 9. `depends` consumers are stated for by the host: `adopted`, with `target` evidence, once no live credential of
//!    theirs derives from the old one.
//!
//! # Where things are
//!
//! | folder | what |
//! |---|---|
//! | `words/` | plain data: ids, steps, profiles, policies, evidence, faults, events, commands, actions |
//! | `secret/` | the state and its one table; its fields are private to this folder |
//! | `secret/fold/` | the table's arms, a file a theme |
//! | `read/` | gates, members, progress, timers, offers, status, comparison: questions asked of the state |
//! | `decide/` | the rules by which it goes on |
//! | `admit/` | requests: legal or not, and what they become |
//!
//! # Choices that a reader should know
//!
//! - There is no step counter. The step a rotation is at is the first of its plan that the facts do not show done: when
//!   evidence is withdrawn or a place comes back, an earlier step simply is not done.
//! - A retirement is one mechanism for every end: previous, pending on rollback, current on retire, orphans, and what
//!   is compromised. It outlives its rotation and keeps its evidence gate.
//! - Replay may begin at [`event::Event::Settled`], which tells a secret at rest whole; [`Secret::resuming`] is where it
//!   does. The journal before it is history.
//! - Guards are in [`Secret::record`], not in [`decide()`] alone: a journal that ends a credential without evidence is
//!   refused, whoever wrote it. A guard may be loosened freely; one that is tightened must go by record version.
//! - Timers run on [`ids::Steady`], time that has certainly passed: a step of the clock adds nothing to it, nor does a
//!   time that nobody measured.
//! - With one slot nothing removes a value beside the one in use: the old one goes by being overwritten, and is kept
//!   until its successor is proven and used.

pub mod admit;
pub mod decide;

mod read;
mod secret;
mod words;

pub use admit::{PlanProblem, Refusal, admit, refuse};
pub use decide::decide;
pub use guard::Blocked;
pub use read::comparison::{Comparison, compare};
pub use read::offer::{Known, Offer, offer};
pub use read::view::{Status, status};
pub use read::{comparison, gate, guard, members, offer, view};
pub(crate) use read::{progress, timers};
pub(crate) use secret::draft;
pub use secret::draft::Draft;
pub use secret::state::{Secret, Stand};
pub(crate) use secret::table;
pub use secret::table::Illegal;
pub use secret::{calls, generation, membership, retirement, rotation, settled, state};
pub use words::{action, command, event, evidence, fault, ids, plan, policy, profile, step};
pub(crate) use words::{answers, minted, pins};
