//! Bounded models of the four overlaps, explored to the end, with DESIGN §2's invariants checked in each state.

mod alternate;
mod check;
#[expect(dead_code, reason = "the models use a part of it")]
#[path = "../protocol/common.rs"]
mod common;
mod crowd;
mod native;
mod none;
mod replace;
mod restores;
mod target;
mod world;
