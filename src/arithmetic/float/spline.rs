//! The rational-quadratic spline in f32; see [`crate::arithmetic::spline`] for the formulas.

use crate::arithmetic::spline::{
    least, limited, softplus, unit, SplineParameters, SplineShape, CLIP_BINS, CLIP_DERIVATIVES,
    LARGEST_BOUND, LARGEST_MINIMUM, MOST_BINS, SMALLEST_BOUND,
};
use crate::arithmetic::{Elementary, FloatWith, SplineArithmetic};
use crate::support::Support;

impl<E: Elementary, S: Support> SplineArithmetic<f32, f32> for FloatWith<E, S> {
    fn fraction(word: u32) -> Option<f32> {
        let fraction = f32::from_bits(word);
        (0.0..1.0).contains(&fraction).then_some(fraction)
    }

    fn fraction_to_f32(fraction: f32) -> f32 {
        fraction
    }

    fn shape_is_valid(shape: &SplineShape<f32>) -> bool {
        (SMALLEST_BOUND..=LARGEST_BOUND).contains(&shape.bound)
            && shape.min_bin * (shape.bins as f32) < LARGEST_MINIMUM
            && shape.min_derivative < LARGEST_MINIMUM
    }

    fn spline(x: f32, raw: &[f32], shape: &SplineShape<f32>) -> Option<(f32, f32)> {
        forward::<E>(x, raw, shape)
    }

    fn spline_inverse(z: f32, raw: &[f32], shape: &SplineShape<f32>) -> Option<(f32, f32)> {
        inverse::<E>(z, raw, shape)
    }
}

/// A bin on one axis.
#[derive(Clone, Copy)]
struct Place {
    /// Its lower edge and its size in the units of `total`.
    edge: f32,
    size: f32,
    /// From these units to the box.
    scale: f32,
}

/// `e^x` for `x` in -87..=0, zero below, to 1.2e-7 relative: what a softmax needs, in half the instructions of
/// a general one. Cody-Waite reduction and the polynomial of Cephes `expf` (Moshier, netlib.org/cephes), in
/// plain f32 operations that give the same bits everywhere.
#[inline(always)]
fn exp_negative(x: f32) -> f32 {
    if x < -87.0 {
        return 0.0;
    }
    // Truncation towards zero of a number that is not positive: rounds to nearest.
    let k = (x * core::f32::consts::LOG2_E - 0.5) as i32;
    let whole = k as f32;
    let r = x - whole * 0.693_359_4 + whole * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 0.166_666_66;
    p = p * r + 0.5;
    let y = p * (r * r) + r + 1.0;
    y * f32::from_bits((k.wrapping_add(127) as u32) << 23)
}

/// One axis of a spline. The edge after `k` of `K` bins lies at `rest sum(first k) + k floor sum(all)` of their
/// exponentials, the last one at their sum.
struct Axis<'r> {
    raws: &'r [f32],
    clipped: bool,
    /// The largest raw parameter (clipped, if it is).
    top: f32,
    /// The minimum share of a bin, and what remains to be shared out.
    floor: f32,
    rest: f32,
    bound: f32,
}

impl<'r> Axis<'r> {
    fn new(raws: &'r [f32], shape: &SplineShape<f32>) -> Self {
        let clipped = shape.parameters == SplineParameters::SoftClipped;
        let mut top = f32::MIN;
        for &raw in raws {
            top = if raw > top { raw } else { top };
        }
        let top = if clipped { clip(limited(top)) } else { limited(top) };
        let floor = if clipped { 0.0 } else { least(shape.min_bin) };
        let rest = 1.0 - raws.len() as f32 * floor;
        Axis { raws, clipped, top, floor, rest, bound: shape.bound }
    }

    /// The exponential of a raw parameter less the largest.
    #[inline(always)]
    fn mass(&self, raw: f32) -> f32 {
        let raw = limited(raw);
        exp_negative(if self.clipped { clip(raw) } else { raw } - self.top)
    }

    /// The bin that `x` lies in, its index, and the position within it.
    fn find(&self, x: f32) -> (usize, Place, f32) {
        let mut masses = [0.0; MOST_BINS];
        let mut total = 0.0;
        for (mass, &raw) in masses.iter_mut().zip(self.raws) {
            *mass = self.mass(raw);
            total += *mass;
        }
        let side = self.bound + self.bound;
        // In this order x = B gives the total exactly, the end of the last bin.
        let target = (x + self.bound) / side * total;
        let floor = self.floor * total;
        let (mut index, mut sum, mut floors, mut edge, mut end) = (0usize, 0.0, 0.0, 0.0, total);
        for (i, &mass) in masses.iter().take(self.raws.len()).enumerate() {
            index = i;
            if i.wrapping_add(1) == self.raws.len() {
                end = total;
                break;
            }
            sum += mass;
            floors += floor;
            end = self.rest * sum + floors;
            if target < end {
                break;
            }
            edge = end;
        }
        let place = Place { edge, size: end - edge, scale: side / total };
        (index, place, unit((target - edge) / place.size))
    }

    /// The bin with this index.
    fn at(&self, index: usize) -> Place {
        let (mut before, mut own, mut total) = (0.0, 0.0, 0.0);
        for (i, &raw) in self.raws.iter().enumerate() {
            if i == index {
                before = total;
            }
            total += self.mass(raw);
            if i == index {
                own = total;
            }
        }
        // Multiples of the floor as `find` has them, by addition.
        let floor = self.floor * total;
        let mut floors = 0.0;
        for _ in 0..index {
            floors += floor;
        }
        let edge = if index == 0 { 0.0 } else { self.rest * before + floors };
        let is_last = index.wrapping_add(1) == self.raws.len();
        let end = if is_last { total } else { self.rest * own + (floors + floor) };
        Place { edge, size: end - edge, scale: (self.bound + self.bound) / total }
    }
}

/// The soft clip of widths and heights.
fn clip(raw: f32) -> f32 {
    raw / (1.0 + raw.abs() * CLIP_BINS)
}

impl Place {
    /// A position within the bin as a place in the box.
    fn value(&self, share: f32, bound: f32) -> f32 {
        let value = (self.edge + self.size * share) * self.scale - bound;
        if value > bound {
            bound
        } else {
            value
        }
    }
}

/// What the formulas need of a bin.
struct Bin {
    w: f32,
    h: f32,
    a: f32,
    b: f32,
}

impl Bin {
    fn new<E: Elementary>(
        index: usize,
        width: Place,
        height: Place,
        derivatives: &[f32],
        shape: &SplineShape<f32>,
    ) -> Self {
        let derivative = |raw: Option<&f32>| {
            let Some(&raw) = raw else { return 1.0 };
            let raw = limited(raw);
            match shape.parameters {
                SplineParameters::Softplus => least(shape.min_derivative) + softplus::<E>(raw),
                SplineParameters::SoftClipped => E::exp(raw / (1.0 + raw.abs() * CLIP_DERIVATIVES)),
            }
        };
        let w = width.size * width.scale;
        Bin {
            w,
            h: height.size * height.scale,
            a: w * derivative(index.checked_sub(1).and_then(|i| derivatives.get(i))),
            b: w * derivative(derivatives.get(index)),
        }
    }

    /// The share of the height at `u`, and the logarithm of the slope.
    fn forward<E: Elementary>(&self, u: f32) -> (f32, f32) {
        let Bin { w, h, a, b } = *self;
        let v = 1.0 - u;
        let (uu, uv, vv) = (u * u, u * v, v * v);
        let p = h * uu + a * uv;
        let q = p + (h * vv + b * uv);
        let n = b * uu + 2.0 * h * uv + a * vv;
        let ratio = h / q;
        (unit(p / q), E::ln(ratio * ratio * (n / w)))
    }

    /// The position at which `f` of the height is reached.
    fn inverse(&self, f: f32) -> f32 {
        let Bin { h, a, b, .. } = *self;
        let rest = 1.0 - f;
        let (below, above) = (2.0 * h * f, 2.0 * h * rest);
        let g = a * rest - b * f;
        let root = libm::sqrtf(g * g + below * above);
        if g >= 0.0 {
            unit(below / (root + g + below))
        } else {
            1.0 - unit(above / (root - g + above))
        }
    }
}

/// The image of `x` and the log-derivative; `None` only if `raw` has the wrong length.
pub(crate) fn forward<E: Elementary>(x: f32, raw: &[f32], shape: &SplineShape<f32>) -> Option<(f32, f32)> {
    let (widths, heights, derivatives) = shape.parts(raw)?;
    if !(-shape.bound..=shape.bound).contains(&x) {
        return Some((x, 0.0));
    }
    let (index, width, u) = Axis::new(widths, shape).find(x);
    let height = Axis::new(heights, shape).at(index);
    let (f, log) = Bin::new::<E>(index, width, height, derivatives, shape).forward::<E>(u);
    Some((height.value(f, shape.bound), log))
}

/// What `z` is the image of, and the log-derivative of the forward map there; `None` only if `raw` has the
/// wrong length.
pub(crate) fn inverse<E: Elementary>(z: f32, raw: &[f32], shape: &SplineShape<f32>) -> Option<(f32, f32)> {
    let (widths, heights, derivatives) = shape.parts(raw)?;
    if !(-shape.bound..=shape.bound).contains(&z) {
        return Some((z, 0.0));
    }
    let (index, height, f) = Axis::new(heights, shape).find(z);
    let width = Axis::new(widths, shape).at(index);
    let bin = Bin::new::<E>(index, width, height, derivatives, shape);
    let u = bin.inverse(f);
    Some((width.value(u, shape.bound), bin.forward::<E>(u).1))
}
