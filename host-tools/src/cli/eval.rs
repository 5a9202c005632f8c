//! `flowlet eval`

use super::alarm;
use super::confidence::{self, BootstrapArgs};
use super::output::{grouped, Output};
use super::progress::Progress;
use super::scoring;
use super::tables::{self, TableArgs};
use super::usage;
use crate::alarm::{replay, Replay};
use crate::bootstrap::{self, Blocks, Intervals, Judged};
use crate::export::{self, ImageFile};
use crate::flow::Transform;
use crate::metrics;
use crate::segments::{segments, Delays, Segment};
use crate::table::Table;
use anyhow::{bail, Context};
use clap::Args;
use flowlet::stream::Surprise;
use flowlet::Score;
use serde_json::{json, Value};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Judge an image, or several side by side, on labelled rows
///
/// AUROC and average precision judge the score; the rates of false alarms and of detection judge the image's own
/// threshold; the mean negative log-likelihood of normal rows judges the density. Of an image with settings of an alarm
/// (flowlet alarm) that alarm is run over the rows too, taken for a series: its rises and how soon it notices events. Intervals are bootstrapped: where they
/// overlap widely, the rows do not say which image is better, though the comparison on the same rows may.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  flowlet eval pump.flow labelled.csv --label fault
  flowlet eval pump.flow day1.csv day2.csv --label fault --segments     how soon is each fault noticed?
  flowlet eval pump.flow pump-i8.flow labelled.csv --label fault        side by side, and is the difference real?
  flowlet eval pump.flow --stream --normal good.npy --normal-rows 60%.. --anomalous fault.npy")]
pub(super) struct EvalArgs {
    /// The image
    #[arg(value_name = "M.flow")]
    model: PathBuf,
    /// Tables (.csv, .npy or .parquet), each a series of its own; and further images (.flow) to compare
    #[arg(required_unless_present_any = ["normal", "anomalous"], value_name = "DATA")]
    files: Vec<PathBuf>,
    /// Tables whose rows are all normal, instead of a label column
    #[arg(long, value_name = "DATA", num_args = 1.., conflicts_with = "label", requires = "anomalous")]
    normal: Vec<PathBuf>,
    /// Tables whose rows are all anomalous
    #[arg(long, value_name = "DATA", num_args = 1.., conflicts_with = "label", requires = "normal")]
    anomalous: Vec<PathBuf>,
    /// Only these data rows of each table of --normal: what a model was not trained on, such as 60%..
    #[arg(long, value_name = "FROM..TO", value_parser = tables::rows, requires = "normal")]
    normal_rows: Option<tables::Rows>,
    /// Rows are in time order, and contiguous rows of label 1 are one event: how soon is each noticed? Implies
    /// --time-ordered
    #[arg(long)]
    segments: bool,
    #[command(flatten)]
    bootstrap: BootstrapArgs,
    #[command(flatten)]
    table: TableArgs,
}

/// An image and its scores of all tables' rows.
struct Examined {
    path: PathBuf,
    image: ImageFile,
    scores: Vec<Score>,
    quality: Quality,
}

/// The rows that images are judged on, and which they are.
#[derive(Default)]
struct Rows {
    labels: Vec<bool>,
    /// Data row in its file.
    numbers: Vec<usize>,
    /// First row of each file.
    starts: Vec<usize>,
    skipped: usize,
    notes: Vec<String>,
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

/// Judges scores by labels, one for each.
pub(super) fn quality(image: &ImageFile, labels: &[bool], scores: &[Score]) -> anyhow::Result<Quality> {
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
        if self.table.label.is_none() && self.normal.is_empty() {
            return Err(usage(
                "eval needs --label COL, the column that says which rows are anomalous, or --normal and --anomalous files",
            ));
        }
        self.bootstrap.check()?;
        let (more, data): (Vec<PathBuf>, Vec<PathBuf>) =
            self.files.iter().cloned().partition(|path| path.extension().is_some_and(|e| e == "flow"));
        if !data.is_empty() && !self.normal.is_empty() {
            return Err(usage(
                "name tables either behind the image or with --normal and --anomalous, not both",
            ));
        }
        let data =
            if data.is_empty() { self.normal.iter().chain(&self.anomalous).cloned().collect() } else { data };
        if data.is_empty() {
            return Err(usage("eval needs a table behind the images: flowlet eval M.flow DATA --label COL"));
        }
        let (first, rows) = self.examine(&self.model, &data, output)?;
        let mut all = vec![first];
        for path in &more {
            let (examined, theirs) = self.examine(path, &data, &Output::new(output.is_json(), true))?;
            if theirs.numbers != rows.numbers {
                bail!(
                    "{} and {} leave out different rows for bad cells, so they cannot be compared: mend the tables",
                    self.model.display(),
                    path.display()
                );
            }
            all.push(examined);
        }
        let quality = &all[0].quality;
        for (rows, kind) in [(quality.normal_rows, "normal"), (quality.anomalous_rows, "anomalous")] {
            if rows == 0 {
                output.warn(&format!("{}: no {kind} rows, so not all can be judged", data[0].display()));
            }
        }

        let bootstrap = if self.segments { self.bootstrap.in_time_order() } else { self.bootstrap };
        let plan = bootstrap.plan(rows.labels.len());
        let mut found: Vec<Findings> = Vec::new();
        for examined in &all {
            let (scores, alarms) = (examined.statistics(), examined.alarms());
            let judged = Judged { labels: &rows.labels, scores: &scores, alarms: &alarms };
            let segments = self.segments.then(|| segments(&rows.labels, &alarms, &rows.starts));
            let intervals = plan.as_ref().map(|plan| confidence::intervals(&judged, plan, output));
            found.push(Findings { intervals, segments, alarm: examined.replay(&rows)? });
        }
        let mut comparisons = Vec::new();
        if let Some(plan) = &plan {
            let of_first = all[0].statistics();
            // The same blocks for both: those of the first image's scores.
            let plan = match (plan.blocks, found[0].intervals) {
                (Blocks::Automatic, Some(i)) => {
                    bootstrap::Plan { blocks: Blocks::Of(i.block_rows[0].max(i.block_rows[1])), ..*plan }
                }
                _ => *plan,
            };
            for other in &all[1..] {
                comparisons.push(bootstrap::compare(&rows.labels, &of_first, &other.statistics(), &plan));
            }
        }

        let mut json = self.json(&all[0], &found[0], &rows)?;
        json["skipped_rows"] = rows.skipped.into();
        json["notes"] = json!(rows.notes);
        if all.len() > 1 {
            let name = |examined: &Examined| examined.path.display().to_string();
            let each: anyhow::Result<Vec<Value>> =
                all.iter().zip(&found).map(|(image, found)| self.json(image, found, &rows)).collect();
            json["images"] = json!(each?);
            let pairs = comparisons.iter().zip(&all[1..]).filter_map(|(difference, other)| {
                Some(confidence::comparison(&name(&all[0]), &name(other), difference.as_ref()?))
            });
            json["comparisons"] = json!(pairs.collect::<Vec<_>>());
        }
        let mut text = String::new();
        for (examined, found) in all.iter().zip(&found) {
            if all.len() > 1 {
                let _ =
                    writeln!(text, "{}{}", if text.is_empty() { "" } else { "\n" }, examined.described()?);
            }
            text.push_str(&examined.text(found));
        }
        for (difference, other) in comparisons.iter().zip(&all[1..]) {
            if let Some(d) = difference {
                let _ = write!(
                    text,
                    "\n{} less {}: AUROC {:+.4} [{:+.4}, {:+.4}], p = {:.3} (both on the same bootstrap rows)",
                    all[0].path.display(),
                    other.path.display(),
                    d.auroc,
                    d.interval.low,
                    d.interval.high,
                    d.p_value
                );
            }
        }
        output.finish(&text, &json)
    }

    /// Scores all tables with one image.
    fn examine(&self, path: &Path, data: &[PathBuf], output: &Output) -> anyhow::Result<(Examined, Rows)> {
        let image = scoring::read_image(path)?;
        let mut tables: Vec<Table> = Vec::with_capacity(data.len());
        for (index, path) in data.iter().enumerate() {
            let is_normal = index < self.normal.len();
            let mut args = self.table.clone();
            if let Some(rows) = self.normal_rows.as_ref().filter(|_| is_normal) {
                args.rows = Some(rows.clone());
            }
            let mut table = args.read_for(path, &image, output)?;
            if !self.normal.is_empty() {
                table.labels = Some(vec![!is_normal; table.rows]);
            }
            tables.push(table);
        }
        let total: usize = tables.iter().map(|t| t.rows).sum();
        let progress = Progress::start(output, "scoring", "rows", total as u64);
        let (mut rows, mut scores) = (Rows::default(), Vec::with_capacity(total));
        for table in tables {
            scores.extend(scoring::score_rows(&image, &table.values, |done| progress.advance(done as u64))?);
            rows.starts.push(rows.labels.len());
            rows.numbers.extend((0..table.rows).map(|row| table.row_number(row)));
            rows.labels.extend(table.labels.context("the table has no label column")?);
            rows.skipped += table.skipped_rows;
            rows.notes.extend(table.notes);
        }
        progress.finish();
        let quality = quality(&image, &rows.labels, &scores)?;
        Ok((Examined { path: path.to_path_buf(), image, scores, quality }, rows))
    }

    fn json(&self, examined: &Examined, found: &Findings, rows: &Rows) -> anyhow::Result<Value> {
        let mut json = examined.quality.json();
        let model = examined.image.model()?;
        json["image"] = json!(examined.path);
        json["numeric"] = scoring::name(model.numeric()).into();
        json["image_bytes"] = examined.image.bytes().len().into();
        json["workspace_bytes"] = model.workspace_bytes().into();
        if let Some(intervals) = &found.intervals {
            json["confidence"] = confidence::json(intervals);
        }
        json["alarm"] = json!(found.alarm.as_ref().map(|(replay, d)| alarm::replay_json(replay, Some(*d))));
        if let Some(segments) = &found.segments {
            json["segments"] = segments_json(segments, rows, &self.tables());
        }
        Ok(json)
    }

    /// The tables among the files, in order.
    fn tables(&self) -> Vec<&PathBuf> {
        if !self.normal.is_empty() {
            return self.normal.iter().chain(&self.anomalous).collect();
        }
        self.files.iter().filter(|path| path.extension().is_none_or(|e| e != "flow")).collect()
    }
}

/// What is known beyond the figures themselves.
struct Findings {
    intervals: Option<Intervals>,
    segments: Option<Vec<Segment>>,
    /// What the alarm of the image's settings did, if it has any, and how soon it noticed events.
    alarm: Option<(Replay, Delays)>,
}

impl Examined {
    fn statistics(&self) -> Vec<f64> {
        self.scores.iter().map(|s| f64::from(s.score)).collect()
    }

    fn alarms(&self) -> Vec<bool> {
        self.scores.iter().map(|s| s.alarm).collect()
    }

    /// Runs the alarm that the image brings settings of over the rows, in their order.
    fn replay(&self, rows: &Rows) -> anyhow::Result<Option<(Replay, Delays)>> {
        let Some(settings) = export::present(self.image.model()?.alarm())? else { return Ok(None) };
        let surprises: Vec<Surprise> = self.scores.iter().map(Surprise::of).collect();
        let replay = replay(&settings, &surprises, Some(&rows.labels), &rows.starts);
        let delays = Delays::of(&segments(&rows.labels, &replay.on, &rows.starts));
        Ok(Some((replay, delays)))
    }

    fn described(&self) -> anyhow::Result<String> {
        let model = self.image.model()?;
        Ok(format!(
            "{} ({}, {} bytes, {} bytes of workspace)",
            self.path.display(),
            scoring::name(model.numeric()),
            grouped(self.image.bytes().len()),
            grouped(model.workspace_bytes())
        ))
    }

    fn text(&self, found: &Findings) -> String {
        let quality = &self.quality;
        let shown = |value: Option<f64>| value.map_or_else(|| "undefined".to_owned(), |v| format!("{v:.4}"));
        let within = |pick: fn(&Intervals) -> Option<bootstrap::Interval>| {
            confidence::bracketed(found.intervals.as_ref().and_then(pick))
        };
        let mut text = format!(
            "AUROC              {}{}\n\
             average precision  {}{}\n\
             NLL of normal      {} nats in the data's units, {} standardized\n\
             without top 1 %    {} nats in the data's units, {} standardized\n\
             false alarms       {}{} of {} normal rows\n\
             detected           {}{} of {} anomalous rows\n",
            shown(quality.auroc),
            within(|i| i.auroc),
            shown(quality.average_precision),
            within(|i| i.average_precision),
            shown(quality.nll_normal),
            shown(quality.standardized(quality.nll_normal)),
            shown(quality.nll_normal_trimmed),
            shown(quality.standardized(quality.nll_normal_trimmed)),
            shown(quality.false_alarm_rate),
            within(|i| i.false_alarm_rate),
            quality.normal_rows,
            shown(quality.detection_rate),
            within(|i| i.detection_rate),
            quality.anomalous_rows,
        );
        if let Some(segments) = &found.segments {
            let delays = Delays::of(segments);
            let _ = writeln!(
                text,
                "segments           {} of {} noticed, {} missed{}",
                delays.detected,
                segments.len(),
                delays.missed,
                match (delays.median, delays.worst) {
                    (Some(median), Some(worst)) =>
                        format!("; first alarm after {median} rows (median), {worst} (worst)"),
                    _ => String::new(),
                }
            );
        }
        if let Some((replay, delays)) = &found.alarm {
            let normal = &replay.normal;
            let _ = writeln!(
                text,
                "stored alarm       {} rises in {} normal rows; {} of {} events noticed{}",
                normal.rises,
                normal.readings,
                delays.detected,
                delays.detected + delays.missed,
                delays.median.map_or_else(String::new, |median| format!(", after {median} rows (median)"))
            );
        }
        if let Some(intervals) = &found.intervals {
            let _ = writeln!(text, "{}", confidence::legend(intervals));
        }
        text
    }
}

fn segments_json(segments: &[Segment], rows: &Rows, files: &[&PathBuf]) -> Value {
    let delays = Delays::of(segments);
    let each: Vec<Value> = segments
        .iter()
        .map(|segment| {
            let file = rows.starts.partition_point(|&start| start <= segment.rows.start) - 1;
            json!({
                "file": files.get(file),
                "first_row": rows.numbers[segment.rows.start],
                "last_row": rows.numbers[segment.rows.end - 1],
                "rows": segment.rows.len(),
                "delay": segment.delay,
            })
        })
        .collect();
    json!({
        "count": segments.len(),
        "detected": delays.detected,
        "missed": delays.missed,
        "median_delay": delays.median,
        "worst_delay": delays.worst,
        "list": each,
    })
}
