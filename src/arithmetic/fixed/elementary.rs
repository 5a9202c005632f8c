//! exp, tanh and ln in fixed point, from small tables and polynomials.
//!
//! Errors are against exact arithmetic on the represented input; the tests below hold the budgets.
//!
//! | function | domain | error budget |
//! |---|---|---|
//! | [`exp2`] | all | [`EXP2_RELATIVE`] |
//! | [`exp`] | -128 to 128, where it saturates | [`EXP_RELATIVE`] |
//! | [`tanh_q31`] | all | [`TANH_Q31_ABSOLUTE`] |
//! | [`tanh`] | all | [`TANH_ABSOLUTE`] |
//! | [`ln`] | `>= 1` | [`LN_ABSOLUTE`] |

use super::table;
use super::{product_high_rounded_by_halves, round_shift, FRACTION_BITS, ONE};

/// Largest relative error of [`exp2`]. A line a step: a polynomial of second order on longer steps errs by 4e-7 and costs
/// half as many instructions again, and half a unit of Q15.16, to which a scaled value is rounded, is 7.6e-6.
pub const EXP2_RELATIVE: f64 = 7e-7;
/// Largest relative error of [`exp`], where it does not saturate.
pub const EXP_RELATIVE: f64 = 8e-7;
/// Largest absolute error of [`tanh_q31`].
pub const TANH_Q31_ABSOLUTE: f64 = 6e-7;
/// Largest absolute error of [`tanh`]: that of [`tanh_q31`] and half a unit of Q15.16.
pub const TANH_ABSOLUTE: f64 = 8.5e-6;
/// Largest absolute error of [`ln`] and of its siblings with other formats of the argument.
pub const LN_ABSOLUTE: f64 = 2e-5;

/// log2(e) in Q30.
pub(super) const LOG2_E_Q30: i32 = 1_549_082_005;
/// ln(2) in Q31.
const LN_2_Q31: i64 = 1_488_522_236;
/// [`exp`] saturates here, in Q15.16: 128.
const EXP_LIMIT: i32 = 1 << 23;
/// [`tanh`] is that of its edge beyond, in Q15.16: 8.
const TANH_LIMIT: i32 = 8 << FRACTION_BITS;

/// `(2^(1/256) - 1 - 5.8e-7) 2^23`: by how much [`exp2_mantissa`] grows over a step, in units of 2^-39 per 2^-16 of a step.
/// What is taken off makes the line err alike within the step and at its end, and not at all at its start, so that `2^0`
/// is one.
pub(super) const GROWTH: u32 = 22_739;

/// The upper half of a product.
#[inline(always)]
fn high(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

/// The upper half of a signed product, rounded to nearest: `SMMULR` on cores that have it.
#[must_use]
#[inline(always)]
pub fn high_rounded(a: i32, b: i32) -> i32 {
    if cfg!(flowlet_integer_kernels = "armv6m") {
        product_high_rounded_by_halves(a, b)
    } else {
        ((i64::from(a) * i64::from(b)).wrapping_add(1 << 31) >> 32) as i32
    }
}

/// [`high`] of `a` and `top 2^16`, with `top < 2^16`: two products of 32 bits, where those are all there is.
#[inline(always)]
fn high_by_top(a: u32, top: u32) -> u32 {
    if cfg!(flowlet_integer_kernels = "armv6m") {
        high_by_top_in_32_bits(a, top)
    } else {
        high(a, top << 16)
    }
}

/// The same; neither product wraps, and neither does their sum.
#[inline(always)]
fn high_by_top_in_32_bits(a: u32, top: u32) -> u32 {
    (a >> 16).wrapping_mul(top).wrapping_add((a & 0xffff).wrapping_mul(top) >> 16)
}

/// [`high`] of `a` and `b`, both below 2^31, in products of 32 bits.
#[inline(always)]
fn high_in_32_bits(a: u32, b: u32) -> u32 {
    let (top, low) = (a >> 16, a & 0xffff);
    let (b_top, b_low) = (b >> 16, b & 0xffff);
    // Two products below 2^31 and a carry.
    let middle = low.wrapping_mul(b_top).wrapping_add(top.wrapping_mul(b_low));
    top.wrapping_mul(b_top).wrapping_add(middle.wrapping_add(low.wrapping_mul(b_low) >> 16) >> 16)
}

/// `2^((index + position / 2^16) / 256)` in Q30, within [1, 2); of the index the lower 8 bits count, `position < 2^16`.
///
/// A line a step.
#[inline(always)]
fn exp2_mantissa(index: u32, position: u32) -> u32 {
    let base = table::EXP2_256.get((index & 255) as usize).copied().unwrap_or(1 << 30);
    // In Q39, below 2^31.
    let growth = position.wrapping_mul(GROWTH);
    let grown = if cfg!(flowlet_integer_kernels = "armv6m") {
        high_in_32_bits(base, growth)
    } else {
        high(base, growth)
    };
    base.wrapping_add(grown >> 7)
}

/// `2^x` for x in Q9.22, as `(mantissa in Q30 within [1, 2), exponent)`.
#[inline(always)]
pub(super) fn exp2_q22(x: i32) -> (u32, i32) {
    (exp2_mantissa(x as u32 >> 14, (x as u32) << 2 & 0xffff), x >> 22)
}

/// The same for x in Q7.24.
#[inline(always)]
pub(super) fn exp2_q24(x: i32) -> (u32, i32) {
    (exp2_mantissa(x as u32 >> 16, x as u32 & 0xffff), x >> 24)
}

/// `2^x` for x in Q15.16, as `(mantissa in Q30 within [1, 2), exponent)`.
#[must_use]
#[inline]
pub fn exp2(x: i32) -> (u32, i32) {
    (exp2_mantissa(x as u32 >> 8, (x as u32 & 0xff) << 8), x >> FRACTION_BITS)
}

/// `2^x` for x in Q11.20, as `(mantissa in Q30 within [1, 2), exponent)`.
#[must_use]
pub(crate) fn exp2_fine(x: i32) -> (u32, i32) {
    let (mantissa, _) = exp2_q22(x.wrapping_shl(2));
    (mantissa, x >> 20)
}

/// `e^x` for x in Q15.16, as `(mantissa in Q30 within [1, 2), exponent)`; saturates at `e^±128`.
#[must_use]
#[inline]
pub fn exp(x: i32) -> (u32, i32) {
    // Q24 times Q30, to Q22.
    exp2_q22(high_rounded(x.clamp(-EXP_LIMIT, EXP_LIMIT - 1) << 8, LOG2_E_Q30))
}

/// tanh in Q31 on step `index` of 1/8, at a position of which `top` are the upper 16 bits and `times` is the upper half of a
/// product with it. Falls nowhere by more than 20 units.
///
/// A cubic a step, `c0 + r (c1 - r (c2 + c3 r))`; see `fixed_tables.py`.
#[inline(always)]
fn tanh_cubic(index: u32, top: u32, times: impl Fn(u32) -> u32) -> u32 {
    let [c0, c1, bend] = table::TANH.get((index & 63) as usize).copied().unwrap_or_default();
    let twist = i32::from(bend as i16) as u32;
    // c2 stands above c3 in the word, and what c3 adds to it there is accounted for.
    let bend = bend.wrapping_add(twist.wrapping_mul(top));
    let slope = c1.wrapping_sub(times(bend) >> 8);
    c0.wrapping_add(times(slope))
}

/// Hyperbolic tangent of a Q15.16 number, in Q31: within ±(1 - 2^-22).
#[must_use]
#[inline(always)]
pub fn tanh_q31(x: i32) -> i32 {
    let sign = x >> 31;
    let size = (x.clamp(-TANH_LIMIT, TANH_LIMIT - 1) ^ sign).wrapping_sub(sign) as u32;
    // Both ends meet the last step's end.
    let size = size - (size >> 19);
    let top = (size & 0x1fff) << 3;
    let y = tanh_cubic(size >> 13, top, |a| high_by_top(a, top)) as i32;
    (y ^ sign).wrapping_sub(sign)
}

/// Hyperbolic tangent of a Q15.16 number, in Q15.16.
#[must_use]
#[inline]
pub fn tanh(x: i32) -> i32 {
    let sign = x >> 31;
    let size = (tanh_q31(x) ^ sign).wrapping_sub(sign);
    let y = ((size >> 14) + 1) >> 1;
    (y ^ sign).wrapping_sub(sign)
}

/// Natural logarithm of `x >= 1` in unsigned Q16.16, in Q15.16; zero below one.
#[must_use]
pub fn ln(x: u32) -> i32 {
    if x <= ONE as u32 {
        return 0;
    }
    let zeros = x.leading_zeros();
    // The top bit in place 31; the 26 bits below the six of the table's index are the position.
    let normal = x << (zeros & 31);
    let index = ((normal >> 25) & 0x3f) as usize;
    let position = (normal >> 9) & 0xffff;
    let log2 = table::interpolate(&table::LOG2, index, position, 16).unwrap_or(0);
    // log2 in Q20; the integer part is 15 - zeros, as x is Q16.16.
    let whole = (15 - zeros as i32) << 20;
    round_shift(i64::from(whole + log2) * LN_2_Q31, 35) as i32
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::println;

    /// Largest error of `f` over `inputs`, with the input that gives it.
    fn worst(inputs: impl Iterator<Item = i64>, mut f: impl FnMut(i64) -> f64) -> (f64, i64) {
        inputs.map(|x| (f(x), x)).fold((0.0, 0), |a, b| if b.0 > a.0 { b } else { a })
    }

    #[test]
    fn exp2_keeps_its_budget_and_rises() {
        let mut before = 0;
        let (error, at) = worst(0..1 << 22, |x| {
            let (mantissa, exponent) = exp2_q22(x as i32);
            assert_eq!(exponent, 0);
            assert!((1 << 30..1 << 31).contains(&mantissa) && mantissa >= before, "{x}");
            before = mantissa;
            (f64::from(mantissa) / (1u64 << 30) as f64 / (x as f64 / 4_194_304.0).exp2() - 1.0).abs()
        });
        println!("exp2: {error:e} at {at}");
        assert!(error < EXP2_RELATIVE, "{error:e} at {at}");
        for x in [0, 1, 777, 65_535, -1, -77_777] {
            assert_eq!(exp2(x), exp2_q22(x << 6));
            assert_eq!(exp2(x), exp2_q24(x << 8));
        }
        assert_eq!(exp2(-65536), (1 << 30, -1));
        assert_eq!(exp2(i32::MIN), (1 << 30, -32768));
    }

    #[test]
    fn exp_keeps_its_budget_and_saturates() {
        let (error, at) = worst((-128 * 65536..128 * 65536).step_by(7), |x| {
            let (mantissa, exponent) = exp(x as i32);
            let found = f64::from(mantissa) / (1u64 << 30) as f64 * f64::from(exponent).exp2();
            (found / (x as f64 / 65536.0).exp() - 1.0).abs()
        });
        println!("exp: {error:e} at {at}");
        assert!(error < EXP_RELATIVE, "{error:e} at {at}");
        assert_eq!(exp(0), (1 << 30, 0));
        assert_eq!(exp(i32::MAX), exp(EXP_LIMIT - 1));
        assert_eq!(exp(i32::MIN), exp(-EXP_LIMIT));
    }

    #[test]
    fn tanh_keeps_its_budgets_and_is_odd_and_monotone() {
        let (mut before, mut fine) = (0, [0f64; 2]);
        let (error, at) = worst(0..10 * 65536, |x| {
            let y = tanh_q31(x as i32);
            assert!(tanh(x as i32) >= before, "tanh falls at {x}");
            before = tanh(x as i32);
            assert_eq!(tanh_q31(-(x as i32)), -y);
            assert_eq!(tanh(-(x as i32)), -tanh(x as i32));
            let exact = (x as f64 / 65536.0).tanh();
            fine[1] = fine[1].max((f64::from(tanh(x as i32)) / 65536.0 - exact).abs());
            (f64::from(y) / 2_147_483_648.0 - exact).abs()
        });
        println!("tanh: {error:e} at {at} in Q31, {:e} in Q15.16", fine[1]);
        assert!(error < TANH_Q31_ABSOLUTE, "{error:e} at {at}");
        assert!(fine[1] < TANH_ABSOLUTE, "{fine:?}");
        assert_eq!(tanh(i32::MAX), ONE);
        assert_eq!(tanh(i32::MIN), -ONE);
        assert_eq!(tanh_q31(i32::MIN), -tanh_q31(i32::MAX));
    }

    #[test]
    fn products_of_32_bits_give_the_upper_half_of_one_of_64() {
        for top in (0..1u32 << 16).step_by(37).chain([0xffff]) {
            for a in (0..32).flat_map(|bit| [1u32 << bit, (1u32 << bit) - 1, u32::MAX - (1 << bit)]) {
                let a = a.wrapping_add(top.wrapping_mul(77_777));
                assert_eq!(high_by_top_in_32_bits(a, top), high(a, top << 16), "{a} {top}");
                let (a, b) = (a >> 1, (top << 15) ^ a >> 3);
                assert_eq!(high_in_32_bits(a, b), high(a, b), "{a} {b}");
            }
        }
    }

    #[test]
    fn tanh_falls_by_a_few_units_of_q31_at_most() {
        let mut before = 0;
        for x in (0..1u64 << 32).step_by(1021) {
            let position = (x << 6) as u32;
            let y = tanh_cubic((x >> 26) as u32, position >> 16, |a| high(a, position));
            assert!(y + 20 >= before, "{x}");
            before = y;
        }
    }

    #[test]
    fn ln_keeps_its_budget_and_is_monotone() {
        let mut before = 0;
        let (error, at) = worst((65536..1 << 32).step_by(4093).chain(65536..400_000), |x| {
            let y = ln(x as u32);
            if x < 400_000 {
                assert!(y >= before || x == 65536, "ln falls at {x}");
                before = y;
            }
            (f64::from(y) / 65536.0 - (x as f64 / 65536.0).ln()).abs()
        });
        assert!(error < 2e-5, "{error:e} at {at}");
        assert_eq!(ln(0), 0);
    }
}
