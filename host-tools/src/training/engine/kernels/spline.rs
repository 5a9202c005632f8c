//! Rational-quadratic splines on a panel, and their gradient: `flowlet::arithmetic::spline` has the formulas.
//!
//! Each sample lies in a bin of its own. Instead of gathering that bin's numbers, the loops go over all bins,
//! whose edges the softmax needs anyway, and select. Loops over the usual number of bins are compiled for it, so that
//! what they share stays in registers.

use super::super::lanes::{exp, exp2, Lanes, Line, LINE};
use flowlet::arithmetic::spline::LEAST;

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

/// Lines kept of each feature and panel, besides the clip's shares: of widths and heights the share of the box before each
/// sample's bin (0, 1) and of it (2, 3), and the reciprocal of the exponentials' sum (4, 5); the raw derivatives at the bin's
/// ends, then the derivatives (6, 7), what they change by (10, 11), the bin's index (8) and the place in it (9).
const KEPT: usize = 12;
/// Slopes that are multiplied before their logarithm is taken.
const AT_ONCE: usize = 64;
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

    /// Least side of a bin, and what of the box's remains to be shared out.
    fn sides(self) -> (f32, f32) {
        let floor = if self.clipped { 0.0 } else { self.min_bin.max(LEAST) };
        let side = 2.0 * self.bound;
        (side * floor, side * (1.0 - self.bins as f32 * floor))
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
    /// feature and keeps the exponentials of widths and heights; `kept` has [`SplineSettings::kept`] lines a
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
        kept: &mut [Line],
        weight: &Line,
    );
}

/// Runs `$run` on `$settings` whose bins and kind of parameters are constants where they are usual.
macro_rules! for_usual {
    ($settings:ident, $run:expr) => {
        match $settings {
            SplineSettings { bins: USUAL_BINS, clipped: false, .. } => {
                let $settings = SplineSettings { bins: USUAL_BINS, clipped: false, ..$settings };
                $run
            }
            SplineSettings { bins: USUAL_BINS, clipped: true, .. } => {
                let $settings = SplineSettings { bins: USUAL_BINS, clipped: true, ..$settings };
                $run
            }
            _ => $run,
        }
    };
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
                for_usual!(settings, forward(l, settings, x, raw, kept, log_det));
            },
        );
    }

    fn spline_gradient(
        &self,
        settings: SplineSettings,
        g: &mut [Line],
        raw: &mut [Line],
        kept: &mut [Line],
        weight: &Line,
    ) {
        let l = *self;
        l.vectorize(
            #[inline(always)]
            || {
                for_usual!(settings, backward(l, settings, g, raw, kept, weight));
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

/// ln(1 + x) to 2e-7 relative for x in 0..=1: x times the best polynomial of degree 8 for the rest (Remez; 3e-8).
#[inline(always)]
fn ln_1p_of_share<L: Lanes>(l: L, x: L::V) -> L::V {
    let mut p = l.splat(5.232_699e-3);
    for c in [
        -2.950_525_5e-2,
        7.822_597e-2,
        -0.136_632_47,
        0.191_060_07,
        -0.248_429_82,
        0.333_190_98,
        -0.499_994_93,
        0.999_999_94,
    ] {
        p = l.mul_add(p, x, l.splat(c));
    }
    l.mul(p, x)
}

/// The raw parameters of one axis less their largest, for [`exp2`]. The clip's derivatives go to `clip`.
#[inline(always)]
fn exponents<L: Lanes>(l: L, settings: SplineSettings, at: usize, raw: &mut [Line], clip: &mut [Line]) {
    if settings.clipped {
        for (raw, clip) in raw.iter_mut().zip(clip) {
            let value = l.load(&raw.0[at..]);
            let grown = l.mul_add(abs(l, value), l.splat(CLIP_BINS), l.splat(1.0));
            let share = l.reciprocal(grown);
            l.store(l.mul(value, share), &mut raw.0[at..]);
            l.store(l.mul(share, share), &mut clip.0[at..]);
        }
    }
    let mut top = l.load(&raw[0].0[at..]);
    for raw in &raw[1..] {
        top = l.max(top, l.load(&raw.0[at..]));
    }
    for raw in raw.iter_mut() {
        let below = l.sub(l.load(&raw.0[at..]), top);
        l.store(l.mul(below, l.splat(std::f32::consts::LOG2_E)), &mut raw.0[at..]);
    }
}

/// The reciprocal of the sum of one axis's exponentials.
#[inline(always)]
fn inverse_sum<L: Lanes>(l: L, at: usize, exponentials: &[Line]) -> L::V {
    let mut sum = l.load(&exponentials[0].0[at..]);
    for exponential in &exponentials[1..] {
        sum = l.add(sum, l.load(&exponential.0[at..]));
    }
    l.reciprocal(sum)
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
        let minus = l.min(raw, l.sub(zero, raw));
        let small = exp2(l, l.mul(minus, l.splat(std::f32::consts::LOG2_E)));
        let d = l.add(l.max(raw, zero), ln_1p_of_share(l, small));
        let high = l.reciprocal(l.add(one, small));
        let change = l.select_gt(raw, zero, high, l.mul(small, high));
        (l.add(d, l.splat(settings.min_derivative.max(LEAST))), change)
    }
}

/// The steps of a panel, each for all features before the next: within a step the chains of dependent operations are
/// short enough for a processor to work on several features at once, over all they are not.
#[inline(always)]
fn forward<L: Lanes>(
    l: L,
    settings: SplineSettings,
    x: &mut [Line],
    raw: &mut [Line],
    kept: &mut [Line],
    log_det: &mut Line,
) {
    let (bins, of_raw, of_kept) = (settings.bins, settings.raw(), settings.kept());
    for (raw, kept) in raw.chunks_exact_mut(of_raw).zip(kept.chunks_exact_mut(of_kept)) {
        let (widths, rest) = raw.split_at_mut(bins);
        let heights = &mut rest[..bins];
        let clip = &mut kept[KEPT..];
        let (clip_widths, clip_heights) = clip.split_at_mut(clip.len() / 2);
        for at in (0..LINE).step_by(L::WIDTH) {
            exponents(l, settings, at, widths, clip_widths);
            exponents(l, settings, at, heights, clip_heights);
        }
        for exponential in &mut raw[..2 * bins] {
            for at in (0..LINE).step_by(L::WIDTH) {
                l.store(exp2(l, l.load(&exponential.0[at..])), &mut exponential.0[at..]);
            }
        }
    }
    for (raw, kept) in raw.chunks_exact(of_raw).zip(kept.chunks_exact_mut(of_kept)) {
        for at in (0..LINE).step_by(L::WIDTH) {
            l.store(inverse_sum(l, at, &raw[..bins]), &mut kept[4].0[at..]);
            l.store(inverse_sum(l, at, &raw[bins..2 * bins]), &mut kept[5].0[at..]);
        }
    }
    let features = x.iter().zip(raw.chunks_exact(of_raw).zip(kept.chunks_exact_mut(of_kept)));
    for (x, (raw, kept)) in features {
        for at in (0..LINE).step_by(L::WIDTH) {
            search(l, settings, at, x, raw, kept);
        }
    }
    for kept in kept.chunks_exact_mut(of_kept) {
        for at in (0..LINE).step_by(L::WIDTH) {
            for (value, change_at) in [(6, 10), (7, 11)] {
                let (d, change) = derivative(l, settings, l.load(&kept[value].0[at..]));
                l.store(d, &mut kept[value].0[at..]);
                l.store(change, &mut kept[change_at].0[at..]);
            }
        }
    }
    // Slopes go where the first raw derivative was, which nobody needs any more.
    let features = x.iter_mut().zip(raw.chunks_exact_mut(of_raw).zip(kept.chunks_exact_mut(of_kept)));
    for (x, (raw, kept)) in features {
        for at in (0..LINE).step_by(L::WIDTH) {
            let slope = evaluate(l, settings, at, x, kept);
            l.store(slope, &mut raw[2 * bins].0[at..]);
        }
    }
    for raw in raw.chunks(AT_ONCE * of_raw) {
        for at in (0..LINE).step_by(L::WIDTH) {
            // The slopes' product: its mantissa, below 2^AT_ONCE, and its exponent.
            let (mut mantissa, mut exponent) = (l.splat(1.0), l.splat(0.0));
            for raw in raw.chunks_exact(of_raw) {
                let slope = l.load(&raw[2 * bins].0[at..]);
                let k = l.exponent(slope);
                mantissa = l.mul(mantissa, l.scale(slope, l.sub(l.splat(0.0), k)));
                exponent = l.add(exponent, k);
            }
            let log = l.mul_add(exponent, l.splat(std::f32::consts::LN_2), ln(l, mantissa));
            l.store(l.add(l.load(&log_det.0[at..]), log), &mut log_det.0[at..]);
        }
    }
}

/// Leaves in `kept`, with the reciprocals of both sums of exponentials in it, what belongs to each sample's bin: of
/// both axes its share of the box and that of all bins before it, behind the reciprocals the raw derivatives at both ends,
/// and the bin's index, -1 outside the box.
#[inline(always)]
fn search<L: Lanes>(l: L, settings: SplineSettings, at: usize, x: &Line, raw: &[Line], kept: &mut [Line]) {
    let bins = settings.bins;
    let (widths, rest) = raw.split_at(bins);
    let (heights, derivatives) = rest.split_at(bins);
    let derivatives = &derivatives[..bins - 1];
    let (inverse_w, inverse_h) = (l.load(&kept[4].0[at..]), l.load(&kept[5].0[at..]));
    let (floor, shared) = settings.sides();
    let scale = l.mul(inverse_w, l.splat(shared));
    let value = l.load(&x.0[at..]);
    let end = l.splat(settings.end);

    let zero = l.splat(0.0);
    let load = |line: &Line| l.load(&line.0[at..]);
    let (mut w, mut h, mut before_w, mut before_h) = (load(&widths[0]), load(&heights[0]), zero, zero);
    let (mut raw0, mut raw1) = (end, derivatives.first().map_or(end, load));
    let mut index = zero;
    let (mut sum_w, mut sum_h) = (w, h);
    for k in 1..bins {
        let edge = l.mul_add(sum_w, scale, l.splat(k as f32 * floor - settings.bound));
        let (width, height) = (load(&widths[k]), load(&heights[k]));
        let left = load(&derivatives[k - 1]);
        let right = derivatives.get(k).map_or(end, load);
        // Stay where the edge lies above the value.
        let stay = |old, new| l.select_gt(edge, value, old, new);
        w = stay(w, width);
        h = stay(h, height);
        before_w = stay(before_w, sum_w);
        before_h = stay(before_h, sum_h);
        raw0 = stay(raw0, left);
        raw1 = stay(raw1, right);
        index = stay(index, l.splat(k as f32));
        sum_w = l.add(sum_w, width);
        sum_h = l.add(sum_h, height);
    }
    let index = l.select_gt(abs(l, value), l.splat(settings.bound), l.splat(-1.0), index);
    let (w, h) = (l.mul(w, inverse_w), l.mul(h, inverse_h));
    let (before_w, before_h) = (l.mul(before_w, inverse_w), l.mul(before_h, inverse_h));
    for (i, value) in [before_w, before_h, w, h].into_iter().enumerate() {
        l.store(value, &mut kept[i].0[at..]);
    }
    for (kept, value) in kept[6..].iter_mut().zip([raw0, raw1, index]) {
        l.store(value, &mut kept.0[at..]);
    }
}

/// The image, and the slope, from what [`search`] left and the derivatives in place of their raw parameters; leaves in
/// `kept` what [`backward`] needs.
#[inline(always)]
fn evaluate<L: Lanes>(l: L, settings: SplineSettings, at: usize, x: &mut Line, kept: &mut [Line]) -> L::V {
    let (zero, one) = (l.splat(0.0), l.splat(1.0));
    let load = |i: usize| l.load(&kept[i].0[at..]);
    let (before_w, before_h, w, h, d0, d1, index) =
        (load(0), load(1), load(2), load(3), load(6), load(7), load(8));
    let (floor, shared) = settings.sides();
    let (floor, shared) = (l.splat(floor), l.splat(shared));
    let (w, h) = (l.mul_add(w, shared, floor), l.mul_add(h, shared, floor));
    let corner = l.mul_add(index, floor, l.splat(-settings.bound));
    let (left, bottom) = (l.mul_add(before_w, shared, corner), l.mul_add(before_h, shared, corner));
    let value = l.load(&x.0[at..]);
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
    // Outside the box: the identity.
    l.store(l.select_gt(zero, index, value, z), &mut x.0[at..]);
    l.store(u, &mut kept[9].0[at..]);
    l.select_gt(zero, index, one, l.mul(l.mul(ratio, ratio), m))
}

/// The gradient through one feature's spline, from what [`evaluate`] left: `g` goes from d/dz to d/dx. Leaves in `kept`,
/// before the bin's index, what is to be spread over the bins: of the raw derivatives at both ends of the sample's bin, and of
/// the exponentials of widths and of heights, for bins before it, for it and for those behind it.
#[inline(always)]
fn slopes<L: Lanes>(
    l: L,
    settings: SplineSettings,
    at: usize,
    g: &mut Line,
    kept: &mut [Line],
    weight: &Line,
) {
    let (zero, one) = (l.splat(0.0), l.splat(1.0));
    let load = |i: usize| l.load(&kept[i].0[at..]);
    let (before_w, before_h, share_w, share_h) = (load(0), load(1), load(2), load(3));
    let (inverse_sum_w, inverse_sum_h) = (load(4), load(5));
    let (d0, d1, index, u, change0, change1) = (load(6), load(7), load(8), load(9), load(10), load(11));
    let (floor, shared) = settings.sides();
    let (floor, shared) = (l.splat(floor), l.splat(shared));
    let (w, h) = (l.mul_add(share_w, shared, floor), l.mul_add(share_h, shared, floor));

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

    let widths = through_softmax(l, shared, (l.sub(zero, to_x), to_w), (before_w, share_w), inverse_sum_w);
    let heights = through_softmax(l, shared, (to_z, to_h), (before_h, share_h), inverse_sum_h);
    let ends = [l.mul(to_d0, change0), l.mul(to_d1, change1)];
    for (kept, value) in kept.iter_mut().zip(ends.into_iter().chain(widths).chain(heights)) {
        l.store(value, &mut kept.0[at..]);
    }
}

/// What the exponentials of one axis get, before the bin, of it and behind it, from what its near edge and its size get:
/// an edge moves with all bins before it, and a softmax passes on what its outputs get, less the mean.
#[inline(always)]
fn through_softmax<L: Lanes>(
    l: L,
    shared: L::V,
    (to_edge, to_size): (L::V, L::V),
    (before, share): (L::V, L::V),
    inverse_sum: L::V,
) -> [L::V; 3] {
    let (to_edge, to_size) = (l.mul(to_edge, shared), l.mul(to_size, shared));
    let mean = l.mul_add(to_edge, before, l.mul(to_size, share));
    let behind = l.sub(l.splat(0.0), l.mul(mean, inverse_sum));
    [l.mul_add(to_edge, inverse_sum, behind), l.mul_add(to_size, inverse_sum, behind), behind]
}

/// Replaces exponentials and raw derivatives by the gradient of the raw parameters, from what [`slopes`] left; bin by bin,
/// so that it all fits into registers.
#[inline(always)]
fn spread<L: Lanes>(l: L, settings: SplineSettings, at: usize, raw: &mut [Line], kept: &[Line]) {
    let zero = l.splat(0.0);
    let load = |i: usize| l.load(&kept[i].0[at..]);
    let (to_raw0, to_raw1, index) = (load(0), load(1), load(8));
    let (to_widths, to_heights) = ([load(2), load(3), load(4)], [load(5), load(6), load(7)]);
    let bins = settings.bins;
    let (widths, rest) = raw.split_at_mut(bins);
    let (heights, derivatives) = rest.split_at_mut(bins);
    let (heights, derivatives) = (&mut heights[..bins], &mut derivatives[..bins - 1]);
    let (clip_widths, clip_heights) = kept[KEPT..].split_at((kept.len() - KEPT) / 2);
    for k in 0..bins {
        spread_axis(l, settings, (at, k), index, &mut widths[k], clip_widths, to_widths);
        spread_axis(l, settings, (at, k), index, &mut heights[k], clip_heights, to_heights);
        if let Some(raw) = derivatives.get_mut(k) {
            // It is the right knot of this bin and the left one of the next.
            let bin = k as f32;
            let of_behind = l.select_gt(index, l.splat(bin + 1.5), zero, to_raw0);
            let of_here = l.select_gt(index, l.splat(bin - 0.5), to_raw1, zero);
            l.store(l.select_gt(index, l.splat(bin + 0.5), of_behind, of_here), &mut raw.0[at..]);
        }
    }
}

/// The part of bin `k` of one axis.
#[inline(always)]
fn spread_axis<L: Lanes>(
    l: L,
    settings: SplineSettings,
    (at, k): (usize, usize),
    index: L::V,
    exponential: &mut Line,
    clip: &[Line],
    [before, here, behind]: [L::V; 3],
) {
    let bin = k as f32;
    let not_before = l.select_gt(index, l.splat(bin - 0.5), here, behind);
    let to = l.select_gt(index, l.splat(bin + 0.5), before, not_before);
    let mut gradient = l.mul(l.load(&exponential.0[at..]), to);
    if settings.clipped {
        gradient = l.mul(gradient, l.load(&clip[k].0[at..]));
    }
    l.store(gradient, &mut exponential.0[at..]);
}

/// The gradient of a panel: as in [`forward`] a step for all features before the next.
#[inline(always)]
fn backward<L: Lanes>(
    l: L,
    settings: SplineSettings,
    g: &mut [Line],
    raw: &mut [Line],
    kept: &mut [Line],
    weight: &Line,
) {
    let (of_raw, of_kept) = (settings.raw(), settings.kept());
    for (g, kept) in g.iter_mut().zip(kept.chunks_exact_mut(of_kept)) {
        for at in (0..LINE).step_by(L::WIDTH) {
            slopes(l, settings, at, g, kept, weight);
        }
    }
    for (raw, kept) in raw.chunks_exact_mut(of_raw).zip(kept.chunks_exact(of_kept)) {
        for at in (0..LINE).step_by(L::WIDTH) {
            spread(l, settings, at, raw, kept);
        }
    }
}
