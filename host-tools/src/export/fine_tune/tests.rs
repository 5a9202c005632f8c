//! The pass is the device's, its gradient what the device's scores do, and tuning makes nothing worse.

use super::super::Weights;
use super::super::{Calibration, Evidence, Metadata, Numeric, Stored};
use super::*;
use crate::flow::Activation;
use crate::training::{train, BaseKind, ConditionerKind, FlowKind, MarginalFront, Matrix, TrainConfig};

/// Related columns in awkward units; the last of them may serve as context.
fn rows(count: usize, columns: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed, 77);
    let mut values = Vec::with_capacity(count * columns);
    for _ in 0..count {
        let (a, b) = (random.normal(), random.normal());
        for column in 0..columns {
            let bend = [a, a * a, a * b, (2.0 * a + b).sin()][column % 4];
            values.push((100.0 * column as f64 + 3.0 * bend + 0.2 * random.normal()) as f32);
        }
    }
    values
}

fn trained(count: usize, columns: usize, config: &TrainConfig) -> Flow {
    let data = Matrix::new(count, columns, rows(count, columns, 1)).expect("a matrix");
    train(&data, config, &mut ()).expect("trained").flow
}

fn quick() -> TrainConfig {
    TrainConfig { layers: 4, hidden: vec![8], epochs: Some(20), threads: 1, ..TrainConfig::default() }
}

/// Deep, narrow, without weight decay, and with steep scales: where rounding to 8 bits costs something.
fn lossy() -> TrainConfig {
    let deep = TrainConfig { layers: 12, hidden: vec![8], epochs: Some(60), ..quick() };
    TrainConfig { weight_decay: 0.0, lr: 0.01, clamp: 4.0, ..deep }
}

/// Every map, base, front and activation, and context: the score of each step is that of the device, bit for bit.
#[test]
fn the_way_there_is_the_devices_own() {
    let configs = [
        quick(),
        TrainConfig { flow: FlowKind::Nice, base: BaseKind::Student, ..quick() },
        TrainConfig { flow: FlowKind::Glow, activation: Activation::Silu, ..quick() },
        TrainConfig { flow: FlowKind::Nsf, base: BaseKind::Mixture, components: 3, ..quick() },
        TrainConfig { marginal: MarginalFront::Linear, activation: Activation::LeakyRelu, ..quick() },
        TrainConfig { contexts: 2, activation: Activation::Tanh, ..quick() },
        TrainConfig { conditioner: ConditionerKind::Residual, ..quick() },
    ];
    let (columns, observed) = (6, rows(400, 6, 1));
    // Far out too.
    let asked: Vec<f32> = rows(200, columns, 2)
        .iter()
        .enumerate()
        .map(|(i, x)| if i % 97 == 0 { x * 50.0 } else { *x })
        .collect();
    for config in configs {
        let flow = trained(400, columns, &config);
        let stored = Stored::new(&flow, Numeric::I8, &observed).expect("i8");
        let names = |count| vec![("x".to_owned(), String::new()); count];
        let metadata = Metadata {
            features: names(flow.features),
            contexts: names(flow.contexts),
            ..Metadata::default()
        };
        let calibration = Calibration { readings: &observed, false_alarm_rate: 0.01 };
        let image = stored.image(&metadata, calibration, Evidence::default()).expect("an image");
        let scores = super::super::scores(&image, &asked).expect("scores");
        let nets = places(stored.encoded.perceptrons(0));
        let pass = Pass::new(&stored.encoded, 0, (flow.features, flow.contexts), &nets).expect("a pass");
        let mut memory = pass.memory(flow.contexts);
        for (row, score) in asked.chunks_exact(columns).zip(scores) {
            let found = pass.log_prob(row, &mut memory).expect("a score");
            assert_eq!(found.to_bits(), score.log_prob.to_bits(), "{found} and {score:?} of {config:?}");
        }
        let is_covered = nets.iter().all(|net| !net.is_empty());
        assert_eq!(is_covered, config.conditioner == ConditionerKind::Mlp);
    }
}

/// The gradient says what the device's own scores do when an integer moves either way by a hundredth (i8) or a five-hundredth
/// (i16) of the largest in its row: to a part of the whole that curvature and rounding leave. Splines leave most, in i16 a fifth.
#[test]
fn the_gradient_is_that_of_the_devices_scores() {
    let configs = [
        quick(),
        TrainConfig { flow: FlowKind::Glow, activation: Activation::Silu, ..quick() },
        TrainConfig { flow: FlowKind::Nsf, base: BaseKind::Mixture, components: 3, ..quick() },
    ];
    let (columns, observed) = (5, rows(300, 5, 1));
    let cases = configs.iter().flat_map(|config| [(config, Numeric::I8, 1), (config, Numeric::I16, 64)]);
    for (config, numeric, step) in cases {
        let flow = trained(300, columns, config);
        let mut stored = Stored::new(&flow, numeric, &observed).expect("fixed point");
        let largest = if numeric == Numeric::I8 { 127 } else { 32767 };
        let encoded = &mut stored.encoded;
        let nets = places(encoded.perceptrons(0));
        let shape = (flow.features, flow.contexts);
        let asked = &observed[..64 * columns];
        let total = |encoded: &Encoded| -> f64 {
            let pass = Pass::new(encoded, 0, shape, &nets).expect("a pass");
            let mut memory = pass.memory(shape.1);
            asked
                .chunks_exact(columns)
                .map(|r| -f64::from(pass.log_prob(r, &mut memory).expect("a score")))
                .sum()
        };
        let mut integers = Vec::new();
        latent::integers(encoded.perceptrons(0), &mut integers);
        let mut gradient = vec![0.0; integers.len()];
        {
            let pass = Pass::new(encoded, 0, shape, &nets).expect("a pass");
            let mut memory = pass.memory(shape.1);
            for row in asked.chunks_exact(columns) {
                pass.log_prob(row, &mut memory).expect("a score");
                pass.backward(&mut memory, 1.0, &integers, &mut gradient).expect("slopes");
            }
        }
        let (mut apart, mut size, mut tried) = (0.0, 0.0, 0);
        for (net, places) in nets.iter().enumerate() {
            for (index, place) in places.iter().enumerate() {
                for weight in (0..place.inputs * place.outputs).step_by(5) {
                    // What is more must still fit the type.
                    if integers[place.at + weight].abs() > (largest - step) as f32 {
                        continue;
                    }
                    let mut nudge = |by: i32| {
                        encoded.rewrite(0, |at, layers| {
                            if let (true, super::super::dense::Numbers::Fixed { weights, .. }) =
                                (at == net, &mut layers[index].numbers)
                            {
                                weights[weight] += by;
                            }
                        });
                        total(encoded)
                    };
                    let (more, less) = (nudge(step), nudge(-2 * step));
                    nudge(step);
                    let slope = 0.5 * (more - less) / f64::from(step);
                    apart += (slope - f64::from(gradient[place.at + weight])).powi(2);
                    size += slope * slope;
                    tried += 1;
                }
            }
        }
        let error = (apart / size).sqrt();
        println!("{tried} integers of {}, {numeric:?}: relative error {error:.4}", config.summary());
        let most = if config.flow == FlowKind::Nsf { 0.3 } else { 0.1 };
        assert!(error < most, "{error} of {config:?}");
    }
}

fn tuned(config: &TrainConfig, threads: usize) -> (Weights, FineTuned) {
    let (columns, observed) = (6, rows(2000, 6, 1));
    let flow = trained(2000, columns, config);
    let (fit, held_out) = (rows(2000, columns, 3), rows(1000, columns, 4));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| {
        let mut stored = Stored::new(&flow, Numeric::I8, &observed).expect("i8");
        let found = stored.fine_tune(TuningRows { tuned: &fit, held_out: &held_out }, &Tuning::default());
        (stored.weights(), found[0].expect("perceptrons"))
    })
}

#[test]
fn tuning_lowers_what_rounding_costs_on_any_number_of_threads() {
    let (weights, found) = tuned(&lossy(), 1);
    println!("{found:?}");
    let FineTuned { before, after, steps } = found;
    assert!(steps > 0, "{found:?}");
    assert!(after.mean_delta < 0.85 * before.mean_delta, "{found:?}");
    assert!(after.trimmed_nll <= before.trimmed_nll, "{found:?}");
    let (again, same) = tuned(&lossy(), 2);
    assert!(weights == again && found == same, "{found:?} and {same:?}");
}

#[test]
fn what_is_not_better_is_not_kept() {
    let (columns, observed) = (6, rows(400, 6, 1));
    let flow = trained(400, columns, &quick());
    let held_out = rows(300, columns, 4);
    let rows = TuningRows { tuned: &observed, held_out: &held_out };
    let mut stored = Stored::new(&flow, Numeric::I8, &observed).expect("i8");
    let rounded = stored.weights();
    // Steps that no integer survives.
    let found = stored.fine_tune(rows, &Tuning { rate: 50.0, ..Tuning::default() })[0].expect("perceptrons");
    assert_eq!((found.steps, found.before), (0, found.after), "{found:?}");
    assert!(stored.weights() == rounded, "weights that were not better are in the image");
    // Nothing to tune, and nobody to judge.
    let residual = TrainConfig { conditioner: ConditionerKind::Residual, ..quick() };
    let flow = trained(400, columns, &residual);
    let mut stored = Stored::new(&flow, Numeric::I8, &observed).expect("i8");
    assert_eq!(stored.fine_tune(rows, &Tuning::default()), [None]);
    let mut float = Stored::new(&flow, Numeric::F32, &observed).expect("f32");
    assert_eq!(float.fine_tune(rows, &Tuning::default()), [None]);
}
