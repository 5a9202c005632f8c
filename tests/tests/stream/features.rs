//! Features of windows against numpy and scipy in f64 (`tests/golden/make_features.py`), and what must hold of any window.

use flowlet::stream::features::{correlation, envelope, moments, spectrum, LOG_I16};
use flowlet::stream::front_end::{Extractor, Form, Samples};
use flowlet::stream::Sample;
use flowlet_tests::streams::{edges, features, Plan};
use flowlet_tests::Random;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Golden {
    rate: f32,
    scale: f32,
    floor: f32,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    counts: Vec<Vec<i16>>,
    features: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    mean: f64,
    rms: f64,
    peak: f64,
    crest: f64,
    kurtosis: f64,
    skewness: f64,
    crossings: f64,
    jerk: f64,
    bands: Vec<f64>,
    centroid: f64,
    envelope: Vec<f64>,
    correlation: f64,
}

impl Expected {
    /// Amplitudes in the order of [`Plan::everything`], with their names; the signed ones are NaN here.
    fn amplitudes(&self) -> Vec<(&'static str, f64)> {
        let mut all = vec![
            ("mean", f64::NAN),
            ("rms", self.rms),
            ("peak", self.peak),
            ("crest", self.crest),
            ("kurtosis", self.kurtosis),
            ("skewness", f64::NAN),
            ("crossings", f64::NAN),
            ("jerk", self.jerk),
        ];
        all.extend(self.bands.iter().map(|&band| ("band", band)));
        all.push(("centroid", self.centroid));
        all.extend(self.envelope.iter().map(|&band| ("envelope", band)));
        all
    }
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/features.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("features.json")).expect("JSON")
}

impl Golden {
    fn plan(&self, samples: Samples, case: &Case) -> Plan {
        let window = case.counts[0].len() as u16;
        let &Golden { rate, scale, floor, .. } = self;
        Plan { samples, window, hop: 1, rate, scale, floor }
    }

    /// The features of a case, in f32 or in integers.
    fn found(&self, samples: Samples, case: &Case, form: Form) -> Vec<f32> {
        let record = self.plan(samples, case).everything(form);
        match samples {
            Samples::F32 => {
                let units = |counts: &Vec<i16>| counts.iter().map(|&c| f32::from(c) * self.scale).collect();
                features::<f32>(&record, &case.counts.iter().map(units).collect::<Vec<_>>()).remove(0)
            }
            Samples::I16 => features::<i16>(&record, &case.counts).remove(0),
        }
    }
}

/// Largest errors by the name of the feature, printed at the end.
#[derive(Default)]
struct Worst(BTreeMap<&'static str, (f64, String)>);

impl Worst {
    fn take(&mut self, name: &'static str, error: f64, case: &str) {
        let worst = self.0.entry(name).or_insert((0.0, String::new()));
        if error >= worst.0 {
            *worst = (error, case.to_owned());
        }
    }
}

#[test]
fn f32_features_keep_their_budgets() {
    let golden = golden();
    let mut worst = Worst::default();
    for case in &golden.cases {
        let plain = golden.found(Samples::F32, case, Form::Plain);
        let logs = golden.found(Samples::F32, case, Form::Log2);
        let per_channel = (plain.len() - 1) / 2;
        for (channel, expected) in case.features.iter().enumerate() {
            let at = channel * per_channel;
            for (index, (name, exact)) in expected.amplitudes().into_iter().enumerate() {
                if exact.is_nan() {
                    continue;
                }
                let budget = match name {
                    // Rounding of the FFT is relative to the whole window.
                    "band" | "centroid" => spectrum::RELATIVE_F32 * (expected.peak / 1024.0 / exact).max(1.0),
                    "envelope" => envelope::RELATIVE_F32 * (2f64.powi(-6) / exact).max(1.0),
                    _ => moments::RELATIVE_F32,
                };
                let found = f64::from(plain[at + index]);
                let error = (found / exact - 1.0).abs();
                worst.take(name, error / budget, &case.name);
                assert!(error <= budget, "{} {channel}: {name} {found} for {exact}", case.name);
                let log = f64::from(logs[at + index]);
                let distance = (log - found.log2()).abs();
                assert!(distance <= 1e-6 * (1.0 + log.abs()), "{name} {log} for {found}");
            }
            let signed = |index: usize| f64::from(plain[at + index]);
            let error = (signed(0) - expected.mean).abs();
            assert!(error <= 3e-7 * (expected.mean.abs() + expected.peak), "{}: mean {error}", case.name);
            let error = (signed(5) - expected.skewness).abs();
            assert!(
                error <= moments::RELATIVE_F32 * (1.0 + expected.skewness.abs()),
                "{}: {error}",
                case.name
            );
            assert_eq!(signed(6), expected.crossings, "{}", case.name);
        }
        let error = (f64::from(plain[2 * per_channel]) - case.features[0].correlation).abs();
        worst.take("correlation", error / correlation::ABSOLUTE_F32, &case.name);
        assert!(error <= correlation::ABSOLUTE_F32, "{}: correlation off by {error:e}", case.name);
    }
    println!("largest shares of the budgets: {:#?}", worst.0);
}

#[test]
fn integer_features_keep_their_budgets() {
    let golden = golden();
    let mut worst = Worst::default();
    let mut judged = 0;
    for case in &golden.cases {
        let plain = golden.found(Samples::I16, case, Form::Plain);
        let logs = golden.found(Samples::I16, case, Form::Log2);
        let per_channel = (plain.len() - 1) / 2;
        let scale = f64::from(golden.scale);
        for (channel, expected) in case.features.iter().enumerate() {
            let at = channel * per_channel;
            let counts = expected.peak / scale;
            for (index, (name, exact)) in expected.amplitudes().into_iter().enumerate() {
                let (found, log) = (f64::from(plain[at + index]), f64::from(logs[at + index]));
                assert!(found.is_finite() && log.is_finite());
                if exact.is_nan() {
                    continue;
                }
                assert!((log - found.log2()).abs() < 1e-5, "{name} {log} for {found}");
                let is_weak = match name {
                    "band" => exact < expected.peak / 1024.0,
                    "envelope" => exact < 2f64.powi(-6) || counts < 256.0,
                    _ => false,
                };
                // What the front end takes for silence is exact.
                let is_still = expected.rms <= f64::from(golden.floor);
                if (is_weak || counts < 8.0) && !is_still {
                    continue;
                }
                let budget = match name {
                    "band" | "centroid" => LOG_I16,
                    "envelope" => envelope::LOG_I16,
                    "kurtosis" => 2.0 * moments::LOG_MOMENTS_I16,
                    _ => moments::LOG_MOMENTS_I16,
                };
                let error = (log - exact.log2()).abs();
                judged += 1;
                worst.take(name, error / budget, &case.name);
                assert!(error <= budget, "{} {channel}: {name} {log} for {}", case.name, exact.log2());
            }
            let signed = |index: usize| f64::from(plain[at + index]);
            let error = (signed(0) - expected.mean).abs();
            assert!(error <= scale / 256.0 + 3e-6 * expected.mean.abs(), "{}: mean {error}", case.name);
            if counts >= 8.0 {
                let error = (signed(5) - expected.skewness).abs();
                worst.take("skewness", error / moments::SKEWNESS_I16, &case.name);
                let budget = moments::SKEWNESS_I16 * (1.0 + expected.skewness.abs());
                assert!(error <= budget, "{} {channel}: skewness {error}", case.name);
                assert_eq!(signed(6), expected.crossings, "{} {channel}", case.name);
            }
        }
        let error = (f64::from(plain[2 * per_channel]) - case.features[0].correlation).abs();
        worst.take("correlation", error / correlation::ABSOLUTE_I16, &case.name);
        assert!(error <= correlation::ABSOLUTE_I16, "{}: correlation off by {error:e}", case.name);
    }
    println!("{judged} amplitudes; largest shares of the budgets: {:#?}", worst.0);
    assert!(judged > 250, "{judged}");
}

/// Noise with an impact now and then.
fn signal(random: &mut Random, length: usize) -> Vec<f32> {
    (0..length).map(|i| random.normal() + if i % 91 == 17 { 9.0 } else { 0.0 }).collect()
}

const PLAN: Plan =
    Plan { samples: Samples::F32, window: 256, hop: 64, rate: 1000.0, scale: 1.0, floor: 1.0 / 1_048_576.0 };

/// Which features of [`Plan::everything`] are amplitudes in the samples' unit.
fn is_in_units(index: usize) -> bool {
    matches!(index % 17, 1 | 2 | 7..=12) && index < 34
}

#[test]
fn twice_the_signal_is_one_octave_more_bit_for_bit() {
    let mut random = Random(5);
    let channels = vec![signal(&mut random, 700), signal(&mut random, 700)];
    let record = PLAN.everything(Form::Plain);
    let once = features::<f32>(&record, &channels);
    for octaves in [-9, 1, 12] {
        let factor = 2f32.powi(octaves);
        let scaled: Vec<Vec<f32>> = channels.iter().map(|c| c.iter().map(|x| x * factor).collect()).collect();
        let found = features::<f32>(&record, &scaled);
        assert_eq!(found.len(), 7);
        for (a, b) in once.iter().flatten().zip(found.iter().flatten()).enumerate().map(|(i, (a, b))| {
            let index = i % 35;
            (if is_in_units(index) || index.is_multiple_of(17) && index < 34 { a * factor } else { *a }, *b)
        }) {
            assert_eq!(a.to_bits(), b.to_bits(), "{a} {b}");
        }
    }
}

#[test]
fn an_offset_changes_the_mean_alone() {
    let mut random = Random(6);
    let counts: Vec<Vec<i16>> =
        (0..2).map(|_| signal(&mut random, 256).iter().map(|x| (x * 300.0) as i16).collect()).collect();
    let plan = Plan { samples: Samples::I16, scale: 0.01, ..PLAN };
    let record = plan.everything(Form::Log2);
    let before = features::<i16>(&record, &counts).remove(0);
    let moved: Vec<Vec<i16>> = counts.iter().map(|c| c.iter().map(|x| x + 12_345).collect()).collect();
    let after = features::<i16>(&record, &moved).remove(0);
    for (index, (a, b)) in before.iter().zip(&after).enumerate() {
        if index % 17 == 0 && index < 34 {
            assert!((b - a - 123.45).abs() < 0.01, "{a} {b}");
        } else {
            // The mean rounds to 1/256 count, the same way for whole counts.
            assert_eq!(a.to_bits(), b.to_bits(), "{index}: {a} {b}");
        }
    }
}

#[test]
fn f32_and_integers_agree_on_the_same_counts() {
    let mut random = Random(8);
    let units: Vec<Vec<f32>> = (0..2).map(|_| signal(&mut random, 512)).collect();
    let counts: Vec<Vec<i16>> =
        units.iter().map(|c| c.iter().map(|x| (x * 1000.0).round() as i16).collect()).collect();
    let plan = Plan { window: 512, scale: 0.001, ..PLAN };
    let floats: Vec<Vec<f32>> =
        counts.iter().map(|c| c.iter().map(|&x| f32::from(x) * 0.001).collect()).collect();
    let wide = features::<f32>(&plan.everything(Form::Log2), &floats).remove(0);
    let plan = Plan { samples: Samples::I16, ..plan };
    let narrow = features::<i16>(&plan.everything(Form::Log2), &counts).remove(0);
    for (index, (a, b)) in wide.iter().zip(&narrow).enumerate() {
        assert!((a - b).abs() < 0.01, "{index}: {a} {b}");
    }
}

/// A window of any finite samples has finite features, in both arithmetics.
#[test]
fn features_are_finite_whatever_the_window() {
    fn check<T: Sample>(record: &[u8], values: &[T])
    where
        T::Word: Default,
    {
        let mut random = Random(9);
        for _ in 0..300 {
            // Few values a window, so that it is often still, or nearly so.
            let few: Vec<T> = (0..1 + random.below(3)).map(|_| values[random.below(values.len())]).collect();
            let mut channel = || (0..64).map(|_| few[random.below(few.len())]).collect::<Vec<T>>();
            let rows = features::<T>(record, &[channel(), channel()]);
            assert!(rows[0].iter().all(|x| x.is_finite()), "{:?}", rows[0]);
        }
    }
    for form in [Form::Plain, Form::Log2] {
        let plan = Plan { window: 64, ..PLAN };
        let finite = [0.0, -0.0, 1e-45, -1e-38, 1e-20, 1.0, 1.0000001, -3.0, 1e12, -1e17, 9.81];
        check::<f32>(&plan.everything(form), &finite);
        let plan = Plan { samples: Samples::I16, scale: 1e-3, ..plan };
        check::<i16>(&plan.everything(form), &[0, 1, -1, 2, 100, 32767, -32768, -32767, 12345]);
    }
}

#[test]
fn a_fault_among_the_samples_makes_the_channels_features_nan() {
    let mut random = Random(10);
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        let mut channels = vec![signal(&mut random, 256), signal(&mut random, 256)];
        channels[0][77] = wrong;
        let row = features::<f32>(&PLAN.everything(Form::Log2), &channels).remove(0);
        let is_faulty = wrong != f32::MAX;
        assert!(row[..17].iter().all(|x| x.is_nan()) || !is_faulty, "{wrong}: {row:?}");
        assert!(row[17..34].iter().all(|x| x.is_finite()), "{wrong}: {row:?}");
        assert!(row[34].is_nan() || !is_faulty, "{wrong}: {row:?}");
    }
}

/// A fault that strikes 30 times a second and rings at 3 kHz shows in the envelope, and hardly in the spectrum.
#[test]
fn impacts_at_a_resonance_show_in_the_envelope() {
    let (rate, n) = (12_000.0, 2048);
    let mut random = Random(12);
    let mut ring = vec![0.0; n];
    for start in (0..n).step_by(400) {
        for (age, x) in ring[start..].iter_mut().enumerate() {
            let t = age as f32 / rate;
            *x += 8.0 * (-t * 900.0).exp() * (std::f32::consts::TAU * 3000.0 * t).sin();
        }
    }
    let quiet: Vec<f32> = (0..n).map(|_| random.normal()).collect();
    let faulty: Vec<f32> = quiet.iter().zip(&ring).map(|(a, b)| a + b).collect();
    let bin = |hz: f32| (hz * n as f32 / rate) as u16;
    let modulations = edges(&[bin(20.0), bin(50.0), bin(500.0)]);
    let (from, to) = (bin(2000.0), bin(4000.0));
    let extractors = [
        Extractor::Envelope { channel: 0, form: Form::Log2, from, to, edges: &modulations },
        Extractor::Rms { channel: 0, form: Form::Log2 },
    ];
    let plan = Plan { window: n as u16, rate, ..PLAN };
    let record = plan.record(1, &extractors);
    let [before, after] = [quiet, faulty].map(|x| features::<f32>(&record, &[x]).remove(0));
    assert!(after[0] > before[0] + 1.2, "{before:?} {after:?}");
    assert!(after[2] < before[2] + 0.5, "{before:?} {after:?}");
}
