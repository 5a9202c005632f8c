//! The engine against the f64 oracle, against finite differences, and against itself on other lanes.

mod fronts;
mod spline;

use super::*;
use crate::flow::{Activation, Flow, Mask, Reference, ScaleMap, Transform};

/// Couplings, permutations and a soft tail, of awkward shapes.
fn engine(features: usize, hidden: &[usize], kernels: Box<dyn Kernels>) -> Engine {
    let order = (0..features).map(|i| (i * 5 + 3) % features).collect::<Vec<_>>();
    let permutation = if order.iter().collect::<std::collections::HashSet<_>>().len() == features {
        order
    } else {
        (0..features).rev().collect()
    };
    let split = features.div_ceil(3);
    let coupling = |mask: Mask, (clamp, limit): (f32, f32)| -> Box<dyn TileTransform> {
        let net = TileMlp::new(Activation::Relu, mask.given().len(), hidden, 2 * mask.moved().len());
        Box::new(TileCoupling::new(
            (features, 0),
            mask,
            limit,
            Box::new(TileAffine { scale: ScaleMap::Tanh { clamp } }),
            Box::new(net),
        ))
    };
    Engine::with_kernels(
        (features, 0),
        vec![
            coupling(Mask::half(features, true), (1.3, 1.8)),
            coupling(Mask::split(features, split, false), (1.3, 1.8)),
            Box::new(TilePermutation::new(permutation, features)),
            coupling(Mask::alternating(features, true), (0.4, 0.9)),
            Box::new(TileSoftTail::new(features, features, 1.1)),
        ],
        Box::new(TileStandardNormal(features)),
        kernels,
    )
}

/// Parameters with nothing left at zero (the last layers start there), padding excepted.
fn parameters(engine: &Engine, random: &mut Random) -> Vec<Line> {
    let mut parameters = engine.initialize(random);
    // The exported shapes tell what is padding, which must stay zero.
    let flow = engine.export(&parameters);
    let mut at = 0;
    for transform in &flow {
        let Transform::Coupling(c) = transform else { continue };
        for dense in c.conditioner.dense_layers() {
            let stride = dense.inputs.div_ceil(LINE);
            for o in 0..dense.outputs {
                for i in 0..dense.inputs {
                    parameters[at + o * stride + i / LINE].0[i % LINE] = 1.4 * random.uniform() - 0.7;
                }
            }
            at += dense.outputs * stride;
            for o in 0..dense.outputs {
                parameters[at + o / LINE].0[o % LINE] = random.uniform() - 0.5;
            }
            at += dense.outputs.div_ceil(LINE);
        }
    }
    assert_eq!(at, parameters.len());
    parameters
}

pub(super) fn data(rows: usize, features: usize, random: &mut Random) -> Vec<f32> {
    // Every eleventh value is wild, so that rows reach far beyond the knee of the soft tail.
    let size = |i: usize| if i % 11 == 10 { 4000.0 } else { 6.0 };
    (0..rows * features).map(|i| size(i) * (random.uniform() - 0.5)).collect()
}

const SHAPES: [(usize, &[usize], usize); 6] =
    [(2, &[5], 3), (3, &[4, 7], 17), (5, &[], 64), (7, &[18, 3], 70), (19, &[33], 130), (34, &[9, 9], 41)];

/// Every lane type of this processor; says which of its architecture's are skipped.
pub(super) fn all_kernels() -> Vec<Box<dyn Kernels>> {
    let all = super::kernels::all();
    let architecture: &[&str] = match std::env::consts::ARCH {
        "x86_64" => &["avx512", "avx2"],
        "aarch64" => &["neon"],
        _ => &[],
    };
    for name in architecture.iter().filter(|name| all.iter().all(|k| k.name() != **name)) {
        println!("skipped {name}: not on this processor");
    }
    all
}

impl Engine {
    /// Mean negative log-likelihood of a batch in nats and, in `gradient`, its gradient.
    pub(super) fn gradient(&self, parameters: &[Line], rows: Rows<'_>, gradient: &mut [Line]) -> f64 {
        gradient.fill(Line::ZERO);
        let mut workspace = self.workspace();
        let tiles = 0..rows.rows.len().div_ceil(TILE);
        let sum: f64 = tiles.map(|i| self.tile(parameters, &mut workspace, rows, i, gradient)).sum();
        sum / rows.rows.len() as f64
    }
}

/// Loss and gradient of one batch.
pub(super) fn loss_and_gradient(engine: &Engine, parameters: &[Line], values: &[f32]) -> (f64, Vec<Line>) {
    let features = engine.features;
    let rows: Vec<usize> = (0..values.len() / features).rev().collect();
    let lines = padded(values, features);
    let mut gradient = vec![Line::ZERO; parameters.len()];
    let rows = Rows { data: &lines, rows: &rows, noise: 0.0, step: 0.0, seed: 0 };
    let loss = engine.gradient(parameters, rows, &mut gradient);
    (loss, gradient)
}

pub(super) fn flow(engine: &Engine, parameters: &[Line]) -> Flow {
    Flow {
        features: engine.features,
        contexts: engine.contexts,
        transforms: engine.export(parameters),
        base: engine.export_base(parameters),
    }
}

pub(super) fn reference_loss(reference: &Reference, values: &[f32], features: usize) -> f64 {
    let rows = values.chunks_exact(features);
    let n = rows.len() as f64;
    rows.map(|row| -reference.log_prob_f32(row)).sum::<f64>() / n
}

#[test]
fn densities_are_those_of_the_oracle_on_every_lane_type() {
    for (features, hidden, rows) in SHAPES {
        for kernels in all_kernels() {
            let mut random = Random::new(5, features as u64);
            let engine = engine(features, hidden, kernels);
            let parameters = parameters(&engine, &mut random);
            let values = data(rows, features, &mut random);
            let reference = Reference::from(&flow(&engine, &parameters));
            let all: Vec<usize> = (0..rows).collect();
            let lines = padded(&values, features);
            let got = engine.log_prob(&parameters, &mut engine.workspace(), &lines, &all);
            assert_eq!(got.len(), rows);
            for (got, row) in got.iter().zip(values.chunks_exact(features)) {
                let want = reference.log_prob_f32(row);
                let budget = 3e-6 * (10.0 + want.abs());
                assert!(
                    (got - want).abs() < budget,
                    "{} d={features}: {got} against {want}",
                    engine.kernels().name()
                );
            }
        }
    }
}

#[test]
fn every_gradient_is_that_of_central_differences_in_f64() {
    for (features, hidden, rows) in SHAPES {
        for kernels in all_kernels() {
            gradient_is_that_of_differences(engine(features, hidden, kernels), rows);
        }
    }
}

/// Checks the gradient of a batch of at most 20 rows against the oracle's loss.
fn gradient_is_that_of_differences(engine: Engine, rows: usize) {
    let features = engine.features;
    let mut random = Random::new(9, features as u64);
    let parameters = parameters(&engine, &mut random);
    let values = data(rows.min(20), features, &mut random);
    let (loss, gradient) = loss_and_gradient(&engine, &parameters, &values);
    let mut reference = Reference::from(&flow(&engine, &parameters));
    let want = reference_loss(&reference, &values, features);
    assert!((loss - want).abs() < 1e-5 * (10.0 + want.abs()), "{loss} against {want}");
    // The export of a gradient puts each partial derivative where its parameter stands.
    let mut slopes = Reference::from(&flow(&engine, &gradient));
    let slopes: Vec<f64> = slopes.parameters_mut().map(|g| *g).collect();
    let size = slopes.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
    assert!(size > 0.0);
    // All parameters of small flows, a sample of large ones.
    let stride = (slopes.len() / 400).max(1);
    for (i, slope) in slopes.iter().enumerate().step_by(stride) {
        let mut probe = |step: f64| {
            let shift = |r: &mut Reference, by: f64| {
                if let Some(p) = r.parameters_mut().nth(i) {
                    *p += by;
                }
            };
            shift(&mut reference, step);
            let loss = reference_loss(&reference, &values, features);
            shift(&mut reference, -step);
            loss
        };
        // Small enough that hardly any ReLU or clamp has its kink within the step.
        let h = 1e-6;
        let want = (probe(h) - probe(-h)) / (2.0 * h);
        assert!(
            (slope - want).abs() < 1e-4 * size.max(1.0),
            "{} d={features} parameter {i}: {slope} against {want}",
            engine.kernels().name()
        );
    }
}

#[test]
fn lanes_agree_with_the_portable_twin() {
    for (features, hidden, rows) in SHAPES {
        let mut all = all_kernels().into_iter().map(|kernels| {
            let mut random = Random::new(3, features as u64);
            let engine = engine(features, hidden, kernels);
            let parameters = parameters(&engine, &mut random);
            let values = data(rows, features, &mut random);
            let (loss, gradient) = loss_and_gradient(&engine, &parameters, &values);
            (engine.kernels().name(), loss, gradient)
        });
        let (_, loss, gradient) = all.next().expect("the portable twin");
        let size = gradient.iter().flat_map(|l| l.0).fold(0.0_f32, |a, b| a.max(b.abs()));
        for (name, other, slopes) in all {
            assert!((loss - other).abs() < 1e-5 * (1.0 + loss.abs()), "{name}: {other} against {loss}");
            let twins = gradient.iter().flat_map(|l| l.0).zip(slopes.iter().flat_map(|l| l.0));
            for (a, b) in twins {
                assert!((a - b).abs() < 2e-5 * size, "{name} d={features}: {b} against {a}");
            }
        }
    }
}

#[test]
fn noise_has_its_size_is_the_same_on_all_lanes_and_differs_by_seed() {
    let mut first: Option<Vec<Line>> = None;
    for k in all_kernels() {
        let mut values = vec![Line::ZERO; 4000];
        k.noise(&mut values, 0.5, 17);
        let flat: Vec<f64> = values.iter().flat_map(|l| l.0).map(f64::from).collect();
        let n = flat.len() as f64;
        let mean = flat.iter().sum::<f64>() / n;
        let deviation = (flat.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        assert!(mean.abs() < 0.01 && (deviation - 0.5).abs() < 0.01, "{}: {mean} {deviation}", k.name());
        assert!(first.get_or_insert_with(|| values.clone()) == &values, "{} differs", k.name());
        let mut other = vec![Line::ZERO; 4000];
        k.noise(&mut other, 0.5, 18);
        assert!(other != values);
    }
}

#[test]
fn adam_takes_the_published_step_on_every_lane_type() {
    for k in all_kernels() {
        let mut p = [Line([2.0; LINE])];
        let (mut m, mut v) = ([Line::ZERO], [Line::ZERO]);
        let step = AdamStep { rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 0.0, scale: 0.5, keep: 0.5 };
        k.adam(step, &[Line([4.0; LINE])], &mut m, &mut v, &mut p);
        // g = 2: m = 0.2, v = 0.004, p = 2 * 0.5 - 0.1 * 0.2 / sqrt(0.004)
        let want = 1.0 - 0.02 / 0.004_f32.sqrt();
        assert!((p[0].0[3] - want).abs() < 1e-4, "{}: {} against {want}", k.name(), p[0].0[3]);
    }
}
