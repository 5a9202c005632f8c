//! Eight public one-class tables for checks that are too large, or under too many licences, for the repository.
//!
//! `FLOWLET_DEVELOPMENT_DATA` names their folder, else `../shared/data/tabular` beside the repository is used. Per
//! set, `train.csv` holds normal rows, `test.csv` normal and anomalous ones with a `label` column, and `meta.json` a
//! `sum_log_std`, which turns densities of standardized readings into those of readings.

use flowlet_tools::table::{ReadOptions, Table};
use flowlet_tools::training::Matrix;
use std::path::{Path, PathBuf};

/// Names of the sets.
pub const SETS: [&str; 8] =
    ["thyroid", "shuttle", "magic.gamma", "pendigits", "satellite", "cardio", "mammography", "vowels"];

/// One set, read.
#[derive(Debug)]
pub struct Set {
    /// Normal rows to train on.
    pub train: Matrix,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Labelled rows.
    pub test: Table,
    /// Sum of the logarithms of the standard deviations.
    pub sum_log_std: f64,
}

/// Where the sets are, or `None` if they are not on this machine; which is then said.
#[must_use]
pub fn folder(test: &str) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("FLOWLET_DEVELOPMENT_DATA") {
        return Some(PathBuf::from(named));
    }
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/tabular");
    if !beside.is_dir() {
        println!("skipped {test}: no development tables; FLOWLET_DEVELOPMENT_DATA names their folder");
        return None;
    }
    Some(beside)
}

/// Reads a set.
///
/// # Panics
/// If it is not as described above.
#[must_use]
pub fn load(folder: &Path, set: &str) -> Set {
    let folder = folder.join(set);
    let train = Table::read(&folder.join("train.csv"), &ReadOptions::default()).expect("train.csv");
    let options = ReadOptions { label: Some("label".into()), ..ReadOptions::default() };
    let test = Table::read(&folder.join("test.csv"), &options).expect("test.csv");
    let meta = std::fs::read_to_string(folder.join("meta.json")).expect("meta.json");
    let meta: serde_json::Value = serde_json::from_str(&meta).expect("JSON");
    Set {
        train: Matrix::new(train.rows, train.columns.len(), train.values).expect("a table is a matrix"),
        columns: train.columns,
        test,
        sum_log_std: meta["sum_log_std"].as_f64().expect("sum_log_std"),
    }
}
