//! CPU time of this process, to the nanosecond.

use crate::Failure;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// CPU time of all threads there ever were (clock_gettime(2), `CLOCK_PROCESS_CPUTIME_ID`).
pub(super) fn used() -> Result<Duration, Failure> {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Ok(Duration::new(u64::try_from(used.tv_sec)?, u32::try_from(used.tv_nsec)?))
}
