//! `flowlet score`

use super::files;
use super::output::{grouped, Output};
use super::progress::Progress;
use super::scoring;
use super::tables::TableArgs;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Score every row of a table with the device's own code
///
/// What is printed is what the device computes, bit for bit. Columns are matched by the names stored in the image.
/// Without -o, the scores go to standard output (with --json, only their summary does).
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  flowlet score pump.flow today.csv -o scores.csv
  flowlet score pump.flow today.csv --skip-bad-rows | sort -t, -g -k2 | head

Columns of the result: row (from 0), log_prob (nats, in the data's units), p_value (share of normal readings at least as
unlikely), score (larger is more anomalous), alarm (0 or 1), and label if --label is given.")]
pub(super) struct ScoreArgs {
    /// The image
    #[arg(value_name = "M.flow")]
    model: PathBuf,
    /// The table: .csv, .npy or .parquet
    data: PathBuf,
    /// Where to write the scores
    #[arg(short, long, value_name = "scores.csv")]
    output: Option<PathBuf>,
    #[command(flatten)]
    table: TableArgs,
}

impl ScoreArgs {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<()> {
        if let Some(path) = &self.output {
            files::check_target(path)?;
        }
        let image = scoring::read_image(&self.model)?;
        let table = self.table.read_for(&self.data, scoring::input_names(&image)?, output)?;
        let progress = Progress::start(output, "scoring", "rows", table.rows as u64);
        let started = Instant::now();
        let scores = scoring::score_rows(&image, &table.values, |rows| progress.advance(rows as u64))?;
        let seconds = started.elapsed().as_secs_f64();
        progress.finish();

        let alarms = scores.iter().filter(|score| score.alarm).count();
        let rows_per_second = scores.len() as f64 / seconds.max(1e-9);
        let csv = scoring::scores_csv(&table, &scores);
        let summary = format!("{} rows, {} alarms", grouped(scores.len()), grouped(alarms));
        let text = match &self.output {
            Some(path) => {
                files::write_whole(path, csv.as_bytes())?;
                format!("{}: {summary}, {} rows/s", path.display(), grouped(rows_per_second.round() as usize))
            }
            None if output.is_json() => String::new(),
            None => {
                output.rows(csv.as_bytes())?;
                output.note(&summary);
                String::new()
            }
        };
        let json = json!({
            "rows": scores.len(),
            "alarms": alarms,
            "rows_per_second": rows_per_second,
            "seconds": seconds,
            "skipped_rows": table.skipped_rows,
            "numeric": scoring::name(image.model()?.numeric()),
            "output": self.output,
            "notes": table.notes,
        });
        output.finish(&text, &json)
    }
}
