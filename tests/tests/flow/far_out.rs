//! Readings far from everything that was trained on: never an overflow or a NaN, always an alarm, and along
//! a ray a score that does not fall.
//!
//! `cargo test --release -p flowlet-tests --test flow far_out:: -- --nocapture` prints what was found.

use flowlet::Score;
use flowlet_tests::{Random, NUMERICS};
use flowlet_tools::export::{build_observing, scores, Calibration, ImageFile, Metadata, Numeric};
use flowlet_tools::flow::{Activation, Reference, Transform};
use flowlet_tools::training::{
    auto_experts, kinds, train, BaseKind, ConditionerKind, FlowKind, MarginalFront, MaskKind, Matrix,
    TrainConfig, Trained,
};

const FEATURES: usize = 6;
/// Random points of each flow and arithmetic.
const POINTS: usize = 100_000;
/// Rays of each flow and arithmetic.
const RAYS: usize = 400;

/// Readings of six related sensors in units of their own: a bent surface with noise.
fn readings(rows: usize) -> Matrix {
    let mut random = Random(31);
    let mut values = Vec::with_capacity(rows * FEATURES);
    for _ in 0..rows {
        let (a, b) = (random.normal(), random.normal());
        let mut e = || 0.2 * random.normal();
        let row = [a + e(), 0.5 * a * a - b + e(), b + e(), a * b + e(), a - b + e(), (2.0 * a).sin() + e()];
        values.extend(row.iter().enumerate().map(|(i, x)| 50.0 * i as f32 + 4f32.powi(i as i32 - 2) * x));
    }
    Matrix::new(rows, FEATURES, values).expect("a matrix")
}

/// Every kind of flow that training knows, small enough to be trained here.
fn flows() -> Vec<(&'static str, TrainConfig)> {
    let small = TrainConfig { layers: 4, hidden: vec![16], epochs: Some(60), ..TrainConfig::default() };
    let with = |change: fn(&mut TrainConfig)| {
        let mut config = small.clone();
        change(&mut config);
        config
    };
    vec![
        ("realnvp", small.clone()),
        ("nice", with(|c| c.flow = FlowKind::Nice)),
        ("nsf", with(|c| c.flow = FlowKind::Nsf)),
        ("glow", with(|c| c.flow = FlowKind::Glow)),
        ("alternating", with(|c| c.mask = MaskKind::Alternating)),
        ("student", with(|c| c.base = BaseKind::Student)),
        ("mixture", with(|c| c.base = BaseKind::Mixture)),
        ("marginal", with(|c| c.marginal = MarginalFront::Linear)),
        ("marginal rq", with(|c| c.marginal = MarginalFront::RationalQuadratic)),
        ("whitened", with(|c| c.whiten = true)),
        ("residual", with(|c| c.conditioner = ConditionerKind::Residual)),
        ("conv1d", with(|c| c.conditioner = ConditionerKind::Conv1d)),
        ("tanh", with(|c| c.activation = Activation::Tanh)),
        ("silu", with(|c| c.activation = Activation::Silu)),
        ("marginal nsf onto a mixture", kinds(&small)[1].clone()),
        ("marginal glow onto a mixture", kinds(&small)[2].clone()),
        ("auto's coupling flow", auto_experts(&small)[0][0].clone()),
        ("auto's mixture", auto_experts(&small)[1][0].clone()),
    ]
}

fn image(data: &Matrix, trained: &Trained, numeric: Numeric) -> ImageFile {
    let held_out: Vec<f32> = trained.holdout_rows.iter().flat_map(|&row| data.row(row)).copied().collect();
    let calibration = Calibration { readings: &held_out, false_alarm_rate: 0.01 };
    let names = (0..FEATURES).map(|i| (format!("f{i}"), String::new())).collect();
    let metadata = Metadata { name: "far".into(), features: names, ..Metadata::default() };
    build_observing(&trained.flow, numeric, &metadata, calibration, &data.values).expect("an image")
}

/// Mean and standard deviation of each feature.
fn centre(trained: &Trained) -> (Vec<f32>, Vec<f32>) {
    match trained.flow.transforms.first() {
        Some(Transform::Standardize(s)) => (s.mean.clone(), s.std.clone()),
        _ => panic!("a trained flow standardizes first"),
    }
}

/// The reading at `distance` standard deviations from the centre.
fn at((mean, std): &(Vec<f32>, Vec<f32>), direction: &[f32], distance: f32) -> Vec<f32> {
    let units = mean.iter().zip(std).zip(direction);
    units.map(|((mean, std), unit)| mean + std * unit * distance).collect()
}

fn distance(random: &mut Random) -> f32 {
    // Evenly in the logarithm, from 20 to 10^6.
    20.0 * (random.uniform() * 50_000f32.ln()).exp()
}

#[test]
fn every_reading_far_out_alarms() {
    let data = readings(3000);
    for (name, config) in flows() {
        let trained = train(&data, &config, &mut ()).expect("trained");
        let centre = centre(&trained);
        for numeric in NUMERICS {
            let mut random = Random(7);
            let image = image(&data, &trained, numeric);
            let mut rows = Vec::with_capacity(POINTS * FEATURES);
            for _ in 0..POINTS {
                let mut direction: Vec<f32> = (0..FEATURES).map(|_| random.normal()).collect();
                let size = direction.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-3);
                direction.iter_mut().for_each(|x| *x /= size);
                rows.extend(at(&centre, &direction, distance(&mut random)));
            }
            let scores = scores(&image, &rows).expect("finite readings are scored");
            let silent = scores.iter().filter(|s| !s.alarm).count();
            let least = scores.iter().map(|s| s.score).fold(f32::MAX, f32::min);
            println!("{name} {numeric:?}: {silent} of {POINTS} silent, least score {least:.1}");
            let finite = |s: &Score| s.log_prob.is_finite() && s.score.is_finite() && s.p_value > 0.0;
            assert!(scores.iter().all(finite), "{name} {numeric:?}");
            assert_eq!(silent, 0, "{name} {numeric:?}");
        }
    }
}

/// What all nets see of a reading, if that is nothing but limits; else nothing.
fn saturated(oracle: &Reference, reading: &[f32]) -> Vec<f64> {
    let reading: Vec<f64> = reading.iter().map(|&x| x.into()).collect();
    let inputs = oracle.conditioner_inputs(&reading).concat();
    let limit = f64::from(TrainConfig::default().input_limit);
    if inputs.iter().all(|x| x.abs() >= limit) {
        inputs
    } else {
        Vec::new()
    }
}

#[test]
fn along_a_ray_the_score_does_not_fall() {
    let data = readings(3000);
    for (name, config) in flows() {
        let trained = train(&data, &config, &mut ()).expect("trained");
        let centre = centre(&trained);
        let oracle = Reference::from(&trained.flow);
        for numeric in NUMERICS {
            let mut random = Random(8);
            let image = image(&data, &trained, numeric);
            let (mut worst, mut pairs) = (0f32, 0);
            for _ in 0..RAYS {
                // Every feature goes far out, so that every conditioner input saturates.
                let side = |random: &mut Random| if random.below(2) == 0 { 1.0 } else { -1.0 };
                let direction: Vec<f32> =
                    (0..FEATURES).map(|_| side(&mut random) * (0.3 + 0.7 * random.uniform())).collect();
                let steps = 0..96;
                let rows: Vec<f32> = steps
                    .flat_map(|i| at(&centre, &direction, 20.0 * (50_000f32.ln() * i as f32 / 95.0).exp()))
                    .collect();
                let scores = scores(&image, &rows).expect("finite readings are scored");
                let inputs: Vec<Vec<f64>> =
                    rows.chunks_exact(FEATURES).map(|r| saturated(&oracle, r)).collect();
                for (pair, seen) in scores.windows(2).zip(inputs.windows(2)) {
                    // The law is for nets that see nothing but their limits.
                    if seen[0].is_empty() || seen[0] != seen[1] {
                        continue;
                    }
                    pairs += 1;
                    worst = worst.max((pair[0].score - pair[1].score) / pair[0].score.abs().max(1.0));
                }
            }
            println!(
                "{name} {numeric:?}: largest fall of {pairs} steps along {RAYS} rays {worst:.1e}, relative"
            );
            // What rounding of the score may take away.
            let rounding = if numeric == Numeric::F32 { 2e-6 } else { 2e-5 };
            assert!(worst <= rounding, "{name} {numeric:?}: the score falls by {worst:e}");
        }
    }
}
