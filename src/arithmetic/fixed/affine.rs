//! Scale maps of affine couplings in fixed point, besides tanh.
//!
//! | function | domain | error budget |
//! |---|---|---|
//! | [`soft_sign`] | all | 1.6e-5 absolute per unit of the clamp, plus half a unit of Q15.16 |
//! | [`log_sigmoid`] | all | 6e-5 absolute |
//! | [`ln_q30`] | `> 0` | 2e-5 absolute |

use super::elementary;
use super::{round_shift, table, FRACTION_BITS, ONE};

/// ln(2) in Q31.
const LN_2_Q31: i64 = 1_488_522_236;
/// One, in Q2.30.
pub const ONE_Q30: u32 = 1 << 30;
/// Least floor of a sigmoid scale that is not zero, in Q2.30: 2^-16. Below it the last bit of the exponential
/// weighs more than the budget allows.
pub const LEAST_FLOOR: u32 = 1 << 14;

/// `clamp raw / (1 + |raw|)`, in Q15.16.
#[must_use]
pub fn soft_sign(raw: i32, clamp: i32) -> i32 {
    let size = u64::from(raw.unsigned_abs());
    let below = size + ONE as u64;
    // Below one, so that the product with the clamp fits; the divisor is never zero.
    let share = ((size << FRACTION_BITS) + below / 2).checked_div(below).unwrap_or(0) as i64;
    let share = if raw < 0 { -share } else { share };
    round_shift(share * i64::from(clamp), FRACTION_BITS) as i32
}

/// `ln(sigmoid(y) + floor)` for y in Q15.16 and the floor in Q2.30, at most one; in Q15.16.
///
/// With `e = exp(-|y|)` it is `ln((1 + floor) + floor e) - ln(1 + e)` for `y >= 0`, else
/// `ln(e (1 + floor) + floor) - ln(1 + e)`: no difference of near numbers, and no division.
#[must_use]
pub fn log_sigmoid(y: i32, floor: u32) -> i32 {
    let floor = floor.min(ONE_Q30);
    let (mantissa, exponent) = elementary::exp(if y < 0 { y } else { y.saturating_neg() });
    // exp of what is not positive: at most one.
    let e = match exponent {
        0.. => ONE_Q30,
        -31..=-1 => round_shift(i64::from(mantissa), exponent.unsigned_abs()) as u32,
        _ => 0,
    };
    let below = ln_q30(ONE_Q30 + e);
    let product = |a: u32, b: u32| ((u64::from(a) * u64::from(b) + (1 << 29)) >> 30) as u32;
    let above = if y >= 0 {
        ln_q30(ONE_Q30 + floor + product(floor, e))
    } else if floor == 0 {
        y
    } else {
        ln_q30(product(e, ONE_Q30 + floor) + floor)
    };
    above.saturating_sub(below)
}

/// Natural logarithm of `x > 0` in Q2.30, in Q15.16; that of 2^-30 for zero.
#[must_use]
pub fn ln_q30(x: u32) -> i32 {
    let x = x.max(1);
    let zeros = x.leading_zeros();
    // As `elementary::ln`: six bits of index, sixteen of position.
    let normal = x << (zeros & 31);
    let index = ((normal >> 25) & 0x3f) as usize;
    let position = (normal >> 9) & 0xffff;
    let log2 = table::interpolate(&table::LOG2, index, position, 16).unwrap_or(0);
    let whole = (1 - zeros as i32) << 20;
    round_shift(i64::from(whole + log2) * LN_2_Q31, 35) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn real(q: i32) -> f64 {
        f64::from(q) / 65536.0
    }

    #[test]
    fn ln_keeps_its_budget_below_one_too() {
        let mut worst = 0f64;
        for x in (1..4000u32).chain((4000..=u32::MAX - 100_003).step_by(100_003)) {
            let exact = (f64::from(x) / f64::from(1u32 << 30)).ln();
            worst = worst.max((real(ln_q30(x)) - exact).abs());
        }
        assert!(worst < 2e-5, "{worst:e}");
        assert_eq!(ln_q30(ONE_Q30), 0);
    }

    #[test]
    fn log_sigmoid_keeps_its_budget() {
        let mut worst = 0f64;
        for floor in [0.0, f64::from(LEAST_FLOOR) / f64::from(ONE_Q30), 1e-3, 0.25, 1.0] {
            let word = (floor * f64::from(ONE_Q30)).round() as u32;
            let floor = f64::from(word) / f64::from(ONE_Q30);
            for y in (-40 * ONE..40 * ONE).step_by(97) {
                let exact = if floor == 0.0 && y < 0 {
                    real(y) - real(y).exp().ln_1p()
                } else {
                    (1.0 / (1.0 + (-real(y)).exp()) + floor).ln()
                };
                worst = worst.max((real(log_sigmoid(y, word)) - exact).abs());
            }
        }
        assert!(worst < 6e-5, "{worst:e}");
        assert_eq!(log_sigmoid(i32::MIN, 0), i32::MIN);
        assert_eq!(log_sigmoid(i32::MAX, 0), 0);
        assert!((real(log_sigmoid(i32::MIN, ONE_Q30 / 1000)) - 0.001f64.ln()).abs() < 1e-4);
    }

    #[test]
    fn soft_sign_keeps_its_budget_and_is_odd_and_monotone() {
        let clamp = 3 * ONE;
        let (mut worst, mut before) = (0f64, i32::MIN);
        for raw in (-60 * ONE..60 * ONE).step_by(331).chain([i32::MAX]) {
            let found = soft_sign(raw, clamp);
            let exact = 3.0 * real(raw) / (1.0 + real(raw).abs());
            worst = worst.max((real(found) - exact).abs());
            assert!(found >= before && soft_sign(-raw, clamp) <= -found + 1, "{raw}");
            before = found;
        }
        assert!(worst < 3.0 * 1.6e-5 + 0.8e-5, "{worst:e}");
        assert_eq!(soft_sign(i32::MIN, ONE), -ONE + 2);
    }
}
