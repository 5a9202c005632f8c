//! The logit of bounded integers, continued linearly beyond its margins.

use super::budgets::{HALF_UNIT, LOG2_ABSOLUTE, RATIO_ABSOLUTE, TRUNK_LIMIT};
use super::form::Form;
use super::pair::{slope_times, Curve, Pair, UNBOUNDED};
use super::plan::fixed;
use super::walk::Walk;
use std::f64::consts::LN_2;

pub(super) fn apply(margin: f64, walk: &mut Walk) {
    let stored = fixed(margin);
    let within = |p: f64| p.clamp(margin, 1.0 - margin);
    let slope = |p: f64| 1.0 / (within(p) * (1.0 - within(p)));
    let logit = |p: f64| {
        let edge = within(p);
        (edge / (1.0 - edge)).ln() + slope(p) * (p - edge)
    };
    // Least at a half, or as near to it as may be.
    let nearest = |low: f64, high: f64| 0.5f64.clamp(low, high);
    let slopes = |low: f64, high: f64| {
        let most = slope(low).max(slope(high));
        (slope(nearest(low, high)) * (1.0 - 1e-15), most * (1.0 + 1e-15))
    };
    let log = |p: f64| slope(p).ln();
    // It rises within the margins, and beyond them is level.
    let log_slopes = |low: f64, high: f64| {
        let at = |p: f64| (2.0 * within(p) - 1.0) * slope(p);
        let level = low < margin || high > 1.0 - margin;
        let (least, most) = (at(low), at(high));
        if high < margin || low > 1.0 - margin {
            (0.0, 0.0)
        } else if level {
            (least.min(0.0), most.max(0.0))
        } else {
            (least, most)
        }
    };
    // Two logarithms, rounded once.
    let logarithms = HALF_UNIT + 2.0 * LN_2 * LOG2_ABSOLUTE;
    // What the rounded margin moves: the edge's logarithm, and with it the line behind it.
    let change = 1.01 * (stored - margin).abs() * slope(0.0).max(1.0 / (stored * (1.0 - stored)));
    let mut logs = Vec::new();
    let (values, symbols) = walk.active();
    for pair in values {
        let (low, high) = pair.hull();
        let beyond = (margin - low).max(high - (1.0 - margin)).max(0.0);
        let line = slope(0.0) * (beyond + (stored - margin).abs());
        let local = logarithms + HALF_UNIT + line * (2.0 * RATIO_ABSOLUTE + 1.01 * change);
        let value = pair.value.map(&log, &log_slopes, symbols);
        let error = slope_times(&pair.error, log_slopes(low, high), logarithms + change, symbols);
        logs.push(Pair::new(Form::interval(value.low(), value.high(), symbols), error, UNBOUNDED));
        *pair = pair.curve(&Curve { f: &logit, slopes: &slopes }, local, symbols).cut(TRUNK_LIMIT, symbols);
    }
    logs.iter().for_each(|log| walk.add_log(log));
}
