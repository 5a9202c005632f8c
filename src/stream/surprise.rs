//! How rare a reading is, in bits: `-log2` of its p-value, as an integer.
//!
//! Of normal readings a share `2^-s` has a surprise of at least `s` bits, whatever the flow, its features and its
//! statistic: that is what calibration means. So the false-alarm rate of all that stands behind it can be computed
//! without data, on the host.

use crate::arithmetic::fixed::elementary;
use crate::image::Model;
use crate::support::Support;
use crate::Score;
use serde::{Deserialize, Serialize};

/// `log2(e)` in Q15.
const LOG2_E_Q15: u32 = 47_274;
/// A 32nd of the last place, in Q16: a p-value of `2^-s` that was rounded up in f32 is still one of `s` bits.
const TOLERANCE: i32 = 8;

/// Surprise in bits, unsigned with [`Surprise::FRACTION_BITS`] fractional bits, rounded down: 0 to 255.996.
///
/// Rounded down, so that for every `s` of its grid `P(surprise >= s) = 2^-s` holds of normal readings without a
/// correction, up to the calibration's [`Surprise::ceiling`].
///
/// ```
/// use flowlet::stream::Surprise;
/// assert_eq!(Surprise::of_p_value(1.0 / 1024.0), Surprise::from_bits(10));
/// assert!(Surprise::of_p_value(0.01) > Surprise::of_p_value(0.5));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(transparent)]
pub struct Surprise(u16);

impl Surprise {
    /// Fractional bits.
    pub const FRACTION_BITS: u32 = 8;
    /// That of a reading than which all normal ones are rarer.
    pub const ZERO: Self = Surprise(0);
    /// The largest that can be said.
    pub const MAX: Self = Surprise(u16::MAX);
    /// Its mean over normal readings, `1 / (2^(1/256) - 1)` units: 1.44 bits.
    pub const MEAN: Self = Surprise(369);

    /// From units of 2^-8 bits.
    #[must_use]
    pub const fn from_raw(raw: u16) -> Self {
        Surprise(raw)
    }

    /// In units of 2^-8 bits.
    #[must_use]
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// Of so many whole bits.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Surprise((bits as u16) << Self::FRACTION_BITS)
    }

    /// That of a score.
    #[must_use]
    pub fn of(score: &Score) -> Self {
        Self::of_p_value(score.p_value)
    }

    /// `-log2(p)`. Of 1 and more it is zero; of zero, and of what is no probability, the largest: never silence.
    ///
    /// In integers alone: some 60 instructions on a Cortex-M0, no soft float.
    #[must_use]
    pub fn of_p_value(p: f32) -> Self {
        let bits = p.to_bits();
        let (field, fraction) = ((bits >> 23) as i32, bits & 0x7f_ffff);
        // The sign stands above the exponent: negative numbers, infinities and NaN.
        if field >= 0xff {
            return Self::MAX;
        }
        if field >= 127 {
            return Self::ZERO;
        }
        // Mantissa in 1 .. 2 with 23 fractional bits, p = mantissa 2^-octaves; subnormals are made normal.
        let (mantissa, octaves) = if field == 0 {
            let shift = fraction.leading_zeros().saturating_sub(8);
            if shift > 23 {
                return Self::MAX;
            }
            (fraction << shift, 126 + shift as i32)
        } else {
            (fraction | 1 << 23, 127 - field)
        };
        // Q16; below 2^16 as the mantissa is below two, and the product fits 32 bits.
        let part = ((elementary::ln(mantissa >> 7) as u32).wrapping_mul(LOG2_E_Q15) >> 15) as i32;
        let surprise = ((octaves << 16) - part + TOLERANCE).max(0) >> 8;
        Surprise(u16::try_from(surprise).unwrap_or(u16::MAX))
    }

    /// The largest surprise that an image's calibration can speak of. Its p-values stop there, so that of normal
    /// readings a share `2^-ceiling` has exactly this surprise and none has more: a level above it is never reached.
    #[must_use]
    pub fn ceiling<S: Support>(model: &Model<'_, S>) -> Self {
        let quantiles = model.calibration().map_or(0, |c| c.quantiles().len());
        // 256 / STEPS_PER_OCTAVE units a quantile, of which there are at most 129.
        Surprise((quantiles.saturating_sub(1) as u16).saturating_mul(STEP))
    }
}

/// Units between two quantiles of a calibration.
const STEP: u16 = (1 << Surprise::FRACTION_BITS) / crate::calibration::STEPS_PER_OCTAVE as u16;

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn it_is_the_logarithm_rounded_down() {
        // Every 1009th positive f32, and their neighbours at whole bits; against f64.
        let mut before = u16::MAX;
        for bits in (1..=1f32.to_bits()).step_by(1009) {
            let p = f32::from_bits(bits);
            let exact = -f64::from(p).log2() * 256.0;
            let found = Surprise::of_p_value(p).raw();
            // The tolerance, and half as much for the errors of the table.
            assert!(
                f64::from(found) <= exact + 0.05 && f64::from(found) > exact - 1.02,
                "{p:e}: {found} {exact}"
            );
            assert!(found <= before, "{p:e}");
            before = found;
        }
        for whole in 0..=126u8 {
            let p = (-f32::from(whole)).exp2();
            for p in [p, f32::from_bits(p.to_bits() + 4).min(1.0)] {
                assert_eq!(Surprise::of_p_value(p), Surprise::from_bits(whole), "{p:e}");
            }
        }
    }

    #[test]
    fn what_is_no_probability_is_not_silent() {
        for p in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.5, -0.0, 0.0] {
            assert_eq!(Surprise::of_p_value(p), Surprise::MAX, "{p}");
        }
        assert_eq!(Surprise::of_p_value(1.5), Surprise::ZERO);
        assert_eq!(Surprise::of_p_value(f32::from_bits(1)), Surprise::from_bits(149));
    }

    #[test]
    fn its_mean_is_that_of_a_geometric_distribution() {
        let mean = 1.0 / ((1.0f64 / 256.0).exp2() - 1.0);
        assert_eq!(mean.round(), f64::from(Surprise::MEAN.raw()));
    }
}
