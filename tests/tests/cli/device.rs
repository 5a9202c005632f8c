//! Simulation and demo, where the emulator and a compiler for the chip are there; else counted as skipped.

use flowlet_tests::command::{trained, Folder};
use flowlet_tools::device::toolchain::Install;
use flowlet_tools::device::{skips, Board, DeviceError, Simulator};
use serde_json::Value;

fn is_missing(test: &str) -> bool {
    match Simulator::new(Board::Mps2An386, Install::Forbidden) {
        Ok(_) => false,
        Err(DeviceError::Missing(missing)) => {
            skips::record(test, &missing);
            true
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_emulated_device_gives_the_hosts_bits() {
    if is_missing("the_emulated_device_gives_the_hosts_bits") {
        return;
    }
    let folder = trained();
    for numeric in ["f32", "i16", "i8"] {
        let quantize =
            format!("quantize m.flow --numeric {numeric} --calibration test.csv --label label -o q.flow -q");
        assert_eq!(folder.flowlet(&quantize).code, 0);
        let json = folder.flowlet("simulate q.flow test.csv --label label -o device.csv --json").json();
        assert_eq!(
            (&json["rows"], &json["mismatched_rows"]),
            (&Value::from(300), &Value::from(0)),
            "{numeric}"
        );
        for field in ["instructions_per_score", "stack_bytes", "workspace_bytes", "code_bytes"] {
            assert!(json[field].as_f64().is_some_and(|v| v > 0.0), "{field}: {json}");
        }
        let host = folder.flowlet("score q.flow test.csv --label label -q").stdout;
        assert_eq!(String::from_utf8(folder.read("device.csv")).expect("text"), host, "{numeric}");

        let inspected = folder.flowlet("inspect q.flow --json").json();
        let predicted = inspected["instructions"]["cortex-m4f"].as_f64().expect("a count");
        let measured = json["instructions_per_score"].as_f64().expect("a count");
        assert!(
            (predicted / measured - 1.0).abs() < 0.1,
            "{numeric}: {predicted} predicted, {measured} measured"
        );
    }
}

#[test]
fn the_demo_goes_the_whole_way() {
    let skipped = is_missing("the_demo_goes_the_whole_way");
    let folder = Folder::new();
    let json = folder.flowlet("demo --out out --json").json();
    let number =
        |json: &Value, field: &str| json[field].as_f64().unwrap_or_else(|| panic!("'{field}' in {json}"));
    for (numeric, least) in [("f32", 0.995), ("i16", 0.99), ("i8", 0.99)] {
        let of = &json["numerics"][numeric];
        assert!(number(of, "auroc") >= least, "{numeric}: {of}");
        assert!(folder.path().join(format!("out/shuttle-{numeric}.flow")).is_file());
        assert!(folder.path().join(format!("out/scores-{numeric}.csv")).is_file());
        if !skipped {
            assert!(number(of, "simulated_rows") >= 1000.0, "{of}");
            assert_eq!(number(of, "mismatched_rows"), 0.0, "{of}");
        }
    }
    for field in ["auroc", "image_bytes", "workspace_bytes"] {
        assert!(number(&json, field) > 0.0, "{field}: {json}");
    }
    assert_eq!(json["instructions_per_score"].is_null(), skipped, "{json}");
    let report = folder.path().join(json["report"].as_str().expect("a path"));
    let report = std::fs::read_to_string(report).expect("a report");
    assert!(report.contains("AUROC") && report.contains("CC BY 4.0"), "{report}");
    assert!(report.contains("<!DOCTYPE html>") && report.contains("id=\"training\""), "{report}");
    let summary = String::from_utf8(folder.read("out/summary.md")).expect("text");
    assert!(summary.contains("report.html") && summary.contains("AUROC"), "{summary}");
    if !skipped {
        let rows = String::from_utf8(folder.read("out/simulated-rows.csv")).expect("text");
        for wanted in
            ["0.0,0.0,0.0", "3.4028235e38,3.4028235e38", "-3.4028235e38,-3.4028235e38", "1e-45,1e-45"]
        {
            assert!(rows.lines().any(|row| row.starts_with(wanted)), "{wanted}");
        }
    }
}
