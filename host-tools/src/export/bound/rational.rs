//! The rational quadratic of a bin (Gregory and Delbourgo 1982), its logarithmic slope, and bounds of what both change by
//! with the reading, the knots and the derivatives at them.
//!
//! With the position `u` in a bin of width `w` and height `h`, `v = 1 - u`, `s = h / w`, and the derivatives `d0`, `d1` at its
//! ends, `D = s (u^2 + v^2) + (d0 + d1) u v` and `m = d1 u^2 + 2 s u v + d0 v^2`,
//!
//! ```text
//! image = y0 + h (s u^2 + d0 u v) / D          slope = s^2 m / D^2
//! ```
//!
//! The slopes of the image by every parameter are quotients of sums of terms of one sign, so that interval arithmetic bounds
//! them well. Image and logarithmic slope are continuous from bin to bin whatever moves, so that a bound over all bins that a
//! point may lie in on its way from one place to another bounds what it changes by.

use super::interval::Interval;

/// Largest part of a bin that is looked at at once.
const PIECE: f64 = 0.125;

/// What an image depends on, in this order.
pub(super) mod by {
    pub(in crate::export::bound) const X: usize = 0;
    /// Left and right knot.
    pub(in crate::export::bound) const KNOT_X: [usize; 2] = [1, 2];
    pub(in crate::export::bound) const KNOT_Y: [usize; 2] = [3, 4];
    pub(in crate::export::bound) const DERIVATIVE: [usize; 2] = [5, 6];
    pub(in crate::export::bound) const COUNT: usize = 7;
}

/// A bin, none of its numbers known exactly; all positive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bin {
    pub(super) w: Interval,
    pub(super) h: Interval,
    pub(super) d0: Interval,
    pub(super) d1: Interval,
}

/// Bounds over a part of a bin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Partial derivatives of the image.
    pub(super) image: [Interval; by::COUNT],
    /// Partial derivatives of the logarithm of the slope.
    pub(super) log: [Interval; by::COUNT],
    /// The logarithm of the slope.
    pub(super) log_slope: Interval,
    /// The largest of `s`, `d0` and `d1` over `D` and over `m`: what a rounding of the largest is worth in the others.
    pub(super) unevenness: [f64; 2],
    /// The logarithmic slope's derivative by the position in the bin.
    pub(super) log_by_share: f64,
    /// The image's.
    pub(super) image_by_share: f64,
}

impl Bounds {
    /// Of the identity beyond a box.
    pub(super) fn identity() -> Self {
        Self::line(1.0)
    }

    /// Of a line that starts at a knot.
    pub(super) fn line(slope: f64) -> Self {
        let zero = Interval::point(0.0);
        let mut image = [zero; by::COUNT];
        image[by::X] = Interval::point(slope);
        Bounds {
            image,
            log: [zero; by::COUNT],
            log_slope: Interval::point(slope.ln()),
            unevenness: [0.0; 2],
            log_by_share: 0.0,
            image_by_share: 0.0,
        }
    }

    pub(super) fn hull(&self, other: &Self) -> Self {
        let all =
            |a: &[Interval; by::COUNT], b: &[Interval; by::COUNT]| std::array::from_fn(|i| a[i].hull(b[i]));
        Bounds {
            image: all(&self.image, &other.image),
            log: all(&self.log, &other.log),
            log_slope: self.log_slope.hull(other.log_slope),
            unevenness: std::array::from_fn(|i| self.unevenness[i].max(other.unevenness[i])),
            log_by_share: self.log_by_share.max(other.log_by_share),
            image_by_share: self.image_by_share.max(other.image_by_share),
        }
    }
}

/// The share of the height at `u`, for numbers that are known.
pub(super) fn share(u: f64, s: f64, d0: f64, d1: f64) -> f64 {
    let v = 1.0 - u;
    let p = s * u * u + d0 * u * v;
    p / (p + s * v * v + d1 * u * v)
}

impl Bin {
    /// Bounds for positions within `u`, 0 to 1.
    pub(super) fn over(&self, u: Interval) -> Bounds {
        let count = ((u.high - u.low) / PIECE).ceil().max(1.0);
        let at = |i: f64| if i >= count { u.high } else { u.low + (u.high - u.low) * (i / count) };
        let piece = |i: usize| self.over_piece(Interval::new(at(i as f64), at(i as f64 + 1.0)));
        (1..count as usize).fold(piece(0), |all, i| all.hull(&piece(i)))
    }

    fn over_piece(&self, u: Interval) -> Bounds {
        let Bin { w, h, d0, d1 } = *self;
        let (s, both) = (h / w, d0 + d1);
        let v = Interval::new(1.0 - u.high, 1.0 - u.low);
        let product = |u: f64| u * (1.0 - u);
        let top = if u.low <= 0.5 && u.high >= 0.5 { 0.25 } else { product(u.low).max(product(u.high)) };
        let uv = Interval::new(product(u.low).min(product(u.high)).max(0.0), top);
        let (uu, vv) = (u.square(), v.square());
        let rest = Interval::new(1.0 - 2.0 * uv.high, 1.0 - 2.0 * uv.low);
        // Both are sums with shares of `u v`, `D` linear and `m` of second order in it.
        let below = |s: f64, both: f64, uv: f64| s * (1.0 - 2.0 * uv) + both * uv;
        let below = Interval::new(
            below(s.low, both.low, uv.low).min(below(s.low, both.low, uv.high)),
            below(s.high, both.high, uv.low).max(below(s.high, both.high, uv.high)),
        );
        let rise = Interval::new(
            ends_of_rise(u, s.low, d0.low, d1.low).low,
            ends_of_rise(u, s.high, d0.high, d1.high).high,
        );
        let squared = below.square();
        let one = Interval::point(1.0);
        let unit = |x: Interval| Interval::new(x.low.max(0.0), x.high.min(1.0));
        // `s / D`, in which nothing is counted twice.
        let mean = |s: f64, both: f64, uv: f64| s / (s * (1.0 - 2.0 * uv) + both * uv);
        let mean = Interval::new(
            mean(s.low, both.high, uv.low).min(mean(s.low, both.high, uv.high)),
            mean(s.high, both.low, uv.low).max(mean(s.high, both.low, uv.high)),
        );
        let mean_squared = mean.square();
        let slope = mean_squared * rise;

        let mut image = [slope; by::COUNT];
        let left = d0 * v * (one + u) + s * u * 2.0 + d1 * uu;
        let right = d1 * u * (one + v) + s * v * 2.0 + d0 * vv;
        image[by::KNOT_X[0]] = -(mean_squared * vv * left);
        image[by::KNOT_X[1]] = -(mean_squared * uu * right);
        let common = s.square() * rest + s * both * uv * 2.0;
        image[by::KNOT_Y[0]] = unit(vv * (common + d1 * both * uu) / squared);
        image[by::KNOT_Y[1]] = unit(uu * (common + d0 * both * vv) / squared);
        let rest_of_height = w * mean * uv;
        image[by::DERIVATIVE[0]] = rest_of_height * unit((s * vv + d1 * uv) / below);
        image[by::DERIVATIVE[1]] = -(rest_of_height * unit((s * uu + d0 * uv) / below));

        let mut log = image;
        let by_share = ((d1 - s) * u + (s - d0) * v) * 2.0 / rise - (both - s * 2.0) * (v - u) * 2.0 / below;
        let by_mean = unit(both * uv / below) * 2.0 + unit(s * uv * 2.0 / rise);
        log[by::X] = by_share / w;
        log[by::KNOT_X[0]] = (by_mean - v * by_share) / w;
        log[by::KNOT_X[1]] = -((by_mean + u * by_share) / w);
        log[by::KNOT_Y[0]] = -(by_mean / h);
        log[by::KNOT_Y[1]] = by_mean / h;
        log[by::DERIVATIVE[0]] = vv / rise - uv * 2.0 / below;
        log[by::DERIVATIVE[1]] = uu / rise - uv * 2.0 / below;

        let largest = s.high.max(d0.high).max(d1.high);
        Bounds {
            image,
            log,
            log_slope: mean.ln() * 2.0 + rise.ln(),
            unevenness: [largest / below.low, largest / rise.low],
            log_by_share: by_share.size(),
            image_by_share: slope.high * w.high,
        }
    }
}

/// Bounds of `d1 u^2 + 2 s u v + d0 v^2` over `u`.
fn ends_of_rise(u: Interval, s: f64, d0: f64, d1: f64) -> Interval {
    let at = |u: f64| Interval::point(d1 * u * u + 2.0 * s * u * (1.0 - u) + d0 * (1.0 - u) * (1.0 - u));
    let ends = at(u.low).hull(at(u.high));
    let turn = (d0 - s) / (d0 + d1 - 2.0 * s);
    if u.low < turn && turn < u.high {
        ends.hull(at(turn))
    } else {
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Image and logarithmic slope, in the formulas of Durkan et al. 2019.
    fn exact(p: &[f64; by::COUNT]) -> (f64, f64) {
        let [x, x0, x1, y0, y1, d0, d1] = *p;
        let (w, h, t) = (x1 - x0, y1 - y0, (x - x0) / (x1 - x0));
        let s = h / w;
        let below = s + (d0 + d1 - 2.0 * s) * t * (1.0 - t);
        let above = d1 * t * t + 2.0 * s * t * (1.0 - t) + d0 * (1.0 - t) * (1.0 - t);
        (y0 + h * (s * t * t + d0 * t * (1.0 - t)) / below, (s * s * above / (below * below)).ln())
    }

    /// Partial derivatives are those of finite differences, and bounds over intervals hold all within them.
    #[test]
    fn slopes_bound_differences() {
        let mut state = 5u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        for round in 0..2000 {
            let wide = if round % 2 == 0 { 0.0 } else { 0.3 };
            let mut positive = || (4.0 * uniform() - 2.0).exp();
            let (w, h, d0, d1) = (positive(), positive(), positive(), positive());
            let around = |x: f64| Interval::new(x * (1.0 - wide), x * (1.0 + wide));
            let bin = Bin { w: around(w), h: around(h), d0: around(d0), d1: around(d1) };
            let middle = 0.05 + 0.9 * uniform();
            let u = if wide == 0.0 {
                Interval::point(middle)
            } else {
                Interval::new((middle - 0.2).max(0.001), (middle + 0.2).min(0.999))
            };
            let bounds = bin.over(u);
            for _ in 0..10 {
                let mut within = |i: Interval| i.low + (i.high - i.low) * uniform();
                let (w, h, d0, d1, u) =
                    (within(bin.w), within(bin.h), within(bin.d0), within(bin.d1), within(u));
                let point = [0.3 + u * w, 0.3, 0.3 + w, -0.7, -0.7 + h, d0, d1];
                let (image, log) = exact(&point);
                assert!((-0.7 + h * share(u, h / w, d0, d1) - image).abs() < 1e-12 * (1.0 + h));
                let slack = 1e-12 * (1.0 + log.abs());
                assert!(bounds.log_slope.low - slack <= log && log <= bounds.log_slope.high + slack);
                for i in 0..by::COUNT {
                    let step = 1e-6 * w.min(h).min(d0).min(d1);
                    let moved = |sign: f64| {
                        let mut other = point;
                        other[i] += sign * step;
                        exact(&other)
                    };
                    let (up, down) = (moved(1.0), moved(-1.0));
                    for (found, bound) in [
                        ((up.0 - down.0) / (2.0 * step), bounds.image[i]),
                        ((up.1 - down.1) / (2.0 * step), bounds.log[i]),
                    ] {
                        let slack = 2e-4 * (1.0 + found.abs()) + 1e-9 / step;
                        assert!(
                            bound.low - slack <= found && found <= bound.high + slack,
                            "{i}: {found} of {bound:?}"
                        );
                    }
                }
            }
        }
    }
}
