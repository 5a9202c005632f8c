//! What calibration and training are measured by on one-class tables: the figures of `docs/calibration.md`.
//!
//! ```sh
//! cargo run --release -p flowlet-tools --example calibration_study -- FOLDER tails --splits 2
//! cargo run --release -p flowlet-tools --example calibration_study -- FOLDER contamination --splits 1
//! ```
//!
//! FOLDER holds one folder per table with `train.csv` (normal rows) and `test.csv` (with a column `label`). In each split
//! the normal rows of both are drawn anew into as many as `train.csv` has, 4,000 at most, to train on, and the rest.
//!
//! `tails` compares thresholds for 1 % and 0.1 % of false alarms by the rate that the rest really shows, of one training and
//! of five that hold out different rows. `contamination` mixes anomalies into the training rows.

use flowlet_tools::calibration::pareto::{GeneralizedPareto, Prior};
use flowlet_tools::calibration::Tail;
use flowlet_tools::export::{build, scores, Calibration, Combine, Ensemble, Metadata, Numeric};
use flowlet_tools::flow::Flow;
use flowlet_tools::metrics::auroc;
use flowlet_tools::table::{ReadOptions, Table};
use flowlet_tools::training::{auto_experts, train_experts, train_folds, Matrix, TrainConfig};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

const MOST_ROWS: usize = 4000;
const MOST_JUDGED: usize = 6000;
const FOLDS: usize = 5;

/// A table, split.
struct Split {
    columns: usize,
    /// Normal rows to train on.
    train: Vec<Vec<f32>>,
    /// Other normal rows.
    rest: Vec<Vec<f32>>,
    anomalous: Vec<Vec<f32>>,
}

fn shuffle(rows: &mut [Vec<f32>], mut state: u64) {
    for i in (1..rows.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        rows.swap(i, (state >> 33) as usize % (i + 1));
    }
}

fn split(folder: &Path, seed: u64) -> Split {
    let read = |name: &str, label: Option<&str>| {
        let options = ReadOptions { label: label.map(Into::into), ..ReadOptions::default() };
        Table::read(&folder.join(name), &options).unwrap_or_else(|e| panic!("{e}"))
    };
    let (train, test) = (read("train.csv", None), read("test.csv", Some("label")));
    let labels = test.labels.as_deref().expect("labels");
    let pick = |wanted: bool| {
        test.iter_rows().zip(labels).filter(move |(_, a)| **a == wanted).map(|(r, _)| r.to_vec())
    };
    let mut normal: Vec<Vec<f32>> = train.iter_rows().map(<[f32]>::to_vec).chain(pick(false)).collect();
    let mut anomalous: Vec<Vec<f32>> = pick(true).collect();
    shuffle(&mut normal, seed + 1);
    shuffle(&mut anomalous, seed + 77);
    let mut rest = normal.split_off(train.rows.min(MOST_ROWS));
    rest.truncate(MOST_JUDGED);
    Split { columns: train.columns.len(), train: normal, rest, anomalous }
}

/// The device's score of rows by the least of the flows' log-densities.
fn judge(flows: Vec<Flow>, columns: usize, rows: &[Vec<f32>]) -> Vec<f64> {
    let ensemble = Ensemble { combine: Combine::Minimum, ..Ensemble::new(flows) };
    let features = (0..columns).map(|i| (i.to_string(), String::new())).collect();
    let metadata = Metadata { features, ..Metadata::default() };
    let values = rows.concat();
    let readings = &values[..values.len().min(64 * columns)];
    let calibration = Calibration { readings, false_alarm_rate: 0.01 };
    let image = build(&ensemble, Numeric::F32, &metadata, calibration).unwrap_or_else(|e| panic!("{e}"));
    scores(&image, &values).expect("scores").iter().map(|s| f64::from(s.score)).collect()
}

fn matrix(rows: &[Vec<f32>], columns: usize) -> Matrix {
    Matrix::new(rows.len(), columns, rows.concat()).expect("a matrix")
}

/// Thresholds that are compared, each from ascending statistics and a rate.
type Threshold = (&'static str, fn(&[f64], f64) -> f64);

const THRESHOLDS: [Threshold; 6] = [
    ("largest and mean excess", |x, p| beyond(x, p, 1.0, mean_excess)),
    ("probability-weighted moments", |x, p| beyond(x, p, 2.0, weighted_moments)),
    ("maximum likelihood", |x, p| beyond(x, p, 2.0, |e| likelihood(e, 0, f64::INFINITY, 0.0))),
    ("penalized to shape 0.2", |x, p| beyond(x, p, 2.0, |e| likelihood(e, 0, 0.2, 0.2))),
    ("to shape 0.3, largest censored", |x, p| beyond(x, p, 2.0, |e| likelihood(e, 1, 0.2, 0.3))),
    ("to shape 0.2, largest censored (used)", |x, p| Tail::new(x).threshold(p)),
];

/// The conformal threshold down to a rank; below it by a fit to the upper tenth, or for the exponential past the largest.
fn beyond(sorted: &[f64], rate: f64, least_rank: f64, fit: impl Fn(&[f64]) -> GeneralizedPareto) -> f64 {
    let n = sorted.len();
    let rank = rate * (n + 1) as f64;
    if rank >= least_rank {
        return Tail::new(sorted).quantile(rate);
    }
    let above = (n / 10).max(20).min(n / 2);
    let start = sorted[n - 1 - above];
    let excesses: Vec<f64> = sorted[n - above..].iter().map(|x| x - start).collect();
    let fitted = fit(&excesses);
    if least_rank < 2.0 {
        return sorted[n - 1] + fitted.excess(rank);
    }
    start + fitted.excess(rank / above as f64)
}

fn mean_excess(excesses: &[f64]) -> GeneralizedPareto {
    GeneralizedPareto { shape: 0.0, scale: excesses.iter().sum::<f64>() / excesses.len() as f64 }
}

fn likelihood(excesses: &[f64], censored: usize, std: f64, mean: f64) -> GeneralizedPareto {
    GeneralizedPareto::fit(excesses, censored, Prior { mean, std })
}

/// Hosking and Wallis 1987.
fn weighted_moments(excesses: &[f64]) -> GeneralizedPareto {
    let n = excesses.len() as f64;
    let first = excesses.iter().sum::<f64>() / n;
    let second: f64 =
        excesses.iter().enumerate().map(|(i, x)| x * (n - 1.0 - i as f64) / (n - 1.0) / n).sum();
    let gap = first - 2.0 * second;
    let shape = (2.0 - first / gap).clamp(-0.5, 1.0);
    GeneralizedPareto { shape, scale: 2.0 * first * second / gap }
}

fn tails(sets: &[PathBuf], splits: u64) {
    let jobs: Vec<(&PathBuf, u64)> = (0..splits).flat_map(|s| sets.iter().map(move |set| (set, s))).collect();
    // Of each job, and of one training and of five: rate on the rest and share of anomalies found, by threshold and rate.
    let measured: Vec<Vec<Vec<[f64; 4]>>> = jobs
        .par_iter()
        .map(|&(set, seed)| {
            let Split { columns, train, rest, anomalous } = split(set, seed);
            let data = matrix(&train, columns);
            let settings = TrainConfig { seed, threads: 1, ..TrainConfig::default() };
            let experts = auto_experts(&settings);
            let found = train_experts(&data, &experts, &mut ()).unwrap_or_else(|e| panic!("{e}"));
            let flows: Vec<Flow> = found.members.iter().map(|m| m.trained.flow.clone()).collect();
            let pick = |rows: &[usize]| rows.iter().map(|&r| train[r].clone()).collect::<Vec<_>>();
            let mut held = judge(flows.clone(), columns, &pick(&found.members[0].trained.holdout_rows));
            let (rest, anomalous) = (judge(flows.clone(), columns, &rest), judge(flows, columns, &anomalous));
            let chosen: Vec<TrainConfig> = experts.iter().map(|e| e[0].clone()).collect();
            let mut pooled = held.clone();
            for fold in train_folds(&data, &chosen, FOLDS - 1, &|| ()).unwrap_or_else(|e| panic!("{e}")) {
                pooled.extend(judge(fold.flows, columns, &pick(&fold.holdout_rows)));
            }
            [&mut held, &mut pooled]
                .into_iter()
                .map(|statistics| {
                    statistics.sort_by(f64::total_cmp);
                    let share =
                        |of: &[f64], t: f64| of.iter().filter(|s| **s > t).count() as f64 / of.len() as f64;
                    let one = |threshold: &Threshold| {
                        let (a, b) = (threshold.1(statistics, 0.01), threshold.1(statistics, 0.001));
                        [share(&rest, a), share(&anomalous, a), share(&rest, b), share(&anomalous, b)]
                    };
                    THRESHOLDS.iter().map(one).collect()
                })
                .collect()
        })
        .collect();
    println!("| trainings | threshold | rate at 1 % | worst tenth | detected | rate at 0.1 % | worst tenth | detected |");
    println!("|---|---|---|---|---|---|---|---|");
    for (index, trainings) in [1, FOLDS].into_iter().enumerate() {
        for (t, (name, _)) in THRESHOLDS.iter().enumerate() {
            let of = |what: usize| measured.iter().map(|m| m[index][t][what]).collect::<Vec<f64>>();
            let mean = |what| of(what).iter().sum::<f64>() / measured.len() as f64;
            let worst = |what| {
                let mut all = of(what);
                all.sort_by(f64::total_cmp);
                all[all.len() * 9 / 10]
            };
            println!(
                "| {trainings} | {name} | {:.2} % | {:.2} % | {:.3} | {:.3} % | {:.3} % | {:.3} |",
                100.0 * mean(0),
                100.0 * worst(0),
                mean(1),
                100.0 * mean(2),
                100.0 * worst(2),
                mean(3)
            );
        }
    }
}

const SHARES: [f64; 4] = [0.0, 0.01, 0.05, 0.1];

fn contamination(sets: &[PathBuf], splits: u64) {
    let jobs: Vec<(&PathBuf, u64)> = (0..splits).flat_map(|s| sets.iter().map(move |set| (set, s))).collect();
    // Per job and share: AUROC with contamination 0, as it is, and 0.05.
    let measured: Vec<Vec<[f64; 3]>> = jobs
        .par_iter()
        .map(|&(set, seed)| {
            let Split { columns, train, rest, anomalous } = split(set, seed);
            // One half of the anomalies to mix in, the other to find.
            let (mixed, found) = anomalous.split_at(anomalous.len() / 2);
            let judged: Vec<Vec<f32>> = rest.iter().chain(found).cloned().collect();
            let labels: Vec<bool> = (0..judged.len()).map(|i| i >= rest.len()).collect();
            SHARES
                .iter()
                .map(|&share| {
                    let bad = ((train.len() as f64 * share).round() as usize).min(mixed.len());
                    let all = if share > 0.0 { (bad as f64 / share) as usize } else { train.len() };
                    let rows = [&mixed[..bad], &train[..all.min(train.len()) - bad]].concat();
                    let data = matrix(&rows, columns);
                    [0.0, share, 0.05].map(|contamination| {
                        let settings =
                            TrainConfig { seed, threads: 1, contamination, ..TrainConfig::default() };
                        let found = train_experts(&data, &auto_experts(&settings), &mut ());
                        let found = found.unwrap_or_else(|e| panic!("{e}"));
                        let flows = found.members.into_iter().map(|m| m.trained.flow).collect();
                        auroc(&labels, &judge(flows, columns, &judged)).expect("both kinds")
                    })
                })
                .collect()
        })
        .collect();
    println!("| set | share | trusting all | `--contamination` of the share | `--contamination auto` |\n|---|---|---|---|---|");
    let line = |name: &str, s: usize, of: &[&Vec<[f64; 3]>]| {
        let mean = |what: usize| of.iter().map(|m| m[s][what]).sum::<f64>() / of.len() as f64;
        println!("| {name} | {} % | {:.4} | {:.4} | {:.4} |", 100.0 * SHARES[s], mean(0), mean(1), mean(2));
    };
    for (index, set) in sets.iter().enumerate() {
        let name = set.file_name().unwrap_or_default().to_string_lossy();
        let of: Vec<_> = measured.iter().skip(index).step_by(sets.len()).collect();
        (0..SHARES.len()).for_each(|s| line(&name, s, &of));
    }
    (0..SHARES.len()).for_each(|s| line("mean", s, &measured.iter().collect::<Vec<_>>()));
}

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = "give FOLDER, tails or contamination, and --splits N";
    let [folder, what, option, splits] = arguments.as_slice() else { return Err(usage.to_owned()) };
    let splits: u64 = splits.parse().ok().filter(|_| option == "--splits").ok_or(usage)?;
    let mut sets: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|e| format!("{folder}: {e}"))?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.join("test.csv").exists())
        .collect();
    sets.sort();
    match what.as_str() {
        "tails" => tails(&sets, splits),
        "contamination" => contamination(&sets, splits),
        _ => return Err(usage.to_owned()),
    }
    Ok(())
}
