//! Amplitudes as logarithms in integers, and how they become features.

use crate::arithmetic::fixed::convert::fixed_to_f32;
use crate::arithmetic::fixed::elementary::exp2_fine;
use crate::arithmetic::fixed::ratio::Scaled;
use crate::stream::front_end::Form;

/// Fraction bits of a logarithm.
pub(super) const BITS: u32 = 20;
/// Smallest depth of a modulation, and what silence has: 2^-10.
pub(super) const DEPTH_FLOOR: i32 = -10;

/// `log2` of an integer in Q11.20; zero counts as one.
pub(super) fn log2(x: u64) -> i32 {
    Scaled::new(x, 0).log2()
}

/// `log2` of the bits of a positive, normal f32.
pub(super) fn log2_of_f32(x: f32) -> i32 {
    let bits = x.to_bits();
    let mantissa = (bits & 0x7f_ffff) | 0x80_0000;
    Scaled::new(u64::from(mantissa), (bits >> 23 & 0xff) as i32 - 150).log2()
}

/// Whole octaves.
pub(super) fn octaves(count: i32) -> i32 {
    count << BITS
}

/// An amplitude as a feature.
pub(super) fn feature(log2: i32, form: Form) -> f32 {
    match form {
        Form::Log2 => fixed_to_f32(log2.into(), BITS as i32),
        Form::Plain => signed(false, log2),
    }
}

/// `±2^log2`.
pub(super) fn signed(is_negative: bool, log2: i32) -> f32 {
    let (mantissa, exponent) = exp2_fine(log2);
    let mantissa = i64::from(mantissa);
    fixed_to_f32(if is_negative { -mantissa } else { mantissa }, 30 - exponent)
}

/// Bits of a magnitude: the position behind its top bit.
pub(super) fn bits(x: u32) -> i32 {
    32 - x.leading_zeros() as i32
}

/// `x 2^shift`; a right shift rounds to nearest.
#[inline(always)]
pub(super) fn shifted(x: i32, shift: i32) -> i32 {
    if shift >= 0 {
        x << (shift & 31)
    } else {
        ((x >> ((-shift - 1) & 31)) + 1) >> 1
    }
}

/// A count as f32.
pub(super) fn count(x: u32) -> f32 {
    fixed_to_f32(x.into(), 0)
}
