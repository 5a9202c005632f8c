//! Marginal maps, the logit and splits on tiles.

use super::super::{TileLogit, TileMarginal, TileSplit};
use super::*;
use crate::flow::{Marginal, MarginalKind, MarginalMap};

/// Maps with knots from -2 to 2 and images from `low` to `high`.
fn map(random: &mut Random, features: usize, form: MarginalKind, (low, high): (f32, f32)) -> Marginal {
    let knots = 6;
    let mut axis = |from: f32, to: f32| {
        let steps: Vec<f32> = (1..knots).map(|_| 0.2 + random.uniform()).collect();
        let whole: f32 = steps.iter().sum();
        let mut at = from;
        std::iter::once(from)
            .chain(steps.iter().map(|s| {
                at += s / whole * (to - from);
                at
            }))
            .collect::<Vec<f32>>()
    };
    let mut features: Vec<MarginalMap> = (0..features)
        .map(|_| MarginalMap { x: axis(-2.0, 2.0), y: axis(low, high), slopes: Vec::new() })
        .collect();
    let count = if form == MarginalKind::Linear { 2 } else { knots };
    let scale = (high - low) / 4.0;
    for map in &mut features {
        map.slopes = (0..count).map(|_| scale * (0.3 + random.uniform())).collect();
    }
    Marginal { form, features }
}

fn engine(features: usize, hidden: &[usize], kernels: Box<dyn Kernels>) -> Engine {
    let mut random = Random::new(3, 7);
    let coupling = |active: usize, first: bool| -> Box<dyn TileTransform> {
        let mask = Mask::half(active, first);
        let relu = crate::flow::Activation::Relu;
        let net = TileMlp::new(relu, mask.given().len(), hidden, 2 * mask.moved().len());
        Box::new(TileCoupling::new(
            (features, 0),
            mask,
            1.8,
            Box::new(TileAffine { scale: crate::flow::ScaleMap::Tanh { clamp: 0.7 } }),
            Box::new(net),
        ))
    };
    let rational = MarginalKind::RationalQuadratic;
    let mut chain: Vec<Box<dyn TileTransform>> = vec![
        Box::new(TileSoftTail::new(features, features, 1.1)),
        coupling(features, true),
        Box::new(TileMarginal::new(features, map(&mut random, features, rational, (-1.0, 2.0)))),
        coupling(features, false),
        // Into the unit interval, some of it into the margins and beyond.
        Box::new(TileMarginal::new(features, map(&mut random, features, MarginalKind::Linear, (0.02, 0.98)))),
        Box::new(TileLogit::new(features, features, 0.05)),
        coupling(features, true),
    ];
    if features > 3 {
        let keep = features - features / 3;
        chain.push(Box::new(TileSplit { keep }));
        chain.push(Box::new(TileMarginal::new(features, map(&mut random, keep, rational, (-3.0, 3.0)))));
        chain.push(coupling(keep, true));
        chain.push(coupling(keep, false));
        chain.push(Box::new(TileSoftTail::new(keep, features, 1.5)));
    }
    Engine::with_kernels((features, 0), chain, Box::new(TileStandardNormal(features)), kernels)
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
            for (got, row) in got.iter().zip(values.chunks_exact(features)) {
                let want = reference.log_prob_f32(row);
                let name = engine.kernels().name();
                assert!((got - want).abs() < 2e-5 * (10.0 + want.abs()), "{name}: {got} against {want}");
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

/// Noise that comes behind the fixed front, and the dequantizing noise before it.
#[test]
fn noises_come_where_they_belong() {
    let stage = |noise: f32, step: f32| {
        let mut random = Random::new(3, 7);
        let chain: Vec<Box<dyn TileTransform>> = vec![
            Box::new(TileLogit::new(2, 2, 0.05)),
            Box::new(TileMarginal::new(2, map(&mut random, 2, MarginalKind::Linear, (-1.0, 1.0)))),
            Box::new(TileSoftTail::new(2, 2, 4.0)),
        ];
        let engine = Engine::new((2, 0), chain, Box::new(TileStandardNormal(2))).noise_behind(2);
        let lines = padded(&vec![0.5; 64 * 2], 2);
        let all: Vec<usize> = (0..64).collect();
        let rows = Rows { data: &lines, rows: &all, noise, step, seed: 4 };
        engine.gradient(&[], rows, &mut [])
    };
    let still = stage(0.0, 0.0);
    // Behind the front noise of deviation s adds s^2 per row on average: two features of s^2 / 2 (and what the
    // shift off the mode gives). Noise before the logit would be four times as large behind it.
    let behind = stage(0.2, 0.0) - still;
    assert!((0.01..0.08).contains(&behind), "{behind}");
    let before = stage(0.0, 0.2) - still;
    assert!(before.abs() > 1e-4 && before.abs() < 1.0, "{before}");
    assert_ne!(stage(0.2, 0.2), stage(0.2, 0.0));
}
