//! What many measurements come to. Nothing here measures.

use std::time::Duration;

/// Measured durations of one kind.
#[derive(Debug, Default, Clone)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn push(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest duration that at least `share` (0 to 1) of all do not exceed; zero where nothing was measured.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    pub(crate) fn p50(&self) -> Duration {
        self.quantile(0.5)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.quantile(0.99)
    }
}

/// The median of some numbers; the lower of the two middle ones, zero of none.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// The mean of some numbers; zero of none.
pub(crate) fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len().max(1) as f64
}

pub(crate) fn micros(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6
}

pub(crate) fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(ms: &[u64]) -> Samples {
        Samples(ms.iter().map(|ms| Duration::from_millis(*ms)).collect())
    }

    #[test]
    fn a_quantile_is_a_measured_value_that_enough_do_not_exceed() {
        for (sentence, ms, share, expected) in [
            ("the middle of three", &[3, 1, 2][..], 0.5, 2),
            ("the lower middle of four", &[4, 3, 2, 1], 0.5, 2),
            ("nearly all", &[5, 1, 1, 1, 1, 1, 1, 1, 1, 1], 0.9, 1),
            ("all", &[5, 1], 1.0, 5),
            ("one alone", &[7], 0.99, 7),
            ("none", &[], 0.5, 0),
        ] {
            assert_eq!(samples(ms).quantile(share), Duration::from_millis(expected), "{sentence}");
        }
    }

    #[test]
    fn a_median_is_one_of_the_numbers() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 1.0);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn a_mean_counts_every_number_alike() {
        assert_eq!(mean(&[1.0, 2.0, 6.0]), 3.0);
        assert_eq!(mean(&[]), 0.0);
    }
}
