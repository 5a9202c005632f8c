//! From the statistic to a p-value and an alarm: a sketch of the quantiles of normal readings.
//!
//! Quantile `i` is the value that a share `2^(-i/4)` of normal readings exceeds: quantile 0 is their
//! minimum, every fourth halves the tail. Between two quantiles the logarithm of the tail probability
//! is linear, which is how tails fall; so both arithmetics interpolate an index and need one `exp2`.
//! Before the first quantile p is 1, past the last it stays at the last one's: the host writes as many
//! as it can answer for.
//!
//! ```text
//! word 0, 1   threshold (f32 and zero, or Q47.16 low and high)
//! then        quantiles, ascending (f32, or Q23.8 in i32)
//! ```

use crate::arithmetic::Arithmetic;

/// Quantiles per halving of the tail probability.
pub const STEPS_PER_OCTAVE: u32 = 4;
/// Most quantiles of a sketch: down to a tail probability of 2^-32.
pub const MAX_QUANTILES: usize = 129;

/// Threshold and quantiles, borrowed from the image.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Calibration<'a> {
    threshold: [u32; 2],
    quantiles: &'a [u32],
}

impl<'a> Calibration<'a> {
    pub(crate) fn parse(words: &'a [u32], quantiles: usize) -> Option<Self> {
        let (&threshold, rest) = words.split_first_chunk::<2>()?;
        Some(Calibration { threshold, quantiles: rest.get(..quantiles)? })
    }

    pub(crate) fn is_valid<A: Arithmetic>(&self) -> bool {
        A::log(self.threshold).is_some()
            && self.quantiles.len() <= MAX_QUANTILES
            && self.quantiles.windows(2).all(|pair| match *pair {
                [a, b] => A::quantiles_ascend(a, b),
                _ => false,
            })
    }

    /// The statistic above which a reading raises the alarm.
    #[must_use]
    pub fn threshold<A: Arithmetic>(&self) -> Option<A::Log> {
        A::log(self.threshold)
    }

    /// The quantiles' words, ascending.
    #[must_use]
    pub fn quantiles(&self) -> &'a [u32] {
        self.quantiles
    }

    /// Share of normal readings whose statistic is at least as large; 1 without quantiles.
    #[must_use]
    pub fn p_value<A: Arithmetic>(&self, statistic: A::Log) -> f32 {
        A::tail_probability(statistic, self.quantiles)
    }
}
