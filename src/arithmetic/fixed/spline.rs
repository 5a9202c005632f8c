//! The rational-quadratic spline in integers; see [`crate::arithmetic::spline`] for the formulas.
//!
//! | quantity | format |
//! |---|---|
//! | bins' sizes | u32, a common unit in which they sum to between 2^26 and 2^31 |
//! | position in a bin | Q31, from the sizes exactly, with one division |
//! | `w`, `h`, derivatives | 32 bits and an exponent |
//! | `a`, `b`, `h` of the formulas | 30 bits, the largest of them normalized |
//!
//! A bin's edges are sums of integers: the last one is the end of the box exactly. What limits an inverse is
//! Q15.16 itself: where the slope is `s`, half a unit of z is `2^-17 / s` in x.

use super::ratio::{exp_negative, ratio, softplus, Scaled, UNIT};
use super::{convert, elementary, round_shift, FixedWith, FRACTION_BITS, ONE};
use crate::arithmetic::spline::{
    SplineArithmetic, SplineParameters, SplineShape, LARGEST_BOUND, LARGEST_MINIMUM, MOST_BINS,
    SMALLEST_BOUND,
};
use crate::support::Support;

/// One in Q30, the format of the minima.
const ONE_Q30: u32 = 1 << 30;
/// The least of them: 2^-20.
const LEAST_Q30: u32 = 1 << 10;
/// Bounds in Q15.16, and above all minima in Q30.
const BOUNDS: core::ops::RangeInclusive<i32> =
    (SMALLEST_BOUND * ONE as f32) as i32..=(LARGEST_BOUND * ONE as f32) as i32;
const LARGEST_MINIMUM_Q30: u32 = (LARGEST_MINIMUM * ONE_Q30 as f32) as u32;
/// ln(2) in Q31.
const LN_2_Q31: i64 = 1_488_522_236;
/// `2 / |ln 0.001|` in Q32 and `|ln 0.001| / 2` in Q20, of the soft clip of widths and heights; that of
/// derivatives is half as strong and twice as wide.
const CLIP_BINS_Q32: u64 = 1_243_520_398;
const CLIP_LIMIT_Q20: u64 = 3_621_653;

impl<S: Support> SplineArithmetic<i32, i64> for FixedWith<S> {
    fn fraction(word: u32) -> Option<i32> {
        (word < ONE_Q30).then_some(word as i32)
    }

    fn fraction_to_f32(fraction: i32) -> f32 {
        convert::fixed_to_f32(i64::from(fraction), 30)
    }

    fn shape_is_valid(shape: &SplineShape<i32>) -> bool {
        // Up to 32 times below one: it fits.
        let least_bins = u64::from(shape.min_bin as u32) * shape.bins as u64;
        BOUNDS.contains(&shape.bound)
            && least_bins < u64::from(LARGEST_MINIMUM_Q30)
            && (shape.min_derivative as u32) < LARGEST_MINIMUM_Q30
    }

    fn spline(x: i32, raw: &[i32], shape: &SplineShape<i32>) -> Option<(i32, i64)> {
        forward(x, raw, shape)
    }

    fn spline_inverse(z: i32, raw: &[i32], shape: &SplineShape<i32>) -> Option<(i32, i64)> {
        inverse(z, raw, shape)
    }
}

/// A bin on one axis, in the units of `total`.
#[derive(Clone, Copy)]
struct Place {
    edge: u32,
    size: u32,
    total: u32,
}

/// The side of the box in Q16, at most 2^25.
fn side(shape: &SplineShape<i32>) -> u32 {
    shape.bound.unsigned_abs().wrapping_mul(2)
}

/// The clipped raw width or height in Q20.
fn clip_bin(raw: i32) -> i32 {
    soft_clip(raw, CLIP_BINS_Q32, CLIP_LIMIT_Q20)
}

/// `x / (1 + |x| c)`, `c = 1 / limit` in Q32, in the format of `limit`.
fn soft_clip(x: i32, c: u64, limit: u64) -> i32 {
    // |x| c in Q48, below 2^61.
    let grown = u64::from(x.unsigned_abs()).wrapping_mul(c);
    let share = ratio(grown, grown.wrapping_add(1 << 48));
    let size = (u64::from(share).wrapping_mul(limit).wrapping_add(1 << 30) >> 31) as i32;
    if x < 0 {
        size.wrapping_neg()
    } else {
        size
    }
}

/// One axis of a spline. Its bins are sized as their exponentials are, in a unit in which these sum to between
/// 2^26 and 2^31; the edge after `k` of `K` bins lies at `rest sum(first k) + k floor sum(all)`, so that the last
/// one is at the sum of all whatever was rounded.
struct Axis<'r> {
    raws: &'r [i32],
    clipped: bool,
    /// The largest raw parameter (clipped, if it is).
    top: i32,
    /// Exponentials are cut by so many bits, for their sum to fit.
    shift: u32,
    /// The minimum share of a bin in Q30, and what remains to be shared out.
    floor: u32,
    rest: u32,
}

impl<'r> Axis<'r> {
    fn new(raws: &'r [i32], shape: &SplineShape<i32>) -> Self {
        let clipped = shape.parameters == SplineParameters::SoftClipped;
        let mut top = i32::MIN;
        for &raw in raws {
            top = top.max(raw);
        }
        if clipped {
            // The clip is monotone.
            top = clip_bin(top);
        }
        let bins = raws.len() as u32;
        let floor = if clipped { 0 } else { (shape.min_bin as u32).max(LEAST_Q30) };
        Axis {
            raws,
            clipped,
            top,
            // Up to K of at most 2^(31 - log2 K) each, rounded up: the sum is at most 2^31.
            shift: 31u32.saturating_sub(bins.wrapping_sub(1).leading_zeros()),
            floor,
            rest: ONE_Q30.saturating_sub(bins.wrapping_mul(floor)),
        }
    }

    /// The exponential of a raw parameter less the largest.
    #[inline(always)]
    fn mass(&self, raw: i32) -> u32 {
        let below = if self.clipped {
            self.top.wrapping_sub(clip_bin(raw)) as u32
        } else {
            // In Q20, of which the exponential wants up to 21.
            (self.top.wrapping_sub(raw) as u32).min(32 << FRACTION_BITS) << 4
        };
        exp_negative(below) >> self.shift
    }

    /// The edge after `bins` bins whose exponentials sum to `sum`, of all that sum to `total`.
    fn edge(&self, bins: usize, sum: u32, total: u32) -> u32 {
        let shared = u64::from(self.rest).wrapping_mul(u64::from(sum));
        let floors = u64::from((bins as u32).wrapping_mul(self.floor)).wrapping_mul(u64::from(total));
        (shared.wrapping_add(floors).wrapping_add(1 << 29) >> 30) as u32
    }

    /// The bin that `x` lies in, its index, and the position within it in Q31.
    fn find(&self, x: i32, shape: &SplineShape<i32>) -> (usize, Place, u32) {
        let mut masses = [0u32; MOST_BINS];
        let mut total = 0u32;
        for (mass, &raw) in masses.iter_mut().zip(self.raws) {
            *mass = self.mass(raw);
            total = total.wrapping_add(*mass);
        }
        let side = u64::from(side(shape));
        // (x + B) / side = edge / total without a division: both sides times both denominators, below 2^57.
        let target = u64::from(x.wrapping_add(shape.bound) as u32).wrapping_mul(u64::from(total));
        let (mut index, mut sum, mut edge, mut end) = (0usize, 0u32, 0, total);
        for (i, &mass) in masses.iter().take(self.raws.len()).enumerate() {
            index = i;
            sum = sum.wrapping_add(mass);
            end = self.edge(i.wrapping_add(1), sum, total);
            if target < u64::from(end).wrapping_mul(side) || i.wrapping_add(1) == self.raws.len() {
                break;
            }
            edge = end;
        }
        let place = Place::between(edge, end, total);
        let within = target.wrapping_sub(u64::from(edge).wrapping_mul(side));
        (index, place, ratio(within, u64::from(place.size).wrapping_mul(side)))
    }

    /// The bin with this index.
    fn at(&self, index: usize) -> Place {
        let (mut before, mut own, mut total) = (0, 0, 0u32);
        for (i, &raw) in self.raws.iter().enumerate() {
            if i == index {
                before = total;
            }
            total = total.wrapping_add(self.mass(raw));
            if i == index {
                own = total;
            }
        }
        let edge = self.edge(index, before, total);
        Place::between(edge, self.edge(index.wrapping_add(1), own, total), total)
    }
}

impl Place {
    /// None is empty: a bin's least share is 2^-20 of 2^26, or a thousandth of the largest one's where raw
    /// parameters are clipped.
    fn between(edge: u32, end: u32, total: u32) -> Self {
        Place { edge, size: end.wrapping_sub(edge), total }
    }

    /// A position within the bin, in Q31, as a place in the box in Q15.16.
    fn value(&self, share: u32, shape: &SplineShape<i32>) -> i32 {
        let at =
            (u64::from(self.edge) << 31).wrapping_add(u64::from(self.size).wrapping_mul(u64::from(share)));
        let of_box = ratio(at, u64::from(self.total) << 31);
        let offset = u64::from(side(shape)).wrapping_mul(u64::from(of_box)).wrapping_add(1 << 30) >> 31;
        (offset as i32).wrapping_sub(shape.bound)
    }
}

/// `(e_0, e_1)` of a bin: the derivatives at its ends.
fn derivative(raw: Option<&i32>, shape: &SplineShape<i32>) -> Scaled {
    let Some(&raw) = raw else { return Scaled { mantissa: UNIT, exponent: -31 } };
    match shape.parameters {
        SplineParameters::Softplus => {
            let floor = (shape.min_derivative as u32).max(LEAST_Q30);
            Scaled::new(softplus(raw).wrapping_add(u64::from(floor)), -30)
        }
        SplineParameters::SoftClipped => {
            let clipped = soft_clip(raw, CLIP_BINS_Q32 / 2, CLIP_LIMIT_Q20 / 8);
            let (mantissa, exponent) = elementary::exp(clipped);
            Scaled { mantissa: mantissa << 1, exponent: exponent.wrapping_sub(31) }
        }
    }
}

/// What the formulas need of a bin: `h`, `a`, `b` in units of `2^exponent`, all below 2^30; `w` and `h` to
/// full precision.
struct Bin {
    width: Scaled,
    height: Scaled,
    h: u32,
    a: u32,
    b: u32,
    exponent: i32,
}

impl Bin {
    fn new(index: usize, width: Place, height: Place, derivatives: &[i32], shape: &SplineShape<i32>) -> Self {
        // Sizes are shares of their totals; times both totals, which cancel, no division is needed.
        let share = |size: u32, other: u32| Scaled::new(u64::from(size).wrapping_mul(u64::from(other)), 0);
        let (width, height) = (share(width.size, height.total), share(height.size, width.total));
        let a = width.times(derivative(index.checked_sub(1).and_then(|i| derivatives.get(i)), shape));
        let b = width.times(derivative(derivatives.get(index), shape));
        // The largest is to have 30 bits.
        let exponent = a.exponent.max(b.exponent).max(height.exponent).wrapping_add(2);
        Bin { width, height, h: height.at(exponent), a: a.at(exponent), b: b.at(exponent), exponent }
    }

    /// The share of the height at `u`, and the logarithm of the slope in Q15.16.
    fn forward(&self, u: u32) -> (u32, i64) {
        let times = |x: u32, share: u32| u64::from(x).wrapping_mul(u64::from(share));
        let v = UNIT.saturating_sub(u);
        let uv = (u64::from(u).wrapping_mul(u64::from(v)).wrapping_add(1 << 30) >> 31) as u32;
        // u^2 = u - u v: their sum stays one whatever was rounded.
        let (uu, vv) = (u.saturating_sub(uv), v.saturating_sub(uv));
        // All below 2^62 by a, b, h < 2^30 and uu + 2 uv + vv = 2^31.
        let p = times(self.h, uu).wrapping_add(times(self.a, uv));
        let q = p.wrapping_add(times(self.h, vv)).wrapping_add(times(self.b, uv));
        let n = times(self.b, uu).wrapping_add(times(self.h, uv) << 1).wrapping_add(times(self.a, vv));
        let exponent = self.exponent.wrapping_sub(31);
        let (of_q, of_n) = (Scaled::new(q, exponent).log2(), Scaled::new(n, exponent).log2());
        let rise = self.height.log2().wrapping_sub(of_q).wrapping_mul(2);
        let log2 = rise.wrapping_add(of_n).wrapping_sub(self.width.log2());
        // Q20 times Q31, to Q16.
        (ratio(p, q), round_shift(i64::from(log2).wrapping_mul(LN_2_Q31), 51 - FRACTION_BITS))
    }

    /// The position at which `f` of the height is reached.
    fn inverse(&self, f: u32) -> u32 {
        let rest = UNIT.saturating_sub(f);
        // All in Q31 of the common unit: below 2^61 and 2^62.
        let below = u64::from(self.h).wrapping_mul(u64::from(f)) << 1;
        let above = u64::from(self.h).wrapping_mul(u64::from(rest)) << 1;
        let up = u64::from(self.a).wrapping_mul(u64::from(rest));
        let down = u64::from(self.b).wrapping_mul(u64::from(f));
        let g = up.abs_diff(down);
        // The root of squares of 30 and 31 bits, one bit more kept: below 2^63.
        let square = |x: u64| (x >> 31).wrapping_mul(x >> 31);
        let root = u64::from(sqrt_of(square(g), (below >> 31).wrapping_mul(above >> 31)));
        let root = root << 30;
        if up >= down {
            ratio(below, below.wrapping_add(g).wrapping_add(root))
        } else {
            UNIT.saturating_sub(ratio(above, above.wrapping_add(g).wrapping_add(root)))
        }
    }
}

/// Twice the root of a sum below 2^62.
fn sqrt_of(a: u64, b: u64) -> u32 {
    super::ratio::sqrt(a.wrapping_add(b) << 2)
}

/// The image of `x` and the log-derivative; `None` only if `raw` has the wrong length.
pub(crate) fn forward(x: i32, raw: &[i32], shape: &SplineShape<i32>) -> Option<(i32, i64)> {
    let (widths, heights, derivatives) = shape.parts(raw)?;
    if !(shape.bound.wrapping_neg()..=shape.bound).contains(&x) {
        return Some((x, 0));
    }
    let (index, width, u) = Axis::new(widths, shape).find(x, shape);
    let height = Axis::new(heights, shape).at(index);
    let (f, log) = Bin::new(index, width, height, derivatives, shape).forward(u);
    Some((height.value(f, shape), log))
}

/// What `z` is the image of, and the log-derivative of the forward map there; `None` only if `raw` has the
/// wrong length.
pub(crate) fn inverse(z: i32, raw: &[i32], shape: &SplineShape<i32>) -> Option<(i32, i64)> {
    let (widths, heights, derivatives) = shape.parts(raw)?;
    if !(shape.bound.wrapping_neg()..=shape.bound).contains(&z) {
        return Some((z, 0));
    }
    let (index, height, f) = Axis::new(heights, shape).find(z, shape);
    let width = Axis::new(widths, shape).at(index);
    let bin = Bin::new(index, width, height, derivatives, shape);
    let u = bin.inverse(f);
    Some((width.value(u, shape), bin.forward(u).1))
}
