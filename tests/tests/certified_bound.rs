//! The certified bound of fixed-point scores is never exceeded inside its box.

use flowlet_tests::trained::{self, fit, quick};
use flowlet_tests::{metadata, normal_readings, random_flow, Random};
use flowlet_tools::export::{build, certify, scores, Calibration, Certificate, Effort, ImageFile, Numeric};
use flowlet_tools::flow::{Activation, Conditioner, CouplingMap, Flow, Reference, ScaleMap, Transform};
use flowlet_tools::training::{BaseKind, FlowKind, MarginalFront, TrainConfig};

/// Random weights as training leaves them: small output layers, so that couplings are gentle.
fn gentle_flow(random: &mut Random, features: usize, couplings: usize, hidden: &[usize]) -> Flow {
    let mut flow = random_flow(random, features, couplings, hidden);
    for transform in &mut flow.transforms {
        if let Transform::Coupling(c) = transform {
            c.map = CouplingMap::Affine { scale: ScaleMap::Tanh { clamp: 0.6 } };
            c.input_limit = 2.0;
            let Conditioner::Mlp(net) = &mut c.conditioner else { continue };
            for w in &mut net.layers.last_mut().unwrap().weights {
                *w *= 0.3;
            }
        }
    }
    flow
}

fn worst(image: &ImageFile, oracle: &Reference, features: usize, probes: &[f32]) -> f64 {
    scores(image, probes)
        .unwrap()
        .iter()
        .zip(probes.chunks_exact(features))
        .map(|(score, row)| (f64::from(score.log_prob) - oracle.log_prob_f32(row)).abs())
        .fold(0.0, f64::max)
}

fn examine(name: &str, flow: &Flow, readings: &[f32]) {
    let features = flow.features;
    let mut random = Random(5);
    let oracle = Reference::from(flow);
    let bounds = |column: usize, pick: fn(f32, f32) -> f32| {
        readings.iter().skip(column).step_by(features).copied().reduce(pick).unwrap()
    };
    let (lows, highs): (Vec<f32>, Vec<f32>) =
        (0..features).map(|c| (bounds(c, f32::min), bounds(c, f32::max))).unzip();
    let mut probes = readings.to_vec();
    for _ in 0..4000 {
        let corner = random.below(4) == 0;
        for (low, high) in lows.iter().zip(&highs) {
            let part = if corner { random.below(2) as f32 } else { random.uniform() };
            probes.push((low + part * (high - low)).clamp(*low, *high));
        }
    }
    for numeric in [Numeric::I16, Numeric::I8] {
        let calibration = Calibration { readings, false_alarm_rate: 0.01 };
        let image = build(flow, numeric, &metadata(features), calibration).unwrap();
        let started = std::time::Instant::now();
        let c: Certificate =
            certify(flow, numeric, readings, readings, Effort::default()).unwrap().unwrap();
        let time = started.elapsed().as_secs_f64();
        let at_rows = worst(&image, &oracle, features, readings);
        let in_box = worst(&image, &oracle, features, &probes);
        let short = |x: &Result<f64, String>| x.as_ref().map_or_else(Clone::clone, |x| format!("{x:.5}"));
        println!("{name} {numeric:?}: box {} / {in_box:.5}; near {}, at {} / {at_rows:.5}; {time:.1} s", short(&c.over_box), short(&c.near_rows), short(&c.at_rows));
        assert!(in_box <= c.over_box.unwrap_or(f64::INFINITY) && at_rows <= c.at_rows.unwrap_or(f64::INFINITY));
    }
}

#[test]
fn explore() {
    for (features, couplings, hidden) in
        [(2, 1, vec![8]), (3, 2, vec![7]), (8, 4, vec![16, 16]), (9, 6, vec![32])]
    {
        let mut random = Random(features as u64);
        let flow = gentle_flow(&mut random, features, couplings, &hidden);
        let readings = normal_readings(&mut random, &flow, 250);
        examine(&format!("random {features} x {couplings}"), &flow, &readings);
    }
    let all = trained::readings(3000, 1);
    let rows = &all[..4 * 256];
    let with = |layers: usize, hidden: &[usize]| TrainConfig { layers, hidden: hidden.into(), ..quick() };
    for (layers, hidden) in [(2, vec![16]), (4, vec![16]), (6, vec![16]), (6, vec![64]), (6, vec![32, 32])] {
        let flow = fit(&all, 4, &with(layers, &hidden));
        examine(&format!("trained {layers} x {hidden:?}"), &flow, rows);
    }
    for (name, config) in [
        ("student", TrainConfig { base: BaseKind::Student, ..quick() }),
        ("mixture", TrainConfig { base: BaseKind::Mixture, components: 8, ..quick() }),
        ("mixture alone", TrainConfig { base: BaseKind::Mixture, components: 8, layers: 0, ..quick() }),
        ("nice", TrainConfig { flow: FlowKind::Nice, ..quick() }),
        ("glow", TrainConfig { flow: FlowKind::Glow, ..quick() }),
        ("marginal glow mixture", TrainConfig { flow: FlowKind::Glow, marginal: MarginalFront::Linear, base: BaseKind::Mixture, ..quick() }),
        ("silu", TrainConfig { activation: Activation::Silu, ..quick() }),
        ("tanh", TrainConfig { activation: Activation::Tanh, ..quick() }),
        ("leaky", TrainConfig { activation: Activation::LeakyRelu, ..quick() }),
    ] {
        if config.check().is_err() { println!("{name} {:?}", config.check()); continue }
        let flow = fit(&all, 4, &config);
        examine(name, &flow, rows);
    }
}
