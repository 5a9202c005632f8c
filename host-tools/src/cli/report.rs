//! `flowlet report`

use super::confidence::{self, BootstrapArgs};
use super::eval;
use super::files;
use super::output::{grouped, Output};
use super::progress::Progress;
use super::scoring::{self, Delta};
use super::tables::TableArgs;
use crate::bootstrap::Judged;
use crate::export::ImageFile;
use crate::metrics;
use crate::report::history::{beside, fingerprint, History};
use crate::report::{self, Figures, Measured, Subject};
use crate::table::Table;
use anyhow::Context;
use clap::Args;
use flowlet::Score;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Write one self-contained HTML page about an image and a table
///
/// Scores with the threshold, ROC and precision-recall (with --label), what was unusual when and which feature is to
/// blame, the least likely rows explained, the training curve, the cost of quantization, size and instructions. No script
/// and no network: the page can be mailed. The training curve comes from M.flow.json, which `flowlet train` writes beside
/// the image.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  flowlet report pump.flow labelled.csv --label fault -o report.html
  flowlet report pump.flow today.csv --time-ordered -o report.html
  flowlet report pump-i8.flow labelled.csv --label fault --reference pump-f32.flow -o report.html")]
pub(super) struct ReportArgs {
    /// The image
    #[arg(value_name = "M.flow")]
    model: PathBuf,
    /// The table: .csv, .npy or .parquet
    data: PathBuf,
    /// Where to write the page
    #[arg(short, long, value_name = "report.html")]
    output: PathBuf,
    /// What training left, for its curve [default: M.flow.json, if it is that image's]
    #[arg(long, value_name = "M.flow.json")]
    history: Option<PathBuf>,
    /// The image before it was quantized: measures what that cost on these rows
    #[arg(long, value_name = "F32.flow")]
    reference: Option<PathBuf>,
    #[command(flatten)]
    bootstrap: BootstrapArgs,
    #[command(flatten)]
    table: TableArgs,
}

impl ReportArgs {
    pub(super) fn run(self, output: &Output) -> anyhow::Result<()> {
        self.bootstrap.check()?;
        files::check_target(&self.output)?;
        let image = scoring::read_image(&self.model)?;
        let table = self.table.read_for(&self.data, &image, output)?;
        let history = match &self.history {
            Some(path) => Ok(read_history(path)?),
            None => find_history(&self.model, &image),
        };
        if let Err(why) = &history {
            output.note(why);
        }
        let reference = self.reference.as_deref().map(scoring::read_image).transpose()?;
        let progress = Progress::start(output, "scoring", "rows", table.rows as u64);
        let scores = scoring::score_rows(&image, &table.values, |rows| progress.advance(rows as u64))?;
        progress.finish();
        let page = Page {
            image: &image,
            image_path: &self.model,
            table: &table,
            scores: &scores,
            history,
            reference: reference.as_ref(),
            bootstrap: self.bootstrap,
            credit: "",
        };
        let html = page.html(output)?;
        files::write_whole(&self.output, html.as_bytes())?;

        let alarms = scores.iter().filter(|score| score.alarm).count();
        let json = json!({
            "path": self.output,
            "bytes": html.len(),
            "rows": table.rows,
            "alarms": alarms,
            "skipped_rows": table.skipped_rows,
            "training_curve": page.history.is_ok(),
            "notes": table.notes,
        });
        let text = format!(
            "{}: {} rows, {} alarms; {} kB, open it in any browser",
            self.output.display(),
            grouped(table.rows),
            grouped(alarms),
            grouped(html.len().div_ceil(1000))
        );
        output.finish(&text, &json)
    }
}

/// What a page is made from.
pub(super) struct Page<'a> {
    pub(super) image: &'a ImageFile,
    pub(super) image_path: &'a Path,
    pub(super) table: &'a Table,
    pub(super) scores: &'a [Score],
    pub(super) history: Result<History, String>,
    /// The image before it was quantized.
    pub(super) reference: Option<&'a ImageFile>,
    pub(super) bootstrap: BootstrapArgs,
    /// Whose data these are.
    pub(super) credit: &'a str,
}

impl Page<'_> {
    pub(super) fn html(&self, output: &Output) -> anyhow::Result<String> {
        let (image, table, scores) = (self.image, self.table, self.scores);
        let model = image.model()?;
        let statistics: Vec<f64> = scores.iter().map(|s| f64::from(s.score)).collect();
        let (mut quality, mut intervals) = (Figures::default(), None);
        if let Some(labels) = &table.labels {
            let found = eval::quality(image, labels, scores)?;
            quality = Figures {
                normal_rows: found.normal_rows,
                anomalous_rows: found.anomalous_rows,
                auroc: found.auroc,
                average_precision: found.average_precision,
                false_alarm_rate: found.false_alarm_rate,
                detection_rate: found.detection_rate,
            };
            let alarms: Vec<bool> = scores.iter().map(|s| s.alarm).collect();
            let judged = Judged { labels, scores: &statistics, alarms: &alarms };
            intervals =
                self.bootstrap.plan(table.rows).map(|plan| confidence::intervals(&judged, &plan, output));
        }
        let reference = match self.reference {
            Some(float) => {
                let before = scoring::score_rows(float, &table.values, |_| {})
                    .context("the image named by --reference must have the same inputs")?;
                let delta = Delta::between(&before, scores);
                let of = |scores: &[Score]| {
                    let statistics: Vec<f64> = scores.iter().map(|s| f64::from(s.score)).collect();
                    table.labels.as_ref().and_then(|labels| metrics::auroc(labels, &statistics))
                };
                let auroc_change = of(scores).zip(of(&before)).map(|(after, before)| after - before);
                Some(Measured { mean: delta.mean, largest: delta.max, auroc_change })
            }
            None => None,
        };
        let name = |path: &Path| {
            path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
        };
        let subject = Subject {
            image,
            image_name: name(self.image_path),
            numeric: scoring::name(model.numeric()),
            table,
            table_name: name(&table.path),
            scores,
            threshold: f64::from(scoring::threshold(&model).context("the image holds no threshold")?),
            quality,
            intervals,
            history: self.history.clone(),
            reference,
            credit: self.credit.to_owned(),
        };
        Ok(report::html(&subject)?)
    }
}

fn read_history(path: &Path) -> anyhow::Result<History> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| {
        format!(
            "{}: not what flowlet train writes beside an image; leave --history out to do without",
            path.display()
        )
    })
}

/// The history beside an image, or why there is none.
fn find_history(model: &Path, image: &ImageFile) -> Result<History, String> {
    let path = beside(model);
    if !path.exists() {
        return Err(format!(
            "no training curve: {} is not there; flowlet train writes it beside the image, and --history names another",
            path.display()
        ));
    }
    let history = read_history(&path).map_err(|error| format!("no training curve: {error:#}"))?;
    if history.image != fingerprint(image) {
        return Err(format!(
            "no training curve: {} is of another image; name it with --history if its training is this one's",
            path.display()
        ));
    }
    Ok(history)
}
