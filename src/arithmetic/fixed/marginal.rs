//! Maps through knots in integers; see [`crate::arithmetic::marginal`] for the formulas.
//!
//! Knots have up to 13 fractional bits more than the Q15.16 that they are compared with: a bin that is a
//! hundred units of Q15.16 wide still knows its slope to 1e-6. Slopes are quotients of integers, found
//! with one division and a Newton step, and their logarithms come from the table of log2: so a knot takes two
//! words (one, where features share their `y`), and none for slopes.

use super::logit::{ln_of_log2, product};
use super::ratio::{log2, ratio, reciprocal, Scaled, UNIT};
use super::{convert, round_shift, saturate, FixedWith};
use crate::arithmetic::marginal::{
    Knots, MarginalArithmetic, MarginalForm, Piece, MOST_KNOT_SHIFT, SLOPE_BITS, SLOPE_FRACTION_BITS,
};
use crate::support::Support;

/// Halvings of a bin: the format of the position.
const HALVINGS: u32 = 31;

/// Where a number lies among the knots; `x`, `y`, `w` and `h` in the knots' units.
enum Place {
    /// Before the first, or past the last: that knot and the tail's slope.
    Tail {
        x: i32,
        y: i32,
        slope: u32,
    },
    Bin(Bin),
}

struct Bin {
    x: i32,
    y: i32,
    w: u32,
    h: u32,
    /// Derivatives at both ends; `None` for a line.
    ends: Option<(u32, u32)>,
}

/// The three masses of a rational quadratic, normalized to 30 bits: `h`, `a`, `b`.
#[derive(Clone, Copy)]
struct Masses {
    h: u32,
    a: u32,
    b: u32,
    exponent: i32,
}

/// A size that is divided by, with its top bit shifted to place 31, and `2^63` over that.
#[derive(Clone, Copy)]
struct Divisor {
    normal: u32,
    zeros: u32,
    reciprocal: u32,
}

impl Divisor {
    fn new(size: u32) -> Self {
        let zeros = size.leading_zeros() & 31;
        let normal = size << zeros;
        Divisor { normal, zeros, reciprocal: reciprocal(normal) }
    }

    /// `part / size` in Q31, for `part <= size`.
    fn share(self, part: u32) -> u32 {
        upper(part << self.zeros, self.reciprocal).min(UNIT)
    }

    /// Log2 of `other / size` in Q20.
    fn log2_of(self, other: u32) -> i32 {
        let zeros = other.leading_zeros() & 31;
        // In Q31, from a half to two.
        let quotient = upper(other << zeros, self.reciprocal);
        let small = (quotient >> 31) ^ 1;
        let exponent = (self.zeros as i32).wrapping_sub(zeros as i32).wrapping_sub(small as i32);
        log2(quotient << small).wrapping_add(exponent << 20)
    }
}

/// The upper half of a product.
fn upper(a: u32, b: u32) -> u32 {
    (u64::from(a).wrapping_mul(u64::from(b)) >> 32) as u32
}

/// `share * size` rounded, for a share in Q31.
fn part(share: u32, size: u32) -> u32 {
    (u64::from(share).wrapping_mul(u64::from(size)).wrapping_add(1 << 30) >> 31) as u32
}

/// The place of `value` among `along`, which is `knots.x` or `knots.y`.
fn find(knots: &Knots<'_>, along: &[u32], value: i64) -> Option<Place> {
    let number = |words: &[u32], index: usize| words.get(index).map(|&w| w as i32);
    // What lies beyond i32 lies beyond all knots (the lowest number is none, by the check).
    let narrow = saturate(value);
    let below = along.partition_point(|&k| k as i32 <= narrow);
    let (index, slope) = if below == 0 {
        (0, *knots.slopes.first()?)
    } else if below >= along.len() {
        (along.len().checked_sub(1)?, *knots.slopes.last()?)
    } else {
        let index = below.wrapping_sub(1);
        let (x, y) = (number(knots.x, index)?, number(knots.y, index)?);
        let ends = match knots.form {
            MarginalForm::Linear => None,
            MarginalForm::RationalQuadratic => Some((*knots.slopes.get(index)?, *knots.slopes.get(below)?)),
        };
        // Ascending by the check, so that the difference is that of unsigned numbers.
        let w = number(knots.x, below)?.wrapping_sub(x) as u32;
        let h = number(knots.y, below)?.wrapping_sub(y) as u32;
        return Some(Place::Bin(Bin { x, y, w, h, ends }));
    };
    Some(Place::Tail { x: number(knots.x, index)?, y: number(knots.y, index)?, slope })
}

/// `x * slope`, or with `invert` `x / slope`, times `2^shift`; `|shift| <= 13`, `slope` in Q21.
fn scale(x: i64, slope: u32, invert: bool, shift: i32) -> i64 {
    let zeros = slope.leading_zeros() & 31;
    let normal = slope << zeros;
    // slope = normal 2^(-21 - zeros); 1 / slope = (2^62 / normal) 2^(zeros + 21 - 62).
    let (factor, exponent) = if invert {
        (ratio(1 << 31, u64::from(normal)), zeros as i32 - 41)
    } else {
        (normal, -21 - zeros as i32)
    };
    product(x, factor, exponent.wrapping_add(shift))
}

/// ln of `2^(log2 + exponent)` in Q16, `log2` in Q20.
fn log(log2: i32, exponent: i32) -> i64 {
    i64::from(ln_of_log2(log2.wrapping_add(exponent << 20)))
}

/// ln of a slope.
fn log_slope(slope: u32) -> i64 {
    let zeros = slope.leading_zeros() & 31;
    log(log2(slope << zeros), 31 - SLOPE_FRACTION_BITS as i32 - zeros as i32)
}

/// Fractional bits that `x` has beyond those of `y`.
fn difference(knots: &Knots<'_>) -> i32 {
    i32::from(knots.x_shift).wrapping_sub(i32::from(knots.y_shift))
}

impl Bin {
    fn masses(&self, knots: &Knots<'_>, w: Divisor, (d0, d1): (u32, u32)) -> Masses {
        // Each a number of at least 30 bits, and its exponent; w d in units of y.
        let zeros = self.h.leading_zeros() & 31;
        let (h, h_exponent) = (self.h << zeros, -(zeros as i32));
        let unit = 32 - difference(knots) - SLOPE_FRACTION_BITS as i32 - w.zeros as i32;
        let product = |d: u32| {
            let zeros = d.leading_zeros() & 31;
            (upper(w.normal, d << zeros), unit.wrapping_sub(zeros as i32))
        };
        let ((a, a_exponent), (b, b_exponent)) = (product(d0), product(d1));
        // The largest gets 30 bits.
        let exponent = h_exponent.max(a_exponent).max(b_exponent).wrapping_add(2);
        let at = |mantissa: u32, own: i32| match exponent.wrapping_sub(own) {
            right @ 0..=31 => (mantissa >> right).max(1),
            _ => 1,
        };
        Masses { h: at(h, h_exponent), a: at(a, a_exponent), b: at(b, b_exponent), exponent }
    }

    /// Log2 in Q20 of a rational quadratic's slope at `u`, in units of y over units of x.
    fn rational_log2(&self, w: Divisor, masses: Masses, u: u32, q: u64) -> i32 {
        let exponent = masses.exponent.wrapping_sub(31);
        let n = Scaled::new(masses.rise(u), exponent).log2();
        let q = Scaled::new(q, exponent).log2();
        let zeros = self.h.leading_zeros() & 31;
        let h = log2(self.h << zeros).wrapping_add(31i32.wrapping_sub(zeros as i32) << 20);
        w.log2_of(self.h).wrapping_add(h).wrapping_add(n).wrapping_sub(q.wrapping_mul(2))
    }
}

/// `u^2`, `u v` and `v^2` in Q31 for `u` in Q31.
fn squares(u: u32) -> (u32, u32, u32) {
    let v = UNIT.saturating_sub(u);
    (part(u, u), part(u, v), part(v, v))
}

fn times(a: u32, b: u32) -> u64 {
    u64::from(a).wrapping_mul(u64::from(b))
}

impl Masses {
    /// `p` and `q` at the position `u`: below 2^62 and 2^63.
    fn share(&self, u: u32) -> (u64, u64) {
        let (uu, uv, vv) = squares(u);
        let p = times(self.h, uu).wrapping_add(times(self.a, uv));
        let rest = times(self.h, vv).wrapping_add(times(self.b, uv));
        (p, p.wrapping_add(rest))
    }

    /// `n` at the position `u`.
    fn rise(&self, u: u32) -> u64 {
        let (uu, uv, vv) = squares(u);
        let middle = times(self.h, uv).wrapping_mul(2);
        times(self.b, uu).wrapping_add(middle).wrapping_add(times(self.a, vv))
    }

    /// Where `p / q` is `share` (Q31): the largest such position.
    fn position(&self, share: u32) -> u32 {
        let mut u = 0u32;
        let mut step = UNIT;
        for _ in 0..HALVINGS {
            step >>= 1;
            let (p, q) = self.share(u.wrapping_add(step));
            // 32 bits of both, with the same cut.
            let cut = 32u32.saturating_sub(q.leading_zeros());
            if (p >> cut) << 31 <= (q >> cut).wrapping_mul(u64::from(share)) {
                u = u.wrapping_add(step);
            }
        }
        u
    }
}

/// A sum in a knot's units, as Q15.16.
fn narrow(sum: i64, shift: u8) -> i32 {
    saturate(if shift == 0 { sum } else { round_shift(sum, u32::from(shift)) })
}

/// How far `value` lies past `knot`, in the knot's units; below `size` by the search.
fn offset(value: i64, knot: i32) -> u32 {
    value.wrapping_sub(i64::from(knot)) as u32
}

impl<S: Support> MarginalArithmetic<i32, i64> for FixedWith<S> {
    fn marginal_is_valid(knots: &Knots<'_>) -> bool {
        if !knots.shape_is_valid() || knots.x_shift > MOST_KNOT_SHIFT || knots.y_shift > MOST_KNOT_SHIFT {
            return false;
        }
        // In a common unit; below 2^45, so that ten bits more fit.
        let rises = |pair: &[u32], shift: u8| match *pair {
            [low, high] => {
                i64::from(high as i32).wrapping_sub(i64::from(low as i32)) << (13 - (shift & 15).min(13))
            }
            _ => 0,
        };
        let bins = knots.x.windows(2).zip(knots.y.windows(2));
        let slope = 1u32 << (SLOPE_FRACTION_BITS - SLOPE_BITS)..=1 << (SLOPE_FRACTION_BITS + SLOPE_BITS);
        // So that what lies below i32 lies below all knots.
        let lowest = Some(&(i32::MIN as u32));
        let lowest_is_free = knots.x.first() != lowest && knots.y.first() != lowest;
        lowest_is_free
            && bins.into_iter().all(|(x, y)| {
                let (w, h) = (rises(x, knots.x_shift), rises(y, knots.y_shift));
                w > 0 && h > 0 && h << SLOPE_BITS >= w && h <= w << SLOPE_BITS
            })
            && knots.slopes.iter().all(|s| slope.contains(s))
    }

    fn marginal(knots: &Knots<'_>, x: i32) -> Option<(i32, i64)> {
        let value = i64::from(x) << (knots.x_shift & 15);
        Some(match find(knots, knots.x, value)? {
            Place::Tail { x, y, slope } => {
                let rise = scale(value.wrapping_sub(i64::from(x)), slope, false, -difference(knots));
                (narrow(rise.saturating_add(i64::from(y)), knots.y_shift), log_slope(slope))
            }
            Place::Bin(bin) => {
                let w = Divisor::new(bin.w);
                let u = w.share(offset(value, bin.x));
                let (share, log2) = match bin.ends {
                    None => (u, w.log2_of(bin.h)),
                    Some(ends) => {
                        let masses = bin.masses(knots, w, ends);
                        let (p, q) = masses.share(u);
                        (ratio(p, q), bin.rational_log2(w, masses, u, q))
                    }
                };
                let y = i64::from(bin.y).wrapping_add(i64::from(part(share, bin.h)));
                (narrow(y, knots.y_shift), log(log2, difference(knots)))
            }
        })
    }

    fn marginal_inverse(knots: &Knots<'_>, z: i32) -> Option<(i32, i64)> {
        let value = i64::from(z) << (knots.y_shift & 15);
        Some(match find(knots, knots.y, value)? {
            Place::Tail { x, y, slope } => {
                let rise = scale(value.wrapping_sub(i64::from(y)), slope, true, difference(knots));
                (narrow(rise.saturating_add(i64::from(x)), knots.x_shift), log_slope(slope))
            }
            Place::Bin(bin) => {
                let share = Divisor::new(bin.h).share(offset(value, bin.y));
                let w = Divisor::new(bin.w);
                let (u, log2) = match bin.ends {
                    None => (share, w.log2_of(bin.h)),
                    Some(ends) => {
                        let masses = bin.masses(knots, w, ends);
                        let u = masses.position(share);
                        (u, bin.rational_log2(w, masses, u, masses.share(u).1))
                    }
                };
                let x = i64::from(bin.x).wrapping_add(i64::from(part(u, bin.w)));
                (narrow(x, knots.x_shift), log(log2, difference(knots)))
            }
        })
    }

    fn marginal_piece(knots: &Knots<'_>, x: i32) -> Option<Piece> {
        let value = i64::from(x) << (knots.x_shift & 15);
        let real = |size: u32, bits: i32| convert::fixed_to_f32(i64::from(size), bits);
        let slope_of = |slope: u32| real(slope, SLOPE_FRACTION_BITS as i32);
        Some(match find(knots, knots.x, value)? {
            Place::Tail { slope, .. } => Piece::Line { slope: slope_of(slope) },
            Place::Bin(bin) => {
                let w = real(bin.w, 16 + i32::from(knots.x_shift));
                let h = real(bin.h, 16 + i32::from(knots.y_shift));
                match bin.ends {
                    None => Piece::Line { slope: h / w },
                    Some((d0, d1)) => {
                        let u = Divisor::new(bin.w).share(offset(value, bin.x));
                        Piece::Rational { w, h, d0: slope_of(d0), d1: slope_of(d1), u: real(u, 31) }
                    }
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::ratio::{LOG2_ABSOLUTE, RATIO_ABSOLUTE};
    use super::*;
    use std::println;

    /// Positions in a bin and logarithms of its slope, on which the certified bound counts.
    #[test]
    fn quotients_of_sizes_keep_their_budgets() {
        let mut state = 9u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u32
        };
        let mut worst = [0.0f64; 2];
        for i in 0..400_000u32 {
            let size = (random() >> (i % 31)).max(1);
            let divisor = Divisor::new(size);
            let part = ((u64::from(random()) * u64::from(size)) >> 32) as u32;
            for part in [part, 0, size] {
                let exact = f64::from(part) / f64::from(size);
                worst[0] = worst[0].max((f64::from(divisor.share(part)) / f64::from(UNIT) - exact).abs());
            }
            let other = (random() >> (i % 29)).max(1);
            let exact = (f64::from(other) / f64::from(size)).log2();
            worst[1] = worst[1].max((f64::from(divisor.log2_of(other)) / f64::from(1 << 20) - exact).abs());
        }
        println!("positions err by {:e}, logarithms by {:e}", worst[0], worst[1]);
        // The quotient under the logarithm errs as well.
        assert!(worst[0] < RATIO_ABSOLUTE && worst[1] < LOG2_ABSOLUTE + 2.0 * RATIO_ABSOLUTE, "{worst:?}");
    }
}
