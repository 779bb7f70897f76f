//! The doubles and the bench that engine tests run on: a journal in memory, a scripted target, a clock that is tokio's.

#![expect(unreachable_pub, reason = "shared by test binaries, none of which is a library")]
#![expect(dead_code, reason = "each test binary uses its own part of the bench")]

pub mod bench;
pub mod memory;
pub mod target;
