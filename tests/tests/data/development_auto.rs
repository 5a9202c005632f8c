//! Detection on eight public one-class tables with what `flowlet train` does by default, `--flow auto`, and with one
//! coupling flow onto a mixture: the second table of `docs/development-sets.md`.
//!
//! `cargo test --release -p flowlet-tests --test data development_auto:: -- --nocapture` prints it. The tables are not part of
//! the repository: see `flowlet_tests::development`. Where there are none, the test says so and passes.

use flowlet_tests::development::{folder, load, SETS};
use flowlet_tools::export::{build_observing, scores, Calibration, Combine, Ensemble, Metadata, Numeric};
use flowlet_tools::metrics::{auroc, mean, trimmed_mean};
use flowlet_tools::selection::select;
use flowlet_tools::training::{auto_experts, train_experts, BaseKind, MarginalFront, TrainConfig};
use std::path::Path;

const SEEDS: u64 = 2;
/// Means of the Python libraries' flows: a RealNVP .9303, and a spline flow .9301 on seven sets, without shuttle, of
/// which that RealNVP has .9205. With the .9998 of the best on shuttle it would have .9388: both are to be reached.
const LEAST_AUTO: f64 = 0.9388;
/// One coupling flow with a mixture base.
const LEAST_MIXTURE: f64 = 0.938;
/// No blow-up on a far-out normal row.
const MOST_MEAN_NLL: f64 = 100.0;

/// Mean over seeds for one set.
#[derive(Clone, Debug, Default)]
struct Measured {
    /// In f32, i16, i8.
    auroc: [f64; 3],
    trimmed_nll: f64,
    mean_nll: f64,
    chosen: Vec<&'static str>,
}

fn measure(folder: &Path, set: &str, experts: &[Vec<TrainConfig>]) -> Measured {
    let set = load(folder, set);
    let labels = set.test.labels.as_deref().expect("labels");
    let mut all = Measured::default();
    for seed in 0..SEEDS {
        // The sets run side by side; the flow does not depend on the threads.
        let mine = |c: &TrainConfig| TrainConfig { seed, threads: 1, ..c.clone() };
        let experts: Vec<Vec<_>> = experts.iter().map(|e| e.iter().map(mine).collect()).collect();
        let found = train_experts(&set.train, &experts, &mut ()).expect("trained");
        let quoted = &found.members[found.quoted].trained;
        let held_out: Vec<f32> =
            quoted.holdout_rows.iter().flat_map(|&row| set.train.row(row)).copied().collect();
        let flows: Vec<_> = found.members.iter().map(|m| m.trained.flow.clone()).collect();
        let combine = if flows.len() > 1 { Combine::Minimum } else { Combine::Quoted };
        let ensemble = Ensemble { combine, quoted: found.quoted, ..Ensemble::new(flows) };
        let calibration = Calibration { readings: &held_out, false_alarm_rate: 0.01 };
        let features = set.columns.iter().map(|name| (name.clone(), String::new())).collect();
        let metadata = Metadata { features, ..Metadata::default() };
        let plain = build_observing(&ensemble, Numeric::F32, &metadata, calibration, &set.train.values);
        let statistic =
            select(&plain.expect("an image"), &held_out, None, None).expect("statistics").statistic;
        let ensemble = Ensemble { statistic, ..ensemble };
        for (i, numeric) in [Numeric::F32, Numeric::I16, Numeric::I8].into_iter().enumerate() {
            let image = build_observing(&ensemble, numeric, &metadata, calibration, &set.train.values);
            let scores = scores(&image.expect("an image"), &set.test.values).expect("scores");
            let statistic: Vec<f64> = scores.iter().map(|s| f64::from(s.score)).collect();
            let nll: Vec<f64> = scores.iter().map(|s| -f64::from(s.log_prob)).collect();
            all.auroc[i] += auroc(labels, &statistic).expect("both kinds of rows") / SEEDS as f64;
            if i == 0 {
                let normal: Vec<f64> =
                    nll.iter().zip(labels).filter(|(_, a)| !**a).map(|(v, _)| v - set.sum_log_std).collect();
                all.trimmed_nll += trimmed_mean(&normal, 0.01).expect("normal rows") / SEEDS as f64;
                all.mean_nll += mean(&normal).expect("normal rows") / SEEDS as f64;
            }
        }
        let coupled = &found.members[0];
        all.chosen.push(coupled.candidates[coupled.chosen].config.flow.name());
    }
    all
}

/// Prints the table of a recipe; gives the mean AUROC of each arithmetic and the largest mean NLL.
fn table(folder: &Path, what: &str, experts: &[Vec<TrainConfig>]) -> ([f64; 3], f64) {
    let all: Vec<Measured> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            SETS.iter().map(|set| scope.spawn(move || measure(folder, set, experts))).collect();
        threads.into_iter().map(|t| t.join().expect("a set was measured")).collect()
    });
    println!("{what}\n\n| set | AUROC f32 | i16 | i8 | trimmed NLL | mean NLL | flows |\n|---|---|---|---|---|---|---|");
    for (set, m) in SETS.iter().zip(&all) {
        let [float, i16s, i8s] = m.auroc;
        println!(
            "| {set} | {float:.4} | {i16s:.4} | {i8s:.4} | {:.2} | {:.2} | {} |",
            m.trimmed_nll,
            m.mean_nll,
            m.chosen.join(", ")
        );
    }
    let means = [0, 1, 2].map(|i| all.iter().map(|m| m.auroc[i]).sum::<f64>() / all.len() as f64);
    println!("| mean | {:.4} | {:.4} | {:.4} |  |  |  |\n", means[0], means[1], means[2]);
    (means, all.iter().map(|m| m.mean_nll).fold(f64::MIN, f64::max))
}

#[test]
fn auto_and_a_mixture_base_detect_as_promised() {
    let Some(folder) = folder("auto_and_a_mixture_base_detect_as_promised") else { return };
    if cfg!(debug_assertions) {
        println!("skipped: training takes minutes without --release");
        return;
    }
    let default = TrainConfig::default();
    let (auto, most) = table(&folder, "auto", &auto_experts(&default));
    let mixture = TrainConfig { base: BaseKind::Mixture, marginal: MarginalFront::Linear, ..default };
    let (one, _) = table(&folder, "RealNVP over marginal maps onto a mixture", &[vec![mixture]]);
    assert!(auto.iter().all(|&mean| mean >= LEAST_AUTO), "auto: {auto:?}");
    assert!(one.iter().all(|&mean| mean >= LEAST_MIXTURE), "mixture base: {one:?}");
    assert!(most < MOST_MEAN_NLL, "mean NLL of {most}");
}
