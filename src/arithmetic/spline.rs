//! The monotone rational-quadratic spline of one feature (Durkan et al. 2019, "Neural Spline Flows"; the
//! interpolant is Gregory and Delbourgo's, 1982) on the raw outputs of a net.
//!
//! Raw parameters are `[K widths, K heights, K - 1 derivatives]`. A softmax makes the widths and the heights
//! of `K` bins that fill the box `[-B, B]` on both axes; the derivatives are those at the inner knots, and 1
//! at the ends, where the spline joins the identity outside the box with a continuous slope.
//!
//! In a bin of width `w` and height `h` with the derivatives `d0`, `d1` at its ends, let `a = w d0`,
//! `b = w d1`, `u` the position from its left edge in units of `w`, and `v = 1 - u`. Then the share `f` of
//! the height, and the slope, are
//!
//! ```text
//! f = p / q             p = h u^2 + a u v        q = p + h v^2 + b u v
//! dz/dx = h^2 n / (w q^2)                        n = b u^2 + 2 h u v + a v^2
//! ```
//!
//! and the other way, with `g = a (1 - f) - b f` and `r = sqrt(g^2 + 4 h^2 f (1 - f))`,
//!
//! ```text
//! u = 2 h f / (r + g + 2 h f)        if g >= 0
//! v = 2 h (1 - f) / (r - g + 2 h (1 - f))  if g < 0
//! ```
//!
//! In this form every sum has terms of one sign: nothing cancels, no discriminant can be negative, and every
//! quotient is within 0 and 1, so that both arithmetics are total whatever the net says.

#[cfg(test)]
mod tests;

use super::{Elementary, Libm};

/// Most bins of a spline.
pub const MOST_BINS: usize = 32;
/// Fewest bins of a spline.
pub const FEWEST_BINS: usize = 2;
/// Least share of the box that a bin takes, and least derivative, of [`SplineParameters::Softplus`], whatever
/// smaller minimum is asked for: 2^-20, so that no bin is empty and no slope zero even for the most extreme raw
/// parameters. (Soft-clipped ones cannot be extreme.)
pub const LEAST: f32 = 1.0 / 1_048_576.0;
/// Largest bound `B` of a spline's box.
pub const LARGEST_BOUND: f32 = 256.0;
/// Smallest bound of a spline's box.
pub const SMALLEST_BOUND: f32 = 0.0625;

/// The least bins together, and the least derivative, are below this.
pub const LARGEST_MINIMUM: f32 = 0.999;

/// What makes bins and derivatives of raw parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SplineParameters {
    /// nflows and normflows: softmax with a floor of `min_bin`, derivative `min_derivative + softplus(raw)`.
    Softplus,
    /// zuko: `raw / (1 + |2 raw / ln 0.001|)`, then softmax; derivative `exp(raw / (1 + |raw / ln 0.001|))`.
    /// Both minima are 0.
    SoftClipped,
}

/// What all features of a spline coupling have in common.
///
/// `V` is the trunk's number: f32, or i32, then `bound` in Q15.16 and the minima in Q1.30.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SplineShape<V> {
    /// Number of bins `K`, [`FEWEST_BINS`] to [`MOST_BINS`].
    pub bins: usize,
    /// Half the side of the box, [`SMALLEST_BOUND`] to [`LARGEST_BOUND`].
    pub bound: V,
    /// Least share of the box that a bin takes; below `1 / K`.
    pub min_bin: V,
    /// Added to the softplus of the raw derivative; below 1.
    pub min_derivative: V,
    /// What the raw parameters mean.
    pub parameters: SplineParameters,
}

/// What a set of numbers needs for splines: `V` is its trunk, `L` its log-densities.
///
/// All are total: they saturate or clamp, whatever the raw parameters are. `None` stands only for a `raw` of
/// another length than [`SplineShape::raw_parameters`].
pub trait SplineArithmetic<V, L> {
    /// Reads a number below 1 from its image word, f32 or Q1.30; `None` if it is negative, 1 or more, or not
    /// finite.
    fn fraction(word: u32) -> Option<V>;
    /// Such a number as f32.
    fn fraction_to_f32(fraction: V) -> f32;
    /// Whether bound and minima are in range, of a known number of bins.
    fn shape_is_valid(shape: &SplineShape<V>) -> bool;
    /// The image of `x` and the log-derivative there.
    ///
    /// Cost: `2 K` exponentials, two derivatives' softplus, three quotients, one logarithm.
    fn spline(x: V, raw: &[V], shape: &SplineShape<V>) -> Option<(V, L)>;
    /// What `z` is the image of, and the log-derivative of [`Self::spline`] there.
    fn spline_inverse(z: V, raw: &[V], shape: &SplineShape<V>) -> Option<(V, L)>;
}

impl<V> SplineShape<V> {
    /// Raw parameters of one feature: `3 K - 1`.
    #[must_use]
    pub fn raw_parameters(&self) -> usize {
        (3 * self.bins).saturating_sub(1)
    }

    /// `raw` in its three parts; `None` if it has another length than [`Self::raw_parameters`].
    pub(super) fn parts<'r, T>(&self, raw: &'r [T]) -> Option<(&'r [T], &'r [T], &'r [T])> {
        let (widths, rest) = raw.split_at_checked(self.bins)?;
        let (heights, derivatives) = rest.split_at_checked(self.bins)?;
        (derivatives.len() == self.bins.checked_sub(1)?).then_some((widths, heights, derivatives))
    }
}

/// `2 / |ln 0.001|` of the soft clip of widths and heights.
pub(super) const CLIP_BINS: f32 = 0.289_529_65;
/// `1 / |ln 0.001|` of that of derivatives.
pub(super) const CLIP_DERIVATIVES: f32 = 0.144_764_83;

/// Raw parameters beyond this count as this: what Q15.16 holds. NaN counts as the lower end.
pub(super) fn limited(raw: f32) -> f32 {
    if raw > super::READING_LIMIT {
        super::READING_LIMIT
    } else if raw > -super::READING_LIMIT {
        raw
    } else {
        -super::READING_LIMIT
    }
}

/// The gradient of a loss through one feature's spline, in f32.
///
/// `slope_z` is dL/dz and `slope_log` dL/d log(dz/dx), -1 for `L = -log_prob`. On entry `raw` holds the raw
/// parameters, on return dL/d raw. Gives dL/dx; `None` only if `raw` has the wrong length.
///
/// Both arithmetics use it: an explanation has no need of the bits of a score. Cost: some 40 multiplications,
/// 2 divisions and 2 K + 3 calls of exp and ln.
#[must_use]
pub fn slope(x: f32, slope_z: f32, slope_log: f32, shape: &SplineShape<f32>, raw: &mut [f32]) -> Option<f32> {
    let bins = shape.bins;
    let clipped = shape.parameters == SplineParameters::SoftClipped;
    if raw.len() != shape.raw_parameters() {
        return None;
    }
    let bound = shape.bound;
    if x.abs() > bound || x.is_nan() {
        raw.fill(0.0);
        return Some(slope_z);
    }
    let (widths, rest) = raw.split_at_mut_checked(bins)?;
    let (heights, derivatives) = rest.split_at_mut_checked(bins)?;
    // Where each raw parameter passes its gradient on: kept in place of the parameter until the end.
    let mut clip = [[1.0_f32; MOST_BINS]; 2];
    for (raws, clip) in [&mut *widths, &mut *heights].into_iter().zip(&mut clip) {
        let mut top = f32::MIN;
        for (raw, clip) in raws.iter_mut().zip(clip) {
            *raw = limited(*raw);
            if clipped {
                let share = 1.0 / (1.0 + raw.abs() * CLIP_BINS);
                *raw *= share;
                *clip = share * share;
            }
            top = if *raw > top { *raw } else { top };
        }
        let mut total = 0.0;
        for raw in raws.iter_mut() {
            *raw = Libm::exp(*raw - top);
            total += *raw;
        }
        // The softmax itself.
        for raw in raws.iter_mut() {
            *raw /= total;
        }
    }
    let floor = if clipped { 0.0 } else { least(shape.min_bin) };
    let rest = 1.0 - bins as f32 * floor;
    let side = bound + bound;

    let mut left = -bound;
    let (mut w, mut h, mut index) = (side, side, 0);
    for (i, (&width, &height)) in widths.iter().zip(heights.iter()).enumerate() {
        w = side * (floor + rest * width);
        h = side * (floor + rest * height);
        index = i;
        if x < left + w || i + 1 == bins {
            break;
        }
        left += w;
    }
    // The derivatives at the bin's ends, each with what a raw parameter changes it by.
    let knot = |raw: Option<&f32>| {
        let Some(&raw) = raw else { return (1.0, 0.0) };
        let raw = limited(raw);
        if clipped {
            let share = 1.0 / (1.0 + raw.abs() * CLIP_DERIVATIVES);
            let d = Libm::exp(raw * share);
            (d, d * share * share)
        } else {
            let small = Libm::exp(-raw.abs());
            let sigmoid = if raw < 0.0 { small / (1.0 + small) } else { 1.0 / (1.0 + small) };
            (least(shape.min_derivative) + softplus::<Libm>(raw), sigmoid)
        }
    };
    let (d0, change0) = knot(index.checked_sub(1).and_then(|i| derivatives.get(i)));
    let (d1, change1) = knot(derivatives.get(index));

    let u = unit((x - left) / w);
    let v = 1.0 - u;
    let uv = u * v;
    let s = h / w;
    let curve = d0 + d1 - 2.0 * s;
    let numerator = s * u * u + d0 * uv;
    let denominator = s * (1.0 - 2.0 * uv) + (d0 + d1) * uv;
    let m = d1 * u * u + 2.0 * s * uv + d0 * v * v;
    let share = numerator / denominator;
    // Reverse mode through z = bottom + h numerator / denominator and
    // log(dz/dx) = 2 ln s + ln m - 2 ln denominator.
    let to_numerator = slope_z * h / denominator;
    let to_denominator = -(slope_z * h * share + 2.0 * slope_log) / denominator;
    let to_m = slope_log / m;
    let to_s =
        2.0 * slope_log / s + to_numerator * u * u + to_denominator * (1.0 - 2.0 * uv) + to_m * 2.0 * uv;
    let to_d0 = (to_numerator + to_denominator) * uv + to_m * v * v;
    let to_d1 = to_denominator * uv + to_m * u * u;
    let turn = 1.0 - 2.0 * u;
    let to_u = to_numerator * (2.0 * s * u + d0 * turn)
        + to_denominator * curve * turn
        + to_m * 2.0 * (d1 * u + s * turn - d0 * v);
    let slope_x = to_u / w;
    let to_h = slope_z * share + to_s / w;
    let to_w = -(to_s * s + to_u * u) / w;

    for (i, raw) in derivatives.iter_mut().enumerate() {
        *raw = if i + 1 == index {
            to_d0 * change0
        } else if i == index {
            to_d1 * change1
        } else {
            0.0
        };
    }
    // Through the softmax: an edge moves with all bins before it.
    let axes = [(widths, -slope_x, to_w), (heights, slope_z, to_h)];
    for ((shares, to_edge, to_size), clip) in axes.into_iter().zip(&clip) {
        let to_share = |i: usize| match i.cmp(&index) {
            core::cmp::Ordering::Less => to_edge,
            core::cmp::Ordering::Equal => to_size,
            core::cmp::Ordering::Greater => 0.0,
        };
        let mut mean = 0.0;
        for (i, share) in shares.iter().enumerate() {
            mean += share * to_share(i);
        }
        for (i, (share, clip)) in shares.iter_mut().zip(clip).enumerate() {
            *share *= side * rest * (to_share(i) - mean) * clip;
        }
    }
    Some(slope_x)
}

/// The larger of `minimum` and [`LEAST`].
pub(super) fn least(minimum: f32) -> f32 {
    if minimum > LEAST {
        minimum
    } else {
        LEAST
    }
}

/// Within 0 and 1.
pub(super) fn unit(share: f32) -> f32 {
    if share > 1.0 {
        1.0
    } else if share > 0.0 {
        share
    } else {
        0.0
    }
}

/// `ln(1 + e^x)` for `|x|` up to the reading limit.
pub(super) fn softplus<E: Elementary>(x: f32) -> f32 {
    let small = E::exp(-x.abs());
    // ln of a sum near 1 would lose the small part; its series does not.
    let grown = if small < 1.0 / 64.0 {
        small * (1.0 - small * (0.5 - small * (1.0 / 3.0)))
    } else {
        E::ln(1.0 + small)
    };
    if x > 0.0 {
        x + grown
    } else {
        grown
    }
}
