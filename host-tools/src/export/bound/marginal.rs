//! Maps of single features through knots, joined by straight lines.
//!
//! Their log-slope jumps at each knot. A reading that rounding takes across one therefore changes its score by that jump, in
//! any arithmetic; a box with knots in it has a bound of no less.

use super::budgets::{MARGINAL_IMAGE, MARGINAL_LOG, MARGINAL_STEEP_LOG};
use super::form::Form;
use super::pair::{slope_times, Curve, Pair, UNBOUNDED};
use super::plan::Reason;
use super::walk::Walk;
use crate::export::encode::marginal_shifts;
use crate::flow::{Marginal, MarginalKind, MarginalMap};

/// Slopes beyond 2^±this have the larger budget.
const USUAL_STEEPNESS: f64 = 6.7;

struct Lines<'m> {
    map: &'m MarginalMap,
}

impl Lines<'_> {
    fn knots(&self) -> usize {
        self.map.x.len()
    }

    fn x(&self, k: usize) -> f64 {
        self.map.x[k].into()
    }

    fn y(&self, k: usize) -> f64 {
        self.map.y[k].into()
    }

    /// Of bin `k`: 0 is the left tail, `knots` the right one.
    fn slope(&self, bin: usize) -> f64 {
        match bin {
            0 => self.map.slopes[0].into(),
            k if k == self.knots() => self.map.slopes[1].into(),
            k => (self.y(k) - self.y(k - 1)) / (self.x(k) - self.x(k - 1)),
        }
    }

    fn bin(&self, x: f64) -> usize {
        self.map.x.iter().take_while(|&&knot| x >= f64::from(knot)).count()
    }

    fn image(&self, x: f64) -> f64 {
        let bin = self.bin(x);
        let from = bin.saturating_sub(1);
        self.y(from) + self.slope(bin) * (x - self.x(from))
    }

    /// Bounds of `f` of the slopes over an interval.
    fn over(&self, low: f64, high: f64, f: fn(f64) -> f64) -> (f64, f64) {
        let bins = self.bin(low)..=self.bin(high);
        let all = bins.map(|bin| f(self.slope(bin)));
        all.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), s| (a.min(s), b.max(s)))
    }
}

pub(super) fn apply(t: &Marginal, walk: &mut Walk) -> Result<(), Reason> {
    if t.form != MarginalKind::Linear {
        return Err("a rational-quadratic marginal map".into());
    }
    let (x_shift, y_shift) = marginal_shifts(t).map_err(|e| e.to_string())?;
    // How far stored knots lie from trained ones.
    let moved = |shift: u8| 0.5 * (-16.0 - f64::from(shift)).exp2();
    let (x_moved, y_moved) = (moved(x_shift), moved(y_shift));
    let mut logs = Vec::new();
    let (values, symbols) = walk.active();
    for (pair, map) in values.iter_mut().zip(&t.features) {
        let lines = Lines { map };
        // Knots may have moved towards the values, so look a little further.
        let (low, high) = pair.hull();
        let (low, high) = (low - 2.0 * x_moved, high + 2.0 * x_moved);
        let (least, most) = lines.over(low, high, |s| s);
        let size = lines.image(low).abs().max(lines.image(high).abs());
        let reach = low.abs().max(high.abs());
        let unit = (1.0 + size + most * (1.0 + reach)) / 65536.0;
        // A tail's slope is stored to 2^-22.
        let tails = 0.5f64.powi(22) * reach;
        let local = MARGINAL_IMAGE * unit + y_moved + most * x_moved + tails;
        let knots: Vec<f64> = (0..lines.knots()).map(|k| lines.x(k)).collect();
        let image = |x: f64| lines.image(x);
        let slopes = |low: f64, high: f64| lines.over(low, high, |s| s);
        let value = pair.value.broken(&image, &knots, symbols);
        let image_pair = pair.curve(&Curve { f: &image, slopes: &slopes }, local, symbols);
        let error = slope_times(&pair.error, (least, most), local, symbols);
        let span = image_pair.fixed();

        let steep = lines.over(f64::NEG_INFINITY, f64::INFINITY, |s| s.log2().abs()).1 > USUAL_STEEPNESS;
        let own = if steep { MARGINAL_STEEP_LOG } else { MARGINAL_LOG };
        // By how much stored knots change the logarithm of a bin's slope, tails included.
        let bins = lines.bin(low)..=lines.bin(high);
        let stored = bins.map(|bin| match bin {
            0 => 0.5f64.powi(22) / lines.slope(0),
            k if k == lines.knots() => 0.5f64.powi(22) / lines.slope(k),
            k => {
                let (w, h) = (lines.x(k) - lines.x(k - 1), lines.y(k) - lines.y(k - 1));
                2.2 * (x_moved / w + y_moved / h)
            }
        });
        let own = own + stored.fold(0.0, f64::max);
        let (log_low, log_high) = lines.over(low, high, f64::ln);
        let jump = log_high - log_low;
        logs.push(Pair::new(
            Form::interval(log_low, log_high, symbols),
            Form::constant(0.0).widened(jump + own, symbols),
            UNBOUNDED,
        ));
        *pair = Pair::new(value, error, span);
    }
    logs.iter().for_each(|log| walk.add_log(log));
    Ok(())
}
