//! The rational-quadratic spline in f32; see [`crate::arithmetic::spline`] for the formulas.

use crate::arithmetic::spline::{
    least, limited, softplus, unit, SplineParameters, SplineShape, CLIP_BINS, CLIP_DERIVATIVES, MOST_BINS,
};
use crate::arithmetic::{Elementary, Float, SplineArithmetic};

impl<E: Elementary> SplineArithmetic<f32, f32> for Float<E> {
    fn fraction(word: u32) -> Option<f32> {
        let fraction = f32::from_bits(word);
        (0.0..1.0).contains(&fraction).then_some(fraction)
    }

    fn fraction_to_f32(fraction: f32) -> f32 {
        fraction
    }

    fn spline(x: f32, raw: &[f32], shape: &SplineShape<f32>) -> Option<(f32, f32)> {
        forward::<E>(x, raw, shape)
    }

    fn spline_inverse(z: f32, raw: &[f32], shape: &SplineShape<f32>) -> Option<(f32, f32)> {
        inverse::<E>(z, raw, shape)
    }
}

/// One axis: the bins' sizes before they are scaled to the box.
struct Axis {
    masses: [f32; MOST_BINS],
    total: f32,
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

impl Axis {
    fn new<E: Elementary>(raws: &[f32], shape: &SplineShape<f32>) -> Self {
        let clipped = shape.parameters == SplineParameters::SoftClipped;
        let mut masses = [0.0; MOST_BINS];
        let mut top = f32::MIN;
        for (mass, &raw) in masses.iter_mut().zip(raws) {
            let raw = limited(raw);
            *mass = if clipped { raw / (1.0 + raw.abs() * CLIP_BINS) } else { raw };
            top = if *mass > top { *mass } else { top };
        }
        let bins = masses.get_mut(..raws.len()).unwrap_or_default();
        let mut sum = 0.0;
        for mass in bins.iter_mut() {
            *mass = E::exp(*mass - top);
            sum += *mass;
        }
        let floor = if clipped { 0.0 } else { least(shape.min_bin) };
        let rest = 1.0 - raws.len() as f32 * floor;
        let floor = floor * sum;
        // Summed in the order in which the edges are, so that the last one is the total exactly.
        let mut total = 0.0;
        for mass in bins {
            *mass = *mass * rest + floor;
            total += *mass;
        }
        Axis { masses, total }
    }

    /// The bin that `x` lies in, its index, and the position within it.
    fn find(&self, x: f32, shape: &SplineShape<f32>) -> (usize, Place, f32) {
        let side = shape.bound + shape.bound;
        // In this order x = B gives the total exactly, the end of the last bin.
        let target = (x + shape.bound) / side * self.total;
        let mut place = Place { edge: 0.0, size: self.total, scale: side / self.total };
        let mut index = 0;
        for (i, &size) in self.masses.iter().take(shape.bins).enumerate() {
            let end = place.edge + size;
            // What the edges leave, not `size` itself: a bin's end is then at 1 exactly.
            (index, place.size) = (i, end - place.edge);
            if target < end || i + 1 == shape.bins {
                break;
            }
            place.edge = end;
        }
        (index, place, unit((target - place.edge) / place.size))
    }

    /// The bin with this index.
    fn at(&self, index: usize, shape: &SplineShape<f32>) -> Place {
        let side = shape.bound + shape.bound;
        let mut place = Place { edge: 0.0, size: self.total, scale: side / self.total };
        for (i, &size) in self.masses.iter().enumerate() {
            let end = place.edge + size;
            place.size = end - place.edge;
            if i >= index {
                break;
            }
            place.edge = end;
        }
        place
    }
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
    let (index, width, u) = Axis::new::<E>(widths, shape).find(x, shape);
    let height = Axis::new::<E>(heights, shape).at(index, shape);
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
    let (index, height, f) = Axis::new::<E>(heights, shape).find(z, shape);
    let width = Axis::new::<E>(widths, shape).at(index, shape);
    let bin = Bin::new::<E>(index, width, height, derivatives, shape);
    let u = bin.inverse(f);
    Some((width.value(u, shape.bound), bin.forward::<E>(u).1))
}
