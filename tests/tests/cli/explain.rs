//! `explain`, `sample`, `train --context` and `train --statistic` as users run them.

use flowlet_tests::command::{labelled_csv, normal_csv, trained, Folder, QUICK};
use flowlet_tests::trained::readings_by_speed;
use serde_json::Value;

fn number(json: &Value, field: &str) -> f64 {
    json[field].as_f64().unwrap_or_else(|| panic!("'{field}' is no number in {json}"))
}

/// A table whose two features depend on the speed, which stands between them.
fn speed_csv(rows: usize, seed: u64) -> String {
    let line = |row: &[f32]| format!("{:?},{:?},{:?}\n", row[0], row[2], row[1]);
    format!("pressure,speed,flow\n{}", readings_by_speed(rows, seed).chunks(3).map(line).collect::<String>())
}

#[test]
fn explain_names_the_feature_and_the_nearest_normal_row() {
    let folder = trained();
    folder.write("odd.csv", "a,b,c\n20,0,100\n20,9,100\n");
    let json = folder.flowlet("explain m.flow odd.csv --row 1 --json").json();
    let shares = json["attribution"].as_object().expect("by name");
    assert_eq!(shares.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    let sum: f64 = shares.values().filter_map(Value::as_f64).sum();
    assert!((sum - number(&json, "excess")).abs() < 1e-4, "{json}");
    assert!(number(&json["attribution"], "b") > 0.5 * number(&json, "excess"), "{json}");
    assert!(number(&json["nearest_normal"], "b").abs() < 8.0, "{json}");
    assert_eq!(json["nearest_is_typical"], true);
    let excess = number(&json, "score") - number(&json, "typical_score");
    assert!((number(&json, "excess") - excess).abs() < 0.5, "{json}");
    for statistic in ["log-prob", "squared-norm", "typicality"] {
        let p = number(&json["statistics"][statistic], "p_value");
        assert!(p > 0.0 && p <= 1.0, "{json}");
    }
    let scored = folder.flowlet("score m.flow odd.csv -q").stdout;
    let log_prob: f64 =
        scored.lines().nth(2).and_then(|l| l.split(',').nth(1)).expect("a score").parse().expect("a number");
    assert_eq!(number(&json, "log_prob"), log_prob);

    let text = folder.flowlet("explain m.flow odd.csv --row 1").stdout;
    let first = text.lines().find(|line| line.starts_with("b ")).expect("a line for b");
    assert!(text.contains("nats to explain") && first.contains('%'), "{text}");
    let normal = folder.flowlet("explain m.flow odd.csv --row 0 --json").json();
    assert!(number(&normal, "score") < number(&json, "score"));
}

#[test]
fn explain_says_what_is_wrong() {
    let folder = trained();
    folder.write("bad.csv", "a,b,c\n20,0,100\n20,,100\n20,1,100\n");
    folder.flowlet("explain m.flow test.csv --row 300").fails(1, &["no row 300", "the last is 299"]);
    folder.flowlet("explain m.flow bad.csv --row 1").fails(1, &["bad.csv"]);
    folder.flowlet("explain m.flow bad.csv --row 1 --skip-bad-rows").fails(1, &["row 1", "left out"]);
    assert_eq!(folder.flowlet("explain m.flow bad.csv --row 2 --skip-bad-rows --json").json()["row"], 2);
    assert_eq!(folder.flowlet("explain m.flow test.csv").code, 2);
}

#[test]
fn samples_are_repeatable_and_score_as_normal() {
    let folder = trained();
    let json = folder.flowlet("sample m.flow -n 500 --seed 3 -o one.csv --json").json();
    assert_eq!((number(&json, "rows"), number(&json, "seed")), (500.0, 3.0));
    assert_eq!(folder.flowlet("sample m.flow -n 500 --seed 3 -o two.csv").code, 0);
    assert_eq!(folder.flowlet("sample m.flow -n 500 --seed 4 -o three.csv").code, 0);
    let one = folder.read("one.csv");
    assert_eq!(one, folder.read("two.csv"));
    assert_ne!(one, folder.read("three.csv"));
    assert!(String::from_utf8(one).expect("text").starts_with("a,b,c\n"));
    let scored = folder.flowlet("score m.flow one.csv --json").json();
    assert_eq!(number(&scored, "rows"), 500.0);
    assert!(number(&scored, "alarms") < 100.0, "{scored}");
    folder.flowlet("sample m.flow -n 5 -o none/x.csv").fails(1, &["none"]);
    folder.flowlet("sample m.flow -n 5 --context a=1 -o x.csv").fails(2, &["no context inputs"]);
}

#[test]
fn a_context_is_trained_stored_and_found_by_name() {
    let folder = Folder::new();
    folder.write("t.csv", speed_csv(1500, 1)).write("new.csv", speed_csv(200, 2));
    let json = folder
        .flowlet(
            "train t.csv --context speed -o m.flow --json -q --layers 4 --hidden 16 --epochs 40 --seed 1",
        )
        .json();
    assert_eq!(json["features"], serde_json::json!(["pressure", "flow"]));
    assert_eq!(json["context"], serde_json::json!(["speed"]));
    let inspected = folder.flowlet("inspect m.flow --json").json();
    assert_eq!(inspected["context"][0]["name"], "speed");
    assert!(number(&inspected, "explain_workspace_bytes") > number(&inspected, "workspace_bytes"));
    assert!(folder.flowlet("inspect m.flow").stdout.contains("context       1: speed"));

    let scored = folder.flowlet("score m.flow new.csv --json").json();
    assert!(number(&scored, "alarms") < 20.0, "{scored}");
    // The same reading at the speed that it belongs to, and at another; columns in any order.
    folder.write("two.csv", "speed,flow,pressure\n1250,1,13\n750,1,13\n");
    let text = folder.flowlet("score m.flow two.csv -q").stdout;
    let log_probs: Vec<f64> = text
        .lines()
        .skip(1)
        .map(|l| l.split(',').nth(1).expect("a cell").parse().expect("a number"))
        .collect();
    assert!(log_probs[0] > log_probs[1] + 3.0, "{text}");
    let explained = folder.flowlet("explain m.flow two.csv --row 1 --json").json();
    assert_eq!(number(&explained["context"], "speed"), 750.0);
    assert!(explained["attribution"].get("speed").is_none(), "{explained}");
    let quantized =
        folder.flowlet("quantize m.flow --numeric i16 --calibration t.csv -o q.flow --json").json();
    assert!(number(&quantized, "mean_abs_delta_log_prob") < 0.5, "{quantized}");
    assert_eq!(folder.flowlet("inspect q.flow --json").json()["context"][0]["name"], "speed");

    let drawn = folder.flowlet("sample m.flow -n 300 --context speed=1250 -o drawn.csv --json").json();
    assert_eq!(number(&drawn["context"], "speed"), 1250.0);
    let drawn = String::from_utf8(folder.read("drawn.csv")).expect("text");
    assert!(drawn.starts_with("pressure,flow,speed\n"), "{drawn}");
    let pressures: Vec<f64> = drawn
        .lines()
        .skip(1)
        .map(|l| l.split(',').next().expect("a cell").parse().expect("a number"))
        .collect();
    let mean = pressures.iter().sum::<f64>() / 300.0;
    assert!((mean - 13.0).abs() < 1.0, "{mean}");

    folder.write("without.csv", "pressure,flow\n13,1\n");
    folder.flowlet("score m.flow without.csv").fails(1, &["speed", "without.csv"]);
    folder.flowlet("sample m.flow -n 3 -o x.csv").fails(2, &["--context speed="]);
    folder.flowlet("sample m.flow -n 3 --context load=1 -o x.csv").fails(2, &["load", "--context speed="]);
    folder.flowlet("sample m.flow -n 3 --context speed=1,speed=2 -o x.csv").fails(2, &["twice"]);
}

#[test]
fn a_wrong_context_is_named() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(200, 1));
    let train = |more: &str| folder.flowlet(&format!("train t.csv -o m.flow {more} {QUICK}"));
    train("--context speed").fails(1, &["speed", "--context"]);
    train("--context a,a").fails(2, &["'a' twice"]);
    train("--context a --ignore a").fails(2, &["--ignore"]);
    train("--context a --columns b,c").fails(2, &["--columns"]);
    train("--context a --label a").fails(2, &["--label"]);
    train("--context a,b").fails(1, &["at least 2"]);
    assert!(folder.list() == ["t.csv"], "{:?}", folder.list());
}

#[test]
fn train_picks_a_statistic_and_says_why() {
    let folder = Folder::new();
    folder.write("n.csv", normal_csv(600, 1)).write("l.csv", labelled_csv(660, 1));
    let train = |more: &str| folder.flowlet(&format!("train {more} --json -q {QUICK}")).json();
    for (more, basis) in [("n.csv -o n.flow", "perturbations"), ("l.csv --label label -o l.flow", "labels")] {
        let json = train(more);
        let auroc = &json["statistic_auroc"];
        assert_eq!(auroc["basis"], basis, "{json}");
        let [log_prob, norm, typicality] =
            ["log-prob", "squared-norm", "typicality"].map(|name| number(auroc, name));
        let best = norm.max(typicality);
        let expected = if best <= log_prob + 0.01 {
            "log-prob"
        } else if norm >= typicality {
            "squared-norm"
        } else {
            "typicality"
        };
        assert_eq!(json["statistic"], expected, "{json}");
        assert!(json["statistic_reason"].as_str().expect("a reason").contains("AUROC"), "{json}");
    }
    for statistic in ["log-prob", "squared-norm", "typicality"] {
        let json = train(&format!("n.csv -o {statistic}.flow --statistic {statistic}"));
        assert_eq!(json["statistic"], statistic);
        assert!(json["statistic_reason"].as_str().expect("a reason").starts_with("as asked"), "{json}");
        let inspected = folder.flowlet(&format!("inspect {statistic}.flow --json")).json();
        assert_eq!(inspected["statistic"], statistic);
        assert_eq!(inspected["calibrated_statistics"].as_array().map(Vec::len), Some(3));
        // Quantizing keeps it.
        let quantize = format!("quantize {statistic}.flow --numeric i16 --calibration n.csv -o q.flow");
        assert_eq!(folder.flowlet(&quantize).code, 0);
        assert_eq!(folder.flowlet("inspect q.flow --json").json()["statistic"], statistic);
    }
    assert_eq!(folder.flowlet("train n.csv -o x.flow --statistic best").code, 2);
}
