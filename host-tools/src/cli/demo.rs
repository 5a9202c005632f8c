//! `flowlet demo`

use super::confidence::BootstrapArgs;
use super::eval::{self, Quality};
use super::files;
use super::fit::{Fit, I8_BUDGET};
use super::output::{grouped, Output};
use super::progress::Progress;
use super::report::Page;
use super::scoring::{self, Delta};
use super::simulate;
use crate::device::toolchain::Install;
use crate::device::{Board, DeviceError, Simulation, Simulator};
use crate::export::{ImageFile, Numeric};
use crate::report::history::History;
use crate::table::{ReadOptions, Table};
use crate::training::TrainConfig;
use anyhow::Context;
use clap::Args;
use flowlet::Score;
use serde_json::{json, Map, Value};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Go the whole way on bundled data: train, quantize, judge, and score on an emulated Cortex-M4F
///
/// The data are readings from NASA's Space Shuttle (Statlog, UCI Machine Learning Repository, CC BY 4.0).
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  flowlet demo --out demo-output")]
pub(super) struct DemoArgs {
    /// Folder for everything that is made; created if need be
    #[arg(long, value_name = "DIR", default_value = "demo-output")]
    out: PathBuf,
}

const TRAIN: &str = include_str!("../../data/shuttle/train.csv");
const TEST: &str = include_str!("../../data/shuttle/test.csv");
const BOARD: Board = Board::Mps2An386;
const NUMERICS: [Numeric; 3] = [Numeric::F32, Numeric::I16, Numeric::I8];
/// Rows of the test set that are simulated: the most anomalous ones, and others evenly drawn.
const MOST_ANOMALOUS: usize = 400;
const EVENLY_DRAWN: usize = 800;

/// All that is found out about the image in one kind of numbers.
struct Outcome {
    numeric: Numeric,
    image: ImageFile,
    delta: Delta,
    quality: Quality,
    workspace_bytes: usize,
    simulated: Option<(Simulation, Vec<usize>)>,
}

impl DemoArgs {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<()> {
        let out = &self.out;
        std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
        let (train_path, test_path) = (out.join("train.csv"), out.join("test.csv"));
        files::write_whole(&train_path, TRAIN.as_bytes())?;
        files::write_whole(&test_path, TEST.as_bytes())?;
        let train = Table::read(&train_path, &ReadOptions::default())?;
        let labelled = ReadOptions { label: Some("label".to_owned()), ..ReadOptions::default() };
        let test = Table::read(&test_path, &labelled)?;

        let fit =
            Fit::new(&train, &[vec![TrainConfig::default()]], "shuttle".to_owned(), 0.01, output, None)?;
        let simulator = match Simulator::new(BOARD, Install::Forbidden) {
            Ok(simulator) => Ok(simulator),
            Err(error @ (DeviceError::Missing(_) | DeviceError::NoSource(_))) => {
                output.warn(&format!("nothing is simulated: {error}"));
                Err(error.to_string())
            }
            Err(error) => return Err(error.into()),
        };

        let stress = stress_rows(test.columns.len());
        let mut chosen_rows = None;
        let mut outcomes = Vec::new();
        for numeric in NUMERICS {
            let (image, delta) = fit.image(numeric)?;
            let name = scoring::name(numeric);
            files::write_whole(&out.join(format!("shuttle-{name}.flow")), image.bytes())?;
            let scores = scoring::score_rows(&image, &test.values, |_| {})?;
            let csv = scoring::scores_csv(&test, &scores);
            files::write_whole(&out.join(format!("scores-{name}.csv")), csv.as_bytes())?;
            // The same rows for all, chosen by the f32 image, which comes first.
            let rows: &Vec<f32> =
                chosen_rows.get_or_insert_with(|| rows_to_simulate(&test, &scores, &stress));
            let simulated = match &simulator {
                Ok(simulator) => Some(run_simulation(simulator, &image, rows, name, output)?),
                Err(_) => None,
            };
            outcomes.push(Outcome {
                numeric,
                delta,
                quality: eval::quality(&image, test.labels.as_deref().unwrap_or_default(), &scores)?,
                workspace_bytes: image.model()?.workspace_bytes(),
                image,
                simulated,
            });
        }
        let rows = chosen_rows.unwrap_or_default();
        files::write_whole(&out.join("simulated-rows.csv"), rows_csv(&test.columns, &rows).as_bytes())?;

        // What `train` would have chosen stands for the whole.
        let i8_fits = outcomes.iter().any(|o| o.numeric == Numeric::I8 && o.delta.mean <= I8_BUDGET);
        let default = if i8_fits { Numeric::I8 } else { Numeric::I16 };
        let summary_path = out.join("summary.md");
        let table = summary_table(&outcomes);
        let skipped = simulator.err();
        let text = summary(&fit, &test, &table, skipped.as_deref());
        files::write_whole(&summary_path, text.as_bytes())?;
        let report = out.join("report.html");
        files::write_whole(&report, page(&fit, &outcomes, default, &test, out, output)?.as_bytes())?;

        let mut json = summary_json(&fit, &outcomes, default, skipped.as_deref(), out, &report);
        json["summary"] = json!(summary_path);
        output.finish(&format!("{table}\noutputs in {}; open {}", out.display(), report.display()), &json)?;
        let mismatched: usize =
            outcomes.iter().filter_map(|o| o.simulated.as_ref()).map(|(_, rows)| rows.len()).sum();
        anyhow::ensure!(mismatched == 0, "{mismatched} rows differ between host and device");
        Ok(())
    }
}

/// The report on the image that `train` would have chosen.
fn page(
    fit: &Fit,
    outcomes: &[Outcome],
    default: Numeric,
    test: &Table,
    out: &Path,
    output: &Output,
) -> anyhow::Result<String> {
    let of =
        |numeric: Numeric| outcomes.iter().find(|o| o.numeric == numeric).context("an image of each kind");
    let (chosen, float) = (of(default)?, of(Numeric::F32)?);
    let trained = fit.trained();
    let train = json!({
        "recipe": fit.quoted().candidates[fit.quoted().chosen].config.summary(),
        "rows": fit.rows(),
        "held_out_rows": trained.holdout_rows.len(),
        "seconds": fit.seconds(),
        "samples_per_second": trained.samples_per_second,
        "val_nll_standardized": trained.val_nll_standardized,
        "mean_abs_delta_log_prob": chosen.delta.mean,
        "max_abs_delta_log_prob": chosen.delta.max,
    });
    let page = Page {
        image: &chosen.image,
        image_path: &out.join(format!("shuttle-{}.flow", scoring::name(default))),
        table: test,
        scores: &scoring::score_rows(&chosen.image, &test.values, |_| {})?,
        history: Ok(History::new(&chosen.image, &train, &fit.experts)),
        reference: Some(&float.image),
        bootstrap: BootstrapArgs::default(),
        credit: "Data: Statlog (Shuttle), NASA, from the UCI Machine Learning Repository, CC BY 4.0.",
    };
    page.html(output)
}

fn run_simulation(
    simulator: &Simulator,
    image: &ImageFile,
    rows: &[f32],
    name: &str,
    output: &Output,
) -> anyhow::Result<(Simulation, Vec<usize>)> {
    let columns = image.model()?.inputs();
    let host = scoring::score_rows(image, rows, |_| {})?;
    let progress = Progress::start(output, &format!("simulating {name}"), "rows", host.len() as u64);
    let result = simulator.run(image.bytes(), rows, columns, |rows| progress.advance(rows as u64));
    progress.finish();
    let simulation = result?;
    let mismatched = simulate::mismatches(&host, &simulation.rows);
    Ok((simulation, mismatched))
}

/// The most anomalous test rows, others evenly drawn from the rest, and the stress rows.
fn rows_to_simulate(test: &Table, scores: &[Score], stress: &[f32]) -> Vec<f32> {
    let mut order: Vec<usize> = (0..test.rows).collect();
    order.sort_by(|&a, &b| scores[b].score.total_cmp(&scores[a].score));
    let (top, rest) = order.split_at(MOST_ANOMALOUS.min(order.len()));
    let drawn = EVENLY_DRAWN.min(rest.len());
    let even = (0..drawn).map(|i| rest[i * rest.len() / drawn]);
    let mut rows: Vec<f32> = top.iter().copied().chain(even).flat_map(|row| test.row(row)).copied().collect();
    rows.extend(stress);
    rows
}

/// Rows that no sensor sends but that a broken one may: zeros, extremes and subnormals, in all columns at once and
/// in one at a time.
fn stress_rows(columns: usize) -> Vec<f32> {
    let subnormal = f32::from_bits(0x0040_0000);
    let wild = [
        0.0,
        -0.0,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        -f32::MIN_POSITIVE,
        subnormal,
        -subnormal,
        f32::from_bits(1),
        -f32::from_bits(1),
        1e30,
        -1e30,
        32767.5,
        -32768.5,
        1e6,
        f32::EPSILON,
    ];
    let mut rows = Vec::new();
    for value in wild {
        rows.extend(std::iter::repeat_n(value, columns));
        rows.extend((0..columns).map(|column| if column % 2 == 0 { value } else { -value }));
        for wild_column in 0..columns {
            rows.extend((0..columns).map(|column| if column == wild_column { value } else { 40.0 }));
        }
    }
    rows
}

fn rows_csv(columns: &[String], rows: &[f32]) -> String {
    let mut text = columns.join(",") + "\n";
    for row in rows.chunks_exact(columns.len()) {
        let cells: Vec<String> = row.iter().map(|value| format!("{value:?}")).collect();
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}

fn summary_table(outcomes: &[Outcome]) -> String {
    type Cell = fn(&Outcome) -> String;
    let lines: [(&str, Cell); 9] = [
        ("AUROC", |o| o.quality.auroc.map_or("-".into(), |v| format!("{v:.4}"))),
        ("average precision", |o| o.quality.average_precision.map_or("-".into(), |v| format!("{v:.4}"))),
        ("false alarms, of normal rows", |o| {
            o.quality.false_alarm_rate.map_or("-".into(), |v| format!("{v:.4}"))
        }),
        ("detected, of anomalous rows", |o| {
            o.quality.detection_rate.map_or("-".into(), |v| format!("{v:.4}"))
        }),
        ("mean |delta log_prob|, nats", |o| format!("{:.4}", o.delta.mean)),
        ("image bytes", |o| grouped(o.image.bytes().len())),
        ("workspace bytes", |o| grouped(o.workspace_bytes)),
        ("instructions per score, M4F", |o| {
            let count = o.simulated.as_ref().and_then(|(s, _)| s.instructions_per_score);
            count.map_or("-".into(), |n| grouped(n.round() as usize))
        }),
        ("mismatched rows", |o| {
            o.simulated
                .as_ref()
                .map_or("-".into(), |(s, m)| format!("{} of {}", m.len(), grouped(s.rows.len())))
        }),
    ];
    let mut text = format!("{:<30}", "");
    for outcome in outcomes {
        let _ = write!(text, "{:>12}", scoring::name(outcome.numeric));
    }
    for (name, cell) in lines {
        let _ = write!(text, "\n{name:<30}");
        for outcome in outcomes {
            let _ = write!(text, "{:>12}", cell(outcome));
        }
    }
    text
}

fn summary(fit: &Fit, test: &Table, table: &str, skipped: Option<&str>) -> String {
    let simulated = skipped.map_or_else(
        || {
            format!(
                "Simulated on {} ({}) in QEMU: the {MOST_ANOMALOUS} most anomalous test rows, {EVENLY_DRAWN} others, \
                 and rows of zeros, extremes and subnormals (`simulated-rows.csv`).",
                BOARD.name(),
                BOARD.core()
            )
        },
        |why| format!("Nothing was simulated: {why}"),
    );
    format!(
        "# flowlet demo: Statlog (Shuttle)\n\n\
         A RealNVP of {} parameters over {} features, trained in {:.1} s ({} epochs, the best was {}); held-out NLL \
         {:.3} nats standardized. Judged on {} test rows.\n\n\
         ```text\n{table}\n```\n\n\
         {simulated}\n\n\
         Files: `report.html` the report, `shuttle-*.flow` images, `scores-*.csv` scores of `test.csv`, `train.csv` and `test.csv` the data\n\
         (UCI Machine Learning Repository, NASA, CC BY 4.0).\n\n\
         To go on:\n\n\
         ```sh\nflowlet inspect shuttle-i8.flow\n\
         flowlet eval shuttle-i8.flow test.csv --label label\n\
         flowlet simulate shuttle-i8.flow test.csv --label label\n```\n",
        grouped(fit.parameters()),
        test.columns.len(),
        fit.trained().seconds,
        fit.trained().epochs,
        fit.trained().best_epoch,
        fit.trained().val_nll_standardized,
        grouped(test.rows),
    )
}

fn summary_json(
    fit: &Fit,
    outcomes: &[Outcome],
    default: Numeric,
    skipped: Option<&str>,
    out: &Path,
    report: &Path,
) -> Value {
    let mut numerics = Map::new();
    for outcome in outcomes {
        let mut json = outcome.quality.json();
        json["mean_abs_delta_log_prob"] = json!(outcome.delta.mean);
        json["max_abs_delta_log_prob"] = json!(outcome.delta.max);
        json["image_bytes"] = json!(outcome.image.bytes().len());
        json["workspace_bytes"] = json!(outcome.workspace_bytes);
        let simulation = outcome.simulated.as_ref();
        json["instructions_per_score"] = json!(simulation.and_then(|(s, _)| s.instructions_per_score));
        json["simulated_rows"] = json!(simulation.map(|(s, _)| s.rows.len()));
        json["mismatched_rows"] = json!(simulation.map(|(_, mismatched)| mismatched.len()));
        json["stack_bytes"] = json!(simulation.map(|(s, _)| s.stack_bytes));
        json["code_bytes"] = json!(simulation.map(|(s, _)| s.code_bytes));
        numerics.insert(scoring::name(outcome.numeric).to_owned(), json);
    }
    let of_default =
        |field: &str| numerics.get(scoring::name(default)).map_or(Value::Null, |n| n[field].clone());
    let mismatched: Option<usize> =
        outcomes.iter().map(|o| o.simulated.as_ref().map(|(_, rows)| rows.len())).sum();
    json!({
        "numeric": scoring::name(default),
        "auroc": of_default("auroc"),
        "average_precision": of_default("average_precision"),
        "image_bytes": of_default("image_bytes"),
        "workspace_bytes": of_default("workspace_bytes"),
        "instructions_per_score": of_default("instructions_per_score"),
        "simulated_rows": of_default("simulated_rows"),
        "mismatched_rows": mismatched,
        "simulation_skipped": skipped,
        "numerics": numerics,
        "parameters": fit.parameters(),
        "epochs": fit.trained().epochs,
        "seconds": fit.trained().seconds,
        "samples_per_second": fit.trained().samples_per_second,
        "val_nll_standardized": fit.trained().val_nll_standardized,
        "board": BOARD.name(),
        "out": out,
        "report": report,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stress_rows_hold_what_they_promise() {
        let rows = stress_rows(3);
        assert_eq!(rows.len() % 3, 0);
        let row = |wanted: [f32; 3]| {
            rows.chunks(3).any(|r| r.iter().zip(wanted).all(|(a, b)| a.to_bits() == b.to_bits()))
        };
        assert!(row([0.0; 3]) && row([f32::MAX; 3]) && row([-f32::MAX; 3]) && row([f32::from_bits(1); 3]));
        assert!(row([40.0, f32::MIN, 40.0]) && row([f32::MAX, -f32::MAX, f32::MAX]));
        assert!(rows.iter().all(|v| v.is_finite()));
        assert!(rows.iter().any(|v| v.is_subnormal()));
    }
}
