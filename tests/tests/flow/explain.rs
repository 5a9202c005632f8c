//! The explainer's promises: the right slopes, shares that sum to the excess, a nearest reading that is typical, and
//! memory that does not grow with the flow.

use flowlet::{explain_workspace_words, Error, Explainer, Model};
use flowlet_tests::trained::{self, calibration, experts, readings, usual, FEATURES};
use flowlet_tests::{metadata, normal_readings, oracle, random_flow, Random, NUMERICS};
use flowlet_tools::export::{build, import_ensemble, scores, Combine, Ensemble, ImageFile, Numeric};
use flowlet_tools::flow::{Flow, Reference, Transform};

/// An explanation with slices of its own.
#[derive(Clone, Debug, PartialEq)]
struct Explained {
    log_prob: f32,
    score: f32,
    typical: f32,
    excess: f32,
    is_typical: bool,
    gradient: Vec<f32>,
    attribution: Vec<f32>,
    nearest: Vec<f32>,
}

fn explained(model: &Model<'_>, row: &[f32]) -> Explained {
    let mut workspace = vec![0xdead_beef; explain_workspace_words(model)];
    let mut explainer = Explainer::new(model, &mut workspace).expect("enough workspace");
    let e = explainer.explain(row).expect("a finite reading");
    Explained {
        log_prob: e.log_prob,
        score: e.score,
        typical: e.typical_score,
        excess: e.excess,
        is_typical: e.nearest_is_typical,
        gradient: e.gradient.to_vec(),
        attribution: e.attribution.to_vec(),
        nearest: e.nearest_normal.to_vec(),
    }
}

fn image(flow: &Flow, numeric: Numeric) -> ImageFile {
    build(flow, numeric, &metadata(FEATURES), calibration(&readings(1000, 2))).expect("an image")
}

/// Readings with one feature off by 1 to 1e6 standard deviations.
fn anomalies(flow: &Flow, count: usize) -> Vec<Vec<f32>> {
    let Transform::Standardize(s) = &flow.transforms[0] else { panic!("a standardizer comes first") };
    let rows = readings(count, 3);
    rows.chunks(FEATURES)
        .enumerate()
        .map(|(index, row)| {
            let mut row = row.to_vec();
            let size = [4.0, -5.0, 8.0, -20.0, 300.0, 1e6][index % 6];
            row[index % FEATURES] += size * s.std[index % FEATURES];
            row
        })
        .collect()
}

/// Central differences of the f64 reference, in units of a standard deviation.
fn differences(flow: &Flow, row: &[f32], h: f64) -> Vec<f64> {
    let Transform::Standardize(s) = &flow.transforms[0] else { panic!("a standardizer comes first") };
    let reference = Reference::from(flow);
    let at = |feature: usize, by: f64| {
        let mut x: Vec<f64> = row.iter().map(|&x| x.into()).collect();
        x[feature] += by * f64::from(s.std[feature]);
        oracle::saturate(flow, &mut x);
        -reference.log_prob(&x)
    };
    (0..flow.features).map(|i| (at(i, h) - at(i, -h)) / (2.0 * h)).collect()
}

/// Shares of gradients that agree within `tolerance` of the gradient's size; at a kink of a ReLU none can.
fn agreement(flow: &Flow, numeric: Numeric, rows: &[Vec<f32>], tolerance: f64) -> (usize, f64) {
    let image = image_for(flow, numeric);
    let model = image.model().expect("a good image");
    // What the image's numbers stand for, as rounded as they are.
    let (ensemble, _) = import_ensemble(&model);
    let flow = ensemble.quoted_flow();
    let Transform::Standardize(s) = &flow.transforms[0] else { panic!("a standardizer comes first") };
    let (mut agree, mut worst) = (0, 0.0f64);
    for row in rows {
        let found = explained(&model, row).gradient;
        let expected = differences(flow, row, 1e-6);
        let size = expected.iter().map(|g| g.abs()).fold(1.0, f64::max);
        let error = found
            .iter()
            .zip(&expected)
            .zip(&s.std)
            .map(|((&g, e), &std)| (f64::from(g) * f64::from(std) - e).abs() / size)
            .fold(0.0, f64::max);
        agree += usize::from(error <= tolerance);
        if error <= tolerance {
            worst = worst.max(error);
        }
    }
    (agree, worst)
}

fn image_for(flow: &Flow, numeric: Numeric) -> ImageFile {
    let rows = normal_readings(&mut Random(5), flow, 500);
    build(flow, numeric, &metadata(flow.features), calibration(&rows)).expect("an image")
}

#[test]
fn the_gradient_is_that_of_the_f64_reference() {
    let mut random = Random(31);
    let random_flow = random_flow(&mut random, 5, 4, &[9]);
    let of_random: Vec<Vec<f32>> =
        normal_readings(&mut random, &random_flow, 60).chunks(5).map(<[f32]>::to_vec).collect();
    let of_usual = anomalies(usual(), 60);
    for (numeric, tolerance, least) in
        [(Numeric::F32, 2e-3, 58), (Numeric::I16, 2e-2, 54), (Numeric::I8, 5e-2, 48)]
    {
        for (what, flow, rows) in [("random", &random_flow, &of_random), ("trained", usual(), &of_usual)] {
            let (agree, worst) = agreement(flow, numeric, rows, tolerance);
            println!("{numeric:?}, {what}: {agree} of {} agree, to {worst:.1e}", rows.len());
            assert!(agree >= least, "{numeric:?}, {what}: only {agree} of {}", rows.len());
        }
    }
}

#[test]
fn shares_sum_to_the_excess_and_the_nearest_reading_is_typical() {
    for numeric in NUMERICS {
        let image = image(usual(), numeric);
        let model = image.model().expect("a good image");
        let mut explained_rows = 0;
        for row in anomalies(usual(), 120) {
            let e = explained(&model, &row);
            let own = scores(&image, &row).expect("a score")[0];
            assert_eq!((e.log_prob, e.score), (own.log_prob, own.score), "{numeric:?}: {row:?}");
            if e.score <= e.typical {
                assert_eq!((e.excess, &e.nearest), (0.0, &row), "{numeric:?}");
                assert_eq!(e.attribution, [0.0; FEATURES], "{numeric:?}");
                continue;
            }
            explained_rows += 1;
            let near = scores(&image, &e.nearest).expect("a score")[0].score;
            // Fixed point compares in units of 2^-16.
            let unit = if numeric == Numeric::F32 { 0.0 } else { 1.6e-5 };
            assert!(e.is_typical && near <= e.typical + unit, "{numeric:?}: {near} {e:?}");
            assert!(near > e.typical - 0.5, "{numeric:?}: {near} is not the nearest of {e:?}");
            assert_eq!(e.excess, e.score - near, "{numeric:?}: {row:?}");
            let sum: f32 = e.attribution.iter().sum();
            let size = e.attribution.iter().map(|a| a.abs()).fold(e.excess.abs(), f32::max);
            assert!((sum - e.excess).abs() <= 4.0 * f32::EPSILON * size, "{numeric:?}: {sum} {e:?}");
        }
        assert!(explained_rows > 100, "{numeric:?}: {explained_rows}");
    }
}

#[test]
fn the_feature_that_is_off_gets_the_blame() {
    let flow = usual();
    let Transform::Standardize(s) = &flow.transforms[0] else { panic!("a standardizer comes first") };
    for numeric in NUMERICS {
        let image = image(flow, numeric);
        let model = image.model().expect("a good image");
        let mut right = 0;
        let rows = readings(100, 9);
        for (index, row) in rows.chunks(FEATURES).enumerate() {
            let (feature, mut row) = (index % FEATURES, row.to_vec());
            row[feature] += if index % 2 == 0 { 8.0 } else { -8.0 } * s.std[feature];
            let e = explained(&model, &row);
            let blamed =
                (0..FEATURES).max_by(|&a, &b| e.attribution[a].total_cmp(&e.attribution[b])).unwrap_or(0);
            right += usize::from(blamed == feature);
        }
        println!("{numeric:?}: {right} of 100");
        assert!(right >= 90, "{numeric:?}: {right} of 100");
    }
}

/// The midpoint rule itself, before its remainder is spread: against the same integral in f64 with many steps.
#[test]
fn shares_are_integrated_gradients() {
    let flow = usual();
    let image = image(flow, Numeric::F32);
    let model = image.model().expect("a good image");
    let Transform::Standardize(s) = &flow.transforms[0] else { panic!("a standardizer comes first") };
    let mut worst = 0.0f64;
    for row in anomalies(flow, 60).iter().filter(|row| scores(&image, row).expect("a score")[0].score < 60.0)
    {
        let e = explained(&model, row);
        let steps = 4000;
        let mut expected = [0.0; FEATURES];
        for step in 0..steps {
            let alpha = (f64::from(step) + 0.5) / f64::from(steps);
            let point: Vec<f32> = row
                .iter()
                .zip(&e.nearest)
                .map(|(x, n)| (f64::from(*n) + alpha * f64::from(x - n)) as f32)
                .collect();
            for (i, slope) in differences(flow, &point, 1e-5).iter().enumerate() {
                expected[i] +=
                    slope * f64::from(row[i] - e.nearest[i]) / f64::from(s.std[i]) / f64::from(steps);
            }
        }
        for (found, expected) in e.attribution.iter().zip(expected) {
            worst = worst.max((f64::from(*found) - expected).abs() / (1.0 + f64::from(e.excess)));
        }
    }
    println!("worst difference {worst:.2e} of 1 + excess");
    assert!(worst < 0.05, "{worst}");
}

#[test]
fn memory_does_not_grow_with_the_layers() {
    let mut random = Random(8);
    let (shallow, deep) = (random_flow(&mut random, 6, 2, &[16]), random_flow(&mut random, 6, 12, &[16]));
    for numeric in NUMERICS {
        let words =
            |flow: &Flow| explain_workspace_words(&image_for(flow, numeric).model().expect("a good image"));
        assert_eq!(words(&shallow), words(&deep), "{numeric:?}");
        println!("{numeric:?}: {} bytes to explain", 4 * words(&deep));
    }
    let image = image_for(&deep, Numeric::F32);
    let model = image.model().expect("a good image");
    let needed = explain_workspace_words(&model);
    let mut small = vec![0; needed - 1];
    let error = Explainer::new(&model, &mut small).map(|_| ()).expect_err("one word too few");
    let (needed_words, found_words) = (needed as u32, needed as u32 - 1);
    assert_eq!(error, Error::WorkspaceTooSmall { needed_words, found_words });
}

#[test]
fn wild_readings_are_explained_in_finite_numbers() {
    let edges = [0.0, f32::MAX, f32::MIN, -0.0, f32::from_bits(1), 1e6, -3e4, 1e30];
    let mut random = Random(77);
    for numeric in NUMERICS {
        let image = image(usual(), numeric);
        let model = image.model().expect("a good image");
        for _ in 0..200 {
            let row: Vec<f32> = (0..FEATURES).map(|_| edges[random.below(edges.len())]).collect();
            let e = explained(&model, &row);
            assert_eq!(e, explained(&model, &row), "{numeric:?}: {row:?}");
            let all = e.gradient.iter().chain(&e.attribution).chain(&e.nearest);
            assert!(all.chain([&e.score, &e.excess]).all(|x| x.is_finite()), "{numeric:?}: {row:?} {e:?}");
            assert!(e.is_typical, "{numeric:?}: {row:?} {e:?}");
            let sum: f32 = e.attribution.iter().sum();
            assert!((sum - e.excess).abs() <= 1e-5 * e.excess.max(1.0), "{numeric:?}: {row:?} {e:?}");
        }
        for (row, error) in [
            (vec![0.0; 3], Error::FeatureCount { expected: 4, found: 3 }),
            (vec![0.0, f32::NAN, 0.0, 0.0], Error::NotFinite { feature: 1 }),
        ] {
            let mut workspace = vec![0; explain_workspace_words(&model)];
            let found = Explainer::new(&model, &mut workspace).expect("enough").explain(&row).map(|_| ());
            assert_eq!(found, Err(error));
        }
    }
}

#[test]
fn experts_are_explained_together() {
    let rows = readings(1000, 2);
    for combine in [Combine::Minimum, Combine::Mean] {
        let ensemble = Ensemble { combine, ..Ensemble::new(experts().to_vec()) };
        for numeric in [Numeric::F32, Numeric::I16] {
            let image = build(&ensemble, numeric, &metadata(FEATURES), calibration(&rows)).expect("an image");
            let model = image.model().expect("a good image");
            let references: Vec<Reference> = experts().iter().map(Reference::from).collect();
            let combined = |x: &[f64]| {
                let logs = references.iter().map(|r| r.log_prob(x));
                match combine {
                    Combine::Minimum => -logs.fold(f64::INFINITY, f64::min),
                    _ => -logs.sum::<f64>() / 3.0,
                }
            };
            let mut agree = 0;
            let anomalies = anomalies(&experts()[0], 60);
            for row in &anomalies {
                let e = explained(&model, row);
                assert_eq!(e.score, scores(&image, row).expect("a score")[0].score);
                let sum: f32 = e.attribution.iter().sum();
                assert!((sum - e.excess).abs() <= 1e-5 * e.excess.max(1.0), "{combine:?} {numeric:?}: {e:?}");
                assert!(e.is_typical, "{combine:?} {numeric:?}: {e:?}");
                let Transform::Standardize(s) = &experts()[0].transforms[0] else { panic!("a standardizer") };
                let slope = |i: usize| {
                    let at = |by: f64| {
                        let mut x: Vec<f64> = row.iter().map(|&x| x.into()).collect();
                        x[i] += by * f64::from(s.std[i]);
                        oracle::saturate(&experts()[0], &mut x);
                        combined(&x)
                    };
                    (at(1e-5) - at(-1e-5)) / 2e-5
                };
                let expected: Vec<f64> = (0..FEATURES).map(slope).collect();
                let size = expected.iter().map(|g| g.abs()).fold(1.0, f64::max);
                agree += usize::from((0..FEATURES).all(|i| {
                    (f64::from(e.gradient[i]) * f64::from(s.std[i]) - expected[i]).abs() < 0.1 * size
                }));
            }
            println!("{combine:?} {numeric:?}: {agree} of 60 gradients agree");
            assert!(agree >= 58, "{combine:?} {numeric:?}: {agree}");
        }
    }
}

#[test]
fn a_reading_is_explained_in_its_context() {
    let flow = trained::by_speed();
    let rows = trained::readings_by_speed(1000, 2);
    for numeric in NUMERICS {
        let image = build(flow, numeric, &trained::metadata(2, 1), calibration(&rows)).expect("an image");
        let model = image.model().expect("a good image");
        // What is normal at speed 1250 (load 1), at speed 750 (load -1).
        let e = explained(&model, &[13.0, 1.0, 750.0]);
        assert!(e.excess > 3.0 && e.is_typical, "{numeric:?}: {e:?}");
        assert!((e.nearest[0] - 7.0).abs() < 2.5, "{numeric:?}: normal is near 7 there: {e:?}");
        let mut workspace = vec![0; explain_workspace_words(&model)];
        let mut explainer = Explainer::new(&model, &mut workspace).expect("enough");
        let apart = explainer.explain_in_context(&[13.0, 1.0], &[750.0]).expect("explained").excess;
        assert_eq!(apart, e.excess);
        let error = explainer.explain_in_context(&[13.0, 1.0], &[]).map(|_| ());
        assert_eq!(error, Err(Error::ContextCount { expected: 1, found: 0 }));
    }
}
