//! Gains and rows of weights in fixed point: what linear layers and elementwise affine maps compute with.
//!
//! ```text
//! gain  word 0   shift s, 14 to 44
//!       word 1   d, i32, 2^29 <= |d| <= 2^30: the gain is d 2^-s, between 2^-15 and 2^16
//!       word 2   r, i32, the integer nearest to 2^59 / d: its reciprocal is r 2^(s-59)
//! row   word 0   shift e, 1 to 62: a weight w stands for w 2^-e
//!       then     weights, i16, two to a word, the first in the lower half; zero in the last half if odd
//! ```
//!
//! Values are Q15.16. A reciprocal that is as long as a value lets the inverse find what the quantized
//! gain made of it, with no division. Sums of at most 2^8 products below 2^46 cannot overflow an i64.

use super::{round_shift, saturate};

/// Words of a gain.
pub const GAIN_WORDS: usize = 3;
/// Shifts of gains.
pub const GAIN_SHIFTS: core::ops::RangeInclusive<u32> = 14..=44;
/// Shifts of rows.
pub const ROW_SHIFTS: core::ops::RangeInclusive<u32> = 1..=62;
/// Gain and reciprocal multiply to two to this.
pub const RECIPROCAL_BITS: u32 = 59;

/// `x` times the gain.
pub(super) fn gain(x: i32, words: &[u32]) -> Option<i32> {
    let &[shift, gain, _] = words else { return None };
    Some(saturate(round_shift(i64::from(x) * i64::from(gain as i32), shift)))
}

/// `y` divided by the gain.
pub(super) fn gain_inverse(y: i32, words: &[u32]) -> Option<i32> {
    let &[shift, _, reciprocal] = words else { return None };
    let shift = RECIPROCAL_BITS.saturating_sub(shift);
    Some(saturate(round_shift(i64::from(y) * i64::from(reciprocal as i32), shift)))
}

/// Whether the gain is above zero, if its words are in range.
#[inline(never)]
pub(super) fn gain_is_positive(words: &[u32]) -> Option<bool> {
    let &[shift, gain, reciprocal] = words else { return None };
    let (gain, reciprocal) = (gain as i32, reciprocal as i32);
    let size = i64::from(gain.unsigned_abs());
    // Below 2^62 and 2^59.
    let error = (i64::from(gain) * i64::from(reciprocal) - (1 << RECIPROCAL_BITS)).abs();
    let in_range = GAIN_SHIFTS.contains(&shift) && (1 << 29..=1 << 30).contains(&size) && error <= size;
    in_range.then_some(gain > 0)
}

/// The gain itself, if its words are in range.
pub(super) fn gain_to_f32(words: &[u32]) -> Option<f32> {
    gain_is_positive(words)?;
    let &[shift, gain, _] = words else { return None };
    Some(super::convert::fixed_to_f32(i64::from(gain as i32), shift as i32))
}

/// Words of a row of so many weights.
pub(super) fn row_words(weights: usize) -> usize {
    1 + weights.div_ceil(2)
}

pub(super) fn row_is_valid(words: &[u32], weights: usize) -> bool {
    let Some((&shift, packed)) = words.split_first() else { return false };
    let padding = packed.last().map_or(0, |last| last >> 16);
    words.len() == row_words(weights)
        && ROW_SHIFTS.contains(&shift)
        && (weights.is_multiple_of(2) || padding == 0)
}

/// The sum of `x` times the weights.
pub(super) fn row_sum(words: &[u32], x: &[i32]) -> Option<i32> {
    let (&shift, packed) = words.split_first()?;
    let weights: &[i16] = bytemuck::cast_slice(packed);
    let mut sum = 0i64;
    for (&w, &x) in weights.iter().zip(x) {
        sum = sum.wrapping_add(i64::from(w) * i64::from(x));
    }
    Some(saturate(round_shift(sum, shift)))
}

/// What a weight stands for.
pub(super) fn row_weight(words: &[u32], index: usize) -> Option<f32> {
    let (&shift, packed) = words.split_first()?;
    let weights: &[i16] = bytemuck::cast_slice(packed);
    Some(super::convert::fixed_to_f32(i64::from(*weights.get(index)?), shift as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A gain's words from its definition.
    fn words(gain: f64) -> [u32; 3] {
        let shift = 29 - gain.abs().log2().floor() as i32;
        let d = (gain * f64::from(shift).exp2()).round();
        [shift as u32, d as i32 as u32, (59f64.exp2() / d).round() as i32 as u32]
    }

    #[test]
    fn a_gain_and_its_reciprocal_undo_each_other() {
        for g in [1.0, -1.0, 3.7, -0.01, 1000.0, 1.999_999_999, 0.000_123, -32_000.0] {
            let words = words(g);
            let found = gain_to_f32(&words).map(f64::from);
            assert!(found.is_some_and(|f| (f - g).abs() < 1e-6 * g.abs()), "{g}: {found:?}");
            for x in [0, 1, -1, 65_536, -327_681, 1 << 24, i32::MAX, i32::MIN] {
                let y = gain(x, &words).unwrap();
                if y == i32::MAX || y == i32::MIN {
                    continue;
                }
                let back = gain_inverse(y, &words).unwrap();
                let exact = f64::from(x) * g;
                assert!((f64::from(y) - exact).abs() <= 0.51 + exact.abs() * 1e-9, "{g} {x}");
                // Half a unit of y, a unit of x, and what 30 bits of reciprocal leave of the largest.
                let reach = 0.51 / g.abs() + 1.0 + f64::from(x).abs() * 2f64.powi(-29);
                assert!((f64::from(back) - f64::from(x)).abs() <= reach, "{g}: {x} came back as {back}");
            }
        }
    }

    #[test]
    fn sums_saturate_and_never_wrap() {
        let mut words = [0x7fff_7fff; 129];
        words[0] = 1;
        assert!(row_is_valid(&words, 256));
        assert_eq!(row_sum(&words, &[i32::MAX; 256]), Some(i32::MAX));
        assert_eq!(row_sum(&words, &[i32::MIN; 256]), Some(i32::MIN));
        words[0] = 62;
        assert_eq!(row_sum(&words, &[i32::MAX; 256]), Some(0));
        assert_eq!(row_weight(&[15, 0x4000_c000], 0), Some(-0.5));
        assert_eq!(row_weight(&[15, 0x4000_c000], 1), Some(0.5));
        assert_eq!(row_weight(&[15, 0x4000_c000], 2), None);
    }
}
