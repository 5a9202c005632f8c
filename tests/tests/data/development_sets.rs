//! Detection, likelihood and the cost of each arithmetic on eight public one-class tables, with the default
//! recipe: the promises that `docs/development-sets.md` shows as a table.
//!
//! The tables are not part of the repository: see `flowlet_tests::development`. Where there are none, the test says so
//! and passes.

use flowlet_tests::development::{folder, load, Set, SETS};
use flowlet_tools::export::{build_observing, scores, Calibration, Metadata, Numeric};
use flowlet_tools::flow::Reference;
use flowlet_tools::metrics::{auroc, mean, trimmed_mean};
use flowlet_tools::training::{train, TrainConfig};
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

/// Seeds 0 and up that are averaged: one seed's mean AUROC scatters by 0.003.
const SEEDS: u64 = 5;
/// The RealNVP that was measured best among Python libraries, six couplings of 32 x 32 (PyTorch).
const LEAST_MEAN_AUROC: f64 = 0.9303;
/// Half a nat above the best of the same library's likelihoods, where a density exists (the other sets have
/// repeated or discrete values): standardized nats, without the worst 1 % of the rows.
const MOST_TRIMMED_NLL: [(&str, f64); 4] =
    [("magic.gamma", 5.66), ("vowels", 9.69), ("pendigits", 4.51), ("satellite", 1.05)];
/// A plain mean, which one far-out normal row decides: affine flows without tails exceed it by orders.
const MOST_MEAN_NLL: f64 = 100.0;
/// f32 on the device against f64, in nats, for every row.
const MOST_F32_ERROR: f64 = 1e-3;
/// Weights of 16 and of 8 bits: mean |delta log_prob| in nats, and loss of AUROC.
const MOST_DELTA: [f64; 2] = [0.02, 0.1];
const MOST_AUROC_LOSS: [f64; 2] = [0.003, 0.005];
/// Where 8-bit weights cost more than that over all rows, normal ones excepted: measured 0.237 on satellite, whose
/// anomalies (a third of the rows) lie hundreds of nats down the tail.
const I8_EXCEPTIONS: [(&str, f64); 1] = [("satellite", 0.3)];

/// What one set gave; pairs are of i16 and i8 images.
struct Measured {
    set: &'static str,
    auroc: [f64; 3],
    trimmed_nll: f64,
    mean_nll: f64,
    /// Largest |f32 - f64|.
    f32_error: f64,
    /// Mean |delta log_prob| over all test rows.
    delta: [f64; 2],
    /// The same over normal rows.
    delta_normal: [f64; 2],
    largest: f64,
}

/// The mean over seeds; of largest values, the largest.
fn measure(folder: &Path, set: &'static str) -> Measured {
    let all: Vec<Measured> = (0..SEEDS).map(|seed| measure_seed(folder, set, seed)).collect();
    let over = |f: &dyn Fn(&Measured) -> f64| all.iter().map(f).sum::<f64>() / all.len() as f64;
    let most = |f: &dyn Fn(&Measured) -> f64| all.iter().map(f).fold(0.0, f64::max);
    Measured {
        set,
        auroc: [0, 1, 2].map(|i| over(&|m| m.auroc[i])),
        trimmed_nll: over(&|m| m.trimmed_nll),
        mean_nll: over(&|m| m.mean_nll),
        f32_error: most(&|m| m.f32_error),
        delta: [0, 1].map(|i| over(&|m| m.delta[i])),
        delta_normal: [0, 1].map(|i| over(&|m| m.delta_normal[i])),
        largest: most(&|m| m.largest),
    }
}

fn measure_seed(folder: &Path, set: &'static str, seed: u64) -> Measured {
    let Set { train: rows, columns, test, sum_log_std } = load(folder, set);
    let labels = test.labels.as_deref().expect("labels");
    // The sets run side by side; the flow does not depend on the threads.
    let config = TrainConfig { threads: 1, seed, ..TrainConfig::default() };
    let trained = train(&rows, &config, &mut ()).expect("trained");
    // As `flowlet train` does: calibrated on the rows held out, ranges from all.
    let readings: Vec<f32> = trained.holdout_rows.iter().flat_map(|&row| rows.row(row)).copied().collect();
    let calibration = Calibration { readings: &readings, false_alarm_rate: 0.01 };
    let metadata = Metadata {
        name: set.into(),
        features: columns.iter().map(|name| (name.clone(), String::new())).collect(),
        ..Metadata::default()
    };
    let log_probs = [Numeric::F32, Numeric::I16, Numeric::I8].map(|numeric| {
        let image =
            build_observing(&trained.flow, numeric, &metadata, calibration, &rows.values).expect("an image");
        let scores = scores(&image, &test.values).expect("scores");
        scores.iter().map(|s| f64::from(s.log_prob)).collect::<Vec<_>>()
    });

    let exact: Vec<f64> = {
        let reference = Reference::from(&trained.flow);
        test.iter_rows().map(|row| reference.log_prob_f32(row)).collect()
    };
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).collect::<Vec<_>>();
    let normal =
        |values: &[f64]| values.iter().zip(labels).filter(|(_, a)| !**a).map(|(v, _)| *v).collect::<Vec<_>>();
    let [float, i16s, i8s] = &log_probs;
    let nll: Vec<f64> = normal(float).iter().map(|v| -v - sum_log_std).collect();
    let deltas = [i16s, i8s].map(|fixed| apart(fixed, float));
    let average = |values: &[f64]| mean(values).expect("rows");
    let highest = |values: &[f64]| values.iter().fold(0.0_f64, |a, v| a.max(v.abs()));
    Measured {
        set,
        auroc: log_probs.each_ref().map(|values| {
            auroc(labels, &values.iter().map(|v| -v).collect::<Vec<_>>()).expect("both kinds of rows")
        }),
        trimmed_nll: trimmed_mean(&nll, 0.01).expect("normal rows"),
        mean_nll: average(&nll),
        f32_error: highest(&apart(float, &exact)),
        delta: deltas.each_ref().map(|d| average(d)),
        delta_normal: deltas.each_ref().map(|d| average(&normal(d))),
        largest: highest(float),
    }
}

fn table(all: &[Measured]) -> String {
    let mut text = String::from(
        "| set | AUROC f32 | i16 | i8 | trimmed NLL | mean NLL | largest f32 error | i16 delta (normal) | i8 delta (normal) | largest log_prob |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for m in all {
        let [float, i16s, i8s] = m.auroc;
        writeln!(
            text,
            "| {} | {float:.4} | {i16s:.4} | {i8s:.4} | {:.2} | {:.2} | {:.1e} | {:.4} ({:.4}) | {:.4} ({:.4}) | {:.0} |",
            m.set,
            m.trimmed_nll,
            m.mean_nll,
            m.f32_error,
            m.delta[0],
            m.delta_normal[0],
            m.delta[1],
            m.delta_normal[1],
            m.largest
        )
        .expect("a string");
    }
    let [float, i16s, i8s] = mean_auroc(all);
    writeln!(text, "| mean | {float:.4} | {i16s:.4} | {i8s:.4} |  |  |  |  |  |  |").expect("a string");
    text
}

fn mean_auroc(all: &[Measured]) -> [f64; 3] {
    [0, 1, 2].map(|i| all.iter().map(|m| m.auroc[i]).sum::<f64>() / all.len() as f64)
}

#[test]
fn eight_sets_keep_their_limits_with_the_default_recipe() {
    let Some(folder) = folder("eight_sets_keep_their_limits_with_the_default_recipe") else { return };
    if cfg!(debug_assertions) {
        println!("skipped: training eight flows takes minutes without --release");
        return;
    }
    let started = Instant::now();
    let all: Vec<Measured> = std::thread::scope(|scope| {
        let folder = &folder;
        let threads: Vec<_> = SETS.iter().map(|set| scope.spawn(move || measure(folder, set))).collect();
        threads.into_iter().map(|t| t.join().expect("a set was measured")).collect()
    });
    println!("{}\n{:.1} s", table(&all), started.elapsed().as_secs_f64());

    let mut failures = Vec::new();
    let mut at_most = |what: String, value: f64, limit: f64| {
        if value.is_nan() || value > limit {
            failures.push(format!("{what} is {value:.5}, above {limit}"));
        }
    };
    at_most("1 - mean AUROC".into(), 1.0 - mean_auroc(&all)[0], 1.0 - LEAST_MEAN_AUROC);
    for m in &all {
        if let Some((_, limit)) = MOST_TRIMMED_NLL.iter().find(|(set, _)| *set == m.set) {
            at_most(format!("{}: trimmed NLL", m.set), m.trimmed_nll, *limit);
        }
        at_most(format!("{}: mean NLL", m.set), m.mean_nll, MOST_MEAN_NLL);
        at_most(format!("{}: f32 error", m.set), m.f32_error, MOST_F32_ERROR);
        for (i, name) in ["i16", "i8"].into_iter().enumerate() {
            let exception = I8_EXCEPTIONS.iter().find(|(set, _)| name == "i8" && *set == m.set);
            let most = exception.map_or(MOST_DELTA[i], |(_, limit)| *limit);
            at_most(format!("{}: {name} delta", m.set), m.delta[i], most);
            at_most(format!("{}: {name} delta of normal rows", m.set), m.delta_normal[i], MOST_DELTA[i]);
            let loss = m.auroc[0] - m.auroc[i + 1];
            at_most(format!("{}: {name} loss of AUROC", m.set), loss, MOST_AUROC_LOSS[i]);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
