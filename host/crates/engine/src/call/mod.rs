//! One plugin call from intent to outcome, on a task of its own. Never cut short: what was sent is heard to the end.

mod recorder;
mod run;

pub(crate) use run::{run, unseal};
