//! The logit in integers, and what it shares with the maps through knots: logarithms of any positive number.
//!
//! Logarithms are sums of log2 in Q20, rounded to Q15.16 once: 1.2e-5 nats at most for a sum of two (tests).

use super::ratio::{exp_negative, ratio, Scaled};
use super::{round_shift, saturate, FixedWith, FRACTION_BITS, ONE};
use crate::arithmetic::logit::LogitArithmetic;
use crate::support::Support;

/// ln(2) in Q31.
const LN_2_Q31: i64 = 1_488_522_236;
/// Smallest and largest margin.
const MARGINS: core::ops::RangeInclusive<i32> = ONE >> 12..=ONE >> 2;

/// `ln(2^log2)` in Q15.16, for log2 in Q20.
#[must_use]
pub(super) fn ln_of_log2(log2: i32) -> i32 {
    round_shift(i64::from(log2).wrapping_mul(LN_2_Q31), 35) as i32
}

/// `x * factor * 2^exponent`, rounded; of an `x` beyond 31 bits the top 31 bits count. Saturates.
#[must_use]
pub(super) fn product(x: i64, factor: u32, exponent: i32) -> i64 {
    let size = x.unsigned_abs();
    let excess = 33u32.saturating_sub(size.leading_zeros());
    let exact = (size >> (excess & 63)).wrapping_mul(u64::from(factor)) as i64;
    let size = match exponent.wrapping_add(excess as i32) {
        right @ -63..=-1 => round_shift(exact, right.unsigned_abs()),
        left @ 0..=62 => exact.saturating_mul(1 << left),
        63.. => exact.signum().saturating_mul(i64::MAX),
        _ => 0,
    };
    if x < 0 {
        size.wrapping_neg()
    } else {
        size
    }
}

/// See [`LogitArithmetic::Edge`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Edge {
    /// Half the width of the middle part: `0.5 - margin`.
    half: i32,
    top: i32,
    /// `margin (1 - margin)`, the inverse of the slope, in Q32.
    inverse_slope: u32,
    /// The slope as `factor 2^exponent`.
    slope: (u32, i32),
    log_slope: i64,
}

/// Log2 in Q20 of a positive number in Q15.16.
fn log2(p: i32) -> i32 {
    Scaled::new(u64::from(p.unsigned_abs()), -(FRACTION_BITS as i32)).log2()
}

fn with_sign(size: i64, of: i32) -> i64 {
    if of < 0 {
        size.saturating_neg()
    } else {
        size
    }
}

impl<S: Support> LogitArithmetic<i32, i64> for FixedWith<S> {
    type Edge = Edge;

    fn logit_edge(margin: i32) -> Option<Edge> {
        if !MARGINS.contains(&margin) {
            return None;
        }
        let rest = ONE.wrapping_sub(margin);
        let inverse_slope = margin.unsigned_abs().wrapping_mul(rest.unsigned_abs());
        let zeros = inverse_slope.leading_zeros() & 31;
        // 1 / (normal 2^(-32 - zeros)) = (2^62 / normal) 2^(zeros - 30).
        let factor = ratio(1 << 31, u64::from(inverse_slope << zeros));
        let (low, high) = (log2(margin), log2(rest));
        Some(Edge {
            half: (ONE >> 1).wrapping_sub(margin),
            top: ln_of_log2(high.wrapping_sub(low)),
            inverse_slope,
            slope: (factor, zeros as i32 - 30),
            log_slope: -i64::from(ln_of_log2(low.wrapping_add(high))),
        })
    }

    fn logit(edge: Edge, p: i32) -> (i32, i64) {
        let centred = i64::from(p).wrapping_sub(i64::from(ONE >> 1));
        let beyond = (centred.unsigned_abs() as i64).wrapping_sub(i64::from(edge.half));
        if beyond > 0 {
            let (factor, exponent) = edge.slope;
            let size = product(beyond, factor, exponent).saturating_add(i64::from(edge.top));
            (saturate(if centred < 0 { size.wrapping_neg() } else { size }), edge.log_slope)
        } else {
            let (p, rest) = (log2(p), log2(ONE.wrapping_sub(p)));
            (ln_of_log2(p.wrapping_sub(rest)), -i64::from(ln_of_log2(p.wrapping_add(rest))))
        }
    }

    fn logit_inverse(edge: Edge, y: i32) -> (i32, i64) {
        let size = y.unsigned_abs();
        let beyond = i64::from(size).wrapping_sub(i64::from(edge.top));
        if beyond > 0 {
            let far = product(beyond, edge.inverse_slope, -32).saturating_add(i64::from(edge.half));
            (saturate(with_sign(far, y).saturating_add(i64::from(ONE >> 1))), edge.log_slope)
        } else {
            // As in f32: 1 / p of the larger of p and 1 - p.
            let whole = (1u64 << 30).wrapping_add(u64::from(exp_negative(size.min(22 << 16) << 4)));
            let large = ((ratio(1 << 30, whole) >> 14).wrapping_add(1) >> 1) as i32;
            let log = ln_of_log2(Scaled::new(whole, -30).log2().wrapping_mul(2));
            let p = if y < 0 { ONE.wrapping_sub(large) } else { large };
            (p, i64::from(log).wrapping_add(i64::from(size)))
        }
    }
}
