//! Kinds of plan, steps and phases: words only, no rules about their order (those are in the plan and the table).

use std::fmt;

/// What a rotation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PlanKind {
    /// The first credential of a secret.
    Issue,
    /// Takes over a credential that exists already.
    Adopt,
    /// Moves the secret from generation N to N+1.
    Rotate,
    /// The secret ends: consumers release, drain, disable, destroy.
    Retire,
}

/// A step of a rotation, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Mint the pending credential.
    Create,
    /// Make pending valid at the target.
    Install,
    /// Prove with pending alone that it works.
    Verify,
    /// Offer pending to consumers, who try it.
    Stage,
    /// Pending becomes current: one durable write.
    Commit,
    /// Consumers switch, in waves.
    Adopt,
    /// Wait for the overlap's minimum and for quiet at the target.
    Drain,
    /// Switch previous off softly; soak.
    Disable,
    /// Remove previous for good.
    Destroy,
}

/// An export of the plugin that the engine is asked to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallKind {
    /// Read-only: what is live at the target.
    Observe,
    /// Mint.
    Create,
    /// Make valid.
    Install,
    /// Test, as the credential alone.
    Verify,
    /// Tell the target which generation is the one.
    Promote,
    /// Switch off softly.
    Disable,
    /// Switch on again.
    Enable,
    /// Remove.
    Destroy,
}

impl CallKind {
    /// Whether the call may change the target.
    #[must_use]
    pub const fn mutates(self) -> bool {
        !matches!(self, Self::Observe | Self::Verify)
    }
}

/// Where a rotation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Everything here can be undone by `rollback`.
    Prepare,
    /// The old credential ends, late and on evidence; undone by `revert` until the first destroy.
    Commit,
    /// Pending is being given back.
    RollingBack,
    /// Previous is being put back.
    Reverting,
}

/// How a rotation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ending {
    /// Went through to its last step.
    Completed,
    /// Given back before commit.
    RolledBack,
    /// Put back after commit.
    Reverted,
    /// Left by an operator; open retirements carry on by themselves.
    Abandoned,
}

macro_rules! names {
    ($type:ident { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// The stable lower-case name used in journals, metrics and views.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The value with this stable name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }

            /// All values, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
pub(crate) use names;

names!(PlanKind { Issue => "issue", Adopt => "adopt", Rotate => "rotate", Retire => "retire" });
names!(Step {
    Create => "create", Install => "install", Verify => "verify", Stage => "stage", Commit => "commit",
    Adopt => "adopt", Drain => "drain", Disable => "disable", Destroy => "destroy",
});
names!(CallKind {
    Observe => "observe", Create => "create", Install => "install", Verify => "verify", Promote => "promote",
    Disable => "disable", Enable => "enable", Destroy => "destroy",
});
names!(Phase { Prepare => "prepare", Commit => "commit", RollingBack => "rolling-back", Reverting => "reverting" });
names!(Ending {
    Completed => "completed", RolledBack => "rolled-back", Reverted => "reverted", Abandoned => "abandoned",
});
