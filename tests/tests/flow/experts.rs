//! Several experts, contexts, statistics: what stands above one flow's log-density.

use flowlet::{Error, Part, Scorer};
use flowlet_tests::surgery::Parts;
use flowlet_tests::trained::{self, calibration, experts, readings, usual, FEATURES};
use flowlet_tests::{metadata, NUMERICS};
use flowlet_tools::export::{
    build, import, import_ensemble, scores, statistics, Combine, Ensemble, ImageFile, Numeric, Statistic,
};
use flowlet_tools::flow::{Reference, Transform};

fn ensemble(combine: Combine, quoted: usize) -> Ensemble<'static> {
    Ensemble { combine, quoted, ..Ensemble::new(experts().to_vec()) }
}

fn image(ensemble: &Ensemble<'_>, numeric: Numeric) -> ImageFile {
    build(ensemble, numeric, &metadata(FEATURES), calibration(&readings(1000, 2))).expect("an image")
}

/// Normal rows, and rows that grow off them.
fn rows() -> Vec<f32> {
    let mut rows = readings(400, 4);
    for (index, x) in rows.iter_mut().enumerate().skip(400) {
        *x *= 1.0 + index as f32 * 1e-3;
    }
    rows
}

#[test]
fn experts_combine_what_images_of_their_own_give() {
    for numeric in NUMERICS {
        let alone: Vec<Vec<f32>> = experts()
            .iter()
            .map(|flow| {
                let own = scores(&image(&Ensemble::from(flow), numeric), &rows()).expect("scores");
                own.iter().map(|s| s.log_prob).collect()
            })
            .collect();
        for quoted in 0..3 {
            let lowest =
                scores(&image(&ensemble(Combine::Minimum, quoted), numeric), &rows()).expect("scores");
            let mean = scores(&image(&ensemble(Combine::Mean, quoted), numeric), &rows()).expect("scores");
            let one = scores(&image(&ensemble(Combine::Quoted, quoted), numeric), &rows()).expect("scores");
            for row in 0..lowest.len() {
                let logs = [alone[0][row], alone[1][row], alone[2][row]];
                for score in [lowest[row], mean[row], one[row]] {
                    assert_eq!(score.log_prob, logs[quoted], "{numeric:?}, row {row}");
                }
                assert_eq!(one[row].score, -logs[quoted]);
                assert_eq!(lowest[row].score, -logs[0].min(logs[1]).min(logs[2]), "{numeric:?}, row {row}");
                let exact = -logs.iter().map(|&l| f64::from(l)).sum::<f64>() / 3.0;
                let bound = 2f64.powi(-16) + exact.abs() * 2f64.powi(-22);
                assert!(
                    (f64::from(mean[row].score) - exact).abs() <= bound,
                    "{numeric:?}, row {row}: {exact}"
                );
            }
        }
    }
}

#[test]
fn the_workspace_is_shared() {
    for numeric in NUMERICS {
        let bytes = |image: &ImageFile| image.model().expect("a good image").workspace_bytes();
        let alone = experts().iter().map(|flow| bytes(&image(&Ensemble::from(flow), numeric))).max();
        assert_eq!(Some(bytes(&image(&ensemble(Combine::Minimum, 0), numeric))), alone, "{numeric:?}");
    }
}

#[test]
fn experts_survive_import() {
    let made = ensemble(Combine::Mean, 2).with_statistic(Statistic::SquaredNorm);
    let image = image(&made, Numeric::F32);
    let (found, _) = import_ensemble(&image.model().expect("a good image"));
    assert_eq!((found.combine, found.quoted, found.statistic), (Combine::Mean, 2, Statistic::SquaredNorm));
    assert_eq!(found.experts.len(), 3);
    for (found, made) in found.experts.iter().zip(experts()) {
        let row: Vec<f64> = readings(1, 8).iter().map(|&x| x.into()).collect();
        let (found, made) = (Reference::from(found).log_prob(&row), Reference::from(made).log_prob(&row));
        assert!((found - made).abs() < 1e-4, "{found} {made}");
    }
    let (quoted, _) = import(&image.model().expect("a good image"));
    assert_eq!(quoted, found.experts[2]);
}

#[test]
fn experts_that_do_not_fit_each_other_are_refused() {
    let refused = |ensemble: &Ensemble<'_>| {
        let rows = readings(100, 2);
        build(ensemble, Numeric::F32, &metadata(FEATURES), calibration(&rows))
            .expect_err("refused")
            .to_string()
    };
    let mut other = experts()[1].clone();
    if let Transform::Standardize(s) = &mut other.transforms[0] {
        s.mean[0] += 1.0;
    }
    let text = refused(&Ensemble::new(vec![usual().clone(), other]));
    assert!(text.contains("expert 1") && text.contains("standardizer"), "{text}");
    assert!(refused(&Ensemble { quoted: 3, ..ensemble(Combine::Mean, 0) }).contains("number 3"));
    assert!(refused(&Ensemble::new(Vec::new())).contains("0 experts"));
    assert!(refused(&Ensemble::new(vec![usual().clone(); 9])).contains("9 experts"));
}

#[test]
fn one_pass_gives_every_statistic_calibrated() {
    let fresh = readings(4000, 11);
    for numeric in NUMERICS {
        let likelihood = image(&Ensemble::from(usual()), numeric);
        let all = statistics(&likelihood, &fresh).expect("statistics");
        let entropy = likelihood.model().expect("a good image").head().entropy;
        // The image may use any of them; values and p-values stay what they are.
        for statistic in Statistic::ALL {
            let image = image(&Ensemble::from(usual()).with_statistic(statistic), numeric);
            assert_eq!(statistics(&image, &fresh).expect("statistics"), all, "{numeric:?} {statistic:?}");
            let scores = scores(&image, &fresh).expect("scores");
            let mut alarms = 0;
            let mut rare = [0; 3];
            for (score, of_row) in scores.iter().zip(&all) {
                let graded = match statistic {
                    Statistic::NegativeLogProb => of_row.negative_log_prob,
                    Statistic::SquaredNorm => of_row.squared_norm,
                    Statistic::Typicality => of_row.typicality,
                };
                assert_eq!((score.score, Some(score.p_value)), (graded.value, graded.p_value));
                assert_eq!(
                    (score.log_prob, of_row.negative_log_prob.value),
                    (of_row.log_prob, -of_row.log_prob)
                );
                let off = (of_row.log_prob + entropy).abs();
                assert!((off - of_row.typicality.value).abs() < 1e-4, "{numeric:?}: {of_row:?}");
                alarms += usize::from(score.alarm);
                for (rare, p) in rare.iter_mut().zip([0.5, 0.1, 0.02]) {
                    *rare += usize::from(score.p_value <= p);
                }
            }
            // 1000 calibration rows and 4000 fresh ones: both err.
            for (rare, p) in rare.into_iter().zip([0.5, 0.1, 0.02]) {
                let share = rare as f64 / 4000.0;
                assert!(
                    (share - p).abs() < 5.0 * (p / 800.0).sqrt(),
                    "{numeric:?} {statistic:?}: {share} {p}"
                );
            }
            assert!((10..100).contains(&alarms), "{numeric:?} {statistic:?}: {alarms} alarms");
        }
    }
}

#[test]
fn the_squared_norm_is_that_of_the_reference() {
    let reference = Reference::from(usual());
    for (numeric, tolerance) in [(Numeric::F32, 1e-4), (Numeric::I16, 2e-2)] {
        let image = image(&Ensemble::from(usual()), numeric);
        for row in rows().chunks(FEATURES) {
            let x: Vec<f64> = row.iter().map(|&x| x.into()).collect();
            let expected: f64 = reference.forward(&x).z.iter().map(|z| z * z).sum();
            let found = f64::from(statistics(&image, row).expect("statistics")[0].squared_norm.value);
            assert!(
                (found - expected).abs() <= tolerance * (1.0 + expected),
                "{numeric:?}: {found} {expected}"
            );
        }
    }
}

#[test]
fn records_behind_the_experts_are_checked() {
    let good = image(&ensemble(Combine::Minimum, 0), Numeric::I8);
    let whole = Parts::of(good.bytes());
    assert_eq!(whole.seal(), good);
    // Notes of their own length: the string's length in one byte, so that a zero stands for empty ones.
    let length = usize::from(whole.behind[0] & 0x7f) | usize::from(whole.behind[1]) << 7;
    let notes = if whole.behind[0] & 0x80 == 0 { 1 + usize::from(whole.behind[0]) } else { 2 + length };
    let behind = [&[0], &whole.behind[notes..]].concat();
    let parts = Parts { behind, ..whole.clone() };
    let with = |edit: &dyn Fn(&mut Parts<'_>)| {
        let mut parts = parts.clone();
        edit(&mut parts);
        parts.seal().model().map(|model| model.calibration_of(Statistic::Typicality).is_some())
    };
    let descriptor = Err(Error::Malformed(Part::Descriptor));
    assert_eq!(with(&|_| ()), Ok(true));
    assert_eq!(with(&|p| p.behind.truncate(1)), Ok(false), "notes alone");
    assert_eq!(with(&|p| p.behind.clear()), descriptor, "no notes");
    assert_eq!(with(&|p| p.behind.truncate(9)), descriptor, "half a record");
    assert_eq!(with(&|p| p.behind.push(0)), descriptor, "a byte more");
    assert_eq!(with(&|p| p.behind[0] = 200), descriptor, "notes longer than the image");
    // The record's first field is a varint of some bytes: the offset of the first sketch.
    let beyond = with(&|p| {
        let rest = p.behind.split_off(1);
        let behind = rest.iter().position(|b| b & 0x80 == 0).expect("a varint ends") + 1;
        p.behind.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
        p.behind.extend(&rest[behind..]);
    });
    assert_eq!(beyond, Err(Error::Malformed(Part::Calibration)), "a sketch beyond the end");
    let rate = with(&|p| {
        let end = p.behind.len();
        p.behind[end - 1] = 0x7f;
    });
    assert_eq!(rate, Err(Error::Malformed(Part::Calibration)), "a false-alarm rate above 1");
    for wrong in [3, 8, 255] {
        assert_eq!(with(&|p| p.head.quoted = wrong), Err(Error::Malformed(Part::Experts)));
    }
    assert_eq!(with(&|p| p.head.experts = 0), Err(Error::Malformed(Part::Experts)));
    assert!(with(&|p| p.experts[1].chain += 1).is_err(), "every expert is checked");
    assert!(with(&|p| p.experts[2].transforms += 1).is_err(), "every expert is checked");
    let mut old = parts.clone();
    old.version = 1;
    assert_eq!(old.seal().model().map(|_| ()), Err(Error::Unsupported(Part::Experts)), "version 1 has one");
}

#[test]
fn a_reading_is_judged_in_its_context() {
    let flow = trained::by_speed();
    let rows = trained::readings_by_speed(2000, 2);
    let reference = Reference::from(flow);
    for numeric in NUMERICS {
        let image = build(flow, numeric, &trained::metadata(2, 1), calibration(&rows)).expect("an image");
        let model = image.model().expect("a good image");
        assert_eq!((model.features(), model.contexts(), model.inputs()), (2, 1, 3));
        assert_eq!(model.context_names().map(|c| c.name).collect::<Vec<_>>(), ["c0"]);
        let mut workspace = vec![0; model.workspace_bytes() / 4];
        let mut scorer = Scorer::new(&model, &mut workspace).expect("enough workspace");
        assert_eq!(scorer.self_test(), Ok(0.0));
        // Normal at load -1, 0 and 1, each at each of these speeds.
        for (i, load) in [-1.0f32, 0.0, 1.0].into_iter().enumerate() {
            let reading = [10.0 + 3.0 * load, 2.0 - load];
            let found: Vec<f32> = [750.0, 1000.0, 1250.0]
                .iter()
                .map(|&speed| scorer.score_in_context(&reading, &[speed]).expect("a score").log_prob)
                .collect();
            for (j, log_prob) in found.iter().enumerate() {
                assert!(i == j || *log_prob < found[i] - 2.0, "{numeric:?}: load {load}: {found:?}");
            }
        }
        for row in rows.chunks(3).take(100) {
            let whole = scorer.score(row).expect("a score");
            assert_eq!(whole, scorer.score_in_context(&row[..2], &row[2..]).expect("a score"));
            let tolerance = if numeric == Numeric::F32 { 1e-3 } else { 0.5 };
            let exact = reference.log_prob_f32(row);
            assert!((f64::from(whole.log_prob) - exact).abs() < tolerance, "{numeric:?}: {whole:?} {exact}");
        }
        let score = |s: &mut Scorer<'_, '_>, reading: &[f32], context: &[f32]| {
            s.score_in_context(reading, context).map(|_| ())
        };
        assert_eq!(scorer.score(&[0.0; 2]).map(|_| ()), Err(Error::FeatureCount { expected: 3, found: 2 }));
        let count = |found| Err(Error::ContextCount { expected: 1, found });
        assert_eq!(score(&mut scorer, &[0.0; 2], &[]), count(0));
        assert_eq!(score(&mut scorer, &[0.0; 2], &[0.0; 2]), count(2));
        assert_eq!(score(&mut scorer, &[0.0; 2], &[f32::NAN]), Err(Error::NotFinite { feature: 2 }));
    }
}

/// The density over the features integrates to one in any context.
#[test]
fn densities_in_a_context_are_densities() {
    let reference = Reference::from(trained::by_speed());
    for speed in [600.0, 1000.0, 1400.0] {
        let step = 0.1;
        let mut sum = 0.0;
        for i in -200..200 {
            for j in -200..200 {
                let x = [10.0 + f64::from(i) * step, 2.0 + f64::from(j) * step, speed];
                sum += reference.log_prob(&x).exp() * step * step;
            }
        }
        assert!((sum - 1.0).abs() < 0.02, "{sum} at {speed}");
    }
}
