//! Base distributions: the log-density of the exact base variable, and what the fixed-point one makes of its own.

use super::budgets::{
    EXP_RELATIVE, HALF_UNIT, LN_ABSOLUTE, LN_RATIO, MASS_ROUNDING, NEGLIGIBLE, TRUNK_LIMIT,
};
use super::form::{Form, Symbols};
use super::pair::{Curve, Pair, UNBOUNDED};
use super::plan::{fixed, Reason};
use crate::export::encode::{student_inverse_scale, student_log_normalizer, StoredMixture};
use crate::flow::{Base, StudentT};
use std::f64::consts::PI;

/// Base variables beyond this go another way in a mixture.
const NEAR: f64 = 2047.0;

pub(super) enum BasePlan {
    StandardNormal,
    StudentT(Vec<Student>),
    Mixture(Vec<Component>),
}

pub(super) struct Student {
    location: f64,
    stored_location: f64,
    inverse_scale: f64,
    stored_inverse_scale: f64,
    degrees: f64,
    /// Of the fixed-point constant, on the first feature.
    constant_error: f64,
    constant: f64,
}

/// A component, exact and as stored.
pub(super) struct Component {
    constant: [f64; 2],
    /// Per feature mean and precision.
    exact: Vec<(f64, f64)>,
    stored: Vec<(f64, f64)>,
    /// What the precision is counted in.
    unit: f64,
}

impl BasePlan {
    pub(super) fn new(base: &Base, features: usize) -> Result<Self, Reason> {
        match base {
            Base::StandardNormal => Ok(BasePlan::StandardNormal),
            Base::StudentT(base) => Ok(BasePlan::StudentT(students(base))),
            Base::Mixture(base) => {
                let stored = StoredMixture::new(base).map_err(|e| e.to_string())?;
                let component = |k: usize| {
                    let (means, log_std) = base.component(stored.order[k]);
                    let precision = |&s: &f32| (-f64::from(s)).exp();
                    let exact: Vec<(f64, f64)> =
                        means.iter().zip(log_std).map(|(&m, s)| (f64::from(m), precision(s))).collect();
                    let constant = stored.weights[k].ln()
                        - log_std.iter().map(|&s| f64::from(s)).sum::<f64>()
                        - 0.5 * features as f64 * (2.0 * PI).ln();
                    Component {
                        constant: [constant, stored.constants[k]],
                        exact,
                        stored: stored.entries[k].clone(),
                        unit: stored.unit,
                    }
                };
                Ok(BasePlan::Mixture((0..stored.order.len()).map(component).collect()))
            }
            Base::DiagonalNormal(_) => Err("a diagonal normal base".into()),
        }
    }

    pub(super) fn log_prob(&self, z: &[Pair], symbols: &mut Symbols) -> Result<Pair, Reason> {
        match self {
            BasePlan::StandardNormal => Ok(standard_normal(z, symbols)),
            BasePlan::StudentT(features) => student(features, z, symbols),
            BasePlan::Mixture(components) => mixture(components, z, symbols),
        }
    }
}

fn standard_normal(z: &[Pair], symbols: &mut Symbols) -> Pair {
    // -((z + e)^2 - z^2) / 2 = -z e - e^2 / 2.
    let products: Vec<Form> = z.iter().map(|p| p.value.product(&p.error).0).collect();
    let squares: f64 = z.iter().map(|p| 0.5 * p.error.size() * p.error.size()).sum();
    let error = Form::sum(products.iter().map(|p| (-1.0, p)), -0.5 * squares);
    // Each square is rounded, then half their sum, and the constant.
    let rounding = 0.5 * HALF_UNIT * z.len() as f64 + 2.0 * HALF_UNIT;
    let error = error.widened(0.5 * squares + rounding, symbols);
    let constant = -0.5 * z.len() as f64 * (2.0 * PI).ln();
    let (mut low, mut high) = (constant, constant);
    for p in z {
        let (least, most) = squares_of(p.value.low(), p.value.high());
        low -= 0.5 * most;
        high -= 0.5 * least;
    }
    Pair::new(Form::interval(low, high, symbols), error, UNBOUNDED)
}

/// Bounds of the square.
fn squares_of(low: f64, high: f64) -> (f64, f64) {
    let (a, b) = (low * low, high * high);
    (if low <= 0.0 && high >= 0.0 { 0.0 } else { a.min(b) }, a.max(b))
}

fn students(base: &StudentT) -> Vec<Student> {
    let features = base.degrees.iter().zip(&base.location).zip(&base.log_scale).enumerate();
    let total = student_log_normalizer(base);
    features
        .map(|(i, ((&degrees, &location), &log_scale))| {
            let inverse_scale = (-f64::from(log_scale)).exp();
            let (mantissa, shift) = student_inverse_scale(inverse_scale);
            let first = i == 0;
            Student {
                location: location.into(),
                stored_location: fixed(location.into()),
                inverse_scale,
                stored_inverse_scale: mantissa * (-shift).exp2(),
                degrees: degrees.into(),
                constant_error: if first { (fixed(f64::from(total as f32)) - total).abs() } else { 0.0 },
                constant: if first { total } else { 0.0 },
            }
        })
        .collect()
}

fn student(features: &[Student], z: &[Pair], symbols: &mut Symbols) -> Result<Pair, Reason> {
    let mut logs = Vec::new();
    let (mut low, mut high, mut local) = (0.0, 0.0, 2.0 * HALF_UNIT);
    for (s, p) in features.iter().zip(z) {
        let change = s.stored_inverse_scale - s.inverse_scale;
        let value = p.value.scaled(s.inverse_scale, -s.location * s.inverse_scale);
        let error = Form::sum(
            [(s.stored_inverse_scale, &p.error), (change, &p.value)].into_iter(),
            s.location * s.inverse_scale - s.stored_location * s.stored_inverse_scale,
        );
        let q = Pair::new(value, error.widened(HALF_UNIT, symbols), UNBOUNDED);
        let (least, most) = q.hull();
        if least <= -TRUNK_LIMIT || most >= TRUNK_LIMIT {
            return Err("a Student-t base whose distances may leave Q15.16".into());
        }
        let half = 0.5 * (s.degrees + 1.0);
        let f = |q: f64| -half * (q * q / s.degrees).ln_1p();
        let slope = |q: f64| -2.0 * half * q / (s.degrees + q * q);
        // Its extremes are at the root of the degrees.
        let turn = s.degrees.sqrt();
        let slopes = |low: f64, high: f64| {
            let inner = [-turn, turn].into_iter().filter(|t| low <= *t && *t <= high);
            let all = [low, high].into_iter().chain(inner).map(slope);
            all.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), s| (a.min(s), b.max(s)))
        };
        let log = (most.abs().max(least.abs()).powi(2) / s.degrees).ln_1p();
        // 1 / nu has 30 bits of fraction, (nu + 1) / 2 has 21; the ratio loses 31 bits' worth.
        let of_ratio = s.degrees * 0.5f64.powi(31) + 0.5f64.powi(30);
        let term = half * (LN_RATIO + 1.01 * of_ratio) + log * 0.5f64.powi(22) + 0.5f64.powi(32);
        let pair = q.curve(&Curve { f: &f, slopes: &slopes }, term, symbols);
        low += pair.value.low() + s.constant;
        high += pair.value.high() + s.constant;
        local += s.constant_error;
        logs.push(pair.error);
    }
    let error = Form::sum(logs.iter().map(|e| (1.0, e)), 0.0).widened(local, symbols);
    Ok(Pair::new(Form::interval(low, high, symbols), error, UNBOUNDED))
}

fn mixture(components: &[Component], z: &[Pair], symbols: &mut Symbols) -> Result<Pair, Reason> {
    if z.iter().any(|p| p.hull().0 < -NEAR || p.hull().1 > NEAR) {
        return Err("a mixture base of variables beyond 2047".into());
    }
    // Per component bounds of its term, and the difference of the fixed-point term.
    let mut terms: Vec<(f64, f64)> = Vec::new();
    let mut changes: Vec<Form> = Vec::new();
    for c in components {
        let (mut low, mut high) = (c.constant[0], c.constant[0]);
        let mut parts: Vec<Form> = Vec::new();
        let mut squares = 0.0;
        for (p, (&(mean, precision), &(stored_mean, stored_precision))) in
            z.iter().zip(c.exact.iter().zip(&c.stored))
        {
            let deviation = p.value.scaled(precision, -mean * precision);
            // The stored deviation is rounded down to its unit.
            let change = Form::sum(
                [(stored_precision, &p.error), (stored_precision - precision, &p.value)].into_iter(),
                mean * precision - stored_mean * stored_precision - 0.5 * c.unit,
            )
            .blurred(0.5 * c.unit);
            let (least, most) = squares_of(deviation.low(), deviation.high());
            low -= 0.5 * most;
            high -= 0.5 * least;
            squares += 0.5 * change.size() * change.size();
            parts.push(deviation.product(&change).0);
        }
        let constant = c.constant[1] - c.constant[0] - 0.5 * squares;
        let change = Form::sum(parts.iter().map(|p| (-1.0, p)), constant);
        changes.push(change.blurred(0.5 * squares + HALF_UNIT));
        terms.push((low, high));
    }
    // log sum exp(t + d) - log sum exp(t) is a mean of the d, weighted with the responsibilities somewhere between.
    let between: Vec<(f64, f64)> =
        terms.iter().zip(&changes).map(|(t, d)| (t.0 + d.low().min(0.0), t.1 + d.high().max(0.0))).collect();
    let shares: Vec<(f64, f64)> = (0..terms.len()).map(|k| share(&between, k)).collect();
    let middles: Vec<f64> = shares.iter().map(|(a, b)| 0.5 * (a + b)).collect();
    let total: f64 = middles.iter().sum();
    let weights: Vec<f64> = middles.iter().map(|m| m / total).collect();
    let mean = Form::sum(weights.iter().copied().zip(&changes), 0.0);
    let center = 0.5 * (mean.low() + mean.high());
    let away = |d: &Form| (d.low() - center).abs().max((d.high() - center).abs());
    let rest: f64 = (0..terms.len())
        .map(|k| (shares[k].1 - weights[k]).max(weights[k] - shares[k].0) * away(&changes[k]))
        .sum();
    let count = terms.len() as f64;
    let local = count * (EXP_RELATIVE + MASS_ROUNDING + NEGLIGIBLE) + LN_ABSOLUTE + 4.0 * HALF_UNIT;
    let lowest = changes.iter().map(Form::low).fold(f64::INFINITY, f64::min);
    let highest = changes.iter().map(Form::high).fold(f64::NEG_INFINITY, f64::max);
    let error = mean.widened(rest, symbols).within(lowest, highest).widened(local, symbols);
    let sum = |pick: fn(&(f64, f64)) -> f64| {
        let largest = terms.iter().map(pick).fold(f64::NEG_INFINITY, f64::max);
        largest + terms.iter().map(|t| (pick(t) - largest).exp()).sum::<f64>().ln()
    };
    Ok(Pair::new(Form::interval(sum(|t| t.0), sum(|t| t.1), symbols), error, UNBOUNDED))
}

/// Bounds of the share that term `k` has of all.
fn share(terms: &[(f64, f64)], k: usize) -> (f64, f64) {
    let others = |own: f64, pick: fn(&(f64, f64)) -> f64| -> f64 {
        let rest = terms.iter().enumerate().filter(|(j, _)| *j != k).map(|(_, t)| (pick(t) - own).exp());
        1.0 / (1.0 + rest.sum::<f64>())
    };
    (others(terms[k].0, |t| t.1), others(terms[k].1, |t| t.0))
}
