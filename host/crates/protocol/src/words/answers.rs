//! How plugin calls and host calls ended. Public through [`crate::event`], whose facts carry them.

use crate::event::{Live, Minted};
use crate::fault::Fault;
use crate::ids::Millis;

/// How a plugin call ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// `create` minted this.
    Created(Minted),
    /// A mutating call did its work; facts for the journal (`id` names the target's id where install learns it).
    Done(Vec<(String, String)>),
    /// `verify`: it works.
    Works,
    /// `verify`: it does not, for this reason.
    Refused(String),
    /// `observe`: what is live, and when the look began.
    Observed {
        /// When the observation began; it closes only calls whose deadline and settle time lie before this.
        began_at: Millis,
        /// All live credentials in the scope of the settings.
        live: Vec<Live>,
    },
    /// It failed. `Ambiguous` leaves the call's `sent` open until an observation closes it.
    Failed(Fault),
}

/// How one host call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HostAnswer {
    /// An answer came.
    Answered,
    /// It certainly did not happen.
    NotDone,
    /// It left and no answer came.
    Lost,
}
