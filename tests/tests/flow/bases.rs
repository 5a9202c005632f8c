//! Base distributions against torch.distributions and scikit-learn, against finite differences, and far out.
//!
//! `cargo test --release -p flowlet-tests --test flow bases:: -- --nocapture` prints the errors that `docs/numerics.md`
//! quotes; `tests/golden/make_bases.py` makes the expected values.

use flowlet::arithmetic::{Fixed, Float};
use flowlet_tests::evaluate::{image_of, Real};
use flowlet_tests::{golden, Random, NUMERICS};
use flowlet_tools::export::{import, ImageFile, Numeric};
use flowlet_tools::flow::{Base, Flow, Mixture, Reference, StudentT};
use rand_core::RngCore;
use serde::Deserialize;

/// A base with what torch says of some z.
#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(deserialize_with = "base")]
    base: Base,
    features: usize,
    z: Vec<f32>,
    log_prob: Vec<f64>,
    slope: Vec<f64>,
    entropy: Option<f64>,
}

/// By its kind, as serde would: but with `arbitrary_precision`, which a test's dependency turns on in all of
/// them, serde cannot read numbers within tagged enums.
fn base<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Base, D::Error> {
    use serde::de::Error;
    let value = serde_json::Value::deserialize(from)?;
    let base = match value["kind"].as_str() {
        Some("diagonal_normal") => serde_json::from_value(value).map(Base::DiagonalNormal),
        Some("student_t") => serde_json::from_value(value).map(Base::StudentT),
        Some("mixture") => serde_json::from_value(value).map(Base::Mixture),
        other => return Err(D::Error::custom(format!("no base is called {other:?}"))),
    };
    base.map_err(D::Error::custom)
}

/// Rows at the end of each case that are far out.
const FAR: usize = 6;

fn cases() -> Vec<Case> {
    let path = golden::path("bases.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).expect("golden values")
}

/// Those that an image holds as they are.
fn encoded_cases() -> impl Iterator<Item = Case> {
    cases().into_iter().filter(|c| !matches!(c.base, Base::DiagonalNormal(_)))
}

fn flow(base: &Base, features: usize) -> Flow {
    Flow { features, base: base.clone(), ..Flow::default() }
}

/// What the device's code says of a base variable.
struct Found {
    /// The base variable as the arithmetic holds it.
    z: Vec<f64>,
    log_prob: f64,
    squared_norm: f64,
    slope: Vec<f32>,
    mode: Vec<f64>,
}

fn evaluate_in<A: Real>(image: &ImageFile, z: &[f64]) -> Found {
    let model = image.model().expect("a good image");
    let base = model.experts().next().expect("an expert").base;
    let values: Vec<A::Value> = z.iter().map(|&z| A::nearest(z)).collect();
    let mut slope = vec![f32::NAN; z.len()];
    base.slope::<A>(&values, &mut slope);
    let mut mode = vec![A::nearest(77.0); z.len()];
    base.mode::<A>(&values, &mut mode);
    Found {
        z: values.iter().map(|&v| A::real(v)).collect(),
        log_prob: A::real_log(base.log_prob::<A>(&values)),
        squared_norm: A::real_log(base.squared_norm::<A>(&values)),
        slope,
        mode: mode.into_iter().map(A::real).collect(),
    }
}

fn evaluate(image: &ImageFile, numeric: Numeric, z: &[f64]) -> Found {
    match numeric {
        Numeric::F32 => evaluate_in::<Float>(image, z),
        _ => evaluate_in::<Fixed>(image, z),
    }
}

fn widen(z: &[f32]) -> Vec<f64> {
    z.iter().map(|&z| f64::from(z)).collect()
}

fn rows(case: &Case) -> impl Iterator<Item = (usize, Vec<f64>)> + '_ {
    case.z.chunks_exact(case.features).map(widen).enumerate()
}

#[test]
fn the_oracle_agrees_with_torch_and_scikit_learn() {
    for case in cases() {
        let reference = Reference::from(&flow(&case.base, case.features));
        for (row, z) in rows(&case) {
            let (found, want) = (reference.log_prob(&z), case.log_prob[row]);
            assert!((found - want).abs() < 1e-9 * (10.0 + want.abs()), "{}: {found} {want}", case.name);
        }
    }
}

#[test]
fn entropies_are_those_of_torch_and_of_quadrature() {
    let mut compared = 0;
    for case in cases() {
        let Some(want) = case.entropy else { continue };
        let found = case.base.entropy(case.features);
        println!("{}: entropy {found:.6}, {want:.6}", case.name);
        let budget = if matches!(case.base, Base::Mixture(_)) { 0.005 } else { 1e-6 * (1.0 + want.abs()) };
        assert!((found - want).abs() < budget, "{}: {found} {want}", case.name);
        compared += 1;
    }
    assert!(compared >= 6);
    assert!((Base::StandardNormal.entropy(3) - 3.0 * 1.418_938_533_204_672_7).abs() < 1e-12);
}

/// Errors of one base in one arithmetic against the expected values: mean and largest of the normal rows in nats,
/// largest of the far ones, relative.
#[derive(Default)]
struct Errors {
    mean: f64,
    largest: f64,
    far: f64,
    slope: f64,
}

fn errors(case: &Case, numeric: Numeric) -> Errors {
    let image = image_of(&flow(&case.base, case.features), numeric);
    let count = case.log_prob.len();
    let mut errors = Errors::default();
    for (row, z) in rows(case) {
        let found = evaluate(&image, numeric, &z);
        let want = case.log_prob[row];
        let error = (found.log_prob - want).abs();
        if row + FAR < count {
            errors.mean += error / (count - FAR) as f64;
            errors.largest = errors.largest.max(error);
            // A slope is as large as the largest of its row.
            let slope = &case.slope[row * case.features..][..case.features];
            let size = slope.iter().fold(1.0_f64, |a, b| a.max(b.abs()));
            for (found, want) in found.slope.iter().zip(slope) {
                errors.slope = errors.slope.max((f64::from(*found) - want).abs() / size);
            }
        } else {
            errors.far = errors.far.max(error / want.abs());
        }
    }
    errors
}

#[test]
fn images_agree_with_torch_within_their_budgets() {
    for case in encoded_cases() {
        for numeric in [Numeric::F32, Numeric::I16] {
            let found = errors(&case, numeric);
            println!(
                "{:17} {numeric:?}: log_prob {:.1e} in the mean, {:.1e} at most, far {:.1e} relative; slope {:.1e}",
                case.name, found.mean, found.largest, found.far, found.slope
            );
            // Fixed point: a mixture's entries have 15 bits; Student-t errs by the rounding of z.
            let mixture = matches!(case.base, Base::Mixture(_));
            let (mean, largest, far, slope) = match (numeric, mixture) {
                (Numeric::F32, true) => (3e-6, 2e-5, 3e-6, 2e-5),
                // 500 degrees of freedom: 250 times the rounding of the logarithm's argument.
                (Numeric::F32, false) => (2e-5, 5e-5, 3e-6, 2e-5),
                (_, true) => (1e-2, 4e-2, 2e-3, 5e-3),
                // Far out q saturates at 32767: a narrow scale loses the logarithm of what is beyond.
                (_, false) => (2e-4, 1e-3, 5e-3, 1e-4),
            };
            let what = format!("{} {numeric:?}", case.name);
            assert!(found.mean < mean && found.largest < largest, "{what}: {} {}", found.mean, found.largest);
            assert!(found.far < far && found.slope < slope, "{what}: {} {}", found.far, found.slope);
        }
    }
}

/// Two features with a component of its own for each of some thousand rows around it: the i16 entries' error where it
/// matters most, small deviations and many features.
#[test]
fn narrow_components_keep_the_fixed_point_budget() {
    let mut random = Random(3);
    for (features, spread) in [(9, 2.0), (21, 3.0), (36, 4.0)] {
        let components = 64;
        let base = Base::Mixture(Mixture {
            log_weights: vec![-(components as f32).ln(); components],
            means: (0..components * features)
                .map(|_| (spread * random.normal()).clamp(-14.4, 14.4))
                .collect(),
            log_std: vec![0.1f32.ln(); components * features],
        });
        let Base::Mixture(mixture) = &base else { unreachable!() };
        let image = image_of(&flow(&base, features), Numeric::I16);
        let exact = image_of(&flow(&base, features), Numeric::F32);
        let mut sum = 0.0;
        let count = 1000;
        for row in 0..count {
            let (means, log_std) = mixture.component(row % components);
            let z: Vec<f64> =
                means.iter().zip(log_std).map(|(m, s)| f64::from(m + s.exp() * random.normal())).collect();
            let fixed = evaluate(&image, Numeric::I16, &z).log_prob;
            sum += (fixed - evaluate(&exact, Numeric::F32, &z).log_prob).abs();
        }
        let mean = sum / f64::from(count as u32);
        println!("{features} features, all deviations 0.1, means to 14.4: {mean:.4} nats in the mean");
        assert!(mean < 0.01, "{mean}");
    }
}

/// What is a derivative in f32 is one of the oracle's log-density.
#[test]
fn slopes_are_those_of_finite_differences() {
    for case in encoded_cases().filter(|c| c.features <= 9) {
        let reference = Reference::from(&flow(&case.base, case.features));
        for numeric in [Numeric::F32, Numeric::I16] {
            let image = image_of(&flow(&case.base, case.features), numeric);
            let budget = if numeric == Numeric::F32 { 1e-4 } else { 6e-3 };
            for (_, z) in rows(&case).take(case.log_prob.len() - FAR) {
                let found = evaluate(&image, numeric, &z);
                let wanted: Vec<f64> = (0..case.features)
                    .map(|i| {
                        let h = 1e-5;
                        let (mut up, mut down) = (found.z.clone(), found.z.clone());
                        up[i] += h;
                        down[i] -= h;
                        (reference.log_prob(&down) - reference.log_prob(&up)) / (2.0 * h)
                    })
                    .collect();
                let size = wanted.iter().fold(1.0_f64, |a, b| a.max(b.abs()));
                for (found, want) in found.slope.iter().zip(&wanted) {
                    let error = (f64::from(*found) - want).abs();
                    assert!(error < budget * size, "{} {numeric:?}: {found} {want}", case.name);
                }
            }
        }
    }
}

/// Squared distance from the nearest centre, and that centre, in f64.
fn nearest(base: &Base, z: &[f64], numeric: Numeric) -> (f64, Vec<f64>) {
    match base {
        Base::StandardNormal => (z.iter().map(|z| z * z).sum(), vec![0.0; z.len()]),
        Base::StudentT(b) => {
            // Q15.16 saturates.
            let most = if numeric == Numeric::F32 { f64::INFINITY } else { 32768.0 };
            let q = |i: usize| {
                ((z[i] - f64::from(b.location[i])) * (-f64::from(b.log_scale[i])).exp()).clamp(-most, most)
            };
            ((0..z.len()).map(|i| q(i).powi(2)).sum(), widen(&b.location))
        }
        Base::Mixture(b) => {
            let one = |k: usize| {
                let (means, log_std) = b.component(k);
                let squares: f64 = (0..z.len())
                    .map(|i| ((z[i] - f64::from(means[i])) * (-f64::from(log_std[i])).exp()).powi(2))
                    .sum();
                let spread: f64 = log_std.iter().map(|&s| f64::from(s)).sum();
                (f64::from(b.log_weights[k]) - spread - 0.5 * squares, squares, widen(means))
            };
            let best = (0..b.components()).map(one).max_by(|a, b| a.0.total_cmp(&b.0)).expect("components");
            (best.1, best.2)
        }
        Base::DiagonalNormal(_) => unreachable!("folded into the chain"),
    }
}

#[test]
fn norms_and_modes_are_those_of_the_most_responsible_component() {
    let mut all: Vec<(String, Base, usize, Vec<f32>)> =
        encoded_cases().map(|c| (c.name, c.base, c.features, c.z)).collect();
    all.push(("standard normal".into(), Base::StandardNormal, 3, vec![0.5, -2.0, 3.0, 0.0, 900.0, -32000.0]));
    for (name, base, features, z) in all {
        for numeric in [Numeric::F32, Numeric::I16] {
            let image = image_of(&flow(&base, features), numeric);
            let (model, _) = import(&image.model().expect("a good image"));
            for z in z.chunks_exact(features).map(widen) {
                let found = evaluate(&image, numeric, &z);
                // Against the parameters as rounded, so that near ties fall the same way.
                let (norm, mode) = nearest(&model.base, &found.z, numeric);
                let budget = if numeric == Numeric::F32 { 1e-5 } else { 1e-3 };
                let error = (found.squared_norm - norm).abs();
                assert!(error < budget * (5.0 + norm), "{name} {numeric:?}: {} {norm}", found.squared_norm);
                for (found, want) in found.mode.iter().zip(&mode) {
                    assert!((found - want).abs() < 2e-5 * (1.0 + want.abs()), "{name}: {found} {want}");
                }
            }
        }
    }
}

#[test]
fn a_base_survives_the_image() {
    for case in encoded_cases() {
        for (numeric, budget) in [(Numeric::F32, 1e-5), (Numeric::I16, 2e-2)] {
            let image = image_of(&flow(&case.base, case.features), numeric);
            let (back, _) = import(&image.model().expect("a good image"));
            let reference = Reference::from(&back);
            for (row, z) in rows(&case).take(case.log_prob.len() - FAR) {
                let (found, want) = (reference.log_prob(&z), case.log_prob[row]);
                assert!((found - want).abs() < budget * (10.0 + want.abs()), "{}: {found} {want}", case.name);
            }
        }
    }
}

/// The generator of the tests as a random source.
struct Source(Random);

impl RngCore for Source {
    fn next_u32(&mut self) -> u32 {
        (self.0.bits() >> 32) as u32
    }
    fn next_u64(&mut self) -> u64 {
        self.0.bits()
    }
    fn fill_bytes(&mut self, to: &mut [u8]) {
        for chunk in to.chunks_mut(8) {
            chunk.copy_from_slice(&self.0.bits().to_le_bytes()[..chunk.len()]);
        }
    }
}

fn samples(image: &ImageFile, numeric: Numeric, features: usize, count: usize) -> Vec<f32> {
    let model = image.model().expect("a good image");
    let base = model.experts().next().expect("an expert").base;
    let mut source = Source(Random(17));
    let mut out = vec![0.0; features * count];
    for z in out.chunks_exact_mut(features) {
        match numeric {
            Numeric::F32 => base.sample::<Float>(&mut source, z),
            _ => base.sample::<Fixed>(&mut source, z),
        }
    }
    out
}

/// Mean of `values`, and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    (mean, (variance / n).sqrt())
}

/// First and second moments, where they exist, and the mean log-density, which is minus the entropy: each within four
/// standard errors.
#[test]
fn samples_have_the_moments_and_the_entropy_of_their_base() {
    let student = Base::StudentT(StudentT {
        degrees: vec![5.0, 9.0, 60.0],
        location: vec![-1.0, 0.25, 3.0],
        log_scale: vec![0.3, -0.7, 0.0],
    });
    let heavy = Base::StudentT(StudentT {
        degrees: vec![0.75, 1.0, 1.5],
        location: vec![0.0, 1.0, -1.0],
        log_scale: vec![0.0; 3],
    });
    let mixture = Base::Mixture(Mixture {
        log_weights: [0.2f32, 0.5, 0.3].map(f32::ln).to_vec(),
        means: vec![-2.0, 0.0, 1.0, 1.0, 0.5, -0.5, 0.0, 3.0, 2.0],
        log_std: vec![-0.5, -1.0, 0.0, 0.2, -0.3, -2.0, 0.4, 0.1, -1.2],
    });
    let count = 60_000;
    for (name, base) in
        [("normal", Base::StandardNormal), ("student", student), ("heavy", heavy), ("mixture", mixture)]
    {
        for numeric in [Numeric::F32, Numeric::I16] {
            let image = image_of(&flow(&base, 3), numeric);
            let drawn = samples(&image, numeric, 3, count);
            let reference = Reference::from(&flow(&base, 3));
            let log_prob: Vec<f64> = drawn.chunks_exact(3).map(|z| reference.log_prob(&widen(z))).collect();
            let (found, error) = mean(&log_prob);
            let entropy = base.entropy(3);
            println!(
                "{name} {numeric:?}: mean log_prob {found:.4}, expected {:.4}, error {error:.4}",
                -entropy
            );
            // The mixture's entropy has an error of its own.
            assert!((found + entropy).abs() < 4.0 * error + 2e-3, "{name}: {found} {entropy}");
            if name == "heavy" {
                continue;
            }
            for i in 0..3 {
                let (want_mean, want_variance) = moments(&base, i);
                let values: Vec<f64> = drawn.iter().skip(i).step_by(3).map(|&v| f64::from(v)).collect();
                let (found, error) = mean(&values);
                assert!((found - want_mean).abs() < 4.0 * error + 1e-3, "{name} {i}: {found} {want_mean}");
                let squares: Vec<f64> = values.iter().map(|v| (v - want_mean).powi(2)).collect();
                let (found, error) = mean(&squares);
                assert!(
                    (found - want_variance).abs() < 4.0 * error + 2e-3,
                    "{name} {i}: {found} {want_variance}"
                );
            }
        }
    }
}

/// Mean and variance of one feature.
fn moments(base: &Base, i: usize) -> (f64, f64) {
    match base {
        Base::StudentT(b) => {
            let nu = f64::from(b.degrees[i]);
            (f64::from(b.location[i]), (2.0 * f64::from(b.log_scale[i])).exp() * nu / (nu - 2.0))
        }
        Base::Mixture(b) => {
            let (mut first, mut second) = (0.0, 0.0);
            for k in 0..b.components() {
                let (means, log_std) = b.component(k);
                let (weight, mean) = (f64::from(b.log_weights[k]).exp(), f64::from(means[i]));
                first += weight * mean;
                second += weight * (mean * mean + (2.0 * f64::from(log_std[i])).exp());
            }
            (first, second - first * first)
        }
        _ => (0.0, 1.0),
    }
}

#[test]
fn samples_do_not_depend_on_the_arithmetic_and_broken_sources_end() {
    let base = Base::Mixture(Mixture {
        log_weights: [0.5f32, 0.5].map(f32::ln).to_vec(),
        means: vec![-2.0, 0.0, 1.0, 1.0],
        log_std: vec![0.0, -1.0, 0.5, 0.25],
    });
    let [float, fixed] =
        [Numeric::F32, Numeric::I16].map(|n| samples(&image_of(&flow(&base, 2), n), n, 2, 500));
    for (a, b) in float.iter().zip(&fixed) {
        // The same random numbers, the parameters rounded.
        assert!((a - b).abs() < 2e-3, "{a} {b}");
    }
    struct Stuck(u32);
    impl RngCore for Stuck {
        fn next_u32(&mut self) -> u32 {
            self.0
        }
        fn next_u64(&mut self) -> u64 {
            u64::from(self.0)
        }
        fn fill_bytes(&mut self, to: &mut [u8]) {
            to.fill(self.0 as u8);
        }
    }
    let student =
        Base::StudentT(StudentT { degrees: vec![0.6; 2], location: vec![0.0; 2], log_scale: vec![0.0; 2] });
    for base in [base, student, Base::StandardNormal] {
        for stuck in [0, 1, 0x8000_0000, u32::MAX] {
            let image = image_of(&flow(&base, 2), Numeric::F32);
            let model = image.model().expect("a good image");
            let mut out = [f32::NAN; 2];
            model.experts().next().expect("an expert").base.sample::<Float>(&mut Stuck(stuck), &mut out);
            assert!(out.iter().all(|x| x.is_finite()), "{out:?}");
        }
    }
}

/// Along rays from the centre, past every component, to the end of the numbers: the density never rises.
#[test]
fn far_out_the_density_falls_in_both_arithmetics() {
    let mut random = Random(8);
    for case in encoded_cases().filter(|c| c.features > 1) {
        for numeric in NUMERICS {
            let image = image_of(&flow(&case.base, case.features), numeric);
            for _ in 0..40 {
                let way: Vec<f64> = (0..case.features).map(|_| f64::from(random.normal())).collect();
                let largest = way.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
                let mut before = f64::INFINITY;
                // From 60 standard deviations, where every component is behind, to 32767.
                for step in 0..=90 {
                    let size = 60.0 * (32767.0_f64 / 60.0).powf(f64::from(step) / 90.0) / largest;
                    let z: Vec<f64> = way.iter().map(|w| w * size).collect();
                    let found = evaluate(&image, numeric, &z);
                    assert!(found.log_prob.is_finite() && found.squared_norm.is_finite(), "{}", case.name);
                    assert!(found.slope.iter().all(|s| s.is_finite()), "{}: {:?}", case.name, found.slope);
                    assert!(
                        found.log_prob <= before,
                        "{} {numeric:?}: rises to {}",
                        case.name,
                        found.log_prob
                    );
                    before = found.log_prob;
                }
            }
        }
    }
}

/// The ends of the numbers themselves, which a chain of fixed-point transforms can give.
#[test]
fn no_value_of_the_trunk_wraps() {
    for case in encoded_cases() {
        let image = image_of(&flow(&case.base, case.features), Numeric::I16);
        let model = image.model().expect("a good image");
        let base = model.experts().next().expect("an expert").base;
        let normal = evaluate(&image, Numeric::I16, &widen(&case.z[..case.features])).log_prob;
        for value in [i32::MIN, i32::MIN + 1, i32::MAX, 1 << 27, (1 << 27) + 1, -(1 << 27) - 1] {
            let z = vec![value; case.features];
            let log_prob = Fixed::real_log(base.log_prob::<Fixed>(&z));
            // A Student-t of many degrees falls by logarithms only.
            assert!(log_prob < normal - 5.0, "{}: {log_prob} {normal}", case.name);
            assert!(base.squared_norm::<Fixed>(&z) > 100 << 16, "{}", case.name);
        }
        // Where the faster way ends nothing jumps.
        let at = |value: i32| Fixed::real_log(base.log_prob::<Fixed>(&vec![value; case.features]));
        let (inside, outside) = (at(1 << 27), at((1 << 27) + 1));
        assert!((inside - outside).abs() < 1e-4 * inside.abs(), "{}: {inside} {outside}", case.name);
        assert!(outside <= inside, "{}: {inside} {outside}", case.name);
    }
}

/// Two heaps with heavy tails: each base trains to more than the standard normal gives, to the same flow at any number of
/// threads, and to images of each numeric type.
#[test]
fn every_base_trains_with_couplings_and_becomes_an_image() {
    use flowlet_tools::training::{train, BaseKind, FlowKind, Matrix, TrainConfig};
    let mut random = Random(21);
    let values: Vec<f32> = (0..1200)
        .flat_map(|row| {
            let centre = if row % 2 == 0 { -3.0 } else { 2.0 };
            let size = if row % 40 < 2 { 4.0 } else { 0.5 };
            [(); 3].map(|()| centre + size * random.normal())
        })
        .collect();
    let data = Matrix::new(1200, 3, values.clone()).expect("a matrix");
    let nll = |base: BaseKind| {
        let config = |threads: usize| TrainConfig {
            flow: FlowKind::Realnvp,
            base,
            layers: 2,
            hidden: vec![8],
            epochs: Some(40),
            threads,
            ..TrainConfig::default()
        };
        let trained = train(&data, &config(1), &mut ()).expect("it trains");
        let again = train(&data, &config(2), &mut ()).expect("it trains");
        assert_eq!(trained.flow, again.flow, "{}", base.name());
        let reference = Reference::from(&trained.flow);
        for numeric in NUMERICS {
            let image = image_of(&trained.flow, numeric);
            let scores = flowlet_tools::export::scores(&image, &values).expect("scores");
            let error = scores
                .iter()
                .zip(values.chunks_exact(3))
                .map(|(score, row)| (f64::from(score.log_prob) - reference.log_prob_f32(row)).abs());
            let mean = error.sum::<f64>() / 1200.0;
            println!("{} {numeric:?}: {mean:.1e} nats from the oracle", base.name());
            assert!(mean < if numeric == Numeric::F32 { 1e-5 } else { 0.05 }, "{mean}");
        }
        trained.val_nll
    };
    let [normal, student, mixture] = [BaseKind::Normal, BaseKind::Student, BaseKind::Mixture].map(nll);
    println!("held out: normal {normal:.3}, student {student:.3}, mixture {mixture:.3} nats");
    assert!(mixture < normal - 0.1 && student < normal + 0.1, "{normal} {student} {mixture}");
}
