//! Readings near the data in products of 32 bits, and readings past the limit, in fixed point.

use super::elementary::high_rounded;
use super::{convert, MULTIPLIER_BITS, READING_LIMIT, STANDARDIZER_WORDS};
use crate::arithmetic::parameters_of_each;

/// Bits of a difference whose product with a multiplier of 25 bits fits i64.
const EXACT_BITS: u32 = 38;
/// Up to this exponent of a feature, subnormal readings are zero.
const LARGEST_NEAR_EXPONENT: i32 = 124;
/// Bits of a standardized feature that are kept of the farthest one.
const KEPT_BITS: u32 = 31;

/// See [`crate::arithmetic::Arithmetic::standardize_each`].
pub(super) fn each(readings: &[f32], parameters: &[u32], values: &mut [i32]) -> Option<bool> {
    // Its top bit is set once one is at the limit.
    let mut reach = 0u32;
    let parameters = parameters_of_each(parameters, readings.len());
    for ((value, &reading), words) in values.iter_mut().zip(bits(readings)).zip(parameters) {
        *value = match near(reading, words) {
            Some(z) => z,
            None => {
                let z = any(reading, words);
                reach |= z.unsigned_abs().wrapping_add((1 << 31) - READING_LIMIT as u32);
                z
            }
        };
    }
    Some(reach >> 31 != 0)
}

/// See [`crate::arithmetic::Arithmetic::standardize`]; of the bits of a reading.
#[cold]
#[inline(never)]
pub(super) fn any(reading: u32, words: &[u32; STANDARDIZER_WORDS]) -> i32 {
    ((wide(reading, words) + 1) >> 1).clamp(-READING_LIMIT, READING_LIMIT) as i32
}

/// What `Fixed::standardize` gives, to the bit, of a reading within some 500 standard deviations of zero and of the
/// mean; else `None`.
#[inline(always)]
fn near(bits: u32, words: &[u32; STANDARDIZER_WORDS]) -> Option<i32> {
    let &[low, high, multiplier, _, exponent] = words;
    let exponent = exponent as i32;
    // The mantissa's top bit in place 30; one bit less than what it is too large by.
    let drop = 156i32.wrapping_sub(exponent).wrapping_sub(((bits >> 23) & 0xff) as i32);
    if drop < 0 || exponent > LARGEST_NEAR_EXPONENT {
        return None;
    }
    let size = ((((bits << 8) | 1 << 31) >> 1 >> drop.min(31)) + 1) >> 1;
    let sign = bits as i32 >> 31;
    let x = (size as i32 ^ sign).wrapping_sub(sign);
    let center = low as i32;
    if high as i32 != center >> 31 {
        return None;
    }
    // Q28 becomes Q32.
    Some(high_rounded(x.checked_sub(center)?, (multiplier << 4) as i32))
}

/// See [`crate::arithmetic::Arithmetic::standardize_far`]. Within 4 units in the last place of the trunk of what
/// exact arithmetic gives.
pub(super) fn far(readings: &[f32], parameters: &[u32], values: &mut [i32]) -> Option<()> {
    // Two passes over the readings, so that no buffer holds what is wider than a value.
    let parameters = parameters_of_each(parameters, readings.len());
    let readings = bits(readings);
    let mut farthest = READING_LIMIT as u64;
    for (&reading, words) in readings.iter().zip(parameters) {
        farthest = farthest.max((wide(reading, words) >> 1).unsigned_abs());
    }
    // Of the farthest 31 bits are kept: it is below 2^61.
    let drop = bits_above(farthest, KEPT_BITS);
    // Below two.
    let share = i64::from(quotient(READING_LIMIT as u32, (farthest >> drop) as u32, 31));
    for (value, (&reading, words)) in values.iter_mut().zip(readings.iter().zip(parameters)) {
        let kept = (wide(reading, words) >> 1 >> drop) as i32;
        // Within a few units of the limit: no i32 wraps.
        let scaled = (i64::from(kept).wrapping_mul(share) >> 31) as i32;
        *value = scaled.clamp(-(READING_LIMIT as i32), READING_LIMIT as i32);
    }
    Some(())
}

/// `numerator / denominator` with so many bits behind the point, cut; of a denominator below 2^31 and a numerator below twice
/// that. A bit a step: a division is not worth the code where a core has none, or none that is wide enough.
#[cfg_attr(flowlet_integer_kernels = "armv6m", inline(never))]
pub(super) fn quotient(mut numerator: u32, denominator: u32, bits: u32) -> u32 {
    let mut quotient = 0u32;
    for _ in 0..bits + 1 {
        quotient <<= 1;
        if numerator >= denominator {
            numerator = numerator.wrapping_sub(denominator);
            quotient |= 1;
        }
        numerator <<= 1;
    }
    quotient
}

/// The bits of readings: as f32 they would come by a register of the FPU.
fn bits(readings: &[f32]) -> &[u32] {
    bytemuck::cast_slice(readings)
}

/// `(reading - mean) / std` without saturation, 2^-37 relative, in Q.17, below 2^61; of the bits of a reading.
#[inline(never)]
fn wide(reading: u32, &[low, high, multiplier, _, exponent]: &[u32; STANDARDIZER_WORDS]) -> i64 {
    let center = i64::from(low) | (i64::from(high as i32) << 32);
    // 2^62 and 2^61 at most.
    let difference = convert::bits_to_fixed(reading, exponent as i32).wrapping_sub(center);
    // At most 26 of the 28 bits.
    let excess = bits_above(difference.unsigned_abs(), EXACT_BITS);
    let product = (difference >> excess).wrapping_mul(i64::from(multiplier));
    product >> ((MULTIPLIER_BITS - 1).wrapping_sub(excess) & 31)
}

/// How many bits a size has above the lowest `kept`: 31 at most, which sizes below 2^62 do not exceed with 31 bits kept, nor any
/// i64's with 38.
#[inline(always)]
fn bits_above(size: u64, kept: u32) -> u32 {
    32u32.wrapping_sub(convert::leading_zeros((size >> kept) as u32)) & 31
}

#[cfg(test)]
mod tests {
    use super::super::Fixed;
    use super::*;
    use crate::arithmetic::Arithmetic;

    /// Words of a feature with this mean and a std of `scale / 2^exponent`.
    fn words(mean: f64, scale: u32, exponent: i32) -> [u32; STANDARDIZER_WORDS] {
        let center = (mean * 2f64.powi(exponent)).round() as i64;
        let multiplier = (2f64.powi(44) / f64::from(scale)).round() as u32;
        [center as u32, (center >> 32) as u32, multiplier, scale, exponent as u32]
    }

    #[test]
    fn near_readings_take_a_faster_way_to_the_same_bits() {
        let mut state = 11u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u32
        };
        let mut count = 0;
        for i in 0..300_000 {
            let (scale, exponent) = ((1 << 20) + next() % (1 << 20), (next() % 300) as i32 - 130);
            let std = f64::from(scale) * 2f64.powi(-exponent);
            let mean = (f64::from(next() as i32) / 2f64.powi(20 + (i % 20))) * std;
            let words = words(mean, scale, exponent);
            let far = f64::from(next() as i32) / 2f64.powi(21 + (i % 24));
            let reading = match i % 5 {
                0 => f32::from_bits(next()),
                1 => [0.0, -0.0, f32::MIN_POSITIVE, f32::from_bits(1)][i as usize % 4],
                _ => (mean + far * std) as f32,
            };
            if !reading.is_finite() {
                continue;
            }
            let exact = Fixed::standardize(reading, &words);
            if let Some(z) = near(reading.to_bits(), &words) {
                assert_eq!(Some(z), exact, "{reading:e} {words:?}");
                count += 1;
            }
            let mut values = [0];
            let far = each(&[reading], &words, &mut values);
            assert_eq!((Some(values[0]), far), (exact, exact.map(Fixed::is_at_limit)));
        }
        assert!(count > 100_000, "{count}");
    }

    #[test]
    fn a_quotient_bit_by_bit_is_that_of_a_division() {
        let mut state = 7u64;
        for i in 0..100_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let denominator = ((state >> 33) as u32 >> (i % 31)).max(1);
            // Up to twice the denominator, less one.
            let numerator = ((u64::from(denominator) * 2 - 1) * (state & 0xffff) / 0xffff) as u32;
            let exact = (u64::from(numerator) << 31) / u64::from(denominator);
            assert_eq!(u64::from(quotient(numerator, denominator, 31)), exact, "{numerator} {denominator}");
            assert_eq!(u64::from(quotient(numerator, denominator, 16)), exact >> 15);
        }
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
