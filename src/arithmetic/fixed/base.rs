//! Base distributions in fixed point, integers only.
//!
//! A mixture's entry is one word: the mean in the upper half, the precision (inverse standard deviation) in
//! the lower, each with a scale common to the mixture. Shifted right, the whole word is the mean in Q15.16,
//! so that nothing has to be masked: what the precision adds below the mean's last place belongs to the mean,
//! and the exporter rounds accordingly. The inner loop is then load, load, shift, subtract, `SMULWB`, `SMLAL`
//! on a Cortex-M4.

use super::{elementary, round_shift, saturate, table, Fixed, FixedWith, FRACTION_BITS, ONE};
use crate::arithmetic::base::{BaseArithmetic, MixtureFormat, StudentNumbers};
use crate::arithmetic::fixed::convert::fixed_to_f32;
use crate::support::Support;
use crate::{Fault, Part};

/// Fractional bits of [`ln_ratio`].
pub const LN_BITS: u32 = 26;
/// Fractional bits of `1 / nu` in the image.
pub const INVERSE_DEGREES_BITS: u32 = 30;
/// Fractional bits of `(nu + 1) / 2` in the image.
pub const EXPONENT_BITS: u32 = 21;
/// ln 2 in Q32.
const LN_2_Q32: i64 = 2_977_044_472;
/// Fractional bits of a sum of exponentials relative to the largest.
const MASS_BITS: u32 = 24;
/// Features between two looks at whether a component can still matter.
const STRIDE: usize = 8;
/// Values within this take the faster way: 2048 standard deviations.
const NEAR: u32 = 1 << 27;
/// By so much are squares of far values shifted right before they are added.
const FAR_SHIFT: i32 = 12;

/// Half the sum of squares, in Q47.16; of values that are far out, to 2^-21 relative.
pub(super) fn half_squares(z: &[i32]) -> i64 {
    let (sum, reach) = squares(z, 0);
    if reach < NEAR as i32 {
        // 256 squares below 2^54.
        return round_shift(sum, FRACTION_BITS + 1);
    }
    // Squares below 2^52.
    round_shift(squares(z, 5).0, FRACTION_BITS + 1 - 10)
}

/// The sum of the squares of values less their `drop` lowest bits, and bits as high as any of theirs.
#[inline]
fn squares(z: &[i32], drop: u32) -> (i64, i32) {
    let (mut sum, mut reach) = (0i64, 0);
    for &z in z {
        let z = z >> (drop & 31);
        sum = sum.wrapping_add(i64::from(z) * i64::from(z));
        reach |= z ^ (z >> 31);
    }
    (sum, reach)
}

/// Natural logarithm of `ratio / 2^bits`, from 1 to 2^45, in Q26, to 1.5e-8; `bits <= 63`.
///
/// A table of 32 steps and four terms of the remainder's series: finer than [`elementary::ln`], as the
/// exponent of a Student-t with many degrees of freedom multiplies its error.
#[must_use]
pub fn ln_ratio(ratio: u64, bits: u32) -> i32 {
    let zeros = ratio.leading_zeros();
    // The top bit in place 31 of `mantissa`; below it five bits of the table's index.
    let mantissa = (ratio.wrapping_shl(zeros) >> 32) as u32;
    let index = ((mantissa >> 26) & 31) as usize;
    let (Some(&log), Some(&inverse)) = (table::LN_32.get(index), table::INVERSE_32.get(index)) else {
        return 0;
    };
    // From the middle of the step, in Q31; the remainder in Q34 is within 2^28.
    let offset = (mantissa & 0x3ff_ffff) as i32 - (1 << 25);
    let r = (i64::from(offset) * i64::from(inverse)) >> 29;
    let series = (1i64 << 34) / 3 - (r >> 2);
    let series = (1 << 33) - ((r * series) >> 34);
    let series = r - ((((r * series) >> 34) * r) >> 34);
    let whole = 63 - zeros as i32 - bits as i32;
    let fraction = (i64::from(log) << 8) + series;
    saturate(round_shift(i64::from(whole) * LN_2_Q32 + (fraction >> 2), 6))
}

/// `x * 2^left`, saturated; shifts right, rounding, where `left` is negative.
fn shift(x: i64, left: i32) -> i64 {
    if left < 0 {
        // Not `round_shift`, whose sum needs at least two bits of room.
        return (x >> (left.unsigned_abs().min(63) - 1)).saturating_add(1) >> 1;
    }
    let shifted = x.wrapping_shl(left as u32);
    if left < 63 && shifted >> left == x {
        shifted
    } else {
        x.signum().saturating_mul(i64::MAX)
    }
}

/// `(z - location) / scale` in Q15.16, saturated.
fn standardized(z: i32, words: &[u32; 5]) -> i32 {
    let &[location, mantissa, _, _, right] = words;
    // |difference| < 2^32 and mantissa < 2^31.
    let difference = i64::from(z) - i64::from(location as i32);
    saturate(round_shift(difference.wrapping_mul(i64::from(mantissa)), right & 63))
}

/// The mean of an entry in Q15.16.
fn mean(word: u32, format: MixtureFormat) -> i32 {
    (word as i32) >> (format.mean_shift & 31)
}

/// The precision of an entry.
fn precision(word: u32) -> i32 {
    i32::from(word as i16)
}

/// `((z - mean) precision)^2`, the deviation in units of `2^-precision_bits`.
///
/// z and means are within 2^27, so that the difference is within 2^28, the deviation within 2^27, and 256
/// squares within 2^62.
#[inline(always)]
fn near_square(z: i32, word: u32, mean_shift: u32) -> i64 {
    let difference = z.wrapping_sub((word as i32) >> mean_shift);
    let u = ((i64::from(difference) * i64::from(precision(word))) >> 16) as i32;
    i64::from(u) * i64::from(u)
}

/// The same for any z, divided by `2^FAR_SHIFT` and rounded up: at the border of both no distance shrinks.
#[inline(always)]
fn far_square(z: i32, word: u32, mean_shift: u32) -> i64 {
    let difference = i64::from(z) - i64::from((word as i32) >> mean_shift);
    // |difference| < 2^32: the deviation is within 2^31, its square fits, and so do 2^13 of them shifted.
    let u = (difference * i64::from(precision(word))) >> 16;
    u.wrapping_mul(u).wrapping_add((1 << FAR_SHIFT) - 1) >> FAR_SHIFT
}

/// The sum of one kind of square; `None` once it exceeds `limit`.
#[inline(always)]
fn sum_of_squares(
    z: &[i32],
    words: &[u32],
    mean_shift: u32,
    limit: i64,
    square: impl Fn(i32, u32, u32) -> i64,
) -> Option<i64> {
    let (blocks, z) = z.as_chunks::<STRIDE>();
    let (block_words, words) = words.as_chunks::<STRIDE>();
    let mut sum = 0i64;
    for (z, words) in blocks.iter().zip(block_words) {
        for (&z, &word) in z.iter().zip(words) {
            sum = sum.wrapping_add(square(z, word, mean_shift));
        }
        if sum > limit {
            return None;
        }
    }
    for (&z, &word) in z.iter().zip(words) {
        sum = sum.wrapping_add(square(z, word, mean_shift));
    }
    (sum <= limit).then_some(sum)
}

/// By how much half a sum of squares is shifted right to Q47.16: 1 to 29.
#[inline(always)]
fn right_shift(format: MixtureFormat) -> u32 {
    (2 * u32::from(format.precision_bits)).wrapping_sub(FRACTION_BITS - 1) & 31
}

/// [`BaseArithmetic::half_distance`] for any z.
#[cold]
#[inline(never)]
fn far_half_distance(z: &[i32], words: &[u32], format: MixtureFormat, limit: i64) -> Option<i64> {
    let left = FAR_SHIFT - right_shift(format) as i32;
    let mean_shift = u32::from(format.mean_shift & 31);
    let sum = sum_of_squares(z, words, mean_shift, shift(limit, -left), far_square)?;
    Some(shift(sum, left))
}

/// `e^x` for `x <= 0` in Q47.16, in units of `2^-24`.
fn mass(x: i64) -> u32 {
    if x < -Fixed::NEGLIGIBLE {
        return 0;
    }
    let (mantissa, exponent) = elementary::exp(saturate(x));
    let right = (30 - MASS_BITS as i32).saturating_sub(exponent).clamp(1, 31) as u32;
    (mantissa.wrapping_add(1 << (right - 1))) >> right
}

impl<S: Support> BaseArithmetic<i32, i64> for FixedWith<S> {
    /// In units of `2^-24`: 64 terms are 2^30.
    type Mass = u32;

    /// location, mantissa of 1 / scale, 1 / nu, (nu + 1) / 2, shift.
    const STUDENT_WORDS: usize = 5;
    const NO_MASS: (i64, u32) = (i64::MIN, 0);
    /// 64 such terms are 2.7e-6: less than a unit of Q47.16.
    const NEGLIGIBLE: i64 = 17 << FRACTION_BITS;

    fn squared_norm(z: &[i32]) -> i64 {
        let mut squares = 0i64;
        for &z in z {
            // At most 2^46 each.
            squares = squares.wrapping_add(round_shift(i64::from(z) * i64::from(z), FRACTION_BITS));
        }
        squares
    }

    fn check_student(words: &[u32]) -> Result<(), Fault> {
        let &[_, mantissa, inverse_degrees, exponent, right] = words else {
            return Err(Fault::malformed(Part::Base));
        };
        if (1 << 30..1 << 31).contains(&mantissa)
            && (1..1 << 31).contains(&inverse_degrees)
            && (1 << (EXPONENT_BITS - 1)..1 << 31).contains(&exponent)
            && (1..=62).contains(&right)
        {
            Ok(())
        } else {
            Err(Fault::malformed(Part::Base))
        }
    }

    fn student_energy(z: &[i32], words: &[u32]) -> i64 {
        // In Q31.32: each term is below 2^10 (nu + 1) / 2 times 45 nats, so that 256 of them fit.
        let mut sum = 0i64;
        for (&z, words) in z.iter().zip(words.as_chunks::<5>().0) {
            let q = i64::from(standardized(z, words));
            let squared = (q * q) as u64;
            // All bits of a small square, the top 32 of a large one: q^2 / nu in units of 2^-bits.
            let left = squared.leading_zeros().min(32);
            let bits = INVERSE_DEGREES_BITS + left;
            let ratio = ((squared << left) >> 32).wrapping_mul(u64::from(words[2]));
            let log = ln_ratio(ratio.wrapping_add(1 << bits), bits);
            let term = i64::from(log).wrapping_mul(i64::from(words[3]));
            sum = sum.saturating_add(round_shift(term, LN_BITS + EXPONENT_BITS - 32));
        }
        round_shift(sum, 32 - FRACTION_BITS)
    }

    fn student_squared_norm(z: &[i32], words: &[u32]) -> i64 {
        let mut sum = 0i64;
        for (&z, words) in z.iter().zip(words.as_chunks::<5>().0) {
            let q = i64::from(standardized(z, words));
            sum = sum.saturating_add(round_shift(q * q, FRACTION_BITS));
        }
        sum
    }

    fn student_numbers(words: &[u32]) -> Option<StudentNumbers> {
        let &[location, mantissa, _, exponent, right] = words else { return None };
        let degrees = 2 * i64::from(exponent) - (1 << EXPONENT_BITS);
        Some(StudentNumbers {
            location: fixed_to_f32(i64::from(location as i32), FRACTION_BITS as i32),
            inverse_scale: fixed_to_f32(i64::from(mantissa), right as i32),
            degrees: fixed_to_f32(degrees, EXPONENT_BITS as i32),
        })
    }

    fn student_location(words: &[u32]) -> Option<i32> {
        words.first().map(|&w| w as i32)
    }

    /// One word per feature.
    fn mixture_words(features: usize) -> usize {
        features
    }

    fn mixture_format_is_valid(format: MixtureFormat) -> bool {
        (4..=15).contains(&format.mean_shift) && (8..=22).contains(&format.precision_bits)
    }

    fn check_component(words: &[u32], features: usize) -> Result<(), Fault> {
        if words.len() == features && words.iter().all(|&w| precision(w) > 0) {
            Ok(())
        } else {
            Err(Fault::malformed(Part::Base))
        }
    }

    fn is_near(z: &[i32]) -> bool {
        z.iter().all(|z| z.unsigned_abs() <= NEAR)
    }

    // The near way within the loop over components, the far one out of it.
    #[inline(always)]
    fn half_distance(z: &[i32], words: &[u32], format: MixtureFormat, near: bool, limit: i64) -> Option<i64> {
        if !near {
            return far_half_distance(z, words, format, limit);
        }
        let right = right_shift(format);
        // Limits beyond 32767 nats are none.
        let near_limit = saturate(limit);
        let limit = if near_limit == i32::MAX { i64::MAX } else { i64::from(near_limit) << right };
        let mean_shift = u32::from(format.mean_shift & 31);
        Some(round_shift(sum_of_squares(z, words, mean_shift, limit, near_square)?, right))
    }

    fn component_mean(words: &[u32], format: MixtureFormat, feature: usize) -> Option<i32> {
        words.get(feature).map(|&w| mean(w, format))
    }

    fn component_numbers(
        words: &[u32],
        format: MixtureFormat,
        _features: usize,
        feature: usize,
    ) -> Option<(f32, f32)> {
        let &word = words.get(feature)?;
        Some((
            fixed_to_f32(i64::from(mean(word, format)), FRACTION_BITS as i32),
            fixed_to_f32(i64::from(precision(word)), i32::from(format.precision_bits)),
        ))
    }

    #[inline(never)]
    fn add_mass((largest, sum): (i64, u32), term: i64) -> (i64, u32) {
        if term > largest {
            let kept = u64::from(sum).wrapping_mul(u64::from(mass(largest.saturating_sub(term))));
            (term, ((kept >> MASS_BITS) as u32).saturating_add(1 << MASS_BITS))
        } else {
            (largest, sum.saturating_add(mass(term.saturating_sub(largest))))
        }
    }

    fn log_mass((largest, sum): (i64, u32)) -> i64 {
        let right = MASS_BITS - FRACTION_BITS;
        let sum = sum.saturating_add(1 << (right - 1)) >> right;
        largest.saturating_add(i64::from(elementary::ln(sum.max(ONE as u32))))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn ln_ratio_keeps_its_budget_and_is_monotone() {
        let mut worst = (0.0, 0);
        let mut check = |ratio: u64, bits: u32| {
            let found = ln_ratio(ratio, bits);
            let exact = (ratio as f64 / (bits as f64).exp2()).ln();
            let error = (f64::from(found) / 67_108_864.0 - exact).abs();
            if error > worst.0 {
                worst = (error, ratio);
            }
            found
        };
        // Every step of the table finely, and the octaves up to 2^31.
        let mut before = 0;
        for i in 0..400_000u64 {
            let found = check((1 << 32) + i * 10_737, 32);
            assert!(found >= before, "falls at {i}");
            before = found;
        }
        for octave in 0..31 {
            for i in 0..997u64 {
                check((1 << (32 + octave)) + i * ((1 << (32 + octave)) / 997), 32);
            }
        }
        for bits in 32..=62 {
            assert_eq!(check(1 << bits, bits), 0, "{bits}");
        }
        check(u64::MAX, 32);
        check(u64::MAX, 62);
        assert!(worst.0 < 1.6e-8, "{worst:?}");
        assert_eq!(ln_ratio(0, 0), ln_ratio(0, 0));
    }

    #[test]
    fn mass_is_the_exponential() {
        for i in 0..2_000_000i64 {
            let exact = (-(i as f64) / 65536.0).exp();
            let found = f64::from(mass(-i)) / 16_777_216.0;
            assert!((found - exact).abs() < 7e-6 * exact + 6.1e-8, "{i}: {found} {exact}");
        }
        assert_eq!(mass(0), 1 << MASS_BITS);
        assert_eq!(mass(i64::MIN), 0);
    }

    #[test]
    fn shifts_saturate() {
        assert_eq!(shift(3, 2), 12);
        assert_eq!(shift(-3, 2), -12);
        assert_eq!(shift(7, -1), 4);
        assert_eq!(shift(1, 62), 1 << 62);
        for (x, left) in [(1, 63), (2, 62), (1 << 40, 30), (i64::MAX, 1)] {
            assert_eq!(shift(x, left), i64::MAX);
            assert!(shift(-x, left) <= -i64::MAX);
        }
        assert_eq!(shift(i64::MAX, -63), 1);
        assert_eq!(shift(0, 63), 0);
    }

    #[test]
    fn near_and_far_agree_where_both_may_be_used() {
        let mut state = 5u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u32
        };
        for size in [10, 16, 20, 27] {
            for _ in 0..500 {
                let z: Vec<i32> = (0..9).map(|_| (next() as i32) >> (31 - size)).collect();
                let words: Vec<u32> = z.iter().map(|_| next() & 0xffff_7fff | 1).collect();
                let near = sum_of_squares(&z, &words, 11, i64::MAX, near_square).expect("no limit");
                let far = sum_of_squares(&z, &words, 11, i64::MAX, far_square).expect("no limit");
                // Nine roundings up of the far squares.
                assert!((0..=9).contains(&(far - (near >> FAR_SHIFT))), "{near} {far}");
            }
        }
    }

    #[test]
    fn no_square_overflows() {
        // The largest of everything that the check and `is_near` admit, in 256 features.
        let sum = |z: i32, word: u32, square: fn(i32, u32, u32) -> i64| {
            sum_of_squares(&[z; 256], &[word; 256], 4, i64::MAX, square).expect("no limit")
        };
        let near = NEAR as i32;
        assert!(sum(near, 0x8000_7fff, near_square) > 1 << 61);
        assert!(sum(-near, 0x7fff_7fff, near_square) > 1 << 61);
        assert!(sum(i32::MAX, 0x8000_7fff, far_square) > 1 << 55);
        assert!(sum(i32::MIN, 0x7fff_7fff, far_square) > 1 << 55);
    }
}
