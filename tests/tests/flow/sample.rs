//! Samples are what the flow says is likely, whatever the numbers, and the same for the same random numbers.

use flowlet::{Error, Sampler};
use flowlet_tests::trained::{self, calibration, experts, readings, usual, FEATURES};
use flowlet_tests::{metadata, Random, NUMERICS};
use flowlet_tools::export::{build, scores, ImageFile, Numeric};
use flowlet_tools::flow::{Base, Flow, Reference};

const COUNT: usize = 4000;

fn image(flow: &Flow, numeric: Numeric) -> ImageFile {
    build(flow, numeric, &metadata(FEATURES), calibration(&readings(1000, 2))).expect("an image")
}

fn drawn(image: &ImageFile, context: &[f32], seed: u64) -> Vec<f32> {
    let model = image.model().expect("a good image");
    let mut workspace = vec![0xdead_beef; model.workspace_bytes() / 4];
    let mut sampler = Sampler::new(&model, &mut workspace).expect("enough workspace");
    let mut random = Random(seed);
    let mut out = vec![0.0; model.features()];
    (0..COUNT)
        .flat_map(|_| {
            sampler.sample_in_context(&mut random, context, &mut out).expect("a sample");
            out.iter().chain(context).copied().collect::<Vec<_>>()
        })
        .collect()
}

/// Mean and standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// `E[-log p]` of a flow over a standard normal by its own f64 inverse: what samples must score on average.
fn entropy(flow: &Flow, context: &[f64]) -> (f64, f64) {
    assert_eq!(flow.base, Base::StandardNormal);
    let reference = Reference::from(flow);
    let mut random = Random(4711);
    let scores: Vec<f64> = (0..20_000)
        .map(|_| {
            // The sum of twelve uniforms has no tails; Box and Muller's normals have.
            let z: Vec<f64> = (0..flow.features)
                .map(|_| {
                    let (u, v) = (1.0 - f64::from(random.uniform()), f64::from(random.uniform()));
                    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
                })
                .collect();
            let x = [reference.inverse_in(&z, context), context.to_vec()].concat();
            -reference.log_prob(&x)
        })
        .collect();
    mean(&scores)
}

#[test]
fn samples_score_as_the_entropy_says() {
    let (expected, error) = entropy(usual(), &[]);
    let reference = Reference::from(usual());
    for numeric in NUMERICS {
        let image = image(usual(), numeric);
        let rows = drawn(&image, &[], 1);
        let own: Vec<f64> =
            scores(&image, &rows).expect("scores").iter().map(|s| -f64::from(s.log_prob)).collect();
        let exact: Vec<f64> = rows.chunks(FEATURES).map(|row| -reference.log_prob_f32(row)).collect();
        // The rounded nets are another flow than the reference's, by hundredths of a nat.
        let rounding = if numeric == Numeric::F32 { 0.0 } else { 0.03 };
        for (what, (found, own_error)) in [("image", mean(&own)), ("reference", mean(&exact))] {
            println!("{numeric:?}, by the {what}: {found:.3} +- {own_error:.3}, expected {expected:.3}");
            let bound = 4.0 * own_error.hypot(error) + rounding;
            assert!((found - expected).abs() < bound, "{numeric:?}, {what}: {found} {expected} {bound}");
        }
    }
}

/// Quartiles and not moments: behind the knee of a soft tail samples are far out, and decide a variance.
#[test]
fn samples_have_the_quartiles_of_the_data() {
    let data = readings(COUNT, 5);
    let quartiles = |rows: &[f32], column: usize| {
        let mut values: Vec<f32> = rows.chunks(FEATURES).map(|row| row[column]).collect();
        values.sort_by(f32::total_cmp);
        [1, 2, 3].map(|i| values[i * values.len() / 4])
    };
    for flow in [usual(), &experts()[2]] {
        for numeric in NUMERICS {
            let rows = drawn(&image(flow, numeric), &[], 3);
            for column in 0..FEATURES {
                let (found, expected) = (quartiles(&rows, column), quartiles(&data, column));
                let width = expected[2] - expected[0];
                for (found, expected) in found.iter().zip(expected) {
                    assert!(
                        (found - expected).abs() < 0.25 * width,
                        "{numeric:?}, column {column}: {found} {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_same_random_numbers_give_the_same_samples() {
    for numeric in NUMERICS {
        let image = image(usual(), numeric);
        assert_eq!(drawn(&image, &[], 7), drawn(&image, &[], 7), "{numeric:?}");
        assert_ne!(drawn(&image, &[], 7), drawn(&image, &[], 8), "{numeric:?}");
    }
}

#[test]
fn samples_follow_their_context() {
    let flow = trained::by_speed();
    let rows = trained::readings_by_speed(1000, 2);
    for numeric in NUMERICS {
        let image = build(flow, numeric, &trained::metadata(2, 1), calibration(&rows)).expect("an image");
        for (speed, expected) in [(750.0f32, 7.0), (1250.0, 13.0)] {
            let rows = drawn(&image, &[speed], 1);
            let first: Vec<f64> = rows.chunks(3).map(|row| row[0].into()).collect();
            let (found, _) = mean(&first);
            assert!((found - expected).abs() < 0.5, "{numeric:?}: {found} at {speed}");
        }
        let (expected, error) = entropy(flow, &[900.0]);
        let own = scores(&image, &drawn(&image, &[900.0], 2)).expect("scores");
        let own: Vec<f64> = own.iter().map(|s| -f64::from(s.log_prob)).collect();
        let (found, own_error) = mean(&own);
        let bound = 4.0 * own_error.hypot(error) + if numeric == Numeric::F32 { 0.0 } else { 0.05 };
        assert!((found - expected).abs() < bound, "{numeric:?}: {found} {expected}");

        let model = image.model().expect("a good image");
        let mut workspace = vec![0; model.workspace_bytes() / 4];
        let mut sampler = Sampler::new(&model, &mut workspace).expect("enough workspace");
        let random = &mut Random(1);
        let missing = Err(Error::ContextCount { expected: 1, found: 0 });
        assert_eq!(sampler.sample(random, &mut [0.0; 2]), missing);
        let short = Err(Error::FeatureCount { expected: 2, found: 3 });
        assert_eq!(sampler.sample_in_context(random, &[1.0], &mut [0.0; 3]), short);
        let nan = Err(Error::NotFinite { feature: 2 });
        assert_eq!(sampler.sample_in_context(random, &[f32::NAN], &mut [0.0; 2]), nan);
    }
}
