//! `flowlet eval`

use super::output::Output;
use super::scoring;
use super::tables::TableArgs;
use crate::export::{self, ImageFile};
use crate::flow::Transform;
use crate::metrics;
use crate::table::Table;
use anyhow::Context;
use clap::Args;
use flowlet::Score;
use serde_json::{json, Value};
use std::path::PathBuf;

/// Judge an image on labelled rows
///
/// AUROC and average precision judge the score; the rates of false alarms and of detection judge the image's own
/// threshold; the mean negative log-likelihood of normal rows judges the density.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  flowlet eval pump.flow labelled.csv --label fault")]
pub(super) struct EvalArgs {
    /// The image
    #[arg(value_name = "M.flow")]
    model: PathBuf,
    /// The table: .csv, .npy or .parquet
    data: PathBuf,
    #[command(flatten)]
    table: TableArgs,
}

/// How well an image does on labelled rows; `None` where there are no rows to say so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quality {
    pub(super) normal_rows: usize,
    pub(super) anomalous_rows: usize,
    pub(super) auroc: Option<f64>,
    pub(super) average_precision: Option<f64>,
    pub(super) nll_normal: Option<f64>,
    pub(super) nll_normal_trimmed: Option<f64>,
    /// What standardizing takes off an NLL: the sum of ln std of the image's standardizer.
    pub(super) sum_log_std: f64,
    pub(super) false_alarm_rate: Option<f64>,
    pub(super) detection_rate: Option<f64>,
}

/// Judges scores by a table's labels.
pub(super) fn quality(image: &ImageFile, table: &Table, scores: &[Score]) -> anyhow::Result<Quality> {
    let labels = table.labels.as_ref().context("the table has no label column")?;
    let statistics: Vec<f64> = scores.iter().map(|s| f64::from(s.score)).collect();
    let (mut nll, mut alarms) = (Vec::new(), [0_usize; 2]);
    for (score, &anomalous) in scores.iter().zip(labels) {
        alarms[usize::from(anomalous)] += usize::from(score.alarm);
        if !anomalous {
            nll.push(-f64::from(score.log_prob));
        }
    }
    let (normal_rows, anomalous_rows) = (nll.len(), scores.len() - nll.len());
    let rate = |alarms: usize, rows: usize| (rows > 0).then(|| alarms as f64 / rows as f64);
    Ok(Quality {
        normal_rows,
        anomalous_rows,
        auroc: metrics::auroc(labels, &statistics),
        average_precision: metrics::average_precision(labels, &statistics),
        nll_normal: metrics::mean(&nll),
        nll_normal_trimmed: metrics::trimmed_mean(&nll, 0.01),
        sum_log_std: sum_log_std(image)?,
        false_alarm_rate: rate(alarms[0], normal_rows),
        detection_rate: rate(alarms[1], anomalous_rows),
    })
}

fn sum_log_std(image: &ImageFile) -> anyhow::Result<f64> {
    let (flow, _) = export::import(&image.model()?);
    Ok(match flow.transforms.first() {
        Some(Transform::Standardize(s)) => s.std.iter().map(|&std| f64::from(std).ln()).sum(),
        _ => 0.0,
    })
}

impl Quality {
    fn standardized(&self, nll: Option<f64>) -> Option<f64> {
        nll.map(|nll| nll - self.sum_log_std)
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "rows": self.normal_rows + self.anomalous_rows,
            "normal_rows": self.normal_rows,
            "anomalous_rows": self.anomalous_rows,
            "auroc": self.auroc,
            "average_precision": self.average_precision,
            "nll_normal": self.nll_normal,
            "nll_normal_standardized": self.standardized(self.nll_normal),
            "nll_normal_trimmed": self.nll_normal_trimmed,
            "nll_normal_trimmed_standardized": self.standardized(self.nll_normal_trimmed),
            "false_alarm_rate": self.false_alarm_rate,
            "detection_rate": self.detection_rate,
        })
    }
}

impl EvalArgs {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<()> {
        if self.table.label.is_none() {
            return Err(super::usage(
                "eval needs --label COL, the column that says which rows are anomalous",
            ));
        }
        let image = scoring::read_image(&self.model)?;
        let table = self.table.read_for(&self.data, scoring::input_names(&image)?, output)?;
        let scores = scoring::score_rows(&image, &table.values, |_| {})?;
        let quality = quality(&image, &table, &scores)?;
        for (rows, kind) in [(quality.normal_rows, "normal"), (quality.anomalous_rows, "anomalous")] {
            if rows == 0 {
                output.warn(&format!("{}: no {kind} rows, so not all can be judged", self.data.display()));
            }
        }

        let shown = |value: Option<f64>| value.map_or_else(|| "undefined".to_owned(), |v| format!("{v:.4}"));
        let text = format!(
            "AUROC              {}\n\
             average precision  {}\n\
             NLL of normal      {} nats in the data's units, {} standardized\n\
             without top 1 %    {} nats in the data's units, {} standardized\n\
             false alarms       {} of {} normal rows\n\
             detected           {} of {} anomalous rows",
            shown(quality.auroc),
            shown(quality.average_precision),
            shown(quality.nll_normal),
            shown(quality.standardized(quality.nll_normal)),
            shown(quality.nll_normal_trimmed),
            shown(quality.standardized(quality.nll_normal_trimmed)),
            shown(quality.false_alarm_rate),
            quality.normal_rows,
            shown(quality.detection_rate),
            quality.anomalous_rows,
        );
        let mut json = quality.json();
        json["numeric"] = scoring::name(image.model()?.numeric()).into();
        json["skipped_rows"] = table.skipped_rows.into();
        json["notes"] = json!(table.notes);
        output.finish(&text, &json)
    }
}
