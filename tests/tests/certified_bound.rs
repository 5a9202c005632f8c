//! The certified bound of fixed-point scores is never exceeded inside its box.

use flowlet_tests::{metadata, normal_readings, random_flow, Random};
use flowlet_tools::export::{build, certified_bound, scores, Calibration, Numeric};
use flowlet_tools::flow::{Conditioner, CouplingMap, Flow, Reference, ScaleMap, Transform};

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

#[test]
fn no_reading_of_the_box_exceeds_the_bound() {
    for (features, couplings, hidden) in
        [(2, 1, vec![8]), (3, 2, vec![7]), (8, 4, vec![16, 16]), (9, 6, vec![32])]
    {
        let mut random = Random(features as u64);
        let flow = gentle_flow(&mut random, features, couplings, &hidden);
        let readings = normal_readings(&mut random, &flow, 400);
        let oracle = Reference::from(&flow);

        // Uniform in the box of the readings, corners included.
        let bounds = |column: usize, pick: fn(f32, f32) -> f32| {
            readings.iter().skip(column).step_by(features).copied().reduce(pick).unwrap()
        };
        let (lows, highs): (Vec<f32>, Vec<f32>) =
            (0..features).map(|c| (bounds(c, f32::min), bounds(c, f32::max))).unzip();
        let mut probes = readings.clone();
        for _ in 0..4000 {
            let corner = random.below(4) == 0;
            for (low, high) in lows.iter().zip(&highs) {
                let part = if corner { random.below(2) as f32 } else { random.uniform() };
                probes.push((low + part * (high - low)).clamp(*low, *high));
            }
        }
        for numeric in [Numeric::I16, Numeric::I8] {
            let calibration = Calibration { readings: &readings, false_alarm_rate: 0.01 };
            let image = build(&flow, numeric, &metadata(features), calibration).unwrap();
            let bound = certified_bound(&flow, numeric, &readings).unwrap().unwrap();
            let worst = scores(&image, &probes)
                .unwrap()
                .iter()
                .zip(probes.chunks_exact(features))
                .map(|(score, row)| (f64::from(score.log_prob) - oracle.log_prob_f32(row)).abs())
                .fold(0.0, f64::max);
            println!(
                "{features} features, {couplings} couplings, {numeric:?}: worst {worst:.5}, bound {bound:.5}"
            );
            assert!(worst <= bound, "{numeric:?}: {worst} exceeds {bound}");
            assert!(bound.is_finite());
        }
        assert_eq!(certified_bound(&flow, Numeric::F32, &readings).unwrap(), None);
    }
}
