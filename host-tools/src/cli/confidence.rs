//! Arguments of the bootstrap, and its intervals in JSON and in words.

use super::output::Output;
use super::progress::Progress;
use super::usage;
use crate::bootstrap::{self, Blocks, Difference, Interval, Intervals, Judged, Plan};
use clap::Args;
use serde_json::{json, Value};

/// Draws of rows in all that intervals may cost by default: some ten seconds on one core.
const MOST_DRAWS: usize = 1_000_000_000;
const DEFAULT_REPLICATES: usize = 1000;
const FEWEST_REPLICATES: usize = 200;

/// How far figures can be trusted.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Confidence")]
pub(super) struct BootstrapArgs {
    /// Replicates of the bootstrap behind the 95 % intervals; 0 for none [default: 1000, fewer beyond a million rows]
    #[arg(long, value_name = "N")]
    bootstrap: Option<usize>,
    /// Rows follow each other in time: draw them in blocks, as neighbours are alike
    #[arg(long)]
    time_ordered: bool,
    /// Rows per block [default: as long as scores stay correlated (Politis and White 2004)]
    #[arg(long, value_name = "ROWS")]
    block: Option<usize>,
    /// Seed of the bootstrap
    #[arg(long, value_name = "S", default_value_t = 0)]
    bootstrap_seed: u64,
}

impl BootstrapArgs {
    /// What can be said before rows are read.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.block == Some(0) {
            return Err(usage("--block is 0: use at least 1, or leave it out"));
        }
        if self.bootstrap.is_some_and(|n| n > 0 && n < 20) {
            return Err(usage("--bootstrap needs at least 20 replicates for an interval, or 0 for none"));
        }
        Ok(())
    }

    /// Draws rows in blocks, as if `--time-ordered` had been given.
    pub(super) fn in_time_order(self) -> Self {
        Self { time_ordered: true, ..self }
    }

    /// The plan for so many rows; `None` if no intervals are wanted.
    pub(super) fn plan(&self, rows: usize) -> Option<Plan> {
        let affordable = (MOST_DRAWS / rows.max(1)).clamp(FEWEST_REPLICATES, DEFAULT_REPLICATES);
        let replicates = self.bootstrap.unwrap_or(affordable);
        let blocks = match self.block {
            Some(rows) => Blocks::Of(rows),
            None if self.time_ordered => Blocks::Automatic,
            None => Blocks::Single,
        };
        (replicates > 0).then_some(Plan { replicates, seed: self.bootstrap_seed, blocks })
    }
}

/// Intervals, with progress.
pub(super) fn intervals(judged: &Judged<'_>, plan: &Plan, output: &Output) -> Intervals {
    let progress = Progress::start(output, "bootstrap", "replicates", plan.replicates as u64);
    let found = bootstrap::intervals(judged, plan, || progress.advance(1));
    progress.finish();
    found
}

/// `confidence` in the JSON of `eval`.
pub(super) fn json(intervals: &Intervals) -> Value {
    let pair = |interval: Option<Interval>| interval.map(|i| json!([i.low, i.high]));
    let [normal, anomalous] = intervals.block_rows;
    json!({
        "level": bootstrap::LEVEL,
        "replicates": intervals.replicates,
        "block_rows_normal": normal,
        "block_rows_anomalous": anomalous,
        "auroc": pair(intervals.auroc),
        "average_precision": pair(intervals.average_precision),
        "false_alarm_rate": pair(intervals.false_alarm_rate),
        "detection_rate": pair(intervals.detection_rate),
    })
}

/// A comparison of two images in the JSON of `eval`.
pub(super) fn comparison(first: &str, second: &str, found: &Difference) -> Value {
    json!({
        "first": first,
        "second": second,
        "auroc_difference": found.auroc,
        "interval": [found.interval.low, found.interval.high],
        "p_value": found.p_value,
    })
}

/// ` [0.9812, 0.9934]`, or nothing.
pub(super) fn bracketed(interval: Option<Interval>) -> String {
    interval.map_or_else(String::new, |i| format!(" [{:.4}, {:.4}]", i.low, i.high))
}

/// What the brackets are.
pub(super) fn legend(intervals: &Intervals) -> String {
    let drawn = match intervals.block_rows {
        [1, 1] => "rows drawn one by one".to_owned(),
        [normal, anomalous] => {
            format!("blocks of {normal} normal and {anomalous} anomalous rows")
        }
    };
    format!("[95 % of {} bootstrap replicates, {drawn}]", intervals.replicates)
}
