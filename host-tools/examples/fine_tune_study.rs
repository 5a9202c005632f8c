//! What fine-tuning of the integers gives, on one-class tables: likelihood and detection of i8 images before and after.
//!
//! ```sh
//! cargo run --release -p flowlet-tools --example fine_tune_study -- FOLDER --seeds 2 "layers=4 hidden=8" "layers=8 hidden=8,8"
//! ```
//!
//! FOLDER holds one folder per table with `train.csv` (normal rows) and `test.csv` (with a column `label`). Each further
//! argument is one recipe: `key=value` pairs on top of the defaults. All figures are of the rows of `test.csv`, which
//! neither training nor tuning saw.

use flowlet_tools::export::{Calibration, Evidence, Metadata, Numeric, Stored, Tuning, TuningRows};
use flowlet_tools::metrics::{auroc, mean, trimmed_mean};
use flowlet_tools::table::{ReadOptions, Table};
use flowlet_tools::training::{train, Matrix, TrainConfig};
use rayon::prelude::*;
use std::path::Path;
use std::time::Instant;

fn set(config: &mut TrainConfig, tuning: &mut Tuning, pair: &str) -> Result<(), String> {
    use clap::ValueEnum;
    let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair} is no key=value"))?;
    let wrong = || format!("{value} does not suit {key}");
    macro_rules! number {
        ($place:expr) => {
            $place = value.parse().map_err(|_| wrong())?
        };
    }
    macro_rules! named {
        ($place:expr) => {
            $place = ValueEnum::from_str(value, true).map_err(|_| wrong())?
        };
    }
    match key {
        "flow" => named!(config.flow),
        "base" => named!(config.base),
        "marginal" => named!(config.marginal),
        "layers" => number!(config.layers),
        "lr" => number!(config.lr),
        "clamp" => number!(config.clamp),
        "weight_decay" => number!(config.weight_decay),
        "steps" => number!(tuning.steps),
        "rate" => number!(tuning.rate),
        "tuned" => number!(tuning.batch),
        "hidden" => {
            config.hidden =
                value.split(',').map(|v| v.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
        }
        _ => return Err(format!("no setting is called {key}")),
    }
    Ok(())
}

/// Of one image against the f32 one, on rows that were never seen.
#[derive(Clone, Copy, Default)]
struct Measured {
    auroc: f64,
    /// Loss of trimmed likelihood, and mean |delta log_prob|, of normal rows; that of all rows.
    nll: f64,
    delta: f64,
    delta_all: f64,
}

struct Outcome {
    float: f64,
    before: Measured,
    after: Measured,
    steps: usize,
    seconds: f64,
    held: [f64; 4],
}

fn one(folder: &Path, config: &TrainConfig, tuning: &Tuning) -> Outcome {
    let rows = Table::read(&folder.join("train.csv"), &ReadOptions::default()).expect("train.csv");
    let options = ReadOptions { label: Some("label".into()), ..ReadOptions::default() };
    let test = Table::read(&folder.join("test.csv"), &options).expect("test.csv");
    let labels = test.labels.clone().expect("labels");
    let columns = rows.columns.clone();
    let rows = Matrix::new(rows.rows, rows.columns.len(), rows.values).expect("a table");
    let trained = train(&rows, config, &mut ()).expect("trained");
    let is_held = |row: &usize| trained.holdout_rows.binary_search(row).is_ok();
    let pick = |held: bool| -> Vec<f32> {
        (0..rows.rows).filter(|row| is_held(row) == held).flat_map(|row| rows.row(row)).copied().collect()
    };
    let (tuned, held_out) = (pick(false), pick(true));
    let calibration = Calibration { readings: &held_out, false_alarm_rate: 0.01 };
    let features = columns.iter().map(|name| (name.clone(), String::new())).collect();
    let metadata = Metadata { name: "study".into(), features, ..Metadata::default() };
    let log_probs = |stored: &Stored<'_>| -> Vec<f64> {
        let image = stored.image(&metadata, calibration, Evidence::default()).expect("an image");
        let scores = flowlet_tools::export::scores(&image, &test.values).expect("scores");
        scores.iter().map(|s| f64::from(s.log_prob)).collect()
    };
    let float = log_probs(&Stored::new(&trained.flow, Numeric::F32, &held_out).expect("f32"));
    let normal =
        |v: &[f64]| v.iter().zip(&labels).filter(|(_, a)| !**a).map(|(v, _)| *v).collect::<Vec<f64>>();
    let nll =
        |v: &[f64]| trimmed_mean(&normal(v).iter().map(|v| -v).collect::<Vec<_>>(), 0.02).expect("rows");
    let area = |v: &[f64]| auroc(&labels, &v.iter().map(|v| -v).collect::<Vec<_>>()).expect("labels");
    let against = |fixed: &[f64]| {
        let apart: Vec<f64> = fixed.iter().zip(&float).map(|(a, b)| (a - b).abs()).collect();
        Measured {
            auroc: area(fixed),
            nll: nll(fixed) - nll(&float),
            delta: mean(&normal(&apart)).expect("rows"),
            delta_all: mean(&apart).expect("rows"),
        }
    };
    let mut stored = Stored::new(&trained.flow, Numeric::I8, &rows.values).expect("i8");
    let before = against(&log_probs(&stored));
    let started = Instant::now();
    let found =
        stored.fine_tune(TuningRows { tuned: &tuned, held_out: &held_out }, tuning)[0].expect("a net");
    let seconds = started.elapsed().as_secs_f64();
    let after = against(&log_probs(&stored));
    let held =
        [found.before.trimmed_nll, found.after.trimmed_nll, found.before.mean_delta, found.after.mean_delta];
    Outcome { float: area(&float), before, after, steps: found.steps, seconds, held }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut seeds, mut recipes) = (1u64, Vec::new());
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--seeds" => seeds = rest.next().and_then(|n| n.parse().ok()).expect("--seeds N"),
            recipe => recipes.push(recipe.to_owned()),
        }
    }
    let folder = Path::new(arguments.first().expect("a folder of tables"));
    let mut sets: Vec<String> = std::fs::read_dir(folder)
        .expect("a folder")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| folder.join(name).join("train.csv").is_file())
        .collect();
    sets.sort();
    for recipe in recipes {
        let (mut config, mut tuning) =
            (TrainConfig { threads: 1, ..TrainConfig::default() }, Tuning::default());
        recipe.split_whitespace().for_each(|pair| set(&mut config, &mut tuning, pair).expect("a setting"));
        println!(
            "\n{recipe}\n\n| set | AUROC f32 | i8 | tuned | NLL loss i8 | tuned | delta i8 | tuned | delta of all rows i8 | tuned | held out: NLL loss | tuned | delta | tuned | steps | seconds |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
        );
        let jobs: Vec<(&String, u64)> =
            sets.iter().flat_map(|set| (0..seeds).map(move |s| (set, s))).collect();
        let all: Vec<Outcome> = jobs
            .par_iter()
            .map(|(set, seed)| {
                one(&folder.join(set), &TrainConfig { seed: *seed, ..config.clone() }, &tuning)
            })
            .collect();
        let line = |name: &str, of: &[Outcome]| {
            let over = |f: &dyn Fn(&Outcome) -> f64| of.iter().map(f).sum::<f64>() / of.len() as f64;
            println!(
                "| {name} | {:.4} | {:.4} | {:.4} | {:.4} | {:.4} | {:.4} | {:.4} | {:.4} | {:.4} | {:.4} | {:.4} | {:.4} | {:.4} | {:.0} | {:.1} |",
                over(&|o| o.float),
                over(&|o| o.before.auroc),
                over(&|o| o.after.auroc),
                over(&|o| o.before.nll),
                over(&|o| o.after.nll),
                over(&|o| o.before.delta),
                over(&|o| o.after.delta),
                over(&|o| o.before.delta_all),
                over(&|o| o.after.delta_all),
                over(&|o| o.held[0]),
                over(&|o| o.held[1]),
                over(&|o| o.held[2]),
                over(&|o| o.held[3]),
                over(&|o| o.steps as f64),
                over(&|o| o.seconds)
            );
        };
        for (set, of) in sets.iter().zip(all.chunks(seeds as usize)) {
            line(set, of);
        }
        line("mean", &all);
    }
}
