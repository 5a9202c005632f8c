//! What holds for every flow: the maps invert, the determinants are those of the maps, densities
//! integrate to one.
//!
//! `cargo test --release -p flowlet-tests --test flow properties:: -- --nocapture` prints the errors found.

use flowlet_tests::evaluate::{forward, image_of, inverse, step_there_and_back};
use flowlet_tests::{normal_readings, oracle, random_flow, Random, NUMERICS};
use flowlet_tools::export::{scores, Numeric};
use flowlet_tools::flow::{Conditioner, Flow, Transform};

const SHAPES: [(usize, &[usize]); 5] = [(2, &[8]), (3, &[5, 7]), (5, &[]), (8, &[32, 32]), (16, &[24, 24])];

fn flows() -> impl Iterator<Item = Flow> {
    SHAPES
        .into_iter()
        .map(|(features, hidden)| random_flow(&mut Random(1000 + features as u64), features, 4, hidden))
}

fn standardizer(flow: &Flow) -> (Vec<f64>, Vec<f64>) {
    let Some(Transform::Standardize(s)) = flow.transforms.first() else { panic!("it has one") };
    (s.mean.iter().map(|&m| m.into()).collect(), s.std.iter().map(|&s| s.into()).collect())
}

fn list(errors: &[f64]) -> String {
    errors.iter().map(|e| format!("{e:.1e} ")).collect()
}

/// Readings at `size` standard deviations, with signs at random.
fn far(random: &mut Random, flow: &Flow, size: f64) -> Vec<f32> {
    let (mean, std) = standardizer(flow);
    let sign = |random: &mut Random| if random.below(2) == 0 { 1.0 } else { -1.0 };
    mean.iter().zip(&std).map(|(m, s)| (m + s * size * sign(random)) as f32).collect()
}

/// Makes the conditioners' outputs `factor` times as large, which brings a flow towards the identity.
fn tamed(mut flow: Flow, factor: f32) -> Flow {
    for transform in &mut flow.transforms {
        if let Transform::Coupling(c) = transform {
            let Conditioner::Mlp(net) = &mut c.conditioner else { continue };
            let last = net.layers.last_mut().expect("a layer");
            last.weights.iter_mut().chain(&mut last.bias).for_each(|w| *w *= factor);
        }
    }
    flow
}

#[test]
fn every_step_inverts() {
    // Error relative to 1 + |x|, and of the log-determinants.
    let budgets = [(1e-5, 1e-4), (1e-4, 1e-4), (1e-4, 1e-4)];
    for (numeric, (budget, log_budget)) in NUMERICS.into_iter().zip(budgets) {
        let mut random = Random(3);
        let (mut worst, mut worst_log) = ([0f64; 3], 0f64);
        for flow in flows() {
            let image = image_of(&flow, numeric);
            let model = image.model().unwrap();
            let chain = model.experts().next().unwrap().chain;
            for (index, step) in chain.steps().enumerate() {
                for size in [1.0, 5.0, 100.0, 30_000.0] {
                    // Behind the soft tail, no value is far.
                    let size = if step.name() == "soft_tail" { size } else { f64::min(size, 15.0) };
                    let x: Vec<f64> =
                        (0..flow.features).map(|_| f64::from(random.normal()) / 3.0 * size).collect();
                    let (back, there_log, back_log) = step_there_and_back(&model, index, &x);
                    let kind = match step.name() {
                        "soft_tail" => 0,
                        "permutation" => 1,
                        _ => 2,
                    };
                    for (back, x) in back.iter().zip(&x) {
                        worst[kind] = worst[kind].max((back - x).abs() / (1.0 + x.abs()));
                    }
                    worst_log = worst_log.max((there_log - back_log).abs());
                }
            }
        }
        println!("{numeric:?}: soft tail, permutation, coupling {}; log_det {worst_log:.1e}", list(&worst));
        // Nothing computes in a permutation; the input itself is rounded.
        assert!(worst[1] <= 2f64.powi(-17), "{numeric:?}: {worst:?}");
        assert!(worst.iter().all(|&w| w <= budget), "{numeric:?}: {worst:?}");
        assert!(worst_log <= log_budget, "{numeric:?}: {worst_log}");
    }
}

#[test]
fn whole_chains_invert() {
    // Largest |x' - x| over max(std, |x - mean|).
    let budgets = [3e-4, 1e-1, 1e-1];
    for (numeric, budget) in NUMERICS.into_iter().zip(budgets) {
        let mut random = Random(4);
        let mut worst = [0f64; 4];
        for flow in flows() {
            let image = image_of(&flow, numeric);
            let model = image.model().unwrap();
            let (mean, std) = standardizer(&flow);
            let mut readings: Vec<(usize, Vec<f32>)> = normal_readings(&mut random, &flow, 100)
                .chunks_exact(flow.features)
                .map(|row| (0, row.to_vec()))
                .collect();
            for (kind, size) in [(1, 20.0), (2, 1e3), (3, 3e4)] {
                readings.extend((0..10).map(|_| (kind, far(&mut random, &flow, size))));
            }
            for (kind, x) in readings {
                let there = forward(&model, &x);
                let back = inverse(&model, &there.values);
                for (i, (back, &x)) in back.values.iter().zip(&x).enumerate() {
                    let unit = std[i].max((f64::from(x) - mean[i]).abs());
                    worst[kind] = worst[kind].max((back - f64::from(x)).abs() / unit);
                }
            }
        }
        println!("{numeric:?}: normal, 20, 1e3, 3e4 standard deviations: {}", list(&worst));
        assert!(worst.iter().all(|&w| w <= budget), "{numeric:?}: {worst:?}");
    }
}

#[test]
fn log_det_is_that_of_the_jacobian() {
    // By differences of a map in f64 that knows nothing of determinants.
    // Of normal readings; of some at 50 standard deviations.
    let budgets = [[1e-5, 1e-5], [5e-3, 1e-1], [1e-1, 5e-1]];
    for (numeric, budget) in NUMERICS.into_iter().zip(budgets) {
        let mut random = Random(5);
        let mut worst = [0f64; 2];
        for flow in flows() {
            let image = image_of(&flow, numeric);
            let model = image.model().unwrap();
            let (_, std) = standardizer(&flow);
            let mut rows: Vec<(usize, Vec<f32>)> = normal_readings(&mut random, &flow, 20)
                .chunks_exact(flow.features)
                .map(|row| (0, row.to_vec()))
                .collect();
            rows.extend((0..5).map(|_| (1, far(&mut random, &flow, 50.0))));
            for (kind, reading) in rows {
                let found = forward(&model, &reading).log_det;
                let x: Vec<f64> = reading.iter().map(|&x| x.into()).collect();
                let expected = oracle::log_det(|x| oracle::map(&flow, x), &x, &std, 1e-6);
                worst[kind] = worst[kind].max((found - expected).abs() / expected.abs().max(1.0));
            }
        }
        println!("{numeric:?}: log_det against a numerical Jacobian, normal and far: {}", list(&worst));
        assert!(worst.iter().zip(budget).all(|(&w, b)| w <= b), "{numeric:?}: {worst:?}");
    }
}

#[test]
fn log_det_is_that_of_the_images_own_map() {
    // Coarse, by differences of the device's own f32, so that not even the f64 map is believed.
    let mut random = Random(6);
    let mut errors = Vec::new();
    for flow in flows() {
        let image = image_of(&flow, Numeric::F32);
        let model = image.model().unwrap();
        let (_, std) = standardizer(&flow);
        for reading in normal_readings(&mut random, &flow, 20).chunks_exact(flow.features) {
            let own = |x: &[f64]| forward(&model, &x.iter().map(|&x| x as f32).collect::<Vec<_>>()).values;
            let x: Vec<f64> = reading.iter().map(|&x| x.into()).collect();
            // The step that is really taken is the rounded one; std of 1/64 around 100 keeps 11 bits.
            let numerical = oracle::log_det(own, &x, &std, 0.02);
            errors.push((forward(&model, reading).log_det - numerical).abs());
        }
    }
    errors.sort_by(f64::total_cmp);
    let median = errors[errors.len() / 2];
    println!("f32 against its own differences: median {median:.1e}, worst {:.1e}", errors[errors.len() - 1]);
    assert!(median < 0.02, "{median}");
}

/// The integral of the density of a 2-D flow over `limit` standard deviations either way, by the
/// midpoint rule.
fn integral(flow: &Flow, numeric: Numeric, limit: f64, steps: usize) -> f64 {
    let image = image_of(flow, numeric);
    let (mean, std) = standardizer(flow);
    let step = 2.0 * limit / steps as f64;
    let at =
        |i: usize, feature: usize| (mean[feature] + std[feature] * (-limit + step * (i as f64 + 0.5))) as f32;
    let rows: Vec<f32> = (0..steps * steps).flat_map(|i| [at(i / steps, 0), at(i % steps, 1)]).collect();
    let sum: f64 = scores(&image, &rows).unwrap().iter().map(|s| f64::from(s.log_prob).exp()).sum();
    sum * step * step * std[0] * std[1]
}

#[test]
fn densities_integrate_to_one() {
    let budgets = [2e-3, 2e-3, 2e-3];
    for (numeric, budget) in NUMERICS.into_iter().zip(budgets) {
        for seed in 0..4 {
            let flow = tamed(random_flow(&mut Random(seed), 2, 3, &[8, 8]), 0.4);
            let found = integral(&flow, numeric, 24.0, 960);
            println!("{numeric:?}, flow {seed}: integral {found:.5}");
            assert!((found - 1.0).abs() <= budget, "{numeric:?}, flow {seed}: {found}");
        }
    }
}

#[test]
fn far_out_readings_score_worse_than_every_normal_one() {
    // Of flows near the identity, as a trained one is near its data. Not of any weights: a coupling may
    // contract by e^clamp, and the soft tail leaves 14.4 of a million standard deviations.
    for numeric in NUMERICS {
        let mut random = Random(8);
        for flow in flows().map(|f| tamed(f, 0.05)) {
            let image = image_of(&flow, numeric);
            let rows = normal_readings(&mut random, &flow, 500);
            let normal = scores(&image, &rows).unwrap();
            let worst_normal = normal.iter().map(|s| s.score).fold(f32::MIN, f32::max);
            let (mean, _) = standardizer(&flow);
            let mut before = f32::MIN;
            for size in [20.0, 100.0, 1e3, 1e4, 1e6, 1e30] {
                // The same signs at every size.
                let all = far(&mut Random(12), &flow, size);
                let score = scores(&image, &all).unwrap()[0];
                assert!(score.score.is_finite() && score.log_prob.is_finite());
                assert!(score.score > worst_normal, "{numeric:?}, all at {size}: {score:?}");
                // One feature alone, among few: with many features one is a small part of the score.
                let one = |feature: usize| {
                    let mut x: Vec<f32> = mean.iter().map(|&m| m as f32).collect();
                    x[feature] = all[feature];
                    x
                };
                let alone: Vec<f32> = (0..flow.features).flat_map(one).collect();
                let alone = scores(&image, &alone).unwrap();
                let least = alone.iter().map(|s| s.score).fold(f32::MAX, f32::min);
                if flow.features <= 8 {
                    assert!(least > worst_normal, "{numeric:?}, d = {}, one at {size}", flow.features);
                }
                assert!(least >= before - 1.0, "{numeric:?}: {least} at {size} after {before}");
                before = least;
            }
        }
    }
}

#[test]
fn the_edges_of_f32_get_a_finite_score() {
    let edges = [0.0, -0.0, f32::from_bits(1), -f32::MIN_POSITIVE, f32::MAX, f32::MIN, 1e-30, -1e30];
    for numeric in NUMERICS {
        let mut random = Random(9);
        for flow in flows() {
            let image = image_of(&flow, numeric);
            for _ in 0..200 {
                let x: Vec<f32> = (0..flow.features).map(|_| edges[random.below(edges.len())]).collect();
                let score = scores(&image, &x).unwrap()[0];
                assert!(score.log_prob.is_finite() && score.score == -score.log_prob, "{numeric:?}: {x:?}");
                assert!(score.p_value > 0.0 && score.p_value <= 1.0, "{numeric:?}: {score:?}");
            }
            // Both zeros are one number.
            let zeros = |zero: f32| scores(&image, &vec![zero; flow.features]).unwrap()[0];
            assert_eq!(zeros(0.0), zeros(-0.0), "{numeric:?}");
        }
    }
}
