//! What every command gives back, by the contract's table of JSON fields.

use flowlet_tests::command::{labelled_csv, normal_csv, trained, Folder, Run, QUICK};
use flowlet_tools::export::{scores, ImageFile};
use flowlet_tools::metrics::{auroc, average_precision};
use serde_json::Value;

fn number(json: &Value, field: &str) -> f64 {
    json[field].as_f64().unwrap_or_else(|| panic!("'{field}' is no number in {json}"))
}

/// Rows of `scores.csv`, without its header.
fn parsed(csv: &str) -> Vec<Vec<f64>> {
    csv.lines().skip(1).map(|line| line.split(',').map(|cell| cell.parse().expect(cell)).collect()).collect()
}

fn ok(run: Run) -> Run {
    assert_eq!(run.code, 0, "{run:?}");
    run
}

#[test]
fn train_reports_what_it_did() {
    let folder = Folder::new();
    folder.write("t.csv", labelled_csv(330, 1));
    let json = folder.flowlet(&format!("train t.csv --label label -o m.flow --json -q {QUICK}")).json();
    assert_eq!(number(&json, "epochs"), 3.0);
    for field in ["seconds", "samples_per_second", "parameters"] {
        assert!(number(&json, field) > 0.0, "{field}: {json}");
    }
    let image = ImageFile::from_bytes(&folder.read("m.flow"));
    let model = image.model().expect("a good image");
    assert_eq!(number(&json, "image_bytes"), image.bytes().len() as f64);
    assert_eq!(number(&json, "workspace_bytes"), model.workspace_bytes() as f64);
    assert_eq!(json["features"], serde_json::json!(["a", "b", "c"]));
    assert_eq!((number(&json, "rows"), number(&json, "anomalous_rows_left_out")), (300.0, 30.0));
    // Columns of 1, 3 and about 2 standard deviations.
    let shift = number(&json, "val_nll") - number(&json, "val_nll_standardized");
    assert!((0.5..3.0).contains(&shift), "{json}");
    // 2 couplings over 3 features, 8 hidden units: 1 -> 8 -> 4 and 2 -> 8 -> 2.
    assert_eq!(number(&json, "parameters"), f64::from((8 + 8 + 32 + 4) + (16 + 8 + 16 + 2)));
    let numeric = json["numeric"].as_str().expect("a name");
    assert!(["i8", "i16"].contains(&numeric), "{json}");
    let cost = number(&json, "mean_abs_delta_log_prob");
    assert!(numeric == "i16" || cost <= 0.1, "{json}");
    let reason = json["numeric_reason"].as_str().expect("a reason");
    assert!(reason.contains("delta log_prob") && reason.contains("0.1"), "{reason}");
}

#[test]
fn train_makes_the_numbers_that_were_asked_for() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(200, 1));
    let mut sizes = Vec::new();
    for numeric in ["f32", "i16", "i8"] {
        let train =
            format!("train t.csv -o {numeric}.flow --numeric {numeric} --json --hidden 32,32 --epochs 2");
        assert_eq!(folder.flowlet(&train).json()["numeric"], numeric);
        let inspected = folder.flowlet(&format!("inspect {numeric}.flow --json")).json();
        assert_eq!(inspected["numeric"], numeric);
        sizes.push(number(&inspected, "image_bytes"));
    }
    assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{sizes:?}");
}

#[test]
fn the_image_depends_on_data_and_seed_only() {
    let folder = Folder::new();
    folder.write("t.csv", normal_csv(600, 1));
    for (name, more) in [("one", "--threads 1"), ("two", "--threads 2"), ("again", "--threads 2 --quiet")] {
        ok(folder.flowlet(&format!("train t.csv -o {name}.flow {more} {QUICK}")));
    }
    ok(folder.flowlet("train t.csv -o other.flow --layers 2 --hidden 8 --epochs 3 --seed 6"));
    let one = folder.read("one.flow");
    assert_eq!(one, folder.read("two.flow"));
    assert_eq!(one, folder.read("again.flow"));
    assert_ne!(one, folder.read("other.flow"));
}

#[test]
fn a_constant_column_is_reported_and_scored() {
    let folder = Folder::new();
    let with_constant = |text: &str| text.replace('\n', ",7\n").replacen(",7", ",k", 1);
    folder.write("t.csv", with_constant(&normal_csv(300, 1)));
    let run = folder.flowlet(&format!("train t.csv -o m.flow --json {QUICK}"));
    assert_eq!(run.json()["constant_columns"], serde_json::json!(["k"]));
    assert!(run.stderr.contains("'k' is constant"), "{run:?}");
    let kinds = &run.json()["column_kinds"];
    assert_eq!(kinds.as_array().and_then(|k| k.last()), Some(&serde_json::json!({ "kind": "constant" })));
    let scored = folder.flowlet("score m.flow t.csv --json").json();
    assert_eq!(number(&scored, "rows"), number(&run.json(), "rows"));
}

#[test]
fn several_files_train_as_one() {
    let folder = Folder::new();
    let whole = normal_csv(300, 1);
    let lines: Vec<&str> = whole.lines().collect();
    let (first, second) = lines.split_at(100);
    let second = second.iter().map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        format!("{};{};{}\n", cells[2], cells[0], cells[1])
    });
    // Other order, other delimiter.
    let second = format!("c;a;b\n{}", second.collect::<String>());
    folder.write("whole.csv", &whole).write("1.csv", first.join("\n")).write("2.csv", second);
    ok(folder.flowlet(&format!("train whole.csv -o whole.flow --name x {QUICK}")));
    let json = folder.flowlet(&format!("train 1.csv 2.csv -o parts.flow --name x --json {QUICK}")).json();
    assert_eq!(number(&json, "rows") as usize, lines.len() - 1);
    let scores = |image: &str| ok(folder.flowlet(&format!("score {image} whole.csv -q"))).stdout;
    assert_eq!(scores("whole.flow"), scores("parts.flow"));
}

#[test]
fn scores_are_the_devices_own_and_read_back_bit_for_bit() {
    let folder = trained();
    let json = folder.flowlet("score m.flow test.csv -o s.csv --label label --json").json();
    let csv = String::from_utf8(folder.read("s.csv")).expect("text");
    assert!(csv.starts_with("row,log_prob,p_value,score,alarm,label\n"), "{csv}");
    assert!(number(&json, "rows_per_second") > 0.0);

    let image = ImageFile::from_bytes(&folder.read("m.flow"));
    let table = String::from_utf8(folder.read("test.csv")).expect("text");
    let cells: Vec<Vec<f32>> =
        table.lines().skip(1).map(|line| line.split(',').map(|c| c.parse().expect(c)).collect()).collect();
    let readings: Vec<f32> = cells.iter().flat_map(|row| &row[..3]).copied().collect();
    let expected = scores(&image, &readings).expect("finite readings");
    assert_eq!(number(&json, "rows") as usize, expected.len());
    assert_eq!(number(&json, "alarms") as usize, expected.iter().filter(|s| s.alarm).count());
    let lines: Vec<&str> = csv.lines().skip(1).collect();
    assert_eq!(lines.len(), expected.len());
    for (row, (line, score)) in lines.iter().zip(&expected).enumerate() {
        let found: Vec<&str> = line.split(',').collect();
        let bits = |column: usize| found[column].parse::<f32>().expect("a number").to_bits();
        assert_eq!(found[0], row.to_string());
        assert_eq!(bits(1), score.log_prob.to_bits(), "{line}");
        assert_eq!(bits(2), score.p_value.to_bits(), "{line}");
        assert_eq!(bits(3), score.score.to_bits(), "{line}");
        assert_eq!(found[4], u8::from(score.alarm).to_string());
        assert_eq!(found[5], (cells[row][3] as u8).to_string());
    }

    let to_stdout = ok(folder.flowlet("score m.flow test.csv --label label -q"));
    assert_eq!(to_stdout.stdout, csv, "the same without -o");
    let without = ok(folder.flowlet("score m.flow test.csv -q")).stdout;
    assert!(without.starts_with("row,log_prob,p_value,score,alarm\n0,"), "{without}");
}

#[test]
fn skipped_rows_are_counted_and_keep_their_numbers() {
    let folder = trained();
    folder.write("t.csv", "a,b,c\n20,0,100\n20,,100\n20,0,nan\n21,3,101\n");
    let json = folder.flowlet("score m.flow t.csv --skip-bad-rows -o s.csv --json").json();
    assert_eq!((number(&json, "rows"), number(&json, "skipped_rows")), (2.0, 2.0));
    let rows = parsed(&String::from_utf8(folder.read("s.csv")).expect("text"));
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), [0.0, 3.0]);
}

#[test]
fn columns_are_matched_by_name() {
    let folder = trained();
    folder.write("t.csv", "a,b,c\n20.5,1.25,100\n").write("u.csv", "when;c;x;b;a\nnoon;100;;1.25;20.5\n");
    let scores = |table: &str| ok(folder.flowlet(&format!("score m.flow {table} -q"))).stdout;
    assert_eq!(scores("t.csv"), scores("u.csv"));
}

#[test]
fn eval_says_how_good_the_scores_are() {
    let folder = trained();
    let json = folder.flowlet("eval m.flow test.csv --label label --json").json();
    let rows = parsed(&ok(folder.flowlet("score m.flow test.csv --label label -q")).stdout);
    let labels: Vec<bool> = rows.iter().map(|row| row[5] == 1.0).collect();
    let statistics: Vec<f64> = rows.iter().map(|row| row[3]).collect();
    let close = |field: &str, expected: f64| {
        assert!((number(&json, field) - expected).abs() < 1e-5, "{field} should be {expected}: {json}");
    };
    close("auroc", auroc(&labels, &statistics).expect("both kinds"));
    close("average_precision", average_precision(&labels, &statistics).expect("both kinds"));
    let share = |anomalous: bool, of: fn(&[f64]) -> f64| {
        let chosen: Vec<f64> =
            rows.iter().filter(|row| (row[5] == 1.0) == anomalous).map(|row| of(row)).collect();
        chosen.iter().sum::<f64>() / chosen.len() as f64
    };
    close("false_alarm_rate", share(false, |row| row[4]));
    close("detection_rate", share(true, |row| row[4]));
    close("nll_normal", share(false, |row| -row[1]));
    // log p(x) = log p(standardized x) - sum ln std, with the std of the training rows.
    let inspected = folder.flowlet("inspect m.flow --json").json();
    let std = inspected["transforms"][0]["std"].as_array().expect("a standardizer");
    let sum: f64 = std.iter().map(|v| v.as_f64().expect("a number").ln()).sum();
    close("nll_normal_standardized", number(&json, "nll_normal") - sum);
    assert!(number(&json, "auroc") > 0.9, "even quick training sees these anomalies: {json}");

    folder.write("normal.csv", "a,b,c,label\n20,0,100,0\n21,3,101,0\n");
    let run = folder.flowlet("eval m.flow normal.csv --label label --json");
    assert!(run.json()["auroc"].is_null() && run.stderr.contains("no anomalous rows"), "{run:?}");
}

#[test]
fn quantize_measures_its_cost() {
    let folder = trained();
    for (numeric, worst) in [("f32", 1e-3), ("i16", 0.05), ("i8", 0.5), ("f32-fast-math", 0.1)] {
        let quantize = format!(
            "quantize m.flow --numeric {numeric} --calibration test.csv --label label -o {numeric}.flow"
        );
        let json = folder.flowlet(&format!("{quantize} --json")).json();
        let (mean, max) = (number(&json, "mean_abs_delta_log_prob"), number(&json, "max_abs_delta_log_prob"));
        assert!(mean <= max && mean <= worst, "{json}");
        assert!(number(&json, "auroc_delta").abs() < 0.02, "{json}");
        assert!(json.get("certified_bound").is_some(), "{json}");

        // The claim, from the scores that the two images give.
        let scores = |image: &str| {
            parsed(&ok(folder.flowlet(&format!("score {image} test.csv --label label -q"))).stdout)
        };
        let (before, after) = (scores("m.flow"), scores(&format!("{numeric}.flow")));
        let normal = before.iter().zip(&after).filter(|(row, _)| row[5] == 0.0);
        let deltas: Vec<f64> = normal.map(|(a, b)| (a[1] - b[1]).abs()).collect();
        let measured = deltas.iter().sum::<f64>() / deltas.len() as f64;
        assert!((measured - mean).abs() < 1e-4, "{measured} {json}");
        assert_eq!(folder.flowlet(&format!("inspect {numeric}.flow --json")).json()["numeric"], numeric);
    }
    let json = folder
        .flowlet("quantize m.flow --numeric i8 --calibration test.csv --ignore label -o q.flow --json")
        .json();
    assert!(json["auroc_delta"].is_null(), "no labels, no AUROC: {json}");
}

#[test]
fn inspect_shows_what_is_inside() {
    let folder = trained();
    let json = folder.flowlet("inspect m.flow --json").json();
    assert_eq!(number(&json, "format"), 2.0);
    let names: Vec<&str> =
        json["features"].as_array().expect("a list").iter().filter_map(|f| f["name"].as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let kinds: Vec<&str> =
        json["transforms"].as_array().expect("a list").iter().filter_map(|t| t["kind"].as_str()).collect();
    assert_eq!(kinds, ["standardize", "soft_tail", "affine_coupling", "affine_coupling", "soft_tail"]);
    assert_eq!(json["numeric"], "f32");
    assert_eq!((number(&json, "parameters"), number(&json, "macs")), (94.0, 72.0));
    assert_eq!(number(&json, "image_bytes"), folder.read("m.flow").len() as f64);
    assert!(number(&json, "workspace_bytes") > 0.0);
    assert!(number(&json["instructions"], "cortex-m4f") > 72.0, "{json}");
    assert!(json["signed_by"].is_null());
}

#[test]
fn verify_knows_a_good_image() {
    let folder = trained();
    let json = folder.flowlet("verify m.flow --json").json();
    assert_eq!((&json["ok"], number(&json, "self_test_max_error")), (&Value::Bool(true), 0.0));
    assert!(number(&json, "self_test_vectors") >= 1.0);

    // An image that must be signed and is not does not pass.
    folder.flowlet("verify m.flow --key k.pub").fails(1, &["not signed", "k.pub"]);
}

#[test]
fn help_teaches_and_the_version_is_the_packages() {
    let folder = Folder::new();
    let version = ok(folder.flowlet("--version")).stdout;
    assert_eq!(version.trim(), format!("flowlet {}", env!("CARGO_PKG_VERSION")));
    for command in ["train", "score", "eval", "quantize", "inspect", "verify", "simulate", "demo"] {
        let help = ok(folder.flowlet(&format!("{command} --help"))).stdout;
        assert!(help.contains(&format!("flowlet {command}")) && help.contains("Example"), "{help}");
        assert!(help.contains("--json") && help.contains("--quiet"), "{help}");
        assert!(ok(folder.flowlet("--help")).stdout.contains(command));
    }
}
