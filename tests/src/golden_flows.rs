//! Golden flows: files of `[{"name", "source", "flow", "points": [{"x", "z", "log_det", "log_prob"}]}]`, where
//! `flow` is the JSON form of [`Flow`], and how far an image's numbers are from them.
//!
//! The scripts that made the files stand beside them in `tests/golden`.

use crate::evaluate::{forward, image_of, inverse};
use crate::golden::path;
use crate::NUMERICS;
use flowlet_tools::export::{scores, Numeric};
use flowlet_tools::flow::{Flow, Reference, Transform};
use serde::Deserialize;
use serde_json::Value;

/// A flow and what another library says of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// What it is.
    pub name: String,
    /// The library that gave the numbers.
    pub source: String,
    /// With parameters that are exact in f32.
    pub flow: Flow,
    /// Expected values.
    pub points: Vec<Point>,
}

/// A reading, exact in f32, and its image in f64.
#[derive(Clone, Debug, Deserialize)]
pub struct Point {
    /// The reading: features, then context.
    pub x: Vec<f32>,
    /// The base variable.
    pub z: Vec<f64>,
    /// In nats.
    pub log_det: f64,
    /// In nats.
    pub log_prob: f64,
}

/// All cases of a file in `tests/golden`.
///
/// # Panics
/// If the file is not there or not of this form.
#[must_use]
pub fn cases(file: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(path(file)).expect("committed");
    let mut value: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
    shortest(&mut value);
    serde_json::from_value(value).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// Writes each number as serde_json does. A dependency turns on its `arbitrary_precision`, and then numbers inside
/// tagged enums are read only if their digits are those that it would write.
fn shortest(value: &mut Value) {
    match value {
        Value::Number(number) if number.as_u64().is_none() => {
            let x = number.as_f64().expect("a number");
            *number = serde_json::Number::from_f64(x).expect("it is finite");
        }
        Value::Array(values) => values.iter_mut().for_each(shortest),
        Value::Object(values) => values.values_mut().for_each(shortest),
        _ => {}
    }
}

/// Relative to the expected size, absolute below one.
fn error(found: f64, expected: f64) -> f64 {
    let error = (found - expected).abs() / expected.abs().max(1.0);
    assert!(!error.is_nan(), "{found} for {expected}");
    error
}

/// Largest errors over the points of a case.
#[derive(Clone, Copy, Debug, Default)]
pub struct Worst {
    /// Of the base variable.
    pub z: f64,
    /// Of the log-determinant.
    pub log_det: f64,
    /// Of the log-density.
    pub log_prob: f64,
    /// Mean instead of largest error of the log-density.
    pub mean_log_prob: f64,
    /// Of the reading computed back from the exact base variable; in standard deviations, relative for far ones.
    pub inverse: f64,
}

impl Worst {
    /// z, log_det, log_prob, mean of log_prob, inverse: the order of budgets.
    #[must_use]
    pub fn list(&self) -> [f64; 5] {
        [self.z, self.log_det, self.log_prob, self.mean_log_prob, self.inverse]
    }
}

/// How far the device's code is from the expected values, in an image of `numeric`.
///
/// # Panics
/// If the flow cannot be exported or scored.
#[must_use]
pub fn measure(case: &Case, numeric: Numeric) -> Worst {
    let image = image_of(&case.flow, numeric);
    let model = image.model().expect("a good image");
    let units: Vec<f64> = match case.flow.transforms.first() {
        Some(Transform::Standardize(s)) => s.std.iter().map(|&s| s.into()).collect(),
        _ => vec![1.0; case.flow.features],
    };
    let mut worst = Worst::default();
    for p in &case.points {
        let found = forward(&model, &p.x);
        for (found, expected) in found.values.iter().zip(&p.z) {
            worst.z = worst.z.max(error(*found, *expected));
        }
        worst.log_det = worst.log_det.max(error(found.log_det, p.log_det));
        let score = scores(&image, &p.x).expect("finite readings")[0];
        let log_prob = error(score.log_prob.into(), p.log_prob);
        worst.log_prob = worst.log_prob.max(log_prob);
        worst.mean_log_prob += log_prob / case.points.len() as f64;
        if case.flow.contexts > 0 {
            continue;
        }
        let back = inverse(&model, &p.z);
        for ((back, &x), unit) in back.values.iter().zip(&p.x).zip(&units) {
            let x = f64::from(x);
            worst.inverse = worst.inverse.max((back - x).abs() / unit.max(x.abs()));
        }
    }
    worst
}

/// Checks that the f64 reference gives the expected values, within `budget`, relative or, below one, absolute.
///
/// # Panics
/// If it does not.
pub fn check_reference(case: &Case, budget: f64) {
    let reference = Reference::from(&case.flow);
    for p in &case.points {
        let x: Vec<f64> = p.x.iter().map(|&x| x.into()).collect();
        let found = reference.forward(&x);
        let mut errors: Vec<f64> = found.z.iter().zip(&p.z).map(|(f, e)| error(*f, *e)).collect();
        errors.push(error(found.log_det, p.log_det));
        errors.push(error(reference.log_prob(&x), p.log_prob));
        let worst = errors.iter().copied().fold(0.0, f64::max);
        assert!(worst < budget, "{} of {}: the reference errs by {worst:e}", case.name, case.source);
    }
}

/// Prints the errors of all cases, and holds them to `budgets`: z, log_det, log_prob (largest, mean), inverse, for
/// f32, i16 and i8.
///
/// # Panics
/// Over budget.
pub fn check(file: &str, budgets: [[f64; 5]; 3]) {
    let cases = cases(file);
    let mut failures = Vec::new();
    for case in &cases {
        assert!(case.points.len() >= 5, "{}", case.name);
        check_reference(case, 1e-6);
    }
    for (numeric, budget) in NUMERICS.into_iter().zip(budgets) {
        for case in &cases {
            let w = measure(case, numeric);
            println!(
                "{:28} {numeric:?}: z {:.1e}, log_det {:.1e}, log_prob {:.1e} (mean {:.1e}), inverse {:.1e}",
                case.name, w.z, w.log_det, w.log_prob, w.mean_log_prob, w.inverse
            );
            if w.list().iter().zip(budget).any(|(&found, budget)| found > budget) {
                failures.push(format!("{} {numeric:?}: {w:?}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{file} over budget:\n{}", failures.join("\n"));
}
