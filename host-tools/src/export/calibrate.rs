//! The calibration sketch: quantiles of the statistic over held-out normal readings.
//!
//! Conformal within the data, a generalized Pareto tail beyond; see [`crate::calibration`].

use super::Calibration;
use crate::calibration::Tail;
use flowlet::calibration::{MAX_QUANTILES, STEPS_PER_OCTAVE};
use thiserror::Error;

/// Fewest readings that say anything about a tail.
pub(crate) const MIN_READINGS: usize = 8;
/// How far past the data the tail is continued, in halvings of the tail probability.
const EXTRAPOLATED_OCTAVES: usize = 10;

/// Why calibration readings do not serve.
#[derive(Debug, Error)]
pub enum CalibrationError {
    /// Too few of them.
    #[error("{found} normal rows to calibrate on, at least {MIN_READINGS} are needed: give more data or a larger --holdout")]
    TooFew {
        /// Rows found.
        found: usize,
    },
    /// The rate is not one.
    #[error("a false-alarm rate of {0} is not between 0 and 1")]
    Rate(f32),
    /// A value that no sensor gives.
    #[error("calibration row {row} holds a value that is not finite")]
    NotFinite {
        /// The row, from 0.
        row: usize,
    },
}

/// Checks calibration readings of `columns` columns.
pub(super) fn check(calibration: Calibration<'_>, columns: usize) -> Result<(), CalibrationError> {
    let found = calibration.readings.len() / columns;
    if found < MIN_READINGS {
        return Err(CalibrationError::TooFew { found });
    }
    let rate = calibration.false_alarm_rate;
    if !(rate > 0.0 && rate < 1.0) {
        return Err(CalibrationError::Rate(rate));
    }
    match calibration.readings.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(CalibrationError::NotFinite { row: at / columns }),
        None => Ok(()),
    }
}

/// Quantiles and threshold of the statistic.
#[derive(Clone, Debug, PartialEq)]
pub struct Sketch {
    /// Quantile `i` is exceeded by a share `2^(-i/4)` of normal readings; ascending.
    pub quantiles: Vec<f64>,
    /// Statistic above which the alarm is raised.
    pub threshold: f64,
    /// Readings that it was made from.
    pub readings: usize,
    /// The share of normal readings that the threshold lets alarm.
    pub false_alarm_rate: f32,
    /// Mean of the statistic over the readings: the entropy in nats, for `-log_prob`.
    pub mean: f64,
}

impl Sketch {
    /// No quantiles yet: every p-value is 1, and nothing alarms.
    pub(super) fn empty(calibration: Calibration<'_>) -> Self {
        Sketch {
            quantiles: Vec::new(),
            threshold: 1e6,
            readings: 0,
            false_alarm_rate: calibration.false_alarm_rate,
            mean: 0.0,
        }
    }

    /// From the statistics of normal readings, of which so many `suspects`, the largest ones, are taken for anomalies.
    pub(super) fn new(
        statistics: &[f64],
        suspects: usize,
        calibration: Calibration<'_>,
    ) -> Result<Self, CalibrationError> {
        let mut sorted = statistics.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.truncate(sorted.len().saturating_sub(suspects));
        let n = sorted.len();
        if n < MIN_READINGS {
            return Err(CalibrationError::TooFew { found: n });
        }
        let tail = Tail::new(&sorted);
        let octaves = ((n + 1) as f64).log2() + EXTRAPOLATED_OCTAVES as f64;
        let count = ((octaves * f64::from(STEPS_PER_OCTAVE)) as usize + 1).min(MAX_QUANTILES);
        let quantiles =
            (0..count).map(|i| tail.quantile((-(i as f64) / f64::from(STEPS_PER_OCTAVE)).exp2())).collect();
        Ok(Sketch {
            quantiles,
            threshold: tail.threshold(f64::from(calibration.false_alarm_rate)),
            readings: n,
            false_alarm_rate: calibration.false_alarm_rate,
            mean: sorted.iter().sum::<f64>() / n as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(n: usize, rate: f32) -> Sketch {
        let statistics: Vec<f64> = (0..n).map(|i| i as f64).collect();
        Sketch::new(&statistics, 0, Calibration { readings: &[], false_alarm_rate: rate }).unwrap()
    }

    #[test]
    fn quantiles_are_conformal_and_ascend() {
        let s = sketch(999, 0.01);
        // Of 999 values, ten are at or above 989: p = 10 / 1000.
        assert!((s.threshold - 989.0).abs() < 1e-4, "{}", s.threshold);
        assert_eq!(s.quantiles[0], 0.0);
        // Exceeded by half of them.
        assert!((s.quantiles[4] - 499.0).abs() < 1e-9, "{}", s.quantiles[4]);
        assert!(s.quantiles.windows(2).all(|w| w[0] <= w[1]));
    }

    #[test]
    fn the_tail_goes_on_past_the_data() {
        let s = sketch(99, 1e-4);
        let last = s.quantiles[s.quantiles.len() - 1];
        assert!(s.threshold > 98.0 && s.threshold < last, "{} and {last}", s.threshold);
        // Below 2^-16 of the readings: ten octaves past the smallest rank.
        assert!(s.quantiles.len() > 4 * 16 && s.quantiles.windows(2).all(|w| w[0] <= w[1]));
    }

    #[test]
    fn suspects_do_not_count() {
        let statistics: Vec<f64> = (0..110).map(f64::from).collect();
        let calibration = Calibration { readings: &[], false_alarm_rate: 0.05 };
        assert_eq!(Sketch::new(&statistics, 11, calibration).unwrap(), sketch(99, 0.05));
    }

    #[test]
    fn equal_values_give_a_usable_sketch() {
        let s = Sketch::new(&[2.0; 20], 0, Calibration { readings: &[], false_alarm_rate: 0.01 }).unwrap();
        assert!(s.threshold > 2.0 && s.threshold < 2.1);
    }

    #[test]
    fn too_few_or_wild_readings_are_refused() {
        let with = |readings: &[f32], rate| check(Calibration { readings, false_alarm_rate: rate }, 2);
        assert!(matches!(with(&[0.0; 14], 0.01), Err(CalibrationError::TooFew { found: 7 })));
        assert!(matches!(with(&[0.0; 16], 0.0), Err(CalibrationError::Rate(_))));
        assert!(matches!(with(&[0.0; 16], f32::NAN), Err(CalibrationError::Rate(_))));
        let mut readings = [0.0; 16];
        readings[5] = f32::NAN;
        assert!(matches!(with(&readings, 0.1), Err(CalibrationError::NotFinite { row: 2 })));
    }
}
