//! Searches within a chip's budget on one-class tables, and what that costs in detection.
//!
//! ```sh
//! cargo run --release -p flowlet-tools --example chip_budgets -- FOLDER stm32f401 16384 2048 50000
//! cargo run --release -p flowlet-tools --example chip_budgets -- FOLDER stm32f401 16384 2048 50000 --all
//! ```
//!
//! FOLDER holds one folder per table with `train.csv` (normal rows) and `test.csv` (with a column `label`). Prints AUROC on
//! the test rows of what is found and of the unconstrained default, in i8 both. With `--all` every candidate within the
//! budget is trained to the end, and what is printed is how well each measure that needs no labels orders them by AUROC.

use flowlet_tools::chip_search::{search, Budget, Candidate, Finalist, Fixed, Memory, Request, RUNGS};
use flowlet_tools::chips;
use flowlet_tools::export::{build_observing, scores, Calibration, Combine, Ensemble, Metadata, Numeric};
use flowlet_tools::metrics::auroc;
use flowlet_tools::table::{ReadOptions, Table};
use flowlet_tools::training::{auto_experts, train_experts, Experts, Matrix, TrainConfig};
use rayon::prelude::*;
use std::path::Path;
use std::time::Instant;

/// A table, read.
struct Set {
    name: String,
    train: Matrix,
    test: Table,
}

fn load(folder: &Path) -> Set {
    let read = |name: &str, label: Option<&str>| {
        let options = ReadOptions { label: label.map(Into::into), ..ReadOptions::default() };
        Table::read(&folder.join(name), &options).unwrap_or_else(|e| panic!("{e}"))
    };
    let fit = read("train.csv", None);
    Set {
        name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        train: Matrix::new(fit.rows, fit.columns.len(), fit.values).expect("a table is a matrix"),
        test: read("test.csv", Some("label")),
    }
}

/// AUROC of trained experts in some numbers, on every `step`th test row.
fn detection(set: &Set, experts: &Experts, numeric: Numeric, step: usize) -> f64 {
    let flows: Vec<_> = experts.members.iter().map(|m| m.trained.flow.clone()).collect();
    let combine = if flows.len() > 1 { Combine::Minimum } else { Combine::Quoted };
    let ensemble = Ensemble { combine, quoted: experts.quoted, ..Ensemble::new(flows) };
    let held = &experts.members[experts.quoted].trained.holdout_rows;
    let readings: Vec<f32> = held.iter().flat_map(|&row| set.train.row(row)).copied().collect();
    let calibration = Calibration { readings: &readings, false_alarm_rate: 0.01 };
    let features = vec![(String::new(), String::new()); set.train.columns];
    let metadata = Metadata { features, ..Metadata::default() };
    let image =
        build_observing(&ensemble, numeric, &metadata, calibration, &set.train.values).expect("an image");
    let rows: Vec<f32> = set.test.iter_rows().step_by(step).flatten().copied().collect();
    let labels = set.test.labels.as_deref().expect("labels");
    let labels: Vec<bool> = labels.iter().copied().step_by(step).collect();
    let found: Vec<f64> = scores(&image, &rows).expect("scores").iter().map(|s| f64::from(s.score)).collect();
    auroc(&labels, &found).expect("both kinds")
}

/// Spearman's rank correlation of values without ties.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |values: &[f64]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
        let mut ranks = vec![0.0; values.len()];
        order.into_iter().enumerate().for_each(|(rank, i)| ranks[i] = rank as f64);
        ranks
    };
    let n = a.len() as f64;
    let squares: f64 = ranks(a).iter().zip(ranks(b)).map(|(x, y)| (x - y).powi(2)).sum();
    1.0 - 6.0 * squares / (n * (n * n - 1.0))
}

/// Measures that need no labels, larger for what should detect better.
const MEASURES: [&str; 6] =
    ["proxy", "separation", "agreement", "held-out likelihood", "bytes", "instructions"];

fn measures(candidate: &Candidate) -> [f64; 6] {
    let worth = candidate.worth.expect("of the last rung");
    let cost = candidate.cost;
    let (bytes, instructions) = (cost.image_bytes as f64, cost.instructions as f64);
    [worth.proxy, worth.separation, worth.agreement, -candidate.val_nll, bytes, instructions]
}

fn main() -> Result<(), String> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let all = arguments.last().is_some_and(|last| last == "--all");
    arguments.truncate(5);
    let [folder, chip, flash, ram, instructions] = &arguments[..] else {
        return Err("FOLDER CHIP FLASH RAM INSTRUCTIONS [--all]".to_owned());
    };
    let chip = chips::find(chip).map_err(|e| e.to_string())?;
    let number = |text: &String| text.parse::<usize>().map_err(|e| format!("{text}: {e}"));
    let budget = Budget {
        core: chip.core,
        has_fpu: chip.has_fpu,
        flash: Some(Memory::Besides(number(flash)?)),
        ram: Some(Memory::Besides(number(ram)?)),
        instructions: Some(number(instructions)? as u64),
    };
    let mut folders: Vec<_> = std::fs::read_dir(folder)
        .map_err(|e| format!("{folder}: {e}"))?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.join("test.csv").exists())
        .collect();
    folders.sort();
    let reference = auto_experts(&TrainConfig::default());
    let experts: Vec<TrainConfig> = reference.concat();
    if all {
        println!("| set | candidates | best AUROC |{}", MEASURES.map(|m| format!(" {m} |")).concat());
    } else {
        println!(
            "| set | features | AUROC | unconstrained | bytes | workspace | instructions | seconds | found |"
        );
    }
    println!("{}|", "|---".repeat(9));
    let (mut sums, mut rhos) = (vec![0.0; 8], [0.0; 6]);
    for folder in &folders {
        let set = load(folder);
        let names =
            (0..set.train.columns).map(|c| (format!("column {c}"), String::new())).collect::<Vec<_>>();
        let metadata = |_: &[&TrainConfig]| Metadata { features: names.clone(), ..Metadata::default() };
        let request = Request {
            data: &set.train,
            reference: &experts,
            fixed: &Fixed::default(),
            numerics: &[Numeric::I8, Numeric::I16, Numeric::F32],
            budget,
            folds: 1,
            rungs: if all { &[1] } else { RUNGS },
            metadata: &metadata,
        };
        let started = Instant::now();
        let found = search(&request, &()).map_err(|e| format!("{}: {e}", set.name))?;
        let seconds = started.elapsed().as_secs_f64();
        let candidate = |finalist: &Finalist| &found.candidates[finalist.candidate];
        if all {
            let step = set.test.rows.div_ceil(4000);
            // Numbers hardly matter: of each architecture the first.
            let mut seen = Vec::new();
            let some: Vec<&Finalist> = found
                .finalists
                .iter()
                .filter(|f| {
                    let is_new = !seen.contains(&&candidate(f).name);
                    seen.push(&candidate(f).name);
                    is_new
                })
                .collect();
            let real: Vec<f64> =
                some.par_iter().map(|f| detection(&set, &f.experts, candidate(f).numeric, step)).collect();
            let best = real.iter().copied().fold(0.0, f64::max);
            print!("| {} | {} | {best:.4} |", set.name, some.len());
            sums[0] += best;
            for m in 0..MEASURES.len() {
                let values: Vec<f64> = some.iter().map(|f| measures(candidate(f))[m]).collect();
                let pick = (0..values.len()).fold(0, |a, b| if values[b] > values[a] { b } else { a });
                let rho = spearman(&values, &real);
                print!(" {:.4} ({rho:.2}) |", real[pick]);
                sums[m + 1] += real[pick];
                rhos[m] += rho;
            }
            println!();
            continue;
        }
        let best = &found.finalists[0];
        let Candidate { cost, name, numeric, .. } = candidate(best);
        let within = detection(&set, &best.experts, *numeric, 1);
        let default = train_experts(&set.train, &reference, &mut ()).map_err(|e| e.to_string())?;
        let without = detection(&set, &default, Numeric::I8, 1);
        println!(
            "| {} | {} | {within:.4} | {without:.4} | {} | {} | {} | {seconds:.0} | {numeric:?}: {name} |",
            set.name, set.train.columns, cost.image_bytes, cost.workspace_bytes, cost.instructions
        );
        for (sum, value) in sums.iter_mut().zip([within, without, seconds]) {
            *sum += value;
        }
    }
    let n = folders.len() as f64;
    let mean = |sum: f64| format!("{:.4}", sum / n);
    if all {
        print!("| mean | | {} |", mean(sums[0]));
        (0..MEASURES.len()).for_each(|m| print!(" {} ({:.2}) |", mean(sums[m + 1]), rhos[m] / n));
        println!();
    } else {
        println!("| mean | | {} | {} | | | | {:.0} | |", mean(sums[0]), mean(sums[1]), sums[2] / n);
    }
    Ok(())
}
