//! What parent and child say to each other: where a life takes place, what it does there, and where it ends.
//! Values of credentials are in it; it goes through a pipe and nowhere else.

use crate::site::{Course, World};
use serde_json::{Value, json};

/// The child's environment variable with its [`Orders`].
pub(super) const ORDERS: &str = "KEYBATON_E2E_ORDERS";
/// What the child's lines to the parent begin with; the test harness writes others.
pub(super) const LINE: &str = "life: ";

/// A moment at which a host ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// A journal write was asked for and not made.
    BeforeAppend,
    /// The same, while a host call is on its way.
    AmidHostCall,
    /// A journal write is durable, and nobody heard of it.
    AfterAppend,
    /// A host call is about to be put on record, or is on record as sent, and has not left.
    BeforeHostCall,
    /// A host call was made, and its answer is not on record.
    AfterHostCall,
}

pub(super) const MOMENTS: [Moment; 5] =
    [Moment::BeforeAppend, Moment::AmidHostCall, Moment::AfterAppend, Moment::BeforeHostCall, Moment::AfterHostCall];

/// The nth such moment of a rotation, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kill {
    pub(super) moment: Moment,
    pub(super) nth: u64,
}

impl Kill {
    pub(super) fn line(self) -> String {
        format!("{} {}\n", self.moment as usize, self.nth)
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        let (moment, nth) = line.trim().split_once(' ')?;
        Some(Self { moment: *MOMENTS.get(moment.parse::<usize>().ok()?)?, nth: nth.parse().ok()? })
    }
}

/// What a life is told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Orders {
    pub(super) world: World,
    pub(super) settings: Value,
    pub(super) quiet_ms: u64,
    pub(super) course: Course,
}

impl Orders {
    pub(super) fn text(&self) -> String {
        let world = self.world.json();
        let course = self.course.text();
        json!({ "world": world, "settings": self.settings, "quiet_ms": self.quiet_ms, "course": course }).to_string()
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let all: Value = serde_json::from_str(text).ok()?;
        Some(Self {
            world: World::parse(&all["world"])?,
            settings: all["settings"].clone(),
            quiet_ms: all["quiet_ms"].as_u64()?,
            course: Course::parse(all["course"].as_str()?)?,
        })
    }
}
