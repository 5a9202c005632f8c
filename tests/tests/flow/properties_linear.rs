//! Additive and affine couplings, scales and shifts, matrices: they invert, their determinants are those of
//! the maps, and their slopes are those of the density.
//!
//! `cargo test --release -p flowlet-tests --test flow properties_linear:: -- --nocapture` prints the errors found.

use flowlet::arithmetic::{Arithmetic, Fixed, Float};
use flowlet::conditioner::{GradientScratch, Needs, Scratch};
use flowlet_tests::evaluate::{forward, image_of, inverse, is_fixed, step_there_and_back, Real};
use flowlet_tests::linear_flows::flows;
use flowlet_tests::{normal_readings, oracle, Random, NUMERICS};
use flowlet_tools::export::{import, scores, ImageFile};
use flowlet_tools::flow::{Flow, Reference, Transform};

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

#[test]
fn every_step_inverts() {
    // Per value relative to 1 + |x|, for couplings, scales, matrices; a step of Q15.16 is
    // 1.5e-5, and a scale of a tenth makes ten of it.
    for (numeric, budgets) in
        NUMERICS.into_iter().zip([[2e-6, 1e-6, 2e-6], [3e-4, 2e-5, 5e-5], [3e-4, 2e-5, 5e-5]])
    {
        let mut random = Random(3);
        let mut worst = [0f64; 3];
        for (name, flow) in flows() {
            let image = image_of(&flow, numeric);
            let model = image.model().unwrap();
            let chain = model.experts().next().unwrap().chain;
            for (index, step) in chain.steps().enumerate() {
                let kind = match step.name() {
                    "additive_coupling" | "affine_coupling" => 0,
                    "elementwise_affine" => 1,
                    "linear" => 2,
                    _ => continue,
                };
                for size in [1.0, 15.0, 1000.0] {
                    // A coupling's conditioner multiplies; what it is given behind a soft tail is below 15.
                    let size = if kind == 0 { f64::min(size, 15.0) } else { size };
                    let x: Vec<f64> =
                        (0..flow.features).map(|_| f64::from(random.normal()) / 3.0 * size).collect();
                    let (back, there_log, back_log) = step_there_and_back(&model, index, &x);
                    assert!((there_log - back_log).abs() < 1e-4, "{numeric:?}, {name}");
                    // Of a matrix, the error of each value is one of the largest.
                    let reach = if kind == 2 { x.iter().fold(0f64, |a, b| a.max(b.abs())) } else { 0.0 };
                    for (back, x) in back.iter().zip(&x) {
                        worst[kind] = worst[kind].max((back - x).abs() / (1.0 + x.abs().max(reach)));
                    }
                }
            }
        }
        println!("{numeric:?}: coupling, elementwise, linear {}", list(&worst));
        assert!(worst.iter().zip(budgets).all(|(&w, b)| w <= b), "{numeric:?}: {worst:?}");
    }
}

#[test]
fn whole_chains_invert() {
    // Largest |x' - x| over max(std, |x - mean|): normal, 20, 1e3, 3e4 standard deviations.
    for (numeric, budget) in NUMERICS.into_iter().zip([1e-3, 2e-1, 2e-1]) {
        let mut random = Random(4);
        let mut worst = [0f64; 4];
        for (_, flow) in flows() {
            let image = image_of(&flow, numeric);
            let model = image.model().unwrap();
            let (mean, std) = standardizer(&flow);
            let rows = normal_readings(&mut random, &flow, 50);
            let mut readings: Vec<(usize, Vec<f32>)> =
                rows.chunks_exact(flow.features).map(|row| (0, row.to_vec())).collect();
            for (kind, size) in [(1, 20.0), (2, 1e3), (3, 3e4)] {
                readings.extend((0..10).map(|_| (kind, far(&mut random, &flow, size))));
            }
            for (kind, x) in readings {
                let back = inverse(&model, &forward(&model, &x).values);
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
    // Of the map that the image stands for, by differences in f64; a hard clamp has kinks.
    for (numeric, budget) in NUMERICS.into_iter().zip([[1e-5, 1e-5], [2e-3, 1e-2], [5e-3, 1e-2]]) {
        let mut random = Random(5);
        let mut worst = [0f64; 2];
        for (name, flow) in flows() {
            if name.contains("Hard") {
                continue;
            }
            let image = image_of(&flow, numeric);
            let model = image.model().unwrap();
            let (own, _) = import(&model);
            let (_, std) = standardizer(&flow);
            let rows = normal_readings(&mut random, &flow, 10);
            let mut rows: Vec<(usize, Vec<f32>)> =
                rows.chunks_exact(flow.features).map(|row| (0, row.to_vec())).collect();
            rows.extend((0..3).map(|_| (1, far(&mut random, &flow, 50.0))));
            for (kind, reading) in rows {
                let found = forward(&model, &reading).log_det;
                let x: Vec<f64> = reading.iter().map(|&x| x.into()).collect();
                // Fixed point: the quantized nets themselves, so that only the trunk's rounding is left.
                let map = if is_fixed(numeric) { &own } else { &flow };
                let expected = oracle::log_det(|x| oracle::map(map, x), &x, &std, 1e-6);
                worst[kind] = worst[kind].max((found - expected).abs() / expected.abs().max(1.0));
            }
        }
        println!("{numeric:?}: log_det against a numerical Jacobian, normal and far: {}", list(&worst));
        assert!(worst.iter().zip(budget).all(|(&w, b)| w <= b), "{numeric:?}: {worst:?}");
    }
}

#[test]
fn an_image_stands_for_the_flow_that_it_gives_back() {
    for numeric in NUMERICS {
        for (name, flow) in flows() {
            let image = image_of(&flow, numeric);
            let model = image.model().unwrap();
            assert_eq!(model.trained_as(), flow.summary());
            let (own, _) = import(&model);
            let reference = Reference::from(&own);
            let mut worst = 0f64;
            for x in normal_readings(&mut Random(8), &flow, 40).chunks_exact(flow.features) {
                let found = f64::from(scores(&image, x).unwrap()[0].log_prob);
                let want = reference.log_prob_f32(x);
                worst = worst.max((found - want).abs() / want.abs().max(1.0));
            }
            let budget = if is_fixed(numeric) { 5e-3 } else { 1e-5 };
            assert!(worst < budget, "{numeric:?}, {name}: {worst:e}");
        }
    }
}

/// The slope of `-log_prob` at a standardized vector, by the image's own way back.
fn slope<A: Real>(image: &ImageFile, x: &[f64]) -> Vec<f32> {
    let model = image.model().unwrap();
    let expert = model.experts().next().unwrap();
    let mut needs = Needs::default();
    expert.chain.check::<A>(model.features(), 0, &mut needs).unwrap();
    let (mut front, mut back) = (vec![7; needs.scratch], vec![7; needs.scratch]);
    let mut kept = vec![7; expert.chain.gradient_words(model.features())];
    let mut values: Vec<A::Value> = x.iter().map(|&x| A::nearest(x)).collect();
    let mut scratch = Scratch { front: &mut front, back: &mut back };
    expert.chain.forward::<A>(&mut values, &[], &mut scratch).unwrap();
    let mut slope = vec![0.0; x.len()];
    expert.base.slope::<A>(&values, &mut slope);
    let mut scratch = GradientScratch { scratch, kept: &mut kept };
    expert.chain.backward::<A>(&mut values, &mut slope, &[], &mut scratch).unwrap();
    slope
}

fn slopes_match<A: Arithmetic + Real>(numeric: flowlet_tools::export::Numeric, budget: f64) {
    let mut worst = 0f64;
    for (name, flow) in flows() {
        let image = image_of(&flow, numeric);
        let (mut own, _) = import(&image.model().unwrap());
        own.transforms.remove(0);
        let reference = Reference::from(&own);
        let mut random = Random(6);
        for _ in 0..15 {
            let x: Vec<f64> = (0..flow.features)
                .map(|_| f64::from(A::to_f32(A::nearest(random.normal().into()))))
                .collect();
            let found = slope::<A>(&image, &x);
            let size = found.iter().fold(1f64, |a, &b| a.max(f64::from(b).abs()));
            // A kink of a ReLU or a clamp near the point makes a difference of one-sided slopes: the best of two steps.
            for (i, &found) in found.iter().enumerate() {
                let difference = |h: f64| {
                    let at = |by: f64| {
                        let mut moved = x.clone();
                        moved[i] += by;
                        -reference.log_prob(&moved)
                    };
                    ((at(h) - at(-h)) / (2.0 * h) - f64::from(found)).abs() / size
                };
                let error = difference(1e-6).min(difference(1e-4));
                assert!(error < budget, "{numeric:?}, {name}: slope {i} errs by {error:e}");
                worst = worst.max(error);
            }
        }
    }
    println!("{numeric:?}: slope of -log_prob against differences, relative: {worst:.1e}");
}

#[test]
fn slopes_are_those_of_the_density() {
    use flowlet_tools::export::Numeric;
    slopes_match::<Float>(Numeric::F32, 1e-4);
    slopes_match::<Fixed>(Numeric::I16, 2e-2);
}
