//! Maps through knots in f32; see [`crate::arithmetic::marginal`] for the formulas.

use super::{Elementary, FloatWith};
use crate::arithmetic::marginal::{Knots, MarginalArithmetic, MarginalForm, Piece, SLOPE_BITS};
use crate::support::Support;

/// Halvings of a bin: its last digit in f32.
const HALVINGS: u32 = 24;

/// Smallest and largest slope.
const SLOPES: core::ops::RangeInclusive<f32> =
    1.0 / (1u32 << SLOPE_BITS) as f32..=(1u32 << SLOPE_BITS) as f32;

/// Where a number lies among the knots.
enum Place {
    /// Before the first, or past the last: that knot and the tail's slope.
    Tail {
        x: f32,
        y: f32,
        slope: f32,
    },
    Bin(Bin),
}

struct Bin {
    x: f32,
    /// The right end.
    end: f32,
    y: f32,
    w: f32,
    h: f32,
    /// Derivatives at both ends; `None` for a line.
    ends: Option<(f32, f32)>,
}

/// The place of `value` among `along`, which is `knots.x` or `knots.y`.
fn find(knots: &Knots<'_>, along: &[u32], value: f32) -> Option<Place> {
    let number = |words: &[u32], index: usize| words.get(index).map(|&w| f32::from_bits(w));
    let below = along.partition_point(|&k| f32::from_bits(k) <= value);
    let (index, slope) = if below == 0 {
        (0, number(knots.slopes, 0)?)
    } else if below >= along.len() {
        (along.len().checked_sub(1)?, f32::from_bits(*knots.slopes.last()?))
    } else {
        let index = below.wrapping_sub(1);
        let (x, y) = (number(knots.x, index)?, number(knots.y, index)?);
        let ends = match knots.form {
            MarginalForm::Linear => None,
            MarginalForm::RationalQuadratic => {
                Some((number(knots.slopes, index)?, number(knots.slopes, below)?))
            }
        };
        let end = number(knots.x, below)?;
        let (w, h) = (end - x, number(knots.y, below)? - y);
        return Some(Place::Bin(Bin { x, end, y, w, h, ends }));
    };
    Some(Place::Tail { x: number(knots.x, index)?, y: number(knots.y, index)?, slope })
}

impl Bin {
    /// `u` and `v` of `x`: each from its own end, as `1 - u` has not the digits of a small `v`.
    fn position(&self, x: f32) -> (f32, f32) {
        ((x - self.x) / self.w, (self.end - x) / self.w)
    }

    /// `p` and `q` at a position, with `a = w d0` and `b = w d1`.
    fn share(&self, (a, b): (f32, f32), (u, v): (f32, f32)) -> (f32, f32) {
        let uv = u * v;
        let p = self.h * u * u + a * uv;
        (p, p + self.h * v * v + b * uv)
    }

    /// Logarithm of the slope at a position, where `q` is known.
    fn log_slope<E: Elementary>(&self, (a, b): (f32, f32), (u, v): (f32, f32), q: f32) -> f32 {
        let n = b * u * u + 2.0 * self.h * u * v + a * v * v;
        let ratio = self.h / q;
        E::ln(ratio * ratio * n / self.w)
    }
}

impl<E: Elementary, S: Support> MarginalArithmetic<f32, f32> for FloatWith<E, S> {
    fn marginal_is_valid(knots: &Knots<'_>) -> bool {
        let bins = knots.x.windows(2).zip(knots.y.windows(2));
        let rises = |pair: &[u32]| match *pair {
            [low, high] => f32::from_bits(high) - f32::from_bits(low),
            _ => f32::NAN,
        };
        let finite = |&w: &u32| f32::from_bits(w).is_finite();
        knots.shape_is_valid()
            && knots.x_shift == 0
            && knots.y_shift == 0
            && knots.x.iter().chain(knots.y).all(finite)
            // A bin of no or negative width has no slope in range; differences are finite by the quotient's.
            && bins.into_iter().all(|(x, y)| rises(x) > 0.0 && rises(y) > 0.0 && SLOPES.contains(&(rises(y) / rises(x))))
            && knots.slopes.iter().all(|&s| SLOPES.contains(&f32::from_bits(s)))
    }

    fn marginal(knots: &Knots<'_>, x: f32) -> Option<(f32, f32)> {
        Some(match find(knots, knots.x, x)? {
            Place::Tail { x: from, y, slope } => (y + slope * (x - from), E::ln(slope)),
            Place::Bin(bin) => match bin.ends {
                None => {
                    let slope = bin.h / bin.w;
                    (bin.y + (x - bin.x) * slope, E::ln(slope))
                }
                Some((d0, d1)) => {
                    let ends = (bin.w * d0, bin.w * d1);
                    let position = bin.position(x);
                    let (p, q) = bin.share(ends, position);
                    (bin.y + bin.h * (p / q), bin.log_slope::<E>(ends, position, q))
                }
            },
        })
    }

    fn marginal_inverse(knots: &Knots<'_>, z: f32) -> Option<(f32, f32)> {
        Some(match find(knots, knots.y, z)? {
            Place::Tail { x, y, slope } => (x + (z - y) / slope, E::ln(slope)),
            Place::Bin(bin) => match bin.ends {
                None => (bin.x + (z - bin.y) * (bin.w / bin.h), E::ln(bin.h / bin.w)),
                Some((d0, d1)) => {
                    let ends = (bin.w * d0, bin.w * d1);
                    let share = (z - bin.y) / bin.h;
                    let (mut u, mut step) = (0.0f32, 0.5f32);
                    for _ in 0..HALVINGS {
                        let next = u + step;
                        let (p, q) = bin.share(ends, (next, 1.0 - next));
                        if p <= share * q {
                            u = next;
                        }
                        step *= 0.5;
                    }
                    let x = bin.x + bin.w * u;
                    let position = bin.position(x);
                    let (_, q) = bin.share(ends, position);
                    (x, bin.log_slope::<E>(ends, position, q))
                }
            },
        })
    }

    fn marginal_piece(knots: &Knots<'_>, x: f32) -> Option<Piece> {
        Some(match find(knots, knots.x, x)? {
            Place::Tail { slope, .. } => Piece::Line { slope },
            Place::Bin(bin) => match bin.ends {
                None => Piece::Line { slope: bin.h / bin.w },
                Some((d0, d1)) => Piece::Rational { w: bin.w, h: bin.h, d0, d1, u: (x - bin.x) / bin.w },
            },
        })
    }
}
