//! Runs an image's transforms themselves, in the arithmetic of the image, with f64 on both sides.

use flowlet::arithmetic::{Arithmetic, Fixed, Float};
use flowlet::conditioner::Scratch;
use flowlet::transform::{Chain, Transform};
use flowlet::Model;
use flowlet_tools::export::{build, Calibration, ImageFile, Numeric};
use flowlet_tools::flow::Flow;

/// Between an arithmetic's numbers and f64.
pub trait Real: Arithmetic {
    /// A value as f64, exactly.
    fn real(value: Self::Value) -> f64;
    /// The nearest value.
    fn nearest(x: f64) -> Self::Value;
    /// A log-density as f64, exactly.
    fn real_log(log: Self::Log) -> f64;
}

impl Real for Float {
    fn real(value: f32) -> f64 {
        value.into()
    }
    fn nearest(x: f64) -> f32 {
        x as f32
    }
    fn real_log(log: f32) -> f64 {
        log.into()
    }
}

impl Real for Fixed {
    fn real(value: i32) -> f64 {
        f64::from(value) / 65536.0
    }
    fn nearest(x: f64) -> i32 {
        (x * 65536.0).round() as i32
    }
    fn real_log(log: i64) -> f64 {
        log as f64 / 65536.0
    }
}

/// Whether an image of this type computes in fixed point.
#[must_use]
pub fn is_fixed(numeric: Numeric) -> bool {
    matches!(numeric, Numeric::I16 | Numeric::I8)
}

/// `flow` as an image, calibrated on readings that are normal for its standardizer.
///
/// # Panics
/// If the exporter refuses it.
#[must_use]
pub fn image_of(flow: &Flow, numeric: Numeric) -> ImageFile {
    let mut random = crate::Random(99);
    let readings = match flow.transforms.first() {
        Some(flowlet_tools::flow::Transform::Standardize(_)) => {
            crate::normal_readings(&mut random, flow, 500)
        }
        _ => (0..500 * flow.features).map(|_| 3.0 * random.normal()).collect(),
    };
    let calibration = Calibration { readings: &readings, false_alarm_rate: 0.01 };
    build(flow, numeric, &crate::metadata(flow.features), calibration).expect("the flow can be exported")
}

/// A vector and the log-determinant of the density direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped {
    /// Base variable, or reading.
    pub values: Vec<f64>,
    /// In nats.
    pub log_det: f64,
}

/// Standardizer and chain, from a reading to the base variable.
#[must_use]
pub fn forward(model: &Model<'_>, reading: &[f32]) -> Mapped {
    if is_fixed(model.numeric()) {
        forward_in::<Fixed>(model, reading)
    } else {
        forward_in::<Float>(model, reading)
    }
}

/// Chain and standardizer, from the base variable to a reading; the log-determinant is the chain's.
#[must_use]
pub fn inverse(model: &Model<'_>, z: &[f64]) -> Mapped {
    if is_fixed(model.numeric()) {
        inverse_in::<Fixed>(model, z)
    } else {
        inverse_in::<Float>(model, z)
    }
}

fn forward_in<A: Real>(model: &Model<'_>, reading: &[f32]) -> Mapped {
    let mut values = vec![A::nearest(0.0); reading.len()];
    let standardizer = model.standardizer::<A>().expect("a checked image");
    let mut log_det = standardizer.forward::<A>(reading, &mut values).expect("a checked image");
    let (z, context) = values.split_at_mut(model.features());
    let log = with_scratch(model, |chain, scratch| chain.forward::<A>(z, context, scratch));
    log_det = A::add(log_det, log);
    values.truncate(model.features());
    Mapped { values: values.into_iter().map(A::real).collect(), log_det: A::real_log(log_det) }
}

fn inverse_in<A: Real>(model: &Model<'_>, z: &[f64]) -> Mapped {
    let mut values: Vec<A::Value> = z.iter().map(|&z| A::nearest(z)).collect();
    // Context at its mean.
    let context = vec![A::nearest(0.0); model.contexts()];
    let log = with_scratch(model, |chain, scratch| chain.inverse::<A>(&mut values, &context, scratch));
    let mut readings = vec![0.0; z.len()];
    let standardizer = model.standardizer::<A>().expect("a checked image");
    standardizer.inverse::<A>(&values, &mut readings).expect("a checked image");
    Mapped { values: readings.into_iter().map(f64::from).collect(), log_det: A::real_log(log) }
}

/// One step of the chain there and back, from standardized values; gives what came back, and both
/// log-determinants.
#[must_use]
pub fn step_there_and_back(model: &Model<'_>, index: usize, values: &[f64]) -> (Vec<f64>, f64, f64) {
    if is_fixed(model.numeric()) {
        step_in::<Fixed>(model, index, values)
    } else {
        step_in::<Float>(model, index, values)
    }
}

fn step_in<A: Real>(model: &Model<'_>, index: usize, values: &[f64]) -> (Vec<f64>, f64, f64) {
    let mut values: Vec<A::Value> = values.iter().map(|&x| A::nearest(x)).collect();
    let context = vec![A::nearest(0.0); model.contexts()];
    let step = |chain: Chain<'_>, scratch: &mut Scratch<'_>, values: &mut [A::Value], back: bool| {
        let active = chain.steps().take(index).fold(values.len(), |active, step| step.keeps(active));
        let (step, values) = (chain.steps().nth(index)?, values.get_mut(..active)?);
        if back {
            Transform::<A>::inverse(&step, values, &context, scratch)
        } else {
            Transform::<A>::forward(&step, values, &context, scratch)
        }
    };
    let there = with_scratch(model, |chain, scratch| step(chain, scratch, &mut values, false));
    let back = with_scratch(model, |chain, scratch| step(chain, scratch, &mut values, true));
    (values.into_iter().map(A::real).collect(), A::real_log(there), A::real_log(back))
}

fn with_scratch<L>(model: &Model<'_>, run: impl FnOnce(Chain<'_>, &mut Scratch<'_>) -> Option<L>) -> L {
    let words = (model.workspace_bytes() / 4 - model.inputs()) / 2;
    // Garbage, so that nobody relies on zeros.
    let (mut front, mut back) = (vec![0xdead_beef; words], vec![0xbaad_f00d; words]);
    let chain = model.experts().next().expect("a checked image").chain;
    run(chain, &mut Scratch { front: &mut front, back: &mut back }).expect("a checked image")
}
