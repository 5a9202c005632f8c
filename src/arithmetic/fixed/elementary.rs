//! exp, tanh and ln in fixed point, from small tables with quadratic interpolation.
//!
//! Errors are against exact arithmetic on the represented input; the tests below hold the budgets.
//!
//! | function | domain | error budget |
//! |---|---|---|
//! | [`exp2`] | all | 1e-6 relative |
//! | [`exp`] | all | 7e-6 relative |
//! | [`tanh`] | all | 4e-5 absolute |
//! | [`ln`] | `>= 1` | 2e-5 absolute |

use super::table;
use super::{round_shift, FRACTION_BITS, ONE};

/// log2(e) in Q30.
const LOG2_E_Q30: i64 = 1_549_082_005;
/// ln(2) in Q16, for the remainder of `exp2`, and in Q31.
const LN_2_Q16: u32 = 45_426;
const LN_2_Q31: i64 = 1_488_522_236;

/// `2^x` for x in Q15.16, as `(mantissa in Q30 within [1, 2), exponent)`.
///
/// A table of 64 steps and the first two terms of the remainder's series.
#[must_use]
pub fn exp2(x: i32) -> (u32, i32) {
    let fraction = (x & (ONE - 1)) as u32;
    let base = table::EXP2.get((fraction >> 10) as usize).copied().unwrap_or(1 << 30);
    // The remainder r < 2^-6: 2^r - 1 = u + u^2/2 + ..., u = r ln 2, in Q22.
    // Each step rounds: truncation would cost as much as the terms that are left out.
    let u = ((fraction & 0x3ff) * LN_2_Q16 + (1 << 9)) >> 10;
    let growth = u + ((u * u) >> 23);
    (base + ((((base + (1 << 15)) >> 16) * growth + (1 << 5)) >> 6), x >> FRACTION_BITS)
}

/// `e^x` for x in Q15.16, as `(mantissa in Q30 within [1, 2), exponent)`.
#[must_use]
pub fn exp(x: i32) -> (u32, i32) {
    // Four bits more than Q15.16 would keep of x log2(e) do not fit exp2's argument; the rounding
    // here is the largest part of the error: 2^-17 ln 2.
    exp2(super::saturate(round_shift(i64::from(x) * LOG2_E_Q30, 30)))
}

/// Hyperbolic tangent of a Q15.16 number, in Q15.16.
#[must_use]
pub fn tanh(x: i32) -> i32 {
    let size = x.unsigned_abs();
    // Steps of 1/16; beyond 6 the result is within 1.3e-5 of one.
    let y = match table::interpolate(&table::TANH, (size >> 12) as usize, size & 0xfff, 12) {
        Some(y) => (y + 8) >> 4,
        None => ONE,
    };
    if x < 0 {
        -y
    } else {
        y
    }
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
    use super::*;

    /// Largest error of `f` over `inputs`, with the input that gives it.
    fn worst(inputs: impl Iterator<Item = i64>, mut f: impl FnMut(i64) -> f64) -> (f64, i64) {
        inputs.map(|x| (f(x), x)).fold((0.0, 0), |a, b| if b.0 > a.0 { b } else { a })
    }

    #[test]
    fn exp2_keeps_its_budget_on_every_fraction() {
        let (error, at) = worst(0..65536, |x| {
            let (mantissa, exponent) = exp2(x as i32);
            assert_eq!(exponent, 0);
            assert!((1 << 30..1 << 31).contains(&mantissa));
            let exact = (x as f64 / 65536.0).exp2();
            (f64::from(mantissa) / (1u64 << 30) as f64 / exact - 1.0).abs()
        });
        assert!(error < 1e-6, "{error:e} at {at}");
        assert_eq!(exp2(-65536), (1 << 30, -1));
        assert_eq!(exp2(i32::MIN).1, -32768);
    }

    #[test]
    fn exp_keeps_its_budget() {
        let (error, at) = worst((-20 * 65536..20 * 65536).step_by(7), |x| {
            let (mantissa, exponent) = exp(x as i32);
            let found = f64::from(mantissa) / (1u64 << 30) as f64 * f64::from(exponent).exp2();
            (found / (x as f64 / 65536.0).exp() - 1.0).abs()
        });
        assert!(error < 7e-6, "{error:e} at {at}");
    }

    #[test]
    fn tanh_keeps_its_budget_and_is_odd_and_monotone() {
        let mut before = 0;
        let (error, at) = worst(0..10 * 65536, |x| {
            let y = tanh(x as i32);
            assert!(y >= before, "tanh falls at {x}");
            before = y;
            assert_eq!(tanh(-(x as i32)), -y);
            (f64::from(y) / 65536.0 - (x as f64 / 65536.0).tanh()).abs()
        });
        // Quadratic interpolation in steps of 1/16 errs by up to 0.064 tanh''' / 16^3 = 3.1e-5, and the
        // result is rounded to half a unit of Q15.16.
        assert!(error < 4e-5, "{error:e} at {at}");
        assert_eq!(tanh(i32::MAX), ONE);
        assert_eq!(tanh(i32::MIN), -ONE);
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
