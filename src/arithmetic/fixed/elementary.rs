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

use super::{convert, table};
use super::{product_high_rounded_by_halves, product_shift_high, FRACTION_BITS, ONE};

/// Largest relative error of [`exp2`]; half a unit of Q15.16, to which a scaled value is rounded, is 7.6e-6.
pub const EXP2_RELATIVE: f64 = 5e-7;
/// Largest relative error of [`exp`], where it does not saturate.
pub const EXP_RELATIVE: f64 = 7e-7;
/// Largest absolute error of [`tanh_q31`].
pub const TANH_Q31_ABSOLUTE: f64 = 6e-7;
/// Largest absolute error of [`tanh`]: that of [`tanh_q31`] and half a unit of Q15.16.
pub const TANH_ABSOLUTE: f64 = 8.5e-6;
/// Largest absolute error of [`ln`] and of its siblings with other formats of the argument.
pub const LN_ABSOLUTE: f64 = 2e-5;

/// log2(e) in Q30.
pub(super) const LOG2_E_Q30: i32 = 1_549_082_005;
/// ln(2) in Q31.
const LN_2_Q31: i32 = 1_488_522_236;
/// [`exp`] saturates here, in Q15.16: 128.
const EXP_LIMIT: i32 = 1 << 23;
/// [`tanh`] is that of its edge beyond, in Q15.16: 8.
const TANH_LIMIT: u32 = 8 << FRACTION_BITS;
/// Its steps are eighths below this, in Q15.16: 2.5.
const TANH_EIGHTHS: u32 = 5 << (FRACTION_BITS - 1);
/// And quarters below this: 4.
const TANH_QUARTERS: u32 = 4 << FRACTION_BITS;

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

/// [`high`] of `a` and `b`, whose lower half is zero: two products of 32 bits, where those are all there is.
#[inline(always)]
fn high_by_top(a: u32, b: u32) -> u32 {
    if cfg!(flowlet_integer_kernels = "armv6m") {
        high_by_top_in_32_bits(a, b >> 16)
    } else {
        high(a, b)
    }
}

/// The same; neither product wraps, and neither does their sum.
#[inline(always)]
fn high_by_top_in_32_bits(a: u32, top: u32) -> u32 {
    (a >> 16).wrapping_mul(top).wrapping_add((a & 0xffff).wrapping_mul(top) >> 16)
}

/// `a b / 2^16` with `b` of 16 bits: `SMULWB` on cores that have it, two products of 32 bits where those are all there is.
#[inline(always)]
fn product_by_half(a: i32, b: i32) -> i32 {
    if cfg!(flowlet_integer_kernels = "armv6m") {
        product_by_half_in_32_bits(a, b)
    } else {
        ((i64::from(a) * i64::from(b)) >> 16) as i32
    }
}

/// The same; neither product wraps.
#[inline(always)]
fn product_by_half_in_32_bits(a: i32, b: i32) -> i32 {
    (a >> 16).wrapping_mul(b).wrapping_add((a & 0xffff).wrapping_mul(b) >> 16)
}

/// `2^(near / 32 + r / 2^21)` in Q30 for `near <= 32` and r of 16 bits: a quadratic `c0 + r (c1 + c2 r)`.
#[inline(always)]
fn exp2_near(near: u32, r: i32) -> u32 {
    let c0 = table::EXP2_32.get(near as usize).copied().unwrap_or(1 << 30);
    let c1 = table::EXP2_32.get(near as usize + 33).copied().unwrap_or_default() as i32;
    // c1 stands above c2 in the word, and what c2 adds to it there is accounted for.
    let slope = c1.wrapping_add(i32::from(c1 as i16).wrapping_mul(r));
    c0.wrapping_add((product_by_half(slope, r) >> 5) as u32)
}

/// `2^x` for x in Q10.21, as `(mantissa in Q30 within [1, 2), exponent)`.
#[inline(always)]
pub(super) fn exp2_q21(x: i32) -> (u32, i32) {
    let near = ((x as u32 & 0x1f_ffff) + 0x8000) >> 16;
    (exp2_near(near, i32::from(x as i16)), x >> 21)
}

/// `2^x` for x in Q15.16, as `(mantissa in Q30 within [1, 2), exponent)`.
#[must_use]
#[inline]
pub fn exp2(x: i32) -> (u32, i32) {
    let near = ((x as u32 >> 10 & 63) + 1) >> 1;
    (exp2_near(near, (x << 21) >> 16), x >> FRACTION_BITS)
}

/// `2^x` for x in Q11.20, as `(mantissa in Q30 within [1, 2), exponent)`.
#[must_use]
pub(crate) fn exp2_fine(x: i32) -> (u32, i32) {
    (exp2_q21(x << 1).0, x >> 20)
}

/// `e^x` for x in Q15.16, as `(mantissa in Q30 within [1, 2), exponent)`; saturates at `e^±128`.
#[must_use]
#[inline]
pub fn exp(x: i32) -> (u32, i32) {
    // Q23 times Q30, to Q21.
    exp2_q21(high_rounded(x.clamp(-EXP_LIMIT, EXP_LIMIT - 1) << 7, LOG2_E_Q30))
}

/// tanh in Q31 by a step's cubic, at a position of which `top` are the upper 16 bits and `times` is the upper half of a product
/// with it. Falls nowhere by more than 20 units.
///
/// It is `c0 + r (c1 - r (c2 + c3 r))`; see `fixed_tables.py`.
#[inline(always)]
fn tanh_cubic([c0, c1, bend]: [u32; 3], top: u32, times: impl Fn(u32) -> u32) -> u32 {
    let twist = i32::from(bend as i16) as u32;
    // c2 stands above c3 in the word, and what c3 adds to it there is accounted for.
    let bend = bend.wrapping_add(twist.wrapping_mul(top));
    let slope = c1.wrapping_sub(times(bend) >> 8);
    c0.wrapping_add(times(slope))
}

/// Whether large sizes are better left to a branch: elsewhere loops over many take vectors. On a core with vectors such loops
/// are in assembly.
const BRANCHES: bool = cfg!(any(
    flowlet_integer_kernels = "armv6m",
    flowlet_integer_kernels = "armv7m",
    flowlet_integer_kernels = "armv7em",
    flowlet_integer_kernels = "armv81m"
));

/// The cubic of [`table::TANH`] for a size in Q16, and the position in its step, above 16 zeros.
#[inline(always)]
fn tanh_step(size: u32) -> (&'static [u32; 3], u32) {
    if !BRANCHES {
        tanh_step_of_any(size)
    } else if size < TANH_EIGHTHS {
        (tanh_row(size >> 13), size << 19)
    } else {
        tanh_step_of_large(size)
    }
}

#[cold]
#[inline(never)]
fn tanh_step_of_large(size: u32) -> (&'static [u32; 3], u32) {
    if size < TANH_QUARTERS {
        (tanh_row((size >> 14) + 10), size << 18)
    } else {
        let size = size.min(TANH_LIMIT - 1);
        (tanh_row((size >> 15) + 18), size << 17)
    }
}

#[inline(always)]
fn tanh_step_of_any(size: u32) -> (&'static [u32; 3], u32) {
    let size = size.min(TANH_LIMIT - 1);
    // Steps grow twice.
    let octave = u32::from(size >= TANH_EIGHTHS) + u32::from(size >= TANH_QUARTERS);
    let before = 10 * octave - (octave & 2);
    (tanh_row((size >> (13 + octave)) + before), size << (19 - octave))
}

#[inline(always)]
fn tanh_row(index: u32) -> &'static [u32; 3] {
    table::TANH.get(index as usize).unwrap_or(&[0; 3])
}

/// Hyperbolic tangent of a Q15.16 number, in Q31: within ±(1 - 2^-22).
#[must_use]
#[inline(always)]
pub fn tanh_q31(x: i32) -> i32 {
    let sign = x >> 31;
    // The absolute value; said so, it would take a comparison.
    let (&row, position) = tanh_step(((x ^ sign) as u32).wrapping_add(x as u32 >> 31));
    let y = tanh_cubic(row, position >> 16, |a| high_by_top(a, position)) as i32;
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
    ln_above_one(x)
}

/// [`ln`] of `x > 1`.
#[inline(always)]
pub(super) fn ln_above_one(x: u32) -> i32 {
    let zeros = convert::leading_zeros(x);
    // The top bit in place 31; the 26 bits below the six of the table's index are the position.
    let normal = x << (zeros & 31);
    let index = ((normal >> 25) & 0x3f) as usize;
    let position = (normal >> 9) & 0xffff;
    let log2 = table::log2(index, position).unwrap_or(0);
    // log2 in Q20; the integer part is 15 - zeros, as x is Q16.16.
    let whole = (15 - zeros as i32) << 20;
    product_shift_high(whole + log2, LN_2_Q31, 35)
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
        let (error, at) = worst(0..1 << 21, |x| {
            let (mantissa, exponent) = exp2_q21(x as i32);
            assert_eq!(exponent, 0);
            assert!((1 << 30..1 << 31).contains(&mantissa) && mantissa >= before, "{x}");
            before = mantissa;
            (f64::from(mantissa) / (1u64 << 30) as f64 / (x as f64 / 2_097_152.0).exp2() - 1.0).abs()
        });
        println!("exp2: {error:e} at {at}");
        assert!(error < EXP2_RELATIVE, "{error:e} at {at}");
        for x in [0, 1, 777, 65_535, -1, -77_777] {
            assert_eq!(exp2(x), exp2_q21(x << 5));
            assert_eq!(exp2(x), exp2_fine(x << 4));
        }
        assert_eq!(exp2(0), (1 << 30, 0));
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
                let (a, b) = (a as i32, i32::from(top as i16));
                let product = ((i64::from(a) * i64::from(b)) >> 16) as i32;
                assert_eq!(product_by_half_in_32_bits(a, b), product, "{a} {b}");
            }
        }
    }

    #[test]
    fn tanh_falls_by_a_few_units_of_q31_at_most() {
        let mut before = 0;
        for (step, &row) in table::TANH.iter().enumerate() {
            for position in (0..1u64 << 32).step_by(30_011).map(|position| position as u32) {
                let y = tanh_cubic(row, position >> 16, |a| high(a, position));
                assert!(y + 20 >= before, "{step} {position}");
                before = y;
            }
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
