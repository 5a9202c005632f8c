//! The scorer's promises: workspace, errors, p-values, alarms, determinism.

use flowlet::arithmetic::{Fixed, Float};
use flowlet::{Error, Model, Score, Scorer};
use flowlet_tests::evaluate::{image_of, is_fixed};
use flowlet_tests::{golden, normal_readings, random_flow, Random, NUMERICS};
use flowlet_tools::export::{build, scores, Calibration, ImageFile, Numeric};

fn case(numeric: Numeric) -> (ImageFile, Vec<f32>) {
    let mut random = Random(21);
    let flow = random_flow(&mut random, 4, 4, &[12]);
    let rows = normal_readings(&mut random, &flow, 2000);
    let calibration = Calibration { readings: &rows, false_alarm_rate: 0.02 };
    (build(&flow, numeric, &flowlet_tests::metadata(4), calibration).unwrap(), rows)
}

/// Scores of normal, drifting and wild readings, most normal first.
fn sorted_scores(image: &ImageFile, rows: &[f32]) -> Vec<Score> {
    let drifting: Vec<f32> = rows.iter().enumerate().map(|(i, x)| x + i as f32 * 0.01).collect();
    let mut all = scores(image, rows).unwrap();
    all.extend(scores(image, &drifting).unwrap());
    all.extend(scores(image, &rows.iter().map(|x| x * 1e10).collect::<Vec<_>>()).unwrap());
    all.sort_by(|a, b| a.score.total_cmp(&b.score));
    all
}

#[test]
fn p_values_fall_as_scores_rise() {
    for numeric in NUMERICS {
        let (image, rows) = case(numeric);
        let all = sorted_scores(&image, &rows);
        assert!(all.iter().all(|s| s.p_value > 0.0 && s.p_value <= 1.0), "{numeric:?}");
        for pair in all.windows(2) {
            assert!(pair[1].p_value <= pair[0].p_value, "{numeric:?}: {pair:?}");
            assert!(!pair[0].alarm || pair[1].alarm, "{numeric:?}: {pair:?}");
        }
        assert_eq!(all[0].p_value, 1.0, "{numeric:?}: the best score of all");
        assert!(all[all.len() - 1].p_value < 1e-5, "{numeric:?}: {:?}", all[all.len() - 1]);
    }
}

#[test]
fn p_values_are_shares_of_normal_readings() {
    // On fresh readings of the same kind: 4000 of them, so that a share of p errs by sqrt(p / 4000).
    let mut random = Random(22);
    for numeric in NUMERICS {
        let flow = random_flow(&mut random, 4, 4, &[12]);
        let rows = normal_readings(&mut random, &flow, 4000);
        let calibration = Calibration { readings: &rows, false_alarm_rate: 0.02 };
        let image = build(&flow, numeric, &flowlet_tests::metadata(4), calibration).unwrap();
        let fresh = scores(&image, &normal_readings(&mut random, &flow, 4000)).unwrap();
        for p in [0.5, 0.1, 0.02, 0.01] {
            let share = fresh.iter().filter(|s| f64::from(s.p_value) <= p).count() as f64 / 4000.0;
            assert!((share - p).abs() < 6.0 * (p / 4000.0).sqrt(), "{numeric:?}: {share} for {p}");
        }
        let alarms = fresh.iter().filter(|s| s.alarm).count() as f64 / 4000.0;
        assert!((alarms - 0.02).abs() < 6.0 * (0.02f64 / 4000.0).sqrt(), "{numeric:?}: {alarms}");
    }
}

#[test]
fn the_alarm_is_the_threshold() {
    for numeric in NUMERICS {
        let (image, rows) = case(numeric);
        let model = image.model().unwrap();
        let calibration = model.calibration().unwrap();
        let threshold = if is_fixed(numeric) {
            calibration.threshold::<Fixed>().unwrap() as f64 / 65536.0
        } else {
            calibration.threshold::<Float>().unwrap().into()
        };
        let all = sorted_scores(&image, &rows);
        for score in &all {
            // A score that is rounded to f32 onto the threshold could be either.
            let near = (f64::from(score.score) - threshold).abs() < 1e-6 * threshold.abs();
            assert!(near || score.alarm == (f64::from(score.score) > threshold), "{numeric:?}: {score:?}");
        }
        let alarms = scores(&image, &rows).unwrap().iter().filter(|s| s.alarm).count();
        // The calibration rows themselves, at a rate of 2 %.
        let share = alarms as f64 / (rows.len() / 4) as f64;
        assert!((0.018..=0.022).contains(&share), "{numeric:?}: {share}");
    }
}

#[test]
fn a_workspace_one_word_short_is_an_error() {
    for numeric in NUMERICS {
        let image = golden::image(numeric);
        let model = image.model().unwrap();
        let words = model.workspace_bytes() / 4;
        for found in [0, 1, words - 1] {
            let mut workspace = vec![0; found];
            let error = Scorer::new(&model, &mut workspace).unwrap_err();
            let expected = Error::WorkspaceTooSmall { needed_words: words as u32, found_words: found as u32 };
            assert_eq!(error, expected);
        }
        assert!(Scorer::new(&model, &mut vec![0; words]).is_ok());
    }
}

#[test]
fn the_const_workspace_of_a_compiled_in_image_is_what_it_needs() {
    static F32: &[u8] = flowlet::include_image!("../../golden/v1-f32.flow");
    static I8: &[u8] = flowlet::include_image!("../../golden/v1-i8.flow");
    const F32_WORDS: usize = flowlet::workspace_words(include_bytes!("../../golden/v1-f32.flow").as_slice());
    let model = Model::from_bytes(F32).unwrap();
    assert_eq!(4 * F32_WORDS, model.workspace_bytes());
    let mut workspace = [0u32; F32_WORDS];
    let mut scorer = Scorer::new(&model, &mut workspace).unwrap();
    assert!(scorer.score(&[21.0, -0.2, 101_000.0]).is_ok());
    // i8 activations are half as wide as f32 ones.
    assert!(flowlet::workspace_words(I8) <= F32_WORDS);
    for short in 0..28 {
        assert_eq!(flowlet::workspace_bytes(&F32[..short]), 0);
    }
}

#[test]
fn sensor_faults_are_errors() {
    for numeric in NUMERICS {
        let image = golden::image(numeric);
        let model = image.model().unwrap();
        let mut workspace = vec![0; model.workspace_bytes() / 4];
        let mut scorer = Scorer::new(&model, &mut workspace).unwrap();
        let good = [21.5, -0.25, 101_325.0];
        let before = scorer.score(&good).unwrap();
        for fault in [f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001), f32::INFINITY, f32::NEG_INFINITY] {
            for feature in 0..3 {
                let mut reading = good;
                reading[feature] = fault;
                let found = scorer.score(&reading);
                assert_eq!(found, Err(Error::NotFinite { feature: feature as u16 }), "{fault}");
            }
        }
        for count in [0, 1, 2, 4, 70_000] {
            let found = scorer.score(&vec![0.0; count]);
            let count = u16::try_from(count).unwrap_or(u16::MAX);
            assert_eq!(found, Err(Error::FeatureCount { expected: 3, found: count }));
        }
        // The first fault is named, and none of them leaves a trace.
        let found = scorer.score(&[0.0, f32::NAN, f32::INFINITY]);
        assert_eq!(found, Err(Error::NotFinite { feature: 1 }));
        assert_eq!(scorer.score(&good), Ok(before));
    }
}

#[test]
fn scores_depend_on_nothing_but_the_reading() {
    for numeric in NUMERICS {
        let (image, rows) = case(numeric);
        let model = image.model().unwrap();
        let words = model.workspace_bytes() / 4;
        let mut random = Random(31);
        let expected = scores(&image, &rows).unwrap();
        // Backwards, each in a workspace of fresh garbage that is larger than needed.
        for (row, expected) in rows.chunks_exact(4).zip(&expected).rev() {
            let mut workspace: Vec<u32> = (0..words + 7).map(|_| random.bits() as u32).collect();
            let found = Scorer::new(&model, &mut workspace).unwrap().score(row).unwrap();
            assert_eq!(found.log_prob.to_bits(), expected.log_prob.to_bits(), "{numeric:?}");
            assert_eq!(found, *expected, "{numeric:?}");
        }
    }
}

#[test]
fn widths_up_to_the_largest_load_and_score() {
    // 256 features; a layer of 1024.
    let mut random = Random(41);
    for (features, hidden) in [(256, 16), (2, 1024), (255, 1)] {
        let flow = random_flow(&mut random, features, 2, &[hidden]);
        let rows = normal_readings(&mut random, &flow, 5);
        for numeric in NUMERICS {
            let image = image_of(&flow, numeric);
            let found = scores(&image, &rows).unwrap();
            assert!(found.iter().all(|s| s.log_prob.is_finite()), "{numeric:?}: {found:?}");
        }
    }
}
