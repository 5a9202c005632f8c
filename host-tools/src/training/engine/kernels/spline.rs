//! Rational-quadratic splines on a panel, and their gradient: `flowlet::arithmetic::spline` has the formulas.
//!
//! Each sample lies in a bin of its own. Instead of gathering that bin's numbers, the loops go over all bins,
//! whose edges the softmax needs anyway, and select. Loops over the usual number of bins are compiled for it, so that
//! what they share stays in registers.

use super::super::lanes::{exp, ln_1p, Lanes, Line, LINE};
use flowlet::arithmetic::spline::{LEAST, MOST_BINS};

/// What all features of a spline coupling have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SplineSettings {
    /// Bins, at most [`MOST_BINS`].
    pub(crate) bins: usize,
    /// Half the side of the box.
    pub(crate) bound: f32,
    /// Least share of the box that a bin takes.
    pub(crate) min_bin: f32,
    /// Added to the softplus of a raw derivative.
    pub(crate) min_derivative: f32,
    /// Soft-clipped raw parameters (zuko) instead of softplus.
    pub(crate) clipped: bool,
    /// The raw derivative that gives 1: the end knots', and where training starts.
    pub(crate) end: f32,
}

/// Bins that the kernels are compiled for; others take the general form of them.
const USUAL_BINS: usize = 8;

/// Lines kept of each feature and panel, besides the clip's shares.
const KEPT: usize = 8;
/// `2 / |ln 0.001|` and half of it.
const CLIP_BINS: f32 = 0.289_529_65;
const CLIP_DERIVATIVES: f32 = 0.144_764_83;

impl SplineSettings {
    /// Raw parameters of a feature.
    pub(crate) fn raw(self) -> usize {
        3 * self.bins - 1
    }

    /// Lines that the forward pass keeps of each feature and panel.
    pub(crate) fn kept(self) -> usize {
        KEPT + if self.clipped { 2 * self.bins } else { 0 }
    }

    /// Least share of the box, and what remains to be shared out.
    fn shares(self) -> (f32, f32) {
        let floor = if self.clipped { 0.0 } else { self.min_bin.max(LEAST) };
        (floor, 1.0 - self.bins as f32 * floor)
    }

    /// [`Self::end`], from the other settings.
    pub(crate) fn raw_of_one(clipped: bool, min_derivative: f32) -> f32 {
        if clipped {
            0.0
        } else {
            let rest = 1.0 - f64::from(min_derivative.max(LEAST));
            rest.exp_m1().ln() as f32
        }
    }
}

/// The kernels of spline couplings.
pub(crate) trait SplineKernels {
    /// One panel: `x` becomes its image, `log_det` is added to. `raw` holds the raw parameters feature by
    /// feature and keeps the softmax of widths and heights; `kept` has [`SplineSettings::kept`] lines a
    /// feature.
    fn spline(
        &self,
        settings: SplineSettings,
        x: &mut [Line],
        raw: &mut [Line],
        kept: &mut [Line],
        log_det: &mut Line,
    );

    /// Its gradient: `g` goes from d/dz to d/dx, `raw` becomes the gradient of the raw parameters. `weight`
    /// is each sample's share of the loss.
    fn spline_gradient(
        &self,
        settings: SplineSettings,
        g: &mut [Line],
        raw: &mut [Line],
        kept: &[Line],
        weight: &Line,
    );
}

impl<L: Lanes> SplineKernels for L {
    fn spline(
        &self,
        settings: SplineSettings,
        x: &mut [Line],
        raw: &mut [Line],
        kept: &mut [Line],
        log_det: &mut Line,
    ) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                if settings.bins == USUAL_BINS {
                    forward::<L, USUAL_BINS>(l, settings, USUAL_BINS, x, raw, kept, log_det);
                } else {
                    forward::<L, MOST_BINS>(l, settings, settings.bins, x, raw, kept, log_det);
                }
            },
        );
    }

    fn spline_gradient(
        &self,
        settings: SplineSettings,
        g: &mut [Line],
        raw: &mut [Line],
        kept: &[Line],
        weight: &Line,
    ) {
        let l = *self;
        let features = raw.chunks_exact_mut(settings.raw()).zip(kept.chunks_exact(settings.kept()));
        l.vectorize(
            #[inline(always)]
            || {
                if settings.bins == USUAL_BINS {
                    for (g, (raw, kept)) in g.iter_mut().zip(features) {
                        for at in (0..LINE).step_by(L::WIDTH) {
                            backward::<L, USUAL_BINS>(l, settings, USUAL_BINS, at, g, raw, kept, weight);
                        }
                    }
                } else {
                    for (g, (raw, kept)) in g.iter_mut().zip(features) {
                        for at in (0..LINE).step_by(L::WIDTH) {
                            backward::<L, MOST_BINS>(l, settings, settings.bins, at, g, raw, kept, weight);
                        }
                    }
                }
            },
        );
    }
}

#[inline(always)]
fn abs<L: Lanes>(l: L, a: L::V) -> L::V {
    l.max(a, l.sub(l.splat(0.0), a))
}

/// ln(x) to 2e-7 absolute or relative, whichever is larger, for normal positive x. Cephes `logf`.
#[inline(always)]
fn ln<L: Lanes>(l: L, x: L::V) -> L::V {
    let one = l.splat(1.0);
    let k = l.exponent(x);
    let mantissa = l.mul(x, l.power_of_two(l.sub(l.splat(0.0), k)));
    let high = l.splat(std::f32::consts::SQRT_2);
    let k = l.select_gt(mantissa, high, l.add(k, one), k);
    let mantissa = l.select_gt(mantissa, high, l.mul(mantissa, l.splat(0.5)), mantissa);
    let r = l.sub(mantissa, one);
    let mut p = l.splat(7.037_683_6e-2);
    for c in [
        -0.115_146_1,
        0.116_769_99,
        -0.124_201_41,
        0.142_493_23,
        -0.166_680_58,
        0.200_007_15,
        -0.249_999_94,
        0.333_333_3,
    ] {
        p = l.mul_add(p, r, l.splat(c));
    }
    let square = l.mul(r, r);
    let low = l.mul_add(k, l.splat(-2.121_944_4e-4), l.mul(l.mul(p, r), square));
    let low = l.mul_add(square, l.splat(-0.5), low);
    l.mul_add(k, l.splat(0.693_359_4), l.add(r, low))
}

/// The softmax of one axis, in place of its raw parameters; the clip's derivatives go to `clip`.
#[inline(always)]
fn softmax<L: Lanes, const M: usize>(
    l: L,
    settings: SplineSettings,
    at: usize,
    raw: &mut [Line],
    clip: &mut [Line],
) {
    let mut shares = [l.splat(0.0); M];
    for (share, raw) in shares.iter_mut().zip(raw.iter()) {
        *share = l.load(&raw.0[at..]);
    }
    let bins = raw.len();
    if settings.clipped {
        for (value, clip) in shares[..bins].iter_mut().zip(clip) {
            let grown = l.mul_add(abs(l, *value), l.splat(CLIP_BINS), l.splat(1.0));
            let share = l.reciprocal(grown);
            *value = l.mul(*value, share);
            l.store(l.mul(share, share), &mut clip.0[at..]);
        }
    }
    let mut top = shares[0];
    for &share in &shares[1..bins] {
        top = l.max(top, share);
    }
    let mut sum = l.splat(0.0);
    for share in &mut shares[..bins] {
        *share = exp(l, l.sub(*share, top));
        sum = l.add(sum, *share);
    }
    let inverse = l.reciprocal(sum);
    for (&share, raw) in shares.iter().zip(raw) {
        l.store(l.mul(share, inverse), &mut raw.0[at..]);
    }
}

/// A derivative and what its raw parameter changes it by.
#[inline(always)]
fn derivative<L: Lanes>(l: L, settings: SplineSettings, raw: L::V) -> (L::V, L::V) {
    let (zero, one) = (l.splat(0.0), l.splat(1.0));
    if settings.clipped {
        let share = l.reciprocal(l.mul_add(abs(l, raw), l.splat(CLIP_DERIVATIVES), one));
        let d = exp(l, l.mul(raw, share));
        (d, l.mul(d, l.mul(share, share)))
    } else {
        let small = exp(l, l.sub(zero, abs(l, raw)));
        let d = l.add(l.max(raw, zero), ln_1p(l, small));
        let high = l.reciprocal(l.add(one, small));
        let change = l.select_gt(raw, zero, high, l.mul(small, high));
        (l.add(d, l.splat(settings.min_derivative.max(LEAST))), change)
    }
}

/// The three steps of a panel, each for all features before the next: within a step the chains of dependent
/// operations are short enough for a processor to work on several features at once, over all three they are not.
///
/// `bins` is at most `M`; a constant where it is `M`.
#[inline(always)]
fn forward<L: Lanes, const M: usize>(
    l: L,
    settings: SplineSettings,
    bins: usize,
    x: &mut [Line],
    raw: &mut [Line],
    kept: &mut [Line],
    log_det: &mut Line,
) {
    let (of_raw, of_kept) = (settings.raw(), settings.kept());
    for (raw, kept) in raw.chunks_exact_mut(of_raw).zip(kept.chunks_exact_mut(of_kept)) {
        let (widths, rest) = raw.split_at_mut(bins);
        let (clip_widths, clip_heights) = kept[KEPT..].split_at_mut((of_kept - KEPT) / 2);
        for at in (0..LINE).step_by(L::WIDTH) {
            softmax::<L, M>(l, settings, at, widths, clip_widths);
            softmax::<L, M>(l, settings, at, &mut rest[..bins], clip_heights);
        }
    }
    let features = x.iter().zip(raw.chunks_exact(of_raw).zip(kept.chunks_exact_mut(of_kept)));
    for (x, (raw, kept)) in features {
        for at in (0..LINE).step_by(L::WIDTH) {
            search(l, settings, bins, at, x, raw, kept);
        }
    }
    for (x, kept) in x.iter_mut().zip(kept.chunks_exact_mut(of_kept)) {
        for at in (0..LINE).step_by(L::WIDTH) {
            evaluate(l, settings, at, x, kept, log_det);
        }
    }
}

/// The value, at the nearer edge if outside the box.
#[inline(always)]
fn within<L: Lanes>(l: L, settings: SplineSettings, given: L::V) -> L::V {
    l.min(l.max(given, l.splat(-settings.bound)), l.splat(settings.bound))
}

/// Leaves in `kept` what belongs to each sample's bin: left edge, width, height, raw derivatives at both ends, lower
/// edge and index.
#[inline(always)]
fn search<L: Lanes>(
    l: L,
    settings: SplineSettings,
    bins: usize,
    at: usize,
    x: &Line,
    raw: &[Line],
    kept: &mut [Line],
) {
    let (widths, rest) = raw.split_at(bins);
    let (heights, derivatives) = rest.split_at(bins);
    let derivatives = &derivatives[..bins - 1];
    let value = within(l, settings, l.load(&x.0[at..]));
    let side = 2.0 * settings.bound;
    let (floor, shared) = settings.shares();
    let (floor, shared) = (l.splat(side * floor), l.splat(side * shared));
    let size = |share: &Line| l.mul_add(l.load(&share.0[at..]), shared, floor);
    let end = l.splat(settings.end);

    let (mut left, mut bottom) = (l.splat(-settings.bound), l.splat(-settings.bound));
    let (mut w, mut h) = (size(&widths[0]), size(&heights[0]));
    let (mut next_left, mut next_bottom) = (l.add(left, w), l.add(bottom, h));
    let (mut raw0, mut raw1) = (end, derivatives.first().map_or(end, |d| l.load(&d.0[at..])));
    let mut index = l.splat(0.0);
    for k in 1..bins {
        let (width, height) = (size(&widths[k]), size(&heights[k]));
        let before = l.load(&derivatives[k - 1].0[at..]);
        let after = derivatives.get(k).map_or(end, |d| l.load(&d.0[at..]));
        // Stay where the edge lies above the value.
        let stay = |old, new| l.select_gt(next_left, value, old, new);
        w = stay(w, width);
        h = stay(h, height);
        left = stay(left, next_left);
        bottom = stay(bottom, next_bottom);
        raw0 = stay(raw0, before);
        raw1 = stay(raw1, after);
        index = stay(index, l.splat(k as f32));
        next_left = l.add(next_left, width);
        next_bottom = l.add(next_bottom, height);
    }
    for (kept, value) in kept.iter_mut().zip([left, w, h, raw0, raw1, bottom, index]) {
        l.store(value, &mut kept.0[at..]);
    }
}

/// The image and its logarithm, from what [`search`] left; leaves in `kept` what [`backward`] needs.
#[inline(always)]
fn evaluate<L: Lanes>(
    l: L,
    settings: SplineSettings,
    at: usize,
    x: &mut Line,
    kept: &mut [Line],
    log_det: &mut Line,
) {
    let (zero, one) = (l.splat(0.0), l.splat(1.0));
    let load = |i: usize| l.load(&kept[i].0[at..]);
    let (left, w, h, raw0, raw1, bottom, index) =
        (load(0), load(1), load(2), load(3), load(4), load(5), load(6));
    let given = l.load(&x.0[at..]);
    let value = within(l, settings, given);
    let (d0, change0) = derivative(l, settings, raw0);
    let (d1, change1) = derivative(l, settings, raw1);
    let inverse_w = l.reciprocal(w);
    let u = l.min(l.max(l.mul(l.sub(value, left), inverse_w), zero), one);
    let v = l.sub(one, u);
    let uv = l.mul(u, v);
    let two_uv = l.add(uv, uv);
    let s = l.mul(h, inverse_w);
    let numerator = l.mul_add(l.mul(s, u), u, l.mul(d0, uv));
    let below = l.mul_add(s, l.sub(one, two_uv), l.mul(l.add(d0, d1), uv));
    let m = l.mul_add(l.mul(d1, u), u, l.mul_add(s, two_uv, l.mul(l.mul(d0, v), v)));
    let inverse = l.reciprocal(below);
    let z = l.mul_add(h, l.mul(numerator, inverse), bottom);
    let ratio = l.mul(s, inverse);
    let log = ln(l, l.mul(l.mul(ratio, ratio), m));
    // Outside the box: the identity, and no bin.
    let outside = l.sub(abs(l, given), l.splat(settings.bound));
    let z = l.select_gt(outside, zero, given, z);
    let log = l.select_gt(outside, zero, zero, log);
    let index = l.select_gt(outside, zero, l.splat(-1.0), index);
    l.store(z, &mut x.0[at..]);
    l.store(l.add(l.load(&log_det.0[at..]), log), &mut log_det.0[at..]);
    for (kept, value) in kept.iter_mut().zip([u, w, h, d0, d1, change0, change1, index]) {
        l.store(value, &mut kept.0[at..]);
    }
}

/// `bins` is at most `M`; a constant where it is `M`.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // the pieces of one panel
fn backward<L: Lanes, const M: usize>(
    l: L,
    settings: SplineSettings,
    bins: usize,
    at: usize,
    g: &mut Line,
    raw: &mut [Line],
    kept: &[Line],
    weight: &Line,
) {
    let (zero, one) = (l.splat(0.0), l.splat(1.0));
    let (widths, rest) = raw.split_at_mut(bins);
    let (heights, derivatives) = rest.split_at_mut(bins);
    let derivatives = &mut derivatives[..bins - 1];
    let (kept, clip) = kept.split_at(KEPT);
    let load = |i: usize| l.load(&kept[i].0[at..]);
    let (u, w, h, d0, d1) = (load(0), load(1), load(2), load(3), load(4));
    let (change0, change1, index) = (load(5), load(6), load(7));

    let v = l.sub(one, u);
    let uv = l.mul(u, v);
    let two_uv = l.add(uv, uv);
    let same = l.sub(one, two_uv);
    let inverse_w = l.reciprocal(w);
    let s = l.mul(h, inverse_w);
    let numerator = l.mul_add(l.mul(s, u), u, l.mul(d0, uv));
    let below = l.mul_add(s, same, l.mul(l.add(d0, d1), uv));
    let m = l.mul_add(l.mul(d1, u), u, l.mul_add(s, two_uv, l.mul(l.mul(d0, v), v)));
    let inverse = l.reciprocal(below);
    let share = l.mul(numerator, inverse);

    // Nothing reaches the parameters of a spline that a sample passes by.
    let slope = l.load(&g.0[at..]);
    let inside = |a| l.select_gt(zero, index, zero, a);
    let to_z = inside(slope);
    let to_log = inside(l.sub(zero, l.load(&weight.0[at..])));
    let two_log = l.add(to_log, to_log);
    // Reverse mode through z = bottom + h numerator / below and log = 2 ln s + ln m - 2 ln below.
    let to_numerator = l.mul(l.mul(to_z, h), inverse);
    let to_below = l.sub(zero, l.mul(l.mul_add(l.mul(to_z, h), share, two_log), inverse));
    let to_m = l.mul(to_log, l.reciprocal(m));
    let to_s = l.mul_add(l.mul(to_numerator, u), u, l.mul_add(to_below, same, l.mul(to_m, two_uv)));
    let to_s = l.mul_add(two_log, l.mul(w, l.reciprocal(h)), to_s);
    let to_both = l.mul(to_below, uv);
    let to_d0 = l.mul_add(to_numerator, uv, l.mul_add(l.mul(to_m, v), v, to_both));
    let to_d1 = l.mul_add(l.mul(to_m, u), u, to_both);
    let turn = l.sub(v, u);
    let curve = l.sub(l.add(d0, d1), l.add(s, s));
    let rise = l.mul_add(s, turn, l.sub(l.mul(d1, u), l.mul(d0, v)));
    let to_u = l.mul(l.add(to_m, to_m), rise);
    let to_u = l.mul_add(l.mul(to_below, curve), turn, to_u);
    let to_u = l.mul_add(to_numerator, l.mul_add(l.add(s, s), u, l.mul(d0, turn)), to_u);
    let to_x = l.mul(to_u, inverse_w);
    let to_h = l.mul_add(to_s, inverse_w, l.mul(to_z, share));
    let to_w = l.sub(zero, l.mul(l.mul_add(to_s, s, l.mul(to_u, u)), inverse_w));
    l.store(l.select_gt(zero, index, slope, to_x), &mut g.0[at..]);

    let (to_raw0, to_raw1) = (l.mul(to_d0, change0), l.mul(to_d1, change1));
    for (i, raw) in derivatives.iter_mut().enumerate() {
        // Raw i is the right knot of bin i and the left one of bin i + 1.
        let here = i as f32;
        let past = l.select_gt(index, l.splat(here + 1.5), zero, to_raw0);
        let right = l.select_gt(index, l.splat(here - 0.5), to_raw1, zero);
        l.store(l.select_gt(index, l.splat(here + 0.5), past, right), &mut raw.0[at..]);
    }
    let (_, shared) = settings.shares();
    let shared = l.splat(2.0 * settings.bound * shared);
    let axes = [(widths, l.sub(zero, to_x), to_w), (heights, to_z, to_h)];
    for (axis, (shares, to_edge, to_size)) in axes.into_iter().enumerate() {
        let (to_edge, to_size) = (l.mul(to_edge, shared), l.mul(to_size, shared));
        // An edge moves with all bins before it.
        let mut to_share = [zero; M];
        let mut mean = zero;
        for (k, (to_share, share)) in to_share.iter_mut().zip(shares.iter()).enumerate() {
            let k = k as f32;
            let not_before = l.select_gt(index, l.splat(k - 0.5), to_size, zero);
            *to_share = l.select_gt(index, l.splat(k + 0.5), to_edge, not_before);
            mean = l.mul_add(*to_share, l.load(&share.0[at..]), mean);
        }
        for (k, (to_share, share)) in to_share.into_iter().zip(shares.iter_mut()).enumerate() {
            let mut gradient = l.mul(l.load(&share.0[at..]), l.sub(to_share, mean));
            if settings.clipped {
                gradient = l.mul(gradient, l.load(&clip[axis * bins + k].0[at..]));
            }
            l.store(gradient, &mut share.0[at..]);
        }
    }
}
