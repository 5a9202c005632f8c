//! Readings past the limit, in fixed point.

use super::ratio::reciprocal;
use super::{convert, Fixed, MULTIPLIER_BITS, READING_LIMIT, STANDARDIZER_WORDS};

/// Bits of a difference whose product with a multiplier of 25 bits fits i64.
const EXACT_BITS: u32 = 38;
/// Bits of a standardized feature that are kept of the farthest one.
const KEPT_BITS: u32 = 31;

/// See [`crate::arithmetic::Arithmetic::standardize_far`]. Within 3 units in the last place of the trunk of what
/// exact arithmetic gives.
pub(super) fn far(readings: &[f32], parameters: &[u32], values: &mut [i32]) -> Option<()> {
    // Two passes over the readings, so that no buffer holds what is wider than a value.
    let wide = || readings.iter().zip(parameters.chunks_exact(STANDARDIZER_WORDS));
    let mut farthest = READING_LIMIT as u64;
    for (&reading, words) in wide() {
        farthest = farthest.max(standardize(reading, words)?.unsigned_abs());
    }
    // The farthest cut to 31 bits is half its mantissa, so that `share` is limit / farthest in Q31, below two.
    let zeros = farthest.leading_zeros();
    let mantissa = ((farthest << zeros) >> 32) as u32;
    let share = READING_LIMIT.wrapping_mul(i64::from(reciprocal(mantissa))) >> 31;
    let drop = (64 - KEPT_BITS).saturating_sub(zeros);
    for (value, (&reading, words)) in values.iter_mut().zip(wide()) {
        let z = standardize(reading, words)? >> drop;
        let scaled = z.wrapping_mul(share) >> 31;
        *value = scaled.clamp(-READING_LIMIT, READING_LIMIT) as i32;
    }
    Some(())
}

/// `(reading - mean) / std` in Q.16, without saturation: 2^-37 relative, below 2^60.
fn standardize(reading: f32, words: &[u32]) -> Option<i64> {
    let (center, multiplier, _, exponent) = Fixed::standardizer(words)?;
    let difference = convert::f32_to_fixed(reading, exponent).saturating_sub(center);
    let excess = (64 - EXACT_BITS).saturating_sub(difference.unsigned_abs().leading_zeros());
    // At most 26 of the 28 bits.
    Some(((difference >> excess).wrapping_mul(multiplier)) >> MULTIPLIER_BITS.saturating_sub(excess))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of a feature with this mean and a std of `scale / 2^exponent`.
    fn words(mean: f64, scale: u32, exponent: i32) -> [u32; STANDARDIZER_WORDS] {
        let center = (mean * 2f64.powi(exponent)).round() as i64;
        let multiplier = (2f64.powi(44) / f64::from(scale)).round() as u32;
        [center as u32, (center >> 32) as u32, multiplier, scale, exponent as u32]
    }

    #[test]
    fn a_far_reading_keeps_its_direction() {
        let features = [(0.0, 1 << 20, 20), (1e5, 1_500_000, 18), (-3.0, 2_000_000, 30), (7.0, 1 << 21, 5)];
        let words = features.map(|(mean, scale, exponent)| words(mean, scale, exponent));
        let direction = [1.0, -0.4, 0.03, 1e-6];
        for distance in [33e3, 66e3, 1e6, 1e9, 1e12] {
            let mut readings = [0f32; 4];
            let mut exact = [0f64; 4];
            for (i, (mean, scale, exponent)) in features.into_iter().enumerate() {
                let std = f64::from(scale) * 2f64.powi(-exponent);
                readings[i] = (mean + distance * direction[i] * std) as f32;
                exact[i] = (f64::from(readings[i]) - mean) / std;
            }
            let mut values = [0; 4];
            far(&readings, words.as_flattened(), &mut values).expect("four features");
            for (value, z) in values.into_iter().zip(exact) {
                let expected = z / exact[0] * READING_LIMIT as f64;
                // The multiplier is rounded to 2^-24 of itself.
                let budget = 4.0 + expected.abs() * 2f64.powi(-23);
                assert!((f64::from(value) - expected).abs() <= budget, "{distance:e}: {value} {expected}");
            }
        }
        let mut values = [0; 4];
        far(&[f32::MAX, f32::MIN, 0.0, 7.0], words.as_flattened(), &mut values).expect("four features");
        assert!(values.iter().all(|z| i64::from(z.unsigned_abs()) <= READING_LIMIT), "{values:?}");
    }
}
