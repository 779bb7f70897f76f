//! What a target can do, as a plugin declares it for given settings. Pure data; never decides.

use crate::ids::Slot;
use crate::step::names;
use std::fmt;

/// How many credentials the target keeps valid at once, and how.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Overlap {
    /// Up to this many live at once.
    Native(u32),
    /// Slots taken in turn; at least two.
    Alternate(Vec<Slot>),
    /// Old and new do not know of each other (certificates).
    Replace,
    /// One slot: the new credential overwrites the old.
    None,
}

/// Who makes the secret bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Minter {
    /// The host generates, the target is told.
    Host,
    /// The target generates and answers with it once.
    Target,
    /// A consumer generates and brings public material.
    Consumer,
}

/// A target's own account of use, and how late and coarse it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UsageSignal {
    /// How long a use may take to show, in milliseconds.
    pub lag_ms: u64,
    /// How coarse the time of use is, in milliseconds.
    pub resolution_ms: u64,
}

impl UsageSignal {
    /// How long a use takes to show at the most, in milliseconds: silence for less says nothing.
    #[must_use]
    pub const fn least_ms(self) -> u64 {
        self.lag_ms.saturating_add(self.resolution_ms)
    }
}

/// What the plugin says of the target for these settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Profile {
    /// Validity of several credentials at once.
    pub overlap: Overlap,
    /// Who makes the bytes.
    pub minter: Minter,
    /// `disable` and `enable` exist.
    pub soft_disable: bool,
    /// A previous value can be installed again.
    pub reinstall: bool,
    /// `promote` does something.
    pub promotes: bool,
    /// Usage the target reports, if any.
    pub usage: Option<UsageSignal>,
    /// How long the target may take to accept a new credential everywhere, in milliseconds.
    pub settle_ms: u64,
    /// The declaration says that a credential in use which is not known here may be replaced.
    pub replaces: bool,
}

names!(Minter { Host => "host", Target => "target", Consumer => "consumer" });
