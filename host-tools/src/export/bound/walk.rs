//! A box of readings through a flow.

use super::budgets::{
    EXP_RELATIVE, HALF_UNIT, LN_ABSOLUTE, LOG_SIGMOID, READING_LIMIT, SCORE_RELATIVE, SOFT_SIGN_PER_CLAMP,
    TANH_ABSOLUTE, TRUNK_LIMIT,
};
use super::form::{Form, Symbols};
use super::net::tanh_slopes;
use super::pair::{slope_times, span, Curve, Pair, UNBOUNDED};
use super::plan::{fixed, CouplingPlan, Plan, Reason, Step};
use crate::flow::{CouplingMap, ScaleMap};

/// Symbols that outlive a coupling.
const KEPT_SYMBOLS: usize = 256;

/// Where a walk is.
pub(super) struct Walk {
    pub(super) symbols: Symbols,
    /// Features, then context.
    pub(super) values: Vec<Pair>,
    features: usize,
    active: usize,
    /// Of the fixed-point log-density against the exact one, so far.
    pub(super) log_error: Form,
    /// Bounds of the exact log-determinant.
    log_det: (f64, f64),
}

/// A bound of `|fixed - exact|` over the readings `low..=high`, in nats.
pub(super) fn over(plan: &Plan, low: &[f64], high: &[f64]) -> Result<f64, Reason> {
    let mut walk = Walk::new(plan, low, high)?;
    for step in &plan.steps {
        walk.step(step)?;
    }
    walk.finish(plan)
}

impl Walk {
    fn new(plan: &Plan, low: &[f64], high: &[f64]) -> Result<Self, Reason> {
        let mut symbols = Symbols::default();
        let mut values = Vec::new();
        for i in 0..plan.mean.len() {
            let at = |x: f64| (x - plan.mean[i]) / plan.std[i];
            let (low, high) = (at(low[i]), at(high[i]));
            let size = low.abs().max(high.abs());
            if size >= READING_LIMIT {
                return Err("readings that saturate".into());
            }
            let value = Form::interval(low, high, &mut symbols);
            // Reading and centre are rounded to std / 2^20 each, the multiplier to 2^-23 of itself.
            let error = 1.0 / 1_048_576.0 + size / 8_388_608.0 + HALF_UNIT;
            values.push(Pair::new(value, Form::constant(0.0).widened(error, &mut symbols), UNBOUNDED));
        }
        Ok(Walk {
            symbols,
            values,
            features: plan.features,
            active: plan.features,
            log_error: Form::constant(0.0),
            log_det: (plan.log_det, plan.log_det),
        })
    }

    fn step(&mut self, step: &Step) -> Result<(), Reason> {
        match step {
            Step::SoftTail { knee, fixed_knee } => self.soft_tail(*knee, *fixed_knee),
            Step::Order(order) => {
                let moved: Vec<Pair> = order.iter().map(|&from| self.values[from].clone()).collect();
                self.values[..order.len()].clone_from_slice(&moved);
            }
            Step::Keep(keep) => self.active = *keep,
            Step::Affine(pairs) => {
                for (pair, [exact, stored]) in self.values.iter_mut().zip(pairs) {
                    let moved = [(stored.gain, &pair.error), (stored.gain - exact.gain, &pair.value)];
                    let error = Form::sum(moved.into_iter(), stored.shift - exact.shift);
                    let value = pair.value.scaled(exact.gain, exact.shift);
                    let bounds = span(std::iter::once((stored.gain, pair.fixed())), stored.shift, HALF_UNIT);
                    let error = error.widened(HALF_UNIT, &mut self.symbols);
                    let next = Pair::new(value, error, bounds);
                    let (low, high) = pair.fixed();
                    let reach = stored.gain.abs() * low.abs().max(high.abs());
                    *pair = if reach + stored.shift.abs() < TRUNK_LIMIT {
                        next
                    } else {
                        next.doubted(&mut self.symbols)
                    };
                }
            }
            Step::Matrix(matrix) => {
                for row in &matrix.rows {
                    let exact = row.exact.iter().map(|&(from, w)| (w, &self.values[from].value));
                    let value = Form::sum(exact.clone(), row.shift[0]);
                    let moved = row.fixed.iter().map(|&(from, w)| (w, &self.values[from].error));
                    let changed = row
                        .fixed
                        .iter()
                        .zip(&row.exact)
                        .map(|(&(from, f), &(_, e))| (f - e, &self.values[from].value));
                    let error = Form::sum(moved.chain(changed), row.shift[1] - row.shift[0]);
                    // A gain and a sum, each rounded.
                    let error = error.widened(2.0 * HALF_UNIT, &mut self.symbols);
                    let spans = row.fixed.iter().map(|&(from, w)| (w, self.values[from].fixed()));
                    let bounds = span(spans, row.shift[1], 2.0 * HALF_UNIT);
                    let largest = |&(from, w): &(usize, f64)| {
                        let (low, high) = self.values[from].fixed();
                        w.abs() * low.abs().max(high.abs())
                    };
                    let reach: f64 = row.fixed.iter().map(largest).sum();
                    let pair = Pair::new(value, error, bounds);
                    self.values[row.to] = if reach + row.shift[1].abs() < TRUNK_LIMIT {
                        pair
                    } else {
                        pair.doubted(&mut self.symbols)
                    };
                }
            }
            Step::Marginal(t) => super::marginal::apply(t, self)?,
            Step::Logit(margin) => super::logit::apply(*margin, self),
            Step::Coupling(c) => self.couple(c)?,
        }
        Ok(())
    }

    /// The active values, the symbols, and a way to add to the log-determinant.
    pub(super) fn active(&mut self) -> (&mut [Pair], &mut Symbols) {
        (&mut self.values[..self.active], &mut self.symbols)
    }

    /// Adds a log-derivative.
    pub(super) fn add_log(&mut self, log: &Pair) {
        self.log_error = self.log_error.plus(&log.error);
        self.log_det = (self.log_det.0 + log.value.low(), self.log_det.1 + log.value.high());
    }

    fn soft_tail(&mut self, knee: f64, fixed_knee: f64) {
        let tail = |x: f64| {
            let beyond = x.abs() - knee;
            if beyond > 0.0 {
                (knee + beyond.ln_1p()).copysign(x)
            } else {
                x
            }
        };
        let slope = |x: f64| 1.0 / (1.0 + (x.abs() - knee).max(0.0));
        let slopes = |low: f64, high: f64| {
            let nearest = if low <= 0.0 && high >= 0.0 { 0.0 } else { low.abs().min(high.abs()) };
            (slope(low).min(slope(high)), slope(nearest))
        };
        let log = |x: f64| -(x.abs() - knee).max(0.0).ln_1p();
        // Its slope is -sign(x) times that of the tail, or zero.
        let log_slopes = |low: f64, high: f64| {
            let least = if high > knee {
                -slope(low.max(knee))
            } else if high < -knee {
                slope(low)
            } else {
                0.0
            };
            let most = if low < -knee {
                slope(high.min(-knee))
            } else if low > knee {
                -slope(high)
            } else {
                0.0
            };
            (least, most)
        };
        // A knee that is rounded moves value and logarithm by no more than itself.
        let local = LN_ABSOLUTE + HALF_UNIT + 2.0 * (fixed_knee - knee).abs();
        let mut logs = Vec::new();
        for pair in &mut self.values[..self.active] {
            let (low, high) = pair.hull();
            if low >= -knee.min(fixed_knee) && high <= knee.min(fixed_knee) {
                continue;
            }
            let symbols = &mut self.symbols;
            let moved = pair.curve(&Curve { f: &tail, slopes: &slopes }, local, symbols);
            let value = pair.value.map(&log, &log_slopes, symbols);
            // Beyond the knee the logarithm is what the value grew by, errors included.
            let sure = low.abs().min(high.abs()) > knee.max(fixed_knee) && low * high > 0.0;
            let error = if sure {
                moved.error.scaled(-low.signum(), 0.0).widened((fixed_knee - knee).abs(), symbols)
            } else {
                slope_times(&pair.error, log_slopes(low, high), local, symbols)
            };
            logs.push(Pair::new(value, error, UNBOUNDED));
            *pair = moved.renewed(symbols);
        }
        logs.iter().for_each(|log| self.add_log(log));
    }

    fn couple(&mut self, c: &CouplingPlan) -> Result<(), Reason> {
        let (front, rest) = self.values[..self.active].split_at(c.split);
        let given = if c.first { front } else { rest };
        let context = &self.values[self.features..];
        let symbols = &mut self.symbols;
        let inputs: Vec<Pair> = given
            .iter()
            .chain(context)
            .map(|p| p.saturated(c.limit, c.fixed_limit, 0.5 * c.unit, symbols).renewed(symbols))
            .collect();
        let outputs = c.net.run(inputs, symbols);
        let range = if c.first { c.split..self.active } else { 0..c.split };
        let moved = range.len();
        let mut logs = Vec::new();
        for (k, index) in range.enumerate() {
            let symbols = &mut self.symbols;
            let pair = &self.values[index];
            self.values[index] = match &c.map {
                CouplingMap::Additive => {
                    let shift = &outputs[k];
                    Pair::new(
                        pair.value.plus(&shift.value),
                        pair.error.plus(&shift.error),
                        span([(1.0, pair.fixed()), (1.0, shift.fixed())].into_iter(), 0.0, 0.0),
                    )
                }
                CouplingMap::Affine { scale } => {
                    let log = log_scale(*scale, &outputs[moved + k], symbols);
                    let mapped = affine(pair, &outputs[k], &log, symbols);
                    logs.push(log);
                    mapped
                }
                CouplingMap::Spline(spline) => {
                    let each = c.map.outputs_per_feature();
                    let (mapped, log) =
                        super::spline::apply(spline, pair, &outputs[k * each..][..each], symbols)?;
                    logs.push(log);
                    mapped
                }
            }
            .cut(TRUNK_LIMIT, symbols)
            .renewed(symbols);
        }
        logs.iter().for_each(|log| self.add_log(log));
        let live = self.values.iter_mut().flat_map(|p| [&mut p.value, &mut p.error]);
        let mut live: Vec<&mut Form> = live.chain([&mut self.log_error]).collect();
        Form::condense(&mut live, KEPT_SYMBOLS, &mut self.symbols);
        Ok(())
    }

    fn finish(mut self, plan: &Plan) -> Result<f64, Reason> {
        let z = self.values[..self.features].to_vec();
        let base = plan.base.log_prob(&z, &mut self.symbols)?;
        self.add_log(&base);
        let total = self.log_error.widened(plan.constant_error, &mut self.symbols);
        let error = total.low().abs().max(total.high().abs());
        let size = self.log_det.0.abs().max(self.log_det.1.abs()) + error;
        // The score is rounded to f32. Logarithms that the image stores were rounded in `constant_error`.
        let error = error + SCORE_RELATIVE * size;
        if error.is_nan() {
            return Err("numbers without bounds".into());
        }
        Ok(error)
    }
}

/// The log-scale of a raw output.
fn log_scale(scale: ScaleMap, raw: &Pair, symbols: &mut Symbols) -> Pair {
    match scale {
        ScaleMap::Tanh { clamp } => {
            let clamp = f64::from(clamp);
            let f = |x: f64| clamp * x.tanh();
            let slopes = |low: f64, high: f64| {
                let (least, most) = tanh_slopes(low, high);
                (clamp * least, clamp * most)
            };
            let change = (fixed(clamp) - clamp).abs();
            let local = (clamp + change) * TANH_ABSOLUTE + change + HALF_UNIT;
            raw.curve(&Curve { f: &f, slopes: &slopes }, local, symbols)
        }
        ScaleMap::Hard { clamp } => {
            let clamp = f64::from(clamp);
            raw.saturated(clamp, fixed(clamp), 0.0, symbols)
        }
        ScaleMap::SoftSign { clamp } => {
            let clamp = f64::from(clamp);
            let f = |x: f64| clamp * x / (1.0 + x.abs());
            let slope = |x: f64| clamp / ((1.0 + x.abs()) * (1.0 + x.abs()));
            let slopes = |low: f64, high: f64| {
                let nearest = if low <= 0.0 && high >= 0.0 { 0.0 } else { low.abs().min(high.abs()) };
                (slope(low).min(slope(high)), slope(nearest))
            };
            let local = clamp * SOFT_SIGN_PER_CLAMP + HALF_UNIT + (fixed(clamp) - clamp).abs();
            raw.curve(&Curve { f: &f, slopes: &slopes }, local, symbols)
        }
        ScaleMap::Sigmoid { offset, floor } => {
            let (offset, floor) = (f64::from(offset), f64::from(floor));
            let sigmoid = |y: f64| 1.0 / (1.0 + (-y).exp());
            let f = |y: f64| if floor == 0.0 { -(-y).exp().ln_1p() } else { (sigmoid(y) + floor).ln() };
            let slopes = |low: f64, high: f64| {
                let (a, b) = (sigmoid(low), sigmoid(high));
                let share = |s: f64| if floor == 0.0 { 1.0 } else { s / (s + floor) };
                ((1.0 - b) * share(a) - 1e-15, (1.0 - a) * share(b) + 1e-15)
            };
            let (low, high) = raw.fixed();
            let y = Pair::new(
                raw.value.scaled(1.0, offset),
                raw.error.scaled(1.0, fixed(offset) - offset),
                (low + fixed(offset), high + fixed(offset)),
            )
            .cut(TRUNK_LIMIT, symbols);
            let stored = (floor * 30f64.exp2()).round() / 30f64.exp2();
            let least = sigmoid(y.hull().0) + floor.min(stored);
            let change = if floor == 0.0 { 0.0 } else { (stored - floor).abs() / least };
            y.curve(&Curve { f: &f, slopes: &slopes }, LOG_SIGMOID + change, symbols)
        }
    }
}

/// `x exp(log) + shift`.
fn affine(x: &Pair, shift: &Pair, log: &Pair, symbols: &mut Symbols) -> Pair {
    let exp_slopes = |low: f64, high: f64| (low.exp(), high.exp());
    let gain = log.value.map(&f64::exp, &exp_slopes, symbols);
    // The fixed-point gain is `gain (1 + growth)`.
    let growth = log.error.map(&f64::exp_m1, &exp_slopes, symbols);
    let growth = growth.widened(EXP_RELATIVE * log.error.high().exp(), symbols);
    let product = x.value.times(&gain, symbols);
    let grown = gain.times(&growth, symbols).plus(&gain);
    let error = Form::sum(
        [
            (1.0, &product.times(&growth, symbols)),
            (1.0, &x.error.times(&grown, symbols)),
            (1.0, &shift.error),
        ]
        .into_iter(),
        0.0,
    );
    let (least, most) = (log.fixed().0.exp(), log.fixed().1.exp());
    let (least, most) = (least * (1.0 - EXP_RELATIVE), most * (1.0 + EXP_RELATIVE));
    let (low, high) = x.fixed();
    let scaled = (
        if low < 0.0 { low * most } else { low * least },
        if high < 0.0 { high * least } else { high * most },
    );
    let bounds = span([(1.0, scaled), (1.0, shift.fixed())].into_iter(), 0.0, HALF_UNIT);
    let pair = Pair::new(product.plus(&shift.value), error.widened(HALF_UNIT, symbols), bounds);
    if scaled.0 > -TRUNK_LIMIT && scaled.1 < TRUNK_LIMIT {
        pair
    } else {
        pair.doubted(symbols)
    }
}
