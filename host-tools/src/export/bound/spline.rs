//! Spline couplings.
//!
//! What fixed point makes of a spline is the spline of other knots and derivatives at another value, with some rounding
//! behind it. Both, the exact spline and that one, are functions of the same few numbers, continuous across knots and so are
//! the logarithms of their slopes: the difference is bounded by the mean value theorem, with partial derivatives over all
//! bins that may be meant ([`super::rational`]).

use super::budgets::{
    EXP_NEGATIVE_ABSOLUTE, EXP_NEGATIVE_RELATIVE, EXP_RELATIVE, HALF_UNIT, LOG2_ABSOLUTE, RATIO_ABSOLUTE,
    SOFTPLUS_ABSOLUTE, SOFTPLUS_FLOOR, SOFTPLUS_RELATIVE, SPLINE_MASS,
};
use super::form::{Form, Symbols};
use super::interval::Interval;
use super::pair::{Curve, Pair, UNBOUNDED};
use super::plan::{fixed, Reason};
use super::rational::{by, share, Bin, Bounds};
use crate::flow::{Spline, SplineParameters};
use std::f64::consts::LN_2;

/// No bin and no slope is smaller, unless soft-clipped.
const LEAST: f64 = 1.0 / 1_048_576.0;
/// `|ln 0.001|` in Q16 as the runtime has it.
const CLIP_OF_DERIVATIVES: f64 = 452_706.0 / 65536.0;

/// Image and logarithmic slope of `x` under the spline of these raw parameters.
pub(super) fn apply(
    spline: &Spline,
    x: &Pair,
    raw: &[Pair],
    symbols: &mut Symbols,
) -> Result<(Pair, Pair), Reason> {
    let bins = spline.bins;
    let (widths, rest) = raw.split_at(bins);
    let (heights, slopes) = rest.split_at(bins);
    let widths = Axis::new(spline, widths, symbols);
    let heights = Axis::new(spline, heights, symbols);
    if widths.sizes.iter().chain(&heights.sizes).any(|size| size.low.is_nan() || size.low <= 0.0) {
        return Err("a spline whose bins may be empty".into());
    }
    let bound = f64::from(spline.bound);
    let stored_bound = fixed(bound);
    let (inner, outer) = (bound.min(stored_bound), bound.max(stored_bound));

    // Where both values may lie, and on the way from one to the other.
    let (low, high) = x.hull();
    let may_be = |k: usize| low <= widths.edges[k + 1].high && high >= widths.edges[k].low;
    let candidates: Vec<usize> = (0..bins).filter(|&k| may_be(k)).collect();
    let beyond = low < -inner || high > inner;

    // Bounds by parameter: x, then knots' x, y and derivatives, those of every knot that takes part.
    let mut knots: Vec<usize> = candidates.iter().flat_map(|&k| [k, k + 1]).collect();
    knots.dedup();
    let column = |knot: usize| knots.iter().position(|&k| k == knot).unwrap_or(0);
    let parts = knots.len();
    let zero = Interval::point(0.0);
    let derivative = |&knot: &usize| match knot.checked_sub(1).and_then(|inner| slopes.get(inner)) {
        Some(raw) => slope(spline, raw, symbols),
        None => Pair::new(Form::constant(1.0), Form::constant(0.0), UNBOUNDED),
    };
    let pairs: Vec<Pair> = knots.iter().map(derivative).collect();
    let mut image: Vec<Interval> = vec![Interval::EMPTY; 1 + 3 * parts];
    let mut log = image.clone();
    let mut all = beyond.then(Bounds::identity);
    let mut take = |bounds: &Bounds, bin: Option<usize>| {
        let mut row = [vec![zero; 1 + 3 * parts], vec![zero; 1 + 3 * parts]];
        for (row, by_all) in row.iter_mut().zip([&bounds.image, &bounds.log]) {
            row[0] = by_all[by::X];
            let Some(bin) = bin else { continue };
            for end in 0..2 {
                let at = column(bin + end);
                row[1 + at] = by_all[by::KNOT_X[end]];
                row[1 + parts + at] = by_all[by::KNOT_Y[end]];
                row[1 + 2 * parts + at] = by_all[by::DERIVATIVE[end]];
            }
        }
        for (all, row) in [&mut image, &mut log].into_iter().zip(&row) {
            all.iter_mut().zip(row).for_each(|(all, one)| *all = all.hull(*one));
        }
    };
    if beyond {
        take(&Bounds::identity(), None);
    }
    let mut height: f64 = 0.0;
    for &k in &candidates {
        let hull = |pair: &Pair| Interval::new(pair.hull().0, pair.hull().1);
        let bin = Bin {
            w: widths.sizes[k],
            h: heights.sizes[k],
            d0: hull(&pairs[column(k)]),
            d1: hull(&pairs[column(k + 1)]),
        };
        // From both ends.
        let left = (Interval::new(low, high) - widths.edges[k]) / bin.w;
        let right = (widths.edges[k + 1] - Interval::new(low, high)) / bin.w;
        let u = Interval::new(left.low.max(1.0 - right.high), left.high.min(1.0 - right.low));
        let u = Interval::new(u.low.clamp(0.0, 1.0), u.high.clamp(0.0, 1.0));
        let bounds = bin.over(Interval::new(u.low.min(u.high), u.high));
        take(&bounds, Some(k));
        height = height.max(bin.h.high);
        all = Some(all.map_or(bounds, |all| all.hull(&bounds)));
    }
    let all = all.ok_or("a value in no bin of a spline")?;

    // The exact image about the middle of everything.
    let center = Center::new(spline, x, raw);
    let forms: Vec<&Pair> = std::iter::once(x)
        .chain(knots.iter().map(|&k| &widths.knots[k]))
        .chain(knots.iter().map(|&k| &heights.knots[k]))
        .chain(&pairs)
        .collect();
    let at: Vec<f64> = std::iter::once(center.x)
        .chain(knots.iter().map(|&k| center.knots_x[k]))
        .chain(knots.iter().map(|&k| center.knots_y[k]))
        .chain(knots.iter().map(|&k| center.derivatives[k]))
        .collect();
    let constant = center.image() - image.iter().zip(&at).map(|(i, at)| i.middle() * at).sum::<f64>();
    let value = Form::sum(image.iter().zip(&forms).map(|(i, p)| (i.middle(), &p.value)), constant);
    let away = |p: &Pair, at: f64| (p.value.low() - at).abs().max((p.value.high() - at).abs());
    let curved: f64 = image.iter().zip(&forms).zip(&at).map(|((i, p), &at)| i.spread() * away(p, at)).sum();
    // Monotone: within the ends of the bins.
    let (bottom, top) = {
        let edges = &heights.edges;
        let bottom = candidates.iter().map(|&k| edges[k].low).fold(f64::INFINITY, f64::min);
        let top = candidates.iter().map(|&k| edges[k + 1].high).fold(f64::NEG_INFINITY, f64::max);
        let (bottom, top) = (bottom.clamp(-outer, outer), top.clamp(-outer, outer));
        (if beyond { bottom.min(low) } else { bottom }, if beyond { top.max(high) } else { top })
    };
    let value = value.widened(curved, symbols).within(bottom, top);

    let difference = |by_all: &[Interval], local: f64, symbols: &mut Symbols| {
        let spread: f64 = by_all.iter().zip(&forms).map(|(i, p)| i.spread() * p.error.size()).sum();
        Form::sum(by_all.iter().zip(&forms).map(|(i, p)| (i.middle(), &p.error)), 0.0)
            .widened(spread + local, symbols)
    };
    let [uneven_q, uneven_n] = all.unevenness.map(|u| SPLINE_MASS * u);
    let local = HALF_UNIT
        + 2.0 * outer * RATIO_ABSOLUTE
        + height * (RATIO_ABSOLUTE + 2.0 * uneven_q)
        + all.image_by_share * RATIO_ABSOLUTE;
    // Both lie in the box wherever the readings do.
    let local = local.min(2.0 * outer);
    let error = difference(&image, local, symbols);
    let ends = ((bottom - local).max(bottom.min(-outer)), (top + local).min(top.max(outer)));
    let z = Pair::new(value, error, ends);

    // Six logarithms of numbers that were cut to 32 bits, two of them doubled.
    let local_log = HALF_UNIT
        + 6.0 * LN_2 * LOG2_ABSOLUTE
        + 1.01 * (2.0 * uneven_q + uneven_n)
        + all.log_by_share * RATIO_ABSOLUTE;
    let error = difference(&log, local_log, symbols);
    let logs = all.log_slope.widened(1e-12);
    let log = Pair::new(
        Form::interval(logs.low, logs.high, symbols),
        error,
        (logs.low - local_log, logs.high + local_log),
    );
    Ok((z, log))
}

/// The derivative at an inner knot.
fn slope(spline: &Spline, raw: &Pair, symbols: &mut Symbols) -> Pair {
    match spline.parameters {
        SplineParameters::Softplus => {
            let floor = floor(spline.min_derivative);
            let softplus = |x: f64| floor.0 + x.max(0.0) + (-x.abs()).exp().ln_1p();
            let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
            let slopes = |low: f64, high: f64| (sigmoid(low) - 1e-15, sigmoid(high) + 1e-15);
            let most = softplus(raw.hull().1);
            let local = SOFTPLUS_ABSOLUTE.min(SOFTPLUS_RELATIVE * most) + SOFTPLUS_FLOOR;
            let local = local + (floor.1 - floor.0).abs() + most * 0.5f64.powi(31);
            raw.curve(&Curve { f: &softplus, slopes: &slopes }, local, symbols)
                .no_less_than(0.5 * floor.0.min(floor.1))
        }
        SplineParameters::SoftClipped => {
            let limit = -(0.001f64.ln());
            let local = HALF_UNIT + limit * RATIO_ABSOLUTE + 1.01 * (limit - CLIP_OF_DERIVATIVES).abs();
            let clipped = clip(raw, limit, local, symbols);
            let slopes = |low: f64, high: f64| (low.exp(), high.exp());
            let local = EXP_RELATIVE * clipped.hull().1.exp();
            clipped.curve(&Curve { f: &f64::exp, slopes: &slopes }, local, symbols).no_less_than(5e-4)
        }
    }
}

/// `x / (1 + |x| / limit)`.
fn clip(raw: &Pair, limit: f64, local: f64, symbols: &mut Symbols) -> Pair {
    let f = |x: f64| x / (1.0 + x.abs() / limit);
    let slope = |x: f64| (1.0 + x.abs() / limit).powi(-2);
    let slopes = |low: f64, high: f64| {
        let nearest = if low <= 0.0 && high >= 0.0 { 0.0 } else { low.abs().min(high.abs()) };
        (slope(low).min(slope(high)), slope(nearest))
    };
    raw.curve(&Curve { f: &f, slopes: &slopes }, local, symbols)
}

/// A minimum, exact and as stored.
fn floor(minimum: f32) -> (f64, f64) {
    let exact = f64::from(minimum);
    let stored = (exact * 30f64.exp2()).round() / 30f64.exp2();
    (exact.max(LEAST), stored.max(LEAST))
}

/// The knots along an axis.
struct Axis {
    /// `-bound` to `bound`.
    knots: Vec<Pair>,
    /// Bounds of both, exact and fixed-point knots.
    edges: Vec<Interval>,
    /// Bounds of the bins' sizes, likewise.
    sizes: Vec<Interval>,
}

impl Axis {
    fn new(spline: &Spline, raws: &[Pair], symbols: &mut Symbols) -> Self {
        let bins = raws.len();
        let count = bins as f64;
        let is_clipped = spline.parameters == SplineParameters::SoftClipped;
        let clipped: Vec<Pair>;
        let raws = if is_clipped {
            let limit = -0.5 * 0.001f64.ln();
            // In Q20; its constants are exact to 2^-31.
            let local = limit * (RATIO_ABSOLUTE + 0.5f64.powi(30)) + 0.5f64.powi(20);
            clipped = raws.iter().map(|raw| clip(raw, limit, local, symbols)).collect();
            &clipped
        } else {
            raws
        };
        let floor = if is_clipped { (0.0, 0.0) } else { floor(spline.min_bin) };
        let rest = 1.0 - count * floor.0;
        let floor_error = (floor.1 - floor.0).abs();
        let (bound, stored) = (f64::from(spline.bound), fixed(f64::from(spline.bound)));
        let (side, most_side) = (2.0 * bound, 2.0 * bound.max(stored));
        let least_side = 2.0 * bound.min(stored);
        let bound_error = (stored - bound).abs();

        // The shares of both, the exact and the fixed-point spline, but for what the latter rounds.
        let top = raws.iter().map(|p| p.hull().1).fold(f64::NEG_INFINITY, f64::max);
        let mass: Vec<Interval> =
            raws.iter().map(|p| Interval::new((p.hull().0 - top).exp(), (p.hull().1 - top).exp())).collect();
        let sums = |range: std::ops::Range<usize>| {
            mass[range].iter().fold(Interval::point(0.0), |sum, &mass| sum + mass)
        };
        let of = |own: Interval, others: Interval| {
            let part = |a: f64, b: f64| if a > 0.0 { a / (a + b) } else { 0.0 };
            Interval::new(part(own.low, others.high), part(own.high, others.low)).widened(1e-15)
        };
        let shares: Vec<Interval> = (0..bins).map(|k| of(mass[k], sums(0..k) + sums(k + 1..bins))).collect();
        let below: Vec<Interval> = (0..=bins).map(|k| of(sums(0..k), sums(k..bins))).collect();

        // In units of the largest mass.
        let largest = shares.iter().map(|s| s.high).fold(0.0, f64::max).min(1.0);
        let cut = (f64::from(usize::BITS - (bins - 1).leading_zeros()) - 31.0).exp2();
        let absolute = (EXP_NEGATIVE_ABSOLUTE + cut) * largest;
        let edge_rounding = 0.51 * cut * largest;
        let spread = |share: Interval| {
            if share.low <= 0.5 && share.high >= 0.5 {
                0.25
            } else {
                let at = |s: f64| s * (1.0 - s).max(0.0);
                at(share.low).max(at(share.high))
            }
        };
        // Of a sum of `own` masses that is this share of all.
        let masses_error = |share: Interval, own: f64| {
            let relative = 2.0 * EXP_NEGATIVE_RELATIVE * spread(share);
            let cuts = absolute * ((1.0 - share.low) * own + share.high * (count - own));
            1.01 * rest * (relative + cuts) + 1.01 * floor_error * count
        };
        let size = |share: &Interval| {
            let error = masses_error(*share, 1.0) + 2.0 * edge_rounding;
            let share = (*share * rest + Interval::point(floor.0)).widened(error);
            Interval::new(share.low * least_side, share.high * most_side)
        };
        let sizes: Vec<Interval> = shares.iter().map(size).collect();

        let center: Vec<f64> = raws.iter().map(middle).collect();
        let central = cumulated(&center);
        let knot = |k: usize| {
            let at = Interval::new(below[k].low.clamp(0.0, 1.0), below[k].high.clamp(0.0, 1.0));
            let others = Interval::new(1.0 - at.high, 1.0 - at.low);
            // A mass moves all that lies on the other side of the knot.
            let by = |j: usize| if j < k { shares[j] * others } else { -(shares[j] * at) };
            let slopes: Vec<Interval> = (0..bins).map(by).collect();
            let (mut curved, mut spread) = (0.0, 0.0);
            let mut constant = central[k];
            for ((slope, raw), &center) in slopes.iter().zip(raws).zip(&center) {
                let away = (raw.value.low() - center).abs().max((raw.value.high() - center).abs());
                curved += slope.spread() * away;
                spread += slope.spread() * raw.error.size();
                constant -= slope.middle() * center;
            }
            let factors = || slopes.iter().map(|slope| side * rest * slope.middle());
            let value = Form::sum(
                factors().zip(raws).map(|(f, p)| (f, &p.value)),
                side * (rest * constant + k as f64 * floor.0) - bound,
            );
            let value = value.blurred(side * rest * curved + 1e-14 * side);
            let place = |c: f64| side * (rest * c + k as f64 * floor.0) - bound;
            let value = value.within(place(at.low) - 1e-14 * side, place(at.high) + 1e-14 * side);
            let error = Form::sum(factors().zip(raws).map(|(f, p)| (f, &p.error)), 0.0);
            let local = masses_error(at, k as f64) + edge_rounding;
            let error = error.blurred(side * (rest * spread + local) + 1.01 * bound_error);
            Pair::new(value, error, UNBOUNDED)
        };
        let end = |sign: f64| {
            Pair::new(Form::constant(sign * bound), Form::constant(sign * (stored - bound)), UNBOUNDED)
        };
        let inner = (1..bins).map(knot);
        let knots: Vec<Pair> = std::iter::once(end(-1.0)).chain(inner).chain([end(1.0)]).collect();
        let edges = knots.iter().map(|p| Interval::new(p.hull().0, p.hull().1)).collect();
        Axis { knots, edges, sizes }
    }
}

/// A number that the exact value may be.
fn middle(p: &Pair) -> f64 {
    0.5 * (p.value.low() + p.value.high())
}

/// Shares of the exponentials before each bin, and one behind the last.
fn cumulated(raw: &[f64]) -> Vec<f64> {
    let top = raw.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = raw.iter().map(|r| (r - top).exp()).sum();
    let mut sum = 0.0;
    let inner = raw.iter().map(|r| {
        sum += (r - top).exp();
        sum / total
    });
    std::iter::once(0.0).chain(inner).collect()
}

/// The spline of the middles of all raw parameters, at the middle of `x`.
struct Center {
    x: f64,
    knots_x: Vec<f64>,
    knots_y: Vec<f64>,
    derivatives: Vec<f64>,
}

impl Center {
    fn new(spline: &Spline, x: &Pair, raw: &[Pair]) -> Self {
        let bins = spline.bins;
        let raw: Vec<f64> = raw.iter().map(middle).collect();
        let bound = f64::from(spline.bound);
        let limit = -(0.001f64.ln());
        let clip = |x: f64, limit: f64| x / (1.0 + x.abs() / limit);
        let is_clipped = spline.parameters == SplineParameters::SoftClipped;
        let floor_of_bins = if is_clipped { 0.0 } else { floor(spline.min_bin).0 };
        let axis = |raw: &[f64]| -> Vec<f64> {
            let raw: Vec<f64> =
                raw.iter().map(|&r| if is_clipped { clip(r, 0.5 * limit) } else { r }).collect();
            let rest = 1.0 - bins as f64 * floor_of_bins;
            let place = |(k, c): (usize, f64)| 2.0 * bound * (rest * c + k as f64 * floor_of_bins) - bound;
            cumulated(&raw).into_iter().enumerate().map(place).collect()
        };
        let derivative = |&r: &f64| {
            if is_clipped {
                clip(r, limit).exp()
            } else {
                floor(spline.min_derivative).0 + r.max(0.0) + (-r.abs()).exp().ln_1p()
            }
        };
        let one = std::iter::once(1.0);
        Center {
            x: middle(x),
            knots_x: axis(&raw[..bins]),
            knots_y: axis(&raw[bins..2 * bins]),
            derivatives: one.clone().chain(raw[2 * bins..].iter().map(derivative)).chain(one).collect(),
        }
    }

    fn image(&self) -> f64 {
        let bins = self.knots_x.len() - 1;
        if self.x <= self.knots_x[0] || self.x >= self.knots_x[bins] {
            return self.x;
        }
        let k = self.knots_x[1..bins].iter().take_while(|&&knot| self.x >= knot).count();
        let (w, h) = (self.knots_x[k + 1] - self.knots_x[k], self.knots_y[k + 1] - self.knots_y[k]);
        let u = ((self.x - self.knots_x[k]) / w).clamp(0.0, 1.0);
        self.knots_y[k] + h * share(u, h / w, self.derivatives[k], self.derivatives[k + 1])
    }
}
