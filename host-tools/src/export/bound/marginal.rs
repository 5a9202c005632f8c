//! Maps of single features through knots.
//!
//! The log-slope of straight lines jumps at each knot. A reading that rounding takes across one therefore changes its score by
//! that jump, in any arithmetic; a box with knots in it has a bound of no less. That of rational quadratics is continuous.

use super::budgets::{HALF_UNIT, LOG2_ABSOLUTE, MARGINAL_MASS, RATIO_ABSOLUTE, TRUNK_LIMIT};
use super::form::Form;
use super::interval::Interval;
use super::pair::{slope_times, Pair};
use super::plan::Reason;
use super::rational::{by, share, Bin, Bounds};
use super::walk::Walk;
use crate::export::encode::marginal_shifts;
use crate::flow::{Marginal, MarginalKind, MarginalMap};
use std::f64::consts::LN_2;

/// A slope is stored with 21 bits of fraction.
const SLOPE_MOVED: f64 = 1.0 / 4_194_304.0;

struct Map<'m> {
    map: &'m MarginalMap,
    form: MarginalKind,
    /// How far stored knots may lie from trained ones.
    moved: [f64; 2],
    /// Rounding of the image to the units of the knots.
    knot_rounding: f64,
}

/// What the fixed-point map may add to image and log-slope, within some bins.
#[derive(Clone, Copy, Default)]
struct Local {
    image: f64,
    log: f64,
}

impl Map<'_> {
    fn knots(&self) -> usize {
        self.map.x.len()
    }

    fn x(&self, k: usize) -> f64 {
        self.map.x[k].into()
    }

    fn y(&self, k: usize) -> f64 {
        self.map.y[k].into()
    }

    /// Of bin 0, the left tail, and of bin `knots`, the right one.
    fn tail(&self, bin: usize) -> Option<f64> {
        let slopes = &self.map.slopes;
        match bin {
            0 => Some(slopes[0].into()),
            k if k == self.knots() => slopes.last().map(|&s| s.into()),
            _ => None,
        }
    }

    fn size(&self, bin: usize) -> (f64, f64) {
        (self.x(bin) - self.x(bin - 1), self.y(bin) - self.y(bin - 1))
    }

    fn bin(&self, x: f64) -> usize {
        self.map.x.iter().take_while(|&&knot| x >= f64::from(knot)).count()
    }

    fn image(&self, x: f64) -> f64 {
        let bin = self.bin(x);
        let from = bin.saturating_sub(1);
        let past = x - self.x(from);
        if let Some(slope) = self.tail(bin) {
            return self.y(from) + slope * past;
        }
        let (w, h) = self.size(bin);
        let u = past / w;
        self.y(from)
            + h * match self.form {
                MarginalKind::Linear => u,
                MarginalKind::RationalQuadratic => {
                    let slope = |k: usize| f64::from(self.map.slopes[k]);
                    share(u, h / w, slope(bin - 1), slope(bin))
                }
            }
    }

    /// What a bin gives between `low` and `high`, and what the fixed-point one does beside it.
    fn within(&self, bin: usize, low: f64, high: f64) -> Option<(Bounds, Local)> {
        let [x_moved, y_moved] = self.moved;
        let rounding = HALF_UNIT + self.knot_rounding;
        // The quotient that it is of errs too.
        let log_rounding = HALF_UNIT + LN_2 * LOG2_ABSOLUTE + 2.0 * RATIO_ABSOLUTE;
        if let Some(slope) = self.tail(bin) {
            let end = self.x(bin.saturating_sub(1));
            let past = if bin == 0 { end - low } else { high - end } + x_moved;
            let of_slope = SLOPE_MOVED * past + x_moved * (slope + SLOPE_MOVED) + y_moved;
            let local = Local {
                image: rounding + 0.5f64.powi(29) * slope * past + of_slope,
                log: log_rounding + 1.01 * SLOPE_MOVED / slope,
            };
            return Some((Bounds::line(slope), local));
        }
        let (w, h) = self.size(bin);
        let around = |x: f64, by: f64| Interval::new(x - by, x + by);
        let (wide, high_by) = (around(w, 2.0 * x_moved), around(h, 2.0 * y_moved));
        if wide.low <= 0.0 || high_by.low <= 0.0 {
            return None;
        }
        if self.form == MarginalKind::Linear {
            let slope = h / w;
            let moved = (high_by / wide).high * x_moved + y_moved;
            let of_log = (high_by / wide).ln();
            let local = Local {
                image: rounding + h * 2.0 * RATIO_ABSOLUTE + 2.0 * moved,
                log: log_rounding + (of_log.high - slope.ln()).max(slope.ln() - of_log.low),
            };
            return Some((Bounds::line(slope), local));
        }
        let slope = |k: usize| around(self.map.slopes[k].into(), SLOPE_MOVED);
        let shape = Bin { w: wide, h: high_by, d0: slope(bin - 1), d1: slope(bin) };
        let left = (Interval::new(low, high) - around(self.x(bin - 1), x_moved)) / wide;
        let u = Interval::new(left.low.clamp(0.0, 1.0), left.high.clamp(0.0, 1.0));
        let bounds = shape.over(u);
        let moved = |by_all: &[Interval; by::COUNT]| {
            let sum = |two: [usize; 2]| by_all[two[0]].size() + by_all[two[1]].size();
            sum(by::KNOT_X) * x_moved + sum(by::KNOT_Y) * y_moved + sum(by::DERIVATIVE) * SLOPE_MOVED
        };
        let [uneven_q, uneven_n] = bounds.unevenness.map(|u| MARGINAL_MASS * u);
        let local = Local {
            image: rounding
                + high_by.high * (2.0 * RATIO_ABSOLUTE + 2.0 * uneven_q)
                + bounds.image_by_share * RATIO_ABSOLUTE
                + moved(&bounds.image),
            // Logarithms of h / w, h, the numerator and twice the denominator.
            log: log_rounding
                + 4.0 * LN_2 * LOG2_ABSOLUTE
                + 1.01 * (2.0 * uneven_q + uneven_n)
                + bounds.log_by_share * RATIO_ABSOLUTE
                + moved(&bounds.log),
        };
        Some((bounds, local))
    }

    /// The same over all bins from `low` to `high`, and a little to both sides, where knots may have moved to.
    fn over(&self, low: f64, high: f64) -> Option<(Bounds, Local)> {
        let (low, high) = (low - 2.0 * self.moved[0], high + 2.0 * self.moved[0]);
        let bins = self.bin(low)..=self.bin(high);
        bins.map(|bin| self.within(bin, low, high)).reduce(|all, one| {
            let ((all, most), (one, local)) = (all?, one?);
            let most = Local { image: most.image.max(local.image), log: most.log.max(local.log) };
            Some((all.hull(&one), most))
        })?
    }
}

pub(super) fn apply(t: &Marginal, walk: &mut Walk) -> Result<(), Reason> {
    let (x_shift, y_shift) = marginal_shifts(t).map_err(|e| e.to_string())?;
    let moved = |shift: u8| 0.5 * (-16.0 - f64::from(shift)).exp2();
    let moved = [moved(x_shift), moved(y_shift)];
    let mut logs = Vec::new();
    let (values, symbols) = walk.active();
    for (pair, map) in values.iter_mut().zip(&t.features) {
        let map = Map { map, form: t.form, moved, knot_rounding: moved[1] };
        let (low, high) = pair.hull();
        let too_fine = "a marginal map whose knots lie closer than fixed point tells apart";
        let (bounds, local) = map.over(low, high).ok_or(too_fine)?;
        let image = |x: f64| map.image(x);
        let slope = bounds.image[by::X];
        let (value, log_error) = match t.form {
            MarginalKind::Linear => {
                let knots: Vec<f64> = (0..map.knots()).map(|k| map.x(k)).collect();
                let jump = bounds.log_slope.high - bounds.log_slope.low;
                let error = Form::constant(0.0).widened(jump + local.log, symbols);
                (pair.value.broken(&image, &knots, symbols), error)
            }
            MarginalKind::RationalQuadratic => {
                let slopes = |low: f64, high: f64| match map.over(low, high) {
                    Some((bounds, _)) => (bounds.image[by::X].low, bounds.image[by::X].high),
                    None => (slope.low, slope.high),
                };
                let bend = bounds.log[by::X];
                let error = slope_times(&pair.error, (bend.low, bend.high), local.log, symbols);
                (pair.value.map(&image, &slopes, symbols), error)
            }
        };
        let log = bounds.log_slope.widened(1e-12);
        let ends = (log.low - local.log, log.high + local.log);
        logs.push(Pair::new(Form::interval(log.low, log.high, symbols), log_error, ends));
        let error = slope_times(&pair.error, (slope.low, slope.high), local.image, symbols);
        let (low, high) = pair.fixed();
        let ends = (image(low) - local.image, image(high) + local.image);
        *pair = Pair::new(value, error, ends).cut(TRUNK_LIMIT, symbols);
    }
    logs.iter().for_each(|log| walk.add_log(log));
    Ok(())
}
