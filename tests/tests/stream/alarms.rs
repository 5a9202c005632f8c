//! Alarms: settings in an image, `flowlet alarm`, and the readings that re-centring and drift see.

use flowlet::stream::{AlarmSettings, Surprise, Votes};
use flowlet::{Error, Model, Scorer};
use flowlet_tests::command::{labelled_csv, trained};
use flowlet_tests::trained::{calibration, metadata, readings, usual, FEATURES};
use flowlet_tests::{golden, NUMERICS};
use flowlet_tools::export::build;

fn settings(level: u8, hold_off: u32) -> AlarmSettings {
    let level = Surprise::from_bits(level);
    let votes = Votes { needed: 3, of: 5, level, clear: Surprise::from_bits(2) };
    AlarmSettings::new(Some(votes), None, None, hold_off).expect("sound")
}

#[test]
fn an_image_carries_settings_and_scores_as_before() {
    for name in ["v2-f32.flow", "v2-i16.flow", "v2-i8.flow"] {
        let image = golden::committed(name);
        let first = image.with_alarm(&settings(7, 0)).expect("there is room");
        // Others take the place of the first; their numbers are longer.
        let second = first.with_alarm(&settings(200, 1 << 30)).expect("there is room");
        assert_eq!(first.model().expect("loads").alarm(), Ok(settings(7, 0)));
        let model = second.model().expect("loads");
        assert_eq!(model.alarm(), Ok(settings(200, 1 << 30)));
        assert_eq!(
            model.self_test_vectors().count(),
            image.model().expect("golden").self_test_vectors().count()
        );
        assert_eq!(model.workspace_bytes(), image.model().expect("golden").workspace_bytes());
        // Back to what it was before: the same bytes.
        assert!(second.with_alarm(&settings(7, 0)).expect("there is room") == first);
    }
    assert!(golden::committed("v1-i8.flow").with_alarm(&settings(7, 0)).is_none(), "no place in version 1");
}

#[test]
fn recentred_scores_are_those_of_moved_readings() {
    let rows = readings(400, 3);
    for numeric in NUMERICS {
        let image = build(usual(), numeric, &metadata(FEATURES, 0), calibration(&rows)).expect("an image");
        let model: Model<'_> = image.model().expect("it loads");
        let mut workspace = vec![0; model.workspace_bytes() / 4];
        let mut scorer = Scorer::new(&model, &mut workspace).expect("room");
        let (mut zero, mut one) = ([0; FEATURES], [0; FEATURES]);
        // Standard deviations of the training, from two readings of which one is moved by 1 in each feature.
        let base: Vec<f32> = rows[..FEATURES].to_vec();
        scorer.standardized(&base, &mut zero).expect("a reading");
        let far: Vec<f32> = base.iter().map(|x| x + 1.0).collect();
        scorer.standardized(&far, &mut one).expect("a reading");
        let std: Vec<f64> = zero.iter().zip(one).map(|(a, b)| 65_536.0 / f64::from(b - a)).collect();
        for row in rows.chunks_exact(FEATURES).take(100) {
            let plain = scorer.score(row).expect("a score");
            let same = scorer.score_recentred(row, &[0; FEATURES]).expect("a score");
            assert_eq!(same.log_prob.to_bits(), plain.log_prob.to_bits());
            assert_eq!(scorer.score_recentred(row, &[]).expect("a score"), plain);
            // A quarter of a standard deviation, up and down.
            let offsets = [1 << 22, -(1 << 22), 1 << 22, 0];
            let moved: Vec<f32> = row
                .iter()
                .zip(&std)
                .zip(offsets)
                .map(|((x, std), offset)| {
                    (f64::from(*x) - std * f64::from(offset) / f64::from(1 << 24)) as f32
                })
                .collect();
            let expected = scorer.score(&moved).expect("a score").log_prob;
            let found = scorer.score_recentred(row, &offsets).expect("a score").log_prob;
            assert!(
                (found - expected).abs() < 0.02 * (1.0 + expected.abs()),
                "{numeric:?}: {found} {expected}"
            );
        }
        let wrong = scorer.standardized(&base[1..], &mut zero);
        assert!(matches!(wrong, Err(Error::FeatureCount { .. })));
    }
}

#[test]
fn the_command_sets_and_weighs_an_alarm() {
    let folder = trained();
    folder.write("long.csv", labelled_csv(3000, 5));
    let run =
        folder.flowlet("alarm m.flow --votes 3/5@3 --clear 2 --hold-off 10 -o a.flow --rate 2 --json").json();
    let votes = &run["settings"]["votes"];
    assert_eq!((votes["needed"].as_u64(), votes["level"].as_f64()), (Some(3), Some(3.0)));
    let run_length = run["detectors"][0]["run_length"].as_f64().expect("a number");
    let rate = run["false_alarm_rate"].as_f64().expect("a number");
    assert!((rate - 1.0 / (run_length + 10.0)).abs() < 1e-12);
    assert!(
        (run["seconds_between_false_alarms"].as_f64().expect("a number") * 2.0 * rate - 1.0).abs() < 1e-9
    );
    // What is stored is what is said of the new image, with a table too.
    let again = folder.flowlet("alarm a.flow long.csv --label label --simulate 100000 --json").json();
    assert_eq!(again["settings"], run["settings"]);
    assert_eq!(again["false_alarm_rate"], run["false_alarm_rate"]);
    let simulated = &again["simulated"]["interval"];
    assert!(
        simulated[0].as_f64().expect("a number") <= rate
            && rate <= 1.2 * simulated[1].as_f64().expect("a number")
    );
    assert!(again["measured"]["events"].as_u64().expect("a number") > 0);
    assert!(again["detectors"][0]["delay_of_labelled"]["mean"].as_f64().is_some());
    assert_eq!(folder.flowlet("inspect a.flow --json").json()["alarm"], run["settings"]);
    assert!(folder.flowlet("inspect m.flow --json").json()["alarm"].is_null());
    folder.flowlet("alarm m.flow --votes 1/1@200").fails(1, &["never reaches"]);
    folder.flowlet("alarm m.flow --votes 2/3").fails(1, &["--false-alarms"]);
    for wrong in ["--votes 6/5", "--votes 3/40", "--ewma 1.5", "--cusum 1.2", "--cusum 3,0", "--clear 300"] {
        assert_eq!(folder.flowlet(&format!("alarm m.flow {wrong}")).code, 2, "{wrong}");
    }
}
