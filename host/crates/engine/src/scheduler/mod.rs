//! When secrets are looked at: by cadence, or because a wait is over. Costs grow with what is due, not with what exists.
//! Decides when, never what: starts go through the same door as an operator's.

mod brake;
mod gates;
mod start;
mod task;
mod timers;

pub(crate) use brake::Brake;
pub(crate) use gates::{Blocked, WaitKey, Waiters, next_due};
pub(crate) use start::{ReadyQueue, StartPermit};
pub(crate) use task::run;
pub(crate) use timers::{Kind, Stamps, Timers};
