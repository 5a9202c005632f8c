//! Time series with labelled events: the sixteen valve experiments of SKAB (Katser and Kozitsin 2020), eight sensors at
//! 1 Hz, by two commands as a user gives them. The table of `docs/evaluation.md`:
//!
//! `cargo test --release -p flowlet-tests --test data skab:: -- --nocapture` prints it. The files are not part of the
//! repository: `FLOWLET_SKAB_DATA` names their folder, else `../shared/data/skab` beside it is used. Where there are
//! none, the test says so and passes.

use flowlet_tests::command::Folder;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn folder() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("FLOWLET_SKAB_DATA") {
        return Some(PathBuf::from(named));
    }
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/skab");
    let found = beside.canonicalize().ok().filter(|path| path.is_dir());
    if found.is_none() {
        println!("skipped skab: no SKAB files; FLOWLET_SKAB_DATA names their folder");
    }
    found
}

/// ` 0.80 (0.73 to 0.86)`.
fn cell(json: &Value, figure: &str) -> String {
    let of = |value: &Value| value.as_f64().expect("a number");
    let interval = &json["confidence"][figure];
    format!("{:.3} ({:.3} to {:.3})", of(&json[figure]), of(&interval[0]), of(&interval[1]))
}

#[test]
fn valve_experiments_are_told_apart_from_their_beginnings() {
    let Some(data) = folder() else { return };
    let files: Vec<String> =
        (0..16).map(|i| data.join(format!("valve1_{i}.csv")).display().to_string()).collect();
    let files = files.join(" ");
    let work = Folder::new();
    println!("| train ... | AUROC | average precision | false alarms | detected | events noticed | rows to the alarm |");
    println!("|---|---|---|---|---|---|---|");
    for (options, least) in [("", 0.82), ("--statistic squared-norm", 0.77), ("--flow realnvp", 0.83)] {
        let train = format!(
            "train {files} --label anomaly --ignore changepoint --rows ..400 -o skab.flow -q {options}"
        );
        let run = work.flowlet(&train);
        assert_eq!(run.code, 0, "{run:?}");
        let json = work
            .flowlet(&format!("eval skab.flow {files} --label anomaly --rows 400.. --segments -q --json"))
            .json();
        let segments = &json["segments"];
        println!(
            "| `{}` | {} | {} | {} | {} | {} of {} | median {}, worst {} |",
            if options.is_empty() { "(defaults)" } else { options },
            cell(&json, "auroc"),
            cell(&json, "average_precision"),
            cell(&json, "false_alarm_rate"),
            cell(&json, "detection_rate"),
            segments["detected"],
            segments["count"],
            segments["median_delay"],
            segments["worst_delay"],
        );
        assert!(json["auroc"].as_f64() > Some(least), "{options}: {json}");
        assert_eq!(segments["count"], 16, "{json}");
        assert!(segments["missed"].as_u64() <= Some(1), "{json}");
    }
}
