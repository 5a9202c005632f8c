//! Compares training settings on one-class tables: mean AUROC and held-out likelihood per table.
//!
//! ```sh
//! cargo run --release -p flowlet-tools --example compare_recipes -- FOLDER --seeds 3 "flow=realnvp" "layers=4 hidden=32"
//! ```
//!
//! FOLDER holds one folder per table with `train.csv` (normal rows), `test.csv` (with a column `label`) and
//! `meta.json`. Each further argument is one recipe: `key=value` pairs on top of the defaults.

use flowlet_tools::flow::Reference;
use flowlet_tools::metrics::{auroc, trimmed_mean};
use flowlet_tools::table::{ReadOptions, Table};
use flowlet_tools::training::{train_experts, Matrix, TrainConfig};
use rayon::prelude::*;
use std::path::Path;

fn set(config: &mut TrainConfig, pair: &str) -> Result<(), String> {
    use clap::ValueEnum;
    let (key, value) = pair.split_once('=').unwrap_or((pair, "true"));
    let wrong = || format!("{value} does not suit {key}");
    macro_rules! number {
        ($field:ident) => {
            config.$field = value.parse().map_err(|_| wrong())?
        };
    }
    macro_rules! named {
        ($field:ident) => {
            config.$field = ValueEnum::from_str(value, true).map_err(|_| wrong())?
        };
    }
    match key {
        "flow" => named!(flow),
        "base" => named!(base),
        "marginal" => named!(marginal),
        "mask" => named!(mask),
        "conditioner" => named!(conditioner),
        "bins" => number!(bins),
        "components" => number!(components),
        "whiten" => number!(whiten),
        "layers" => number!(layers),
        "batch" => number!(batch),
        "lr" => number!(lr),
        "noise" => number!(noise),
        "noise_floor" => number!(noise_floor),
        "clamp" => number!(clamp),
        "input_limit" => number!(input_limit),
        "knee" => number!(knee),
        "outer_knee" => number!(outer_knee),
        "weight_decay" => number!(weight_decay),
        "average" => number!(average),
        "holdout" => number!(holdout),
        "permute" => number!(permute),
        "start" => number!(start),
        "epochs" => config.epochs = Some(value.parse().map_err(|_| wrong())?),
        "patience" => config.patience = Some(value.parse().map_err(|_| wrong())?),
        "hidden" => {
            config.hidden =
                value.split(',').map(|v| v.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
        }
        _ => return Err(format!("no setting is called {key}")),
    }
    Ok(())
}

/// AUROC, trimmed NLL of normal test rows in standardized nats under the expert that is quoted, and what was chosen.
fn measure(folder: &Path, experts: &[Vec<TrainConfig>], seed: u64) -> (f64, f64, String) {
    let read = |name: &str, label: Option<&str>| {
        let options = ReadOptions { label: label.map(Into::into), ..ReadOptions::default() };
        Table::read(&folder.join(name), &options).unwrap_or_else(|e| panic!("{e}"))
    };
    let (fit, test) = (read("train.csv", None), read("test.csv", Some("label")));
    let meta = std::fs::read_to_string(folder.join("meta.json")).expect("meta.json");
    let meta: serde_json::Value = serde_json::from_str(&meta).expect("JSON");
    let sum_log_std = meta["sum_log_std"].as_f64().expect("sum_log_std");
    let rows = Matrix::new(fit.rows, fit.columns.len(), fit.values).expect("a table is a matrix");
    let mine = |c: &TrainConfig| TrainConfig { seed, threads: 1, ..c.clone() };
    let experts: Vec<Vec<TrainConfig>> = experts.iter().map(|e| e.iter().map(mine).collect()).collect();
    let found = train_experts(&rows, &experts, &mut ()).unwrap_or_else(|e| panic!("{e}"));
    let chosen: Vec<String> =
        found.members.iter().zip(&experts).map(|(m, e)| e[m.chosen].flow.name().to_owned()).collect();
    let chosen = format!("{} ({} quoted)", chosen.join("+"), found.quoted);
    let references: Vec<_> = found.members.iter().map(|m| Reference::from(&m.trained.flow)).collect();
    let log_probs = |row: &[f32]| references.iter().map(|r| r.log_prob_f32(row)).collect::<Vec<_>>();
    let all: Vec<Vec<f64>> = test.iter_rows().map(log_probs).collect();
    let scores: Vec<f64> = all.iter().map(|l| -l.iter().copied().fold(f64::MAX, f64::min)).collect();
    let labels = test.labels.as_deref().expect("labels");
    let normal: Vec<f64> =
        all.iter().zip(labels).filter(|(_, a)| !**a).map(|(l, _)| -l[found.quoted] - sum_log_std).collect();
    (auroc(labels, &scores).expect("both kinds"), trimmed_mean(&normal, 0.01).expect("normal rows"), chosen)
}

fn main() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("name the folder of tables")?;
    let (mut seeds, mut recipes) = (1_u64, Vec::new());
    while let Some(argument) = arguments.next() {
        if argument == "--seeds" {
            seeds = arguments.next().and_then(|n| n.parse().ok()).ok_or("--seeds needs a number")?;
        } else {
            recipes.push(argument);
        }
    }
    let mut sets: Vec<_> = std::fs::read_dir(&folder)
        .map_err(|e| format!("{folder}: {e}"))?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.join("meta.json").exists())
        .collect();
    sets.sort();
    for recipe in recipes {
        // Experts are separated by '&', the candidates of one by '|'.
        let candidate = |part: &str| {
            let mut config = TrainConfig::default();
            part.split_whitespace().try_for_each(|pair| set(&mut config, pair))?;
            config.check().map_err(|e| e.to_string())?;
            Ok::<_, String>(config)
        };
        let expert = |part: &str| part.split('|').map(candidate).collect::<Result<Vec<_>, _>>();
        let experts = recipe.split('&').map(expert).collect::<Result<Vec<_>, _>>()?;
        let started = std::time::Instant::now();
        let results: Vec<Vec<(f64, f64, String)>> = sets
            .par_iter()
            .map(|set| (0..seeds).map(|seed| measure(set, &experts, seed)).collect())
            .collect();
        let over = |all: &[(f64, f64, String)], f: fn(&(f64, f64, String)) -> f64| {
            all.iter().map(f).sum::<f64>() / all.len() as f64
        };
        println!("## {recipe}  ({:.0} s)", started.elapsed().as_secs_f64());
        for (set, all) in sets.iter().zip(&results) {
            let name = set.file_name().unwrap_or_default().to_string_lossy();
            let chosen: Vec<&str> = all.iter().map(|r| r.2.as_str()).collect();
            println!(
                "{name:14} AUROC {:.4}  trimmed NLL {:8.3}  {}",
                over(all, |r| r.0),
                over(all, |r| r.1),
                chosen.join(" ")
            );
        }
        let mean = results.iter().map(|all| over(all, |r| r.0)).sum::<f64>() / results.len() as f64;
        println!("mean           AUROC {mean:.4}\n");
    }
    Ok(())
}
