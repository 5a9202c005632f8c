//! Certified bounds of fixed-point scores are never exceeded: not in the box, not near rows, not at them. A million readings,
//! random ones, corners and those that a search finds, against the flow in f64.
//!
//! `-- --nocapture` prints bounds beside the largest differences found.

use flowlet_tests::trained::{self, calibration, fit, quick};
use flowlet_tests::{metadata, normal_readings, random_flow, Random};
use flowlet_tools::export::{
    build, certify, import_ensemble, scores, Certificate, Effort, Ensemble, ImageFile, Numeric,
};
use flowlet_tools::flow::{
    Activation, Conditioner, CouplingMap, Flow, Reference, ScaleMap, Spline, SplineParameters, Transform,
};
use flowlet_tools::training::{BaseKind, ConditionerKind, FlowKind, MarginalFront, TrainConfig};
use std::cell::Cell;

std::thread_local! {
    /// Readings looked at in a test.
    static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
}

/// Random weights as training leaves them: small output layers, so that couplings are gentle.
fn gentle_flow(random: &mut Random, features: usize, couplings: usize, scale: ScaleMap) -> Flow {
    let mut flow = random_flow(random, features, couplings, &[12]);
    for transform in &mut flow.transforms {
        if let Transform::Coupling(c) = transform {
            c.map = CouplingMap::Affine { scale };
            c.input_limit = 2.0;
            let Conditioner::Mlp(net) = &mut c.conditioner else { continue };
            for w in &mut net.layers.last_mut().unwrap().weights {
                *w *= 0.3;
            }
        }
    }
    flow
}

/// Two spline couplings of small random nets, with knots of both kinds; the box ends amid the readings, and is no number of
/// Q15.16.
fn gentle_splines(random: &mut Random, parameters: SplineParameters) -> Flow {
    let minimum = if parameters == SplineParameters::Softplus { 1e-3 } else { 0.0 };
    let (min_bin, min_derivative) = (minimum, minimum);
    let mut flow = gentle_flow(random, 3, 2, ScaleMap::Hard { clamp: 0.6 });
    for transform in &mut flow.transforms {
        if let Transform::Coupling(c) = transform {
            let moved = c.mask.moved().len();
            c.map = CouplingMap::Spline(Spline { bins: 5, bound: 2.1, min_bin, min_derivative, parameters });
            let Conditioner::Mlp(net) = &mut c.conditioner else { continue };
            let last = net.layers.last_mut().unwrap();
            last.outputs = moved * c.map.outputs_per_feature();
            last.weights = (0..last.outputs * last.inputs).map(|_| 0.15 * random.normal()).collect();
            last.bias = (0..last.outputs).map(|_| 0.5 * random.normal()).collect();
        }
    }
    flow
}

/// An image beside the exact flow.
struct Judge<'a> {
    image: &'a ImageFile,
    oracle: &'a Reference,
    features: usize,
}

impl Judge<'_> {
    /// The difference of each reading.
    fn differences(&self, readings: &[f32]) -> Vec<f64> {
        LOOKED_AT.set(LOOKED_AT.get() + readings.len() / self.features);
        let rows = readings.chunks_exact(self.features);
        let scores = scores(self.image, readings).unwrap();
        scores
            .iter()
            .zip(rows)
            .map(|(s, row)| (f64::from(s.log_prob) - self.oracle.log_prob_f32(row)).abs())
            .collect()
    }

    fn worst(&self, readings: &[f32]) -> f64 {
        self.differences(readings).into_iter().fold(0.0, f64::max)
    }

    /// Uniform in the box and on its faces and corners, then from the worst of them uphill, one feature at a time.
    fn search(&self, random: &mut Random, (lows, highs): (&[f32], &[f32]), count: usize) -> f64 {
        let mut readings = Vec::new();
        for _ in 0..count {
            let kind = random.below(3);
            for (&low, &high) in lows.iter().zip(highs) {
                let part = match kind {
                    0 => random.uniform(),
                    1 => random.below(2) as f32,
                    _ => (1.4 * random.uniform() - 0.2).clamp(0.0, 1.0),
                };
                readings.push((low + part * (high - low)).clamp(low, high));
            }
        }
        let found = self.differences(&readings);
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|&a, &b| found[b].total_cmp(&found[a]));
        let mut worst = found[order[0]];
        for &start in &order[..8] {
            let mut at = readings[start * self.features..][..self.features].to_vec();
            let mut best = found[start];
            for step in [1.0f32, 0.3, 0.1, 0.03, 0.01] {
                for _ in 0..2 {
                    for i in 0..self.features {
                        let reach = step * (highs[i] - lows[i]);
                        let tries: Vec<f32> = (0..8)
                            .flat_map(|_| {
                                let mut other = at.clone();
                                let moved = at[i] + reach * (2.0 * random.uniform() - 1.0);
                                other[i] = moved.clamp(lows[i], highs[i]);
                                other
                            })
                            .collect();
                        for (difference, other) in
                            self.differences(&tries).into_iter().zip(tries.chunks_exact(self.features))
                        {
                            if difference > best {
                                best = difference;
                                at = other.to_vec();
                            }
                        }
                    }
                }
            }
            worst = worst.max(best);
        }
        worst
    }
}

/// What is found and what was proved, in a line: box, near rows, at rows.
fn examine(name: &str, flow: &Flow, readings: &[f32], effort: Effort, samples: usize) {
    let features = flow.features;
    // The f32 image holds the flow that is exact: what export merges is rounded to f32 in it.
    let float = build(flow, Numeric::F32, &metadata(features), calibration(readings)).unwrap();
    let oracle = Reference::from(import_ensemble(&float.model().unwrap()).0.quoted_flow());
    let extreme = |column: usize, pick: fn(f32, f32) -> f32| {
        readings.iter().skip(column).step_by(features).copied().reduce(pick).unwrap()
    };
    let (lows, highs): (Vec<f32>, Vec<f32>) =
        (0..features).map(|c| (extreme(c, f32::min), extreme(c, f32::max))).unzip();
    let std = match flow.transforms.first() {
        Some(Transform::Standardize(s)) => s.std.clone(),
        _ => vec![1.0; features],
    };
    let mut random = Random(11);
    for numeric in [Numeric::I16, Numeric::I8] {
        let image = build(flow, numeric, &metadata(features), calibration(readings)).unwrap();
        let judge = Judge { image: &image, oracle: &oracle, features };
        let c: Certificate = certify(flow, numeric, readings, readings, effort).unwrap().unwrap();
        let [over_box, near_rows, at_rows] =
            [&c.over_box, &c.near_rows, &c.at_rows].map(|b| *b.as_ref().unwrap());
        let in_box = judge.search(&mut random, (&lows, &highs), samples);
        let at = judge.worst(readings);
        let near: Vec<f32> = (0..samples)
            .flat_map(|i| {
                let row = &readings[i % (readings.len() / features) * features..][..features];
                let away = |(x, s): (&f32, &f32)| x + 0.0099 * s * (2.0 * random.uniform() - 1.0);
                row.iter().zip(&std).map(away).collect::<Vec<_>>()
            })
            .collect();
        let near = judge.worst(&near);
        println!(
            "| {name} | {numeric:?} | {over_box:.4} ({:.0}) | {near_rows:.4} ({:.1}) | {at_rows:.4} ({:.1}) |",
            over_box / in_box,
            near_rows / near,
            at_rows / at
        );
        assert!(in_box <= over_box, "{name}, {numeric:?}: {in_box} exceeds {over_box} in the box");
        assert!(near <= near_rows, "{name}, {numeric:?}: {near} exceeds {near_rows} near rows");
        assert!(at <= at_rows, "{name}, {numeric:?}: {at} exceeds {at_rows} at rows");
        assert!(at_rows <= near_rows && near_rows <= over_box.max(near_rows), "{c:?}");
        // What holds at rows is of use: at most some ten times what is found.
        assert!(at_rows < 20.0 * at, "{name}, {numeric:?}: {at_rows} against {at}");
    }
}

const EFFORT: Effort = Effort { parts: 256, rows: 128, radius: 0.01 };
const SAMPLES: usize = if cfg!(debug_assertions) { 500 } else { 22_000 };

#[test]
fn no_reading_exceeds_a_bound() {
    let all = trained::readings(3000, 1);
    // As many rows as are looked at, so that the bound speaks of all of them.
    let rows = &all[..4 * EFFORT.rows];
    let with = |layers: usize, hidden: &[usize]| TrainConfig { layers, hidden: hidden.into(), ..quick() };
    println!("| flow | numeric | box | near rows | at rows |\n|---|---|---|---|---|");
    for (layers, hidden) in [(1, &[16][..]), (2, &[16]), (4, &[16]), (6, &[16]), (6, &[32])] {
        let flow = fit(&all, 4, &with(layers, hidden));
        examine(&format!("{layers} affine couplings, hidden {hidden:?}"), &flow, rows, EFFORT, SAMPLES);
    }
    let (base, flow) = (BaseKind::Mixture, FlowKind::Glow);
    for (name, config) in [
        ("3 couplings, Student-t base", TrainConfig { base: BaseKind::Student, ..quick() }),
        ("3 couplings, mixture of 8", TrainConfig { base, components: 8, ..quick() }),
        (
            "whitened, 2 couplings, mixture of 8",
            TrainConfig { whiten: true, layers: 2, base, components: 8, ..quick() },
        ),
        ("NICE, 3 couplings", TrainConfig { flow: FlowKind::Nice, ..quick() }),
        ("Glow, 3 couplings", TrainConfig { flow, ..quick() }),
        (
            "marginal maps, Glow, mixture",
            TrainConfig { flow, marginal: MarginalFront::Linear, base, ..quick() },
        ),
        ("3 couplings, SiLU", TrainConfig { activation: Activation::Silu, ..quick() }),
        ("3 couplings, tanh", TrainConfig { activation: Activation::Tanh, ..quick() }),
        ("3 couplings, leaky ReLU", TrainConfig { activation: Activation::LeakyRelu, ..quick() }),
    ] {
        examine(name, &fit(&all, 4, &config), rows, EFFORT, SAMPLES);
    }
    for (name, scale) in [
        ("hard clamp", ScaleMap::Hard { clamp: 0.6 }),
        ("soft sign", ScaleMap::SoftSign { clamp: 0.6 }),
        ("sigmoid with floor", ScaleMap::Sigmoid { offset: 2.0, floor: 1e-3 }),
        ("sigmoid", ScaleMap::Sigmoid { offset: 2.0, floor: 0.0 }),
    ] {
        let mut random = Random(3);
        let flow = gentle_flow(&mut random, 3, 2, scale);
        let readings = normal_readings(&mut random, &flow, EFFORT.rows);
        examine(&format!("random weights, 2 couplings, {name}"), &flow, &readings, EFFORT, SAMPLES);
    }
    a_million_was_looked_at();
}

fn a_million_was_looked_at() {
    let looked_at = LOOKED_AT.get();
    println!("{looked_at} readings");
    assert!(cfg!(debug_assertions) || looked_at > 1_000_000);
}

#[test]
fn no_reading_exceeds_a_bound_of_splines_and_other_nets() {
    let all = trained::readings(3000, 1);
    let rows = &all[..4 * EFFORT.rows];
    let (residual, convolution) = (ConditionerKind::Residual, ConditionerKind::Conv1d);
    let marginal = MarginalFront::RationalQuadratic;
    let nsf = || TrainConfig { flow: FlowKind::Nsf, ..quick() };
    println!("| flow | numeric | box | near rows | at rows |\n|---|---|---|---|---|");
    for (name, config) in [
        ("1 spline coupling, 8 bins", TrainConfig { layers: 1, ..nsf() }),
        ("2 spline couplings, 8 bins", TrainConfig { layers: 2, ..nsf() }),
        ("4 spline couplings, 8 bins", TrainConfig { layers: 4, ..nsf() }),
        ("2 spline couplings, 16 bins", TrainConfig { layers: 2, bins: 16, ..nsf() }),
        ("rational-quadratic marginal maps, 2 couplings", TrainConfig { layers: 2, marginal, ..quick() }),
        ("3 couplings, residual", TrainConfig { conditioner: residual, hidden: vec![16, 16], ..quick() }),
        ("2 spline couplings, residual", TrainConfig { conditioner: residual, layers: 2, ..nsf() }),
        ("2 couplings, convolution", TrainConfig { conditioner: convolution, layers: 2, ..quick() }),
    ] {
        examine(name, &fit(&all, 4, &config), rows, EFFORT, SAMPLES);
    }
    // Four related features, 0 to 31 each.
    let integers: Vec<f32> = all
        .chunks_exact(4)
        .flat_map(|x| [(x[0] - 20.0) * 0.5, x[1] * 10.0, (x[2] - 1000.0) / 30.0, x[3]])
        .map(|z| (16.0 + 5.0 * z).round().clamp(0.0, 31.0))
        .collect();
    let config = TrainConfig { integers: Some(31), layers: 2, ..quick() };
    let rows = &integers[..4 * EFFORT.rows];
    examine("integers, 2 couplings", &fit(&integers, 4, &config), rows, EFFORT, SAMPLES);
    for (name, parameters) in
        [("softplus", SplineParameters::Softplus), ("soft-clipped", SplineParameters::SoftClipped)]
    {
        let mut random = Random(3);
        let flow = gentle_splines(&mut random, parameters);
        let readings = normal_readings(&mut random, &flow, EFFORT.rows);
        examine(&format!("random weights, 2 spline couplings, {name}"), &flow, &readings, EFFORT, SAMPLES);
    }
    a_million_was_looked_at();
}

#[test]
fn context_is_part_of_the_box() {
    let flow = trained::by_speed();
    let rows = trained::readings_by_speed(128, 5);
    let image = build(flow, Numeric::I16, &trained::metadata(2, 1), calibration(&rows)).unwrap();
    let c = certify(flow, Numeric::I16, &rows, &rows, EFFORT).unwrap().unwrap();
    let oracle = Reference::from(flow);
    let judge = Judge { image: &image, oracle: &oracle, features: 3 };
    let extreme = |column: usize, pick: fn(f32, f32) -> f32| {
        rows.iter().skip(column).step_by(3).copied().reduce(pick).unwrap()
    };
    let (lows, highs): (Vec<f32>, Vec<f32>) =
        (0..3).map(|c| (extreme(c, f32::min), extreme(c, f32::max))).unzip();
    let found = judge.search(&mut Random(2), (&lows, &highs), SAMPLES);
    let over_box = c.over_box.unwrap();
    println!("context: {found} of {over_box}");
    assert!(found <= over_box);
    assert!(judge.worst(&rows) <= c.at_rows.unwrap());
}

#[test]
fn a_certificate_goes_into_the_image_and_out_again() {
    let rows = trained::readings(128, 1);
    let flow = trained::usual();
    assert_eq!(certify(flow, Numeric::F32, &rows, &rows, EFFORT).unwrap(), None);
    let image = build(flow, Numeric::I16, &metadata(4), calibration(&rows)).unwrap();
    assert_eq!(image.model().unwrap().certificate(), None);
    let certificate = certify(flow, Numeric::I16, &rows, &rows, EFFORT).unwrap().unwrap();
    let certified = image.certified(&certificate);
    let record = certified.model().unwrap().certificate().unwrap();
    assert_eq!(record, certificate.record());
    // Rounded up.
    assert!(f64::from(record.over_box) >= *certificate.over_box.as_ref().unwrap());
    // Nothing else changes, and an image has one certificate.
    assert_eq!(scores(&certified, &rows).unwrap(), scores(&image, &rows).unwrap());
    assert_eq!(certified.certified(&certificate), certified);

    // Of experts, the largest.
    let experts = trained::experts().to_vec();
    let alone: Vec<Certificate> = experts
        .iter()
        .map(|flow| certify(flow, Numeric::I8, &rows, &rows, EFFORT).unwrap().unwrap())
        .collect();
    let together = certify(Ensemble::new(experts), Numeric::I8, &rows, &rows, EFFORT).unwrap().unwrap();
    let largest = alone.iter().map(|c| *c.at_rows.as_ref().unwrap()).fold(0.0, f64::max);
    let ratio = together.at_rows.unwrap() / largest;
    assert!((0.99..1.01).contains(&ratio), "{ratio}");
}

#[test]
fn what_is_not_covered_is_named() {
    let mut rows = trained::readings(128, 1);
    // Beyond 32767 standard deviations of 2.
    rows[0] = 1e5;
    let c = certify(trained::usual(), Numeric::I16, &rows, &rows, EFFORT).unwrap().unwrap();
    assert_eq!(c.reason(), Some("readings that saturate"));
    assert!(c.record().over_box.is_infinite() && c.record().at_rows.is_infinite());
}
