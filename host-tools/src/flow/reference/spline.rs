//! Rational-quadratic splines in f64, in the formulas of Durkan et al. 2019 (which the runtime does not use).

use crate::flow::{Spline, SplineParameters};

/// No bin and no slope is smaller (unless soft-clipped), as in the runtime.
const LEAST: f64 = 1.0 / 1_048_576.0;

/// A spline's knots.
struct Knots {
    x: Vec<f64>,
    z: Vec<f64>,
    slope: Vec<f64>,
}

impl Knots {
    fn new(spline: &Spline, raw: &[f64]) -> Self {
        let bins = spline.bins;
        let clip = 0.001_f64.ln();
        let clipped = spline.parameters == SplineParameters::SoftClipped;
        let bound = f64::from(spline.bound);
        let floor = if clipped { 0.0 } else { f64::from(spline.min_bin).max(LEAST) };
        let axis = |raw: &[f64]| {
            let raw: Vec<f64> =
                raw.iter().map(|v| if clipped { v / (1.0 + (2.0 * v / clip).abs()) } else { *v }).collect();
            let top = raw.iter().copied().fold(f64::MIN, f64::max);
            let total: f64 = raw.iter().map(|v| (v - top).exp()).sum();
            let mut at = -bound;
            let mut knots = vec![at];
            for v in raw {
                at += 2.0 * bound * (floor + (1.0 - bins as f64 * floor) * (v - top).exp() / total);
                knots.push(at);
            }
            knots[bins] = bound;
            knots
        };
        let slope = |v: &f64| {
            if clipped {
                (v / (1.0 + (v / clip).abs())).exp()
            } else {
                f64::from(spline.min_derivative).max(LEAST) + v.max(0.0) + (-v.abs()).exp().ln_1p()
            }
        };
        let one = std::iter::once(1.0);
        Knots {
            x: axis(&raw[..bins]),
            z: axis(&raw[bins..2 * bins]),
            slope: one.clone().chain(raw[2 * bins..].iter().map(slope)).chain(one).collect(),
        }
    }

    fn bin(knots: &[f64], value: f64) -> usize {
        knots[1..knots.len() - 1].iter().take_while(|&&knot| value >= knot).count()
    }

    /// The image at the share `t` of bin `k`, and the log-derivative.
    fn at(&self, k: usize, t: f64) -> (f64, f64) {
        let (w, h) = (self.x[k + 1] - self.x[k], self.z[k + 1] - self.z[k]);
        let (d0, d1, s) = (self.slope[k], self.slope[k + 1], h / w);
        let below = s + (d0 + d1 - 2.0 * s) * t * (1.0 - t);
        let above = d1 * t * t + 2.0 * s * t * (1.0 - t) + d0 * (1.0 - t) * (1.0 - t);
        let z = self.z[k] + h * (s * t * t + d0 * t * (1.0 - t)) / below;
        (z, (s * s * above / (below * below)).ln())
    }
}

/// The image of `x` and the log-derivative; `raw` is `[K widths, K heights, K - 1 derivatives]`.
pub(super) fn forward(spline: &Spline, raw: &[f64], x: f64) -> (f64, f64) {
    if x.abs() > f64::from(spline.bound) {
        return (x, 0.0);
    }
    let knots = Knots::new(spline, raw);
    let k = Knots::bin(&knots.x, x);
    knots.at(k, (x - knots.x[k]) / (knots.x[k + 1] - knots.x[k]))
}

/// What `z` is the image of.
pub(super) fn inverse(spline: &Spline, raw: &[f64], z: f64) -> f64 {
    if z.abs() > f64::from(spline.bound) {
        return z;
    }
    let knots = Knots::new(spline, raw);
    let k = Knots::bin(&knots.z, z);
    let (w, h) = (knots.x[k + 1] - knots.x[k], knots.z[k + 1] - knots.z[k]);
    let (d0, d1, s) = (knots.slope[k], knots.slope[k + 1], h / w);
    let (y, curve) = (z - knots.z[k], d0 + d1 - 2.0 * s);
    let (a, b, c) = (h * (s - d0) + y * curve, h * d0 - y * curve, -s * y);
    let t = (2.0 * c / (-b - (b * b - 4.0 * a * c).max(0.0).sqrt())).clamp(0.0, 1.0);
    knots.x[k] + t * w
}
