//! Thresholds and p-values from the statistics of held-out normal readings.
//!
//! Within the data all is conformal (Vovk et al. 2005): of `n` readings the `r`-th largest is exceeded by a share
//! `r / (n + 1)` of further ones on average, and by a Beta(r, n + 1 - r) distributed share in particular, whatever the
//! distribution, as long as readings are exchangeable. Beyond the data a generalized Pareto distribution of the excesses over
//! a high threshold goes on (Balkema and de Haan 1974).

use super::pareto::{beta_quantile, credible_rate, GeneralizedPareto, Prior};

/// Ranks below that are left to the fitted tail when a threshold is set: the largest reading alone must not decide, or a
/// single wild row would silence the alarm.
const LEAST_RANK: f64 = 2.0;
/// Share of the readings that the tail is fitted to, with a least and a largest number.
const UPPER_SHARE: f64 = 0.1;
const FEWEST_EXCESSES: usize = 20;
const MOST_EXCESSES: usize = 500;
/// Largest excesses whose size does not count.
const CENSORED: usize = 1;
/// Scale of a tail of equal values: any step above them is then unlikely.
const LEAST_SCALE: f64 = 1e-3;
/// Confidence of intervals.
pub const CONFIDENCE: f64 = 0.95;

/// The upper tail of a sorted sample.
#[derive(Debug)]
pub struct Tail<'a> {
    sorted: &'a [f64],
    /// Number of excesses.
    above: usize,
    pareto: GeneralizedPareto,
}

/// The false-alarm rate that a threshold really has, as far as the calibration rows tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateInterval {
    /// The rate that was asked for.
    pub rate: f64,
    /// Holds the real one with [`CONFIDENCE`], provided that later readings are like the calibration's.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Calibration rows.
    pub readings: usize,
    /// Whether the threshold lies beyond what the rows show, on the fitted tail.
    pub extrapolated: bool,
}

impl RateInterval {
    /// Of a rate within the data, by the number of rows alone; `None` beyond them.
    #[must_use]
    pub fn within(readings: usize, rate: f64) -> Option<Self> {
        let n = readings as f64 + 1.0;
        let rank = rate * n;
        if !(LEAST_RANK..n).contains(&rank) {
            return None;
        }
        let at = |p| beta_quantile(rank, n - rank, p);
        let (low, high) = (at((1.0 - CONFIDENCE) / 2.0), at(f64::midpoint(1.0, CONFIDENCE)));
        Some(RateInterval { rate, low, high, readings, extrapolated: false })
    }

    /// The smallest rate that the rows can vouch for without any assumption on the tail: that of a threshold above all of
    /// them is at most this with [`CONFIDENCE`].
    #[must_use]
    pub fn smallest_promised(readings: usize) -> f64 {
        1.0 - (1.0 - CONFIDENCE).powf(1.0 / readings as f64)
    }

    /// Whether the rows can vouch for the rate.
    #[must_use]
    pub fn is_promised(&self) -> bool {
        self.rate >= Self::smallest_promised(self.readings)
    }
}

impl<'a> Tail<'a> {
    /// Of at least 4 statistics in ascending order.
    #[must_use]
    pub fn new(sorted: &'a [f64]) -> Self {
        let n = sorted.len();
        let above = ((n as f64 * UPPER_SHARE) as usize).clamp(FEWEST_EXCESSES, MOST_EXCESSES).min(n / 2);
        let mut tail = Tail {
            sorted,
            above,
            pareto: GeneralizedPareto { shape: Prior::default().mean, scale: LEAST_SCALE },
        };
        let excesses = tail.excesses();
        if tail.can_be_fitted(&excesses) {
            let fitted = GeneralizedPareto::fit(&excesses, CENSORED, Prior::default());
            tail.pareto = GeneralizedPareto { scale: fitted.scale.max(LEAST_SCALE), ..fitted };
        }
        tail
    }

    /// The fitted tail.
    #[must_use]
    pub fn pareto(&self) -> GeneralizedPareto {
        self.pareto
    }

    /// Where it starts: the largest reading that is not an excess.
    fn start(&self) -> f64 {
        self.sorted[self.sorted.len() - 1 - self.above]
    }

    fn excesses(&self) -> Vec<f64> {
        let start = self.start();
        self.sorted[self.sorted.len() - self.above..].iter().map(|x| x - start).collect()
    }

    fn can_be_fitted(&self, excesses: &[f64]) -> bool {
        self.above > CENSORED + 1 && excesses[self.above - 1 - CENSORED] > 0.0
    }

    /// The value that a share `p` of normal readings exceeds, such that p-values are conformal; of the order statistics
    /// linear between ranks, and beyond the largest at least as far as the fitted tail goes from there.
    #[must_use]
    pub fn quantile(&self, p: f64) -> f64 {
        let n = self.sorted.len();
        let rank = p * (n + 1) as f64;
        let largest = self.sorted[n - 1];
        if rank < 1.0 {
            let gap = largest - self.fitted(1.0);
            return self.fitted(rank) + gap.max(0.0);
        }
        // Rank 1 is the largest; between ranks linear.
        let position = (n as f64 - rank).max(0.0);
        let below = position.floor() as usize;
        let part = position - below as f64;
        match self.sorted.get(below + 1) {
            Some(next) => self.sorted[below] + part * (next - self.sorted[below]),
            None => largest,
        }
    }

    /// The threshold above which a share `rate` of normal readings lies: the conformal quantile down to rank 2, below it
    /// the fitted tail alone.
    #[must_use]
    pub fn threshold(&self, rate: f64) -> f64 {
        let rank = rate * (self.sorted.len() + 1) as f64;
        if rank >= LEAST_RANK {
            self.quantile(rate)
        } else {
            self.fitted(rank)
        }
    }

    /// What the fitted tail says is exceeded by so many readings of `n + 1`.
    fn fitted(&self, rank: f64) -> f64 {
        self.start() + self.pareto.excess((rank / self.above as f64).min(1.0))
    }

    /// Where the real rate of [`Self::threshold`] lies.
    #[must_use]
    pub fn interval(&self, rate: f64) -> RateInterval {
        let readings = self.sorted.len();
        if let Some(within) = RateInterval::within(readings, rate) {
            return within;
        }
        let excesses = self.excesses();
        let (low, high) = if self.can_be_fitted(&excesses) {
            let excess = self.threshold(rate) - self.start();
            credible_rate(&excesses, CENSORED, Prior::WIDE, readings, excess, CONFIDENCE)
        } else {
            // All that is known of a threshold above all of them.
            (0.0, beta_quantile(1.0, readings as f64, f64::midpoint(1.0, CONFIDENCE)))
        };
        RateInterval { rate, low, high, readings, extrapolated: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wild_row_does_not_silence_the_alarm() {
        // 82 quantiles of an exponential, and one row a thousand deviations away.
        let mut sorted: Vec<f64> = (1..=82).map(|i| -(1.0 - f64::from(i) / 83.0).ln()).collect();
        let calm = Tail::new(&sorted).threshold(0.01);
        sorted.push(1000.0);
        let tail = Tail::new(&sorted);
        assert!(tail.threshold(0.01) < 1.5 * calm, "{} after {calm}", tail.threshold(0.01));
        // p-values stay conformal all the same: a reading just below the wild row is one of 84.
        assert_eq!(tail.quantile(1.0 / 84.0), 1000.0);
        assert!(tail.quantile(1.0 / 168.0) > 1000.0);
    }

    #[test]
    fn rows_vouch_for_a_third_of_their_number() {
        let down_to = RateInterval::smallest_promised(1240);
        assert!((1.0 / down_to - 414.4).abs() < 0.1, "1 in {}", 1.0 / down_to);
        let sorted: Vec<f64> = (0..1240).map(f64::from).collect();
        let tail = Tail::new(&sorted);
        assert!(tail.interval(0.01).is_promised() && !tail.interval(0.001).is_promised());
        // 95 % of a Beta(12.41, 1228.59), from scipy.stats.beta.ppf.
        let within = tail.interval(0.01);
        assert!(
            (within.low - 0.005_248_31).abs() < 1e-7 && (within.high - 0.016_239_0).abs() < 1e-6,
            "{within:?}"
        );
        assert!(!within.extrapolated && tail.interval(0.001).extrapolated);
    }
}
