//! `flowlet explain`

use super::output::Output;
use super::scoring;
use super::tables::TableArgs;
use anyhow::bail;
use clap::Args;
use flowlet::{Explainer, Explanation, Graded, Score, Scorer, Statistics};
use serde_json::{json, Map, Value};
use std::fmt::Write;
use std::path::PathBuf;

/// Say which features made a row unlikely, and where the nearest normal row lies
///
/// Computed by the device's own code. The nearest normal row is found by pulling the row, in the flow's own
/// coordinates, towards their centre until it scores as normal rows do on average. Each feature's share of the excess
/// is its integrated gradient on the straight line between the two; the shares sum to the excess.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  flowlet score pump.flow today.csv -o scores.csv     which rows alarm?
  flowlet explain pump.flow today.csv --row 512       and why does this one?")]
pub(super) struct ExplainArgs {
    /// The image
    #[arg(value_name = "M.flow")]
    model: PathBuf,
    /// The table: .csv, .npy or .parquet
    data: PathBuf,
    /// Which data row, from 0, as in the column `row` of scores.csv
    #[arg(long, value_name = "N")]
    row: usize,
    #[command(flatten)]
    table: TableArgs,
}

impl ExplainArgs {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<()> {
        let image = scoring::read_image(&self.model)?;
        let table = self.table.read_for(&self.data, &image, output)?;
        let Some(index) = (0..table.rows).find(|&index| table.row_number(index) == self.row) else {
            let last = table.row_number(table.rows - 1);
            if self.row < last {
                bail!("{}: row {} was left out for a bad cell", self.data.display(), self.row);
            }
            bail!("{}: no row {}: rows count from 0, the last is {last}", self.data.display(), self.row);
        };
        let row = table.row(index);
        let model = image.model()?;
        let mut workspace = vec![0; model.workspace_bytes() / 4];
        let mut scorer = Scorer::new(&model, &mut workspace)?;
        let (score, statistics) = (scorer.score(row)?, scorer.statistics(row)?);
        let mut workspace = vec![0; flowlet::explain_workspace_words(&model)];
        let mut explainer = Explainer::new(&model, &mut workspace)?;
        let explanation = explainer.explain(row)?;
        if !explanation.nearest_is_typical {
            output.warn(
                "the nearest normal row that was found is not typical itself: the flow maps no row near its centre; \
                 read the shares as relative to that row",
            );
        }

        let (features, context) = table.columns.split_at(model.features());
        let report = Report { row: self.row, features, context, values: row, score, statistics, explanation };
        let mut json = report.json();
        json["numeric"] = scoring::name(model.numeric()).into();
        json["workspace_bytes"] = (4 * flowlet::explain_workspace_words(&model)).into();
        json["notes"] = json!(table.notes);
        output.finish(&report.text(), &json)
    }
}

/// All that is said of a row.
struct Report<'a> {
    row: usize,
    features: &'a [String],
    context: &'a [String],
    /// Features, then context.
    values: &'a [f32],
    score: Score,
    statistics: Statistics,
    explanation: Explanation<'a>,
}

impl Report<'_> {
    fn json(&self) -> Value {
        let by_name = |names: &[String], values: &[f32]| -> Map<String, Value> {
            names.iter().zip(values).map(|(name, &value)| (name.clone(), shortest(value))).collect()
        };
        let graded = |Graded { value, p_value }: Graded| json!({ "value": shortest(value), "p_value": p_value.map(shortest) });
        let e = &self.explanation;
        json!({
            "row": self.row,
            "log_prob": shortest(e.log_prob),
            "p_value": shortest(self.score.p_value),
            "alarm": self.score.alarm,
            "score": shortest(e.score),
            "typical_score": shortest(e.typical_score),
            "excess": shortest(e.excess),
            "attribution": by_name(self.features, e.attribution),
            "nearest_normal": by_name(self.features, e.nearest_normal),
            "nearest_is_typical": e.nearest_is_typical,
            "gradient": by_name(self.features, e.gradient),
            "reading": by_name(self.features, self.values),
            "context": by_name(self.context, &self.values[self.features.len()..]),
            "statistics": {
                "log-prob": graded(self.statistics.negative_log_prob),
                "squared-norm": graded(self.statistics.squared_norm),
                "typicality": graded(self.statistics.typicality),
            },
        })
    }

    fn text(&self) -> String {
        let e = &self.explanation;
        let mut text = format!(
            "row {}: log_prob {:.3} nats, p-value {:.2e}{}\n",
            self.row,
            e.log_prob,
            self.score.p_value,
            if self.score.alarm { ", alarm" } else { "" },
        );
        // Writing to a String cannot fail.
        if !self.context.is_empty() {
            let values = self.context.iter().zip(&self.values[self.features.len()..]);
            let values: Vec<String> = values.map(|(name, value)| format!("{name} = {value}")).collect();
            let _ = writeln!(text, "in the context {}", values.join(", "));
        }
        if e.excess <= 0.0 {
            let _ = write!(
                text,
                "as likely as normal rows are: it scores {:.3}, they {:.3} on average; nothing to explain",
                e.score, e.typical_score
            );
            return text;
        }
        let _ = writeln!(
            text,
            "scores {:.3} nats, normal rows {:.3} on average; {:.3} nats to explain:\n",
            e.score, e.typical_score, e.excess
        );
        let width = self.features.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(7);
        let _ = writeln!(
            text,
            "{:<width$}  {:>12}  {:>12}  {:>9}  {:>6}",
            "feature", "is", "normal were", "nats", "share"
        );
        let mut order: Vec<usize> = (0..self.features.len()).collect();
        order.sort_by(|&a, &b| e.attribution[b].abs().total_cmp(&e.attribution[a].abs()));
        for feature in order {
            let _ = writeln!(
                text,
                "{:<width$}  {:>12}  {:>12}  {:>9.3}  {:>5.0}%",
                self.features[feature],
                compact(self.values[feature]),
                compact(e.nearest_normal[feature]),
                e.attribution[feature],
                100.0 * e.attribution[feature] / e.excess,
            );
        }
        text
    }
}

/// Six significant digits.
fn compact(value: f32) -> String {
    let size = value.abs();
    if value != 0.0 && !(1e-3..1e7).contains(&size) {
        return format!("{value:.4e}");
    }
    let digits = if size < 1.0 { 6 } else { 5 - size.log10().floor().min(5.0) as usize };
    format!("{value:.digits$}")
}

/// An f32 as JSON in its own shortest digits, not in those of the f64 that equals it.
fn shortest(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, |v| json!(v))
}
