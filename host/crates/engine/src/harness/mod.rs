//! The generic crash-and-fault harness: wraps any journal and any rotator, so that every rotation can be run with a
//! failure at each step, each step twice, and a crash at each journal write and around each host call.
//!
//! Only for tests (feature `test-harness`): with doubles in this crate's own tests, with the real store and real
//! plugins in the end-to-end tests. It changes when and whether things answer, never what they do.

mod around;
mod consumer;
mod faults;
mod journal;
mod rotator;

pub use around::{Answered, Around, Beside, Calls, HostCalls};
pub use consumer::{Consumers, Presented, Temper, acknowledgement};
pub use faults::{Crash, Dead, Fault, Moment, Plan, Trace};
pub use journal::FaultyJournal;
pub use rotator::FaultyCalls;
