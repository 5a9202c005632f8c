//! What `flowlet train` and `quantize` say and do about false alarms, time order, drift and contamination.

use flowlet_tests::command::{normal_csv, trained, Folder, QUICK};
use flowlet_tools::export::ImageFile;
use serde_json::Value;
use std::fmt::Write;

fn number(json: &Value, field: &str) -> f64 {
    json[field].as_f64().unwrap_or_else(|| panic!("{field} in {json}"))
}

/// A command line whose last value has spaces.
fn spaced(folder: &Folder, options: &str, last: &[&str]) -> flowlet_tests::command::Run {
    let output = folder.command(options).args(last).output().expect("flowlet starts");
    flowlet_tests::command::Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `flowlet train` with an option whose value has spaces.
fn train(folder: &Folder, options: &str, alarms: &str) -> flowlet_tests::command::Run {
    let train = format!("train t.csv -o m.flow {QUICK} --numeric f32 {options}");
    spaced(folder, &train, &["--false-alarms", alarms])
}

#[test]
fn false_alarms_in_words_set_the_rate_and_say_what_rows_cannot_promise() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(400, 1));
    let json = train(&folder, "--json -q", "1 per week at 1 Hz").json();
    assert!((number(&json, "false_alarm_rate") * 604_800.0 - 1.0).abs() < 1e-6, "{json}");
    // Some 400 rows, a tenth of them held out, five times.
    let held_out = number(&json, "held_out_rows");
    assert_eq!(number(&json, "calibration_folds"), 5.0);
    assert_eq!(number(&json, "calibration_rows"), 5.0 * held_out);
    assert_eq!(json["false_alarms_promised"], false);
    assert!((number(&json, "smallest_promised_rate") * 5.0 * held_out / 3.0 - 1.0).abs() < 0.05, "{json}");
    let bytes = folder.read("m.flow");
    let image = ImageFile::from_bytes(&bytes);
    let calibration = image.model().expect("a good image").head().calibration;
    assert_eq!(f64::from(calibration.readings), 5.0 * held_out);
    assert!((f64::from(calibration.false_alarm_rate) * 604_800.0 - 1.0).abs() < 1e-6);

    let told = train(&folder, "", "1 per week at 1 Hz");
    for part in
        ["1 per week at 1 Hz (1 in 605,000)", "too few to be promised", "can vouch for rates down to 1 in"]
    {
        assert!(told.stdout.contains(part), "'{part}' is not in {told:?}");
    }
    let promised = train(&folder, "--json -q --calibration-folds 3", "1 per 10 readings").json();
    assert_eq!(promised["false_alarms_promised"], true);
    assert_eq!(number(&promised, "calibration_rows"), 3.0 * held_out);
    let [low, high] = [0, 1].map(|i| promised["false_alarm_interval"][i].as_f64().expect("a number"));
    assert!(low > 0.03 && low < 0.1 && high > 0.1 && high < 0.25, "{low} to {high}");
    assert_eq!(folder.flowlet("inspect m.flow --json").json()["calibration"]["false_alarms_promised"], true);
}

#[test]
fn what_is_asked_wrongly_is_taught() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(100, 1));
    let wrong = |options: &str, alarms: &str, parts: &[&str]| train(&folder, options, alarms).fails(2, parts);
    wrong("", "1 per week", &["--false-alarms", "how often a reading is taken is missing"]);
    wrong("", "lots", &["'lots' is not a number", "1 per week at 1 Hz"]);
    wrong("--false-alarm-rate 0.01", "1 per 100 rows", &["--false-alarm", "cannot be used with"]);
    wrong("--contamination 0.7", "1 per 100 rows", &["0.7", "a share of the rows from 0 to 0.4", "auto"]);
    wrong("--calibration-folds 9", "1 per 100 rows", &["9", "1..=5"]);
}

/// A slow wave and noise; from `from` on with the second column moved.
fn series(rows: usize, from: usize) -> String {
    let mut text = "a,b,c\n".to_owned();
    let mut state = 7_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f64 / (1 << 24) as f64 - 0.5
    };
    for row in 0..rows {
        let t = row as f64 * 0.7;
        let moved = if row < from { 0.0 } else { 2.0 };
        let (a, b, c) = (t.sin() + noise(), t.cos() + moved + noise(), noise());
        let _ = writeln!(text, "{a:.4},{b:.4},{c:.4}");
    }
    text
}

#[test]
fn rows_in_time_order_are_calibrated_on_the_last_and_tested_for_drift() {
    let folder = Folder::new();
    folder.write("steady.csv", series(1000, 1000)).write("drifted.csv", series(1000, 800));
    let run = |data: &str, more: &str| {
        folder.flowlet(&format!("train {data} -o m.flow --holdout 0.2 --json {QUICK} --numeric f32 {more}"))
    };
    let steady = run("steady.csv", "--time-ordered");
    assert_eq!(steady.json()["drift"], serde_json::json!([]), "{steady:?}");
    let drifted = run("drifted.csv", "--time-ordered");
    let json = drifted.json();
    let found: Vec<&str> = json["drift"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|c| c["feature"].as_str().expect("a name"))
        .collect();
    assert!(found.contains(&"b") && found.contains(&"(statistic)") && !found.contains(&"c"), "{json}");
    assert!(json["drift"].as_array().expect("a list").iter().all(|c| number(c, "p_value") < 0.01), "{json}");
    assert!(
        drifted.stderr.contains("b by ") && drifted.stderr.contains("the statistic changed too"),
        "{drifted:?}"
    );
    assert_eq!(json["calibration_rows"], 200);
    assert_eq!(run("drifted.csv", "").json()["drift"], Value::Null);
}

/// Every twentieth row is far off: trusting them all, the threshold lies among them.
#[test]
fn contaminated_rows_do_not_silence_the_alarm() {
    let folder = Folder::new();
    let (mut train, mut test) = (String::new(), String::new());
    for (row, line) in normal_csv(1500, 3).lines().enumerate() {
        let off = row > 0 && row % 20 == 7;
        let fields: Vec<&str> = line.split(',').collect();
        if row < 1000 {
            let _ = if off {
                writeln!(train, "{},{},60", fields[0], fields[1])
            } else {
                writeln!(train, "{line}")
            };
        }
        let label = if row == 0 { "label".to_owned() } else { u8::from(off).to_string() };
        if row == 0 || row >= 1000 {
            let line = if off { format!("{},{},60", fields[0], fields[1]) } else { line.to_owned() };
            let _ = writeln!(test, "{line},{label}");
        }
    }
    folder.write("t.csv", train).write("test.csv", test);
    let detected = |options: &str| {
        let settings = "--flow realnvp --layers 2 --hidden 8 --epochs 30 --seed 5 --numeric f32 --json -q";
        let json = folder.flowlet(&format!("train t.csv -o m.flow {settings} {options}")).json();
        let quality = folder.flowlet("eval m.flow test.csv --label label --json -q").json();
        (json, number(&quality, "detection_rate"), number(&quality, "false_alarm_rate"))
    };
    let (trusting, few, _) = detected("");
    let (trimmed, most, false_alarms) = detected("--contamination 0.1");
    assert_eq!((number(&trusting, "contamination"), number(&trimmed, "contamination")), (0.0, 0.1));
    assert_eq!(number(&trusting, "calibration_rows_left_out"), 0.0);
    assert!(number(&trimmed, "calibration_rows_left_out") >= 20.0, "{trimmed}");
    assert!(few < 0.5 && most > 0.9 && false_alarms < 0.05, "{few}, {most}, {false_alarms}");
    assert_eq!(number(&detected("--contamination auto").0, "contamination"), 0.05);
}

#[test]
fn an_alarm_is_chosen_for_a_rate_and_quantize_keeps_it() {
    let folder = trained();
    folder.write("t.csv", normal_csv(400, 6)).write("few.csv", normal_csv(12, 6));
    let json =
        spaced(&folder, "alarm m.flow --votes 2/3 --json -o a.flow --false-alarms", &["1 per hour at 1 Hz"])
            .json();
    let rate = number(&json, "false_alarm_rate") * 3600.0;
    // Levels have steps of 2^-8 bits: nearly the rate that was allowed, and not above.
    assert!(rate <= 1.0 && rate > 0.9, "{json}");
    assert!((number(&json, "seconds_between_false_alarms") * rate / 3600.0 - 1.0).abs() < 1e-9);
    // A reading that votes, and one of the two before it.
    let p = (-json["settings"]["votes"]["level"].as_f64().expect("a level")).exp2();
    assert!((1.0 / 3600.0 / (2.0 * p * p) - 1.0).abs() < 0.3, "{p}");
    let settings = &json["settings"];

    for numeric in ["i16", "i8", "f32"] {
        let run = folder
            .flowlet(&format!("quantize a.flow --numeric {numeric} --calibration t.csv -o q.flow --json"));
        assert_eq!(run.json()["alarm"], *settings, "{run:?}");
        assert_eq!(run.json()["alarm_within_reach"], true, "{run:?}");
        assert_eq!(folder.flowlet("inspect q.flow --json").json()["alarm"], *settings);
    }
    // The level is beyond what so few rows tell apart.
    assert_eq!(folder.flowlet("alarm m.flow --votes 1/1@15 -o b.flow").code, 0);
    let run = folder.flowlet("quantize b.flow --numeric i8 --calibration few.csv -o q.flow --json");
    assert_eq!(run.json()["alarm_within_reach"], false, "{run:?}");
    assert!(run.stderr.contains("may never be raised"), "{run:?}");
    let json = folder.flowlet("quantize m.flow --numeric i8 --calibration t.csv -o q.flow --json").json();
    assert!(json["alarm"].is_null() && json["alarm_within_reach"].is_null());
}

#[test]
fn limits_of_a_drift_test_are_printed() {
    let folder = trained();
    let drift = |more: &str, allowed: &str| {
        spaced(&folder, &format!("alarm m.flow --votes 3/5@3 {more} --drift"), &[allowed])
    };
    let json = drift("--json", "1 per month at 1 Hz").json();
    let limits = &json["drift"];
    assert_eq!((limits["shift"].as_u64(), limits["every"].as_u64()), (Some(8), Some(1)));
    let (mean, most) = (number(limits, "mean_limit"), number(limits, "most_variance"));
    // Five deviations of the mean, which has 1 / sqrt(511) of them; squares have heavier tails.
    assert!((0.19..0.25).contains(&mean) && (1.3..1.6).contains(&most), "{json}");
    assert!((number(&limits["settings"], "mean_limit") / 16_777_216.0 - mean).abs() < 1e-9);
    let slower = drift("--json --drift-shift 10 --drift-every 5", "1 per month at 1 Hz").json();
    assert!(number(&slower["drift"], "mean_limit") < 0.6 * mean, "{slower}");
    let text = drift("", "1 per month at 1 Hz").stdout;
    let snippet = format!("mean_limit: {}", limits["settings"]["mean_limit"]);
    assert!(text.contains(&snippet) && text.contains("DriftSettings { shift: 8, every: 1"), "{text}");
    drift("", "1 per 3 readings").fails(1, &["--drift", "allow fewer"]);
    assert_eq!(drift("--drift-shift 3", "1 per month at 1 Hz").code, 2);
}

#[test]
fn quantize_takes_a_rate_of_its_own_and_folds_do_not_depend_on_threads() {
    let folder = trained();
    folder.write("t.csv", normal_csv(400, 6));
    let quantize = |more: &str| {
        let json = folder.flowlet(&format!(
            "quantize m.flow --numeric i16 --calibration t.csv -o q.flow --json -q {more}"
        ));
        number(&json.json(), "false_alarm_rate")
    };
    assert_eq!([quantize(""), quantize("--false-alarm-rate 0.05")], [0.01, 0.05]);
    let image = |threads: usize| {
        folder.flowlet(&format!("train t.csv -o {threads}.flow -q {QUICK} --threads {threads}"));
        folder.read(&format!("{threads}.flow"))
    };
    assert!(image(1) == image(2), "the image depends on the number of threads");
}
