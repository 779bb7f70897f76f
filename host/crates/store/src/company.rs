//! When a commit is worth waiting for: a sync costs a machine more than the wait costs whoever waits, if others come
//! meanwhile, as with PostgreSQL's `commit_delay`
//! (<https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-COMMIT-DELAY>).
//!
//! Must never make a writer wait that has the store to itself.

use std::time::Duration;

/// How long the first of a commit waits for others.
const WAIT: Duration = Duration::from_micros(300);
/// So many at once are company enough.
const ENOUGH: usize = 4;
/// Commits of one piece of work each after which no company is expected any more.
const ALONE_MAX: u8 = 8;

/// What has been seen of others lately.
#[derive(Debug, Default)]
pub(crate) struct Company {
    /// Commits for which company is still expected.
    expected: u8,
}

impl Company {
    /// How long a commit of so many pieces of work waits for more.
    pub(crate) fn wait(&self, here: usize) -> Option<Duration> {
        (self.expected > 0 && (1..ENOUGH).contains(&here)).then_some(WAIT)
    }

    /// So many pieces of work share a commit.
    pub(crate) fn met(&mut self, here: usize) {
        self.expected = if here > 1 { ALONE_MAX } else { self.expected.saturating_sub(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_writes_alone_never_waits() {
        let mut company = Company::default();
        for _ in 0..100 {
            assert_eq!(company.wait(1), None);
            company.met(1);
        }
    }

    #[test]
    fn after_company_the_next_few_wait_for_more_until_nobody_comes() {
        let mut company = Company::default();
        company.met(2);
        for alone in 0..ALONE_MAX {
            assert_eq!(company.wait(1), Some(WAIT), "after {alone} alone");
            company.met(1);
        }
        assert_eq!(company.wait(1), None);
    }

    #[test]
    fn where_enough_are_here_or_nobody_is_nobody_is_waited_for() {
        let mut company = Company::default();
        company.met(2);
        assert_eq!([0, 1, ENOUGH - 1, ENOUGH].map(|here| company.wait(here)), [None, Some(WAIT), Some(WAIT), None]);
    }
}
