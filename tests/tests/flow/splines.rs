//! What holds for every flow of spline couplings: the maps invert, the determinants and gradients are those of
//! the maps, densities integrate to one, images keep the flow, absurd settings are refused.
//!
//! `cargo test --release -p flowlet-tests --test flow splines:: -- --nocapture` prints the errors found.

use flowlet::arithmetic::{Fixed, Float};
use flowlet::conditioner::{GradientScratch, Needs, Scratch};
use flowlet::Model;
use flowlet_tests::evaluate::{forward, image_of, inverse, is_fixed, step_there_and_back, Real};
use flowlet_tests::splines::{spline_flow, Shape, PARAMETERS};
use flowlet_tests::{metadata, normal_readings, oracle, Random, NUMERICS};
use flowlet_tools::export::{build, scores, Calibration, Numeric};
use flowlet_tools::flow::{CouplingMap, Flow, Reference, SplineParameters, Transform};

const SHAPES: [(usize, &[usize], usize); 5] =
    [(2, &[8], 8), (3, &[5, 7], 4), (5, &[], 5), (8, &[32], 8), (6, &[24, 24], 16)];

fn flows(size: f32) -> impl Iterator<Item = Flow> {
    SHAPES.into_iter().enumerate().map(move |(index, (features, hidden, bins))| {
        let parameters = PARAMETERS[index % 2];
        let shape = Shape { features, couplings: 4, hidden, bins, parameters, size };
        spline_flow(&mut Random(2000 + index as u64), shape)
    })
}

fn standardizer(flow: &Flow) -> (Vec<f64>, Vec<f64>) {
    let Some(Transform::Standardize(s)) = flow.transforms.first() else { panic!("it has one") };
    (s.mean.iter().map(|&m| m.into()).collect(), s.std.iter().map(|&s| s.into()).collect())
}

#[test]
fn every_coupling_inverts_also_outside_its_box() {
    // Error relative to 1 + |x|, times the smallest slope: where the map is flat, z says less of x.
    let budgets = [(1e-5, 1e-3), (5e-5, 2e-3), (5e-5, 2e-3)];
    for (numeric, (budget, log_budget)) in NUMERICS.into_iter().zip(budgets) {
        let mut random = Random(3);
        let (mut worst, mut worst_log) = (0f64, 0f64);
        for flow in flows(0.5) {
            let image = image_of(&flow, numeric);
            let model = image.model().expect("a good image");
            let chain = model.experts().next().expect("an expert").chain;
            for (index, step) in chain.steps().enumerate() {
                if step.name() != "spline_coupling" {
                    continue;
                }
                for size in [1.0, 5.0, 15.0, 30_000.0] {
                    for _ in 0..50 {
                        let x: Vec<f64> = (0..flow.features)
                            .map(|_| (f64::from(random.normal()) / 3.0 * size).clamp(-32_000.0, 32_000.0))
                            .collect();
                        let (back, there_log, back_log) = step_there_and_back(&model, index, &x);
                        let flat = there_log.min(0.0).exp();
                        for (back, x) in back.iter().zip(&x) {
                            worst = worst.max((back - x).abs() / (1.0 + x.abs()) * flat);
                        }
                        worst_log = worst_log.max((there_log - back_log).abs() * flat);
                    }
                }
            }
        }
        println!("{numeric:?}: coupling {worst:.1e}, log_det {worst_log:.1e}");
        assert!(worst <= budget && worst_log <= log_budget, "{numeric:?}: {worst:e} {worst_log:e}");
    }
}

#[test]
fn whole_chains_invert() {
    // Largest |x' - x| over max(std, |x - mean|), of flows as training makes them.
    let budgets = [3e-4, 3e-2, 3e-2];
    for (numeric, budget) in NUMERICS.into_iter().zip(budgets) {
        let mut random = Random(4);
        let mut worst = 0f64;
        for flow in flows(0.2) {
            let image = image_of(&flow, numeric);
            let model = image.model().expect("a good image");
            let (mean, std) = standardizer(&flow);
            let mut rows = normal_readings(&mut random, &flow, 200);
            for size in [20.0, 1e3, 3e4] {
                let side = |random: &mut Random| if random.below(2) == 0 { size } else { -size };
                rows.extend(mean.iter().zip(&std).map(|(m, s)| (m + s * side(&mut random)) as f32));
            }
            for x in rows.chunks_exact(flow.features) {
                let back = inverse(&model, &forward(&model, x).values);
                for (i, (back, &x)) in back.values.iter().zip(x).enumerate() {
                    let unit = std[i].max((f64::from(x) - mean[i]).abs());
                    worst = worst.max((back - f64::from(x)).abs() / unit);
                }
            }
        }
        println!("{numeric:?}: chains invert to {worst:.1e}");
        assert!(worst <= budget, "{numeric:?}: {worst:e}");
    }
}

#[test]
fn log_det_is_that_of_the_jacobian() {
    // By differences of a map in f64 that knows nothing of determinants: a quotient across a knot is between
    // two slopes that are equal there.
    let budgets = [1e-4, 1e-2, 2e-1];
    for (numeric, budget) in NUMERICS.into_iter().zip(budgets) {
        let mut random = Random(5);
        let mut worst = 0f64;
        for flow in flows(0.3) {
            let image = image_of(&flow, numeric);
            let model = image.model().expect("a good image");
            let (_, std) = standardizer(&flow);
            for reading in normal_readings(&mut random, &flow, 30).chunks_exact(flow.features) {
                let found = forward(&model, reading).log_det;
                let x: Vec<f64> = reading.iter().map(|&x| x.into()).collect();
                let expected = oracle::log_det(|x| oracle::map(&flow, x), &x, &std, 1e-6);
                worst = worst.max((found - expected).abs() / expected.abs().max(1.0));
            }
        }
        println!("{numeric:?}: log_det against a numerical Jacobian {worst:.1e}");
        assert!(worst <= budget, "{numeric:?}: {worst:e}");
    }
}

#[test]
fn densities_integrate_to_one() {
    for numeric in NUMERICS {
        for parameters in PARAMETERS {
            let shape = Shape { features: 2, couplings: 3, hidden: &[8], bins: 8, parameters, size: 0.3 };
            let flow = spline_flow(&mut Random(7), shape);
            let image = image_of(&flow, numeric);
            let (mean, std) = standardizer(&flow);
            let (limit, steps) = (24.0, 960);
            let step = 2.0 * limit / steps as f64;
            let at = |i: usize, feature: usize| {
                (mean[feature] + std[feature] * (-limit + step * (i as f64 + 0.5))) as f32
            };
            let rows: Vec<f32> =
                (0..steps * steps).flat_map(|i| [at(i / steps, 0), at(i % steps, 1)]).collect();
            let sum: f64 =
                scores(&image, &rows).expect("scores").iter().map(|s| f64::from(s.log_prob).exp()).sum();
            let found = sum * step * step * std[0] * std[1];
            println!("{numeric:?}, {parameters:?}: integral {found:.5}");
            assert!((found - 1.0).abs() <= 3e-3, "{numeric:?}, {parameters:?}: {found}");
        }
    }
}

/// The chain's way back: slope of -log_prob at the chain's inputs, in standardized units.
fn slopes<A: Real>(model: &Model<'_>, z: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let chain = model.experts().next().expect("an expert").chain;
    let mut active = model.features();
    let (mut needs, mut gradient) = (Needs::default(), 0);
    for step in chain.steps() {
        flowlet::transform::Transform::<A>::check(&step, active, 0, &mut needs).expect("a good step");
        gradient = gradient.max(step.gradient_words(active));
        active = step.keeps(active);
    }
    let (mut front, mut back) = (vec![0xdead_beef; needs.scratch], vec![0xbaad_f00d; needs.scratch]);
    let mut kept = vec![0x7fc0_0001; gradient];
    let mut memory =
        GradientScratch { scratch: Scratch { front: &mut front, back: &mut back }, kept: &mut kept };
    let mut values: Vec<A::Value> = z.iter().map(|&z| A::nearest(z)).collect();
    let mut slope: Vec<f32> = z.iter().map(|&z| z as f32).collect();
    chain.backward::<A>(&mut values, &mut slope, &[], &mut memory).expect("enough memory");
    (values.into_iter().map(A::real).collect(), slope.into_iter().map(f64::from).collect())
}

#[test]
fn the_way_back_gives_the_slopes_of_finite_differences() {
    // The median over all slopes, as a difference across the kink of a ReLU or of log_det at a knot is none.
    let budgets = [1e-3, 2e-2, 3e-1];
    for (numeric, budget) in NUMERICS.into_iter().zip(budgets) {
        let mut random = Random(12);
        let mut errors = Vec::new();
        for flow in flows(0.3) {
            let image = image_of(&flow, numeric);
            let model = image.model().expect("a good image");
            let reference = Reference::from(&flow);
            let (_, std) = standardizer(&flow);
            for row in normal_readings(&mut random, &flow, 20).chunks_exact(flow.features) {
                let z = forward(&model, row).values;
                let (_, slope) =
                    if is_fixed(numeric) { slopes::<Fixed>(&model, &z) } else { slopes::<Float>(&model, &z) };
                let x: Vec<f64> = row.iter().map(|&x| x.into()).collect();
                for (i, slope) in slope.iter().enumerate() {
                    let loss = |by: f64| {
                        let mut moved = x.clone();
                        moved[i] += by * std[i];
                        -reference.log_prob(&moved)
                    };
                    let want = (loss(1e-6) - loss(-1e-6)) / 2e-6;
                    errors.push((slope - want).abs() / (1.0 + want.abs()));
                }
            }
        }
        errors.sort_by(f64::total_cmp);
        let (median, high) = (errors[errors.len() / 2], errors[errors.len() * 95 / 100]);
        println!("{numeric:?}: slopes err by {median:.1e} in the median, {high:.1e} at 95 %");
        assert!(median <= budget / 10.0 && high <= budget, "{numeric:?}: {median:e} {high:e}");
    }
}

#[test]
fn an_image_gives_back_its_flow() {
    for numeric in NUMERICS {
        for flow in flows(0.3) {
            let image = image_of(&flow, numeric);
            let (back, _) = flowlet_tools::export::import(&image.model().expect("a good image"));
            let splines = |flow: &Flow| -> Vec<CouplingMap> {
                flow.couplings()
                    .map(|c| {
                        let CouplingMap::Spline(mut s) = c.map.clone() else { panic!("a spline") };
                        // Q1.30 keeps nine digits of a thousandth, not more.
                        s.min_bin = (s.min_bin * 1e6).round();
                        s.min_derivative = (s.min_derivative * 1e6).round();
                        CouplingMap::Spline(s)
                    })
                    .collect()
            };
            assert_eq!(splines(&back), splines(&flow), "{numeric:?}");
            let row = normal_readings(&mut Random(1), &flow, 1);
            let x: Vec<f64> = row.iter().map(|&x| x.into()).collect();
            let (a, b) = (Reference::from(&flow).log_prob(&x), Reference::from(&back).log_prob(&x));
            let budget = if numeric == Numeric::F32 { 1e-6 } else { 0.5 };
            assert!((a - b).abs() < budget * (1.0 + a.abs()), "{numeric:?}: {b} for {a}");
        }
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let shape = Shape {
        features: 3,
        couplings: 1,
        hidden: &[4],
        bins: 8,
        parameters: SplineParameters::Softplus,
        size: 0.3,
    };
    type Change = (&'static str, fn(&mut flowlet_tools::flow::Spline));
    let changes: [Change; 6] = [
        ("bound", |s| s.bound = 1e3),
        ("bound", |s| s.bound = f32::NAN),
        ("min_bin", |s| s.min_bin = 0.125),
        ("min_bin", |s| s.min_bin = -1e-3),
        ("min_derivative", |s| s.min_derivative = 1.0),
        ("minima", |s| s.parameters = SplineParameters::SoftClipped),
    ];
    for numeric in NUMERICS {
        for (what, change) in changes {
            let mut flow = spline_flow(&mut Random(1), shape);
            for transform in &mut flow.transforms {
                if let Transform::Coupling(c) = transform {
                    let CouplingMap::Spline(s) = &mut c.map else { panic!("a spline") };
                    change(s);
                }
            }
            let readings = normal_readings(&mut Random(2), &flow, 50);
            let calibration = Calibration { readings: &readings, false_alarm_rate: 0.1 };
            let error = build(&flow, numeric, &metadata(3), calibration).expect_err(what).to_string();
            assert!(error.contains(what), "{numeric:?}: {error}");
        }
    }
}
